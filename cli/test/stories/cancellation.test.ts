import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../gateway.js';
import { closeClients, connect, KINDS } from './official-client.js';
import { PLACE_NAMES, PLACES } from './places.js';
import { type HttpServer, plain, startPlain } from './upstreams.js';

/* "I press stop, and the server stops too. And while it works, I see how far it is." */

const UPSTREAMS = ['shared', 'own-process', 'http-legacy', 'http-modern'];

let servers: HttpServer[];
let gateway: RunningGateway;

beforeAll(async () => {
  servers = await Promise.all([startPlain(['--era', 'legacy']), startPlain(['--era', 'modern'])]);
  const [legacy, modern] = servers as [HttpServer, HttpServer];
  gateway = await startGateway({
    config: {
      upstreams: [
        plain('shared'),
        plain('own-process', [], { sharing: 'per_session' }),
        { name: 'http-legacy', url: legacy.url },
        { name: 'http-modern', url: modern.url },
      ],
    },
  });
});
afterEach(closeClients);
afterAll(async () => {
  await gateway?.stop();
  await Promise.all((servers ?? []).map((server) => server.kill()));
});

describe.each(PLACE_NAMES)('on %s', (place) => {
  const { path, name } = PLACES[place];

  describe.each(UPSTREAMS)('%s', (upstream) => {
    const own = (tool: string) => name(upstream, tool);

    it.each(KINDS)('%s: a cancelled call is cancelled at the upstream', async (kind) => {
      const client = await connect(kind, gateway.url + path(upstream));
      const key = `cancelled ${place} ${kind}`;
      const waits = async () => JSON.parse(await client.say(own('waits')));
      const stop = new AbortController();
      const call = client.call(own('wait'), { key }, { signal: stop.signal });
      const ended = call.then(
        () => 'answered',
        () => 'cancelled',
      );
      await expect.poll(async () => (await waits()).waiting, { timeout: 10_000 }).toContain(key);
      stop.abort();
      expect(await ended).toBe('cancelled');
      await expect.poll(async () => (await waits()).interrupted, { timeout: 10_000 }).toContain(key);
    });

    it.each(KINDS)('%s: progress comes while the call runs, and only to its own call', async (kind) => {
      const client = await connect(kind, gateway.url + path(upstream));
      const keys = ['first', 'second'].map((key) => `${key} ${place} ${kind}`);
      const heard = new Map<string, string[]>(keys.map((key) => [key, []]));
      const calls = keys.map((key) =>
        client.say(
          own('wait'),
          { key },
          { onProgress: ({ message }) => heard.get(key)?.push(message as string) },
        ),
      );
      for (const key of keys) {
        await expect.poll(() => heard.get(key)?.length, { timeout: 10_000 }).toBeGreaterThan(2);
        expect(new Set(heard.get(key))).toEqual(new Set([key]));
      }
      for (const key of keys) await client.say(own('release'), { key });
      expect(await Promise.all(calls)).toEqual(keys.map((key) => `${key} was released`));
    });
  });
});
