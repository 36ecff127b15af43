import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createApiKey } from '@sluice/plugins/credentials';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../../gateway.js';
import { closeClients, connect, KINDS } from '../official-client.js';
import { descendants } from '../processes.js';
import { type HttpServer, startPlain } from '../upstreams.js';

/* "I write a plugin, pack it, and my gateway runs it; I replace it and take it away while people work." */

const COMMAND = fileURLToPath(new URL('../../../bin/sluice.js', import.meta.url));
const EXAMPLES = fileURLToPath(new URL('../../../../sdk/examples', import.meta.url));
const NAMES = ['redact-emails', 'business-hours', 'tenant-header'] as const;
const SECRET = 'a secret of at least thirty-two characters';

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function sluice(args: readonly string[], cwd: string): Promise<Ran> {
  // The runner of this very test says in the environment that tests run already.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  return promisify(execFile)(process.execPath, [COMMAND, ...args], { cwd, env }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (failed: Ran) => failed,
  );
}

/** The hash that `sluice plugin pack` prints. */
async function packed(folder: string): Promise<string> {
  const { stdout, stderr, code } = await sluice(['plugin', 'pack', folder], tmpdir());
  expect([code, stderr]).toEqual([0, '']);
  return /hash: (sha256-\S{44})/.exec(stdout)?.[1] as string;
}

let folder: string;
let plain: HttpServer;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-elsewhere-'));
  for (const name of NAMES) await cp(join(EXAMPLES, name), join(folder, name), { recursive: true });
  plain = await startPlain();
});
afterAll(async () => {
  await closeClients();
  await plain.kill();
  await rm(folder, { recursive: true, force: true });
});

const place = (name: string, hash: string, more: object = {}) => ({
  plugin: join(folder, name),
  hash,
  ...more,
});
const upstreams = () => [{ name: 'plain', url: plain.url }];

describe('sluice plugin', () => {
  it('makes a plugin that passes its test and can be packed', async () => {
    expect(await sluice(['plugin', 'new', 'my-plugin'], folder)).toMatchObject({ code: 0 });
    expect(await sluice(['plugin', 'test', 'my-plugin'], folder)).toMatchObject({ code: 0 });
    const hash = await packed(join(folder, 'my-plugin'));
    expect(await packed(join(folder, 'my-plugin'))).toBe(hash);
    const manifest = JSON.parse(await readFile(join(folder, 'my-plugin', 'plugin.json'), 'utf8'));
    expect(manifest).toMatchObject({ name: 'my-plugin', interfaceVersion: '1.0.0', reads: ['arguments'] });
    expect(await sluice(['plugin', 'new', 'my-plugin'], folder)).toMatchObject({ code: 2 });
    expect(await sluice(['plugin', 'new', 'My Plugin'], folder)).toMatchObject({ code: 2 });
  });

  it.each(NAMES)('tests the example %s', async (name) => {
    const ran = await sluice(['plugin', 'test', name], folder);
    expect(ran.stdout).toMatch(/# pass [34]|pass [34]/);
    expect(ran.code).toBe(0);
  });

  it('ends with 1 when a test fails, and with 3 when there is no plugin', async () => {
    const broken = join(folder, 'broken');
    await cp(join(EXAMPLES, 'tenant-header'), broken, { recursive: true });
    await writeFile(
      join(broken, 'index.test.js'),
      "import { test } from 'node:test'; test('a', () => { throw 1; });",
    );
    expect(await sluice(['plugin', 'test', broken], folder)).toMatchObject({ code: 1 });
    await writeFile(join(broken, 'index.js'), 'export default 1;');
    const ran = await sluice(['plugin', 'pack', broken], folder);
    expect(ran).toMatchObject({ code: 3 });
    expect(ran.stderr).toContain('no default export that `definePlugin` has made');
  });
});

describe.each(['process', 'pool', 'inline'])('the examples, each with isolation: %s', (isolation) => {
  let gateway: RunningGateway;
  const withTenant = createApiKey(SECRET);
  const without = createApiKey(SECRET);

  beforeAll(async () => {
    const keys = [
      { ...withTenant, consumer: 'ada', tenant: 'acme' },
      { ...without, consumer: 'ben' },
    ].map(({ key: _, ...entry }) => entry);
    const [redact, hours, tenant] = await Promise.all(NAMES.map((name) => packed(join(folder, name))));
    gateway = await startGateway({
      config: {
        upstreams: upstreams(),
        plugins: [
          { plugin: 'auth-api-key', config: { hash_key: SECRET, keys } },
          place('redact-emails/index.js', redact as string, { isolation }),
          place('business-hours', hours as string, {
            isolation,
            config: { days: ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'], from_hour: 0, to_hour: 24 },
          }),
          place('tenant-header', tenant as string, { isolation }),
        ],
      },
    });
  });
  afterAll(() => gateway?.stop());

  it.each(KINDS)('do their duty for %s', async (kind) => {
    const headers = { 'X-API-Key': withTenant.key };
    const client = await connect(kind, `${gateway.url}/mcp`, { headers });
    expect(await client.say('plain__echo', { text: 'ask ada@example.com' })).toContain('ask [address]');
    const metrics = await (await fetch(`${gateway.url}/metrics`)).text();
    expect(metrics).toContain(
      'sluice_plugin_tenant_header_calls_total{binding="tenant-header",tenant="acme"}',
    );
    const other = await connect(kind, `${gateway.url}/mcp`, { headers: { 'X-API-Key': without.key } })
      .then((own) => own.say('plain__echo', { text: 'a' }))
      .catch((thrown: Error) => thrown.message);
    // Modern clients ask before they begin, and are refused there.
    expect(other).toMatch(/this needs a caller who belongs to a tenant|denied access \(HTTP 403\)/);
  });
});

it('upgrades and removes a plugin while calls go on, and leaves nothing of it', async () => {
  const own = join(folder, 'upgraded');
  await cp(join(EXAMPLES, 'redact-emails'), own, { recursive: true });
  const config = (plugins: readonly object[]) =>
    JSON.stringify({ gateway: { shutdown_grace: '1s' }, upstreams: upstreams(), plugins });
  // Gateways of other tests have plugins in the common one, and come and go meanwhile.
  const temporary = await mkdtemp(join(folder, 'temporary-'));
  const gateway = await startGateway({
    config: JSON.parse(config([place('upgraded', await packed(own))])),
    env: { TMPDIR: temporary },
  });
  const processes = () => descendants(gateway.pid).length;
  const stages = () => readdirSync(temporary).filter((name) => name.startsWith('sluice-plugin-')).length;
  try {
    const [withOne, stagesWithOne] = [processes(), stages()];
    expect(stagesWithOne).toBeGreaterThan(0);
    const client = await connect('SDK v2 auto', `${gateway.url}/mcp`);
    const said: string[] = [];
    const failed: unknown[] = [];
    let isOver = false;
    const traffic = [1, 2, 3, 4].map(async () => {
      while (!isOver)
        await client.say('plain__echo', { text: 'ask ada@example.com' }).then(
          (text) => said.push(text),
          (thrown: unknown) => failed.push(thrown),
        );
    });
    await expect.poll(() => said.at(-1)).toContain('ask [address]');

    const source = await readFile(join(own, 'index.js'), 'utf8');
    await writeFile(
      join(own, 'index.js'),
      source.replace("'[address]'", "'[hidden]'").replace('1.0.0', '1.1.0'),
    );
    const hash = await packed(own);
    // The old one goes on from its own copy, although its files are others now.
    expect(said.at(-1)).toContain('ask [address]');
    await writeFile(gateway.configFile, config([place('upgraded', hash)]));
    await expect.poll(() => said.at(-1), { timeout: 15_000 }).toContain('ask [hidden]');

    // What is not what was packed is refused, and the last good one stays.
    await writeFile(join(own, 'index.js'), 'process.exit(1);');
    await writeFile(gateway.configFile, config([place('upgraded', hash, { config: { replacement: '-' } })]));
    await expect
      .poll(() => gateway.logs(), { timeout: 15_000 })
      .toContain('index.js is not the one that was packed');
    expect(said.at(-1)).toContain('ask [hidden]');

    await writeFile(gateway.configFile, config([]));
    await expect.poll(() => said.at(-1), { timeout: 15_000 }).toContain('ask ada@example.com');
    isOver = true;
    await Promise.all(traffic);
    expect(failed).toEqual([]);
    await expect.poll(processes, { timeout: 15_000 }).toBe(withOne - 1);
    await expect.poll(stages, { timeout: 15_000 }).toBe(stagesWithOne - 1);
  } finally {
    await gateway.stop();
  }
});

it.each([
  [
    'another hash',
    (hash: string) => ({ hash: hash.replace(/^sha256-./, 'sha256-_').replace('_', 'A') }),
    'its hash is',
  ],
  ['no hash', () => ({ hash: '' }), 'hash: missing'],
  [
    'a field of its configuration that is wrong',
    (hash: string) => ({ hash, config: { required: 1 } }),
    'config.required',
  ],
])('is refused with %s, without running', async (_, change, message) => {
  const hash = await packed(join(folder, 'tenant-header'));
  const file = join(folder, 'sluice.json');
  const plugins = [{ plugin: './tenant-header', ...change(hash) }];
  await writeFile(file, JSON.stringify({ upstreams: upstreams(), plugins }));
  const ran = await sluice(['validate', file], folder);
  expect([ran.code, ran.stderr]).toEqual([3, expect.stringContaining(message)]);
});

it('is found as a package beside the configuration', async () => {
  const own = join(folder, 'node_modules', '@acme', 'tenant-header');
  await cp(join(EXAMPLES, 'tenant-header'), own, { recursive: true });
  const file = join(folder, 'package.json.yaml');
  const plugin = 'npm:@acme/tenant-header';
  await writeFile(
    file,
    JSON.stringify({ upstreams: upstreams(), plugins: [{ plugin, hash: await packed(own) }] }),
  );
  expect(await sluice(['validate', file], folder)).toMatchObject({ code: 0 });
  await writeFile(file, JSON.stringify({ upstreams: upstreams(), plugins: [{ plugin: 'npm:not-there' }] }));
  expect((await sluice(['validate', file], folder)).stderr).toContain('there is no package not-there');
});
