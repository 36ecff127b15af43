import type { JsonObject } from '@sluice/sdk';
import { testPlugin } from '@sluice/sdk/testing';
import { describe, expect, it } from 'vitest';
import policy from './index.js';

/* No spelling, no other method and no detour gets around a rule. */

type Call = Parameters<ReturnType<typeof testPlugin>['call']>[0];
type Kind = 'tool' | 'prompt' | 'resource';

const use = async (config: object, request: Call) =>
  (await testPlugin(policy, { config }).call(request)).status;
const target = (kind: Kind, upstream: string, name: string) => ({ kind, upstream, name });

const NO_RM = {
  default: 'allow',
  rules: [{ id: 'no-rm', when: 'target.name == "rm"', outcome: 'deny' }],
};
const ONLY_RM = { rules: [{ id: 'rm', match: { targets: ['files:rm'] }, outcome: 'allow' }] };

describe('the name of a tool', () => {
  it.each([
    ['percent-encoding', 'r%6d'],
    ['full-width letters', '\uff52\uff4d'],
    ['a zero-width space', 'r\u200bm'],
    ['a soft hyphen', 'r\u00adm'],
    ['NUL behind', 'rm\0'],
    ['a space behind', 'rm '],
    ['encoding that is encoded', 'r%256d'],
    ['a mathematical letter', '\u{1d42b}m'],
  ])('with %s is denied with the plain one, and never allowed by it', async (_, name) => {
    const request = { method: 'tools/call', target: target('tool', 'files', name) };
    expect(await use(ONLY_RM, request)).toBe(403);
    expect(await use(NO_RM, request)).toBe(403);
  });

  it.each(['r\u043c', 'RM', 'rm.', 'files:rm', '__proto__', 'constructor'])(
    'is not taken for another one that it looks like: %j',
    async (name) => {
      const request = { method: 'tools/call', target: target('tool', 'files', name) };
      expect(await use(ONLY_RM, request)).toBe(403);
    },
  );

  it('of an upstream cannot look like a tool of another', async () => {
    const rules = [{ id: 'it', when: '!("crm:export" in session.tools)', outcome: 'allow' }];
    const gateway = testPlugin(policy, { config: { rules } });
    const call = async (upstream: string, name: string) =>
      (await gateway.call({ method: 'tools/call', target: target('tool', upstream, name) })).status;
    expect(await call('files', 'crm:export')).toBe(200);
    expect(await call('files', 'a')).toBe(200);
    expect(await call('crm', 'export')).toBe(200);
    expect(await call('files', 'a')).toBe(403);
  });
});

describe('a resource', () => {
  const noEtc = {
    default: 'allow',
    rules: [{ id: 'no-etc', match: { targets: ['files:file:///etc/*'] }, outcome: 'deny' }],
  };

  it.each([
    'file:///etc/passwd',
    'file:///%65tc/passwd',
    'file:///a/../etc/passwd',
    'file:///a/%2e%2e/etc/passwd',
    'file:///a/..%2fetc/passwd',
    'file:////etc//passwd',
    'FILE:///etc/passwd',
  ])('is decided as it may be read: %s', async (name) => {
    for (const method of ['resources/read', 'resources/subscribe', 'completion/complete'])
      expect([method, await use(noEtc, { method, target: target('resource', 'files', name) })]).toEqual([
        method,
        403,
      ]);
  });

  it('that climbs out of what is allowed is not allowed, wherever a server lets it begin', async () => {
    const rules = [{ id: 'notes', match: { targets: ['notes:note://public/*'] }, outcome: 'allow' }];
    const read = (name: string) =>
      use({ rules }, { method: 'resources/read', target: target('resource', 'notes', name) });
    for (const name of [
      'note://public/a',
      'note://public/b/../a',
      'note://public/a%20b',
      'note://public/a..b',
    ])
      expect([name, await read(name)]).toEqual([name, 200]);
    for (const name of [
      'note://public/../secret/a',
      'note://public/%2e%2e/secret/a',
      'note://public/%252e%252e/secret/a',
      'note://public/a/../../secret/a',
      'note://public\\..\\secret/a',
      'note://secret/a',
      'note:///public/a',
    ])
      expect([name, await read(name)]).toEqual([name, 403]);
  });

  it('is what a template may become', async () => {
    const templates = ['file:///{path}', 'file:///etc/{path}', 'crm://{id}'];
    const config = {
      rules: [
        { id: 'no', when: 'target.name.startsWith("file:///etc/")', outcome: 'deny' },
        { id: 'yes', match: { targets: ['files:file:///*'] }, outcome: 'allow' },
      ],
    };
    const gateway = testPlugin(policy, {
      config,
      upstream: () => ({ resourceTemplates: templates.map((uriTemplate) => ({ uriTemplate })) }),
    });
    const { outcome } = await gateway.call({ method: 'resources/templates/list' });
    // The harness finds the upstream of an entry before its first colon.
    expect(outcome.result).toEqual({ resourceTemplates: [] });
    const complete = (upstream: string, name: string) =>
      use(config, { method: 'completion/complete', target: target('resource', upstream, name) });
    expect(await complete('files', 'file:///{path}')).toBe(200);
    expect(await complete('crm', 'crm://{id}')).toBe(403);
  });
});

describe('a detour', () => {
  const noPrompt = {
    default: 'allow',
    rules: [{ id: 'no', match: { targets: ['crm:secret'] }, outcome: 'deny' }],
  };

  it('by completion is decided by what is completed', async () => {
    const request = { method: 'completion/complete', target: target('prompt', 'crm', 'secret') };
    expect(await use(noPrompt, request)).toBe(403);
    expect(await use(noPrompt, { ...request, target: target('prompt', 'crm', 'open') })).toBe(200);
    const byMethod = {
      default: 'allow',
      rules: [{ id: 'no', match: { methods: ['prompts/get'] }, outcome: 'deny' }],
    };
    expect(await use(byMethod, request)).toBe(403);
    const byArgument = {
      rules: [{ id: 'yes', when: 'arguments.a == 1', match: { targets: ['crm:*'] }, outcome: 'allow' }],
    };
    expect(await use(byArgument, request)).toBe(200);
  });

  it('by a task is decided by the tool that began it', async () => {
    const tool = target('tool', 'crm', 'secret');
    for (const method of ['tasks/get', 'tasks/result', 'tasks/cancel'])
      expect(await use(noPrompt, { method, target: tool })).toBe(403);
    expect(await use(noPrompt, { method: 'tasks/get', target: { ...tool, name: 'open' } })).toBe(200);
  });

  it('by a method that nobody knows needs a rule that names it', async () => {
    const config = (methods?: string[]) => ({
      rules: [{ id: 'it', outcome: 'allow', ...(methods && { match: { methods } }) }],
    });
    for (const method of ['vendor/run', 'Tools/Call', 'constructor', '__proto__', 'tools/call '])
      expect(await use(config(), { method })).toBe(403);
    for (const method of ['vendor/run', 'constructor', '__proto__'])
      expect(await use(config([method]), { method })).toBe(200);
  });

  it('by a name that nobody has tells no more than a denied one', async () => {
    const said = async (config: object, request: Call) =>
      (await testPlugin(policy, { config }).call(request)).outcome.error;
    const unknown = await said(ONLY_RM, { method: 'tools/call', params: { name: 'files:nothing' } });
    expect(unknown).toEqual(await said(ONLY_RM, { tool: 'files:secret' }));
  });

  it('leaves what belongs to the protocol alone, unless a rule names it', async () => {
    const strict = { rules: [{ id: 'no', outcome: 'deny' }] };
    for (const method of ['initialize', 'ping', 'tools/list', 'server/discover'])
      expect(await use(strict, { method })).toBe(200);
    const named = { rules: [{ id: 'no', match: { methods: ['tools/list'] }, outcome: 'deny' }] };
    expect(await use(named, { method: 'tools/list' })).toBe(403);
  });
});

describe('arguments', () => {
  const admin = { rules: [{ id: 'it', when: 'arguments.admin == true', outcome: 'allow' }] };
  const byKey = { rules: [{ id: 'it', when: 'arguments[arguments.k] == true', outcome: 'allow' }] };
  const parsed = (json: string) => JSON.parse(json) as JsonObject;

  it.each([
    '{"__proto__": {"admin": true}}',
    '{"constructor": {"prototype": {"admin": true}}}',
    '{"Admin": true}',
    '{"admin": "true"}',
    '{"admin": 1}',
    '{"admin": [true]}',
    '{"\\u0430dmin": true}',
  ])('%s are not admin', async (json) => {
    const paramsJson = `{"name":"files:x","arguments":${json}}`;
    expect(await use(admin, { tool: 'files:x', paramsJson })).toBe(403);
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
  });

  it.each(['__proto__', 'constructor', 'toString'])('have no %s that nobody passed', async (k) => {
    expect(await use(byKey, { tool: 'files:x', arguments: { k } })).toBe(403);
  });

  it('of a tool that names other tools can be held against what is denied', async () => {
    const config = {
      default: 'allow',
      rules: [
        {
          id: 'no-detour',
          match: { targets: ['meta:*'] },
          when: 'arguments.tool == "rm" || arguments.calls.exists(c, c.tool == "rm")',
          outcome: 'deny',
        },
      ],
    };
    const run = (args: JsonObject) => use(config, { tool: 'meta:invoke', arguments: args });
    expect(await run({ tool: 'rm', calls: [] })).toBe(403);
    expect(await run({ tool: 'ls', calls: [{ tool: 'ls' }, { tool: 'rm' }] })).toBe(403);
    expect(await run({ tool: 'ls', calls: [{ tool: 'ls' }] })).toBe(200);
    expect(await run({})).toBe(403);
    expect(await run(parsed('{"tool": {"rm": 1}, "calls": 3}'))).toBe(403);
  });
});

it('a request whose target was copied on the way to another process is decided by its arguments all the same', () => {
  const rules = [{ id: 'it', when: 'arguments.path.mayBeBelow("/etc")', outcome: 'deny' }];
  const { route } = testPlugin(policy, { config: { default: 'allow', rules } });
  const hooks = route.bindings.find(({ name }) => name === 'policy')?.hooks;
  const decided = (path: string, targets: readonly object[]) =>
    hooks?.decide?.({
      method: 'tools/call',
      target: target('tool', 'files', 'x'),
      targets,
      arguments: { path },
      remark: () => undefined,
    });
  expect(decided('/tmp', [target('tool', 'files', 'x')])).toBe('permit');
  expect(decided('/etc', [target('tool', 'files', 'x')])).toMatchObject({ kind: 'forbidden' });
  // An entry of a list, for which no arguments have been passed.
  expect(decided('/etc', [])).toBe('permit');
});

describe('a condition that cannot be computed', () => {
  const when = 'arguments.path.startsWith("/tmp")';
  it('never lets through', async () => {
    const rule = (outcome: string) => ({ default: 'allow', rules: [{ id: 'it', when, outcome }] });
    expect(await use(rule('deny'), { tool: 'files:x' })).toBe(403);
    expect(await use(rule('ask'), { tool: 'files:x' }).catch(() => 403)).toBe(403);
    expect(await use({ rules: [{ id: 'it', when, outcome: 'allow' }] }, { tool: 'files:x' })).toBe(403);
  });

  it('does not switch the policy off, however often', async () => {
    const gateway = testPlugin(policy, { config: { rules: [{ id: 'it', when, outcome: 'deny' }] } });
    for (let index = 0; index < 200; index++) await gateway.call({ tool: 'files:x' });
    expect(gateway.logged.filter(({ message }) => message.includes('switched off'))).toEqual([]);
  });
});

describe('long texts', () => {
  const config = {
    default: 'allow',
    rules: [{ id: 'it', when: 'arguments.text.matches("(a+)+secret$")', outcome: 'deny' }],
  };

  it('are matched, wherever that is done', async () => {
    const text = `${'a'.repeat(300_000)}secret`;
    expect(await use(config, { tool: 'files:x', arguments: { text } })).toBe(403);
    expect(await use(config, { tool: 'files:x', arguments: { text: `${text}!` } })).toBe(200);
  });

  it('are matched once for all rules, however many there are', async () => {
    const rule = (index: number) => ({
      id: `r${index}`,
      when: `arguments.text.matches("nothing-${index}$")`,
      outcome: 'deny',
      ...(index % 2 === 0 && { mode: 'audit' }),
    });
    const rules = Array.from({ length: 100 }, (_, index) => rule(index));
    const gateway = testPlugin(policy, { config: { default: 'allow', rules } });
    const called = async (text: string) => {
      const { status, remarks } = await gateway.call({ tool: 'files:x', arguments: { text } });
      return [status, ...remarks.flatMap(({ rule: id, isEnforced }) => (isEnforced === false ? [id] : []))];
    };
    for (const length of [10_000, 100_000]) {
      const text = 'a'.repeat(length);
      expect(await called(text)).toEqual([200]);
      expect(await called(`${text}nothing-99`)).toEqual([403]);
      expect(await called(`${text}nothing-42`)).toEqual([200, 'r42']);
    }
  });

  it('that are too many are refused', async () => {
    const texts = Array.from({ length: 70 }, (_, index) => `${index}${'a'.repeat(17_000)}`);
    const each = {
      default: 'allow',
      rules: [{ id: 'it', when: 'arguments.texts.exists(t, t.matches("secret"))', outcome: 'deny' }],
    };
    expect(await use(each, { tool: 'files:x', arguments: { texts } })).toBe(403);
  });
});
