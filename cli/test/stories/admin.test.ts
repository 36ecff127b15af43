import { once } from 'node:events';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../gateway.js';
import { metric } from './gateway-metrics.js';
import { closeClients, connect } from './official-client.js';
import { overWebSocket, RawSocketClient } from './over-websocket.js';
import { descendants } from './processes.js';
import { beginSession, modernParams } from './raw-http.js';
import { DEAD_URL, freePort, type HttpServer, plain, startPlain } from './upstreams.js';

/* "I see who is connected to my gateway, and end what should not be." */

const PATIENCE = { timeout: 15_000 };
const TOKEN = 'a-token-for-operators-of-the-story';
const SECRET = 'a-secret-of-an-upstream';

interface Connection {
  id: string;
  endpoint: string;
  transport: string;
  principal: string;
  client?: { name?: string; version?: string };
  revision?: string;
  since: string;
  last_used_at: string;
  open_exchanges: number;
  worker: number;
}

describe.each([1, 2])('with %i workers', (workers) => {
  let http: HttpServer;
  let between: Server;
  /** Sessions that were ended at the server over HTTP. */
  let ended: unknown[];
  let gateway: RunningGateway;
  let admin: string;
  /** Processes of the gateway, and of upstreams that it keeps for itself. */
  let idleCount: number | undefined;
  const raw: RawSocketClient[] = [];

  const ask = (path: string, method = 'GET') =>
    fetch(`${admin}/api/v1/${path}`, { method, headers: { authorization: `Bearer ${TOKEN}` } });
  const get = async (path: string) => {
    const answer = await ask(path);
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/json']);
    return (await answer.json()) as any;
  };
  const connections = async (): Promise<Connection[]> => (await get('connections')).connections;
  const childCount = () => descendants(gateway.pid).length;

  beforeAll(async () => {
    http = await startPlain();
    ended = [];
    between = noting(http.url, ended).listen(0, '127.0.0.1');
    await once(between, 'listening');
    const port = await freePort();
    admin = `http://127.0.0.1:${port}`;
    gateway = await startGateway({
      workers,
      env: { STORY_ADMIN_TOKEN: TOKEN },
      config: {
        gateway: { admin: { port, token: '${STORY_ADMIN_TOKEN}' } },
        upstreams: [
          plain('own', [], { sharing: 'per_session', env: { KEY: SECRET } }),
          {
            name: 'http',
            url: `http://127.0.0.1:${(between.address() as AddressInfo).port}/mcp`,
            headers: { 'x-key': SECRET },
          },
          { name: 'dead', id: 'gone', url: `${DEAD_URL}?key=${SECRET}` },
        ],
      },
    });
  });
  beforeEach(async () => {
    await expect
      .poll(async () => (await get('status')).counts.upstreams, PATIENCE)
      .toEqual({ total: 3, ready: 2, starting: 0, failed: 1 });
    idleCount ??= childCount();
  });
  afterEach(async () => {
    await closeClients();
    for (const client of raw.splice(0)) client.ws.terminate();
    await expect.poll(connections, PATIENCE).toEqual([]);
    await expect.poll(childCount, PATIENCE).toBe(idleCount);
  });
  afterAll(async () => {
    expect(await metric(gateway.url, 'sluice_faults_total')).toBe(0);
    await gateway.stop();
    between.closeAllConnections();
    between.close();
    await http.kill();
    expect(gateway.logs()).not.toContain(TOKEN);
  });

  it('shows how the gateway is', async () => {
    const { configuration, counts, node, ...status } = await get('status');
    expect(status).toMatchObject({
      version: '0.1.0',
      workers,
      missing_workers: [],
      protocol_revisions: ['2026-07-28', '2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'],
      draining: false,
      uptime_s: expect.any(Number),
    });
    expect(counts).toMatchObject({ sessions: 0, connections: 0, open_exchanges: 0, parked_calls: 0 });
    expect(node).toMatch(/^[0-9a-f]{16}$/);
    expect((await get('status')).configuration).toEqual(configuration);
  });

  it('shows the upstreams, and none of their secrets', async () => {
    const list = await get('upstreams');
    const byName = Object.fromEntries(list.upstreams.map((each: { name: string }) => [each.name, each]));
    expect(byName.own).toMatchObject({ transport: 'stdio', state: 'ready', era: 'legacy' });
    expect(byName.own).toMatchObject({ revision: '2025-11-25', tool_count: expect.any(Number) });
    expect(byName.own.tool_count).toBeGreaterThan(3);
    expect(byName.dead).toMatchObject({ id: 'gone', state: 'failed', error: expect.any(String) });
    expect(await get('upstreams/gone')).toEqual(byName.dead);
    const state = await get('upstreams/dead/status');
    expect(state.workers.map(({ worker }: { worker: number }) => worker)).toEqual(
      Array.from({ length: workers }, (_, index) => index),
    );
    const all = JSON.stringify([list, state, await get('status')]);
    for (const secret of [SECRET, TOKEN]) expect(all).not.toContain(secret);
  });

  it('ends the session of an SDK v1 client, and the process behind it', async () => {
    const client = await connect('SDK v1', `${gateway.url}/mcp/own`);
    expect(await client.say('count')).toBe('1');
    expect(childCount()).toBe((idleCount ?? 0) + 1);
    const [found, ...others] = await connections();
    expect(others).toEqual([]);
    expect(found).toMatchObject({
      endpoint: '/mcp/own',
      transport: 'http',
      principal: 'anonymous',
      client: { name: 'story', version: '1.0.0' },
      revision: '2025-11-25',
    });
    const { id } = found as Connection;
    expect((await get(`connections/${id}`)).id).toBe(id);
    expect((await get('status')).counts).toMatchObject({ sessions: 1, connections: 1 });

    expect((await ask(`connections/${id}`, 'DELETE')).status).toBe(204);
    await expect.poll(childCount, PATIENCE).toBe(idleCount);
    expect(await connections()).toEqual([]);
    await expect(client.say('count')).rejects.toThrow(/Session not found/);
    for (const method of ['GET', 'DELETE']) {
      const answer = await ask(`connections/${id}`, method);
      expect([answer.status, answer.headers.get('content-type')]).toEqual([404, 'application/problem+json']);
      expect(((await answer.json()) as { detail: string }).detail).toContain(`"${id}"`);
    }
    await client.vanish();
  });

  it('ends what is under way with the connection', async () => {
    const client = await connect('SDK v1', `${gateway.url}/mcp/own`);
    const call = expect(client.call('wait', { key: 'under way' })).rejects.toThrow(/the session has ended/);
    await expect.poll(async () => (await connections())[0]?.open_exchanges, PATIENCE).toBe(1);
    expect((await get('status')).counts.open_exchanges).toBeGreaterThan(0);
    await ask(`connections/${(await connections())[0]?.id}`, 'DELETE');
    await call;
    await expect.poll(async () => (await get('status')).counts.open_exchanges, PATIENCE).toBe(0);
    await client.vanish();
  });

  it('ends WebSocket and HTTP+SSE connections, and says who they are', async () => {
    const client = await connect('SDK v1', '', { transport: overWebSocket(`${gateway.url}/mcp/own`) });
    expect(await client.say('count')).toBe('1');
    const socket = await RawSocketClient.open(`${gateway.url}/mcp/http`);
    raw.push(socket);
    const modern = modernParams() as { _meta: Record<string, unknown> };
    Object.assign(modern._meta, {
      'io.modelcontextprotocol/clientInfo': { name: 'Käse ✓', version: '2' },
    });
    await socket.ask(1, 'tools/list', modern);
    const sse = await fetch(`${gateway.url}/sse/http`, { headers: { accept: 'text/event-stream' } });
    const endpointEvent = Buffer.from((await sse.body?.getReader().read())?.value ?? []).toString();

    const all = await connections();
    expect(all.map(({ transport, client: who, revision }) => [transport, who?.name, revision])).toEqual([
      ['websocket', 'story', '2025-11-25'],
      ['websocket', 'Käse ✓', '2026-07-28'],
      ['sse', undefined, undefined],
    ]);
    expect(endpointEvent).toContain('/messages');
    for (const { id } of all) {
      expect(endpointEvent).not.toContain(id);
      expect((await ask(`connections/${id}`, 'DELETE')).status).toBe(204);
    }
    await expect.poll(() => socket.closed, PATIENCE).toEqual({ code: 1001, reason: 'ended by an operator' });
    await expect.poll(childCount, PATIENCE).toBe(idleCount);
    expect(await connections()).toEqual([]);
  });

  it('has an id for a session that nobody comes in by, and ends that of the server too', async () => {
    const { id: token, ask: say } = await beginSession(`${gateway.url}/mcp/http`);
    expect((await say('tools/call', { name: 'count', arguments: {} })).error).toBeUndefined();
    const endedBefore = ended.length;
    const [found] = await connections();
    const { id } = found as Connection;
    expect(token).not.toContain(id);
    const headers = { 'mcp-session-id': id, 'mcp-protocol-version': '2025-11-25' };
    const answer = await fetch(`${gateway.url}/mcp/http`, { method: 'DELETE', headers });
    expect(answer.status).toBe(404);
    expect((await ask(`connections/${token}`, 'DELETE')).status).toBe(404);
    expect(await connections()).toHaveLength(1);
    expect(ended).toHaveLength(endedBefore);
    expect((await ask(`connections/${id}`, 'DELETE')).status).toBe(204);
    await expect.poll(() => ended.length, PATIENCE).toBe(endedBefore + 1);
  });

  it('turns pages over the connections of all workers', async () => {
    const made = [];
    for (let i = 0; i < 7; i++) made.push(await beginSession(`${gateway.url}/mcp/http`));
    const seen: string[] = [];
    let cursor = '';
    for (let pages = 0; pages < 3; pages++) {
      const page = await get(`connections?limit=3${cursor}`);
      seen.push(...page.connections.map(({ id }: Connection) => id));
      cursor = `&cursor=${page.next_cursor}`;
    }
    expect(cursor).toBe('&cursor=undefined');
    expect(new Set(seen).size).toBe(made.length);
    for (const id of seen) await ask(`connections/${id}`, 'DELETE');
  });
});

/** Passes everything on to a server, and notes the sessions that a client of it ends. */
function noting(target: string, ended: unknown[]): Server {
  return createServer((asked, answer) => {
    const { method, headers, url } = asked;
    if (method === 'DELETE') ended.push(headers['mcp-session-id']);
    const onward = request(new URL(url ?? '', target), { method, headers }, (said) => {
      answer.writeHead(said.statusCode ?? 502, said.headers).flushHeaders();
      said.pipe(answer);
    });
    onward.on('error', () => answer.destroy());
    answer.on('close', () => onward.destroy());
    asked.pipe(onward);
  });
}
