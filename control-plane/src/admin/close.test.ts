/* How the admin API ends. */
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { ConfigurationService } from '@sluice/proto/admin';
import { beforeEach, expect, it } from 'vitest';
import {
  type AdminCluster,
  GrpcCaller,
  RestCaller,
  startAdminCluster,
  TOKENS,
} from '../../test/admin-cluster.js';

let cluster: AdminCluster;
let rest: RestCaller;

beforeEach(async () => {
  cluster = await startAdminCluster();
  rest = new RestCaller(cluster.url, TOKENS.admin);
  cluster.join('n1', 'eu');
});

const A_LONG_TIME_MS = 60_000;
const put = (query = '') =>
  rest.call('PUT', `/api/v1/resources/consumer/ann${query}`, { consumer: { name: 'ann' } });

it('lets calls end that are under way, over both transports, and takes no new ones', async () => {
  const grpc = new GrpcCaller(`127.0.0.1:${cluster.api.port}`, TOKENS.admin);
  const waiting = put('?wait=all&deadline=60s');
  await expect.poll(() => cluster.head.revision, { timeout: 10_000 }).toBe(1);
  const asked = grpc.call(ConfigurationService, 'waitRevision', { revision: 1n, deadline: { seconds: 60n } });
  await grpc.call(ConfigurationService, 'listResources', {});
  const closed = cluster.api.close(A_LONG_TIME_MS);
  await expect(put()).rejects.toThrow();
  cluster.runs('n1');
  expect((await waiting).body.convergence.reached).toBe(true);
  expect((await asked).convergence?.reached).toBe(true);
  grpc.close();
  await closed;
});

it('ends those that take longer, and connections on which nothing comes', async () => {
  const silent = connect(cluster.api.port, '127.0.0.1');
  silent.on('error', () => {});
  const session = connectHttp2(cluster.url);
  session.on('error', () => {});
  await new Promise((resolve) => session.on('remoteSettings', resolve));
  const waiting = put('?wait=all&deadline=60s');
  waiting.catch(() => {});
  await expect.poll(() => cluster.head.revision, { timeout: 10_000 }).toBe(1);
  await cluster.api.close(50);
  await expect(waiting).rejects.toThrow();
  expect(cluster.failures).toEqual([]);
});
