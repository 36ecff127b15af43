import { Type } from '@sinclair/typebox';
import { describe, expect, it } from 'vitest';
import type { Attribute } from './attributes.js';
import { Outcome } from './outcome.js';
import type { Phase } from './phases.js';
import { definePlugin, type Hooks } from './plugin.js';
import { Refusal } from './refusal.js';
import type { Remark, Remarked } from './remarks.js';
import { testPlugin } from './testing.js';

interface Ctx {
  readonly remark: (remark: Remark) => void;
  readonly remarks: readonly Remarked[];
}

function plugin(
  name: string,
  phase: Phase,
  hooks: Hooks<Ctx>,
  reads: readonly Attribute[] = ['remark', 'remarks'],
) {
  return definePlugin({
    name,
    version: '1.0.0',
    description: 'For a test.',
    phase,
    config: Type.Object({}),
    reads,
    changes: [],
    hooks: () => hooks as never,
  });
}

/** What somebody outermost sees when all is over. */
function recorder(seen: unknown[]) {
  return plugin('recorder', 'record', {
    exchange: async (ctx, next) => {
      const outcome = await next();
      seen.push(...ctx.remarks, outcome.refusal?.by);
      return outcome;
    },
  });
}

describe('remarks', () => {
  it('are seen by whoever records, each with who said it', async () => {
    const seen: unknown[] = [];
    const rules = plugin('rules', 'decision', {
      decide: (ctx) => {
        ctx.remark({ kind: 'allow', rule: 'office-hours', data: { hour: 9 } });
        ctx.remark({ kind: 'deny', reason: 'would be refused', isEnforced: false });
        return 'permit';
      },
    });
    const masks = plugin('masks', 'shape', {
      outcome: (ctx, outcome) => {
        ctx.remark({ kind: 'redacted' });
        return outcome;
      },
    });
    const said = await testPlugin(rules, {
      beside: [{ plugin: masks }, { plugin: recorder(seen) }],
    }).call({ tool: 'files:read' });
    expect(said.outcome.errorCode).toBe(0);
    expect(seen).toEqual([
      { kind: 'allow', rule: 'office-hours', data: { hour: 9 }, by: 'rules' },
      { kind: 'deny', reason: 'would be refused', isEnforced: false, by: 'rules' },
      { kind: 'redacted', by: 'masks' },
      undefined,
    ]);
    expect(said.remarks).toEqual(seen.slice(0, 3));
  });

  const no = new Refusal('forbidden', 'not today');
  it.each<[string, Phase, Hooks<Ctx>]>([
    ['decide', 'decision', { decide: () => no }],
    ['a later decide', 'decision', { decide: async () => no }],
    ['exchange', 'limit', { exchange: () => no }],
    ['a thrown refusal', 'limit', { exchange: () => Promise.reject(no) }],
    ['a refused outcome', 'limit', { exchange: () => Outcome.ofRefusal(no) }],
    ['outcome', 'shape', { outcome: () => no }],
    [
      'entries',
      'shape',
      {
        entries: () => {
          throw no;
        },
      },
    ],
  ])('tell of a refusal by %s, once and by whom', async (_, phase, hooks) => {
    const seen: unknown[] = [];
    const outer = plugin('outer', 'door', {
      exchange: async (_ctx, next) => (await next()).withHeaders([['X-Seen', 'yes']]),
    });
    const gateway = testPlugin(plugin('refusing', phase, hooks, []), {
      beside: [{ plugin: outer }, { plugin: recorder(seen) }],
      upstream: () => ({ tools: [{ name: 'files:read' }] }),
    });
    await gateway.call({ method: 'tools/list' });
    expect(seen).toEqual([{ kind: 'deny', reason: 'not today', by: 'refusing' }, 'refusing']);
  });

  it.each([
    [{ rule: 'no-deletes', more: 1 }, { rule: 'no-deletes' }],
    [{ rule: 'x'.repeat(300) }, { rule: 'x'.repeat(256) }],
    [{ rule: 7 }, {}],
    [['rule'], {}],
    [null, {}],
  ])('tell by which rule a refusal is, where its data say so: %j', async (data, rule) => {
    const ruled = new Refusal('forbidden', 'not today', { data });
    const gateway = testPlugin(plugin('refusing', 'limit', { exchange: () => ruled }, []));
    const { remarks } = await gateway.call({ tool: 'files:read' });
    expect(remarks).toEqual([{ kind: 'deny', ...rule, reason: 'not today', by: 'refusing' }]);
  });

  it('tell of what failed, and of what nobody permits', async () => {
    const failing = plugin('failing', 'limit', {
      exchange: () => {
        throw new Error('broken');
      },
    });
    expect((await testPlugin(failing).call({ tool: 'files:read' })).remarks).toEqual([
      { kind: 'deny', reason: 'plugin failing failed, and nothing passes without it', by: 'failing' },
    ]);
    const silent = plugin('silent', 'decision', { decide: () => undefined });
    expect((await testPlugin(silent).call({ tool: 'files:read' })).remarks).toEqual([
      { kind: 'deny', reason: 'nothing permits tools/call here', by: 'sluice' },
    ]);
  });

  it('are none where nobody says anything, nor of entries that are not shown', async () => {
    const rules = plugin('rules', 'decision', {
      decide: (ctx) => {
        ctx.remark({ kind: 'deny' });
        return no;
      },
    });
    const lists = plugin('lists', 'decision', { decide: () => 'permit' });
    const quiet = await testPlugin(lists).call({ method: 'tools/list' });
    expect(quiet.remarks).toEqual([]);
    const onlyCalls = plugin(
      'only-lists',
      'decision',
      {
        decide: (ctx) => {
          if ((ctx as unknown as { target?: object }).target === undefined) return 'permit';
          return rules.hooks({}, undefined as never).decide?.(ctx);
        },
      },
      ['remark', 'target'],
    );
    const gateway = testPlugin(onlyCalls, { upstream: () => ({ tools: [{ name: 'files:read' }] }) });
    const { remarks, outcome } = await gateway.call({ method: 'tools/list' });
    expect([outcome.result, remarks]).toEqual([{ tools: [] }, []]);
    expect((await gateway.call({ tool: 'files:read' })).remarks).toHaveLength(2);
  });

  it('say who refused a caller before it is known who calls', async () => {
    const seen: unknown[] = [];
    const watcher = plugin(
      'watcher',
      'record',
      {
        admission: async (_, next) => {
          const found = await next();
          seen.push(found instanceof Refusal ? found.by : found);
          return found;
        },
      },
      [],
    );
    const login = plugin('login', 'identity', { identify: () => no }, []);
    const { remarks } = await testPlugin(login, { beside: [{ plugin: watcher }] }).call({});
    expect([seen, remarks]).toEqual([['login'], [{ kind: 'deny', reason: 'not today', by: 'login' }]]);
    const mute = plugin('mute', 'identity', { identify: () => undefined }, []);
    await testPlugin(mute, { beside: [{ plugin: watcher }] }).call({});
    expect(seen).toEqual(['login', 'sluice']);
  });

  it('have limits, and a kind that exists', async () => {
    const many = plugin('many', 'shape', {
      outcome: (ctx, outcome) => {
        for (let count = 0; count < 1_000; count++)
          ctx.remark({ kind: 'flagged', reason: 'x'.repeat(5_000) });
        return outcome;
      },
    });
    const { remarks } = await testPlugin(many).call({ tool: 'files:read' });
    expect([remarks.length, remarks[0]?.reason?.length]).toEqual([64, 1_024]);
    const odd = plugin('odd', 'shape', {
      outcome: (ctx, outcome) => {
        ctx.remark({ kind: 'maybe' as never });
        return outcome;
      },
    });
    const gateway = testPlugin(odd);
    expect((await gateway.call({ tool: 'files:read' })).status).toBe(503);
    expect(gateway.logged[0]?.message).toMatch('"maybe" is no kind of remark; they are allow, deny, ask,');
  });
});
