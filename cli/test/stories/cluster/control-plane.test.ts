import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Presence } from '@sluice/proto/cluster';
import { connectAdmin } from '@sluice/sdk/admin';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { httpUpstream } from '../../../../control-plane/test/delivering.js';
import { makeTestCertificate } from '../../../../data-plane/src/upstream/transport/test-certificate.js';
import { closeClients, connect } from '../official-client.js';
import { freePort, type HttpServer, startPlain } from '../upstreams.js';
import { portsOf, type RunningControlPlane, SOON, startControlPlane } from './control-plane.js';
import { type RunningNode, startNode } from './node.js';

/* "I start a control plane, and it says how nodes join and how it is configured." */

let folder: string;
const planes: RunningControlPlane[] = [];
const nodes: RunningNode[] = [];
const servers: HttpServer[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-control-plane-'));
});
afterEach(async () => {
  await closeClients();
  await Promise.all([...nodes.splice(0), ...planes.splice(0)].map((each) => each.stop()));
  await Promise.all(servers.splice(0).map((server) => server.kill()));
  await rm(folder, { recursive: true, force: true });
});

async function start(args: readonly string[] = [], options?: Parameters<typeof startControlPlane>[1]) {
  const plane = await startControlPlane(['--state-dir', join(folder, 'state'), ...args], options);
  planes.push(plane);
  return plane;
}

async function demo(): Promise<string> {
  const server = await startPlain();
  servers.push(server);
  return server.url;
}

const printedToken = (plane: RunningControlPlane, kind: string) => {
  const path = plane.printed().match(new RegExp(`cat '(.+/first-${kind}-token)'`))?.[1];
  return path === undefined ? '' : readFileSync(path, 'utf8').trim();
};

describe('a control plane on one machine', () => {
  it('says once how nodes join and who may configure it, and where their tokens are', async () => {
    const plane = await start();
    await plane.isReady();
    await vi.waitFor(() => expect(plane.printed()).toContain('first tokens are in files'), SOON);
    const token = printedToken(plane, 'admin');
    expect(token).toMatch(/^sluice_admin_[\w-]{43}$/);
    expect(plane.printed()).not.toContain(token);
    expect(plane.printed()).toContain(`sluice data-plane --control-plane ${plane.nodes}`);
    for (const file of ['admin-tokens.yaml', 'node-tokens.yaml', 'store.db']) {
      const path = join(folder, 'state', file);
      expect((await stat(path)).mode & 0o777).toBe(0o600);
      expect(await readFile(path, 'latin1')).not.toContain(token);
    }
    expect(await plane.stop()).toBe(0);
    const again = await start();
    await again.isReady();
    expect(again.printed()).toBe('');
    const client = connectAdmin({ address: again.admin, token });
    expect(await client.fleet.listNodes({})).toMatchObject({ nodes: [] });
    client.close();
    const stranger = connectAdmin({ address: again.admin, token: `${token}x` });
    await expect(stranger.fleet.listNodes({})).rejects.toThrow('the token is none that is known here');
    stranger.close();
    expect(
      plane
        .logs()
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .join(),
    ).not.toContain(token);
  });

  it('brings a change to a node with the printed token, and refuses one without', async () => {
    const plane = await start();
    await plane.isReady();
    await vi.waitFor(() => expect(plane.printed()).toContain('first tokens are in files'), SOON);
    const client = connectAdmin({ address: plane.admin, token: printedToken(plane, 'admin') });
    const port = await freePort();
    const args = ['--control-plane', plane.nodes, '--state-dir', join(folder, 'node'), '--port', `${port}`];
    const node = startNode(['--node', 'n1', ...args], { SLUICE_NODE_TOKEN: printedToken(plane, 'node') });
    nodes.push(node);
    const stranger = startNode(['--node', 'n2', '--control-plane', plane.nodes, '--port', '0']);
    nodes.push(stranger);
    await vi.waitFor(async () => expect((await client.fleet.listNodes({})).nodes).toHaveLength(1), SOON);
    const applied = await client.configuration.apply({
      resources: [httpUpstream('demo', await demo())],
      options: { wait: 'all', message: 'a first upstream' },
    });
    expect(applied).toMatchObject({ revision: 1n, convergence: { reached: true, active: 1 } });
    const caller = await connect('SDK v2 auto', `http://127.0.0.1:${port}/mcp`);
    expect(await caller.toolNames()).toContain('demo__slow');
    await vi.waitFor(() => expect(stranger.logs()).toContain('neither the token nor the certificate'), SOON);
    expect((await client.fleet.listNodes({})).nodes).toMatchObject([
      { hello: { node: 'n1' }, presence: Presence.PRESENT },
    ]);
    const refused = client.configuration.apply({
      resources: [httpUpstream('bad', 'http://h/${secret:none}')],
    });
    await expect(refused).rejects.toThrow('there is no secret none');
    client.close();
  });

  it('lists the clients of a node, and ends one of them', async () => {
    const plane = await start();
    await plane.isReady();
    await vi.waitFor(() => expect(plane.printed()).toContain('first tokens are in files'), SOON);
    const client = connectAdmin({ address: plane.admin, token: printedToken(plane, 'admin') });
    const port = await freePort();
    const args = ['--control-plane', plane.nodes, '--state-dir', join(folder, 'node'), '--port', `${port}`];
    nodes.push(startNode(['--node', 'n1', ...args], { SLUICE_NODE_TOKEN: printedToken(plane, 'node') }));
    await vi.waitFor(async () => expect((await client.fleet.listNodes({})).nodes).toHaveLength(1), SOON);
    const resources = [httpUpstream('demo', await demo())];
    await client.configuration.apply({ resources, options: { wait: 'all' } });
    for (const name of ['first', 'second'])
      await connect('SDK v1', `http://127.0.0.1:${port}/mcp`, { headers: { 'x-client': name } });
    const list = (pageSize: number, pageToken = '') =>
      client.fleet.listConnections({ node: 'n1', pageSize, pageToken });
    const first = await list(1);
    expect(first.connections).toMatchObject([{ endpoint: '/mcp', transport: 'http', clientName: 'story' }]);
    const second = await list(1, first.nextPageToken);
    expect(second).toMatchObject({ connections: [{ clientName: 'story' }], nextPageToken: '' });
    const connection = first.connections[0]?.id as string;
    await client.fleet.endConnection({ node: 'n1', connection });
    const left = async () => (await list(9)).connections.map(({ id }) => id);
    await vi.waitFor(async () => expect(await left()).toEqual([second.connections[0]?.id]), SOON);
    client.close();
  });

  it('lets nodes in that prove by a certificate who they are, over TLS', async () => {
    const { cert, key } = makeTestCertificate(['127.0.0.1', 'localhost']);
    const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
    await Promise.all([writeFile(certFile, cert), writeFile(keyFile, key)]);
    const own = ['--listen-cert', certFile, '--listen-key', keyFile, '--listen-client-ca', certFile];
    const plane = await start(own);
    await plane.isReady();
    await vi.waitFor(() => expect(plane.printed()).toContain('Configure the cluster'), SOON);
    expect(plane.printed()).not.toContain('SLUICE_NODE_TOKEN');
    const client = connectAdmin({ address: plane.admin, token: printedToken(plane, 'admin') });
    const joinAs = (name: string, ...args: string[]) =>
      nodes.push(
        startNode([
          ...['--node', name, '--control-plane', plane.nodes, '--port', '0', '--tls-ca', certFile, ...args],
        ]),
      );
    const shown = ['--tls-cert', certFile, '--tls-key', keyFile];
    joinAs('localhost', ...shown);
    await vi.waitFor(async () => expect((await client.fleet.listNodes({})).nodes).toHaveLength(1), SOON);
    // Neither a name that is not in the certificate, nor nobody.
    joinAs('somebody', ...shown);
    joinAs('nobody');
    const reason = 'neither the token nor the certificate is that of a node';
    await vi.waitFor(() => expect(nodes[1]?.logs()).toContain(reason), SOON);
    await vi.waitFor(() => expect(nodes[2]?.logs()).toContain('it asks for a client certificate'), SOON);
    expect((await client.fleet.listNodes({})).nodes).toMatchObject([{ hello: { node: 'localhost' } }]);
    client.close();
  });

  it('stops in order when it is told to, and is there again with everything', async () => {
    const plane = await start();
    await plane.isReady();
    await vi.waitFor(() => expect(plane.printed()).toContain('first tokens are in files'), SOON);
    const [admin, nodeToken] = [printedToken(plane, 'admin'), printedToken(plane, 'node')];
    const client = connectAdmin({ address: plane.admin, token: admin });
    await client.configuration.apply({ resources: [httpUpstream('demo', await demo())] });
    const port = await freePort();
    const args = ['--control-plane', plane.nodes, '--state-dir', join(folder, 'node'), '--port', `${port}`];
    const node = startNode(['--node', 'n1', ...args], { SLUICE_NODE_TOKEN: nodeToken });
    nodes.push(node);
    const isThere = async () => {
      const { nodes: known } = await client.fleet.listNodes({});
      expect(known).toMatchObject([{ hello: { node: 'n1' }, presence: Presence.PRESENT }]);
    };
    await vi.waitFor(isThere, SOON);
    const isServing = async () =>
      expect((await fetch(`http://127.0.0.1:${port}/ready`).catch(() => undefined))?.status).toBe(200);
    await vi.waitFor(isServing, SOON);
    expect(await plane.stop()).toBe(0);
    expect(plane.logs()).toContain('"msg":"stopped"');
    await isServing();
    const again = await start([], { ports: portsOf(plane) });
    await again.isReady();
    expect((await client.configuration.history({})).revisions).toMatchObject([
      { number: 1n, author: 'token/first' },
    ]);
    await vi.waitFor(isThere, SOON);
    client.close();
  });

  it('forgets old revisions by itself, and says how far it goes back', async () => {
    const plane = await start(['--keep-revisions', '5']);
    await plane.isReady();
    await vi.waitFor(() => expect(plane.printed()).toContain('first tokens are in files'), SOON);
    const client = connectAdmin({ address: plane.admin, token: printedToken(plane, 'admin') });
    for (let index = 1; index <= 20; index++)
      await client.configuration.apply({ resources: [httpUpstream('demo', `http://127.0.0.1:1/${index}`)] });
    await vi.waitFor(async () => {
      const { revisions } = await client.configuration.history({});
      expect(revisions[0]?.number).toBe(20n);
      expect(revisions.length).toBeLessThanOrEqual(6);
    }, SOON);
    const metrics = await (await fetch(`http://${plane.health}/metrics`)).text();
    expect(metrics).toMatch(/^sluice_control_plane_revision 20$/m);
    expect(metrics).toMatch(/^sluice_control_plane_oldest_revision 1[45]$/m);
    client.close();
  });

  it.each([
    [['--store', 'etcd'], '--store etcd needs --etcd'],
    [['--etcd', 'http://127.0.0.1:2379'], '--etcd needs --store etcd'],
    [['--store', 'etcd', '--etcd', '127.0.0.1:2379'], 'is no address of etcd'],
    [['--store', 'etcd', '--etcd', 'http://a:b@c:1'], 'an address of etcd holds no user'],
    [['--store', 'etcd', '--etcd', 'http://a:1'], 'replicas have to know the same nodes'],
    [['--listen', '0.0.0.0:0'], 'would show their tokens in the clear: give --listen-cert'],
    [['--admin-listen', '0.0.0.0:0'], 'would show their tokens in the clear: give --admin-cert'],
    [['--listen', 'here'], 'Give host:port'],
    [['--listen-cert', 'a'], '--listen-cert and --listen-key belong together'],
    [['--cluster', 'a.b'], 'Give up to 63 lower-case letters'],
    [['--keep-revisions', '0'], 'Give a number of revisions from 1'],
    [['--oidc-issuer', 'https://a'], '--oidc-issuer and --oidc-audience belong together'],
  ])('%j is refused', async (args, reason) => {
    const plane = await startControlPlane(args);
    expect(await plane.ended).toBe(2);
    expect(plane.logs()).toContain(reason);
    plane.client.close();
  });

  it.each([
    [['--node-tokens-file', '/nowhere'], '/nowhere: it cannot be read'],
    [['--listen-cert', '/nowhere', '--listen-key', '/nowhere'], '--listen-cert: /nowhere cannot be read'],
    [
      ['--nats-credentials', '/nowhere', '--nats', 'nats://127.0.0.1:1'],
      '--nats-credentials: /nowhere cannot be read',
    ],
  ])('%j is refused for what it names', async (args, reason) => {
    const plane = await start(args);
    expect(await plane.ended).toBe(3);
    expect(plane.logs()).toContain(reason);
  });

  it('says when a port is taken, and shows its tokens at the next start', async () => {
    const plane = await start();
    await plane.isReady();
    const ports = [portsOf(plane)[0], await freePort(), await freePort()] as const;
    const other = await startControlPlane(['--state-dir', join(folder, 'other')], { ports });
    planes.push(other);
    expect(await other.ended).toBe(5);
    expect(other.logs()).toMatch(/^sluice: cannot listen for nodes on [\d.:]+: listen EADDRINUSE/m);
    expect(other.logs()).not.toContain('total 1 resolved');
    const again = await startControlPlane(['--state-dir', join(folder, 'other')]);
    planes.push(again);
    await vi.waitFor(() => expect(printedToken(again, 'admin')).not.toBe(''), SOON);
  });
});
