/* What is wrong with a change of resources, at which resource and field, and what is not looked at. */

import { fromJson, type JsonObject } from '@bufbuild/protobuf';
import { createApiKey, hashPassword } from '@sluice/plugins/credentials';
import { entryOf, keyText, type Resource, ResourceSchema, ResourceState } from '@sluice/proto/cluster';
import { describe, expect, it } from 'vitest';
import { validateChange } from './resources.js';

const HASH_KEY = 'a secret of thirty-two characters';
const { prefix, hash } = createApiKey(HASH_KEY);

const made = (json: JsonObject): Resource => fromJson(ResourceSchema, json);
const upstream = (name: string, more: JsonObject = {}, tenant = '') =>
  made({ tenant, upstream: { name, http: { url: `http://127.0.0.1:1/${name}` }, ...more } });
const server = (more: JsonObject = {}, tenant = '') =>
  made({ tenant, virtualServer: { name: 'team', tools: [{ upstream: 'files', name: '*' }], ...more } });
const KEYS = made({ plugin: { plugin: 'auth-api-key', config: { hash_key: '${secret:keys}' } } });
const ADA = made({ consumer: { name: 'ada' } });
const LAPTOP = made({ credential: { name: 'laptop', consumer: 'ada', apiKey: { prefix, hash } } });
const ACME = made({ tenantSpec: { name: 'acme' } });
const EU = made({ region: { name: 'eu' } });

/** What is said of a change of what is right. */
async function findings(
  there: readonly Resource[],
  changed: readonly Resource[],
  removed: readonly Resource[] = [],
) {
  const before = ResourceState.of(there.map(entryOf));
  const change = { changed: changed.map(entryOf), removed: removed.map((each) => entryOf(each).key) };
  const said = await validateChange(before, before.fork().with(change), change);
  return said.map(({ resource, field, message, hint, warning }) => {
    expect(resource).toBeDefined();
    expect(message).not.toBe('');
    expect(hint).not.toBe('');
    return `${warning ? 'warning ' : ''}${resource && keyText(resource)} ${field}: ${message}; ${hint}`;
  });
}

describe('what is right', () => {
  it.each<[string, readonly Resource[], readonly Resource[]]>([
    ['an upstream', [], [upstream('files')]],
    ['an upstream whose address only nodes know', [], [upstream('files', { http: { url: '${FILES}/mcp' } })]],
    ['a virtual server and its upstream at once', [], [server(), upstream('files')]],
    ['a virtual server of what was there', [upstream('files')], [server()]],
    ['a server of a tenant of the operator’s upstream', [ACME, upstream('files')], [server({}, 'acme')]],
    ['a name that another tenant has', [ACME, upstream('files')], [upstream('files', {}, 'acme')]],
    ['a key', [KEYS, ADA], [LAPTOP]],
    ['a secret in a plugin', [], [KEYS]],
    ['the settings of the gateway', [upstream('files')], [made({ gateway: { defaultUpstream: 'files' } })]],
    ['a region', [EU], [made({ regions: ['eu'], upstream: { name: 'a', stdio: { command: 'a' } } })]],
  ])('%s', async (_, there, changed) => {
    expect(await findings(there, changed)).toEqual([]);
  });
});

describe('what is wrong with what is changed', () => {
  it.each<[expected: string, there: readonly Resource[], changed: readonly Resource[]]>([
    ['upstream//a b name: not a name', [], [upstream('a b')]],
    ['upstream//a http.url: not a URL; write the address', [], [upstream('a', { http: { url: 'x' } })]],
    ['upstream//a timeout: -1ms is out of range', [], [upstream('a', { timeout: '-0.001s' })]],
    ['upstream//${A} name: a reference where', [], [upstream('${A}')]],
    ['upstream//a id: a reference where', [], [upstream('a', { id: '${A}' })]],
    [
      'upstream//a id: the upstream b has the same id',
      [upstream('b', { id: 'x' })],
      [upstream('a', { id: 'x' })],
    ],
    [
      'upstream//team name: at /mcp/team the virtual server team is served; choose another name',
      [upstream('files'), server()],
      [upstream('team')],
    ],
    [
      'virtual-server//team tools[0].upstream: there is no upstream files; upstreams are none',
      [],
      [server()],
    ],
    [
      'virtual-server//team tools[0].upstream: there is no upstream files; did you mean file?',
      [upstream('file')],
      [server()],
    ],
    [
      'virtual-server/acme/team path: /mcp/team is not of the tenant; begin it with /mcp/acme/',
      [ACME, upstream('files')],
      [server({ path: '/mcp/team' }, 'acme')],
    ],
    ['virtual-server/acme/team tenant: there is no tenant acme', [upstream('files')], [server({}, 'acme')]],
    [
      'virtual-server//team tools[1].rename: tools[0] is called y too',
      [upstream('files')],
      [server({ tools: ['a', 'b'].map((name) => ({ upstream: 'files', name, rename: 'y' })) })],
    ],
    [
      'endpoint//team name: the virtual server team has the same name',
      [upstream('files'), server()],
      [made({ endpoint: { name: 'team', path: '/mcp/other' } })],
    ],
    ['credential//laptop consumer: there is no consumer ada', [KEYS], [LAPTOP]],
    ['credential//laptop : no plugin auth-api-key is there', [ADA], [LAPTOP]],
    [
      'credential//other api_key.hash: the credential laptop is the same',
      [KEYS, ADA, LAPTOP],
      [made({ credential: { name: 'other', consumer: 'ada', apiKey: { prefix, hash } } })],
    ],
    [
      'credential//other api_key: keys[0].hash',
      [KEYS, ADA],
      [made({ credential: { name: 'other', consumer: 'ada', apiKey: { prefix, hash: 'x' } } })],
    ],
    [
      'plugin//auth-api-key config.keys: expected array; it is a string',
      [],
      [made({ plugin: { plugin: 'auth-api-key', config: { hash_key: '${A}', keys: '${KEYS}' } } })],
    ],
    [
      'plugin//cors isolation: cors decides at the door, where nothing can wait for it; write inline',
      [],
      [made({ plugin: { plugin: 'cors', isolation: 'ISOLATION_POOL', config: { allowed_origins: ['*'] } } })],
    ],
    ['plugin//nobody plugin: no plugin named nobody', [], [made({ plugin: { plugin: 'nobody' } })]],
    ['plugin//cors config.x: unknown field', [], [made({ plugin: { plugin: 'cors', config: { x: 1 } } })]],
    [
      'plugin//limits name: what limits need is called so',
      [],
      [made({ plugin: { name: 'limits', plugin: 'request-limit' } })],
    ],
    [
      'limit//calls endpoints[0]: there is no endpoint /mcp/x',
      [],
      [made({ limit: { name: 'calls', requests: 1, endpoints: ['/mcp/x'] } })],
    ],
    [
      'limit/acme/calls endpoints[0]: there is no endpoint /mcp/files',
      [ACME, upstream('files')],
      [made({ tenant: 'acme', limit: { name: 'calls', requests: 1, endpoints: ['/mcp/files'] } })],
    ],
    [
      'upstream//a regions[1]: there is no region es; did you mean eu?',
      [EU],
      [made({ regions: ['eu', 'es'], upstream: { name: 'a', stdio: { command: 'a' } } })],
    ],
    [
      'gateway//gateway default_upstream: there is no upstream named fils; did you mean files?',
      [upstream('files')],
      [made({ gateway: { defaultUpstream: 'fils' } })],
    ],
    [
      'gateway//gateway listen.host: 0.0.0.0 can be reached',
      [],
      [made({ gateway: { listen: { host: '0.0.0.0' } } })],
    ],
    ['gateway/acme/gateway tenant: belongs to the operator', [ACME], [made({ tenant: 'acme', gateway: {} })]],
  ])('%s', async (expected, there, changed) => {
    const said = await findings(there, changed);
    expect(
      said.some((each) => each.startsWith(expected)),
      said.join('\n'),
    ).toBe(true);
  });

  it('more resources than the tenant may have', async () => {
    const tenant = made({ tenantSpec: { name: 'acme', maxResources: 1 } });
    expect(await findings([tenant], [upstream('a', {}, 'acme')])).toEqual([]);
    expect(await findings([tenant, upstream('a', {}, 'acme')], [upstream('b', {}, 'acme')])).toEqual([
      'upstream/acme/b tenant: acme would have 2 resources, and may have 1; remove some of them, or raise `max_resources` of the tenant',
    ]);
  });
});

describe('the share of a tenant', () => {
  const BASIC = made({ plugin: { plugin: 'auth-basic' } });
  const EVE = made({ tenant: 'acme', consumer: { name: 'eve' } });
  const user = (tenant: string, index: number, hash: string) =>
    made({
      tenant,
      credential: { name: `c${index}`, consumer: 'eve', password: { user: `u${index}`, hash } },
    });

  it('of users with passwords is a part of what there may be', async () => {
    const hash = await hashPassword('correct horse');
    const there = Array.from({ length: 1_000 }, (_, index) => user('acme', index, hash));
    expect(await findings([ACME, BASIC, EVE, ...there.slice(1)], [user('acme', 0, hash)])).toEqual([]);
    expect(await findings([ACME, BASIC, EVE, ...there], [user('acme', 1_000, hash)])).toEqual([
      'credential/acme/c1000 tenant: acme would have 1001 users with passwords, and may have 1000; remove some of them, or let an identity provider know who calls',
    ]);
    // Another one has its own, and what is there may be changed.
    const GLOBEX = made({ tenantSpec: { name: 'globex' } });
    const ofGlobex = made({ tenant: 'globex', consumer: { name: 'eve' } });
    expect(
      await findings(
        [ACME, GLOBEX, BASIC, EVE, ofGlobex, ...there],
        [user('globex', 0, hash), user('acme', 7, hash)],
      ),
    ).toEqual([]);
  });
});

describe('what others lose by a change', () => {
  it.each<
    [expected: string, there: readonly Resource[], changed: readonly Resource[], removed: readonly Resource[]]
  >([
    [
      'virtual-server//team tools[0].upstream: there would be no upstream files any more',
      [upstream('files'), server()],
      [],
      [upstream('files')],
    ],
    ['credential//laptop consumer: there would be no consumer ada', [KEYS, ADA, LAPTOP], [], [ADA]],
    ['credential//laptop : there would be no plugin auth-api-key', [KEYS, ADA, LAPTOP], [], [KEYS]],
    ['upstream/acme/a tenant: there would be no tenant acme', [ACME, upstream('a', {}, 'acme')], [], [ACME]],
    [
      'policy//all endpoints[0]: there would be no endpoint /mcp/team any more: this changes or removes the virtual server team',
      [
        upstream('files'),
        server(),
        made({ policy: { name: 'all', endpoints: ['/mcp/team'], permissions: [{ pattern: 'files:*' }] } }),
      ],
      [server({ path: '/mcp/elsewhere' })],
      [],
    ],
    [
      'upstream//a__b name: a__b followed by the separator __ can be read in two ways',
      [made({ gateway: { naming: { separator: '-' } } }), upstream('a__b')],
      [made({ gateway: {} })],
      [],
    ],
    [
      'gateway//gateway listen.host: 0.0.0.0 can be reached',
      [made({ gateway: { listen: { host: '0.0.0.0' } } }), KEYS],
      [],
      [KEYS],
    ],
    [
      'gateway//gateway default_upstream: there would be no upstream files any more',
      [made({ gateway: { defaultUpstream: 'files' } }), upstream('files')],
      [],
      [upstream('files')],
    ],
  ])('%s', async (expected, there, changed, removed) => {
    const said = await findings(there, changed, removed);
    expect(said, said.join('\n')).toHaveLength(1);
    expect(said[0]).toContain(expected);
  });

  it('nothing, where all of it goes at once, or another takes the place', async () => {
    expect(await findings([upstream('files'), server()], [], [upstream('files'), server()])).toEqual([]);
    const there = [ACME, upstream('files'), upstream('files', {}, 'acme'), server({}, 'acme')];
    expect(await findings(there, [], [upstream('files', {}, 'acme')])).toEqual([]);
  });
});

describe('what nobody is asked any more', () => {
  const plugin = (more: JsonObject, resource: JsonObject = {}) =>
    made({
      ...resource,
      plugin: { plugin: 'auth-api-key', config: { hash_key: '${secret:keys}' }, ...more },
    });
  const other = plugin({ name: 'other' });
  const acme = plugin({ name: 'acmes' }, { tenant: 'acme' });
  const rules = made({ plugin: { plugin: 'authorize', config: { rules: [{ allow: ['*'] }] } } });
  const grant = made({ policy: { name: 'all' } });
  const warned = async (...change: Parameters<typeof findings>) =>
    (await findings(...change)).filter((each) => each.startsWith('warning'));

  it.each<[string, string, readonly Resource[], readonly Resource[], readonly Resource[]]>([
    ['who they are', 'nobody is asked who they are at all endpoints any more', [KEYS], [], [KEYS]],
    ['where it is only disabled', 'who they are at all endpoints', [KEYS], [plugin({ disabled: true })], []],
    [
      'where it keeps to a path',
      'who they are at all endpoints',
      [KEYS],
      [plugin({ endpoints: ['/mcp'] })],
      [],
    ],
    ['at one path', 'they are at /mcp any more', [plugin({ endpoints: ['/mcp'] })], [], [KEYS]],
    ['in one region', 'at all endpoints in eu', [EU, plugin({}, { regions: ['eu'] })], [], [KEYS]],
    ['by a tenant', 'at all endpoints of acme any more', [ACME, acme], [], [acme]],
    ['where all come as one', 'who they are', [KEYS], [made({ plugin: { plugin: 'anonymous' } })], [KEYS]],
    ['by a rule', 'no rule decides what callers may do at all endpoints any more', [rules], [], [rules]],
    ['by a policy', 'no rule decides what callers may do', [grant], [], [grant]],
    ['by two at once', 'who they are at all endpoints', [KEYS, other], [], [KEYS, other]],
  ])('%s', async (_, expected, there, changed, removed) => {
    const said = await warned(there, changed, removed);
    expect(said, said.join('\n')).toHaveLength(1);
    expect(said[0]).toContain(expected);
  });

  it('is nothing, where another asks, or where nobody ever did, or where nothing is served any more', async () => {
    expect(await warned([KEYS, other], [], [KEYS])).toEqual([]);
    expect(await warned([KEYS], [other], [KEYS])).toEqual([]);
    expect(await warned([ACME, acme, KEYS], [], [acme])).toEqual([]);
    expect(await warned([rules, grant], [], [grant])).toEqual([]);
    expect(await warned([made({ plugin: { plugin: 'anonymous' } })], [], [])).toEqual([]);
    const [files, keys] = [upstream('files'), plugin({ endpoints: ['/mcp/files'] })];
    expect(await warned([files, keys], [], [files, keys])).toEqual([]);
    expect(await warned([files, keys], [], [keys])).toHaveLength(1);
  });
});

describe('what is said of very much that is wrong', () => {
  it('is little, errors before warnings', async () => {
    const endpoints = Array.from(
      { length: 10_000 },
      (_, index) => `/mcp/${index}${'x'.repeat(20_000 * Number(index < 3))}`,
    );
    const said = await findings([], [made({ policy: { name: 'a', endpoints } })]);
    expect(said).toHaveLength(20);
    expect(said.filter((each) => each.startsWith('warning'))).toEqual([]);
    for (const each of said) expect(each.length).toBeLessThan(1_200);
  });

  it('of a resource that is too large is that', async () => {
    const claims = { text: 'x'.repeat(300 * 1024) };
    expect(await findings([], [made({ consumer: { name: 'ada', claims } })])).toEqual([
      expect.stringMatching(/^consumer\/\/ada : 30\d+ bytes in all; make it at most 262144 bytes/),
    ]);
  });
});

describe('the compiler', () => {
  const change = { changed: [entryOf(upstream('files'))], removed: [] };
  const before = ResourceState.empty();

  it('is asked last, and what it says is told', async () => {
    const reason = 'cannot be run';
    const said = await validateChange(before, before.fork().with(change), change, async () => [{ reason }]);
    expect(said).toMatchObject([{ message: reason, warning: false }]);
  });

  it('is not asked about what is wrong already', async () => {
    const wrong = { changed: [entryOf(upstream('a b'))], removed: [] };
    const said = await validateChange(before, before.fork().with(wrong), wrong, async () => {
      throw new Error('asked');
    });
    expect(said[0]?.field).toBe('name');
  });
});
