import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../gateway.js';
import { health } from './gateway-metrics.js';
import { closeClients, connect, KINDS, LEGACY_KINDS, type OfficialClient } from './official-client.js';
import { PLACE_NAMES, PLACES } from './places.js';
import { fixtureOverStdio } from './upstreams.js';

/* "I start a server of 2026-07-28 as a command, and every client that I have can use all of it." */

const WATCHED = 'test://watched-resource';
const PATIENCE = { timeout: 15_000 };

let folder: string;
let gateway: RunningGateway;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-stories-'));
  gateway = await startGateway({ config: { upstreams: [fixtureOverStdio('fixture', 'modern')] } });
});
afterEach(closeClients);
afterAll(async () => {
  await gateway?.stop();
  await rm(folder, { recursive: true, force: true });
});

const heardOf = (client: OfficialClient, method: string) =>
  client.heard.filter((notification) => notification.method === method);

it('is taken for what it is', async () => {
  const upstreams = async () => (await health(gateway.url)).upstreams;
  await expect
    .poll(upstreams, PATIENCE)
    .toMatchObject([{ kind: 'stdio', state: 'ready', era: 'modern', revision: '2026-07-28' }]);
});

describe.each(PLACE_NAMES)('on %s', (place) => {
  const { path, name, uri } = PLACES[place];
  const url = () => gateway.url + path('fixture');
  const own = (tool: string) => name('fixture', tool);

  it.each(KINDS)('%s lists its tools and calls them', async (kind) => {
    const client = await connect(kind, url());
    expect(await client.toolNames()).toContain(own('test_simple_text'));
    expect(await client.say(own('test_simple_text'))).toContain('simple text');
    await expect(client.say(own('test_error_handling'))).rejects.toThrow('failed');
  });

  it.each(KINDS)('%s sees how far a call is', async (kind) => {
    const client = await connect(kind, url());
    const seen: (number | undefined)[][] = [];
    await client.say(
      own('test_tool_with_progress'),
      {},
      { onProgress: ({ progress, total }) => void seen.push([progress, total]) },
    );
    expect(seen).toEqual([
      [0, 100],
      [50, 100],
      [100, 100],
    ]);
  });

  it.each(KINDS)('%s is asked in the middle of a call', async (kind) => {
    const questions: string[] = [];
    const client = await connect(kind, url(), {
      onElicit: ({ message }) => {
        questions.push(message);
        return { action: 'accept', content: { username: 'Ada', email: 'ada@example.com' } };
      },
    });
    const said = await client.say(own('test_elicitation'), { message: `Who uses ${kind}?` });
    expect(said).toContain('"username":"Ada"');
    expect(questions).toEqual([`Who uses ${kind}?`]);
  });

  it.each(KINDS)('%s cancels a call, and the server stops', async (kind) => {
    const client = await connect(kind, url());
    const file = join(folder, `${place} ${kind}`);
    const stop = new AbortController();
    const ended = client.call(own('test_wait'), { file }, { signal: stop.signal }).then(
      () => 'answered',
      () => 'cancelled',
    );
    const stands = () => (existsSync(file) ? readFileSync(file, 'utf8') : '');
    await expect.poll(stands, PATIENCE).toBe('running');
    stop.abort();
    expect(await ended).toBe('cancelled');
    await expect.poll(stands, PATIENCE).toBe('interrupted');
  });

  async function hearsOfBoth(client: OfficialClient): Promise<void> {
    await client.say(own('test_trigger_resource_update'));
    await expect
      .poll(
        () => heardOf(client, 'notifications/resources/updated').map(({ params }) => params.uri),
        PATIENCE,
      )
      .toEqual([uri('fixture', WATCHED)]);
    await client.say(own('test_trigger_tool_change'));
    await expect
      .poll(() => heardOf(client, 'notifications/tools/list_changed').length, PATIENCE)
      .toBeGreaterThan(0);
  }

  it.each(LEGACY_KINDS)('%s hears on its stream of a tool and of a resource that changed', async (kind) => {
    const client = await connect(kind, url());
    await client.subscribe(uri('fixture', WATCHED));
    await hearsOfBoth(client);
  });

  it('SDK v2 2026-07-28 hears of both on its subscription', async () => {
    const client = await connect('SDK v2 2026-07-28', url());
    const wanted = { toolsListChanged: true, resourceSubscriptions: [uri('fixture', WATCHED)] };
    const subscription = await client.v2?.listen(wanted);
    expect(subscription?.honoredFilter).toEqual(wanted);
    await hearsOfBoth(client);
  });
});
