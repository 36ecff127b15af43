import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type RunningGateway, startGateway } from '../gateway.js';
import { health, metric } from './gateway-metrics.js';
import { connect } from './official-client.js';
import { beginSession, lastMessage } from './raw-http.js';
import { DEAD_URL, plain } from './upstreams.js';

/* "What is at its address, for me, for my monitoring, and for a web page that should not be there." */

let gateway: RunningGateway;

beforeAll(async () => {
  gateway = await startGateway({
    config: {
      gateway: { listen: { allowed_hosts: ['gateway.example'], allowed_origins: ['https://app.example'] } },
      upstreams: [plain('good'), { name: 'dead', url: DEAD_URL }],
    },
  });
  const states = async () => (await health(gateway.url)).upstreams.map(({ state }) => state);
  await vi.waitFor(async () => expect(await states()).toEqual(['ready', 'failed']), { timeout: 15_000 });
});
afterAll(() => gateway?.stop());

const INITIALIZE = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '1' } },
});

interface Answer {
  status: number;
  body: string;
}

/** `fetch` would set Host and Origin by itself. */
function send(path: string, method: string, headers: Record<string, string>, body = ''): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const url = new URL(path, gateway.url);
    const sent = request(url, { method, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

describe('a web page that has pointed a name at this address', () => {
  const json = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };

  describe.each(['/mcp', '/mcp/good', '/health', '/metrics', '/nothing'])('at %s', (path) => {
    const method = path.startsWith('/mcp') ? 'POST' : 'GET';
    const body = method === 'POST' ? INITIALIZE : '';

    it.each([
      ['another Host', { host: 'evil.example' }, /Host "evil.example"/],
      ['a Host that only looks right', { host: 'localhost.evil.example:80' }, /Host/],
      ['another Origin', { origin: 'https://evil.example' }, /Origin "https:\/\/evil.example"/],
      ['no origin at all, as a sandboxed frame has', { origin: 'null' }, /Origin "null"/],
    ])('is refused: %s', async (_, headers, says) => {
      const answer = await send(path, method, { ...json, ...(headers as Record<string, string>) }, body);
      expect(answer.status).toBe(403);
      expect(JSON.parse(answer.body).error.message).toMatch(says);
    });
  });

  it.each([
    ['localhost', {}],
    ['a name that the configuration allows', { host: 'gateway.example' }],
    ['an origin that the configuration allows', { origin: 'https://app.example' }],
    ['a page on this machine', { origin: 'http://localhost:5173' }],
  ])('is let in: %s', async (_, headers) => {
    const answer = await send(
      '/mcp',
      'POST',
      { ...json, ...(headers as Record<string, string>) },
      INITIALIZE,
    );
    expect(answer.status).toBe(200);
  });
});

describe('a session', () => {
  it('that nobody knows is 404, whatever is asked of it', async () => {
    const session = await beginSession(`${gateway.url}/mcp`);
    await session.end();
    const unknown = { ...session.headers, 'mcp-session-id': 'made-up' };
    for (const headers of [session.headers, unknown]) {
      for (const method of ['POST', 'GET', 'DELETE']) {
        const response = await fetch(session.url, {
          method,
          headers: { ...headers, ...(method === 'GET' && { accept: 'text/event-stream' }) },
          ...(method === 'POST' && { body: '{"jsonrpc":"2.0","id":1,"method":"tools/list"}' }),
        });
        expect(response.status, method).toBe(404);
        expect((await lastMessage(response)).error?.message).toContain('Session not found');
      }
    }
  });

  it('is not that of another path', async () => {
    const session = await beginSession(`${gateway.url}/mcp/good`);
    const response = await fetch(`${gateway.url}/mcp`, {
      method: 'POST',
      headers: session.headers,
      body: '{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
    });
    expect(response.status).toBe(404);
  });

  it('is begun by initialize and by nothing else', async () => {
    const response = await fetch(`${gateway.url}/mcp`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
      body: '{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
    });
    expect(response.status).toBe(400);
    expect(await lastMessage(response)).toMatchObject({
      id: 1,
      error: { message: expect.stringContaining('begins with initialize') },
    });
  });
});

it('an upstream that is not there is 404, and the ones that are there are named', async () => {
  const response = await fetch(`${gateway.url}/mcp/godo`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: INITIALIZE,
  });
  expect(response.status).toBe(404);
  const { error } = await lastMessage(response);
  expect(error?.message).toContain('no upstream "godo"');
  expect(error?.message).toContain('good, dead');
});

it('a default upstream takes every path but those that the gateway has', async () => {
  const withDefault = await startGateway({
    config: { gateway: { default_upstream: 'first' }, upstreams: [plain('first'), plain('second')] },
  });
  try {
    const { url } = withDefault;
    const say = async (path: string, tool: string) => {
      const client = await connect('SDK v2 auto', url + path);
      const said = [await client.say(tool, { text: path }), client.serverInfo()?.name];
      await client.close();
      return said;
    };
    for (const path of ['/', '/api/v1/mcp', '/mcp/nobody']) {
      expect(await say(path, 'echo')).toEqual([path, 'first']);
    }
    expect(await say('/mcp/second', 'echo')).toEqual(['/mcp/second', 'second']);
    expect(await say('/mcp', 'second__echo')).toEqual(['/mcp', 'sluice']);
    for (const path of ['/health', '/live', '/liveness', '/ready', '/readiness', '/metrics']) {
      expect((await fetch(url + path)).status, path).toBe(200);
    }
    expect((await fetch(`${url}/.well-known/oauth-protected-resource`)).status).toBe(404);
    // The door of HTTP+SSE leads to all upstreams, as /mcp does.
    const stream = await fetch(`${url}/sse`);
    expect(stream.headers.get('content-type')).toContain('text/event-stream');
    await stream.body?.cancel();
  } finally {
    await withDefault.stop();
  }
});

describe('for monitoring', () => {
  it('/health tells the state of each upstream', async () => {
    expect(await health(gateway.url)).toMatchObject({
      status: 'degraded',
      ready: true,
      servers: 2,
      upstreams: [
        { name: 'good', kind: 'stdio', state: 'ready', era: 'legacy', revision: '2025-11-25' },
        { name: 'dead', kind: 'http', state: 'failed', error: expect.stringContaining('cannot be reached') },
      ],
    });
  });

  it.each([
    ['/live', { status: 'live' }],
    ['/ready', { status: 'ready' }],
  ])('%s answers 200', async (path, body) => {
    const response = await fetch(gateway.url + path);
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual(body);
  });

  it('/metrics counts sessions, requests, errors and refusals', async () => {
    const value = (series: string) => metric(gateway.url, series);
    const before = (await value('sluice_sessions_active')) ?? 0;
    const session = await beginSession(`${gateway.url}/mcp/good`);
    expect(await value('sluice_sessions_active')).toBe(before + 1);
    await session.ask('tools/call', { name: 'echo', arguments: { text: 'x' } });
    await session.end();
    const client = await connect('SDK v2 2026-07-28', `${gateway.url}/mcp/good`);
    await expect(client.call('no_such_tool')).rejects.toThrow('no_such_tool');
    await client.close();
    expect(await value('sluice_sessions_active')).toBe(before);
    const called = 'sluice_requests_total{endpoint="good",method="tools/call",status="200"}';
    expect(await value(called)).toBe(2);
    expect(await value('sluice_request_duration_seconds_count{endpoint="good",method="tools/call"}')).toBe(2);
    expect(await value('sluice_errors_total{endpoint="good",method="tools/call",code="-32602"}')).toBe(1);
    expect(await value('sluice_session_ends_total{reason="ended by the client"}')).toBeGreaterThan(0);
    expect(await value('sluice_refusals_total{status="403"}')).toBeGreaterThan(0);
    expect(await value('sluice_refusals_total{status="404"}')).toBeGreaterThan(0);
    expect(await value('sluice_upstream_up{upstream="good"}')).toBe(1);
    expect(await value('sluice_upstream_up{upstream="dead"}')).toBe(0);
    expect(await value('sluice_upstream_tools{upstream="good"}')).toBeGreaterThan(10);
    expect(await value('sluice_requests_in_flight')).toBe(0);
    expect(await value('sluice_faults_total')).toBe(0);
    expect(await value('sluice_process_resident_memory_bytes')).toBeGreaterThan(0);
  });
});
