import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../gateway.js';
import { closeClients, connect, KINDS, LEGACY_KINDS, type OfficialClient } from './official-client.js';
import { PLACE_NAMES, PLACES } from './places.js';
import { type HttpServer, plain, startPlain } from './upstreams.js';

/* "My server has tools that only make sense for somebody who can be asked. Show them to those, and to nobody else." */

const ASKING = ['--asking-tools', 'survey'];
const UPSTREAMS = ['modern-http', 'legacy-http', 'modern-process', 'legacy-process'] as const;
const NEWS_LIMIT = { timeout: 15_000 };
let gateway: RunningGateway;
let servers: HttpServer[] = [];

beforeAll(async () => {
  servers = await Promise.all([startPlain([...ASKING, '--era', 'modern']), startPlain(ASKING)]);
  gateway = await startGateway({
    config: {
      upstreams: [
        { name: 'modern-http', url: servers[0]?.url },
        { name: 'legacy-http', url: servers[1]?.url },
        plain('modern-process', [...ASKING, '--era', 'modern']),
        plain('legacy-process', ASKING, { sharing: 'per_session' }),
      ],
    },
  });
});
afterAll(async () => {
  await closeClients();
  await gateway?.stop();
  await Promise.all(servers.map((server) => server.kill()));
});

describe.each(PLACE_NAMES)('on %s', (place) => {
  const { path, name } = PLACES[place];

  describe.each(UPSTREAMS)('%s', (upstream) => {
    const survey = name(upstream, 'survey');
    const client = (kind: (typeof KINDS)[number], handlers = {}) =>
      connect(kind, gateway.url + path(upstream), handlers);

    it.each(KINDS)('%s that can be asked is shown them, and may call them', async (kind) => {
      const asked = await client(kind, { onElicit: () => ({ action: 'cancel' }) });
      expect(await asked.toolNames()).toContain(survey);
      expect(await asked.say(survey)).toBe(`survey of ${upstream.endsWith('http') ? 'plain' : upstream}`);
    });

    it.each(KINDS)('%s that cannot be asked is not', async (kind) => {
      expect(await (await client(kind)).toolNames()).not.toContain(survey);
    });
  });

  // The plain server tells of changes on subscriptions over HTTP only.
  describe.each(UPSTREAMS.filter((upstream) => upstream !== 'modern-process'))('%s', (upstream) => {
    const client = (kind: (typeof KINDS)[number], handlers = {}) =>
      connect(kind, gateway.url + path(upstream), handlers);

    it.each(LEGACY_KINDS)('%s that can be asked hears of one more on its stream', async (kind) => {
      const asked = await client(kind, { onElicit: () => ({ action: 'cancel' }) });
      await hearsOf(asked, upstream, `new_${place}_${kind}`);
    });

    it('SDK v2 2026-07-28 that can be asked hears of one more on its subscription, and others do not', async () => {
      const kind = 'SDK v2 2026-07-28';
      const asked = await client(kind, { onElicit: () => ({ action: 'cancel' }) });
      const other = await client(kind);
      await Promise.all([asked, other].map(({ v2 }) => v2?.listen({ toolsListChanged: true })));
      await hearsOf(asked, upstream, `new_${place}_${kind}`);
      // On its own path a modern server tells whom it likes.
      if (place === 'the path of all' || upstream.startsWith('legacy')) expect(changesIn(other)).toBe(0);
    });
  });

  async function hearsOf(asked: OfficialClient, upstream: (typeof UPSTREAMS)[number], tool: string) {
    const added = tool.replaceAll(/[ .]/g, '_');
    expect(await asked.toolNames()).not.toContain(name(upstream, added));
    await asked.say(name(upstream, 'add_asking_tool'), { name: added });
    await expect.poll(() => changesIn(asked), NEWS_LIMIT).toBeGreaterThan(0);
    await expect.poll(() => asked.toolNames(), NEWS_LIMIT).toContain(name(upstream, added));
  }
});

const changesIn = ({ heard }: OfficialClient) =>
  heard.filter(({ method }) => method === 'notifications/tools/list_changed').length;
