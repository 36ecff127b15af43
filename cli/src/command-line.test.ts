import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type CommandActions, runCommandLine } from './command-line.js';
import { EXIT, EXIT_MEANINGS } from './exit-codes.js';

let out = '';
let err = '';
beforeEach(() => {
  out = '';
  err = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => !!(out += text));
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => !!(err += text));
});
afterEach(() => vi.restoreAllMocks());

function actions() {
  const called: unknown[][] = [];
  const record =
    (name: string, exitCode: number) =>
    (...args: unknown[]) => {
      called.push([name, ...args]);
      return Promise.resolve(exitCode);
    };
  const commands: CommandActions = {
    serve: record('serve', EXIT.ok),
    dataPlane: record('dataPlane', EXIT.ok),
    stdio: record('stdio', EXIT.ok),
    validate: record('validate', EXIT.configuration),
    health: record('health', EXIT.unhealthy),
    createKey: record('createKey', EXIT.configuration),
    createToken: record('createToken', EXIT.ok),
    controlPlane: record('controlPlane', EXIT.ok),
    hashPassword: record('hashPassword', EXIT.usage),
    newPlugin: record('newPlugin', EXIT.ok),
    testPlugin: record('testPlugin', EXIT.ok),
    packPlugin: record('packPlugin', EXIT.ok),
    version: record('version', EXIT.ok),
  };
  return { called, commands };
}

async function run(...argv: string[]) {
  const { called, commands } = actions();
  return { code: await runCommandLine(argv, commands), called };
}

test('every option of serve arrives', async () => {
  const { called } = await run(
    ...['serve', '-c', 'a.yaml', '-p', '0', '--host', '::1', '--workers', '2', '--listener', 'node'],
    ...['--insecure', '--log-level', 'warn', '--log-format', 'text', '--dev', '--screen'],
  );
  expect(called).toEqual([
    [
      'serve',
      {
        config: 'a.yaml',
        port: 0,
        host: '::1',
        workers: 2,
        listener: 'node',
        insecure: true,
        logLevel: 'warn',
        logFormat: 'text',
        dev: true,
        screen: true,
      },
    ],
  ]);
});

test('what was not typed is absent, so that it hides nothing in the file', async () => {
  expect((await run('serve')).called).toEqual([['serve', {}]]);
});

test('every option of stdio arrives', async () => {
  const local = await run('stdio', '-c', 'a.yaml', '--upstream', 'files', '--log-level', 'warn');
  expect(local.called).toEqual([['stdio', { config: 'a.yaml', upstream: 'files', logLevel: 'warn' }]]);
  const headers = ['--header', 'X-One: 1', '--header', 'X-Two: 2'];
  const relay = await run('stdio', '--connect', 'https://a.example/mcp', ...headers, '--log-format', 'json');
  expect(relay.called).toEqual([
    ['stdio', { connect: 'https://a.example/mcp', header: ['X-One: 1', 'X-Two: 2'], logFormat: 'json' }],
  ]);
});

test('a relay takes no file, but bears with a variable that names one', async () => {
  vi.stubEnv('SLUICE_CONFIG', 'b.yaml');
  const { code, called } = await run('stdio', '--connect', 'https://a.example/mcp');
  vi.unstubAllEnvs();
  expect([code, called]).toEqual([
    EXIT.ok,
    [['stdio', { config: 'b.yaml', connect: 'https://a.example/mcp' }]],
  ]);
});

test('every option of keys create arrives', async () => {
  const plain = await run('keys', 'create', '--consumer', 'ada');
  const usual = { secretEnv: 'SLUICE_KEY_SECRET', output: 'yaml' };
  expect(plain.called).toEqual([['createKey', { consumer: 'ada', ...usual }]]);
  const full = await run(
    ...['keys', 'create', '--consumer', 'ada', '--tenant', 'acme', '--scopes', 'a,b', '--scopes', 'c'],
    ...['--expires', '90d', '--secret-env', 'OTHER', '-o', 'json'],
  );
  const options = {
    tenant: 'acme',
    scopes: ['a,b', 'c'],
    expires: '90d',
    secretEnv: 'OTHER',
    output: 'json',
  };
  expect(full.called).toEqual([['createKey', { consumer: 'ada', ...options }]]);
});

test('the exit code is that of the command', async () => {
  expect((await run('keys', 'create', '--consumer', 'ada')).code).toBe(EXIT.configuration);
  expect(await run('keys', 'hash-password')).toEqual({ code: EXIT.usage, called: [['hashPassword']] });
  expect(await run('validate', 'a.yaml')).toEqual({
    code: EXIT.configuration,
    called: [['validate', 'a.yaml']],
  });
  expect(await run('health')).toEqual({
    code: EXIT.unhealthy,
    called: [['health', 'http://127.0.0.1:8080']],
  });
});

describe('bad usage', () => {
  test.each([
    [['serve', '--port', '70000'], 'Give a port from 0 to 65535.'],
    [['serve', '--port', '80a'], 'Give a port from 0 to 65535.'],
    [['serve', '--workers', '0'], 'Give a number of workers from 1 to 256.'],
    [['serve', '--listener', 'nginx'], 'Allowed choices are auto, uws, node.'],
    [['serve', '--prot', '1'], 'Did you mean --port?'],
    [
      ['serve', 'a.yaml'],
      "'a.yaml' stands without an option; for a configuration file write --config a.yaml",
    ],
    [['stdio', 'a.yaml'], 'write --config a.yaml'],
    [['stdio', '--connect', 'http://a', '-c', 'a.yaml'], 'cannot be used with'],
    [['stdio', '--connect', 'http://a', '--upstream', 'a'], 'cannot be used with'],
    [['keys'], 'Usage: sluice keys'],
    [['keys', 'make'], "unknown command 'make'"],
    [['keys', 'create'], "required option '--consumer <name>' not specified"],
    [['keys', 'create', '--consumer', 'a', '-o', 'xml'], 'Allowed choices are yaml, json.'],
    [['keys', 'hash-password', 'secret'], 'too many arguments'],
    [['validat', 'x'], 'Did you mean validate?'],
    [[], 'Usage: sluice'],
  ])('%j', async (argv, message) => {
    const { code, called } = await run(...argv);
    expect(err).toContain(message);
    expect([code, called]).toEqual([EXIT.usage, []]);
  });
});

describe('help', () => {
  test.each(['serve', 'stdio', 'validate', 'health', 'keys', 'keys create', 'keys hash-password', 'version'])(
    'of %s has examples and exit codes',
    async (command) => {
      const { code } = await run(...command.split(' '), '--help');
      expect(code).toBe(EXIT.ok);
      expect(out).toContain(`Usage: sluice ${command} `);
      expect(out).toMatch(new RegExp(`Examples:\n(.*\n)* {2}\\$ sluice ${command}`));
      for (const [exitCode, meaning] of EXIT_MEANINGS) expect(out).toContain(`${exitCode}  ${meaning}`);
    },
  );

  test('of the whole names every command', async () => {
    const { code } = await run('--help');
    for (const command of ['serve', 'stdio', 'validate', 'health', 'keys', 'version'])
      expect(out).toContain(`\n  ${command} `);
    expect(code).toBe(EXIT.ok);
  });
});

test('the version number alone, for scripts', async () => {
  const { code } = await run('--version');
  expect(out).toMatch(/^\d+\.\d+\.\d+\n$/);
  expect(code).toBe(EXIT.ok);
});
