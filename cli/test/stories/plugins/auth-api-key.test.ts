import { createApiKey } from '@sluice/plugins/credentials';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import { type RunningGateway, startGateway } from '../../gateway.js';
import { closeClients, connect, KINDS } from '../official-client.js';
import { startFixtureOn } from '../upstreams.js';

const SECRET = 'a secret of at least thirty-two characters';
const ada = createApiKey(SECRET);
const ben = createApiKey(SECRET);

describe.each([1, 2])('a gateway that asks for API keys, with %d workers', (workers) => {
  let fixture: Awaited<ReturnType<typeof startFixtureOn>>;
  let gateway: RunningGateway;

  beforeAll(async () => {
    fixture = await startFixtureOn(0, 'both');
    const keys = [
      { ...ada, consumer: 'ada' },
      { ...ben, consumer: 'ben' },
    ].map(({ key: _, ...entry }) => entry);
    gateway = await startGateway({
      workers,
      env: { KEY_SECRET: SECRET },
      config: {
        upstreams: [{ name: 'fixture', url: fixture.url }],
        plugins: [{ plugin: 'auth-api-key', config: { hash_key: '${KEY_SECRET}', keys } }],
      },
    });
  });

  afterAll(async () => {
    await closeClients();
    await gateway?.stop();
    await fixture?.kill();
  });

  const headers = { 'X-API-Key': ada.key };

  for (const path of ['/mcp', '/mcp/fixture']) {
    it.each(KINDS)(`lets %s in at ${path} who has one`, async (kind) => {
      const client = await connect(kind, `${gateway.url}${path}`, { headers });
      expect((await client.toolNames()).length).toBeGreaterThan(3);
    });

    it.each(KINDS)(`refuses %s at ${path} who has none`, async (kind) => {
      await expect(connect(kind, `${gateway.url}${path}`)).rejects.toThrow();
    });
  }

  const post = (path: string, body: object, own: Record<string, string>) =>
    fetch(`${gateway.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...own },
      body: JSON.stringify(body),
    });

  const initialize = {
    jsonrpc: '2.0',
    id: 1,
    method: 'initialize',
    params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'story', version: '1' } },
  };

  it('says what would do, with the status and the code that are documented', async () => {
    const refused = await post('/mcp', initialize, {});
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="sluice"']);
    expect(await refused.json()).toMatchObject({ error: { code: -31009 } });
  });

  it('keeps a session to whoever began it, on every kind of request', async () => {
    const begun = await post('/mcp', initialize, headers);
    const session = { 'mcp-session-id': begun.headers.get('mcp-session-id') ?? '' };
    await begun.text();
    const ping = { jsonrpc: '2.0', id: 2, method: 'ping' };
    const asBen = { 'X-API-Key': ben.key, ...session };
    // Twice with two workers, so that one of them is not the session's.
    for (let round = 0; round < 4; round++) {
      expect((await post('/mcp', ping, { ...headers, ...session })).status).toBe(200);
      expect((await post('/mcp', ping, asBen)).status).toBe(404);
      expect((await post('/mcp', ping, session)).status).toBe(401);
    }
    const url = `${gateway.url}/mcp`;
    const stream = { accept: 'text/event-stream' };
    expect((await fetch(url, { headers: { ...asBen, ...stream } })).status).toBe(404);
    expect((await fetch(url, { headers: { ...session, ...stream } })).status).toBe(401);
    expect((await fetch(url, { method: 'DELETE', headers: asBen })).status).toBe(404);
    expect((await fetch(url, { method: 'DELETE', headers: session })).status).toBe(401);
    expect((await fetch(url, { method: 'DELETE', headers: { ...headers, ...session } })).status).toBe(200);
  });

  it('asks at the other doors too: WebSocket and the stream of 2024-11-05', async () => {
    const url = `${gateway.url.replace('http', 'ws')}/mcp`;
    const opened = (own: Record<string, string>) =>
      new Promise<string>((resolve) => {
        const socket = new WebSocket(url, 'mcp', { headers: own });
        socket.on('open', () => {
          socket.close();
          resolve('open');
        });
        socket.on('unexpected-response', (_, response) => resolve(String(response.statusCode)));
        socket.on('error', () => undefined);
      });
    expect([await opened({}), await opened(headers)]).toEqual(['401', 'open']);
    const accept = { accept: 'text/event-stream' };
    expect((await fetch(`${gateway.url}/sse`, { headers: accept })).status).toBe(401);
    const stream = await fetch(`${gateway.url}/sse`, { headers: { ...headers, ...accept } });
    expect(stream.status).toBe(200);
    const reader = stream.body?.getReader();
    const read = await reader?.read();
    const place = /data: (\S+)/.exec(Buffer.from(read?.value ?? []).toString())?.[1] as string;
    expect((await post(place, initialize, {})).status).toBe(401);
    expect((await post(place, initialize, { 'X-API-Key': ben.key })).status).toBe(404);
    expect((await post(place, initialize, headers)).status).toBe(202);
    await reader?.cancel();
  });

  it('leaves health and metrics to whoever watches the gateway', async () => {
    expect((await fetch(`${gateway.url}/health`)).status).toBe(200);
    expect(await (await fetch(`${gateway.url}/metrics`)).text()).toContain(
      'sluice_refusals_total{status="401"}',
    );
  });

  it('never writes a key or the secret into its log', () => {
    for (const secret of [SECRET, ada.key, ben.key]) expect(gateway.logs()).not.toContain(secret);
  });
});
