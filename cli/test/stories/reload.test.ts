import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../gateway.js';
import { health, metric } from './gateway-metrics.js';
import { closeClients, connect, KINDS } from './official-client.js';
import { descendants } from './processes.js';
import { type HttpServer, plain, startPlain, type UpstreamEntry } from './upstreams.js';

/* "I change the file while people work, and those whom it does not concern notice nothing." */

const PATIENCE = { timeout: 20_000 };
const STORY_LIMIT_MS = 90_000;

let gateway: RunningGateway;
let server: HttpServer | undefined;
let folder: string | undefined;

afterEach(async () => {
  await closeClients();
  await gateway?.stop();
  await server?.kill();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  server = undefined;
  folder = undefined;
});

const write = (upstreams: UpstreamEntry[], more: object = {}) =>
  writeFile(gateway.configFile, JSON.stringify({ ...more, upstreams }));

async function serve(upstreams: UpstreamEntry[]): Promise<void> {
  gateway = await startGateway({ config: { upstreams } });
}

const logged = (text: string) => expect.poll(() => gateway.logs(), PATIENCE).toContain(text);

it('an added upstream appears and a removed one goes, for clients that are connected', {
  timeout: STORY_LIMIT_MS,
}, async () => {
  // What is removed is kept for as long as a shutdown would wait for it.
  const brief = { gateway: { shutdown_grace: '1s' } };
  gateway = await startGateway({ config: { ...brief, upstreams: [plain('stays'), plain('goes')] } });
  const clients = await Promise.all(KINDS.map((kind) => connect(kind, `${gateway.url}/mcp`)));
  for (const client of clients) {
    expect(await client.say('goes__echo', { text: 'still here' })).toBe('still here');
  }
  const processesBefore = descendants(gateway.pid).length;
  await write([plain('stays'), plain('comes')], brief);
  for (const client of clients) {
    await expect.poll(() => client.toolNames(), PATIENCE).toContain('comes__echo');
    expect(await client.toolNames()).not.toContain('goes__echo');
    expect(await client.say('comes__echo', { text: 'new' })).toBe('new');
    expect(await client.say('stays__echo', { text: 'as before' })).toBe('as before');
    await expect(client.call('goes__echo', { text: 'gone' })).rejects.toThrow(/Unknown tool: goes__echo/);
    if (!client.isModern) {
      const heard = () => client.heard.map(({ method }) => method);
      await expect.poll(heard, PATIENCE).toContain('notifications/tools/list_changed');
    }
  }
  expect((await fetch(`${gateway.url}/mcp/goes`, { method: 'POST' })).status).toBe(404);
  // The process of the one that went goes with it.
  await expect.poll(() => descendants(gateway.pid).length, PATIENCE).toBe(processesBefore);
});

it('sessions and calls of an upstream that the change does not concern go on', {
  timeout: STORY_LIMIT_MS,
}, async () => {
  const stays = [plain('shared'), plain('own', [], { sharing: 'per_session' })];
  await serve([...stays, plain('changes')]);
  const calls: Promise<string>[] = [];
  const expected: string[] = [];
  const paths = ['/mcp/shared', '/mcp/own', '/mcp'];
  const clients = await Promise.all(
    KINDS.flatMap((kind) =>
      paths.map(async (path) => ({
        client: await connect(kind, gateway.url + path),
        prefix: path === '/mcp' ? 'own__' : '',
      })),
    ),
  );
  for (const [index, { client, prefix }] of clients.entries()) {
    const key = `${index}`;
    await client.say(`${prefix}count`);
    let started = () => {};
    const starts = new Promise<void>((resolve) => {
      started = resolve;
    });
    calls.push(client.say(`${prefix}wait`, { key }, { onProgress: () => started() }));
    expected.push(`${key} was released`);
    await starts;
  }
  await write([...stays, plain('changes', ['--tools', 'brand_new'])]);
  const observer = await connect('SDK v1', `${gateway.url}/mcp`);
  await expect.poll(() => observer.toolNames(), PATIENCE).toContain('changes__brand_new');
  for (const [index, { client, prefix }] of clients.entries()) {
    await client.say(`${prefix}release`, { key: `${index}` });
  }
  expect(await Promise.all(calls)).toEqual(expected);
  // The session at the upstream is the same one: it goes on counting.
  const own = clients.filter(({ client, prefix }) => prefix === 'own__' && !client.isModern);
  for (const { client, prefix } of own) expect(await client.say(`${prefix}count`)).toBe('2');
});

it.each(['/mcp', '/mcp/{upstream}'])(
  'a call at an upstream that is removed may end as it began: %s',
  async (path) => {
    server = await startPlain();
    folder = await mkdtemp(join(tmpdir(), 'sluice-stories-'));
    const released = join(folder, 'released');
    const goes = [
      plain('shared'),
      plain('own', [], { sharing: 'per_session' }),
      { name: 'http', url: server.url },
    ];
    const patient = { gateway: { shutdown_grace: '60s' } };
    gateway = await startGateway({ config: { ...patient, upstreams: [plain('stays'), ...goes] } });
    const calls: Promise<string>[] = [];
    const expected: string[] = [];
    for (const kind of KINDS) {
      for (const { name } of goes) {
        const client = await connect(kind, gateway.url + path.replace('{upstream}', name));
        const prefix = path === '/mcp' ? `${name}__` : '';
        const text = `${kind} ${name}`;
        // A failure is an answer here, so that the story shows all of them.
        calls.push(client.say(`${prefix}wait_for_file`, { path: released, text }).catch(String));
        expected.push(text);
      }
    }
    await expect.poll(() => metric(gateway.url, 'sluice_requests_in_flight'), PATIENCE).toBe(calls.length);
    await write([plain('stays')], patient);
    await expect.poll(async () => (await health(gateway.url)).servers, PATIENCE).toBe(1);
    await writeFile(released, '');
    expect(await Promise.all(calls)).toEqual(expected);
  },
  STORY_LIMIT_MS,
);

it('a broken file is refused with its reason, and everything stays until it is right', async () => {
  await serve([plain('one')]);
  const client = await connect('SDK v2 legacy', `${gateway.url}/mcp`);
  const good = await readFile(gateway.configFile, 'utf8');
  for (const broken of ['{ "upstreams": [', '{ "upstreams": [{ "name": "one" }] }', '{ "upstraems": [] }']) {
    const before = gateway.logs().length;
    await writeFile(gateway.configFile, broken);
    await expect
      .poll(() => gateway.logs().slice(before), PATIENCE)
      .toContain('configuration refused; the last good one stays');
    expect(await client.say('one__echo', { text: 'works' })).toBe('works');
  }
  await logged('did you mean upstreams?');
  await writeFile(gateway.configFile, good.replace('"one"', '"two"'));
  await expect.poll(() => client.toolNames(), PATIENCE).toContain('two__echo');
});

it('names change for connected clients when the file says so, and sessions stay', async () => {
  await serve([plain('left'), plain('right')]);
  const client = await connect('SDK v1', `${gateway.url}/mcp`);
  expect(await client.say('left__echo', { text: 'old name' })).toBe('old name');
  await write([plain('left'), plain('right')], { gateway: { naming: { separator: '.' } } });
  await expect.poll(() => client.toolNames(), PATIENCE).toContain('left.echo');
  expect(await client.say('left.echo', { text: 'new name' })).toBe('new name');
});
