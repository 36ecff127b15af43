/* What the admin API shows of nodes, and what it has them do. */
import { create } from '@bufbuild/protobuf';
import { FleetService } from '@sluice/proto/admin';
import { ResourceKeySchema, ResourceKind } from '@sluice/proto/cluster';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  type AdminCluster,
  GrpcCaller,
  RestCaller,
  startAdminCluster,
  statusOf,
  TOKENS,
} from '../../test/admin-cluster.js';

let cluster: AdminCluster;
let rest: RestCaller;

beforeEach(async () => {
  cluster = await startAdminCluster();
  rest = new RestCaller(cluster.url, TOKENS.admin);
  cluster.join('n1', 'eu', true);
  cluster.join('n2', 'us');
  cluster.join('deaf', 'us');
});
afterEach(async () => {
  vi.useRealTimers();
  await cluster.close();
});

it('lists nodes by region, and what happened to them', async () => {
  const nodes = async (query: string) =>
    (await rest.call('GET', `/api/v1/nodes${query}`)).body.nodes.map(
      ({ hello }: { hello: { node: string } }) => hello.node,
    );
  expect(await nodes('')).toEqual(['n1', 'deaf', 'n2']);
  expect(await nodes('?region=us')).toEqual(['deaf', 'n2']);
  await rest.call('PUT', '/api/v1/resources/consumer/ann', { consumer: { name: 'ann' } });
  cluster.runs('n1');
  cluster.refuses('n1', 1, 'too hot');
  const { body } = await rest.call('GET', '/api/v1/node-events?node=n1&page_size=2');
  expect(body.events).toMatchObject([
    { kind: 'NODE_EVENT_KIND_REJECTED', detail: 'too hot', revision: '1' },
    { kind: 'NODE_EVENT_KIND_APPLIED', revision: '1' },
  ]);
});

describe('why a node refuses a revision', () => {
  const GLOBEX = create(ResourceKeySchema, { kind: ResourceKind.UPSTREAM, tenant: 'globex', name: 'vault' });
  const ACME = create(ResourceKeySchema, { kind: ResourceKind.UPSTREAM, tenant: 'acme', name: 'files' });
  const REASON = 'the header of vault at globex cannot be read';

  async function toldTo(token: string): Promise<string> {
    const caller = new RestCaller(cluster.url, token);
    const answers = await Promise.all(
      ['/api/v1/nodes', '/api/v1/node-events', '/api/v1/revisions/1/convergence?wait=all&deadline=0s'].map(
        (path) => caller.call('GET', path),
      ),
    );
    for (const { status } of answers) expect(status).toBe(200);
    return JSON.stringify(answers.map(({ body }) => body));
  }

  beforeEach(async () => {
    await rest.call('PUT', '/api/v1/resources/consumer/ann', { consumer: { name: 'ann' } });
  });

  it.each([
    ['is of a resource of another tenant', GLOBEX],
    ['is of no single resource', undefined],
  ])('is not told to callers of a tenant when it %s', async (_, resource) => {
    cluster.refuses('n1', 1, REASON, resource);
    for (const token of [TOKENS.acmeOperator, TOKENS.acmeViewer]) {
      const told = await toldTo(token);
      expect(told).toContain('REJECTED');
      expect(told).not.toMatch(/globex|vault/);
    }
    expect((await toldTo(TOKENS.viewer)).match(/vault at globex/g)?.length).toBe(3);
  });

  it('is told to those whose resource it is', async () => {
    cluster.refuses('n1', 1, 'cannot be read', ACME);
    expect((await toldTo(TOKENS.acmeOperator)).match(/cannot be read/g)?.length).toBe(3);
  });

  it('is not told by a change that waits', async () => {
    await rest.call('PUT', '/api/v1/resources/tenant/acme', { tenant_spec: { name: 'acme' } });
    cluster.refuses('n1', 99, REASON, GLOBEX);
    const acme = new RestCaller(cluster.url, TOKENS.acmeOperator);
    const { status, body } = await acme.call('PUT', '/api/v1/resources/consumer/bob?wait=all&deadline=0s', {
      tenant: 'acme',
      consumer: { name: 'bob' },
    });
    expect(status).toBe(200);
    expect(body.convergence.behind).toHaveLength(3);
    expect(JSON.stringify(body)).not.toMatch(/globex|vault/);
  });
});

it('has nodes drain, through another replica too, and says when nothing leads to one', async () => {
  const drain = (node: string, body: object = {}) => rest.call('POST', `/api/v1/nodes/${node}/drain`, body);
  expect((await drain('n1', { reason: 'new kernel' })).body.node.hello.node).toBe('n1');
  expect((await drain('n2')).status).toBe(200);
  expect(cluster.orders).toEqual(['n1: drain', 'n2: drain']);
  expect(await drain('deaf')).toMatchObject({
    status: 503,
    body: { reason: 'NODE_UNREACHABLE', metadata: { node: 'deaf' } },
  });
  expect((await drain('nobody')).body.reason).toBe('NOT_FOUND');
  expect((await drain('n1', { reason: 'x'.repeat(1_001) })).status).toBe(400);
});

it('lists the connections of a node in pages, and ends one', async () => {
  const page = async (query: string) =>
    (await rest.call('GET', `/api/v1/nodes/n1/connections?${query}`)).body;
  const first = await page('page_size=2');
  expect(first.connections).toMatchObject([
    { id: 'c0', principal: 'ann' },
    { id: 'c1', principal: 'bob' },
  ]);
  const second = await page(`page_size=2&page_token=${first.next_page_token}`);
  expect(second.connections).toMatchObject([{ principal: 'cleo' }]);
  expect(second.next_page_token).toBeUndefined();
  expect((await rest.call('DELETE', '/api/v1/nodes/n2/connections/c7')).status).toBe(200);
  expect(cluster.orders.at(-1)).toBe('n2: endSession');
  expect((await rest.call('DELETE', '/api/v1/nodes/n1/connections/c2')).status).toBe(200);
  expect(cluster.orders.at(-1)).toBe('n1: endSession');
  expect(await rest.call('DELETE', '/api/v1/nodes/n1/connections/c7')).toMatchObject({
    status: 404,
    body: { reason: 'NOT_FOUND', detail: 'node n1 has no connection c7' },
  });
  expect(cluster.orders.at(-1)).toBe('n1: listConnections');
  expect((await rest.call('GET', '/api/v1/nodes/nobody/connections')).status).toBe(404);
  expect((await rest.call('DELETE', '/api/v1/nodes/nobody/connections/c7')).status).toBe(404);
  expect((await rest.call('DELETE', '/api/v1/nodes/deaf/connections/c7')).status).toBe(503);
});

it('says which replica has to be asked for connections, and which node does not answer', async () => {
  const grpc = new GrpcCaller(`127.0.0.1:${cluster.api.port}`, TOKENS.admin);
  try {
    const elsewhere = await grpc.call(FleetService, 'listConnections', { node: 'n2' }).catch(statusOf);
    expect(elsewhere).toMatchObject({ code: 14, info: { reason: 'NODE_UNREACHABLE' } });
    vi.spyOn(cluster.fleet, 'listed').mockImplementation(() => {});
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const silent = rest.call('GET', '/api/v1/nodes/n1/connections');
    await vi.waitUntil(() => cluster.orders.includes('n1: listConnections'));
    vi.advanceTimersByTime(5_000);
    expect((await silent).body.detail).toBe('node n1 has not answered within 5 s');
  } finally {
    grpc.close();
  }
});
