import {
  create,
  type Entry,
  entryOf,
  type Resource,
  ResourceSchema,
  type StateChange,
} from '@sluice/proto/cluster';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CompileError } from './compile-error.js';
import { type CompileContext, type Compiled, compile } from './compiler.js';

type Spec = Parameters<typeof create<typeof ResourceSchema>>[1];

const entry = (resource: Spec): Entry => entryOf(create(ResourceSchema, resource) as Resource);
const upstream = (name: string, url = 'http://127.0.0.1:1/mcp', tenant = '', headers = {}): Entry =>
  entry({
    tenant,
    spec: { case: 'upstream', value: { name, transport: { case: 'http', value: { url, headers } } } },
  });
const secret = (name: string, variable: string, tenant = ''): Entry =>
  entry({ tenant, spec: { case: 'secret', value: { name, source: { case: 'env', value: variable } } } });
const plugin = (name: string, more: object = {}, tenant = ''): Entry =>
  entry({ tenant, spec: { case: 'plugin', value: { name, plugin: 'anonymous', ...more } } });

const context = (
  variables: Record<string, string> = {},
  files: Record<string, string> = {},
): CompileContext => ({
  lookup: {
    variable: (name) => variables[name],
    file: (path) => {
      const content = files[path];
      if (content === undefined) throw new Error('there is no such file');
      return content;
    },
  },
});

const changed = (...entries: Entry[]): StateChange => ({ changed: entries, removed: [] });

function refusal(change: StateChange, from: CompileContext = context(), before?: Compiled): CompileError {
  try {
    compile(before, change, from);
  } catch (thrown) {
    if (thrown instanceof CompileError) return thrown;
    throw thrown;
  }
  throw new Error('it was compiled');
}

describe('the compiler', () => {
  it('makes a configuration of resources, in the order of their names', () => {
    const { configuration } = compile(undefined, changed(upstream('b'), upstream('a')), context());
    expect(configuration.upstreams.map(({ name }) => name)).toEqual(['a', 'b']);
    expect(configuration.gateway.listen.port).toBe(8080);
  });

  it('shares what did not change with the configuration before', () => {
    const first = compile(undefined, changed(upstream('a'), upstream('b'), plugin('p')), context());
    const second = compile(first, changed(upstream('b', 'http://127.0.0.1:2/mcp')), context());
    const [a, b] = second.configuration.upstreams;
    expect(a).toBe(first.configuration.upstreams[0]);
    expect(b).not.toBe(first.configuration.upstreams[1]);
    expect(second.configuration.plugins).toBe(first.configuration.plugins);
    expect(second.configuration.gateway).toBe(first.configuration.gateway);
    const third = compile(second, { changed: [], removed: ['upstream//a'] }, context());
    expect(third.configuration.upstreams).toEqual([b]);
  });

  it('puts in what references lead to, in the texts of upstreams, plugins and the gateway', () => {
    const from = context({ TOKEN: 'abc', PORT: '8000' }, { '/run/key': `${'k'.repeat(40)}\n` });
    const { configuration } = compile(
      undefined,
      changed(
        upstream('a', 'http://127.0.0.1:${PORT:-9}/$${x}', '', { Authorization: 'Bearer ${secret:token}' }),
        secret('token', 'TOKEN'),
        entry({
          spec: { case: 'secret', value: { name: 'key', source: { case: 'file', value: '/run/key' } } },
        }),
        entry({ spec: { case: 'gateway', value: { sessions: { keys: ['${secret:key}'] } } } }),
        plugin('p', { config: { id: { case: 'of', value: ['${NONE:-nobody}'] } } }),
      ),
      from,
    );
    const [made] = configuration.upstreams;
    expect(made?.transport).toMatchObject({
      url: 'http://127.0.0.1:8000/${x}',
      headers: { Authorization: 'Bearer abc' },
    });
    expect(configuration.gateway.sessions.keys).toEqual(['k'.repeat(40)]);
    expect(configuration.plugins[0]?.config).toEqual({ id: { case: 'of', value: ['nobody'] } });
  });

  it('makes anew what refers to a secret when that becomes another', () => {
    const from = context({ ONE: '1', TWO: '2' });
    const a = upstream('a', undefined, '', { 'X-Key': '${secret:key}' });
    const first = compile(undefined, changed(a, upstream('b'), secret('key', 'ONE')), from);
    const second = compile(first, changed(secret('key', 'TWO')), from);
    expect(second.configuration.upstreams[0]?.transport).toMatchObject({ headers: { 'X-Key': '2' } });
    expect(second.configuration.upstreams[1]).toBe(first.configuration.upstreams[1]);
    const gone = refusal({ changed: [], removed: ['secret//key'] }, from, second);
    expect(gone.message).toBe('upstream a: http.headers.X-Key: there is no secret key');
  });

  it.each([
    [upstream('a', '${NONE}'), 'upstream a: http.url: the environment variable NONE is not set on the node'],
    [upstream('a', '${secret:s}'), 'upstream a: http.url: there is no secret s'],
    [upstream('a', 'x${'), 'upstream a: http.url: `${` does not begin a reference'],
    [plugin('p', { config: { a: [{ b: '${NONE}' }] } }), 'plugin p: config.a[0].b: the environment variable'],
    [entry({ spec: { case: 'upstream', value: { name: 'a' } } }), 'upstream a: says not how it is reached'],
    [entry({ tenant: 't', spec: { case: 'gateway', value: {} } }), 'belong to the operator'],
    [upstream('a', '${HOME}', 't'), "upstream t/a: http.url: ${HOME}: variables of nodes are the operator's"],
    [plugin('p', { endpoints: ['/mcp'] }, 't'), 'plugin t/p: endpoints[0]: /mcp is not of the tenant'],
  ])('refuses, and says which resource and field and why: %#', (each, message) => {
    expect(refusal(changed(each)).message).toContain(message);
  });

  it('refuses a secret that the node does not have, and one of another tenant', () => {
    const using = upstream('a', '${secret:s}', 't');
    expect(refusal(changed(using, secret('s', 'NONE', 't'))).message).toContain(
      'the secret s is the environment variable NONE, which is not set on the node',
    );
    expect(refusal(changed(using, secret('s', 'ONE')), context({ ONE: '1' })).message).toContain(
      'there is no secret s',
    );
    const file = entry({
      spec: { case: 'secret', value: { name: 's', source: { case: 'file', value: '/no' } } },
    });
    expect(refusal(changed(upstream('a', '${secret:s}'), file)).message).toContain('there is no such file');
  });

  it('refuses two upstreams with one id', () => {
    const other = entry({
      spec: {
        case: 'upstream',
        value: { id: 'a', name: 'b', transport: { case: 'http', value: { url: 'http://127.0.0.1:1' } } },
      },
    });
    const refused = refusal(changed(upstream('a'), other));
    expect(refused.message).toBe('upstream b: id: upstream/a has the id a too; ids are of one upstream each');
    expect(refused.resource).toMatchObject({ name: 'b' });
  });

  it('keeps tenants apart, and serves each below its name', () => {
    const { configuration } = compile(
      undefined,
      changed(
        upstream('files'),
        upstream('files', undefined, 'acme'),
        plugin('p', {}, 'acme'),
        plugin('q', {}, 'none'),
      ),
      context(),
    );
    expect(configuration.upstreams).toMatchObject([
      { id: 'files', name: 'files', hidden: false },
      { id: 'acme/files', name: 'acme/files', hidden: true },
    ]);
    expect(configuration.plugins).toMatchObject([{ name: 'acme/p', endpoints: ['/mcp/acme/files'] }]);
  });

  it('puts plugins in their order, then by name', () => {
    const all = changed(plugin('c'), plugin('a', { order: 1 }), plugin('b', { order: -1 }), plugin('d'));
    expect(compile(undefined, all, context()).configuration.plugins.map(({ name }) => name)).toEqual([
      'b',
      'c',
      'd',
      'a',
    ]);
  });

  it('lets a node say where it listens', () => {
    const gateway = entry({
      spec: { case: 'gateway', value: { listen: { port: 1, allowedHosts: ['x'] }, stateDir: '/elsewhere' } },
    });
    const node = { listen: { host: '127.0.0.1', port: 9, workerCount: 2 } };
    const { configuration } = compile(undefined, changed(gateway), { ...context(), node });
    expect(configuration.gateway.listen).toMatchObject({ port: 9, workerCount: 2, allowedHosts: ['x'] });
    expect(configuration.gateway.stateDir).toBeUndefined();
  });

  it('comes to the same by any way of changes as at once', () => {
    const one = fc.record({ name: fc.constantFrom('a', 'b', 'c'), port: fc.nat(3), removed: fc.boolean() });
    fc.assert(
      fc.property(fc.array(one, { maxLength: 20 }), (steps) => {
        const now = new Map<string, Entry>();
        let compiled: Compiled | undefined;
        for (const { name, port, removed } of steps) {
          const each = upstream(name, `http://127.0.0.1:${port}/mcp`);
          if (removed) now.delete(each.key);
          else now.set(each.key, each);
          const change = removed ? { changed: [], removed: [each.key] } : changed(each);
          compiled = compile(compiled, change, context());
          const atOnce = compile(undefined, changed(...now.values()), context());
          expect(compiled.configuration).toEqual(atOnce.configuration);
        }
      }),
    );
  });
});
