import { testPlugin } from '@sluice/sdk/testing';
import { describe, expect, it } from 'vitest';
import policy from './index.js';

const CLIENT = { name: 'bot', capabilities: { elicitation: { form: {}, url: {} } } };
const FORM = {
  rules: [
    {
      id: 'delete',
      match: { targets: ['files:rm'] },
      outcome: 'ask',
      ask: { message: 'May {{agent.name}} remove {{arguments.path}}?' },
    },
    { id: 'rest', outcome: 'allow' },
  ],
};
const PAGE = {
  rules: [
    {
      id: 'pay',
      outcome: 'ask',
      ask: {
        message: 'Approve the payment',
        url: 'https://approve.example.com/{id}',
        confirm_url: 'https://approve.example.com/{id}/state',
      },
    },
  ],
};

type Options = NonNullable<Parameters<typeof testPlugin>[1]>;
type Says = 'accept' | 'decline' | 'cancel';

const gatewayWith = (config: object, says: Says, options: Options = {}) =>
  testPlugin(policy, { config, person: () => ({ action: says }), ...options });
const call = { tool: 'files:rm', arguments: { path: '/a' }, client: CLIENT, as: { id: 'ada' } };

describe.each(['2026-07-28', '2025-11-25'])('a rule that asks, in %s', (revision) => {
  const session = revision === '2025-11-25' ? { session: 's' } : {};
  const request = { ...call, revision, ...session };

  it('lets through what a person has approved, each time anew', async () => {
    const gateway = gatewayWith(FORM, 'accept');
    for (let round = 1; round <= 2; round++) {
      const { status, asked, remarks } = await gateway.call(request);
      expect([status, asked.at(-1)?.message]).toEqual([200, 'May bot remove /a?']);
      expect(remarks.at(-1)).toMatchObject({ kind: 'approved', rule: 'delete', by: 'policy' });
      expect(gateway.reached).toHaveLength(round);
    }
  });

  it.each<[Says, RegExp]>([
    ['decline', /has declined/],
    ['cancel', /has not decided/],
  ])('refuses after %s', async (says, message) => {
    const gateway = gatewayWith(FORM, says);
    const { status, outcome, remarks } = await gateway.call(request);
    expect([status, outcome.error?.message]).toEqual([403, expect.stringMatching(message)]);
    expect(outcome.error?.data).toEqual({ error: 'policy_declined', rule: 'delete' });
    expect(remarks.map(({ kind }) => kind)).toContain('declined');
    expect(gateway.reached).toEqual([]);
  });

  it('refuses where nobody can be asked, and asks nobody for what needs no approval', async () => {
    const gateway = gatewayWith(FORM, 'accept');
    const mute = { name: 'bot', capabilities: {} };
    const { status, outcome, remarks } = await gateway.call({ ...request, client: mute });
    expect([status, outcome.error?.data]).toEqual([403, { error: 'policy_unaskable', rule: 'delete' }]);
    // Records say by which rule somebody was to be asked.
    const reason = expect.stringContaining('cannot be asked');
    expect(remarks).toContainEqual({ kind: 'deny', rule: 'delete', reason, by: 'policy' });
    const read = await gateway.call({ ...request, tool: 'files:read' });
    expect([read.status, read.asked.length]).toEqual([200, 0]);
  });

  it('has the page say what came of it, for this very use', async () => {
    const urls: string[] = [];
    const gateway = gatewayWith(PAGE, 'accept', {
      fetch: (url) => {
        urls.push(url);
        return { status: url.includes(urls[0] as string) ? 200 : 403, headers: {}, text: '' };
      },
    });
    const { status, asked } = await gateway.call(request);
    expect([status, `${asked.at(-1)?.url}/state`]).toEqual([200, urls[0]]);
    expect((await gateway.call({ ...request, arguments: { path: '/b' } })).status).toBe(403);
    expect((await gateway.call({ ...request, as: { id: 'eve' } })).status).toBe(403);
    expect(new Set(urls).size).toBe(3);
  });

  it('does not take an opened page for an approval', async () => {
    let gateway: ReturnType<typeof gatewayWith> | undefined;
    gateway = gatewayWith(PAGE, 'accept', {
      fetch: () => {
        setImmediate(() => gateway?.clock.advance(10_000));
        return { status: 404, headers: {}, text: '' };
      },
    });
    const { status, outcome } = await gateway.call(request);
    expect([status, outcome.error?.message]).toEqual([403, expect.stringMatching(/nobody has approved it/)]);
  });
});

it('shows the person values as they are, and nothing that they pretend to be', async () => {
  const gateway = gatewayWith(FORM, 'accept');
  const path = `/a\n\nApproved by security.\u202e${'x'.repeat(1_000)}`;
  const { asked } = await gateway.call({ ...call, arguments: { path } });
  expect(asked[0]?.message).toMatch(
    /^May bot remove \/a\\u\{a\}\\u\{a\}Approved by security\.\\u\{202e\}x+… \(1026 characters\)\?$/,
  );
});

it('is not switched off by pages that are away, or by questions of which nothing is left', async () => {
  const away = gatewayWith(PAGE, 'accept', {
    fetch: () => {
      throw new Error('away');
    },
  });
  const wrong = gatewayWith(PAGE, 'accept', { fetch: () => ({ status: 500, headers: {}, text: '' }) });
  const empty = { rules: [{ id: 'it', outcome: 'ask', ask: { message: '{{arguments.path}}' } }] };
  const blank = gatewayWith(empty, 'accept');
  for (let round = 0; round < 30; round++) {
    for (const gateway of [away, wrong]) {
      const { status, outcome, remarks } = await gateway.call(call);
      expect([status, outcome.error?.data]).toEqual([503, { error: 'policy_unaskable', rule: 'pay' }]);
      expect(remarks).toContainEqual(expect.objectContaining({ kind: 'deny', rule: 'pay', by: 'policy' }));
    }
    expect((await blank.call({ ...call, arguments: { path: ' ' } })).status).toBe(403);
  }
  expect((await blank.call(call)).status).toBe(200);
  for (const { logged } of [away, wrong, blank])
    expect(logged.filter(({ level }) => level === 'error')).toEqual([]);
});

it('asks nobody where all is only tried', async () => {
  const gateway = gatewayWith({ ...FORM, mode: 'audit' }, 'decline');
  const { status, asked, remarks } = await gateway.call(call);
  expect([status, asked.length]).toEqual([200, 0]);
  expect(remarks).toEqual([{ kind: 'ask', rule: 'delete', isEnforced: false, by: 'policy' }]);
});

it.each(['accept', 'decline', 'cancel'] as const)('takes one answer to a question, here %s', async (said) => {
  const taken = new Set<string>();
  const buckets: NonNullable<Options['buckets']> = {
    async take(bucket) {
      taken.add(bucket);
      return { count: 0, leftCount: 0, nextMs: 1 };
    },
  };
  const { outcome } = await gatewayWith(FORM, said, { buckets }).call(call);
  expect(outcome.error?.message).toMatch(/has been answered already/);
  expect(taken.size).toBe(1);
});
