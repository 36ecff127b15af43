import { request } from 'node:http';
import { createApiKey } from '@sluice/plugins/credentials';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import { type RunningGateway, startGateway } from '../../gateway.js';
import { closeClients, connect, KINDS } from '../official-client.js';
import { plain } from '../upstreams.js';

/* "A page of ours uses the gateway from a browser, nobody else's does, and nobody sends more than I want." */

const SECRET = 'a secret of at least thirty-two characters';
const { key, ...entry } = createApiKey(SECRET);
const APP = 'https://app.example.com';
const OTHER = 'https://other.example.com';
const MAX_BODY_BYTES = 20_000;

describe.each(['uws', 'node'])('with the listener %s', (listener) => {
  let gateway: RunningGateway;

  beforeAll(async () => {
    gateway = await startGateway({
      config: {
        gateway: { listen: { listener, allowed_origins: [APP, OTHER] } },
        upstreams: [plain('a'), plain('b')],
        plugins: [
          { plugin: 'security-headers' },
          { plugin: 'cors', config: { allowed_origins: [APP] } },
          {
            plugin: 'request-limit',
            endpoints: ['/mcp'],
            config: {
              max_body_bytes: MAX_BODY_BYTES,
              max_header_value_bytes: 1_000,
              max_arguments_depth: 3,
              max_string_bytes: 10_000,
            },
          },
          {
            plugin: 'request-limit',
            name: 'posts-only',
            endpoints: ['/mcp/b'],
            config: { http_methods: ['POST'] },
          },
          { plugin: 'auth-api-key', config: { hash_key: SECRET, keys: [{ ...entry, consumer: 'ada' }] } },
        ],
      },
    });
  });

  afterAll(async () => {
    await closeClients();
    await gateway?.stop();
  });

  const initialize = (size = 0) =>
    JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'initialize',
      params: {
        protocolVersion: '2025-11-25',
        capabilities: {},
        clientInfo: { name: 'x'.repeat(size), version: '1' },
      },
    });

  /** A request as a browser sends it: `fetch` sets no Origin. */
  function send(
    method: string,
    path: string,
    headers: Record<string, string>,
    body = '',
  ): Promise<{ status: number; headers: Record<string, string | string[] | undefined>; body: string }> {
    return new Promise((resolve, reject) => {
      const sent = request(`${gateway.url}${path}`, { method, headers, agent: false }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (piece) => {
          text += piece;
        });
        response.on('end', () =>
          resolve({ status: response.statusCode as number, headers: response.headers, body: text }),
        );
      });
      sent.on('error', reject);
      sent.end(body);
    });
  }

  const types = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
  const post = (path: string, headers: Record<string, string>, body = initialize()) =>
    send('POST', path, { ...types, 'x-api-key': key, ...headers }, body);

  describe('cors', () => {
    it('answers the preflight of a page that may, without asking who calls', async () => {
      const said = await send('OPTIONS', '/mcp', {
        origin: APP,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'content-type,mcp-param-region,mcp-protocol-version,x-api-key',
      });
      expect([said.status, said.body]).toEqual([204, '']);
      expect(said.headers).toMatchObject({
        'access-control-allow-origin': APP,
        'access-control-allow-methods': 'GET, POST, DELETE',
        'access-control-allow-headers': expect.stringMatching(/X-API-Key, mcp-param-region$/),
      });
      expect(said.headers.vary).toContain('Origin');
      expect(said.headers.vary).toContain('Access-Control-Request-Headers');
      // RFC 9110, section 8.6.
      expect(said.headers['content-length']).toBeUndefined();
    });

    it('lets the page read answers and refusals', async () => {
      const begun = await post('/mcp', { origin: APP });
      expect(begun.status).toBe(200);
      expect(begun.headers).toMatchObject({
        'access-control-allow-origin': APP,
        'access-control-expose-headers': expect.stringContaining('Mcp-Session-Id'),
        vary: 'Origin',
      });
      expect(begun.headers['mcp-session-id']).toBeTruthy();
      const refused = await post('/mcp', { origin: APP, 'x-api-key': '' });
      expect([refused.status, refused.headers['access-control-allow-origin']]).toEqual([401, APP]);
      const broken = await post('/mcp', { origin: APP }, '{');
      expect([broken.status, broken.headers['access-control-allow-origin']]).toEqual([400, APP]);
    });

    it('lets the page read a stream', async () => {
      const begun = await post('/mcp', { origin: APP });
      const head = await new Promise<[number | undefined, string | undefined]>((resolve, reject) => {
        const sent = request(`${gateway.url}/mcp`, {
          headers: {
            accept: 'text/event-stream',
            origin: APP,
            'x-api-key': key,
            'mcp-session-id': String(begun.headers['mcp-session-id']),
          },
          agent: false,
        });
        sent.on('response', (response) => {
          resolve([response.statusCode, response.headers['access-control-allow-origin']]);
          response.destroy();
        });
        sent.on('error', reject);
        sent.end();
      });
      expect(head).toEqual([200, APP]);
    });

    it('refuses a page that may come in, but not here', async () => {
      const answers = [
        await send('OPTIONS', '/mcp', { origin: OTHER, 'access-control-request-method': 'POST' }),
        await post('/mcp', { origin: OTHER }),
      ];
      for (const { status, headers, body } of answers) {
        expect(status).toBe(403);
        expect(headers['access-control-allow-origin']).toBeUndefined();
        expect(JSON.parse(body).error).toMatchObject({
          code: -31007,
          message: `pages of the Origin "${OTHER}" may not use this endpoint`,
        });
      }
    });

    it('refuses the WebSocket of a page that may not', async () => {
      const opened = (origin: string) =>
        new Promise<string>((resolve) => {
          const headers = { origin, 'x-api-key': key };
          const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/mcp`, 'mcp', { headers });
          socket.on('open', () => {
            socket.close();
            resolve('open');
          });
          socket.on('unexpected-response', (_, response) => resolve(String(response.statusCode)));
          socket.on('error', () => undefined);
        });
      expect([await opened(APP), await opened(OTHER)]).toEqual(['open', '403']);
    });

    it('does not open what the gateway itself keeps shut', async () => {
      const said = await post('/mcp', { origin: 'https://evil.example.com' });
      expect(said.status).toBe(403);
      expect(JSON.parse(said.body).error.message).toContain('gateway.listen.allowed_origins');
    });
  });

  describe('security-headers', () => {
    it('stand on every answer, once', async () => {
      const answers = [
        await post('/mcp', {}),
        await post('/mcp/a', { 'x-api-key': 'wrong' }),
        await post('/mcp', {}, initialize(MAX_BODY_BYTES)),
        await send('OPTIONS', '/mcp', { origin: APP, 'access-control-request-method': 'POST' }),
        await send('PUT', '/mcp', { 'x-api-key': key }),
      ];
      expect(answers.map(({ status }) => status)).toEqual([200, 401, 413, 204, 405]);
      for (const { headers } of answers) {
        expect(headers).toMatchObject({
          'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
          'x-content-type-options': 'nosniff',
          'x-frame-options': 'DENY',
          'referrer-policy': 'no-referrer',
          'cross-origin-resource-policy': 'same-origin',
        });
        expect(headers['strict-transport-security']).toBeUndefined();
      }
    });
  });

  describe('request-limit', () => {
    it('takes no larger body, at its endpoint alone', async () => {
      const large = initialize(MAX_BODY_BYTES);
      expect((await post('/mcp', {}, large)).status).toBe(413);
      expect((await post('/mcp/a', {}, large)).status).toBe(200);
      expect((await post('/mcp', {}, initialize())).status).toBe(200);
    });

    it('takes no larger body that does not say its size', async () => {
      const chunked = { 'transfer-encoding': 'chunked' };
      expect((await post('/mcp', chunked, initialize(MAX_BODY_BYTES))).status).toBe(413);
    });

    it('takes no longer header field', async () => {
      const said = await post('/mcp', { 'x-much': 'x'.repeat(1_001) });
      expect(said.status).toBe(413);
      expect(JSON.parse(said.body).error).toMatchObject({
        code: -31012,
        message: 'the header field x-much is longer than 1000 bytes',
      });
    });

    it('takes only the HTTP methods that were said', async () => {
      const said = await send('GET', '/mcp/b', { accept: 'text/event-stream', 'x-api-key': key });
      expect([said.status, said.headers.allow]).toEqual([405, 'POST']);
      expect((await post('/mcp/b', {})).status).toBe(200);
    });

    it.each(KINDS)('tells %s what was too much', async (kind) => {
      const client = await connect(kind, `${gateway.url}/mcp`, { headers: { 'X-API-Key': key } });
      expect(await client.say('a__echo', { text: 'x'.repeat(10_000) })).toHaveLength(10_000);
      await expect(client.call('a__echo', { text: 'x'.repeat(10_001) })).rejects.toThrow(
        /a text that is longer than 10000 bytes/,
      );
      await expect(client.call('a__echo', { text: [[[[]]]] })).rejects.toThrow(/nested deeper than 3/);
    });
  });
});
