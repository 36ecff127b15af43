import { ConfigurationService } from '@sluice/proto/admin';
import { ResourceKind } from '@sluice/proto/cluster';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
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
let grpc: GrpcCaller;

beforeEach(async () => {
  cluster = await startAdminCluster();
  rest = new RestCaller(cluster.url, TOKENS.admin);
  grpc = new GrpcCaller(`127.0.0.1:${cluster.api.port}`, TOKENS.admin);
});
afterEach(async () => {
  grpc.close();
  await cluster.close();
});

const upstream = (name: string, url = `http://${name}.test/mcp`) => ({ upstream: { name, http: { url } } });

describe('one address', () => {
  it('speaks gRPC and REST', async () => {
    const put = await rest.call('PUT', '/api/v1/resources/upstream/files', upstream('files'));
    expect(put).toMatchObject({ status: 200, body: { revision: '1', etag: '1' } });
    const got = await grpc.call(ConfigurationService, 'getResource', {
      kind: ResourceKind.UPSTREAM,
      name: 'files',
    });
    expect(got).toMatchObject({ etag: '1', resource: { revision: 1n, spec: { case: 'upstream' } } });
    const refused = await grpc
      .call(ConfigurationService, 'getResource', { kind: ResourceKind.UPSTREAM, name: 'none' })
      .catch(statusOf);
    expect(refused).toMatchObject({ code: 5, info: { reason: 'NOT_FOUND', domain: 'sluice' } });
    expect(await rest.call('GET', '/api/v1/resources/upstream/none')).toMatchObject({
      status: 404,
      body: { reason: 'NOT_FOUND', status: 404, type: 'urn:sluice:error:not-found' },
    });
    expect((await new RestCaller(cluster.url).call('GET', '/api/v1/resources')).status).toBe(401);
    const nobody = new GrpcCaller(`127.0.0.1:${cluster.api.port}`);
    expect(await nobody.call(ConfigurationService, 'listResources', {}).catch(statusOf)).toMatchObject({
      code: 16,
      info: { reason: 'UNAUTHENTICATED' },
    });
    nobody.close();
  });
});
