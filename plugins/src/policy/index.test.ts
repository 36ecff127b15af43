import { configProblems, testPlugin } from '@sluice/sdk/testing';
import { describe, expect, it } from 'vitest';
import policy from './index.js';

type Call = Parameters<ReturnType<typeof testPlugin>['call']>[0];
type Rule = Record<string, unknown>;

const gatewayWith = (config: object, options: object = {}) => testPlugin(policy, { config, ...options });
const withRules = (...rules: Rule[]) => gatewayWith({ rules });
const statusOf = async (config: object, request: Call) => (await gatewayWith(config).call(request)).status;

const ALLOW = { id: 'all', outcome: 'allow' };
const deny = (when: string, more: Rule = {}): Rule => ({ id: 'no', when, outcome: 'deny', ...more });
const allow = (when: string, more: Rule = {}): Rule => ({ id: 'yes', when, outcome: 'allow', ...more });

describe('policy', () => {
  it('refuses what no rule allows, and says so', async () => {
    const { status, outcome } = await withRules().call({ tool: 'files:read' });
    expect([status, outcome.error]).toEqual([
      403,
      {
        code: -31007,
        message: 'the policy does not allow this tools/call',
        data: { error: 'policy_denied', rule: 'default' },
      },
    ]);
    expect(await statusOf({ default: 'allow' }, { tool: 'files:read' })).toBe(200);
  });

  it('lets the first rule decide that holds', async () => {
    const rules = [deny('target.name == "a"'), allow('target.name in ["a", "b"]')];
    expect(await statusOf({ rules }, { tool: 'files:a' })).toBe(403);
    expect(await statusOf({ rules }, { tool: 'files:b' })).toBe(200);
    expect(await statusOf({ rules }, { tool: 'files:c' })).toBe(403);
    expect(await statusOf({ rules: rules.toReversed() }, { tool: 'files:a' })).toBe(200);
  });

  it.each<[string, string, Call]>([
    ['the method', 'method == "tools/call"', {}],
    ['the kind', 'target.kind == "tool"', {}],
    ['the upstream', 'target.upstream == "files"', {}],
    ['an argument', 'arguments.path == "/a"', { arguments: { path: '/a' } }],
    ['the principal', 'principal.id == "ada"', { as: { id: 'ada' } }],
    ['a scope', '"read" in principal.scopes', { as: { scopes: ['read'] } }],
    ['a claim', 'principal.claims.team == "x"', { as: { claims: { team: 'x' } } }],
    ['the tenant', 'principal.tenant == "north"', { as: { tenant: 'north' } }],
    ['a header', 'headers["x-zone"] == "a"', { headers: { 'x-zone': 'a' } }],
    ['the agent', 'agent.name == "bot" && agent.version == "1"', { client: { name: 'bot', version: '1' } }],
    ['what it can do', '"sampling" in agent.capabilities', { client: { capabilities: { sampling: {} } } }],
    ['the time', 'now.within("Tue 22:00-24:00", "UTC")', {}],
    ['the counters', 'session.count == 0 && session.rules.yes == 0 && session.tools == []', {}],
  ])('knows %s', async (_, when, request) => {
    expect(await statusOf({ rules: [allow(when)] }, { tool: 'files:read', ...request })).toBe(200);
    expect(await statusOf({ rules: [allow(`!(${when})`)] }, { tool: 'files:read', ...request })).toBe(403);
  });

  it('says why', async () => {
    const gateway = withRules(deny('true', { reason: '{{target.name}} is not for {{principal.id}}' }));
    const { outcome } = await gateway.call({ tool: 'files:rm', as: { id: 'ada' } });
    expect(outcome.error).toMatchObject({ message: 'rm is not for ada', data: { rule: 'no' } });
  });

  it('shows in lists what may be called', async () => {
    const tools = ['files:read', 'files:write', 'files:rm', 'crm:read'].map((name) => ({ name }));
    const rules = [
      deny('target.name == "rm"'),
      allow('target.upstream == "files" && (target.name == "read" || arguments.path.isBelow("/tmp"))'),
    ];
    const gateway = gatewayWith({ rules }, { upstream: () => ({ tools }) });
    const { outcome } = await gateway.call({ method: 'tools/list' });
    expect(outcome.result).toEqual({ tools: [{ name: 'files:read' }, { name: 'files:write' }] });
  });

  it('counts what was used in a session', async () => {
    const gateway = gatewayWith({ rules: [allow('session.count < 3')] });
    const statuses = async (session?: string) => {
      const all = await Promise.all(
        Array.from({ length: 6 }, () => gateway.call({ tool: 'files:read', ...(session && { session }) })),
      );
      return all.map(({ status }) => status).filter((status) => status === 200).length;
    };
    const one = async (session: string) => (await gateway.call({ tool: 'files:read', session })).status;
    expect(await one('a')).toBe(200);
    expect(await one('a')).toBe(200);
    expect(await one('a')).toBe(200);
    expect(await one('a')).toBe(403);
    expect(await one('b')).toBe(200);
    expect(await statuses()).toBeLessThanOrEqual(3);
  });

  it('counts what a principal used in all sessions', async () => {
    const gateway = gatewayWith({ rules: [allow('session.count < 2')], session: { by: 'principal' } });
    const status = async (session: string, name: string) =>
      (await gateway.call({ tool: 'files:read', session, client: { name }, as: { id: 'ada' } })).status;
    expect([await status('a', 'x'), await status('b', 'y'), await status('c', 'z')]).toEqual([200, 200, 403]);
  });

  it('does not count anew for each name of a client that a caller makes up', async () => {
    const gateway = gatewayWith({ rules: [allow('session.count < 1')] });
    let passed = 0;
    for (let index = 0; index < 600; index++) {
      const { status } = await gateway.call({ tool: 'files:read', client: { name: `client ${index}` } });
      if (status === 200) passed++;
    }
    expect(passed).toBeLessThanOrEqual(256);
  });

  it('forgets a session that has ended', async () => {
    const gateway = gatewayWith({ rules: [allow('session.count < 1')] });
    const status = async () => (await gateway.call({ tool: 'files:read', session: 'a' })).status;
    expect([await status(), await status()]).toEqual([200, 403]);
    gateway.route.sessionEnd('a');
    await new Promise((resolve) => setImmediate(resolve));
    expect(await status()).toBe(200);
  });

  it.each<[object, string]>([
    [{ rules: [{ id: 'a', outcome: 'maybe' }] }, 'rules[0].outcome'],
    [{ rules: [{ id: 'A', outcome: 'deny' }] }, 'rules[0].id'],
    [{ rules: [{ id: 'default', outcome: 'deny' }] }, 'rules[0].id'],
    [{ rules: [ALLOW, ALLOW] }, 'rules[1].id'],
    [{ rules: [deny('target.name ==')] }, 'rules[0].when'],
    [{ rules: [deny('"a"')] }, 'rules[0].when'],
    [{ rules: [deny('nobody.name == "a"')] }, 'rules[0].when'],
    [{ rules: [deny('true', { reason: '{{x' })] }, 'rules[0].reason'],
    [{ rules: [deny('true', { match: { targets: ['files'] } })] }, 'rules[0].match.targets[0]'],
    [{ rules: [deny('true', { match: { methods: ['('] } })] }, 'rules[0].match.methods[0]'],
    [
      { rules: [deny('true', { match: { methods: ['tools/call', 'tool/call'] } })] },
      'rules[0].match.methods[1]',
    ],
    [{ rules: [deny('true', { match: { methods: ['Tools/list'] } })] }, 'rules[0].match.methods[0]'],
    [{ rules: [{ id: 'a', outcome: 'ask' }] }, 'rules[0].ask'],
    [{ rules: [deny('true', { ask: { message: 'x' } })] }, 'rules[0].ask'],
    [{ rules: [deny('now.within("always", "UTC")')] }, 'rules[0].when'],
    [{ rules: [deny('now.within("Mon 09:00-10:00", "Mars/Base")')] }, 'rules[0].when'],
    [
      { rules: [{ id: 'a', outcome: 'ask', ask: { message: 'x', url: 'https://a/{id}' } }] },
      'rules[0].ask.confirm_url',
    ],
    [
      { rules: [{ id: 'a', outcome: 'ask', ask: { message: 'x', schema: { a: 1 } } }] },
      'rules[0].ask.schema',
    ],
    [{ rules: [{ id: 'a', outcome: 'ask', ask: { message: '{{now}}' } }] }, 'rules[0].ask.message'],
    [
      { rules: [{ id: 'a', outcome: 'ask', ask: { message: '{{session.count}}?' } }] },
      'rules[0].ask.message',
    ],
    [{ rules: [deny('session.countt > 1')] }, 'rules[0].when'],
    [{ rules: [deny('session.rules.other > 1')] }, 'rules[0].when'],
    [{ rules: [deny('target.nam == "a"')] }, 'rules[0].when'],
    [{ rules: [deny('agent["nme"] == "a"')] }, 'rules[0].when'],
    [{ rules: [deny('true', { reason: '{{target.nam}}' })] }, 'rules[0].reason'],
    [{ agent: { source: 'header' } }, 'agent.keys'],
    [{ agent: { source: 'header', keys: [{ secret: 'short' }] } }, 'agent.keys[0]'],
    [{ session: { window: '1ms' } }, 'session.window'],
    [{ session: { by: 'principal' } }, 'session'],
    [{ mode: 'try' }, 'mode'],
    [{ rule: [] }, 'rule'],
  ])('refuses the configuration %j', (config, path) => {
    expect(configProblems(policy, config).map((problem) => problem.path)).toContain(path);
  });

  it('says where an expression is wrong', () => {
    const [problem] = configProblems(policy, {
      rules: [deny('target.name == "a" &&\n  target.kind = "tool"')],
    });
    expect(problem?.message).toBe('is no expression: unexpected character: =, at line 2, character 15');
  });
});
