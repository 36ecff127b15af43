import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Presence } from '@sluice/proto/cluster';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { httpUpstream } from '../../../../control-plane/test/delivering.js';
import { ETCD_DATA_FOLDER, type EtcdServer, NO_ETCD, startEtcd } from '../../servers/etcd.js';
import { NO_NATS, startNats } from '../../servers/nats.js';
import type { TestServer } from '../../servers/server-process.js';
import { closeClients, connect } from '../official-client.js';
import { descendants } from '../processes.js';
import { freePort, type HttpServer, startPlain } from '../upstreams.js';
import {
  NODE_TOKEN,
  portsOf,
  type RunningControlPlane,
  SOON,
  startControlPlane,
  tokenFiles,
} from './control-plane.js';
import { type RunningNode, startNode } from './node.js';

/* "Two replicas share an etcd and a NATS, and either may die." */

const missing = NO_ETCD ?? NO_NATS;
const suite = missing === undefined ? 'replicas of a control plane' : `replicas (${missing})`;

let folder: string;
let tokens: string[];
let cluster: string;
let clusterCount = 0;
const planes: RunningControlPlane[] = [];
const nodes: RunningNode[] = [];
const servers: HttpServer[] = [];
const stores: TestServer[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-replicas-'));
  tokens = await tokenFiles(folder);
  clusterCount += 1;
  cluster = `c${clusterCount}`;
});
afterEach(async () => {
  await closeClients();
  await Promise.all([...nodes.splice(0), ...planes.splice(0)].map((each) => each.stop()));
  await Promise.all(servers.splice(0).map((server) => server.kill()));
  await Promise.all(stores.splice(0).map((store) => store.close()));
  await rm(folder, { recursive: true, force: true });
});

async function start(
  { url }: { readonly url: string },
  args: readonly string[] = [],
  options?: Parameters<typeof startControlPlane>[1],
) {
  const own = ['--store', 'etcd', '--etcd', url, '--cluster', cluster];
  const plane = await startControlPlane([...own, ...tokens, ...args], options);
  planes.push(plane);
  return plane;
}

async function joinNode(name: string, controlPlanes: readonly RunningControlPlane[], ...args: string[]) {
  const port = await freePort();
  const addresses = controlPlanes.flatMap((plane) => ['--control-plane', plane.nodes]);
  const state = ['--node', name, '--state-dir', join(folder, name), '--port', `${port}`];
  nodes.push(startNode([...addresses, ...state, ...args], { SLUICE_NODE_TOKEN: NODE_TOKEN }));
  return `http://127.0.0.1:${port}`;
}

async function demo(): Promise<string> {
  const server = await startPlain();
  servers.push(server);
  return server.url;
}

/** The whole node at once: its parent would start it again, and it would say goodbye without its parent. */
async function crash(node: RunningNode): Promise<void> {
  const [serving] = descendants(node.pid);
  node.kill('SIGSTOP');
  process.kill(serving?.pid as number, 'SIGKILL');
  node.kill('SIGKILL');
  await node.ended;
}

const isServing = (url: string) =>
  vi.waitFor(
    async () => expect((await fetch(`${url}/ready`).catch(() => undefined))?.status).toBe(200),
    SOON,
  );

const knownTo = async (plane: RunningControlPlane) => {
  const { nodes: known } = await plane.client.fleet.listNodes({});
  return known.map(({ hello, presence }) => [hello?.node, presence]);
};

describe.skipIf(missing !== undefined)(suite, () => {
  let etcd: EtcdServer;
  beforeAll(async () => {
    etcd = await startEtcd();
  });
  afterAll(() => etcd.close());

  it('bring what is changed at one to a node of the other, over NATS', async () => {
    const nats = await startNats();
    stores.push(nats);
    const [a, b] = [await start(etcd, ['--nats', nats.url]), await start(etcd, ['--nats', nats.url])];
    await Promise.all([a.isReady(), b.isReady()]);
    const url = await joinNode('n1', [b], '--nats', nats.url);
    await vi.waitFor(async () => expect(await knownTo(b)).toEqual([['n1', Presence.PRESENT]]), SOON);
    const { revision } = await a.client.configuration.apply({
      resources: [httpUpstream('demo', await demo())],
    });
    const waited = await b.client.configuration.waitRevision({ revision, wait: 'all' });
    expect(waited.convergence).toMatchObject({ reached: true, active: 1 });
    const caller = await connect('SDK v2 auto', `${url}/mcp`);
    expect(await caller.toolNames()).toContain('demo__slow');
  });

  it('leave a node to each other: one killed, it goes on with the other', async () => {
    const [a, b] = [await start(etcd), await start(etcd)];
    await Promise.all([a.isReady(), b.isReady()]);
    await joinNode('n1', [a, b]);
    await vi.waitFor(async () => {
      const known = [...(await knownTo(a)), ...(await knownTo(b))];
      expect(known).toContainEqual(['n1', Presence.PRESENT]);
    }, SOON);
    const takesOver = async (plane: RunningControlPlane, name: string) => {
      await vi.waitFor(async () => expect(await knownTo(plane)).toEqual([['n1', Presence.PRESENT]]), SOON);
      const applied = await plane.client.configuration.apply({
        resources: [httpUpstream(name, await demo())],
        options: { wait: 'all' },
      });
      expect(applied.convergence).toMatchObject({ reached: true, active: 1 });
    };
    a.kill('SIGKILL');
    await a.ended;
    await takesOver(b, 'first');
    const again = await start(etcd, [], { ports: portsOf(a) });
    await again.isReady();
    b.kill('SIGKILL');
    await b.ended;
    await takesOver(again, 'second');
  });

  it('wait for an etcd that is away, say so once, and serve when it comes', async () => {
    const own = await startEtcd();
    stores.push(own);
    await own.kill();
    const plane = await start(own);
    await vi.waitFor(async () => {
      const { status, body } = await plane.ready();
      expect(status).toBe(503);
      expect(body.reason).toContain(`the store cannot be reached: etcd at ${own.url} cannot be used`);
    }, SOON);
    await own.restart();
    await plane.isReady();
    expect(plane.logs().match(/waits for the store/g)).toHaveLength(1);
    expect(
      (await plane.client.configuration.apply({ resources: [httpUpstream('demo', 'http://127.0.0.1:1/')] }))
        .revision,
    ).toBe(1n);
  });

  it('use an etcd that asks for TLS, a certificate, a user and a password', async () => {
    const own = await startEtcd({ tls: true, auth: { password: 'of the root' } });
    stores.push(own);
    const { cert, key } = own.certificate ?? { cert: '', key: '' };
    const [certFile, keyFile, passwordFile] = ['cert.pem', 'key.pem', 'password'].map((name) =>
      join(folder, name),
    ) as [string, string, string];
    await Promise.all([
      writeFile(certFile, cert),
      writeFile(keyFile, key),
      writeFile(passwordFile, 'of the root\n'),
    ]);
    const tls = ['--etcd-ca', certFile, '--etcd-cert', certFile, '--etcd-key', keyFile];
    const plane = await start(own, [...tls, '--etcd-user', 'root', '--etcd-password-file', passwordFile]);
    await plane.isReady();
    expect(
      (await plane.client.configuration.apply({ resources: [httpUpstream('demo', 'http://127.0.0.1:1/')] }))
        .revision,
    ).toBe(1n);
    const wrong = await start(own, [...tls, '--etcd-user', 'root'], {
      env: { SLUICE_CP_ETCD_PASSWORD: 'guessed' },
    });
    await vi.waitFor(async () => expect((await wrong.ready()).body.reason).toContain('etcd at'), SOON);
    expect(wrong.logs()).not.toContain('guessed');
  });

  it("know each other's nodes without NATS, and tell them what to do", async () => {
    const [a, b] = [await start(etcd), await start(etcd)];
    await Promise.all([a.isReady(), b.isReady()]);
    await joinNode('n1', [a]);
    await vi.waitFor(async () => expect(await knownTo(b)).toEqual([['n1', Presence.PRESENT]]), SOON);
    const applied = await b.client.configuration.apply({
      resources: [httpUpstream('demo', await demo())],
      options: { wait: 'all' },
    });
    expect(applied.convergence).toMatchObject({ reached: true, active: 1 });
    await b.client.fleet.drainNode({ node: 'n1', reason: 'new kernel' });
    expect(await nodes[0]?.ended).toBe(0);
    await vi.waitFor(async () => expect(await knownTo(b)).toEqual([['n1', Presence.GONE]]), SOON);
  });

  it('know the nodes there were when all of them start anew, and wait for them', async () => {
    const first = await start(etcd);
    await first.isReady();
    await joinNode('n1', [first]);
    await joinNode('n2', [first]);
    await vi.waitFor(async () => expect(await knownTo(first)).toHaveLength(2), SOON);
    await crash(nodes[0] as RunningNode);
    await nodes[1]?.stop();
    // Its end is told before it ends, and kept soon after.
    await vi.waitFor(async () => expect(await knownTo(first)).toContainEqual(['n2', Presence.GONE]), SOON);
    expect(await first.stop()).toBe(0);
    const next = await start(etcd);
    await next.isReady();
    expect(await knownTo(next)).toEqual([
      ['n1', Presence.UNKNOWN],
      ['n2', Presence.GONE],
    ]);
    const { convergence } = await next.client.configuration.apply({
      resources: [httpUpstream('demo', 'http://127.0.0.1:1/')],
      options: { wait: 'all', deadline: { seconds: 1n } },
    });
    expect(convergence).toMatchObject({
      reached: false,
      concerned: 1,
      behind: [{ node: 'n1', presence: Presence.UNKNOWN }],
    });
  });

  it('serve on while etcd is away, refuse changes with the reason, and take them when it is back', async () => {
    const own = await startEtcd();
    stores.push(own);
    const plane = await start(own);
    await plane.isReady();
    const url = await joinNode('n1', [plane]);
    await plane.client.configuration.apply({
      resources: [httpUpstream('demo', await demo())],
      options: { wait: 'all' },
    });
    await isServing(url);
    await own.kill();
    const change = () =>
      plane.client.configuration.apply({ resources: [httpUpstream('more', 'http://127.0.0.1:1/')] });
    await expect(change()).rejects.toThrow('the store cannot be reached');
    await vi.waitFor(async () => {
      const health = (await (await fetch(`http://${plane.health}/health`)).json()) as object;
      expect(health).toMatchObject({
        status: 'degraded',
        revision: 1,
        troubles: [expect.stringContaining(`nothing can be changed: etcd at ${own.url} cannot be used`)],
      });
    }, SOON);
    expect((await plane.ready()).status).toBe(200);
    expect((await plane.client.configuration.listResources({})).resources).toHaveLength(1);
    // A node that comes now gets what is known.
    await isServing(await joinNode('n2', [plane]));
    await own.restart();
    await vi.waitFor(async () => expect((await change()).revision).toBe(2n), SOON);
  });

  it('give a node that is far behind everything, when what it missed is forgotten', async () => {
    const plane = await start(etcd, ['--keep-revisions', '3']);
    await plane.isReady();
    const url = await joinNode('n1', [plane]);
    const write = (index: number) =>
      plane.client.configuration.apply({ resources: [httpUpstream(`u${index}`, 'http://127.0.0.1:1/')] });
    await write(1);
    await isServing(url);
    await nodes[0]?.stop();
    for (let index = 2; index <= 12; index++) await write(index);
    // Another replica: it knows no more than the store.
    expect(await plane.stop()).toBe(0);
    const next = await start(etcd, ['--keep-revisions', '3'], { ports: portsOf(plane) });
    await next.isReady();
    const metrics = await (await fetch(`http://${next.health}/metrics`)).text();
    expect(Number(/^sluice_control_plane_oldest_revision (\d+)$/m.exec(metrics)?.[1])).toBeGreaterThan(5);
    await joinNode('n1', [next]);
    await vi.waitFor(async () => expect(await knownTo(next)).toEqual([['n1', Presence.PRESENT]]), SOON);
    const { convergence } = await next.client.configuration.waitRevision({ revision: 12n, wait: 'all' });
    expect(convergence).toMatchObject({ reached: true, active: 1 });
  });

  it('refuse to follow an etcd that was wiped, and nodes go on with what they have', async () => {
    const own = await startEtcd();
    stores.push(own);
    const plane = await start(own);
    await plane.isReady();
    const url = await joinNode('n1', [plane]);
    const upstream = httpUpstream('demo', await demo());
    await plane.client.configuration.apply({ resources: [upstream], options: { wait: 'all' } });
    await isServing(url);
    await own.kill();
    await rm(join(own.folder, ETCD_DATA_FOLDER), { recursive: true });
    await own.restart();
    const change = plane.client.configuration.apply({
      resources: [httpUpstream('more', 'http://127.0.0.1:1/')],
    });
    await expect(change).rejects.toThrow('the store cannot be reached');
    await vi.waitFor(
      () => expect(plane.logs()).toContain('bring the known one back, or restore a backup'),
      SOON,
    );
    const backup = await plane.client.configuration.export({});
    expect(backup.checkpoint?.resources).toHaveLength(1);
    await isServing(url);
    // A replica that starts anew knows nothing but the empty store; nodes do not take that from it.
    expect(await plane.stop()).toBe(0);
    const next = await start(own, [], { ports: portsOf(plane) });
    await next.isReady();
    await vi.waitFor(async () => expect(await knownTo(next)).toEqual([['n1', Presence.PRESENT]]), SOON);
    await isServing(url);
    const restored = await next.client.configuration.import({
      checkpoint: backup.checkpoint,
      options: { wait: 'all' },
    });
    expect(restored.convergence).toMatchObject({ reached: true, active: 1 });
    const caller = await connect('SDK v2 auto', `${url}/mcp`);
    expect(await caller.toolNames()).toContain('demo__slow');
  });
});
