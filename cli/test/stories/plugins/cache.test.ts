import { createApiKey } from '@sluice/plugins/credentials';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../../gateway.js';
import { describeUnless } from '../../servers/describe-unless.js';
import { NO_REDIS, startRedis } from '../../servers/redis.js';
import type { TestServer } from '../../servers/server-process.js';
import { metric } from '../gateway-metrics.js';
import { closeClients, connect, KINDS, type OfficialClient } from '../official-client.js';
import { type HttpServer, startFixtureOn } from '../upstreams.js';

/* "Servers are asked once for what stays the same, nobody is told what was told to another, and news is news." */

const SECRET = 'a secret of at least thirty-two characters';
const [ada, ben] = [createApiKey(SECRET), createApiKey(SECRET)];
const WATCHED = 'test://watched-resource';
/** Says a new number each time that it runs. */
const COUNTER = 'test_trigger_prompt_change';

const configWith = (fixture: HttpServer, cache: object = {}) => ({
  upstreams: [{ name: 'fixture', url: fixture.url }],
  plugins: [
    {
      plugin: 'auth-api-key',
      config: {
        hash_key: '${KEY_SECRET}',
        keys: [
          { prefix: ada.prefix, hash: ada.hash, consumer: 'ada' },
          { prefix: ben.prefix, hash: ben.hash, consumer: 'ben' },
        ],
      },
    },
    {
      plugin: 'cache',
      config: {
        resources: [{ targets: ['fixture:*'], ttl: '1h' }],
        tools: [{ targets: [`fixture:${COUNTER}`], ttl: '1h' }],
        ...cache,
      },
    },
  ],
});
const as = ({ key }: { key: string }) => ({ headers: { 'X-API-Key': key } });

const toolAt = (path: string, name: string) => (path === '/mcp' ? `fixture__${name}` : name);

async function text(client: OfficialClient, uri: string) {
  return (await client.read(uri))[0]?.text;
}

async function uriAt(client: OfficialClient, uri: string) {
  return (await client.resourceUris()).find((each) => each.endsWith(uri.slice('test://'.length))) as string;
}

async function until(condition: () => Promise<boolean>) {
  const deadline = Date.now() + 10_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('it did not come true');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe.each(['modern', 'legacy', 'both'] as const)(
  'a gateway that keeps answers of a server (%s)',
  (era) => {
    let fixture: HttpServer;
    let gateway: RunningGateway;
    let direct: OfficialClient;

    beforeAll(async () => {
      fixture = await startFixtureOn(0, era);
      gateway = await startGateway({ env: { KEY_SECRET: SECRET }, config: configWith(fixture) });
      direct = await connect(era === 'modern' ? 'SDK v2 2026-07-28' : 'SDK v1', fixture.url);
    });
    afterAll(async () => {
      await closeClients();
      await gateway?.stop();
      await fixture?.kill();
    });

    for (const path of ['/mcp', '/mcp/fixture']) {
      it.each(KINDS)(`calls a tool once for each caller: %s at ${path}`, async (kind) => {
        const url = `${gateway.url}${path}`;
        const [one, again, other] = [
          await connect(kind, url, as(ada)),
          await connect(kind, url, as(ada)),
          await connect(kind, url, as(ben)),
        ];
        const name = toolAt(path, COUNTER);
        // A change that was announced before may still be on its way.
        let said = '';
        await until(async () => {
          const before = said;
          said = await one.say(name);
          return said === before;
        });
        expect(await one.say(name)).toBe(said);
        expect(await again.say(name)).toBe(said);
        expect(await other.say(name)).not.toBe(said);
        expect(await other.say(name, { more: 'arguments' })).not.toBe(await other.say(name));
        // The tools have changed, so what they said counts no more.
        await direct.say('test_trigger_tool_change');
        await until(async () => (await one.say(name)) !== said);
      });

      it.each(KINDS)(`reads a resource once, until it changes: %s at ${path}`, async (kind) => {
        const client = await connect(kind, `${gateway.url}${path}`, as(ada));
        const uri = await uriAt(client, WATCHED);
        const hits = () => counted('hit');
        const before = await text(client, uri);
        const hitsBefore = await hits();
        expect(await text(client, uri)).toBe(before);
        expect(await hits()).toBeGreaterThan(hitsBefore);
        await direct.say('test_trigger_resource_update');
        // Nobody has subscribed to it but the gateway.
        await until(async () => (await text(client, uri)) !== before);
      });
    }

    async function counted(result: string) {
      const series = `sluice_plugin_cache_requests_total{binding="cache",result="${result}"}`;
      return (await metric(gateway.url, series)) ?? 0;
    }

    it('says how much it keeps', async () => {
      expect(await counted('miss')).toBeGreaterThan(0);
      expect(await metric(gateway.url, 'sluice_plugin_cache_bytes{binding="cache"}')).toBeGreaterThan(0);
    });
  },
);

describeUnless(NO_REDIS, 'gateways with one Redis', () => {
  let fixture: HttpServer;
  let redis: TestServer;
  let gateways: RunningGateway[] = [];

  beforeAll(async () => {
    [fixture, redis] = await Promise.all([startFixtureOn(0, 'modern'), startRedis()]);
    const config = configWith(fixture, {
      redis: { url: '${REDIS_URL}', key: '${CACHE_SECRET}', timeout: '1s' },
    });
    const env = { KEY_SECRET: SECRET, CACHE_SECRET: SECRET, REDIS_URL: redis.url };
    gateways = await Promise.all([1, 2].map((workers) => startGateway({ workers, env, config })));
  });
  afterAll(async () => {
    await closeClients();
    await Promise.all(gateways.map((gateway) => gateway.stop()));
    await Promise.all([redis?.close(), fixture?.kill()]);
  });

  it.each(KINDS)('call a tool once, whichever of them is asked: %s', async (kind) => {
    const of = (caller: typeof ada) =>
      Promise.all(gateways.map(({ url }) => connect(kind, `${url}/mcp`, as(caller))));
    const [here, there] = (await of(ada)) as [OfficialClient, OfficialClient];
    const [, stranger] = (await of(ben)) as [OfficialClient, OfficialClient];
    const name = toolAt('/mcp', COUNTER);
    // Until the connection to Redis is there each asks by itself.
    let round = 0;
    const args = () => ({ kind, round });
    await until(async () => {
      round++;
      return (await here.say(name, args())) === (await there.say(name, args()));
    });
    expect(await stranger.say(name, args())).not.toBe(await there.say(name, args()));
  });

  it('go on by themselves without it', async () => {
    const [gateway] = gateways as [RunningGateway];
    const client = await connect('SDK v2 2026-07-28', `${gateway.url}/mcp`, as(ada));
    await redis.close();
    const name = toolAt('/mcp', COUNTER);
    const said = await client.say(name, { after: 'Redis' });
    expect(await client.say(name, { after: 'Redis' })).toBe(said);
    expect(await client.toolNames()).toContain(name);
  });
});
