import { GATEWAY_SETTINGS, resolveConfiguration, UPSTREAM_SETTINGS } from '@sluice/proto';
import { describe, expect, it } from 'vitest';
import { formatProblem } from '../validation/problem.js';
import { listEnvironmentVariables } from './environment.js';
import { type LoadOptions, loadConfigurationWithoutFile, parseConfiguration } from './load.js';

const FILE = `
gateway: { listen: { port: 1000, allowed_hosts: [file.example] } }
upstreams:
  time: { url: http://127.0.0.1:1/, headers: { X-A: file } }
  my-files: { command: file, args: [file] }
`;

const read = (environment: Record<string, string>, more: LoadOptions & { text?: string } = {}) =>
  parseConfiguration(more.text ?? FILE, { ...more, file: 'f.yaml', environment });

function resolved(environment: Record<string, string>, more: LoadOptions & { text?: string } = {}) {
  const { configuration, problems } = read(environment, more);
  expect(problems).toEqual([]);
  if (!configuration) throw new Error('not accepted');
  return resolveConfiguration(configuration);
}

const formatted = (environment: Record<string, string>, more: LoadOptions & { text?: string } = {}) =>
  read(environment, more).problems.map((problem) => formatProblem(problem));

describe('variables of the gateway', () => {
  it('win over the file, in both lengths', () => {
    expect(resolved({ SLUICE_LISTEN_PORT: '2000' }).gateway.listen.port).toBe(2000);
    expect(resolved({ SLUICE_GATEWAY_LISTEN_PORT: '3000' }).gateway.listen.port).toBe(3000);
  });

  it('take what the file takes', () => {
    const { gateway } = resolved({
      SLUICE_LISTEN_LISTENER: 'node',
      SLUICE_LISTEN_ALLOWED_HOSTS: 'a.example, b.example',
      SLUICE_LISTEN_ALLOWED_ORIGINS: '["https://a.example"]',
      SLUICE_LISTEN_INSECURE: '1',
      SLUICE_LIMITS_MAX_BODY_BYTES: '1MiB',
      SLUICE_DISCOVERY_INTERVAL: '2m',
      SLUICE_NAMING_MODE: 'when_needed',
      SLUICE_LOG_LEVEL: 'debug',
      SLUICE_DEFAULT_UPSTREAM: 'time',
      SLUICE_METRICS_PORT: '9090',
    });
    expect(gateway).toMatchObject({
      listen: {
        listener: 'node',
        allowedHosts: ['a.example', 'b.example'],
        allowedOrigins: ['https://a.example'],
        insecure: true,
      },
      limits: { maxBodyBytes: 1_048_576 },
      discovery: { intervalMs: 120_000 },
      naming: { mode: 'when_needed' },
      log: { level: 'debug' },
      defaultUpstream: 'time',
      metrics: { host: '127.0.0.1', port: 9090 },
    });
  });

  it('are as good as none when empty', () => {
    expect(resolved({ SLUICE_LISTEN_PORT: '', SLUICE_NONSENSE: '' }).gateway.listen.port).toBe(1000);
  });

  it('have effect for every setting there is', () => {
    const samples: Record<string, string> = {
      text: 'sample',
      number: '99',
      boolean: 'true',
      duration: '99s',
      bytes: '65536',
      'list of texts': 'sample',
      'map of texts': '{"sample": "x"}',
    };
    for (const setting of [...GATEWAY_SETTINGS, ...UPSTREAM_SETTINGS]) {
      const field = setting.fields.at(-1);
      const word = field?.fieldKind === 'enum' ? field.enum.values[1]?.localName : undefined;
      const owner = setting.path.startsWith('stdio.') ? 'MY_FILES' : 'TIME';
      for (const name of setting.environmentNames) {
        const variable = name.replace('<NAME>', owner);
        const { problems } = read({ [variable]: word ?? (samples[setting.type] as string) });
        // Validation may refuse the sample, and then names the variable: either way it has been read.
        for (const problem of problems) {
          expect(problem.message, variable).not.toMatch(/sets nothing|^`|not a list of|not a JSON/);
        }
      }
    }
  });
});

describe('variables of upstreams', () => {
  it('are found by the name in upper case', () => {
    const { upstreams } = resolved({
      SLUICE_UPSTREAMS_TIME_URL: 'http://127.0.0.1:2/',
      SLUICE_UPSTREAMS_TIME_HEADERS: '{"X-B": "c"}',
      SLUICE_UPSTREAMS_TIME_ERA: 'modern',
      SLUICE_UPSTREAMS_MY_FILES_ARGS: '["a, b", "c"]',
      SLUICE_UPSTREAMS_MY_FILES_STDIO_SHARING: 'per_session',
      SLUICE_UPSTREAMS_MY_FILES_TIMEOUT: '9s',
    });
    expect(upstreams).toMatchObject([
      { era: 'modern', transport: { url: 'http://127.0.0.1:2/', headers: { 'X-B': 'c' } } },
      { timeoutMs: 9000, transport: { command: 'file', args: ['a, b', 'c'], sharing: 'per_session' } },
    ]);
  });

  it('belong to the transport that the url means', () => {
    const webSocket = { url: 'ws://127.0.0.1:2/', headers: { 'X-A': 'file' }, maxConnectionCount: 9 };
    const environment = {
      SLUICE_UPSTREAMS_TIME_URL: 'ws://127.0.0.1:2/',
      SLUICE_UPSTREAMS_TIME_MAX_CONNECTIONS: '9',
    };
    expect(resolved(environment).upstreams[0]?.transport).toEqual({ kind: 'websocket', ...webSocket });
    const text = 'upstreams: {time: {url: "ws://127.0.0.1:1/", headers: {X-A: file}}}';
    expect(resolved(environment, { text }).upstreams[0]?.transport).toEqual({
      kind: 'websocket',
      ...webSocket,
    });
    const back = { SLUICE_UPSTREAMS_TIME_URL: 'http://127.0.0.1:2/' };
    expect(resolved(back, { text }).upstreams[0]?.transport).toMatchObject({
      kind: 'http',
      url: 'http://127.0.0.1:2/',
      headers: { 'X-A': 'file' },
    });
  });

  it('belong to the transport that they name', () => {
    const { configuration, problems } = loadConfigurationWithoutFile({
      environment: {
        SLUICE_UPSTREAMS_A_SSE_URL: 'http://127.0.0.1:1/',
        SLUICE_UPSTREAMS_A_SSE_HEADERS: '{"X-B": "c"}',
        SLUICE_UPSTREAMS_B_WEBSOCKET_URL: 'ws://127.0.0.1:1/',
        SLUICE_UPSTREAMS_B_HEADERS: '{"X-B": "c"}',
      },
    });
    expect(problems).toEqual([]);
    expect(configuration && resolveConfiguration(configuration).upstreams).toMatchObject([
      { name: 'a', transport: { kind: 'sse', headers: { 'X-B': 'c' } } },
      { name: 'b', transport: { kind: 'websocket', headers: { 'X-B': 'c' } } },
    ]);
  });

  it('can disable one', () => {
    expect(resolved({ SLUICE_UPSTREAMS_TIME_DISABLED: 'true' }).upstreams.map(({ name }) => name)).toEqual([
      'my-files',
    ]);
  });

  it('belong to the upstream with the longest name that fits', () => {
    const text = 'upstreams: {a: {url: http://127.0.0.1:1/}, a_http: {url: http://127.0.0.1:2/}}';
    const { upstreams } = resolved({ SLUICE_UPSTREAMS_A_HTTP_URL: 'http://127.0.0.1:3/' }, { text });
    expect(upstreams.map(({ transport }) => transport.kind === 'http' && transport.url)).toEqual([
      'http://127.0.0.1:1/',
      'http://127.0.0.1:3/',
    ]);
  });

  it('make upstreams where there are none', () => {
    const { configuration, problems } = loadConfigurationWithoutFile({
      environment: {
        SLUICE_UPSTREAMS_TIME_URL: 'http://127.0.0.1:1/',
        SLUICE_UPSTREAMS_TIME_HEADERS: '{"X-B": "c"}',
        SLUICE_UPSTREAMS_MY_FILES_STDIO_COMMAND: 'npx',
        SLUICE_UPSTREAMS_MY_FILES_ARGS: '-y,server',
      },
    });
    expect(problems).toEqual([]);
    expect(configuration && resolveConfiguration(configuration).upstreams).toMatchObject([
      { name: 'my_files', transport: { command: 'npx', args: ['-y', 'server'], cwd: '' } },
      { name: 'time', transport: { url: 'http://127.0.0.1:1/', headers: { 'X-B': 'c' } } },
    ]);
  });
});

describe('what is wrong with a variable', () => {
  it.each<[Record<string, string>, string]>([
    [
      { SLUICE_LISTEN_PORT: 'x' },
      'SLUICE_LISTEN_PORT: error: gateway.listen.port: `x` is not a whole number',
    ],
    [
      { SLUICE_LISTEN_PORT: '70000' },
      'SLUICE_LISTEN_PORT: error: gateway.listen.port: 70000 is out of range',
    ],
    [
      { SLUICE_LISTEN_HOST: '0.0.0.0' },
      'SLUICE_LISTEN_HOST: error: gateway.listen.host: 0.0.0.0 can be reached',
    ],
    [{ SLUICE_DISCOVERY_INTERVAL: '10' }, '`10` is a duration without a unit'],
    [
      { SLUICE_LISTEN_PORT: '1', SLUICE_GATEWAY_LISTEN_PORT: '1' },
      'SLUICE_LISTEN_PORT: error: gateway.listen.port: SLUICE_GATEWAY_LISTEN_PORT sets it too',
    ],
    [{ SLUICE_LISTEN_ALLOWED_HOSTS: '[1]' }, 'gateway.listen.allowed_hosts: not a list of texts'],
    [{ SLUICE_LISTEN_ALLOWED_HOSTS: '["a"' }, 'gateway.listen.allowed_hosts: not a list of texts'],
    [
      { SLUICE_UPSTREAMS_TIME_HEADERS: 'X-A: hunter2' },
      'upstreams[0].http.headers: not a JSON object of texts',
    ],
    [
      { SLUICE_UPSTREAMS_TIME_HEADERS: '["hunter2"]' },
      'upstreams[0].http.headers: not a JSON object of texts',
    ],
    [
      { SLUICE_UPSTREAMS_TIME_SSE_URL: 'http://127.0.0.1:1/' },
      'upstreams[0].sse.url: the upstream is reached over http',
    ],
    [{ SLUICE_UPSTREAMS_TIME_HEADERS: '{"__proto__": "hunter2"}' }, 'not a JSON object of texts'],
    [
      { SLUICE_UPSTREAMS_TIME_COMMAND: 'npx' },
      'SLUICE_UPSTREAMS_TIME_COMMAND: error: upstreams[0].stdio.command: the upstream is reached over http',
    ],
  ])('%j', (environment, message) => {
    const problems = formatted(environment);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(message);
    expect(problems.join()).not.toContain('hunter2');
  });

  it('is zero for every setting that cannot be zero', () => {
    const text = `${FILE}  socket: { url: ws://127.0.0.1:1/ }\n`;
    const owners = new Map([
      ['stdio', 'MY_FILES'],
      ['websocket', 'SOCKET'],
    ]);
    const settings = [...GATEWAY_SETTINGS, ...UPSTREAM_SETTINGS].filter(({ range }) => (range?.min ?? 0) > 0);
    expect(settings.length).toBeGreaterThan(20);
    for (const { environmentNames, fields, path, type } of settings) {
      const name = environmentNames.at(-1)?.replace('<NAME>', owners.get(fields[0]?.name ?? '') ?? 'TIME');
      const problems = formatted({ [String(name)]: type === 'duration' ? '0s' : '0' }, { text });
      expect(problems, path).toContainEqual(
        expect.stringMatching(
          new RegExp(`^${name}: error: .*${path}: 0(ms)? is out of range\n.*write a value`),
        ),
      );
    }
  });

  it('is that two upstreams have the same variables', () => {
    const text = 'upstreams: {a-b: {command: c}, a_b: {command: c}}';
    const [problem] = formatted({ SLUICE_UPSTREAMS_A_B_ERA: 'modern' }, { text });
    expect(problem).toContain('SLUICE_UPSTREAMS_A_B_ERA: error: upstreams[0]: means both a-b and a_b');
  });

  it.each([
    ['SLUICE_LISTEN_PROT', 'did you mean SLUICE_LISTEN_PORT?'],
    ['SLUICE_GATEWAY_LISTEN_PROT', 'did you mean SLUICE_GATEWAY_LISTEN_PORT?'],
    ['SLUICE_UPSTREAMS_TIME_URI', 'did you mean SLUICE_UPSTREAMS_TIME_URL?'],
    ['SLUICE_UPSTREAMS_TIM_URL', 'did you mean SLUICE_UPSTREAMS_TIME_URL?'],
    ['SLUICE_PORT', 'did you mean SLUICE_LISTEN_PORT?'],
    ['SLUICE_GATEWAY_PORT', 'did you mean SLUICE_GATEWAY_LISTEN_PORT?'],
    ['SLUICE_HOST', 'did you mean SLUICE_LISTEN_HOST?'],
    ['SLUICE_WORKERS', 'did you mean SLUICE_LISTEN_WORKERS?'],
    ['SLUICE_LEVEL', 'did you mean SLUICE_LOG_LEVEL?'],
    ['SLUICE_LOGGING_LEVEL', 'did you mean SLUICE_LOG_LEVEL?'],
    ['SLUICE_SERVER_MAX_CONNECTIONS', 'did you mean SLUICE_LIMITS_MAX_CONNECTIONS?'],
    ['SLUICE_XXXXXXXXXXXXXXXXXXXXXXXXXX', 'see the reference'],
  ])('is that %s sets nothing', (name, hint) => {
    const { configuration, problems } = read({ [name]: 'x' });
    expect(configuration).toBeDefined();
    expect(problems).toEqual([
      {
        severity: 'warning',
        path: '',
        origin: name,
        message: 'this variable sets nothing',
        hint: expect.stringContaining(hint),
      },
    ]);
  });

  it('is not that somebody else reads it', () => {
    expect(formatted({ SLUICE_CONFIG: 'x' }, { otherVariables: ['SLUICE_CONFIG'] })).toEqual([]);
    expect(formatted({ SLUICE_NODE_NAME: 'x' }, { otherVariables: ['SLUICE_NODE_'] })).toEqual([]);
    expect(formatted({ SLUICE_NODES: 'x' }, { otherVariables: ['SLUICE_NODE_'] })).toHaveLength(1);
    const text = 'upstreams: {a: {command: "${SLUICE_MINE}"}}';
    expect(formatted({ SLUICE_MINE: 'x' }, { text })).toEqual([]);
  });
});

describe('flags', () => {
  it('win over variables and the file', () => {
    const overrides = { host: '::1', port: 4000, workers: '2', listener: 'node', insecure: true };
    const { gateway } = resolved({ SLUICE_LISTEN_PORT: '2000' }, { overrides });
    expect(gateway.listen).toMatchObject({
      host: '::1',
      port: 4000,
      workerCount: 2,
      listener: 'node',
      insecure: true,
      allowedHosts: ['file.example'],
    });
  });

  it('change nothing when they are not given', () => {
    expect(resolved({}, { overrides: { port: undefined } }).gateway.listen.port).toBe(1000);
  });

  it('are named when they are wrong', () => {
    expect(formatted({}, { overrides: { port: 'x' } })[0]).toContain(
      '--port: error: gateway.listen.port: `x` is not',
    );
    expect(formatted({}, { overrides: { workers: 1000 } })[0]).toContain(
      '--workers: error: gateway.listen.workers: 1000 is out',
    );
    expect(formatted({}, { overrides: { host: '0.0.0.0' } })[0]).toContain(
      '--host: error: gateway.listen.host',
    );
    expect(formatted({}, { overrides: { logLevel: 'loud' } })[0]).toContain(
      '--log-level: error: gateway.log',
    );
    expect(formatted({}, { overrides: { listener: 'x' } })[0]).toContain('write one of: auto, uws, node');
  });
});

describe('listEnvironmentVariables', () => {
  it('names every setting but what identifies an upstream', () => {
    const paths = listEnvironmentVariables().map(({ path }) => path);
    const settings = [
      ...GATEWAY_SETTINGS.map(({ path }) => `gateway.${path}`),
      ...UPSTREAM_SETTINGS.map(({ path }) => `upstreams[].${path}`),
    ];
    expect([...paths, 'upstreams[].id', 'upstreams[].name'].sort()).toEqual(settings.sort());
    expect(listEnvironmentVariables()).toContainEqual({
      name: 'SLUICE_UPSTREAMS_<NAME>_URL',
      otherName: 'SLUICE_UPSTREAMS_<NAME>_HTTP_URL',
      path: 'upstreams[].http.url',
      type: 'text',
    });
  });
});
