import { create, fromJson, type JsonObject } from '@bufbuild/protobuf';
import { ConfigurationSchema } from '@sluice/proto';
import { describe, expect, it } from 'vitest';
import { validateConfiguration } from './validate.js';

const SECRET = 'hunter2';

const validate = (json: JsonObject) => validateConfiguration(fromJson(ConfigurationSchema, json));

/** A configuration that is right, with other settings of the gateway. */
const withGateway = (gateway: JsonObject): JsonObject => ({
  gateway,
  upstreams: [{ name: 'time', http: { url: 'http://127.0.0.1:3001/mcp' } }],
});

const withUpstream = (upstream: JsonObject, gateway: JsonObject = {}): JsonObject => ({
  gateway,
  upstreams: [{ name: 'time', ...upstream }],
});

const ADMIN_TOKEN = '0123456789abcdef'.repeat(2);
const admin = (settings: JsonObject, gateway: JsonObject = {}) =>
  withGateway({ admin: { port: 9092, ...settings }, ...gateway });

const http = (settings: JsonObject) => withUpstream({ http: { url: 'https://h.example/mcp', ...settings } });
const sse = (settings: JsonObject) => withUpstream({ sse: { url: 'https://h.example/sse', ...settings } });
const webSocket = (settings: JsonObject) =>
  withUpstream({ websocket: { url: 'wss://h.example/', ...settings } });
const stdio = (settings: JsonObject) => withUpstream({ stdio: { command: 'npx', ...settings } });
const listen = (settings: JsonObject) => withGateway({ listen: settings });

describe('what is accepted', () => {
  it.each<[string, JsonObject]>([
    ['the least', withGateway({})],
    ['loopback by name', listen({ host: 'localhost' })],
    ['loopback by any of its addresses', listen({ host: '127.8.9.1' })],
    ['loopback of IPv6', listen({ host: '::1', port: 0 })],
    ['every address, when told to', listen({ host: '0.0.0.0', insecure: true })],
    [
      'hosts and origins',
      listen({
        allowedHosts: ['*', 'a.b', '10.0.0.1', '[::1]'],
        allowedOrigins: ['*', 'https://a.b', 'http://a:81', 'vscode-webview://x1'],
      }),
    ],
    ['a pair of certificate and key', listen({ tls: { certFile: '/c', keyFile: '/k' } })],
    ['zero where it has a meaning', withGateway({ listen: { port: 0 }, shutdownGrace: '0s' })],
    ['an end at once', withGateway({ shutdownGrace: '0s' })],
    ['a separator of one character', withGateway({ naming: { separator: ':' } })],
    [
      'metrics and health on one address of their own',
      withGateway({ metrics: { port: 9090 }, health: { port: 9090 } }),
    ],
    ['admin on loopback', admin({})],
    ['admin for other machines, when told to', admin({ host: '0.0.0.0' }, { listen: { insecure: true } })],
    ['admin with a token of base64', admin({ token: `${'a+/-._~'.repeat(5)}==` })],
    [
      'the same port on another address',
      withGateway({ listen: { host: '127.0.0.1' }, metrics: { host: '::1', port: 8080 } }),
    ],
    ['ranges', withGateway({ egress: { deny: ['10.0.0.0/8', 'fd00::/8'], allow: ['10.1.0.0/16'] } })],
    ['a default upstream', withGateway({ defaultUpstream: 'time' })],
    ['headers', http({ headers: { Authorization: 'Bearer x', X: 'é' } })],
    [
      'an address that the egress allows again',
      withUpstream({ http: { url: 'http://169.254.1.1/' } }, { egress: { allow: ['169.254.1.0/24'] } }),
    ],
    ['a subprocess', stdio({ args: ['', 'a\nb'], env: { A: '' }, cwd: '/tmp', maxProcesses: 1 })],
    [
      'a disabled upstream without transport',
      {
        upstreams: [
          { name: 'a', http: { url: 'http://127.0.0.1/' } },
          { name: 'b', disabled: true },
        ],
      },
    ],
    ['a name of forty characters', withUpstream({ name: 'a'.repeat(40), stdio: { command: 'c' } })],
  ])('%s', (_, json) => {
    expect(validate(json)).toEqual([]);
  });
});

/** Every refusal: configuration, path, message, hint. */
const REFUSALS: [JsonObject, string, RegExp, RegExp][] = [
  [
    listen({ host: '0.0.0.0' }),
    'gateway.listen.host',
    /0\.0\.0\.0 can be reached from other machines/,
    /127\.0\.0\.1.*insecure: true.*--insecure/,
  ],
  [listen({ host: '::' }), 'gateway.listen.host', /:: can be reached/, /insecure/],
  [listen({ host: 'gateway.example' }), 'gateway.listen.host', /can be reached/, /insecure/],
  [listen({ host: 'fe80::1%eth0' }), 'gateway.listen.host', /can be reached/, /insecure/],
  [listen({ host: '127.0.0.1.example' }), 'gateway.listen.host', /can be reached/, /insecure/],
  [listen({ host: '[::1]' }), 'gateway.listen.host', /not a host name/, /without brackets/],
  [listen({ host: '127.0.0.1:80' }), 'gateway.listen.host', /not a host name/, /without port/],
  [listen({ host: '300.0.0.1' }), 'gateway.listen.host', /not a host name/, /for example/],
  [listen({ host: 'a..b' }), 'gateway.listen.host', /not a host name/, /for example/],
  [listen({ port: 65_536 }), 'gateway.listen.port', /65536 is out of range/, /from 0 to 65535/],
  [listen({ workers: 257 }), 'gateway.listen.workers', /257 is out of range/, /from 1 to 256/],
  [
    listen({ allowedHosts: ['ok', 'a.b:80'] }),
    'gateway.listen.allowed_hosts[1]',
    /not a host/,
    /without scheme and port/,
  ],
  [listen({ allowedHosts: ['http://a'] }), 'gateway.listen.allowed_hosts[0]', /not a host/, /without scheme/],
  [
    listen({ allowedOrigins: ['a.b'] }),
    'gateway.listen.allowed_origins[0]',
    /not an origin/,
    /https:\/\/app/,
  ],
  [
    listen({ allowedOrigins: ['https://a.b/'] }),
    'gateway.listen.allowed_origins[0]',
    /not an origin/,
    /nothing else/,
  ],
  [
    listen({ allowedOrigins: ['https://a.b:443'] }),
    'gateway.listen.allowed_origins[0]',
    /not an origin/,
    /nothing else/,
  ],
  [listen({ allowedOrigins: ['null'] }), 'gateway.listen.allowed_origins[0]', /not an origin/, /scheme/],
  [listen({ tls: { certFile: '/c' } }), 'gateway.listen.tls.key_file', /belong together/, /both/],
  [listen({ tls: { keyFile: '/k' } }), 'gateway.listen.tls.cert_file', /belong together/, /both/],
  [listen({ tls: {} }), 'gateway.listen.tls.cert_file', /belong together/, /leave out tls/],
  [withGateway({ metrics: { port: 8080 } }), 'gateway.metrics.port', /same address/, /another port/],
  [
    withGateway({ listen: { host: '::1', port: 81 }, health: { host: '::1', port: 81 } }),
    'gateway.health.port',
    /same address/,
    /leave out health/,
  ],
  [
    withGateway({ metrics: { host: 'a b', port: 1 } }),
    'gateway.metrics.host',
    /not a host name/,
    /for example/,
  ],
  [admin({ host: 'a b' }), 'gateway.admin.host', /host name/, /127.0.0.1/],
  [admin({ port: 70_000 }), 'gateway.admin.port', /out of range/, /65535/],
  [admin({ port: 8080 }), 'gateway.admin.port', /same address as that for clients/, /another port$/],
  [
    admin({}, { metrics: { port: 9092 } }),
    'gateway.admin.port',
    /same address as that for metrics/,
    /another port/,
  ],
  [
    admin({}, { health: { host: '127.0.0.1', port: 9092 } }),
    'gateway.admin.port',
    /same address as that for health/,
    /another port/,
  ],
  [
    admin({ host: '0.0.0.0' }),
    'gateway.admin.host',
    /0\.0\.0\.0 lets other machines end the sessions/,
    /`token`, listen on 127\.0\.0\.1, or say `gateway.listen.insecure: true`/,
  ],
  [admin({ token: SECRET }), 'gateway.admin.token', /shorter than 32/, /SLUICE_ADMIN_TOKEN/],
  [admin({ token: `${ADMIN_TOKEN} ${SECRET}` }), 'gateway.admin.token', /cannot carry/, /letters, digits/],
  [withGateway({ metrics: { port: 70_000 } }), 'gateway.metrics.port', /out of range/, /65535/],
  [
    withGateway({ limits: { maxBodyBytes: 10 } }),
    'gateway.limits.max_body_bytes',
    /10 is out of range/,
    /from 1KiB to 256MiB/,
  ],
  [
    withGateway({ limits: { maxHeaderBytes: 100_000 } }),
    'gateway.limits.max_header_bytes',
    /out of range/,
    /64KiB/,
  ],
  [
    withGateway({ limits: { maxUrlBytes: 1 } }),
    'gateway.limits.max_url_bytes',
    /out of range/,
    /from 256 to/,
  ],
  [
    withGateway({ limits: { bodyTimeout: '0s' } }),
    'gateway.limits.body_timeout',
    /0ms is out of range/,
    /from 1ms to 24d/,
  ],
  [
    withGateway({ limits: { bodyTimeout: '-1s' } }),
    'gateway.limits.body_timeout',
    /-1s is out of range/,
    /from 1ms/,
  ],
  [
    withGateway({ limits: { maxConnections: 2_000_000 } }),
    'gateway.limits.max_connections',
    /out of range/,
    /1000000/,
  ],
  [
    withGateway({ limits: { maxRequestsInFlight: 2_000_000 } }),
    'gateway.limits.max_requests_in_flight',
    /out of range/,
    /1000000/,
  ],
  [
    withGateway({ limits: { maxPendingReplyBytes: 1 } }),
    'gateway.limits.max_pending_reply_bytes',
    /out of range/,
    /64KiB/,
  ],
  [
    withGateway({ naming: { separator: ' ' } }),
    'gateway.naming.separator',
    /not a separator/,
    /letters, digits/,
  ],
  [
    withGateway({ naming: { separator: '_________' } }),
    'gateway.naming.separator',
    /not a separator/,
    /1 to 8/,
  ],
  [
    withGateway({ naming: { maxNameLength: 23 } }),
    'gateway.naming.max_name_length',
    /out of range/,
    /from 24 to 128/,
  ],
  [
    withGateway({ discovery: { interval: '0.001s', deadline: '0.001s' } }),
    'gateway.discovery.interval',
    /1ms is out of range/,
    /from 100ms/,
  ],
  [
    withGateway({ discovery: { interval: '5184000s' } }),
    'gateway.discovery.interval',
    /60d is out of range/,
    /24d/,
  ],
  [
    withGateway({ discovery: { deadline: '61s' } }),
    'gateway.discovery.deadline',
    /longer than the interval/,
    /shorter/,
  ],
  [
    withGateway({ discovery: { interval: '1s' } }),
    'gateway.discovery.interval',
    /longer than the interval/,
    /shorter/,
  ],
  [withGateway({ discovery: { pageSize: 10_001 } }), 'gateway.discovery.page_size', /out of range/, /10000/],
  [
    withGateway({ sessions: { idleTimeout: '0s' } }),
    'gateway.sessions.idle_timeout',
    /out of range/,
    /100ms/,
  ],
  [
    withGateway({ sessions: { maxSessions: 1_000_001 } }),
    'gateway.sessions.max_sessions',
    /out of range/,
    /1000000/,
  ],
  [
    withGateway({ sessions: { replayMessages: 100_001 } }),
    'gateway.sessions.replay_messages',
    /out of range/,
    /100000/,
  ],
  [withGateway({ sessions: { replayBytes: 1 } }), 'gateway.sessions.replay_bytes', /out of range/, /1KiB/],
  [
    withGateway({ sessions: { keepAlive: '0.01s' } }),
    'gateway.sessions.keep_alive',
    /10ms is out of range/,
    /100ms/,
  ],
  [
    withGateway({ egress: { deny: ['10.0.0.0'] } }),
    'gateway.egress.deny[0]',
    /not a range/,
    /10\.0\.0\.0\/8/,
  ],
  [withGateway({ egress: { deny: ['10.0.0.0/33'] } }), 'gateway.egress.deny[0]', /not a range/, /prefix/],
  [
    withGateway({ egress: { allow: ['10.0.0.0/8', 'fd00::/129'] } }),
    'gateway.egress.allow[1]',
    /not a range/,
    /fd00/,
  ],
  [withGateway({ egress: { allow: ['fe80::1%eth0/64'] } }), 'gateway.egress.allow[0]', /not a range/, /fd00/],
  [withGateway({ log: { level: 'loud' } }), 'gateway.log.level', /not one of/, /trace, debug, info/],
  [withGateway({ log: { format: 'xml' } }), 'gateway.log.format', /not one of/, /json, text/],
  [
    withGateway({ defaultUpstream: 'tme' }),
    'gateway.default_upstream',
    /no upstream named tme/,
    /did you mean time/,
  ],
  [
    withUpstream({ name: 'a', disabled: true }, { defaultUpstream: 'a' }),
    'gateway.default_upstream',
    /a is disabled/,
    /enable it/,
  ],
  [withGateway({ shutdownGrace: '-1s' }), 'gateway.shutdown_grace', /out of range/, /from 0ms/],

  [withUpstream({ name: '', stdio: { command: 'c' } }), 'upstreams[0].name', /missing/, /1 to 40/],
  [
    withUpstream({ name: '-a', stdio: { command: 'c' } }),
    'upstreams[0].name',
    /not a name/,
    /beginning with/,
  ],
  [
    withUpstream({ name: 'a b', stdio: { command: 'c' } }),
    'upstreams[0].name',
    /not a name/,
    /letters, digits/,
  ],
  [
    withUpstream({ name: 'a/b', stdio: { command: 'c' } }),
    'upstreams[0].name',
    /not a name/,
    /letters, digits/,
  ],
  [
    withUpstream({ name: 'a'.repeat(41), stdio: { command: 'c' } }),
    'upstreams[0].name',
    /not a name/,
    /1 to 40/,
  ],
  [
    withUpstream({ name: 'search', stdio: { command: 'c' } }),
    'upstreams[0].name',
    /search is reserved: \/mcp\/search/,
    /another/,
  ],
  [withUpstream({ name: 'execute', stdio: { command: 'c' } }), 'upstreams[0].name', /reserved/, /another/],
  [withUpstream({ name: 'tools', stdio: { command: 'c' } }), 'upstreams[0].name', /reserved/, /another/],
  [withUpstream({ name: 'servers', stdio: { command: 'c' } }), 'upstreams[0].name', /reserved/, /another/],
  [
    withUpstream({ name: 'a__b', stdio: { command: 'c' } }),
    'upstreams[0].name',
    /read in two ways/,
    /separator/,
  ],
  [
    withUpstream({ name: 'a_', stdio: { command: 'c' } }),
    'upstreams[0].name',
    /read in two ways/,
    /ends like/,
  ],
  [
    withUpstream({ name: 'a-b', stdio: { command: 'c' } }, { naming: { separator: '-' } }),
    'upstreams[0].name',
    /read in two ways/,
    /another separator/,
  ],
  [
    withUpstream({ id: 'a\nb', stdio: { command: 'c' } }),
    'upstreams[0].id',
    /not usable/,
    /control characters/,
  ],
  [withUpstream({ id: 'a'.repeat(201), stdio: { command: 'c' } }), 'upstreams[0].id', /not usable/, /200/],
  [withUpstream({}), 'upstreams[0]', /nothing says how/, /`url`.*`command`/],
  [withUpstream({ timeout: '0s', stdio: { command: 'c' } }), 'upstreams[0].timeout', /out of range/, /1ms/],
  [
    withUpstream({ connectTimeout: '-1s', stdio: { command: 'c' } }),
    'upstreams[0].connect_timeout',
    /out of range/,
    /1ms/,
  ],
  [
    withUpstream({ maxMessageBytes: 1, stdio: { command: 'c' } }),
    'upstreams[0].max_message_bytes',
    /out of range/,
    /1KiB/,
  ],
  [http({ url: '' }), 'upstreams[0].http.url', /missing/, /for example/],
  [http({ url: 'mcp.example.com/mcp' }), 'upstreams[0].http.url', /not a URL/, /https:/],
  [http({ url: 'http://a b/' }), 'upstreams[0].http.url', /not a URL/, /https:/],
  [http({ url: 'http://h/\n' }), 'upstreams[0].http.url', /not a URL/, /https:/],
  [http({ url: 'ftp://h/' }), 'upstreams[0].http.url', /ftp is none of http, https, unix/, /https:/],
  [http({ url: `https://me:${SECRET}@h/` }), 'upstreams[0].http.url', /credentials/, /header/],
  [http({ url: `https://${SECRET}@h/` }), 'upstreams[0].http.url', /credentials/, /header/],
  [http({ url: 'https://h/#part' }), 'upstreams[0].http.url', /fragment/, /remove/],
  [
    http({ url: 'http://169.254.169.254/latest' }),
    'upstreams[0].http.url',
    /egress refuses/,
    /egress\.allow/,
  ],
  [http({ url: 'http://[fe80::1]/' }), 'upstreams[0].http.url', /egress refuses/, /egress\.deny/],
  [http({ url: 'http://0xa9fea9fe/' }), 'upstreams[0].http.url', /169\.254\.169\.254 lies/, /egress/],
  [http({ url: 'ws://h/' }), 'upstreams[0].http.url', /ws is none of http/, /https:/],
  [http({ url: 'unix://run/mcp.sock' }), 'upstreams[0].http.url', /not absolute/, /unix:\/\/\/absolute/],
  [http({ url: 'unix:mcp.sock' }), 'upstreams[0].http.url', /not absolute/, /unix:\/\/\/absolute/],
  [http({ url: 'unix:///' }), 'upstreams[0].http.url', /not the address/, /path\.sock:\/endpoint/],
  [http({ url: 'unix:///a.sock:mcp' }), 'upstreams[0].http.url', /not the address/, /path\.sock:\/endpoint/],
  [http({ url: `unix:///${'a'.repeat(107)}` }), 'upstreams[0].http.url', /longer than 107 bytes/, /shorter/],
  [sse({ url: 'ws://h/' }), 'upstreams[0].sse.url', /ws is none of http, https/, /sse/],
  [sse({ url: 'unix:///a.sock' }), 'upstreams[0].sse.url', /unix is none of http, https/, /sse/],
  [sse({ headers: { Host: SECRET } }), 'upstreams[0].sse.headers.Host', /sets this header/, /remove/],
  [
    withUpstream({ era: 'ERA_MODERN', sse: { url: 'https://h/sse' } }),
    'upstreams[0].era',
    /modern era over HTTP\+SSE/,
    /streamable HTTP/,
  ],
  [webSocket({ url: 'http://h/' }), 'upstreams[0].websocket.url', /http is none of ws, wss/, /wss:/],
  [webSocket({ url: 'ws://169.254.1.1/' }), 'upstreams[0].websocket.url', /egress refuses/, /egress\.allow/],
  [webSocket({ maxConnections: 70_000 }), 'upstreams[0].websocket.max_connections', /out of range/, /65535/],
  [http({ maxConnections: 70_000 }), 'upstreams[0].http.max_connections', /out of range/, /65535/],
  [
    http({ headers: { 'a b': SECRET } }),
    'upstreams[0].http.headers',
    /"a b" is not a header name/,
    /letters/,
  ],
  [http({ headers: { '': SECRET } }), 'upstreams[0].http.headers', /"" is not a header name/, /letters/],
  [
    http({ headers: { 'a\r\nb': SECRET } }),
    'upstreams[0].http.headers',
    /"a\\r\\nb" is not a header name/,
    /letters/,
  ],
  [
    http({ headers: { A: `${SECRET}\r\nB: c` } }),
    'upstreams[0].http.headers.A',
    /no header can have/,
    /one line/,
  ],
  [
    http({ headers: { A: `${SECRET}\n` } }),
    'upstreams[0].http.headers.A',
    /no header can have/,
    /line break/,
  ],
  [http({ headers: { A: ` ${SECRET}` } }), 'upstreams[0].http.headers.A', /no header can have/, /blanks/],
  [http({ headers: { A: `${SECRET}\0` } }), 'upstreams[0].http.headers.A', /no header can have/, /Latin/],
  [http({ headers: { A: `${SECRET}…` } }), 'upstreams[0].http.headers.A', /no header can have/, /Latin/],
  [
    http({ headers: { Host: SECRET } }),
    'upstreams[0].http.headers.Host',
    /sets this header itself/,
    /remove/,
  ],
  [
    http({ headers: { 'MCP-Session-Id': SECRET } }),
    'upstreams[0].http.headers.MCP-Session-Id',
    /sets this header itself/,
    /remove/,
  ],
  [
    http({ headers: { 'Transfer-Encoding': 'chunked' } }),
    'upstreams[0].http.headers.Transfer-Encoding',
    /sets this/,
    /remove/,
  ],
  [
    http({ headers: { 'X-A': SECRET, 'x-a': SECRET } }),
    'upstreams[0].http.headers.x-a',
    /given twice/,
    /keep one/,
  ],
  [stdio({ command: '' }), 'upstreams[0].stdio.command', /missing/, /npx/],
  [stdio({ command: ' ' }), 'upstreams[0].stdio.command', /missing/, /npx/],
  [stdio({ command: 'a\0b' }), 'upstreams[0].stdio.command', /NUL/, /remove/],
  [stdio({ args: ['x', 'a\0'] }), 'upstreams[0].stdio.args[1]', /NUL/, /remove/],
  [stdio({ cwd: '/\0' }), 'upstreams[0].stdio.cwd', /NUL/, /remove/],
  [stdio({ env: { A: `${SECRET}\0` } }), 'upstreams[0].stdio.env.A', /NUL/, /remove/],
  [stdio({ env: { 'A=B': SECRET } }), 'upstreams[0].stdio.env', /"A=B" is not a name/, /without =/],
  [stdio({ env: { '': SECRET } }), 'upstreams[0].stdio.env', /"" is not a name/, /name/],
  [stdio({ maxProcesses: 10_001 }), 'upstreams[0].stdio.max_processes', /out of range/, /10000/],
];

describe('what is refused', () => {
  it.each(REFUSALS.map((row) => [row[1], row[2].source, row] as const))('%s: %s', (path, _, row) => {
    const [json, , message, hint] = row;
    const problems = validate(json);
    expect(problems).toContainEqual({
      severity: 'error',
      path,
      message: expect.stringMatching(message),
      hint: expect.stringMatching(hint),
    });
    expect(problems.filter(({ severity }) => severity === 'error')).toHaveLength(1);
    expect(JSON.stringify(problems)).not.toContain(SECRET);
  });

  it('two upstreams of one name, once', () => {
    const upstream = { name: 'a', stdio: { command: 'c' } };
    expect(validate({ upstreams: [upstream, upstream] })).toMatchObject([
      { severity: 'error', path: 'upstreams[1].name', message: 'upstreams[0] has the same name' },
    ]);
  });

  it('two upstreams of one id, also where it is the name of the other', () => {
    const stdioUpstream = { stdio: { command: 'c' } };
    for (const [first, second] of [
      [
        { name: 'a', id: 'x' },
        { name: 'b', id: 'x' },
      ],
      [{ name: 'a' }, { name: 'b', id: 'a' }],
    ] as [JsonObject, JsonObject][]) {
      expect(
        validate({
          upstreams: [
            { ...first, ...stdioUpstream },
            { ...second, ...stdioUpstream },
          ],
        }),
      ).toMatchObject([
        { severity: 'error', path: 'upstreams[1].id', message: 'upstreams[0] has the same id' },
      ]);
    }
  });
});

describe('metrics and health for other machines', () => {
  const address = { host: '0.0.0.0', port: 9090 };

  it.each(['metrics', 'health'])('%s are refused as the client address is', (name) => {
    expect(validate(withGateway({ [name]: address }))).toMatchObject([
      { severity: 'error', path: `gateway.${name}.host` },
    ]);
  });

  it.each(['metrics', 'health'])('%s are served where somebody said so', (name) => {
    expect(validate(withGateway({ [name]: address, listen: { insecure: true } }))).toEqual([]);
  });
});

describe('what is worth a warning', () => {
  it.each<[string, JsonObject, string]>([
    ['no upstreams', {}, 'upstreams'],
    ['only disabled upstreams', { upstreams: [{ name: 'a', disabled: true }] }, 'upstreams'],
    ['an admin token in the open', admin({ host: '0.0.0.0', token: ADMIN_TOKEN }), 'gateway.admin.host'],
    [
      'a token in the open',
      http({ url: 'http://h.example/', headers: { authorization: SECRET } }),
      'upstreams[0].http.headers.authorization',
    ],
    ['the gateway itself', http({ url: 'http://localhost:8080/mcp' }), 'upstreams[0].http.url'],
  ])('%s', (_, json, path) => {
    const problems = validate(json);
    expect(problems).toMatchObject([{ severity: 'warning', path }]);
    expect(JSON.stringify(problems)).not.toContain(SECRET);
  });

  it('a token to this machine is none', () => {
    expect(validate(http({ url: 'http://[::1]:3000/', headers: { Authorization: 'x' } }))).toEqual([]);
  });

  it.each(['http://127.0.0.1:8081/mcp', 'http://h.example:8080/mcp'])('another server is none: %s', (url) => {
    expect(validate(http({ url }))).toEqual([]);
  });

  it('an empty message is not refused', () => {
    expect(validateConfiguration(create(ConfigurationSchema))).toMatchObject([{ severity: 'warning' }]);
  });
});
