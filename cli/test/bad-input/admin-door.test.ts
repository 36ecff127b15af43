import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../gateway.js';
import { metric } from '../stories/gateway-metrics.js';
import { freePort } from '../stories/upstreams.js';
import { LISTENERS } from './attacked-gateway.js';
import { type RawAnswer, RawConnection } from './raw-connection.js';
import { type Fields, head, initialize, legacyFields, post } from './requests.js';

const TOKEN = 'the-right-token-of-the-admin-door';
const OTHER_TOKEN = 'another-token-for-the-admin-door';

describe.each(LISTENERS)('the admin address, with the %s listener', (listener) => {
  let gateway: RunningGateway;
  let admin: string;

  beforeAll(async () => {
    const port = await freePort();
    admin = `http://127.0.0.1:${port}`;
    gateway = await startGateway({
      args: ['--listener', listener],
      config: { gateway: { admin: { port, token: TOKEN } }, upstreams: [] },
    });
  });
  afterAll(async () => {
    expect(await metric(gateway.url, 'sluice_faults_total')).toBe(0);
    await gateway.stop();
    for (const token of [TOKEN, OTHER_TOKEN]) expect(gateway.logs()).not.toContain(token);
  });

  async function send(bytes: string | Buffer, url = admin): Promise<RawAnswer | undefined> {
    const connection = await RawConnection.open(url);
    connection.send(bytes);
    const answer = await connection.answer();
    connection.close();
    return answer;
  }
  const withToken = (fields: Fields = {}, token = TOKEN) => ({ Authorization: `Bearer ${token}`, ...fields });
  const ask = (method: string, path: string, fields: Fields = {}) =>
    send(head(method, path, withToken(fields)));
  const statusOf = async (token: string) =>
    (await send(head('GET', '/api/v1/status', withToken({}, token))))?.status;

  function expectProblem(answer: RawAnswer | undefined, status: number, detail: string) {
    expect([answer?.status, answer?.headers['content-type']]).toEqual([status, 'application/problem+json']);
    const problem = JSON.parse(answer?.body ?? '');
    expect(problem).toMatchObject({ status, detail: expect.stringContaining(detail) });
    expect(answer?.body).not.toContain(TOKEN);
  }

  it('serves the admin API and nothing else, and nothing else serves it', async () => {
    expect((await ask('GET', '/api/v1/status'))?.status).toBe(200);
    for (const path of ['/mcp', '/health', '/metrics', '/sse', '/'])
      expectProblem(await ask('GET', path), 404, '/api/v1/status');
    for (const path of ['/api/v1/status', '/api/v1/connections'])
      expect((await send(head('GET', path, withToken()), gateway.url))?.status).toBe(404);
  });

  it.each([undefined, 'Basic eDp5', 'Bearer', 'Bearer wrong', `Bearer ${TOKEN}x`, `Token ${TOKEN}`])(
    'refuses everything that says %j',
    async (authorization) => {
      for (const [method, path] of [
        ['GET', '/api/v1/status'],
        ['DELETE', '/api/v1/connections/x'],
        ['GET', '/nothing'],
        ['POST', '/mcp'],
      ] as const) {
        const answer = await send(head(method, path, { Authorization: authorization }));
        expectProblem(answer, 401, 'token');
        expect(answer?.headers['www-authenticate']).toMatch(/^Bearer realm="sluice admin"/);
      }
    },
  );

  it('refuses a token that came twice, or in the query', async () => {
    const line = `Authorization: Bearer ${TOKEN}\r\n`;
    const twice = `GET /api/v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\n${line}${line}\r\n`;
    expect((await send(twice))?.status).toBe(401);
    const inQuery = head('GET', `/api/v1/status?access_token=${TOKEN}`, {});
    expect((await send(inQuery))?.status).toBe(401);
  });

  it.each([
    { Host: 'evil.example' },
    { Origin: 'https://evil.example' },
    { Host: 'localhost:1@evil.example' },
  ])('is closed to %j', async (fields) => {
    for (const path of ['/api/v1/status', '/'])
      expectProblem(await ask('GET', path, fields), 403, 'evil.example');
  });

  it('says what would be right', async () => {
    expectProblem(
      await ask('GET', '/api/v1/upstreams/none'),
      404,
      'there is no upstream "none"; there are none',
    );
    expectProblem(await ask('GET', '/api/v1/connections/x'), 404, 'there is no connection "x"');
    expectProblem(await ask('DELETE', '/api/v1/connections/x'), 404, 'there is no connection "x"');
    expectProblem(await ask('GET', '/api/v1/connections?limit=1001'), 400, 'from 1 to 1000');
    expectProblem(await ask('GET', '/api/v1/connections?limit=9&limit=9'), 400, 'twice');
    expectProblem(await ask('GET', '/api/v1/connections?cursor=x'), 400, 'next_cursor');
    expectProblem(await ask('GET', '/api/v1/connections?page=2'), 400, 'limit and cursor');
    expectProblem(await ask('GET', '/api/v1/upstreams/%zz'), 400, 'percent');
    const wrongMethod = await ask('DELETE', '/api/v1/status');
    expectProblem(wrongMethod, 405, 'GET, HEAD');
    expect(wrongMethod?.headers.allow).toBe('GET, HEAD');
  });

  it('takes no bodies, no bombs and no upgrades', async () => {
    const body = JSON.stringify(initialize());
    expectProblem(await send(post('/api/v1/status', withToken(legacyFields()), body)), 405, 'GET, HEAD');
    const withBody = { ...withToken(), 'Content-Length': String(body.length) };
    expectProblem(await send(head('GET', '/api/v1/status', withBody) + body), 413, '');
    const long = await ask('GET', `/api/v1/upstreams/${'x'.repeat(8_000)}`);
    expectProblem(long, 414, '');
    const upgrade = await ask('GET', '/mcp', {
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAA==',
    });
    expectProblem(upgrade, 404, '/api/v1/status');
  });

  it('takes another token as soon as the configuration has it', async () => {
    expect([await statusOf(TOKEN), await statusOf(OTHER_TOKEN)]).toEqual([200, 401]);
    const written = await readFile(gateway.configFile, 'utf8');
    await writeFile(gateway.configFile, written.replace(TOKEN, OTHER_TOKEN));
    await expect.poll(() => statusOf(OTHER_TOKEN), { timeout: 15_000 }).toBe(200);
    expect(await statusOf(TOKEN)).toBe(401);
    await writeFile(gateway.configFile, written);
    await expect.poll(() => statusOf(TOKEN), { timeout: 15_000 }).toBe(200);
  });
});
