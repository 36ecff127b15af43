import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { EXIT } from './exit-codes.js';
import { health } from './health.js';

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** A gateway that gives one answer. Resolves to `host:port`. */
async function answering(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => server.close());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function ask(address: string) {
  let out = '';
  let err = '';
  const code = await health(address, { write: (text) => (out += text) }, { write: (text) => (err += text) });
  return { code, out, err };
}

const files = { name: 'files', kind: 'stdio', state: 'ready', revision: '2025-11-25' };
const counts = { toolCount: 14, promptCount: 0, resourceCount: 3 };
const demo = { name: 'demo', kind: 'http', state: 'failed', error: 'connection refused' };
const report = (...upstreams: object[]) => JSON.stringify({ version: '0.1.0', upstreams });

test('a gateway whose upstreams are ready is healthy', async () => {
  const address = await answering((request, response) => {
    response.end(request.url === '/health' ? report({ ...files, ...counts }) : '');
  });
  const { code, out, err } = await ask(`http://${address}/mcp`);
  expect(out).toContain(`Sluice 0.1.0 at http://${address}: 1 of 1 upstreams ready\n`);
  expect(out).toMatch(/\nfiles +stdio +ready +2025-11-25 +14 +0 +3\n$/);
  expect([code, err]).toEqual([EXIT.ok, '']);
});

test('an upstream that failed is shown with its reason, even when the gateway answers 503', async () => {
  const address = await answering((_, response) => {
    response.writeHead(503).end(report({ ...files, ...counts }, demo));
  });
  const { code, out } = await ask(address);
  expect(out).toContain('1 of 2 upstreams ready');
  expect(out).toMatch(/\ndemo +http +failed +connection refused\n$/);
  expect(code).toBe(EXIT.unhealthy);
});

test('nobody there', async () => {
  const address = await answering(() => {});
  for (const close of closing.splice(0)) close();
  const { code, err } = await ask(address);
  expect(err).toBe(`sluice: no answer about health from http://${address}/health: nothing listens there\n`);
  expect(code).toBe(EXIT.unhealthy);
});

test.each(['hello', '{}', '{"upstreams":[1]}', '[]', 'null'])(
  'an answer that is no report: %s',
  async (body) => {
    const address = await answering((_, response) => response.end(body));
    const { code, err } = await ask(address);
    expect(err).toContain('it answers HTTP 200 without a health report; is it a Sluice gateway?');
    expect(code).toBe(EXIT.unhealthy);
  },
);

test.each(['', 'ftp://here', 'http://', 'a b'])('not an address: %j', async (address) => {
  const { code, err } = await ask(address);
  expect(err).toContain('is not an address; give a URL such as http://127.0.0.1:8080');
  expect(code).toBe(EXIT.usage);
});
