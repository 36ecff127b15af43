/* Who calls, as it is found out over real connections. */
import { createHmac } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { ChannelCredentials } from '@grpc/grpc-js';
import { ConfigurationService } from '@sluice/proto/admin';
import { create, ResourceKind, ResourceSchema } from '@sluice/proto/cluster';
import { afterEach, describe, expect, it } from 'vitest';
import { makeTestCertificate } from '../../../../data-plane/src/upstream/transport/test-certificate.js';
import {
  type AdminCluster,
  GrpcCaller,
  RestCaller,
  sha256,
  startAdminCluster,
  statusOf,
  TOKENS,
} from '../../../test/admin-cluster.js';
import { type OidcIssuer, startOidcIssuer } from '../../../test/oidc-issuer.js';
import { startAdminApi } from '../index.js';
import { createAccess } from './access.js';

const opened: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

async function clusterWith(more: Parameters<typeof startAdminCluster>[0]): Promise<AdminCluster> {
  const cluster = await startAdminCluster(more);
  opened.push(() => cluster.close());
  return cluster;
}

describe('an API token', () => {
  it('may stand in a file, and is nobody when it is another', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-token-'));
    opened.push(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'token');
    writeFileSync(file, `${'t'.repeat(40)}\n`);
    const cluster = await clusterWith({ access: { tokens: [{ name: 'ci', role: 'viewer', file }] } });
    const call = (token?: string) => new RestCaller(cluster.url, token).call('GET', '/api/v1/resources');
    expect((await call('t'.repeat(40))).status).toBe(200);
    for (const token of ['t'.repeat(39), TOKENS.admin, '', undefined]) {
      const answer = await call(token);
      expect(answer.status).toBe(401);
      expect(answer.headers.get('www-authenticate')).toBe('Bearer');
      expect(JSON.stringify(answer.body)).not.toContain('ttt');
    }
  });

  it.each([
    [{}, 'nobody could call'],
    [{ tokens: [{ name: 'a', role: 'viewer' as const }] }, 'either sha256 or file'],
    [{ tokens: [{ name: 'a', role: 'viewer' as const, sha256: 'abc' }] }, '64 hexadecimal digits'],
    [
      { tokens: ['a', 'b'].map((name) => ({ name, role: 'viewer' as const, sha256: sha256('x') })) },
      'are the same token',
    ],
    [
      { tokens: [{ name: 'a', role: 'admin' as const, tenants: ['acme'], sha256: sha256('x') }] },
      'an admin has all tenants',
    ],
    [{ certificates: [{ role: 'viewer' as const }] }, 'either a common name or an alternative name'],
    [
      { oidc: { issuer: 'http://login.example.com', audience: 'sluice', roleClaim: 'role', roles: {} } },
      'has to be an https URL',
    ],
  ])('or an option that cannot be is refused at the start: %j', (options, message) => {
    expect(() => createAccess(options)).toThrow(message);
  });
});

describe('an address', () => {
  it('that others reach needs TLS, or the word that it may be without', async () => {
    const cluster = await clusterWith({});
    const start = (host: string, insecure = false) =>
      startAdminApi({
        head: cluster.head,
        fleet: cluster.fleet,
        rollouts: cluster.rollouts,
        catalogue: [],
        access: { tokens: [{ name: 'a', role: 'viewer', sha256: sha256('x') }] },
        listen: { host, port: 0, insecure },
        onFailure: () => {},
      });
    await expect(start('0.0.0.0')).rejects.toThrow('needs TLS');
    await expect(start('127.evil.com')).rejects.toThrow('needs TLS');
    const open = await start('0.0.0.0', true);
    await open.close(0);
    const access = { certificates: [{ role: 'viewer' as const, commonName: 'ops' }] };
    await expect(clusterWith({ access })).rejects.toThrow('client certificates need TLS');
  });
});

describe('a token of an OIDC issuer', () => {
  let issuer: OidcIssuer;
  let cluster: AdminCluster;

  async function start() {
    issuer = await startOidcIssuer();
    opened.push(() => issuer.close());
    cluster = await clusterWith({
      access: {
        oidc: {
          issuer: issuer.url,
          audience: 'sluice',
          roleClaim: 'realm_access.roles',
          roles: { viewer: ['staff'], operator: ['ops', 'sre'], admin: ['root'] },
          tenantsClaim: 'tenants',
        },
      },
    });
  }
  const call = (token: string, path = '/api/v1/resources') =>
    new RestCaller(cluster.url, token).call('GET', path);
  const withRoles = (...roles: string[]) => ({ realm_access: { roles } });

  it('is who it says, in the role and the tenants that it says', async () => {
    await start();
    for (const name of ['acme', 'globex'])
      await cluster.head.commit({
        author: 'test',
        message: '',
        plan: async () => ({
          changed: [create(ResourceSchema, { spec: { case: 'tenantSpec', value: { name } } })],
          removed: [],
        }),
      });
    const names = async (claims: object) => {
      const { body } = await call(await issuer.token({ ...claims }), '/api/v1/resources?kind=tenant');
      return body.resources.map((each: { tenant_spec: { name: string } }) => each.tenant_spec.name);
    };
    expect(await names({ ...withRoles('staff'), tenants: ['acme'] })).toEqual(['acme']);
    expect(await names({ ...withRoles('staff'), tenants: 'globex' })).toEqual(['globex']);
    expect(await names({ ...withRoles('staff') })).toEqual([]);
    expect(await names({ ...withRoles('staff', 'root'), tenants: ['acme'] })).toEqual(['acme', 'globex']);
    const sre = new RestCaller(
      cluster.url,
      await issuer.token({ ...withRoles('x', 'sre'), tenants: ['acme'] }),
    );
    const put = await sre.call('PUT', '/api/v1/resources/consumer/ann', {
      tenant: 'acme',
      consumer: { name: 'ann' },
    });
    expect(put.body.revision).toBe('3');
    expect(cluster.head.between(2, 3)).toMatchObject([{ author: 'oidc/alice' }]);
    expect(issuer.asked).toEqual({ discovery: 1, keys: 1 });
  });

  it('is refused when it is not signed, for others, of others, old, or without a role', async () => {
    await start();
    const good = await issuer.token(withRoles('root'));
    expect((await call(good)).status).toBe(200);
    const [header = '', payload = '', signature = ''] = good.split('.');
    const coded = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const hmac = `${coded({ alg: 'HS256', kid: 'first' })}.${payload}`;
    const other = await startOidcIssuer();
    opened.push(() => other.close());
    const refused = {
      unsigned: `${coded({ alg: 'none' })}.${payload}.`,
      'with an empty signature': `${coded({ alg: 'none' })}.${payload}.AA`,
      'signed with what is public': `${hmac}.${createHmac('sha256', 'first').update(hmac).digest('base64url')}`,
      changed: `${header}.${coded({ iss: issuer.url, aud: 'sluice', sub: 'eve', exp: 9e9, ...withRoles('root') })}.${signature}`,
      'for another audience': await issuer.token({ ...withRoles('root'), aud: 'other' }),
      'of another issuer': await other.token({ ...withRoles('root'), iss: issuer.url }),
      'that says another issuer': await issuer.token({ ...withRoles('root'), iss: other.url }),
      expired: await issuer.token(withRoles('root'), { expires: '-2m' }),
      'of a key that there is not': await issuer.token(withRoles('root'), { kid: 'none' }),
      'without a role': await issuer.token(withRoles('guest')),
      'without roles': await issuer.token({}),
      'without a name': await issuer.token({ ...withRoles('root'), sub: '' }),
    };
    for (const [what, token] of Object.entries(refused)) expect((await call(token)).status, what).toBe(401);
    expect((await call(refused.expired)).body.detail).toBe('the token has expired');
    expect((await call(refused['for another audience'])).body.detail).toContain('aud');
  });

  it('cannot be told while the issuer is away, and can when it is back', async () => {
    await start();
    issuer.failing = 500;
    const token = await issuer.token(withRoles('root'));
    expect(await call(token)).toMatchObject({ status: 503, body: { reason: 'ISSUER_UNAVAILABLE' } });
    const grpc = new GrpcCaller(`127.0.0.1:${cluster.api.port}`, token);
    opened.push(() => grpc.close());
    const refused = await grpc.call(ConfigurationService, 'listResources', {}).catch(statusOf);
    expect(refused).toMatchObject({ code: 14, info: { reason: 'ISSUER_UNAVAILABLE' } });
    expect(issuer.asked.discovery).toBe(1);
    issuer.failing = undefined;
    await expect.poll(async () => (await call(token)).status, { timeout: 10_000, interval: 200 }).toBe(200);
    expect((await call('no-jwt')).status).toBe(401);
  });
});

describe('a client certificate', () => {
  const server = makeTestCertificate(['127.0.0.1', 'localhost']);
  const ops = makeTestCertificate(['ops.example.com']);
  const stranger = makeTestCertificate(['ops.example.com']);
  type Certificate = typeof server;
  const pem = (text: string | Buffer) => Buffer.from(text);

  const start = () =>
    clusterWith({
      listen: { port: 0, tls: { cert: server.cert, key: server.key, ca: ops.cert } },
      access: {
        certificates: [{ alternativeName: 'DNS:ops.example.com', role: 'operator' }],
        tokens: [{ name: 'vera', role: 'viewer', sha256: sha256(TOKENS.viewer) }],
      },
    });

  function get(url: string, certificate?: Certificate, token?: string): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      const request = httpsRequest(
        `${url}/api/v1/resources`,
        {
          ca: server.cert,
          agent: false,
          ...(certificate && { cert: certificate.cert, key: certificate.key }),
          headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
        },
        (response) => {
          response.resume();
          resolve(response.statusCode);
        },
      );
      request.on('error', reject);
      request.end();
    });
  }

  it('is its owner, over HTTP; one of another authority is not let in', async () => {
    const { url } = await start();
    expect(await get(url, ops)).toBe(200);
    expect(await get(url)).toBe(401);
    expect(await get(url, undefined, TOKENS.viewer)).toBe(200);
    expect(await get(url, ops, 'x'.repeat(40))).toBe(401);
    await expect(get(url, stranger)).rejects.toThrow();
    await expect(get(url, stranger, TOKENS.viewer)).rejects.toThrow();
  });

  it.each([
    [['h2', 'http/1.1'], 'http/1.1'],
    [['h2'], 'h2'],
    [['http/1.1'], 'http/1.1'],
  ])('is asked for in the protocol that serves who offers %j', async (offered, taken) => {
    const { api } = await start();
    const protocol = await new Promise((resolve, reject) => {
      const socket = connectTls({
        port: api.port,
        host: '127.0.0.1',
        ca: server.cert,
        ALPNProtocols: offered,
      });
      opened.push(() => socket.destroy());
      socket.once('secureConnect', () => resolve(socket.alpnProtocol)).once('error', reject);
    });
    expect(protocol).toBe(taken);
  });

  it('is its owner over gRPC at the same address', async () => {
    const cluster = await start();
    const caller = (certificate?: Certificate, token?: string) => {
      const made = new GrpcCaller(
        `127.0.0.1:${cluster.api.port}`,
        token,
        certificate === undefined
          ? ChannelCredentials.createSsl(pem(server.cert))
          : ChannelCredentials.createSsl(pem(server.cert), pem(certificate.key), pem(certificate.cert)),
      );
      opened.push(() => made.close());
      return made;
    };
    const resource = create(ResourceSchema, { spec: { case: 'consumer', value: { name: 'ann' } } });
    const put = { kind: ResourceKind.CONSUMER, name: 'ann', resource };
    expect((await caller(ops).call(ConfigurationService, 'putResource', put)).revision).toBe(1n);
    expect(cluster.head.between(0, 1)).toMatchObject([{ author: 'certificate/DNS:ops.example.com' }]);
    const asViewer = caller(ops, TOKENS.viewer).call(ConfigurationService, 'putResource', put);
    expect(await asViewer.catch(statusOf)).toMatchObject({ info: { reason: 'ROLE_TOO_LOW' } });
    const asNobody = caller().call(ConfigurationService, 'listResources', {});
    expect(await asNobody.catch(statusOf)).toMatchObject({ code: 16 });
    const asStranger = caller(stranger, TOKENS.viewer).call(ConfigurationService, 'listResources', {});
    expect(await asStranger.catch(statusOf)).toMatchObject({ code: 14, info: undefined });
  });
});
