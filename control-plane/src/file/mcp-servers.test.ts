import { toJson } from '@bufbuild/protobuf';
import { ConfigurationSchema } from '@sluice/proto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatProblem } from '../validation/problem.js';
import { parseConfiguration } from './load.js';
import { upstreamName } from './mcp-servers.js';

const read = (content: unknown, environment: Record<string, string> = {}) =>
  parseConfiguration(JSON.stringify(content, null, 1), { file: '/home/me/client.json', environment });

function upstreamsOf(servers: object, environment: Record<string, string> = {}): unknown {
  const { configuration, problems } = read({ mcpServers: servers }, environment);
  expect(problems).toEqual([]);
  return configuration?.upstreams.map((upstream) => {
    const message = toJson(ConfigurationSchema, {
      ...configuration,
      gateway: undefined,
      upstreams: [upstream],
    });
    return (message as { upstreams: unknown[] }).upstreams[0];
  });
}

describe('files of desktop clients', () => {
  it('give a subprocess for a command', () => {
    const env = { API_KEY: '${KEY:-none}' };
    expect(
      upstreamsOf({ files: { command: 'npx', args: ['-y', 'server', '/data'], env } }, { KEY: 'k' }),
    ).toEqual([
      {
        name: 'files',
        stdio: { command: 'npx', args: ['-y', 'server', '/data'], env: { API_KEY: 'k' }, cwd: '/home/me' },
      },
    ]);
  });

  it.each([
    [{ url: 'http://h/mcp' }],
    [{ type: 'http', url: 'http://h/mcp' }],
    [{ type: 'streamable-http', url: 'http://h/mcp' }],
    [{ type: 'streamableHttp', url: 'http://h/mcp' }],
    [{ type: 'streamable_http', url: 'http://h/mcp' }],
    [{ transport: 'streamable-http', url: 'http://h/mcp' }],
    [{ serverUrl: 'http://h/mcp' }],
    [{ httpUrl: 'http://h/mcp' }],
    [{ url: 'http://h/mcp', enabled: true, disabled: false }],
  ])('give streamable HTTP for %j', (server) => {
    expect(upstreamsOf({ web: { ...server, headers: { 'X-A': 'b' } } })).toEqual([
      { name: 'web', http: { url: 'http://h/mcp', headers: { 'X-A': 'b' } } },
    ]);
  });

  it.each([
    [{ type: 'sse', url: 'http://h/' }, 'sse'],
    [{ type: 'SSE', serverUrl: 'http://h/' }, 'sse'],
    [{ transport: 'sse', url: 'http://h/' }, 'sse'],
    [{ type: 'ws', url: 'ws://h/' }, 'websocket'],
    [{ type: 'websocket', url: 'wss://h/' }, 'websocket'],
    [{ url: 'ws://h/' }, 'websocket'],
    [{ url: '${SCHEME}://h/' }, 'websocket'],
  ])('give the transport of %j', (server, transport) => {
    const [upstream] = upstreamsOf({ a: { ...server, headers: { 'X-A': 'b' } } }, { SCHEME: 'wss' }) as [
      object,
    ];
    expect(upstream).toEqual({
      name: 'a',
      [transport]: { url: expect.stringMatching(/:\/\/h\/$/), headers: { 'X-A': 'b' } },
    });
  });

  it.each([[{ disabled: true }], [{ enabled: false }], [{ disabled: 'true' }]])('honour %j', (flag) => {
    const servers = { on: { command: 'c' }, off: { ...flag, url: 'http://${NOWHERE}/', type: 'sse' } };
    expect(upstreamsOf(servers)).toMatchObject([{ name: 'on' }, { name: 'off', disabled: true }]);
  });

  it.each([
    ['type', 'carrier-pigeon'],
    ['type', 'constructor'],
    ['type', 7],
    ['type', ['http']],
    ['transport', 'carrier-pigeon'],
  ])('leave out a server with the %s %j, and say so', (key, type) => {
    const servers = { a: { command: 'c' }, b: { [key]: type, url: 'http://h/' }, c: { command: 'd', x: 1 } };
    const { configuration, problems } = read({ mcpServers: servers });
    expect(configuration?.upstreams.map(({ name }) => name)).toEqual(['a', 'c']);
    expect(problems).toMatchObject([
      {
        severity: 'warning',
        path: `mcpServers.b.${key}`,
        line: 7,
        message: 'not a known transport: this server is left out',
      },
      { severity: 'warning', path: 'mcpServers.c.x' },
    ]);
  });

  it('keep the original name as id where the name had to change', () => {
    expect(upstreamsOf({ 'My Files': { command: 'c' }, plain: { command: 'c' } })).toMatchObject([
      { id: 'My Files', name: 'My-Files' },
      { name: 'plain' },
    ]);
  });

  it('may stand beside the gateway and other upstreams', () => {
    const { configuration, problems } = read({
      mcpServers: { b: { command: 'c' } },
      upstreams: [{ name: 'a', url: 'http://h/' }],
      gateway: { default_upstream: 'b' },
    });
    expect(problems).toEqual([]);
    expect(configuration?.upstreams.map(({ name }) => name)).toEqual(['a', 'b']);
  });

  it('may hold keys that only clients know', () => {
    const { configuration, problems } = read({
      globalShortcut: 'Ctrl+Space',
      mcpServers: {
        a: {
          command: 'c',
          autoApprove: ['x'],
          timeout: 60,
          alwaysAllow: [],
          metadata: { deep: [{ er: 1 }] },
        },
      },
    });
    expect(configuration?.upstreams).toHaveLength(1);
    expect(problems.map(({ severity, path }) => `${severity} ${path}`)).toEqual([
      'warning globalShortcut',
      'warning mcpServers.a.autoApprove',
      'warning mcpServers.a.timeout',
      'warning mcpServers.a.alwaysAllow',
      'warning mcpServers.a.metadata',
    ]);
  });

  it('may be YAML too', () => {
    const text = 'mcpServers:\n  a:\n    command: c\n';
    const { configuration } = parseConfiguration(text, { file: 'a.yaml', environment: {} });
    expect(configuration?.upstreams[0]?.name).toBe('a');
  });
});

describe('refusals of servers', () => {
  it.each<[object, string]>([
    [{ a: { type: 'ws', url: 'http://h/' } }, 'mcpServers.a.url: the scheme http is none of ws, wss'],
    [{ a: {} }, 'mcpServers.a: neither a url nor a command'],
    [{ a: null }, 'mcpServers.a: neither a url nor a command'],
    [{ a: { url: 'http://h/', command: 'c' } }, 'mcpServers.a: both a url and a command'],
    [{ a: { url: 'http://h/', httpUrl: 'http://i/' } }, 'mcpServers.a.url: given twice'],
    [{ a: { type: 'stdio', url: 'http://h/' } }, 'mcpServers.a.command: missing'],
    [{ a: { disabled: 'perhaps', command: 'c' } }, 'mcpServers.a.disabled: neither true nor false'],
    [{ a: 'npx' }, 'mcpServers.a: a single value where a mapping belongs'],
    [{ a: { command: 'c', env: { A: null } } }, 'mcpServers.a.env.A: no value'],
    [{ a: { command: 'c', args: 'x' } }, 'mcpServers.a.args: a single value where a list belongs'],
    [{ search: { command: 'c' } }, 'mcpServers.search: search is reserved'],
    [
      { 'My Files': { command: 'c' }, 'My/Files': { command: 'c' } },
      'mcpServers["My/Files"]: "My/Files" and "My Files" both become the name My-Files',
    ],
  ])('%j', (mcpServers, message) => {
    const { configuration, problems } = read({ mcpServers });
    expect(configuration).toBeUndefined();
    const errors = problems.filter(({ severity }) => severity === 'error');
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatchObject({ file: '/home/me/client.json', line: expect.any(Number) });
    expect(errors.map((problem) => formatProblem(problem)).join()).toContain(message);
  });

  it('point at the line of the server', () => {
    const { problems } = read({ mcpServers: { a: { command: 'c' }, b: { url: 'x' } } });
    expect(problems).toMatchObject([{ path: 'mcpServers.b.url', line: 7, column: 11 }]);
  });

  it('give a near name for a key that is ignored', () => {
    const { problems } = read({ mcpServers: { a: { command: 'c', arg: ['x'] } } });
    expect(problems).toMatchObject([
      { severity: 'warning', hint: expect.stringContaining('did you mean args?') },
    ]);
  });
});

describe('upstreamName', () => {
  it.each([
    ['plain', 'plain'],
    ['With_Case-9', 'With_Case-9'],
    ['My Files', 'My-Files'],
    ['  @scope/server-files  ', 'scope-server-files'],
    ['café', 'cafe'],
    ['a__b', 'a_b'],
    ['a_', 'a'],
    ['-a-', 'a'],
    ['__proto__', 'proto'],
    ['a'.repeat(60), 'a'.repeat(40)],
    [`${'a'.repeat(39)} b`, 'a'.repeat(39)],
    ['天気', 'server-'],
    ['', 'server-'],
  ])('%j becomes %s', (original, name) => {
    expect(upstreamName(original).startsWith(name)).toBe(true);
    if (!name.endsWith('-')) expect(upstreamName(original)).toBe(name);
  });

  it('is a name that validation accepts, and stays what it is, for any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (original) => {
        const name = upstreamName(original);
        expect(name).toMatch(/^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$/);
        expect(`${name}__`.indexOf('__')).toBe(name.length);
        expect(upstreamName(name)).toBe(name);
      }),
    );
  });
});
