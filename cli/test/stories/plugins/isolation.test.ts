import { createApiKey } from '@sluice/plugins/credentials';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../../gateway.js';
import { closeClients, connect, KINDS } from '../official-client.js';
import { startFixtureOn } from '../upstreams.js';

const SECRET = 'a secret of at least thirty-two characters';
const ada = createApiKey(SECRET);

describe.each([
  ['process', 1],
  ['process', 2],
  ['pool', 1],
])('plugins that come with the gateway, each in a %s, with %d workers', (isolation, workers) => {
  let fixture: Awaited<ReturnType<typeof startFixtureOn>>;
  let gateway: RunningGateway;

  beforeAll(async () => {
    fixture = await startFixtureOn(0, 'both');
    const { key: _, ...entry } = { ...ada, consumer: 'ada' };
    gateway = await startGateway({
      workers,
      config: {
        upstreams: [{ name: 'fixture', url: fixture.url }],
        plugins: [
          { plugin: 'auth-api-key', isolation, config: { hash_key: SECRET, keys: [entry] } },
          { plugin: 'authorize', isolation, config: { permissions: { 'fixture:test_simple_text': [] } } },
        ],
      },
    });
  });

  afterAll(async () => {
    await closeClients();
    await gateway?.stop();
    await fixture?.kill();
  });

  it.each(KINDS)('know the caller and decide for %s', async (kind) => {
    const client = await connect(kind, `${gateway.url}/mcp`, { headers: { 'X-API-Key': ada.key } });
    expect(await client.toolNames()).toEqual(['fixture__test_simple_text']);
    await expect(connect(kind, `${gateway.url}/mcp`)).rejects.toThrow();
  });

  it('tell callers what would do', async () => {
    const refused = await fetch(`${gateway.url}/mcp`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
      body: JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'initialize',
        params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'a', version: '1' } },
      }),
    });
    expect(refused.headers.get('www-authenticate')).toBe('Bearer realm="sluice"');
  });
});

it('does not start with a plugin that has to answer at once', async () => {
  const config = {
    upstreams: [{ name: 'a', url: 'http://127.0.0.1:9/mcp' }],
    plugins: [{ plugin: 'cors', isolation: 'process', config: { allowed_origins: ['https://a.example'] } }],
  };
  await expect(startGateway({ config })).rejects.toThrow(
    'plugins[0].isolation: cors decides at the door, where nothing can wait for it',
  );
});
