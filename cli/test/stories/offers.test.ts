import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../gateway.js';
import { closeClients, connect, KINDS } from './official-client.js';
import { PLACE_NAMES, PLACES } from './places.js';
import { type HttpServer, plain, startPlain } from './upstreams.js';

/* "My server has tools that only make sense for somebody who can be asked. Show them to those, and to nobody else." */

const ASKING = ['--asking-tools', 'survey'];
const UPSTREAMS = ['modern-http', 'legacy-http', 'modern-process', 'legacy-process'] as const;
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
});
