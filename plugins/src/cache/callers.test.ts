/** Who gets whose answers: what one caller can do must never decide what another one is told. */
import { type Attribute, definePlugin, type JsonObject, type Phase, Type } from '@sluice/sdk';
import { type TestRequest, testPlugin } from '@sluice/sdk/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import cache from './index.js';

/** The most that an operator can share. */
const SHARED = {
  lists: [{ ttl: '1h', shared: true }],
  resources: [{ ttl: '1h', shared: true }],
  prompts: [{ targets: ['*:*'], ttl: '1h', shared: true }],
  tools: [{ targets: ['*:*'], ttl: '1h', shared: true }],
};

async function sharing(
  one: TestRequest,
  other: TestRequest,
  config: object = SHARED,
  answer: JsonObject = {},
) {
  const gateway = testPlugin(cache, { config, upstream: () => answer });
  await gateway.call(one);
  await gateway.call(other);
  return gateway.reached.length === 1;
}

const call = (paramsJson: string, more: Partial<TestRequest> = {}): TestRequest => ({
  tool: 'files:read',
  paramsJson,
  ...more,
});
const args = (text: string) => call(`{"name":"read","arguments":${text}}`);
const list = (more: Partial<TestRequest> = {}): TestRequest => ({ method: 'tools/list', ...more });

describe('requests that have one answer', () => {
  it.each<[string, TestRequest, TestRequest]>([
    ['spelled in another way', args('{"a":1,"b":"é"}'), args('{ "b":"\\u00e9", "a":1 }')],
    ['of two callers', list({ as: { id: 'ada' } }), list({ as: { id: 'ben' } })],
    [
      'of two sessions',
      list({ session: 'a', revision: '2025-11-25' }),
      list({ session: 'b', revision: '2025-11-25' }),
    ],
    [
      'with other headers that go nowhere',
      list({ headers: { 'x-a': '1' } }),
      list({ headers: { 'x-a': '2' } }),
    ],
    ['with another trace', list({ headers: { traceparent: '1' } }), list({ headers: { traceparent: '2' } })],
    [
      'as parts of other traces, with progress of their own',
      call('{"name":"read","_meta":{"traceparent":"1","progressToken":1}}'),
      call('{"name":"read","_meta":{"traceparent":"2","tracestate":"x"}}'),
    ],
  ])('%s share it', async (_, one, other) => {
    expect(await sharing(one, other)).toBe(true);
  });
});

describe('requests that may have two answers', () => {
  const old = { revision: '2025-11-25', session: 's' };
  it.each<[string, TestRequest, TestRequest]>([
    ['arguments', args('{"a":1}'), args('{"a":2}')],
    ['arguments that are not there', args('{}'), call('{"name":"read"}')],
    ['arguments that are null', args('{"a":null}'), args('{}')],
    [
      'numbers that only a double takes for one',
      args('{"a":9007199254740993}'),
      args('{"a":9007199254740992}'),
    ],
    ['numbers of two types', args('{"a":1}'), args('{"a":1.0}')],
    ['a number and a text', args('{"a":1}'), args('{"a":"1"}')],
    ['texts that look the same (NFC, NFD)', args('{"a":"é"}'), args('{"a":"e\\u0301"}')],
    ['texts that look the same (NFKC)', args('{"a":"ﬁle"}'), args('{"a":"file"}')],
    ['texts that look the same (scripts)', args('{"a":"admin"}'), args('{"a":"аdmin"}')],
    ['half a character', args('{"a":"\\ud800"}'), args('{"a":"\\ufffd"}')],
    ['texts with what ends them', args('{"a":"b\\",\\"c\\":\\"d"}'), args('{"a":"b","c":"d"}')],
    ['names of members that objects inherit', args('{"__proto__":{"a":1}}'), args('{}')],
    ['what objects inherit, by value', args('{"constructor":1}'), args('{"constructor":2}')],
    ['members and what they are in', args('{"a":{"b":1}}'), args('{"a":{},"b":1}')],
    ['lists in lists', args('[[1],2]'), args('[1,[2]]')],
    ['arguments and parameters', call('{"name":"read","arguments":{"x":1}}'), call('{"name":"read","x":1}')],
    ['unknown parameters', call('{"name":"read","x":1}'), call('{"name":"read"}')],
    ['tools', { tool: 'files:read' }, { tool: 'files:write' }],
    ['upstreams', { tool: 'files:read' }, { tool: 'mail:read' }],
    [
      'names that meet across the colon',
      { target: { kind: 'tool', upstream: 'a', name: 'b:c' }, params: {}, method: 'tools/call' },
      { target: { kind: 'tool', upstream: 'a:b', name: 'c' }, params: {}, method: 'tools/call' },
    ],
    ['methods', list(), list({ method: 'prompts/list' })],
    ['endpoints', list(), list({ endpoint: '/mcp/files' })],
    ['cursors', list({ params: { cursor: 'a' } }), list({ params: { cursor: 'b' } })],
    ['revisions', list(old), list({ ...old, revision: '2025-06-18' })],
    ['eras', list(old), list()],
    [
      'clients of an older revision',
      list({ ...old, client: { name: 'a' } }),
      list({ ...old, client: { name: 'b' } }),
    ],
    [
      'what an older client can do',
      list({ ...old, client: { capabilities: {} } }),
      list({ ...old, client: { capabilities: { sampling: {} } } }),
    ],
    [
      'what a client says it can do',
      call('{"_meta":{"io.modelcontextprotocol/clientCapabilities":{}}}'),
      call('{"_meta":{"io.modelcontextprotocol/clientCapabilities":{"sampling":{}}}}'),
    ],
    ['what else a client tells the upstream', call('{"_meta":{"a":1}}'), call('{"_meta":{"a":2}}')],
    ['a `_meta` that is no object', call('{"_meta":1}'), call('{"_meta":2}')],
    ['baggage', list({ headers: { baggage: 'a=1' } }), list({ headers: { baggage: 'a=2' } })],
    [
      'header fields that repeat arguments, or say that they do',
      list({ headers: { 'Mcp-Param-A': '1' } }),
      list({ headers: { 'Mcp-Param-A': '2' } }),
    ],
    [
      'a header field and two',
      list({ headers: { 'mcp-param-a': '1', 'mcp-param-b': '2' } }),
      list({ headers: { 'mcp-param-a': '11:mcp-param-b1:2' } }),
    ],
    [
      'a header field and a parameter',
      list({ headers: { baggage: '{}' } }),
      list({ headers: {}, params: { baggage: '{}' } }),
    ],
  ])('do not share one by %s', async (_, one, other) => {
    expect(await sharing(one, other)).toBe(false);
    expect(await sharing(other, one)).toBe(false);
  });
});

describe('what a server says is for one', () => {
  const own = { lists: [{ ttl: '1h' }], tools: [{ targets: ['*:*'], ttl: '1h' }] };
  const [ada, ben] = [list({ as: { id: 'ada' } }), list({ as: { id: 'ben' } })];
  const legacy = { revision: '2025-11-25' };

  it.each<[string, TestRequest, TestRequest, object, JsonObject, boolean]>([
    ['is', ada, ben, own, { ttlMs: 1_000, cacheScope: 'private' }, false],
    [
      'is of callers whom UTF-8 cannot tell apart',
      list({ as: { id: '\ud800' } }),
      list({ as: { id: '\ufffd' } }),
      own,
      { ttlMs: 1_000, cacheScope: 'private' },
      false,
    ],
    [
      'is of a tool that nobody shares',
      call('{}', { as: { id: 'ada' } }),
      call('{}', { as: { id: 'ben' } }),
      own,
      {},
      false,
    ],
    [
      'is of nobody while a list lacks an upstream that is away',
      ada,
      ada,
      own,
      { ttlMs: 1_000, _meta: { 'dev.sluice/unavailable': ['x'] } },
      false,
    ],
    ['is also where it says nothing', ada, ben, own, { ttlMs: 1_000 }, false],
    ['is also where it says something else', ada, ben, own, { ttlMs: 1_000, cacheScope: 'Public' }, false],
    ['is not where it says that', ada, ben, own, { ttlMs: 1_000, cacheScope: 'public' }, true],
    ['is also a page of many', ada, ben, own, { ttlMs: 1_000, cacheScope: 'public', nextCursor: 'x' }, false],
    [
      'is also the last page',
      { ...ada, params: { cursor: 'x' } },
      { ...ben, params: { cursor: 'x' } },
      own,
      { ttlMs: 1_000, cacheScope: 'public' },
      false,
    ],
    [
      'is also what tools say of that',
      { ...ada, tool: 'files:read', method: 'tools/call' },
      { ...ben, tool: 'files:read', method: 'tools/call' },
      own,
      { cacheScope: 'public' },
      false,
    ],
    [
      'is the caller’s in all sessions',
      { ...ada, ...legacy, session: '1' },
      { ...ada, ...legacy, session: '2' },
      own,
      {},
      true,
    ],
    [
      'is a session’s where nobody says who calls',
      list({ ...legacy, session: '1' }),
      list({ ...legacy, session: '2' }),
      own,
      {},
      false,
    ],
    ['is nobody’s where there is not even a session', list(legacy), list(legacy), own, {}, false],
    [
      'is nobody’s by a name that looks like two',
      list({ as: { id: '1:a1:b' } }),
      list({ as: { id: 'a' }, session: 'b' }),
      own,
      {},
      false,
    ],
  ])('%s', async (_, one, other, config, answer, expected) => {
    expect(await sharing(one, other, config, answer)).toBe(expected);
  });
});

const ATTRIBUTES = [
  'address',
  'client.name',
  'headers.x-tenant',
  'headers.x-team',
  'headers.__proto__',
  'httpMethod',
  'principal.claims.team',
  'principal.claims.headers.x-tenant',
  'principal.consumer',
  'principal.scopes',
  'principal.tenant',
  'session',
] as const satisfies readonly Attribute[];

const PHASES_INSIDE: readonly Phase[] = ['record', 'door', 'limit', 'shape', 'cache'];

/** Tells the upstream what it has read, in a header field of its own. */
function telling(name: string, phase: Phase, reads: readonly (typeof ATTRIBUTES)[number][]) {
  return definePlugin({
    name,
    version: '1.0.0',
    description: 'For a test.',
    phase,
    config: Type.Object({}),
    reads: reads as readonly Attribute[],
    changes: ['headers'],
    hooks: () => ({
      exchange: (ctx, next) =>
        next({ headers: { [`x-${name}`]: JSON.stringify(reads.map((each) => readFrom(ctx, each))) } }),
    }),
  });
}

function readFrom(ctx: unknown, path: string): unknown {
  const [, head, rest] = /^(headers|client|principal\.claims|principal|[a-zA-Z]+)\.?(.*)$/.exec(
    path,
  ) as unknown as string[];
  const root = (head as string)
    .split('.')
    .reduce((value, name) => (value as JsonObject)?.[name], ctx as unknown);
  return rest === '' ? root : (root as JsonObject | undefined)?.[rest as string];
}

const word = fc.constantFrom('a', 'b', '', 'a","b', '["a"]');
const headers = fc
  .record({ 'x-tenant': word, 'x-team': word }, { requiredKeys: [] })
  .chain((own) => fc.constantFrom<object>(own, { ...own, ['__proto__' as string]: 'a' }));
const caller = fc.record({
  address: fc.constantFrom('192.0.2.1', '192.0.2.2'),
  httpMethod: fc.constantFrom('POST', 'GET'),
  session: fc.option(word, { nil: undefined }),
  client: fc.record({ name: word }),
  headers,
  as: fc.record({
    id: fc.constantFrom('ada', 'ben'),
    consumer: fc.option(word, { nil: undefined }),
    tenant: fc.option(word, { nil: undefined }),
    scopes: fc.subarray(['a', 'b', 'a","b']),
    claims: fc.record({ team: word, 'headers.x-tenant': word }, { requiredKeys: [] }),
  }),
});

describe('callers who differ in what a plugin reads', () => {
  it('never share an answer, whatever the plugins and their order', async () => {
    const chain = fc.uniqueArray(
      fc.record({
        name: fc.constantFrom('one', 'two', 'three', 'four'),
        phase: fc.constantFrom(...PHASES_INSIDE),
        reads: fc.subarray([...ATTRIBUTES], { maxLength: 3 }),
      }),
      { selector: ({ name }) => name, minLength: 1 },
    );
    let sharedCount = 0;
    await fc.assert(
      fc.asyncProperty(
        chain,
        fc.boolean(),
        fc.array(caller, { minLength: 2, maxLength: 4 }),
        async (plugins, first, callers) => {
          const beside = plugins.map(({ name, phase, reads }) => ({ plugin: telling(name, phase, reads) }));
          const upstream = (reached: { headers: object }) => ({ told: reached.headers }) as JsonObject;
          const behind = testPlugin(cache, { config: SHARED, first, beside, upstream });
          const without = testPlugin(cache, { config: { lists: [] }, first, beside, upstream });
          for (const request of callers) {
            const asked = { ...request, method: 'tools/list' } as TestRequest;
            const { outcome } = await behind.call(asked);
            expect(outcome.result).toEqual((await without.call(asked)).outcome.result);
          }
          sharedCount += without.reached.length - behind.reached.length;
        },
      ),
      { numRuns: 500 },
    );
    // Otherwise nothing was shown.
    expect(sharedCount).toBeGreaterThan(0);
  });

  it('are shown only their own part of a list that is kept for all', async () => {
    const filter = definePlugin({
      name: 'filter',
      version: '1.0.0',
      description: 'For a test.',
      phase: 'decision',
      config: Type.Object({}),
      reads: ['principal.scopes', 'target'],
      changes: [],
      hooks: () => ({
        decide: ({ principal, target }) =>
          target === undefined || principal.scopes.includes(target.name) ? 'permit' : undefined,
      }),
    });
    const tools = ['a', 'b'].map((name) => ({ name: `files:${name}` }));
    const gateway = testPlugin(cache, {
      config: {},
      beside: [{ plugin: filter }],
      upstream: () => ({ tools, ttlMs: 60_000, cacheScope: 'public' }),
    });
    const names = async (...scopes: string[]) => {
      const { outcome } = await gateway.call({ method: 'tools/list', as: { id: 'x', scopes } });
      return ((outcome.result?.tools ?? []) as { name: string }[]).map(({ name }) => name);
    };
    expect(await names('a')).toEqual(['files:a']);
    expect(await names('b')).toEqual(['files:b']);
    expect(await names()).toEqual([]);
    expect(await names('a')).toEqual(['files:a']);
    expect(gateway.reached).toHaveLength(3);
  });
});
