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
    admin: record('admin', EXIT.ok),
    audit: record('audit', EXIT.ok),
    completion: record('completion', EXIT.ok),
    createKey: record('createKey', EXIT.configuration),
    createToken: record('createToken', EXIT.ok),
    controlPlane: record('controlPlane', EXIT.ok),
    hashPassword: record('hashPassword', EXIT.usage),
    pin: record('pin', EXIT.ok),
    newPlugin: record('newPlugin', EXIT.ok),
    testPlugin: record('testPlugin', EXIT.ok),
    packPlugin: record('packPlugin', EXIT.ok),
    testPolicy: record('testPolicy', EXIT.unexpected),
    explainPolicy: record('explainPolicy', EXIT.ok),
    replayPolicy: record('replayPolicy', EXIT.ok),
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

describe('the commands of a cluster', () => {
  const common = { server: ['127.0.0.1:7070'], timeout: 30_000, color: true };

  test.each<[string, object]>([
    ['config get', { name: 'get', what: undefined, flags: { revision: 0n } }],
    [
      'config get upstream/files -t acme --filter name=f* --revision 3 -o yaml --no-color',
      {
        name: 'get',
        what: 'upstream/files',
        flags: { tenant: 'acme', filter: 'name=f*', revision: 3n, output: 'yaml', color: false },
      },
    ],
    [
      'config apply -f a.yaml -f - -t acme --prune --prune-tenant acme --prune-kind limit --prune-label a=b --dry-run',
      {
        name: 'apply',
        flags: {
          file: ['a.yaml', '-'],
          tenant: 'acme',
          prune: true,
          pruneTenant: ['acme'],
          pruneKind: ['limit'],
          pruneLabel: ['a=b'],
          dryRun: true,
          deadline: 30_000,
        },
      },
    ],
    ['config diff 3 5', { name: 'diff', from: 3n, to: 5n, flags: {} }],
    ['config diff -f a.yaml', { name: 'diff', from: undefined, to: undefined, flags: { file: ['a.yaml'] } }],
    [
      'config history -n 3 --kind limit --name a --author ada',
      { name: 'history', revision: undefined, flags: { count: 3, kind: 'limit', name: 'a', author: 'ada' } },
    ],
    [
      'config rollback 4 -m why --expect-revision 5 --idempotency-key k --wait 50% --deadline 2m',
      {
        name: 'rollback',
        revision: 4n,
        flags: {
          message: 'why',
          expectRevision: 5n,
          idempotencyKey: 'k',
          wait: '50%',
          deadline: 120_000,
        },
      },
    ],
    [
      'config wait 4 --for region:eu',
      { name: 'wait', revision: 4n, flags: { for: 'region:eu', deadline: 30_000 } },
    ],
    ['config export', { name: 'export', flags: { revision: 0n } }],
    [
      'config apply -f a --rollout region:eu,region:us:50%,100% --pause 5m --limit errors=2 --limit arrival=1h',
      {
        name: 'apply',
        flags: {
          file: ['a'],
          deadline: 30_000,
          rollout: [{ region: 'eu' }, { region: 'us', percent: 50 }, { percent: 100 }],
          pause: 300_000,
          limit: { errors: 2, arrival: 3_600_000 },
        },
      },
    ],
    [
      'config apply -f a --rollout callers:5%,region:eu:callers:5%,50%:callers:9%,region:eu:50%:callers:100%',
      {
        name: 'apply',
        flags: {
          file: ['a'],
          deadline: 30_000,
          rollout: [
            { callersPercent: 5 },
            { region: 'eu', callersPercent: 5 },
            { percent: 50, callersPercent: 9 },
            { region: 'eu', percent: 50, callersPercent: 100 },
          ],
        },
      },
    ],
    [
      'config rollback 3 --rollout',
      { name: 'rollback', revision: 3n, flags: { rollout: [], deadline: 30_000 } },
    ],
    [
      'rollout status 3 --follow --deadline 5m',
      { name: 'rolloutStatus', revision: 3n, flags: { follow: true, deadline: 300_000 } },
    ],
    ['rollout list -n 3', { name: 'rollouts', flags: { count: 3 } }],
    ['rollout promote', { name: 'promote', revision: undefined, flags: {} }],
    ['rollout abort 3 --reason slow', { name: 'abort', revision: 3n, flags: { reason: 'slow' } }],
    ['config import a.json', { name: 'import', file: 'a.json', flags: { deadline: 30_000 } }],
    ['nodes --region eu', { name: 'nodes', flags: { region: 'eu' } }],
    ['nodes drain eu-1 --reason why', { name: 'drain', node: 'eu-1', flags: { reason: 'why' } }],
    [
      'nodes events --server a:1,b:2 --token-file t --ca c --cert d --key e --timeout 500ms',
      {
        name: 'events',
        node: undefined,
        flags: {
          count: 20,
          server: ['a:1', 'b:2'],
          tokenFile: 't',
          ca: 'c',
          cert: 'd',
          key: 'e',
          timeout: 500,
        },
      },
    ],
  ])('%s', async (line, command) => {
    const { flags, ...rest } = command as { flags: object };
    const { called } = await run(...line.split(' '));
    expect(called).toEqual([['admin', { ...rest, flags: { ...common, ...flags } }]]);
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
    [['config'], 'Usage: sluice config'],
    [['config', 'aply'], 'Did you mean apply?'],
    [['config', 'apply'], "required option '-f, --file <path>' not specified"],
    [['config', 'diff', '3', '-f', 'a.yaml'], 'give revisions, or files with -f, and not both'],
    [['config', 'rollback'], "missing required argument 'revision'"],
    [['config', 'rollback', 'last'], 'Give the number of a revision.'],
    [['config', 'wait', '--for', '0%'], 'Give any, all, region:NAME, or a share from 1% to 100%.'],
    [['config', 'wait', '--deadline', '30'], 'Give a time up to 10m, such as 500ms, 30s or 5m.'],
    [['config', 'history', '-n', '0'], 'Give a number from 1 to 10000.'],
    [['config', 'apply', '-f', 'a', '--prune-label', 'a'], 'Give name=value.'],
    [['config', 'apply', '-f', 'a', '--rollout', '0%'], 'Give shares and regions'],
    [['config', 'apply', '-f', 'a', '--rollout', 'eu'], 'Give shares and regions'],
    [['config', 'apply', '-f', 'a', '--rollout', 'callers:0%'], 'Give shares and regions'],
    [['config', 'apply', '-f', 'a', '--rollout', 'callers:5%:50%'], 'Give shares and regions'],
    [['config', 'apply', '-f', 'a', '--rollout', '5%:'], 'Give shares and regions'],
    [['config', 'apply', '-f', 'a', '--limit', 'nodes=1'], 'Give one of refusals, errors'],
    [['rollout', 'abort', 'now'], 'Give the number of a revision.'],
    [['nodes', 'drain'], "missing required argument 'node'"],
    [['completion', 'tcsh'], 'Allowed choices are bash, zsh, fish.'],
    [['validat', 'x'], 'Did you mean validate?'],
    [[], 'Usage: sluice'],
  ])('%j', async (argv, message) => {
    const { code, called } = await run(...argv);
    expect(err).toContain(message);
    expect([code, called]).toEqual([EXIT.usage, []]);
  });
});

describe('help', () => {
  test.each([
    ...['serve', 'stdio', 'validate', 'health', 'keys', 'keys create', 'keys hash-password', 'version'],
    ...['config', 'config get', 'config apply', 'nodes', 'nodes drain', 'completion'],
  ])('of %s has examples and exit codes', async (command) => {
    const { code } = await run(...command.split(' '), '--help');
    expect(code).toBe(EXIT.ok);
    expect(out).toContain(`Usage: sluice ${command} `);
    expect(out).toMatch(new RegExp(`Examples:\n(.*\n)* {2}\\$ sluice ${command}`));
    for (const [exitCode, meaning] of EXIT_MEANINGS) expect(out).toContain(`${exitCode}  ${meaning}`);
  });

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
