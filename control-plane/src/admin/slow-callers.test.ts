/* Callers that send little and late hold nothing for long. */
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { type AdminCluster, startAdminCluster, TOKENS } from '../../test/admin-cluster.js';

vi.mock('./limits.js', async (original) => ({
  ...(await original<typeof import('./limits.js')>()),
  HEADER_TIMEOUT_MS: 1_000,
  REQUEST_TIMEOUT_MS: 2_000,
  LATENESS_CHECK_INTERVAL_MS: 20,
}));

let cluster: AdminCluster;

beforeAll(async () => {
  cluster = await startAdminCluster();
});
afterAll(async () => {
  await cluster.close();
  expect(cluster.failures).toEqual([]);
});

function answerTo(bytes: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(cluster.api.port, '127.0.0.1');
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk;
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(answer));
    socket.write(bytes);
  });
}

const head = `POST /api/v1/apply HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKENS.admin}\r\n`;

it.each([
  ['the beginning of nothing', 'P', /^$/],
  ['half a header', head, /^HTTP\/1.1 408 .*"reason":"REQUEST_TIMEOUT"/s],
  ['half a body', `${head}Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{"a`, /^HTTP\/1.1 408 /],
])('%s is not waited for', async (_, bytes, answer) => {
  expect(await answerTo(bytes)).toMatch(answer);
});

it('a gRPC call without its message is not waited for', async () => {
  const session = connectHttp2(cluster.url);
  const stream = session.request({
    ':method': 'POST',
    ':path': '/sluice.admin.v1.ConfigurationService/Apply',
    'content-type': 'application/grpc',
    te: 'trailers',
    authorization: `Bearer ${TOKENS.admin}`,
  });
  const status = await new Promise((resolve) => {
    stream.on('response', (headers) => headers['grpc-status'] && resolve(headers['grpc-status']));
    stream.on('trailers', (trailers) => resolve(trailers['grpc-status']));
    stream.on('error', () => {});
    stream.resume();
  });
  session.destroy();
  expect(status).toBe('4');
});
