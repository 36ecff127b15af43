import { Type } from '@sinclair/typebox';
import { describe, expect, it } from 'vitest';
import { Admitted, type Arrival, type Call, Exchange } from './exchange.js';
import { ANONYMOUS } from './identity.js';
import { Outcome } from './outcome.js';
import type { Phase } from './phases.js';
import { type Change, definePlugin, type Hooks, type Plugin } from './plugin.js';
import { Refusal } from './refusal.js';
import { testPlugin } from './testing.js';

/* Every hook: what happens when it throws, rejects, is switched off, or answers what it cannot answer. */

type Hook = keyof Hooks;
const ALL_CHANGES: readonly Change[] = ['arguments', 'entries', 'headers', 'notifications', 'result'];
const PHASE_OF: Partial<Record<Hook, Phase>> = {
  head: 'door',
  admission: 'door',
  identify: 'identity',
  challenge: 'identity',
  decide: 'decision',
};

function plugin(name: string, hook: Hook, own: unknown, changes = ALL_CHANGES): Plugin {
  return definePlugin({
    name,
    version: '1.0.0',
    description: 'For a test.',
    phase: PHASE_OF[hook] ?? 'limit',
    config: Type.Object({}),
    reads: [],
    changes,
    hooks: () => ({ [hook]: own }),
  });
}

const LIST = { tools: [{ name: 'files:read' }] };
const upstream = () => LIST;
const caller = plugin('caller', 'identify', () => ({ id: 'ada', scopes: [], claims: {} }));
const nobody = plugin('nobody', 'identify', () => new Refusal('unauthenticated', 'no'));

/** A broken plugin that had its chance beside one that knows who calls. */
function gatewayWith(hook: Hook, own: unknown, more: { onFailure?: 'deny' | 'allow'; beside?: Plugin } = {}) {
  const { onFailure = 'deny', beside = hook === 'identify' ? undefined : caller } = more;
  return testPlugin(plugin('broken', hook, own), {
    onFailure,
    upstream,
    first: true,
    beside: beside === undefined ? [] : [{ plugin: beside }],
  });
}

const exchange = () =>
  Exchange.identified(
    { arrival: { headers: {} } as Arrival, method: 'tools/list', targets: [] } as unknown as Call,
    Admitted.as(ANONYMOUS),
  );

const WAYS: [string, () => unknown][] = [
  [
    'throws',
    () => {
      throw new Error('broken');
    },
  ],
  ['rejects', () => Promise.reject(new Error('broken'))],
];
const CANNOT_WAIT: readonly Hook[] = ['head', 'notification', 'input', 'challenge'];

describe.each<Hook>(['head', 'admission', 'identify', 'decide', 'exchange', 'outcome', 'entries'])(
  'a plugin that fails in %s',
  (hook) => {
    const ways = WAYS.filter(([way]) => way === 'throws' || !CANNOT_WAIT.includes(hook));

    it.each(ways)('and %s lets nothing pass', async (_, own) => {
      const gateway = gatewayWith(hook, own);
      for (let index = 0; index < 8; index++) {
        const { status, outcome } = await gateway.call({});
        expect([status, outcome.result]).toEqual([503, undefined]);
        expect(outcome.error?.message).toBe('plugin broken failed, and nothing passes without it');
      }
      // It is left alone after the fifth failure, and nothing passes then either.
      expect(gateway.logged.map(({ message }) => message)).toContain('switched off');
      if (hook !== 'outcome' && hook !== 'entries') expect(gateway.reached).toEqual([]);
    });

    it.each(ways)('and %s stands in nobody’s way where its binding says so', async (_, own) => {
      const gateway = gatewayWith(hook, own, { onFailure: 'allow' });
      for (let index = 0; index < 8; index++) {
        const { status, outcome } = await gateway.call({});
        // But it cannot say who calls by failing.
        if (hook === 'identify') expect([status, gateway.reached]).toEqual([401, []]);
        else expect([status, outcome.result]).toEqual([200, LIST]);
      }
    });
  },
);

describe('a plugin that fails', () => {
  it('lets nobody in whom another refuses, whatever its binding says', async () => {
    for (const [, own] of WAYS) {
      for (const hook of ['head', 'admission', 'identify'] as const) {
        if (hook === 'head' && own === WAYS[1]?.[1]) continue;
        const gateway = gatewayWith(hook, own, { onFailure: 'allow', beside: nobody });
        expect((await gateway.call({})).status).toBe(401);
        expect(gateway.reached).toEqual([]);
      }
    }
  });

  it.each([
    ['deny', 'drop', new Refusal('failed', '')],
    ['allow', undefined, undefined],
  ] as const)('in what it hears of and in what is asked (%s)', (onFailure, notified, asked) => {
    const throwing = WAYS[0]?.[1];
    const notification = { direction: 'to client', method: 'notifications/message', params: {} } as const;
    const hearing = gatewayWith('notification', throwing, { onFailure });
    expect(hearing.route.notification(exchange(), notification)).toBe(notified);
    const answering = gatewayWith('input', throwing, { onFailure });
    const said = answering.route.input(exchange(), { method: 'elicitation/create', params: {} });
    expect(said?.kind).toBe(asked?.kind);
  });

  it.each([
    ['deny', 'failed'],
    ['allow', undefined],
  ] as const)('at the begin of a session (%s)', async (onFailure, kind) => {
    for (const [, own] of WAYS) {
      const gateway = gatewayWith('sessionStart', own, { onFailure });
      expect((await gateway.route.sessionStart(exchange()))?.kind).toBe(kind);
    }
  });

  it('to say what would do still refuses whom nobody knows', async () => {
    const gateway = testPlugin(plugin('broken', 'challenge', WAYS[0]?.[1]), {
      beside: [{ plugin: plugin('caller', 'identify', () => undefined) }],
    });
    expect((await gateway.call({})).status).toBe(401);
  });
});

const NO_ANSWERS: readonly unknown[] = [
  null,
  true,
  0,
  'yes',
  [1],
  { id: 1 },
  { id: '', scopes: [], claims: {} },
];

describe.each<[Hook, readonly unknown[]]>([
  ['head', NO_ANSWERS],
  ['admission', [undefined, ...NO_ANSWERS]],
  ['identify', NO_ANSWERS.slice(1)],
  ['decide', NO_ANSWERS],
  ['exchange', [undefined, ...NO_ANSWERS]],
  ['outcome', [undefined, ...NO_ANSWERS]],
  ['entries', [undefined, ...NO_ANSWERS]],
])('an answer that is none, of %s', (hook, answers) => {
  it.each(answers)('%j is a failure', async (answer) => {
    for (const own of [() => answer, async () => answer]) {
      if (own !== undefined && CANNOT_WAIT.includes(hook) && own() instanceof Promise) continue;
      const gateway = gatewayWith(hook, own);
      expect((await gateway.call({})).status).toBe(503);
      expect(gateway.logged[0]?.message).toMatch(/^TypeError: .* returned/);
    }
  });
});

describe('a plugin that asks whether somebody was let in, and forgets to hand that on', () => {
  it.each(['deny', 'allow'] as const)('lets in nobody who was refused (%s)', async (onFailure) => {
    const forgetful = async (_: unknown, next: () => unknown) => void (await next());
    const gateway = gatewayWith('admission', forgetful, { onFailure, beside: nobody });
    const { status, identity } = await gateway.call({});
    expect([status, identity]).toEqual([onFailure === 'deny' ? 503 : 401, undefined]);
    expect(gateway.reached).toEqual([]);
  });
});

describe('what a plugin did not declare to change', () => {
  const NOTHING: readonly Change[] = [];
  const other = Outcome.ofResult({ tools: [] });
  it.each<[string, Hook, (...args: never[]) => unknown]>([
    ['a result of its own', 'exchange', () => other],
    ['a result of its own, later', 'exchange', async () => other],
    [
      'another result',
      'exchange',
      async (_: never, next: () => Promise<Outcome>) => (await next()).withResult({}),
    ],
    ['an error', 'exchange', () => Outcome.ofError({ code: -1, message: '' })],
    ['another result, afterwards', 'outcome', () => other],
    ['fewer entries', 'entries', () => []],
  ])('is refused: %s', async (_, hook, own) => {
    const gateway = testPlugin(plugin('changer', hook, own, NOTHING), { upstream });
    expect((await gateway.call({})).status).toBe(503);
    expect(gateway.logged[0]?.message).toMatch(/plugin changer changed .*; declare it in `changes`/);
    const declared = testPlugin(plugin('changer', hook, own), { upstream });
    expect((await declared.call({})).status).not.toBe(503);
  });

  it('are not header fields of the answer, nor refusals', async () => {
    const naming = async (_: unknown, next: () => Promise<Outcome>) =>
      (await next()).withHeaders([['x-a', '1']]);
    const named = await testPlugin(plugin('naming', 'exchange', naming, NOTHING), { upstream }).call({});
    expect([named.status, named.headers['x-a']]).toEqual([200, '1']);
    const refusing = () => Outcome.ofRefusal(new Refusal('limited', 'no'));
    expect((await testPlugin(plugin('refusing', 'exchange', refusing, NOTHING)).call({})).status).toBe(429);
  });
});
