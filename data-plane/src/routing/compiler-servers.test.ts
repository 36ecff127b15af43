/* Servers, consumers, policies and limits of the operator and of tenants, as a node runs them. */
import { create, type Entry, entryOf, type Resource, ResourceSchema } from '@sluice/proto/cluster';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CompileError } from './compile-error.js';
import { type CompileContext, type Compiled, compile } from './compiler.js';

type Spec = NonNullable<Parameters<typeof create<typeof ResourceSchema>>[1]>['spec'];

const context: CompileContext = {
  lookup: {
    variable: () => undefined,
    file: () => {
      throw new Error('there is no such file');
    },
  },
};
const entry = (tenant: string, spec: Spec): Entry =>
  entryOf(create(ResourceSchema, { tenant, spec }) as Resource);
const upstream = (name: string, tenant = '') =>
  entry(tenant, {
    case: 'upstream',
    value: { name, transport: { case: 'http', value: { url: 'http://127.0.0.1:1/mcp' } } },
  });
const server = (name: string, tenant = '', path = '') =>
  entry(tenant, {
    case: 'virtualServer',
    value: {
      name,
      path,
      tools: [
        { upstream: 'files', name: 'read' },
        { upstream: 'web', name: '*' },
      ],
    },
  });
const policy = (name: string, pattern: string, tenant = '', endpoints: string[] = []) =>
  entry(tenant, { case: 'policy', value: { name, endpoints, permissions: [{ pattern, scopes: ['x'] }] } });
const limit = (name: string, tenant = '') => entry(tenant, { case: 'limit', value: { name, requests: 5 } });
const keys = entry('', {
  case: 'plugin',
  value: { plugin: 'auth-api-key', config: { hash_key: 'a secret of thirty-two characters' } },
});
const consumer = (name: string, tenant = '') =>
  entry(tenant, { case: 'consumer', value: { name, scopes: ['x'] } });
const credential = (name: string, of: string, tenant = '') =>
  entry(tenant, {
    case: 'credential',
    value: { name, consumer: of, kind: { case: 'apiKey', value: { prefix: `slk_${name}`, hash: 'h' } } },
  });

const run = (entries: Entry[], before?: Compiled) =>
  compile(before, { changed: entries, removed: [] }, context);

function refusal(entries: Entry[]): CompileError {
  try {
    run(entries);
  } catch (thrown) {
    if (thrown instanceof CompileError) return thrown;
    throw thrown;
  }
  throw new Error('it was compiled');
}

describe('virtual servers', () => {
  it('of the operator and of a tenant are apart, and each takes from its own upstreams first', () => {
    const { configuration } = run([
      upstream('files'),
      upstream('web'),
      upstream('files', 'acme'),
      server('team'),
      server('team', 'acme'),
    ]);
    expect(configuration.servers.map(({ name, path }) => [name, path])).toEqual([
      ['team', '/mcp/team'],
      ['acme/team', '/mcp/acme/team'],
    ]);
    const [own, acme] = configuration.servers.map(({ selection }) =>
      selection.kind === 'items' ? selection.tools.map((each) => each.upstream) : [],
    );
    expect(own).toEqual(['files', 'web']);
    expect(acme).toEqual(['acme/files', 'web']);
  });

  it('of a tenant that name no upstreams take the own ones, and not those of the operator', () => {
    const all = (tenant: string) =>
      entry(tenant, { case: 'endpoint', value: { name: 'all', path: `/mcp/${tenant}/all`, upstreams: [] } });
    const { configuration } = run([
      ...[upstream('files'), upstream('files', 'acme'), upstream('web', 'acme'), upstream('web', 'globex')],
      ...[all('acme'), all('none')],
    ]);
    expect(configuration.servers.map(({ selection }) => selection)).toEqual([
      { kind: 'upstreams', upstreams: ['acme/files', 'acme/web'] },
      { kind: 'items', tools: [], prompts: [], resources: [] },
    ]);
  });

  it('cannot name what is of another tenant', () => {
    const reaching = entry('acme', {
      case: 'endpoint',
      value: { name: 'all', path: '/mcp/acme/all', upstreams: ['globex/files'] },
    });
    const { message } = refusal([upstream('files', 'globex'), reaching]);
    expect(message).toContain('globex/files is no name of an upstream');
  });

  it('that did not change are the same objects as before', () => {
    const first = run([upstream('files'), upstream('web'), server('a'), server('b', 'acme')]);
    const second = run([server('c')], first);
    expect(second.configuration.servers[0]).toBe(first.configuration.servers[0]);
    expect(second.configuration.servers[2]).toBe(first.configuration.servers[1]);
  });

  it.each([
    ['at the path of an upstream', [upstream('files'), server('files')], '/mcp/files'],
    ['at the path of another', [server('a', '', '/mcp/x'), server('b', '', '/mcp/x')], '/mcp/x'],
    ['of a tenant at a path of somebody else', [server('a', 'acme', '/mcp/team')], '/mcp/acme/'],
  ])('are refused %s', (_, entries, told) => {
    const { resource, field, message } = refusal(entries);
    expect(resource).toMatchObject({ name: expect.any(String) });
    expect(field).toBe('path');
    expect(message).toContain(told);
  });
});

describe('consumers and credentials', () => {
  it('are given to the plugin that knows them, with their tenant', () => {
    const { configuration } = run([
      keys,
      consumer('ada'),
      credential('one', 'ada'),
      consumer('ada', 'acme'),
      credential('two', 'ada', 'acme'),
      credential('lost', 'nobody'),
    ]);
    expect(configuration.plugins).toHaveLength(1);
    expect(configuration.plugins[0]?.config.keys).toEqual([
      { prefix: 'slk_one', hash: 'h', consumer: 'ada', scopes: ['x'], claims: {} },
      {
        ...{ prefix: 'slk_two', hash: 'h', consumer: 'ada', scopes: ['x'], claims: {} },
        ...{ tenant: 'acme', endpoints_below: '/mcp/acme/' },
      },
    ]);
  });

  it('of a tenant come in where the operator lets all in, and at no other tenant', () => {
    const own = (tenant: string) =>
      entry(tenant, {
        case: 'plugin',
        value: { plugin: 'auth-api-key', config: { hash_key: 'a secret of thirty-two characters' } },
      });
    const { configuration } = run([
      ...[keys, own('acme'), own('globex'), upstream('files', 'acme'), upstream('files', 'globex')],
      ...[consumer('ada'), credential('one', 'ada')],
      ...[consumer('bob', 'acme'), credential('two', 'bob', 'acme')],
    ]);
    const known = configuration.plugins.map(({ name, config }) => [
      name,
      ((config.keys ?? []) as { consumer: string }[]).map((each) => each.consumer),
    ]);
    expect(Object.fromEntries(known)).toEqual({
      'auth-api-key': ['ada', 'bob'],
      'acme/auth-api-key': ['bob'],
      'globex/auth-api-key': [],
    });
  });

  it('of one tenant make nothing anew that others have', () => {
    const everything = [
      ...[keys, upstream('files'), upstream('files', 'acme'), upstream('files', 'globex')],
      ...['acme', 'globex'].flatMap((tenant) => [
        ...[consumer('ada', tenant), credential(`of-${tenant}`, 'ada', tenant)],
        ...[limit('calls', tenant), server('team', tenant), policy('p', 'files:*', tenant)],
      ]),
    ];
    const first = run(everything);
    const second = run([upstream('web', 'acme'), limit('calls', 'acme')], first);
    const named = (of: Compiled, name: string) => of.configuration.plugins.find((each) => each.name === name);
    expect(named(second, 'globex/limits')).toBe(named(first, 'globex/limits'));
    expect(named(second, 'globex/policies')).toBe(named(first, 'globex/policies'));
    expect(named(second, 'auth-api-key')).toBe(named(first, 'auth-api-key'));
    expect(named(second, 'acme/policies')?.endpoints).toContain('/mcp/acme/web');
    const [own, other] = second.configuration.servers;
    // The one takes from an upstream that is there now.
    expect(own).not.toBe(first.configuration.servers[0]);
    expect(other).toBe(first.configuration.servers[1]);
    // And nothing of what came before is kept that would come otherwise from nothing.
    const fromNothing = run([...everything, upstream('web', 'acme'), limit('calls', 'acme')]);
    expect(second.configuration).toEqual(fromNothing.configuration);
  });

  it('leave other plugins the same objects', () => {
    const other = entry('', { case: 'plugin', value: { plugin: 'anonymous' } });
    const first = run([keys, other, consumer('ada'), credential('one', 'ada')]);
    const second = run([credential('two', 'ada')], first);
    const named = (of: Compiled, name: string) => of.configuration.plugins.find((each) => each.name === name);
    expect(named(second, 'anonymous')).toBe(named(first, 'anonymous'));
    expect(named(second, 'auth-api-key')).not.toBe(named(first, 'auth-api-key'));
  });
});

/** One of each kind that is of a tenant, in two forms. */
const FORMS: readonly ((tenant: string, form: boolean) => Entry)[] = [
  (tenant) => upstream('files', tenant),
  (tenant, form) =>
    entry(tenant, {
      case: 'upstream',
      value: {
        name: 'web',
        // The id of another one, of which there may be one alone.
        id: form ? 'files' : '',
        transport: { case: 'http', value: { url: 'http://127.0.0.1:1/mcp' } },
      },
    }),
  (tenant, form) => server('team', tenant, form && tenant !== '' ? `/mcp/${tenant}/files` : ''),
  (tenant, form) =>
    entry(tenant, {
      case: 'endpoint',
      value: { name: 'some', path: `/mcp/${tenant && `${tenant}/`}some`, upstreams: form ? ['web'] : [] },
    }),
  (tenant, form) => consumer(form ? 'ada' : 'bob', tenant),
  (tenant, form) => credential('one', form ? 'ada' : 'bob', tenant),
  (tenant) => credential('two', 'ada', tenant),
  (tenant, form) => policy('p', form ? 'files:*' : 'web:*', tenant),
  (tenant, form) => policy('q', 'files:*', tenant, form && tenant !== '' ? [`/mcp/${tenant}/some`] : []),
  (tenant) => limit('calls', tenant),
  (tenant, form) =>
    entry(tenant, {
      case: 'plugin',
      value: {
        plugin: 'auth-api-key',
        config: { hash_key: 'a secret of thirty-two characters' },
        order: form ? 1 : 0,
      },
    }),
];

it('comes to the same by any way of changes as at once', () => {
  const one = fc.record({
    form: fc.boolean(),
    kind: fc.nat(FORMS.length - 1),
    removed: fc.integer({ min: 0, max: 3 }).map((each) => each === 0),
    tenant: fc.constantFrom('', 'acme', 'globex'),
  });
  const attempt = (how: () => Compiled) => {
    try {
      return how();
    } catch (thrown) {
      expect(thrown).toBeInstanceOf(CompileError);
      return undefined;
    }
  };
  let refused = 0;
  fc.assert(
    fc.property(fc.array(fc.array(one, { minLength: 1, maxLength: 3 }), { maxLength: 25 }), (revisions) => {
      let now = new Map<string, Entry>();
      let compiled: Compiled | undefined;
      for (const steps of revisions) {
        const next = new Map(now);
        const changed = new Map<string, Entry>();
        const removed = new Set<string>();
        for (const { form, kind, removed: isRemoved, tenant } of steps) {
          const each = (FORMS[kind] as (typeof FORMS)[number])(tenant, form);
          if (changed.has(each.key) || removed.has(each.key)) continue;
          if (isRemoved) {
            removed.add(each.key);
            next.delete(each.key);
          } else {
            changed.set(each.key, each);
            next.set(each.key, each);
          }
        }
        const change = { changed: [...changed.values()], removed: [...removed] as Entry['key'][] };
        const before = compiled;
        const after = attempt(() => compile(before, change, context));
        const atOnce = attempt(() => run([...next.values()]));
        expect(after?.configuration).toEqual(atOnce?.configuration);
        if (after === undefined) refused++;
        else [compiled, now] = [after, next];
      }
    }),
    { numRuns: 200 },
  );
  // There was something to refuse.
  expect(refused).toBeGreaterThan(0);
});

describe('policies and limits', () => {
  const everything = [upstream('files'), upstream('web'), upstream('files', 'acme')];

  it('of one endpoint count together, and those of a tenant hold at its own endpoints alone', () => {
    const { configuration } = run([
      ...everything,
      policy('all', 'web:*'),
      policy('some', 'files:*', '', ['/mcp/files']),
      policy('own', 'acme/files:*', 'acme'),
    ]);
    const placed = configuration.plugins.map(({ name, endpoints, config }) => [
      name,
      endpoints,
      Object.keys(config.permissions as object),
    ]);
    expect(placed).toEqual([
      ['policies', ['/mcp', '/mcp/web', '/mcp/acme/files'], ['web:*']],
      ['policies-2', ['/mcp/files'], ['web:*', 'files:*']],
      ['acme/policies', ['/mcp/acme/files'], ['acme/files:*']],
    ]);
  });

  it('of a tenant without an endpoint hold nowhere, and not everywhere', () => {
    const { configuration } = run([
      upstream('files'),
      limit('calls', 'nobody'),
      policy('p', 'a:*', 'nobody'),
    ]);
    expect(configuration.plugins).toEqual([]);
  });

  it('become what the plugins are given', () => {
    const { configuration } = run([...everything, limit('calls'), limit('own', 'acme')]);
    expect(configuration.plugins.map(({ name, endpoints }) => [name, endpoints])).toEqual([
      ['limits', []],
      ['acme/limits', ['/mcp/acme/files']],
    ]);
    expect(configuration.plugins[0]?.config).toEqual({
      limits: [{ name: 'calls', key: ['principal.id'], rate: 5, per: 'minute' }],
    });
  });
});
