import { configProblems, testPlugin } from '@sluice/sdk/testing';
import { describe, expect, it } from 'vitest';
import authorize from './index.js';

const CONFIG = {
  claims: ['groups', 'roles'],
  mappings: { 'groups:Developers': ['scope:dev'], 'roles:Admin': ['scope:admin', 'scope:dev'] },
  permissions: { 'n8n:*': ['scope:dev'], 'admin:user_management': ['scope:admin'] },
};

const DEVELOPER = { id: 'test:dev', claims: { groups: ['Staff', 'Developers'] } };
const ADMIN = { id: 'test:admin', claims: { roles: 'Admin' } };
const NOBODY = { id: 'test:nobody', claims: { groups: ['Staff'] } };

type Call = Parameters<ReturnType<typeof testPlugin>['call']>[0];

function gatewayWith(config: object) {
  return testPlugin(authorize, { config });
}

async function statusOf(config: object, request: Call) {
  return (await gatewayWith(config).call(request)).status;
}

function resource(upstream: string, name: string): Call {
  return {
    method: 'resources/read',
    target: { kind: 'resource', upstream, name },
    as: { scopes: ['dev'] },
  };
}

describe('authorize', () => {
  it.each([
    ['a developer', DEVELOPER, 'n8n:run', 200],
    ['a developer', DEVELOPER, 'admin:user_management', 403],
    ['an admin', ADMIN, 'n8n:run', 200],
    ['an admin', ADMIN, 'admin:user_management', 200],
    ['an admin', ADMIN, 'admin:something_else', 403],
    ['nobody', NOBODY, 'n8n:run', 403],
    ['a caller with the scope itself', { id: 'test:a', scopes: ['scope:dev'] }, 'n8n:run', 200],
  ])('answers %s who calls %3$s with %4$i', async (_, as, tool, status) => {
    expect(await statusOf(CONFIG, { tool, as })).toBe(status);
  });

  it('says at once every scope that would do', async () => {
    const config = { permissions: { 'n8n:*': ['a', 'b'], '*:delete': ['c'] }, scope_mode: 'all' };
    const gateway = gatewayWith(config);
    const { status, headers, outcome } = await gateway.call({ tool: 'n8n:delete', as: { scopes: ['a'] } });
    expect(status).toBe(403);
    expect(headers['www-authenticate']).toBe('Bearer error="insufficient_scope", scope="a b c"');
    expect(outcome.error).toMatchObject({
      message: 'this tools/call needs a and b; and c',
      data: { error: 'insufficient_scope', scope: 'a b c', scope_mode: 'all' },
    });
    expect(gateway.reached).toEqual([]);
    expect(await statusOf(config, { tool: 'n8n:delete', as: { scopes: ['a', 'b', 'c'] } })).toBe(200);
  });

  it('asks for no scope where none would do', async () => {
    const { status, headers, outcome } = await gatewayWith(CONFIG).call({ tool: 'other:run', as: ADMIN });
    expect(status).toBe(403);
    expect(headers).toEqual({});
    expect(outcome.error?.message).toBe('nothing permits this tools/call');
  });

  it.each([
    ['any', ['b'], 200],
    ['any', ['c'], 403],
    ['all', ['b'], 403],
    ['all', ['b', 'a'], 200],
  ])('with scope_mode %s and the scopes %j answers %i', async (scope_mode, scopes, status) => {
    const config = { permissions: { 'n8n:*': ['a', 'b'] }, scope_mode };
    expect(await statusOf(config, { tool: 'n8n:run', as: { scopes } })).toBe(status);
  });

  it.each(['any', 'all'])('permits everybody what needs no scope (%s)', async (scope_mode) => {
    const config = { permissions: { 'n8n:*': [] }, scope_mode };
    expect(await statusOf(config, { tool: 'n8n:run' })).toBe(200);
  });

  it('lets a pattern that covers less override one that covers more, in whatever order they stand', async () => {
    for (const patterns of [
      ['*:*', 'n8n:*', 'n8n:delete_*', 'n8n:delete_all'],
      ['n8n:delete_all', 'n8n:delete_*', 'n8n:*', '*:*'],
    ]) {
      const permissions = Object.fromEntries(patterns.map((pattern) => [pattern, [pattern.slice(-2)]]));
      const needed = async (tool: string) => {
        const { outcome } = await gatewayWith({ permissions }).call({ tool });
        return outcome.error?.data;
      };
      expect(await needed('n8n:delete_all')).toMatchObject({ scope: 'll' });
      expect(await needed('n8n:delete_one')).toMatchObject({ scope: '_*' });
      expect(await needed('n8n:run')).toMatchObject({ scope: ':*' });
      expect(await needed('x:run')).toMatchObject({ scope: ':*' });
    }
  });

  it('takes patterns of which neither covers the other together', async () => {
    const config = { permissions: { 'n8n:*': ['dev'], '*:delete': ['admin'] } };
    const status = (...scopes: string[]) => statusOf(config, { tool: 'n8n:delete', as: { scopes } });
    expect(await Promise.all([status('dev'), status('admin'), status('dev', 'admin')])).toEqual([
      403, 403, 200,
    ]);
  });

  it('tells tools, prompts and resources of one name apart', async () => {
    const config = {
      permissions: { 'n8n:*': ['all'] },
      tools: { 'n8n:*': ['tools'] },
      prompts: { 'n8n:x': [] },
    };
    const status = (method: string, kind: 'tool' | 'prompt' | 'resource', ...scopes: string[]) =>
      statusOf(config, { method, target: { kind, upstream: 'n8n', name: 'x' }, as: { scopes } });
    expect(await status('tools/call', 'tool', 'all')).toBe(403);
    expect(await status('tools/call', 'tool', 'tools')).toBe(200);
    expect(await status('prompts/get', 'prompt')).toBe(200);
    expect(await status('resources/read', 'resource')).toBe(403);
    expect(await status('resources/read', 'resource', 'all')).toBe(200);
  });

  it('lets what is said of tools alone override the same pattern, and no narrower one', async () => {
    const config = {
      permissions: { 'n8n:*': ['all'], 'n8n:delete_*': ['admin'] },
      tools: { 'n8n:*': ['tools'], '*:*': ['any'] },
    };
    const status = (tool: string, ...scopes: string[]) => statusOf(config, { tool, as: { scopes } });
    expect(await status('n8n:run', 'tools')).toBe(200);
    expect(await status('n8n:run', 'all', 'any')).toBe(403);
    expect(await status('n8n:delete_x', 'admin')).toBe(200);
    expect(await status('n8n:delete_x', 'tools', 'any', 'all')).toBe(403);
    expect(await status('x:run', 'any')).toBe(200);
  });

  it.each([
    ['initialize', 200],
    ['ping', 200],
    ['server/discover', 200],
    ['tools/list', 200],
    ['subscriptions/listen', 200],
    ['completion/complete', 403],
    ['tools/call', 403],
    ['resources/read', 403],
    ['tasks/cancel', 403],
    ['Ping', 403],
    ['constructor', 403],
  ])('answers %s without a target with %i', async (method, status) => {
    expect(await statusOf({ permissions: { 'n8n:*': [] } }, { method })).toBe(status);
  });

  it('does not say whether a name is unknown, but to those who may use every name', async () => {
    const gateway = gatewayWith(CONFIG);
    const said = async (tool: string | undefined) =>
      (await gateway.call({ method: 'tools/call', ...(tool && { tool }), as: ADMIN })).outcome.error;
    expect(await said(undefined)).toEqual(await said('other:run'));
    const config = { permissions: { '*:*': ['all'], 'n8n:*': ['dev'] }, resources: { '*:*': ['res'] } };
    const status = (method: string, ...scopes: string[]) => statusOf(config, { method, as: { scopes } });
    expect(await status('tools/call', 'all')).toBe(200);
    expect(await status('tools/call', 'dev')).toBe(403);
    expect(await status('completion/complete', 'all')).toBe(403);
    expect(await status('completion/complete', 'all', 'res')).toBe(200);
  });

  it('permits methods of extensions that are named', async () => {
    const config = { methods: { 'tasks/get': ['dev'], 'x/y': [] } };
    expect(await statusOf(config, { method: 'tasks/get' })).toBe(403);
    expect(await statusOf(config, { method: 'tasks/get', as: { scopes: ['dev'] } })).toBe(200);
    expect(await statusOf(config, { method: 'x/y' })).toBe(200);
  });

  it.each([
    ['another case', 'Run'],
    ['a Cyrillic letter', 'r\u0443n'],
    ['full-width letters', '\uff52un'],
    ['a combining mark', 'run\u0301'],
    ['a zero-width space', 'ru\u200bn'],
    ['percent-encoding', 'r%75n'],
    ['a space behind', 'run '],
    ['a dot behind', 'run.'],
    ['NUL behind', 'run\0'],
    ['a NUL and more', 'run\0_admin'],
    ['another upstream in front', 'n8n:run'],
    ['__proto__', '__proto__'],
    ['constructor', 'constructor'],
  ])('does not take %s for a name that is permitted', async (_, name) => {
    const target = { kind: 'tool' as const, upstream: 'n8n', name };
    expect(await statusOf({ permissions: { 'n8n:run': [] } }, { method: 'tools/call', target })).toBe(403);
  });

  it.each(['N8N', 'n8n ', 'n8n\0', '', 'n8', '__proto__'])(
    'does not take %j for an upstream that is permitted',
    async (upstream) => {
      const target = { kind: 'tool' as const, upstream, name: 'run' };
      expect(await statusOf({ permissions: { 'n8n:*': [] } }, { method: 'tools/call', target })).toBe(403);
    },
  );

  it('permits a tool and a scope that are called __proto__ when they are meant', async () => {
    const config = { permissions: { 'n8n:__proto__': ['__proto__'], '__proto__:*': ['constructor'] } };
    const status = (tool: string, ...scopes: string[]) => statusOf(config, { tool, as: { scopes } });
    expect(await status('n8n:__proto__')).toBe(403);
    expect(await status('n8n:__proto__', '__proto__')).toBe(200);
    expect(await status('__proto__:x')).toBe(403);
    expect(await status('__proto__:x', 'constructor')).toBe(200);
  });

  it.each([
    ['what an object inherits', { 'constructor:Object': ['a'] }, {}],
    ['an object', { 'groups:[object Object]': ['a'] }, { groups: {} }],
    ['a part of a value', { 'groups:Admin': ['a'] }, { groups: 'Administrators' }],
    ['another case', { 'groups:Admin': ['a'] }, { groups: ['admin'] }],
    ['a list in a list', { 'groups:Admin': ['a'] }, { groups: [['Admin']] }],
    ['the length of a list', { 'groups.length:1': ['a'] }, { groups: ['Admin'] }],
    ['null', { 'groups:null': ['a'] }, { groups: null }],
    ['a claim of another name', { 'groups:Admin': ['a'] }, { roles: 'Admin' }],
    ['a prototype that was sent', { 'groups:Admin': ['a'] }, JSON.parse('{"__proto__":{"groups":"Admin"}}')],
  ])('maps no scopes to %s', async (_, mappings, claims) => {
    const config = { mappings, permissions: { '*:*': ['a'] } };
    expect(await statusOf(config, { tool: 'n8n:run', as: { claims } })).toBe(403);
  });

  it.each([
    ['a text', { 'groups:Admin': ['a'] }, { groups: 'Admin' }],
    ['one of a list', { 'groups:Admin': ['a'] }, { groups: ['x', 'Admin'] }],
    ['a number', { 'level:3': ['a'] }, { level: 3 }],
    ['a truth', { 'email_verified:true': ['a'] }, { email_verified: true }],
    ['a value with a colon', { 'groups:team:a': ['a'] }, { groups: ['team:a'] }],
    ['what stands in an object', { 'realm_access.roles:x': ['a'] }, { realm_access: { roles: ['x'] } }],
    ['a name with a dot', { 'a.b:x': ['a'] }, { 'a.b': 'x' }],
    [
      'a name that is a URL',
      { 'https://example.com/roles:x': ['a'] },
      { 'https://example.com/roles': ['x'] },
      ['https://example.com/roles'],
    ],
    ['the longer of two names', { 'a:b:x': ['a'] }, { 'a:b': 'x', a: 'y' }, ['a', 'a:b']],
  ])('maps scopes to %s', async (_, mappings, claims, named: string[] = []) => {
    const config = { claims: named, mappings, permissions: { '*:*': ['a'] } };
    expect(await statusOf(config, { tool: 'n8n:run', as: { claims: claims as object } as never })).toBe(200);
  });

  it('does not take the claims of one caller for those of another with the same list of scopes', async () => {
    const gateway = gatewayWith(CONFIG);
    const scopes: string[] = [];
    const status = async (as: object) =>
      (await gateway.call({ tool: 'n8n:run', as: { ...as, scopes } })).status;
    const statuses = [await status(DEVELOPER), await status(NOBODY), await status({}), await status(ADMIN)];
    expect(statuses).toEqual([200, 403, 403, 200]);
  });

  it('looks at every target of a request, and says at once what all of them need', async () => {
    const call = {
      arrival: {},
      method: 'subscriptions/listen',
      params: {},
    };
    const targets = ['file:///a', 'file:///b', 'file:///c'].map((name) => ({
      kind: 'resource' as const,
      upstream: 'files',
      name,
    }));
    const gateway = gatewayWith({
      resources: { 'files:file:///a': [], 'files:file:///b': ['b'], 'files:file:///c': ['c'] },
    });
    const [binding] = gateway.route.bindings.filter(({ name }) => name === 'authorize');
    const said = binding?.decide()?.({ call: { ...call, targets }, identity: { scopes: [] } } as never);
    expect(said).toMatchObject({ details: { data: { scope: 'b c' } } });
  });

  it('forgets nothing when more names are asked for than it remembers', async () => {
    const gateway = gatewayWith({ permissions: { 'n8n:tool_*': [], 'n8n:*_9': ['x'] } });
    const statuses = new Set<number>();
    for (let index = 0; index < 10_000; index += 10)
      statuses.add((await gateway.call({ tool: `n8n:tool_${index}` })).status);
    expect([...statuses]).toEqual([200]);
    expect((await gateway.call({ tool: 'n8n:tool_9' })).status).toBe(403);
    expect((await gateway.call({ tool: `n8n:tool_${'x'.repeat(10_000)}` })).status).toBe(200);
  });

  it('is not overcome by a URI that is written in another way', async () => {
    const config = {
      resources: { 'files:file:///public/*': ['dev'], 'files:file:///public/keys/*': ['admin'] },
    };
    const status = (uri: string) => statusOf(config, resource('files', uri));
    expect(await status('file:///public/a')).toBe(200);
    for (const uri of [
      'file:///secret',
      'file:///public/keys/a',
      'file:///public/../secret',
      'file:///public/%2e%2e/secret',
      'file:///public/%2E./secret',
      'file:///public/..%2fsecret',
      'file:///public/..\\secret',
      'file:///public/x%5c..%5C..\\secret',
      'file:///public/./keys/a',
      'file:///public//keys/a',
      'file:///public/%6beys/a',
      'file:///public/x/../keys/a',
      'FILE:///public/a',
    ])
      expect([uri, await status(uri)]).toEqual([uri, 403]);
    for (const uri of [
      'file:///public/x/../a',
      'file:///public/a%20b',
      'file:///public/a.b/..c',
      'file:///public/?a=..',
    ])
      expect([uri, await status(uri)]).toEqual([uri, 200]);
  });

  it('does not mind how a URI is written where one permission has all of them', async () => {
    const config = { resources: { 'files:*': ['dev'] } };
    for (const uri of ['file:///a/../b', 'x://A/%2e', 'no uri', '', '%', '../..'])
      expect([uri, await statusOf(config, resource('files', uri))]).toEqual([uri, 200]);
    const encoded = { resources: { 'files:file:///a%20b/*': ['dev'] } };
    expect(await statusOf(encoded, resource('files', 'file:///a%20b/c'))).toBe(200);
  });

  it('shows in lists what the caller may use', async () => {
    const tools = ['n8n:run', 'admin:user_management', 'other:x', 'unknown'].map((name) => ({ name }));
    const gateway = testPlugin(authorize, { config: CONFIG, upstream: () => ({ tools }) });
    const shown = async (as: object) => {
      const { outcome } = await gateway.call({ method: 'tools/list', as });
      return (outcome.result as { tools: { name: string }[] }).tools.map(({ name }) => name);
    };
    expect(await shown(ADMIN)).toEqual(['n8n:run', 'admin:user_management']);
    expect(await shown(DEVELOPER)).toEqual(['n8n:run']);
    expect(await shown(NOBODY)).toEqual([]);
  });

  it('reads of a caller no more than decides', () => {
    expect(gatewayWith(CONFIG).route.bindings.find(({ name }) => name === 'authorize')?.callerReads).toEqual([
      'principal.scopes',
      'principal.claims.groups',
      'principal.claims.roles',
    ]);
  });

  it.each([
    [{ permissions: { n8n: ['a'] } }, 'permissions.n8n'],
    [{ permissions: { ':x': ['a'] } }, 'permissions.:x'],
    [{ tools: { 'n8n:': ['a'] } }, 'tools.n8n:'],
    [JSON.parse('{"permissions": {"__proto__": ["a"]}}'), 'permissions.__proto__'],
    [JSON.parse('{"mappings": {"__proto__": ["a"]}}'), 'mappings.__proto__'],
    [{ prompts: { 'n8n:a\0': ['a'] } }, 'prompts.n8n:a\0'],
    [{ resources: { 'n8n:\n': 'a' } }, 'resources.n8n:\n'],
    [{ permissions: { 'n8n:*': 'a' } }, 'permissions.n8n:*'],
    [{ permissions: { 'n8n:*': ['a b'] } }, 'permissions.n8n:*[0]'],
    [{ permissions: { 'n8n:*': ['a"'] } }, 'permissions.n8n:*[0]'],
    [{ permissions: { 'n8n:*': ['a\r\nx: y'] } }, 'permissions.n8n:*[0]'],
    [{ permissions: ['n8n:*'] }, 'permissions'],
    [{ mappings: { groups: ['a'] } }, 'mappings.groups'],
    [{ mappings: { 'groups:': ['a'] } }, 'mappings.groups:'],
    [{ mappings: { ':Admin': ['a'] } }, 'mappings.:Admin'],
    [{ claims: ['roles'], mappings: { 'groups:Admin': ['a'] } }, 'mappings.groups:Admin'],
    [{ mappings: { 'https://a.example/roles:x': ['a'] } }, 'mappings.https://a.example/roles:x'],
    [{ methods: { 'tools/call': [] } }, 'methods.tools/call'],
    [{ methods: { 'tools/list': [] } }, 'methods.tools/list'],
    [{ scope_mode: 'some' }, 'scope_mode'],
    [{ permission: {} }, 'permission'],
  ])('refuses the configuration %j', (config, path) => {
    expect(configProblems(authorize, config).map((problem) => problem.path)).toContain(path);
  });
});
