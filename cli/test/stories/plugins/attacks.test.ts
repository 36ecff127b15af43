import { rename, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { createApiKey } from '@sluice/plugins/credentials';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../../gateway.js';
import { RawSocketClient, refusedWith } from '../over-websocket.js';
import { lastMessage, MODERN, modernParams } from '../raw-http.js';
import { type HttpServer, plain, startFixtureOn } from '../upstreams.js';
import { recordHeads } from './recorded-heads.js';

/* "Nobody gets in by a way that I have not thought of, and nobody stays who may not be here any more." */

const SECRET = 'a secret of at least thirty-two characters';
const ADA = createApiKey(SECRET);
const EVE = createApiKey(SECRET);
const BOTH_TYPES = { accept: 'application/json, text/event-stream', 'content-type': 'application/json' };
const EVENTS = { accept: 'text/event-stream' };
const HELLO = {
  protocolVersion: '2025-11-25',
  capabilities: {},
  clientInfo: { name: 'raw', version: '1' },
};

let fixture: HttpServer;
let recorded: Awaited<ReturnType<typeof recordHeads>>;
let gateway: RunningGateway;

beforeAll(async () => {
  fixture = await startFixtureOn(0, 'both');
  recorded = await recordHeads(fixture.url);
});
afterEach(() => gateway?.stop());
afterAll(async () => {
  await recorded?.stop();
  await fixture?.kill();
});

/** A second key of Ada's, which opens less. */
const NARROW = createApiKey(SECRET);

interface Known {
  readonly key: ReturnType<typeof createApiKey>;
  readonly consumer: string;
  readonly expiresAt?: string;
  readonly scopes?: readonly string[];
}

const ADA_ENTRY: Known = { key: ADA, consumer: 'ada' };
const EVE_ENTRY: Known = { key: EVE, consumer: 'eve' };

function plugins(known: readonly Known[], permissions: object = { 'hidden-upstream:*': [] }) {
  const keys = known.map(({ key: { prefix, hash }, consumer, expiresAt, scopes = [] }) => ({
    prefix,
    hash,
    consumer,
    scopes,
    ...(expiresAt !== undefined && { expires_at: expiresAt }),
  }));
  return [
    { plugin: 'auth-api-key', config: { hash_key: SECRET, keys } },
    { plugin: 'authorize', config: { permissions } },
  ];
}

const configuration = (own: object[]) => ({
  upstreams: [{ name: 'hidden-upstream', url: recorded.url }, plain('other')],
  plugins: own,
});

async function serve(own: object[], more: object = {}, workers = 1): Promise<void> {
  gateway = await startGateway({ config: { ...configuration(own), ...more }, workers });
}

async function change(own: object[]): Promise<void> {
  const file = `${gateway.configFile}.new`;
  await writeFile(file, JSON.stringify(configuration(own)));
  await rename(file, gateway.configFile);
}

/** A stream of events that is read as it comes. */
class Stream {
  text = '';
  hasEnded = false;

  private constructor(readonly response: Response) {
    void this.read();
  }

  static async open(url: string, init: RequestInit): Promise<Stream> {
    const response = await fetch(url, init);
    expect(response.status, await (response.ok ? '' : response.text())).toBe(200);
    return new Stream(response);
  }

  private async read(): Promise<void> {
    try {
      for await (const chunk of this.response.body ?? []) this.text += Buffer.from(chunk).toString();
    } catch {
      // Cut off.
    }
    this.hasEnded = true;
  }
}

const post = (path: string, headers: Record<string, string>, body: object) =>
  fetch(`${gateway.url}${path}`, {
    method: 'POST',
    headers: { ...BOTH_TYPES, ...headers },
    body: JSON.stringify(body),
  });

async function beginSession(path: string, headers: Record<string, string>): Promise<string> {
  const answer = await post(path, headers, { jsonrpc: '2.0', id: 1, method: 'initialize', params: HELLO });
  expect(answer.status).toBe(200);
  await answer.text();
  const id = answer.headers.get('mcp-session-id') as string;
  await post(
    path,
    { ...headers, 'mcp-session-id': id },
    { jsonrpc: '2.0', method: 'notifications/initialized' },
  );
  return id;
}

const listen = (headers: Record<string, string>) => ({
  method: 'POST',
  headers: {
    ...BOTH_TYPES,
    'mcp-protocol-version': MODERN,
    'mcp-method': 'subscriptions/listen',
    ...headers,
  },
  body: JSON.stringify({
    jsonrpc: '2.0',
    id: 1,
    method: 'subscriptions/listen',
    params: modernParams({
      notifications: { toolsListChanged: true, resourceSubscriptions: ['test://watched-resource'] },
    }),
  }),
});

/** All that one caller can have open: what tells whether each has ended. */
async function openEverything(headers: Record<string, string>): Promise<() => Record<string, boolean>> {
  const url = `${gateway.url}/mcp/hidden-upstream`;
  const socket = await RawSocketClient.open(url, { headers });
  await socket.initialize();
  const modernSocket = await RawSocketClient.open(url, { headers });
  modernSocket.send({
    id: 1,
    method: 'subscriptions/listen',
    params: modernParams({ notifications: { toolsListChanged: true } }),
  });
  const session = await beginSession('/mcp/hidden-upstream', headers);
  const get = await Stream.open(url, { headers: { ...EVENTS, ...headers, 'mcp-session-id': session } });
  const subscription = await Stream.open(url, listen(headers));
  const sse = await Stream.open(`${gateway.url}/sse/hidden-upstream`, { headers: { ...EVENTS, ...headers } });
  return () => ({
    socket: socket.closed !== undefined,
    modernSocket: modernSocket.closed !== undefined,
    get: get.hasEnded,
    subscription: subscription.hasEnded,
    sse: sse.hasEnded,
  });
}

const ALL = { socket: true, modernSocket: true, get: true, subscription: true, sse: true };
const NONE = { socket: false, modernSocket: false, get: false, subscription: false, sse: false };
const PATIENCE = { timeout: 15_000 };
const as = ({ key }: { key: string }) => ({ 'x-api-key': key });

describe('whatever is open ends', () => {
  it.each([1, 2])('when its key is taken away, and only then (%i workers)', async (workers) => {
    await serve(plugins([ADA_ENTRY, EVE_ENTRY]), {}, workers);
    const [ada, eve] = [await openEverything(as(ADA)), await openEverything(as(EVE))];
    await change(plugins([EVE_ENTRY]));
    await expect.poll(ada, PATIENCE).toEqual(ALL);
    expect(eve()).toEqual(NONE);
  });

  it('when its key is given to somebody else', async () => {
    await serve(plugins([ADA_ENTRY]));
    const ada = await openEverything(as(ADA));
    await change(plugins([{ ...ADA_ENTRY, consumer: 'somebody else' }]));
    await expect.poll(ada, PATIENCE).toEqual(ALL);
  });

  it('when it began while nobody was asked who calls', async () => {
    await serve([]);
    const anybody = await openEverything({});
    await change(plugins([ADA_ENTRY]));
    await expect.poll(anybody, PATIENCE).toEqual(ALL);
  });

  it('when its key expires', async () => {
    // Long enough to open everything on a busy machine.
    const expiresAt = new Date(Date.now() + 6_000).toISOString();
    await serve(plugins([{ ...ADA_ENTRY, expiresAt }, EVE_ENTRY]), {
      gateway: { sessions: { keep_alive: '1s' } },
    });
    const [ada, eve] = [await openEverything(as(ADA)), await openEverything(as(EVE))];
    await expect.poll(ada, PATIENCE).toEqual(ALL);
    expect(eve()).toEqual(NONE);
  });
});

it('news of a resource end for a session that may not read it any more', async () => {
  await serve(plugins([ADA_ENTRY]));
  const path = '/mcp/hidden-upstream';
  const socket = await RawSocketClient.open(`${gateway.url}${path}`, { headers: as(ADA) });
  await socket.initialize();
  await socket.ask(1, 'resources/subscribe', { uri: 'test://watched-resource' });
  const news = () => socket.heard.filter(({ method }) => method === 'notifications/resources/updated').length;
  await socket.ask(2, 'tools/call', { name: 'test_trigger_resource_update', arguments: {} });
  await expect.poll(news, PATIENCE).toBe(1);
  await change(plugins([ADA_ENTRY], { 'hidden-upstream:test_*': [] }));
  await expect
    .poll(() => socket.ask(3, 'resources/read', { uri: 'test://watched-resource' }), PATIENCE)
    .toMatchObject({ error: { code: -31007 } });
  await socket.ask(4, 'tools/call', { name: 'test_trigger_resource_update', arguments: {} });
  // The server says it before it answers.
  expect(news()).toBe(1);
  await change(plugins([ADA_ENTRY]));
  await expect
    .poll(() => socket.ask(5, 'resources/read', { uri: 'test://watched-resource' }), PATIENCE)
    .toMatchObject({ result: {} });
  await socket.ask(6, 'tools/call', { name: 'test_trigger_resource_update', arguments: {} });
  await expect.poll(news, PATIENCE).toBeGreaterThan(1);
});

/** Sends a path as it is written. */
function raw(method: string, path: string, headers: Record<string, string> = {}, body = '') {
  const { hostname, port } = new URL(gateway.url);
  return new Promise<{ status: number; text: string }>((resolve, reject) => {
    const sent = request({ hostname, port, method, path, headers, agent: false }, (response) => {
      let text = '';
      response.on('data', (piece) => {
        text += piece;
      });
      response.on('end', () => resolve({ status: response.statusCode as number, text }));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

describe('without a credential', () => {
  const PATHS = [
    '/mcp',
    '/mcp/',
    '/mcp/hidden-upstream',
    '/mcp/hidden-upstream/',
    '/mcp/hidden-upstream?x=1',
    '//mcp/hidden-upstream',
    '/mcp//hidden-upstream',
    '/MCP/hidden-upstream',
    '/mcp/hidden%2Dupstream',
    '/mcp%2Fhidden-upstream',
    '/mcp/./hidden-upstream',
    '/mcp/other/../hidden-upstream',
    '/sse',
    '/sse/hidden-upstream',
    '/messages',
    '/messages?session_id=1',
    '/mcp/nobody',
    '/anything',
  ];
  const BODIES = [
    { jsonrpc: '2.0', id: 1, method: 'initialize', params: HELLO },
    { jsonrpc: '2.0', id: 1, method: 'tools/list', params: modernParams() },
    { jsonrpc: '2.0', id: 1, method: 'server/discover', params: modernParams() },
    { jsonrpc: '2.0', method: 'notifications/initialized' },
    [{ jsonrpc: '2.0', id: 1, method: 'tools/list' }],
  ];

  it.each([undefined, 'hidden-upstream'])(
    'no door is open and none tells a name (default: %s)',
    async (standard) => {
      await serve(
        plugins([ADA_ENTRY]),
        standard === undefined ? {} : { gateway: { default_upstream: standard } },
      );
      for (const path of PATHS) {
        for (const body of BODIES) {
          const modern = JSON.stringify(body).includes(MODERN);
          const headers = {
            ...BOTH_TYPES,
            ...(modern && {
              'mcp-protocol-version': MODERN,
              'mcp-method': (body as { method: string }).method,
            }),
          };
          const { status, text } = await raw('POST', path, headers, JSON.stringify(body));
          expect(status, `POST ${path}`).toBeGreaterThanOrEqual(400);
          expect(text).not.toContain('hidden-upstream"');
        }
        for (const method of ['GET', 'DELETE', 'HEAD', 'OPTIONS', 'PUT']) {
          const { status, text } = await raw(method, path, { ...EVENTS, 'mcp-session-id': 'x' });
          expect(status, `${method} ${path}`).toBeGreaterThanOrEqual(400);
          expect(text).not.toMatch(/upstreams are/);
        }
        if (!path.includes('..')) {
          const refused = await refusedWith(`${gateway.url}${path}`);
          expect(refused, `upgrade of ${path}`).toBeGreaterThanOrEqual(400);
        }
      }
    },
  );
});

describe('as somebody else', () => {
  const path = '/mcp/hidden-upstream';

  it.each([1, 2])(
    'nobody uses, resumes or ends a session, or posts to a stream (%i workers)',
    async (workers) => {
      await serve(plugins([ADA_ENTRY, EVE_ENTRY]), {}, workers);
      const session = await beginSession(path, as(ADA));
      const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
      const used = await post(path, { ...as(EVE), 'mcp-session-id': session }, ping);
      const answer = { jsonrpc: '2.0', id: 1, result: {} };
      const answered = await post(path, { ...as(EVE), 'mcp-session-id': session }, answer);
      const resumed = await fetch(`${gateway.url}${path}`, {
        headers: { ...EVENTS, ...as(EVE), 'mcp-session-id': session, 'last-event-id': 'g_0' },
      });
      const ended = await fetch(`${gateway.url}${path}`, {
        method: 'DELETE',
        headers: { ...as(EVE), 'mcp-session-id': session },
      });
      const elsewhere = await post('/mcp', { ...as(ADA), 'mcp-session-id': session }, ping);
      expect([used, answered, resumed, ended, elsewhere].map(({ status }) => status)).toEqual(
        Array(5).fill(404),
      );
      expect((await post(path, { ...as(ADA), 'mcp-session-id': session }, ping)).status).toBe(200);
      const sse = await Stream.open(`${gateway.url}/sse`, { headers: { ...EVENTS, ...as(ADA) } });
      await expect.poll(() => sse.text).toContain('session_id=');
      const messages = /^data: (.*)$/m.exec(sse.text)?.[1] as string;
      expect((await post(messages, as(EVE), ping)).status).toBe(404);
      expect((await post(messages, {}, ping)).status).toBe(401);
      expect((await post(messages, as(ADA), ping)).status).toBe(202);
    },
  );

  it('nobody takes up a list or a question', async () => {
    await serve(plugins([ADA_ENTRY, EVE_ENTRY], { '*:*': [] }), { gateway: { discovery: { page_size: 1 } } });
    const ask = async (
      who: { key: string },
      method: string,
      params: { name?: string; [key: string]: unknown },
    ) => {
      const name: Record<string, string> = params.name === undefined ? {} : { 'mcp-name': params.name };
      const headers = { ...as(who), 'mcp-protocol-version': MODERN, 'mcp-method': method, ...name };
      const body = {
        jsonrpc: '2.0',
        id: 1,
        method,
        params: modernParams(params, { elicitation: { form: {} } }),
      };
      return lastMessage(await post('/mcp', headers, body));
    };
    const first = await ask(ADA, 'tools/list', {});
    const cursor = first.result.nextCursor as string;
    expect((await ask(EVE, 'tools/list', { cursor })).error?.message).toMatch(/^Invalid cursor/);
    expect((await ask(ADA, 'tools/list', { cursor })).result.tools).toHaveLength(1);
    const call = { name: 'hidden-upstream__test_input_required_result_multi_round', arguments: {} };
    const question = await ask(ADA, 'tools/call', call);
    expect(question.result).toMatchObject({ resultType: 'input_required', requestState: expect.any(String) });
    const { requestState, inputRequests } = question.result;
    const inputResponses = Object.fromEntries(
      Object.keys(inputRequests).map((key) => [key, { action: 'accept', content: { name: 'x' } }]),
    );
    const answered = { ...call, requestState, inputResponses };
    expect((await ask(EVE, 'tools/call', answered)).error?.code).toBe(-32602);
    expect((await ask(ADA, 'tools/call', answered)).error).toBeUndefined();
  });

  it('and with a lesser key of the same caller nobody does more than it opens', async () => {
    const known = [
      { ...ADA_ENTRY, scopes: ['all'] },
      { key: NARROW, consumer: 'ada' },
    ];
    await serve(plugins(known, { 'hidden-upstream:*': ['all'] }));
    const sse = await Stream.open(`${gateway.url}/sse/hidden-upstream`, {
      headers: { ...EVENTS, ...as(ADA) },
    });
    await expect.poll(() => sse.text).toContain('session_id=');
    const messages = /^data: (.*)$/m.exec(sse.text)?.[1] as string;
    const session = await beginSession(path, as(ADA));
    const params = { ...HELLO, protocolVersion: '2024-11-05' };
    await post(messages, as(ADA), { jsonrpc: '2.0', id: 'hello', method: 'initialize', params });
    await expect.poll(() => sse.text).toContain('"id":"hello"');
    await post(messages, as(ADA), { jsonrpc: '2.0', method: 'notifications/initialized' });
    const call = (id: string) => ({
      jsonrpc: '2.0',
      id,
      method: 'tools/call',
      params: { name: 'test_simple_text', arguments: {} },
    });
    const answer = (id: string) => async () => {
      const line = sse.text.split('\n').find((each) => each.includes(`"id":"${id}"`));
      return line === undefined
        ? undefined
        : (JSON.parse(line.slice(line.indexOf('{'))).error?.code ?? 'done');
    };
    await post(messages, as(NARROW), call('narrow'));
    await expect.poll(answer('narrow')).toBe(-31007);
    await post(messages, as(ADA), call('wide'));
    await expect.poll(answer('wide')).toBe('done');
    const inSession = async (who: { key: string }) =>
      (await lastMessage(await post(path, { ...as(who), 'mcp-session-id': session }, call('1')))).error?.code;
    expect(await inSession(NARROW)).toBe(-31007);
    expect(await inSession(ADA)).toBeUndefined();
  });

  it('nothing of a credential goes on to a server, in whatever era and over whatever transport', async () => {
    await serve(plugins([ADA_ENTRY]));
    const secret = {
      ...as(ADA),
      cookie: 'a=secret',
      'proxy-authorization': 'Basic c2VjcmV0',
      'x-own': 'secret',
    };
    const before = recorded.heads.length;
    const call = { name: 'test_simple_text', arguments: {} };
    for (const at of ['/mcp', path]) {
      const name = at === '/mcp' ? 'hidden-upstream__test_simple_text' : call.name;
      const session = await beginSession(at, secret);
      const headers = { ...secret, 'mcp-session-id': session };
      const params = { ...call, name };
      const inSession = await post(at, headers, { jsonrpc: '2.0', id: 2, method: 'tools/call', params });
      expect((await lastMessage(inSession)).result).toBeDefined();
      const modern = { 'mcp-protocol-version': MODERN, 'mcp-method': 'tools/call', 'mcp-name': name };
      const body = { jsonrpc: '2.0', id: 2, method: 'tools/call', params: modernParams(params) };
      expect((await lastMessage(await post(at, { ...secret, ...modern }, body))).result).toBeDefined();
      const socket = await RawSocketClient.open(`${gateway.url}${at}`, { headers: secret });
      await socket.initialize();
      expect((await socket.ask(2, 'tools/call', params)).result).toBeDefined();
      expect((await socket.ask(3, 'tools/call', modernParams(params))).result).toBeDefined();
    }
    const heads = recorded.heads.slice(before);
    expect(heads.length).toBeGreaterThan(4);
    const text = JSON.stringify(heads);
    expect(text).not.toContain(ADA.key);
    expect(text).not.toMatch(/secret|c2VjcmV0/);
  });
});

it('a method that no table knows goes to no server by itself, whatever it names', async () => {
  await serve(plugins([ADA_ENTRY]));
  const path = '/mcp/hidden-upstream';
  const session = await beginSession(path, as(ADA));
  const before = recorded.heads.length;
  const methods = ['tasks/get', 'tools/call2', 'Tools/call', 'x/y', 'tools/call/'];
  for (const method of methods) {
    const params = { name: 'test_simple_text', taskId: '1', arguments: {} };
    const old = await post(
      path,
      { ...as(ADA), 'mcp-session-id': session },
      { jsonrpc: '2.0', id: 3, method, params },
    );
    expect((await lastMessage(old)).error?.code, method).toBe(-31007);
    const headers = { ...as(ADA), 'mcp-protocol-version': MODERN, 'mcp-method': method };
    const now = await post(path, headers, { jsonrpc: '2.0', id: 3, method, params: modernParams(params) });
    expect((await lastMessage(now)).error?.code, method).toBe(-31007);
  }
  const came = recorded.heads.slice(before).map((head) => String(head['mcp-method']));
  expect(came.filter((method) => methods.includes(method))).toEqual([]);
});
