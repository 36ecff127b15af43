import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../gateway.js';
import { freePort } from '../stories/upstreams.js';
import { errorOf, LISTENERS } from './attacked-gateway.js';
import { type RawAnswer, RawConnection } from './raw-connection.js';
import { head, initialize, legacyFields, post } from './requests.js';

const FORBIDDEN = -31007;

describe.each(LISTENERS)('addresses of their own, with the %s listener', (listener) => {
  let gateway: RunningGateway;
  const urls = { metrics: '', health: '' };

  beforeAll(async () => {
    const ports = { metrics: await freePort(), health: await freePort() };
    for (const door of ['metrics', 'health'] as const) urls[door] = `http://127.0.0.1:${ports[door]}`;
    gateway = await startGateway({
      args: ['--listener', listener],
      config: {
        gateway: { metrics: { port: ports.metrics }, health: { port: ports.health } },
        upstreams: [],
      },
    });
  });
  afterAll(() => gateway?.stop());

  async function ask(url: string, bytes: string | Buffer): Promise<RawAnswer | undefined> {
    const connection = await RawConnection.open(url);
    connection.send(bytes);
    const answer = await connection.answer();
    connection.close();
    return answer;
  }
  const served = async (url: string, path: string) => (await ask(url, head('GET', path, {})))?.status;

  it('serve what they are for, and nothing else does', async () => {
    expect(await served(urls.metrics, '/metrics')).toBe(200);
    expect(await served(urls.health, '/health')).toBe(200);
    for (const path of ['/health', '/mcp', '/']) expect(await served(urls.metrics, path)).toBe(404);
    for (const path of ['/metrics', '/mcp', '/']) expect(await served(urls.health, path)).toBe(404);
    for (const path of ['/metrics', '/health']) expect(await served(gateway.url, path)).toBe(404);
  });

  it('say the same of a path that nothing is served at', async () => {
    const path = `/${'x'.repeat(200)}`;
    for (const url of [urls.metrics, urls.health, gateway.url]) {
      const answer = await ask(url, head('GET', path, {}));
      const { code, message } = errorOf(answer);
      expect([url, answer?.status, code]).toEqual([url, 404, FORBIDDEN]);
      expect(message).toContain(`nothing is served at "${path.slice(0, 100)}"`);
    }
  });

  it.each([
    { Host: 'evil.example' },
    { Origin: 'https://evil.example' },
    { Host: 'localhost:1@evil.example' },
  ])('are closed to %j', async (fields) => {
    for (const url of [urls.metrics, urls.health, gateway.url]) {
      for (const path of ['/metrics', '/health', '/mcp', '/']) {
        const answer = await ask(url, head('GET', path, fields));
        expect([url, path, answer?.status, errorOf(answer).code]).toEqual([url, path, 403, FORBIDDEN]);
      }
    }
  });

  it('take no bodies', async () => {
    const bytes = post('/mcp', legacyFields(), JSON.stringify(initialize()));
    for (const url of [urls.metrics, urls.health]) expect((await ask(url, bytes))?.status).toBe(413);
  });
});
