import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../gateway.js';
import { closeClients, connect, LEGACY_KINDS, type OfficialClient } from './official-client.js';
import { PLACE_NAMES, PLACES } from './places.js';
import { events, postModern } from './raw-http.js';
import { everything, type HttpServer, plain, startEverything, startPlain } from './upstreams.js';

/* "A server gets a new tool, and my client shows it without being asked." */

const UPSTREAMS = ['shared', 'own-process', 'http-legacy', 'http-modern'];
const NEWS_LIMIT = { timeout: 15_000 };

let servers: HttpServer[];
let gateway: RunningGateway;

beforeAll(async () => {
  servers = await Promise.all([
    startPlain(['--era', 'legacy']),
    startPlain(['--era', 'modern']),
    startEverything(),
  ]);
  const [legacy, modern, everythingHttp] = servers as [HttpServer, HttpServer, HttpServer];
  gateway = await startGateway({
    config: {
      upstreams: [
        plain('shared'),
        plain('own-process', [], { sharing: 'per_session' }),
        { name: 'http-legacy', url: legacy.url },
        { name: 'http-modern', url: modern.url },
        everything({ sharing: 'per_session' }),
        { name: 'everything-http', url: everythingHttp.url },
      ],
    },
  });
});
afterEach(closeClients);
afterAll(async () => {
  await gateway?.stop();
  await Promise.all((servers ?? []).map((server) => server.kill()));
});

const heardOf = (client: OfficialClient, method: string) =>
  client.heard.filter((notification) => notification.method === method).length;

describe.each(PLACE_NAMES)('on %s', (place) => {
  const { path, name, uri } = PLACES[place];

  describe.each(UPSTREAMS)('a new tool of %s', (upstream) => {
    it.each(LEGACY_KINDS)('%s hears of it on its stream, and finds it', async (kind) => {
      // With a capability the client's list is made over sessions of its own; without, it is everybody's.
      const client = await connect(kind, gateway.url + path(upstream), { onRoots: () => ({ roots: [] }) });
      const tool = `new ${place} ${kind}`.replaceAll(/[ .]/g, '_');
      await client.say(name(upstream, 'echo'), { text: 'the session is there' });
      const before = heardOf(client, 'notifications/tools/list_changed');
      await client.say(name(upstream, 'add_tool'), { name: tool });
      await expect
        .poll(() => heardOf(client, 'notifications/tools/list_changed'), NEWS_LIMIT)
        .toBeGreaterThan(before);
      await expect.poll(() => client.toolNames(), NEWS_LIMIT).toContain(name(upstream, tool));
      expect(await client.say(name(upstream, tool))).toContain(tool);
    });

    it('SDK v2 2026-07-28 hears of it on its subscription, and finds it', async () => {
      const client = await connect('SDK v2 2026-07-28', gateway.url + path(upstream));
      const subscription = await client.v2?.listen({ toolsListChanged: true });
      expect(subscription?.honoredFilter).toEqual({ toolsListChanged: true });
      const tool = `new_${place.replaceAll(' ', '_')}`;
      await client.say(name(upstream, 'add_tool'), { name: tool });
      await expect
        .poll(() => heardOf(client, 'notifications/tools/list_changed'), NEWS_LIMIT)
        .toBeGreaterThan(0);
      await expect.poll(() => client.toolNames(), NEWS_LIMIT).toContain(name(upstream, tool));
    });
  });

  describe.each(['everything', 'everything-http'])('a resource of server-everything (%s)', (upstream) => {
    const watched = uri(upstream, 'demo://resource/dynamic/text/1');

    it.each(LEGACY_KINDS)('%s hears when one that it watches changes', async (kind) => {
      const client = await connect(kind, gateway.url + path(upstream));
      await client.subscribe(watched);
      await client.say(name(upstream, 'toggle-subscriber-updates'));
      const updates = () =>
        client.heard
          .filter(({ method }) => method === 'notifications/resources/updated')
          .map(({ params }) => params.uri);
      await expect.poll(updates, NEWS_LIMIT).toContain(watched);
      expect(new Set(updates())).toEqual(new Set([watched]));
    });

    it('SDK v2 2026-07-28 hears when one that it watches changes', async () => {
      const client = await connect('SDK v2 2026-07-28', gateway.url + path(upstream));
      await client.v2?.listen({ resourceSubscriptions: [watched] });
      await client.say(name(upstream, 'toggle-subscriber-updates'));
      await expect
        .poll(() => client.heard, NEWS_LIMIT)
        .toContainEqual(
          expect.objectContaining({
            method: 'notifications/resources/updated',
            params: expect.objectContaining({ uri: watched }),
          }),
        );
      await client.say(name(upstream, 'toggle-subscriber-updates'));
    });
  });

  it('nobody else hears of a resource that one client watches', async () => {
    const [watcher, other] = await Promise.all(
      [1, 2].map(() => connect('SDK v2 legacy', gateway.url + path('everything-http'))),
    );
    const watched = uri('everything-http', 'demo://resource/dynamic/text/2');
    await watcher?.subscribe(watched);
    await watcher?.say(name('everything-http', 'toggle-subscriber-updates'));
    await expect
      .poll(() => watcher?.heard.map(({ method }) => method), NEWS_LIMIT)
      .toContain('notifications/resources/updated');
    expect(other?.heard.map(({ method }) => method)).not.toContain('notifications/resources/updated');
  });
});

it('a subscription is promised no news of what the server does not have', async () => {
  const notifications = { toolsListChanged: true, promptsListChanged: true, resourcesListChanged: true };
  const url = `${gateway.url}/mcp/http-legacy`;
  const stream = events(await postModern(url, 'subscriptions/listen', { notifications }));
  const { value } = await stream.next();
  await stream.return(undefined);
  expect([value?.message?.method, value?.message?.params.notifications]).toEqual([
    'notifications/subscriptions/acknowledged',
    { toolsListChanged: true, resourcesListChanged: true },
  ]);
});
