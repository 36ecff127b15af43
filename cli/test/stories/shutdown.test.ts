import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../gateway.js';
import { health, metric } from './gateway-metrics.js';
import { closeClients, connect, KINDS } from './official-client.js';
import { descendants, isAlive } from './processes.js';
import { beginSession, lastMessage, postModern } from './raw-http.js';
import { type HttpServer, plain, startPlain } from './upstreams.js';

/* "I stop it, or it is stopped for me, and nobody loses what is under way." */

const PATIENCE = { timeout: 20_000 };
const STORY_LIMIT_MS = 90_000;
const STREAM_PATHS = ['/mcp', '/mcp', '/mcp/shared', '/mcp/own', '/mcp/http'];

let folder: string | undefined;
let gateway: RunningGateway | undefined;
let server: HttpServer | undefined;

afterEach(async () => {
  await closeClients();
  await gateway?.stop();
  await server?.kill();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  gateway = undefined;
  server = undefined;
  folder = undefined;
});

async function serve(shutdownGrace = '60s', workers = 1): Promise<RunningGateway> {
  server = await startPlain();
  gateway = await startGateway({
    workers,
    config: {
      gateway: { shutdown_grace: shutdownGrace },
      upstreams: [
        plain('shared'),
        plain('own', [], { sharing: 'per_session' }),
        { name: 'http', url: server.url },
      ],
    },
  });
  return gateway;
}

const underWay = (url: string) => metric(url, 'sluice_requests_in_flight');

/** Streams that stay open until the gateway ends them: that of a session, and a subscription. */
async function openStreams(url: string): Promise<Response[]> {
  const session = await beginSession(url);
  const params = { notifications: { toolsListChanged: true } };
  const subscription = await postModern(url, 'subscriptions/listen', params);
  return [await session.listen(), subscription];
}

/** How a stream ended: with its final response, properly without one, or broken. */
async function endOf(stream: Response): Promise<string> {
  try {
    return (await lastMessage(stream)).result === undefined ? 'ended' : 'answered';
  } catch (thrown) {
    return `broken: ${thrown}`;
  }
}

describe('SIGTERM in the middle of calls', () => {
  it.each([1, 2])(
    'with %i worker threads takes nothing new, lets all of them end, then ends with all that it has started',
    async (workers) => {
      const { url, pid, stop, logs } = await serve('60s', workers);
      folder = await mkdtemp(join(tmpdir(), 'sluice-stories-'));
      const released = join(folder, 'released');
      const streams = (await Promise.all(STREAM_PATHS.map((path) => openStreams(url + path)))).flat();
      expect(streams.map(({ status }) => status)).toEqual(streams.map(() => 200));
      const ends = Promise.all(streams.map(endOf));
      // Subscriptions are under way, too.
      const streamCount = (await underWay(url)) ?? 0;
      const calls: Promise<string>[] = [];
      const expected: string[] = [];
      for (const kind of KINDS) {
        const client = await connect(kind, `${url}/mcp`);
        for (const upstream of ['shared', 'own', 'http']) {
          const text = `${kind} ${upstream}`;
          // A failure is an answer here, so that the story shows all of them.
          calls.push(client.say(`${upstream}__wait_for_file`, { path: released, text }).catch(String));
          expected.push(text);
        }
      }
      await expect.poll(() => underWay(url), PATIENCE).toBe(streamCount + calls.length);
      const children = descendants(pid).map((child) => child.pid);
      expect(children.length).toBeGreaterThan(3);
      const stopped = stop();
      const takesNothing = () =>
        fetch(`${url}/ready`).then(
          ({ status }) => status !== 200,
          () => true,
        );
      await expect.poll(takesNothing, PATIENCE).toBe(true);
      await writeFile(released, '');
      expect(await Promise.all(calls)).toEqual(expected);
      expect(await ends).toEqual(STREAM_PATHS.flatMap(() => ['ended', 'answered']));
      expect(await stopped).toBe(0);
      expect(logs()).not.toContain('"level":50');
      for (const child of [pid, ...children]) expect(isAlive(child), `process ${child}`).toBe(false);
    },
    STORY_LIMIT_MS,
  );

  it('does not wait for calls longer than it was told to, and says so', async () => {
    const { url, pid, stop } = await serve('500ms');
    const client = await connect('SDK v2 legacy', `${url}/mcp/shared`);
    const call = client.call('wait', { key: 'for ever' }).then(
      () => 'answered',
      () => 'failed',
    );
    await expect.poll(() => underWay(url), PATIENCE).toBe(1);
    await stop();
    expect(await call).toBe('failed');
    expect(isAlive(pid)).toBe(false);
  });
});

describe('kill -9 of the data plane', () => {
  it('is followed by a restart: clients go on, and nothing is left of the old one', async () => {
    const { url, pid } = await serve();
    const clients = await Promise.all(KINDS.map((kind) => connect(kind, `${url}/mcp/own`)));
    for (const client of clients) await client.say('echo', { text: 'before' });
    const before = descendants(pid);
    const dataPlane = before.find(({ ppid }) => ppid === pid)?.pid as number;
    process.kill(dataPlane, 'SIGKILL');
    const state = () =>
      health(url).then(
        ({ upstreams }) => upstreams.map((each) => each.state),
        () => [],
      );
    await expect.poll(state, PATIENCE).toEqual(['ready', 'ready', 'ready']);
    // The processes of the dead one notice that nobody listens to them, as stdio servers do.
    await expect.poll(() => before.filter((each) => isAlive(each.pid)), PATIENCE).toEqual([]);
    for (const client of clients) {
      // The token of a session says what it is, so that the new data plane goes on with it.
      expect(await client.say('echo', { text: 'after' })).toBe('after');
      expect(await (await connect(client.kind, `${url}/mcp`)).say('own__echo', { text: 'new' })).toBe('new');
    }
  });
});
