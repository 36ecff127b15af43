import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type RunningGateway, startGateway } from '../gateway.js';
import {
  closeClients,
  connect,
  KINDS,
  type Kind,
  LEGACY_KINDS,
  type OfficialClient,
} from './official-client.js';
import { PLACE_NAMES, PLACES } from './places.js';
import { type HttpServer, startFixtureOver } from './upstreams.js';

/* "My server does not speak HTTP over TCP, and nobody who uses it has to know." */

const UPSTREAM_LOST = -31004;
const PATIENCE = { timeout: 20_000 };
const STORY_LIMIT_MS = 90_000;

let folder: string;
let gateway: RunningGateway;
let server: HttpServer | undefined;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));
afterEach(async () => {
  await closeClients();
  await gateway?.stop();
  await server?.kill();
  server = undefined;
});

type Transport = 'unix' | 'websocket' | 'sse';

function start(transport: Transport, era: 'modern' | 'legacy'): Promise<HttpServer> {
  const place = transport === 'unix' ? { socket: join(folder, 'mcp.sock') } : { port: server?.port ?? 0 };
  return startFixtureOver(transport, era, place);
}

async function serve(transport: Transport, era: 'modern' | 'legacy'): Promise<void> {
  server = await start(transport, era);
  const { url } = server;
  const entry = transport === 'sse' ? { sse: { url } } : { url };
  gateway = await startGateway({ workers: 2, config: { upstreams: [{ name: 'fixture', ...entry }] } });
}

/** `npm test` has each transport and each era once; the matrix has all of them with every client. */
const SERVERS = [
  ['unix', 'modern'],
  ['websocket', 'legacy'],
  ['sse', 'legacy'],
  ...(process.env.SLUICE_TEST_FULL === '1'
    ? ([
        ['unix', 'legacy'],
        ['websocket', 'modern'],
      ] as const)
    : []),
] as const;

describe.each(SERVERS)('a server over %s, era %s', (transport, era) => {
  it(
    'serves every client, and again after it was killed',
    async () => {
      await serve(transport, era);
      const users: { who: string; client: OfficialClient; tool: string }[] = [];
      for (const place of PLACE_NAMES) {
        const { path, name } = PLACES[place];
        for (const kind of KINDS) {
          const client = await connect(kind, gateway.url + path('fixture'));
          users.push({ who: `${kind} on ${place}`, client, tool: name('fixture', 'test_simple_text') });
        }
      }
      for (const { who, client, tool } of users) {
        expect(await client.toolNames(), who).toContain(tool);
        expect(await client.say(tool), who).toMatch(/simple/);
      }
      await server?.kill();
      server = await start(transport, era);
      for (const { who, client, tool } of users) {
        const said = () => client.say(tool).catch((error: Error) => error.message);
        await expect.poll(said, { ...PATIENCE, message: who }).toMatch(/simple/);
      }
    },
    STORY_LIMIT_MS,
  );

  it(
    'asks every client, and tells it what is new',
    async () => {
      await serve(transport, era);
      for (const place of PLACE_NAMES) {
        const { path, name } = PLACES[place];
        for (const kind of KINDS) {
          const who = `${kind} on ${place}`;
          const client = await connect(kind, gateway.url + path('fixture'), {
            onElicit: () => ({ action: 'accept', content: { name: who } }),
          });
          const asking = name('fixture', 'test_input_required_result_elicitation');
          expect(await client.say(asking), who).toBe(`Hello, ${who}!`);
          if (client.isModern) await client.v2?.listen({ toolsListChanged: true });
          const changed = 'notifications/tools/list_changed';
          const news = () => client.heard.filter(({ method }) => method === changed).length;
          const before = news();
          await client.say(name('fixture', 'test_trigger_tool_change'));
          await expect.poll(news, { ...PATIENCE, message: who }).toBeGreaterThan(before);
        }
      }
    },
    STORY_LIMIT_MS,
  );

  it(
    'that is killed in the middle of a call loses the call, and says so',
    async () => {
      await serve(transport, era);
      for (const kind of KINDS) {
        // After the second loss in a short time the gateway waits a little, and says so to whoever comes meanwhile.
        const client = await vi.waitFor(() => connect(kind, `${gateway.url}/mcp/fixture`), PATIENCE);
        await expect
          .poll(() => client.say('test_simple_text').catch((error: Error) => error.message), PATIENCE)
          .toMatch(/simple/);
        const file = join(folder, `${transport}-${era}-${kind}`);
        const ended = client.call('test_wait', { file }).then(
          () => 'an answer',
          (error: Error & { code?: number }) => error.code,
        );
        await expect.poll(() => readFile(file, 'utf8').catch(() => ''), PATIENCE).toBe('running');
        await server?.kill();
        expect(await ended, kind).toBe(UPSTREAM_LOST);
        server = await start(transport, era);
      }
    },
    STORY_LIMIT_MS,
  );
});

describe.each(['unix', 'websocket', 'sse'] as const)('a legacy server over %s', (transport) => {
  it(
    'has a session for each legacy client, with what it told the server, before and after a restart',
    async () => {
      await serve(transport, 'legacy');
      const clients: OfficialClient[] = [];
      for (const [index, kind] of LEGACY_KINDS.entries()) {
        clients.push(
          await connect(kind, `${gateway.url}/mcp/fixture`, {
            onElicit: () => ({ action: 'accept', content: { name: `Ada ${index}` } }),
          }),
        );
      }
      for (const client of clients) {
        const [watched] = (await client.resourceUris()).filter((uri) => uri.includes('watched'));
        await client.subscribe(watched as string);
        await client.setLevel('info');
      }
      for (let restart = 0; restart < 2; restart++) {
        for (const [index, client] of clients.entries()) {
          const before = client.heard.length;
          const asked = () =>
            client.say('test_input_required_result_elicitation').catch((error: Error) => error.message);
          await expect.poll(asked, PATIENCE).toBe(`Hello, Ada ${index}!`);
          const heard = (method: string) => client.heard.slice(before).some((each) => each.method === method);
          await expect
            .poll(async () => {
              await client.say('test_trigger_resource_update');
              await client.say('test_logging_tool');
              return heard('notifications/resources/updated') && heard('notifications/message');
            }, PATIENCE)
            .toBe(true);
        }
        await server?.kill();
        server = await start(transport, 'legacy');
      }
    },
    STORY_LIMIT_MS,
  );
});

it('a WebSocket server has no more connections than it may: one that is shared, and those of clients', async () => {
  server = await startFixtureOver('websocket', 'legacy');
  const websocket = { url: server.url, max_connections: 3 };
  gateway = await startGateway({ workers: 1, config: { upstreams: [{ name: 'fixture', websocket }] } });
  const onRoots = () => ({ roots: [] });
  const clients = await Promise.all(
    ['SDK v1', 'SDK v2 legacy'].map((kind) =>
      connect(kind as Kind, `${gateway.url}/mcp/fixture`, { onRoots }),
    ),
  );
  for (const client of clients) expect(await client.say('test_simple_text')).toMatch(/simple/);
  await expect(connect('SDK v1', `${gateway.url}/mcp/fixture`, { onRoots })).rejects.toThrow(
    /max_connections/,
  );
  await clients[0]?.close();
  await expect
    .poll(
      () => connect('SDK v1', `${gateway.url}/mcp/fixture`, { onRoots }).then(() => 'connected', String),
      PATIENCE,
    )
    .toBe('connected');
});
