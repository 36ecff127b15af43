import { afterEach, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../gateway.js';
import { health } from './gateway-metrics.js';
import { closeClients, connect, KINDS } from './official-client.js';
import { descendants, isAlive } from './processes.js';
import { type HttpServer, plain, startPlain } from './upstreams.js';

/* "I stop it, or it is stopped for me, and nobody loses what is under way." */

const PATIENCE = { timeout: 15_000 };

let gateway: RunningGateway | undefined;
let server: HttpServer | undefined;

afterEach(async () => {
  await closeClients();
  await gateway?.stop();
  await server?.kill();
  gateway = undefined;
  server = undefined;
});

async function serve(shutdownGrace = '10s'): Promise<RunningGateway> {
  server = await startPlain();
  gateway = await startGateway({
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

describe('SIGTERM in the middle of slow calls', () => {
  it('lets every one of them end, then ends with all that it has started', async () => {
    const { url, pid, stop } = await serve();
    const calls: Promise<string>[] = [];
    const expected: string[] = [];
    const heard: number[] = [];
    for (const kind of KINDS) {
      const client = await connect(kind, `${url}/mcp`);
      for (const upstream of ['shared', 'own', 'http']) {
        const text = `${kind} ${upstream}`;
        // The first call makes the session at the upstream, so that the second is under way at once.
        await client.say(`${upstream}__echo`, { text });
        calls.push(
          client.say(
            `${upstream}__slow`,
            { ms: 1_500, text },
            { onProgress: ({ progress }) => heard.push(progress) },
          ),
        );
        expected.push(text);
      }
    }
    await expect
      .poll(
        async () =>
          (await (await fetch(`${url}/metrics`)).text()).match(/^sluice_requests_in_flight (\d+)/m)?.[1],
      )
      .toBe(String(calls.length));
    const children = descendants(pid).map((child) => child.pid);
    expect(children.length).toBeGreaterThan(3);
    const stopped = stop();
    expect(await Promise.all(calls)).toEqual(expected);
    await stopped;
    expect(gateway?.logs()).not.toContain('"level":50');
    for (const child of [pid, ...children]) expect(isAlive(child), `process ${child}`).toBe(false);
  });

  it('takes nothing new meanwhile', async () => {
    const { url, stop } = await serve();
    const client = await connect('SDK v2 legacy', `${url}/mcp/shared`);
    const slow = client.say('slow', { ms: 1_500, text: 'done' });
    await expect
      .poll(async () =>
        (await (await fetch(`${url}/metrics`)).text()).includes('sluice_requests_in_flight 1'),
      )
      .toBe(true);
    const stopped = stop();
    const isRefused = () =>
      fetch(`${url}/ready`).then(
        ({ status }) => status !== 200,
        () => true,
      );
    await expect.poll(isRefused, PATIENCE).toBe(true);
    expect(await slow).toBe('done');
    await stopped;
  });

  it('does not wait for calls longer than it was told to, and says so', async () => {
    const { url, pid, stop } = await serve('500ms');
    const client = await connect('SDK v2 legacy', `${url}/mcp/shared`);
    const call = client.call('wait', { key: 'for ever' }).then(
      () => 'answered',
      () => 'failed',
    );
    await expect
      .poll(async () =>
        (await (await fetch(`${url}/metrics`)).text()).includes('sluice_requests_in_flight 1'),
      )
      .toBe(true);
    await stop();
    expect(await call).toBe('failed');
    expect(isAlive(pid)).toBe(false);
  });
});

describe('kill -9 of the data plane', () => {
  it('is followed by a restart: clients connect anew, and nothing is left of the old one', async () => {
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
      if (client.isModern) expect(await client.say('echo', { text: 'after' })).toBe('after');
      // The session has died with its process, and 404 tells the client to begin a new one.
      else await expect(client.say('echo', { text: 'after' })).rejects.toThrow(/session/i);
      expect(await (await connect(client.kind, `${url}/mcp`)).say('own__echo', { text: 'new' })).toBe('new');
    }
  });
});
