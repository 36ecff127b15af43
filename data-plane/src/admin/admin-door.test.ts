import { beforeEach, describe, expect, it } from 'vitest';
import { RecordingReply } from '../front/recording-reply.js';
import type { RequestHead } from '../listener/listener.js';
import { AdminDoor } from './admin-door.js';
import { AdminError } from './admin-error.js';
import type { NodeAdmin } from './node-admin.js';

const TOKEN = 'right-'.repeat(6);

/** What the API was asked. */
let asked: unknown[][];
let answer: (...said: unknown[]) => Promise<unknown>;
let token: string | undefined;
let allowedHosts: readonly string[];
let refused: number[];
let faults: unknown[];
let door: AdminDoor;

beforeEach(() => {
  asked = [];
  answer = async () => ({ a: 'ü' });
  token = undefined;
  allowedHosts = [];
  refused = [];
  faults = [];
  const api = new Proxy({} as NodeAdmin, {
    get:
      (_, name) =>
      (...said: unknown[]) => {
        asked.push([name, ...said]);
        return answer();
      },
  });
  door = new AdminDoor({
    api,
    host: '127.0.0.1',
    allowedHosts: () => allowedHosts,
    token: () => token,
    onRefused: (status) => refused.push(status),
    onFault: (thrown) => faults.push(thrown),
  });
});

async function ask(target: string, method = 'GET', headers: Record<string, string> = {}) {
  const [path = '', query = ''] = target.split('?');
  const head: RequestHead = {
    method,
    path,
    query,
    headers: { host: '127.0.0.1', ...headers },
    repeated: undefined,
    remoteAddress: '127.0.0.1',
    principal: 'anonymous',
  };
  const reply = new RecordingReply();
  if (door.head(head, reply) > 0) door.request(head, Buffer.alloc(0), reply);
  await new Promise((resolve) => setImmediate(resolve));
  return reply;
}

function problemOf(reply: RecordingReply) {
  expect(reply.headers['content-type']).toBe('application/problem+json');
  const problem = JSON.parse(reply.body);
  expect(problem).toMatchObject({ type: 'about:blank', status: reply.status, title: expect.any(String) });
  return problem as { status: number; detail: string };
}

describe('a path', () => {
  it.each([
    ['GET', '/api/v1/status', ['status']],
    ['HEAD', '/api/v1/status', ['status']],
    ['GET', '/api/v1/upstreams', ['upstreams']],
    ['GET', '/api/v1/upstreams/files', ['upstream', 'files']],
    ['GET', '/api/v1/upstreams/status', ['upstream', 'status']],
    ['GET', '/api/v1/upstreams/a%2Fb%20%C3%BC', ['upstream', 'a/b ü']],
    ['GET', '/api/v1/upstreams/files/status', ['upstreamState', 'files']],
    ['GET', '/api/v1/connections', ['connections', 100, undefined]],
    ['GET', '/api/v1/connections?limit=1000&cursor=x', ['connections', 1000, 'x']],
    ['GET', '/api/v1/connections/abc', ['connection', 'abc']],
  ])('%s %s asks for %j', async (method, target, expected) => {
    const reply = await ask(target, method);
    expect([reply.status, reply.body]).toEqual([200, '{"a":"ü"}']);
    expect(reply.headers['cache-control']).toBe('no-store');
    expect(asked).toEqual([expected]);
  });

  it('of a connection is where it is ended', async () => {
    const reply = await ask('/api/v1/connections/abc', 'DELETE');
    expect([reply.status, reply.body, asked]).toEqual([204, '', [['endConnection', 'abc']]]);
  });
});

describe('what is wrong with a request', () => {
  const ALL = 'there are /api/v1/status, /api/v1/upstreams, /api/v1/upstreams/{name}';

  it.each([
    ['GET', '/', 404, ALL],
    ['GET', '/mcp', 404, ALL],
    ['GET', '/health', 404, ALL],
    ['GET', '/api/v1/', 404, ALL],
    ['GET', '/api/v1/status/', 404, ALL],
    ['GET', '/api/v2/status', 404, ALL],
    ['GET', '/api/v1/upstreams/', 404, ALL],
    ['GET', '/api/v1/upstreams/a/b', 404, ALL],
    ['GET', '/api/v1/upstreams//status', 404, ALL],
    ['DELETE', '/api/v1/nothing', 404, ALL],
    ['GET', '/api/v1/upstreams/%zz', 400, 'percent-encoded'],
    ['GET', '/api/v1/upstreams/%ff', 400, 'percent-encoded'],
    ['GET', '/api/v1/status?a=1', 400, '"a" is not a known parameter; none is taken here'],
    ['DELETE', '/api/v1/connections/a?force=1', 400, '"force" is not a known parameter; none is taken here'],
    ['GET', '/api/v1/connections?a', 400, 'limit and cursor are taken here'],
    ['GET', '/api/v1/connections?limit=1&limit=2', 400, 'the parameter limit came twice'],
    ['GET', '/api/v1/connections?limit=0', 400, 'from 1 to 1000'],
    ['GET', '/api/v1/connections?limit=1001', 400, 'from 1 to 1000'],
    ['GET', '/api/v1/connections?limit=-1', 400, 'from 1 to 1000'],
    ['GET', '/api/v1/connections?limit=1e2', 400, 'from 1 to 1000'],
    ['GET', '/api/v1/connections?limit=', 400, 'from 1 to 1000'],
  ])('%s %s: %i, %s', async (method, target, status, detail) => {
    const reply = await ask(target, method);
    expect(problemOf(reply)).toMatchObject({ status, detail: expect.stringContaining(detail) });
    expect([asked, refused]).toEqual([[], [status]]);
  });

  it.each([
    ['POST', '/api/v1/status', 'GET, HEAD'],
    ['OPTIONS', '/api/v1/status', 'GET, HEAD'],
    ['DELETE', '/api/v1/connections', 'GET, HEAD'],
    ['DELETE', '/api/v1/upstreams/files', 'GET, HEAD'],
    ['PUT', '/api/v1/connections/a', 'GET, HEAD, DELETE'],
  ])('%s %s: 405, with %s', async (method, target, allowed) => {
    const reply = await ask(target, method);
    expect(problemOf(reply)).toMatchObject({ status: 405, detail: expect.stringContaining(allowed) });
    expect(reply.headers.allow).toBe(allowed);
  });

  it.each([
    ['invalid', 400],
    ['not found', 404],
    ['unavailable', 503],
  ] as const)('what is %s gets %i, with the reason', async (kind, status) => {
    answer = () => Promise.reject(new AdminError(kind, 'because'));
    const reply = await ask('/api/v1/status');
    expect(problemOf(reply)).toMatchObject({ status, detail: 'because' });
    expect(reply.headers['retry-after']).toBe(status === 503 ? '1' : undefined);
    expect(faults).toEqual([]);
  });

  it('an exception is told to the log only', async () => {
    const thrown = new Error('a stack and a secret');
    answer = () => Promise.reject(thrown);
    expect(problemOf(await ask('/api/v1/status'))).toMatchObject({ status: 500 });
    expect((await ask('/api/v1/status')).body).not.toContain('secret');
    expect(faults).toEqual([thrown, thrown]);
  });

  it('what the listener refuses has the same form', () => {
    const { contentType, body } = door.refusal(413, 'too long');
    expect(contentType).toBe('application/problem+json');
    expect(JSON.parse(body)).toMatchObject({ status: 413, detail: 'too long' });
  });
});

describe('who may come in', () => {
  it.each<Record<string, string>>([{ host: 'evil.example' }, { origin: 'https://evil.example' }])(
    'not %j',
    async (headers) => {
      token = TOKEN;
      const reply = await ask('/api/v1/status', 'GET', { authorization: `Bearer ${TOKEN}`, ...headers });
      expect(problemOf(reply).status).toBe(403);
      expect(asked).toEqual([]);
    },
  );

  it('whoever names a host that was allowed meanwhile', async () => {
    expect((await ask('/api/v1/status', 'GET', { host: 'a.example' })).status).toBe(403);
    allowedHosts = ['a.example'];
    expect((await ask('/api/v1/status', 'GET', { host: 'a.example' })).status).toBe(200);
  });

  it.each([`Bearer ${TOKEN}`, `bearer ${TOKEN}`, `BEARER  ${TOKEN}`])('%s', async (authorization) => {
    token = TOKEN;
    expect((await ask('/api/v1/status', 'GET', { authorization })).status).toBe(200);
  });

  it.each([
    undefined,
    '',
    TOKEN,
    'Bearer',
    'Bearer ',
    `Basic ${TOKEN}`,
    `Bearer${TOKEN}`,
    `Bearer ${TOKEN} x`,
    `Bearer ${TOKEN}, Bearer ${TOKEN}`,
  ])('not %j, which is no bearer token', async (authorization) => {
    token = TOKEN;
    const reply = await ask('/api/v1/status', 'GET', authorization === undefined ? {} : { authorization });
    expect(problemOf(reply)).toMatchObject({ status: 401, detail: expect.stringContaining('Authorization') });
    expect(reply.headers['www-authenticate']).toBe('Bearer realm="sluice admin"');
    expect([asked, refused]).toEqual([[], [401]]);
  });

  it.each([`${TOKEN}x`, TOKEN.slice(1), TOKEN.toUpperCase(), 'x'])('not the token %s', async (said) => {
    token = TOKEN;
    for (const target of ['/api/v1/status', '/', '/api/v1/connections?a']) {
      const reply = await ask(target, 'GET', { authorization: `Bearer ${said}` });
      expect(problemOf(reply).status).toBe(401);
      expect(reply.headers['www-authenticate']).toBe('Bearer realm="sluice admin", error="invalid_token"');
      expect(reply.body).not.toContain(said === 'x' ? TOKEN : said);
    }
    expect(asked).toEqual([]);
  });

  it('the token of now, and not the one before', async () => {
    token = TOKEN;
    const authorization = `Bearer ${TOKEN}`;
    expect((await ask('/api/v1/status', 'GET', { authorization })).status).toBe(200);
    token = 'other-'.repeat(6);
    expect((await ask('/api/v1/status', 'GET', { authorization })).status).toBe(401);
  });
});
