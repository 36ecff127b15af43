import { cp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { keyOf, Presence } from '@sluice/proto/cluster';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { httpUpstream } from '../../../../control-plane/test/delivering.js';
import { describeUnless } from '../../servers/describe-unless.js';
import { ETCD_DATA_FOLDER, type EtcdServer, NO_ETCD, startEtcd } from '../../servers/etcd.js';
import { connect } from '../official-client.js';
import { portsOf, type RunningControlPlane, SOON } from './control-plane.js';
import { isServing, knownTo, ReplicaCluster } from './replica-cluster.js';

/* "The store of my cluster fails, and I know what happens." See docs/operating/store.md. */

describeUnless(NO_ETCD, 'control planes', () => {
  const cluster = new ReplicaCluster();
  let etcd: EtcdServer;
  beforeAll(async () => {
    etcd = await startEtcd();
  });
  afterAll(() => etcd.close());

  it('wait for an etcd that is away, say so once, and serve when it comes', async () => {
    const own = await startEtcd();
    cluster.stores.push(own);
    await own.kill();
    const plane = await cluster.start(own);
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
    cluster.stores.push(own);
    const { cert, key } = own.certificate ?? { cert: '', key: '' };
    const [certFile, keyFile, passwordFile] = ['cert.pem', 'key.pem', 'password'].map((name) =>
      join(cluster.folder, name),
    ) as [string, string, string];
    await Promise.all([
      writeFile(certFile, cert),
      writeFile(keyFile, key),
      writeFile(passwordFile, 'of the root\n'),
    ]);
    const tls = ['--etcd-ca', certFile, '--etcd-cert', certFile, '--etcd-key', keyFile];
    const plane = await cluster.start(own, [
      ...tls,
      '--etcd-user',
      'root',
      '--etcd-password-file',
      passwordFile,
    ]);
    await plane.isReady();
    expect(
      (await plane.client.configuration.apply({ resources: [httpUpstream('demo', 'http://127.0.0.1:1/')] }))
        .revision,
    ).toBe(1n);
    const wrong = await cluster.start(own, [...tls, '--etcd-user', 'root'], {
      env: { SLUICE_CP_ETCD_PASSWORD: 'guessed' },
    });
    await vi.waitFor(async () => expect((await wrong.ready()).body.reason).toContain('etcd at'), SOON);
    expect(wrong.logs()).not.toContain('guessed');
  });

  it('serve on while etcd is away, refuse changes with the reason, and take them when it is back', async () => {
    const own = await startEtcd();
    cluster.stores.push(own);
    const plane = await cluster.start(own);
    await plane.isReady();
    const url = await cluster.join('n1', [plane]);
    await plane.client.configuration.apply({
      resources: [httpUpstream('demo', await cluster.demo())],
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
    await isServing(await cluster.join('n2', [plane]));
    await own.restart();
    await vi.waitFor(async () => expect((await change()).revision).toBe(2n), SOON);
  });

  it('give a node that is far behind everything, when what it missed is forgotten', async () => {
    const plane = await cluster.start(etcd, ['--keep-revisions', '3']);
    await plane.isReady();
    const url = await cluster.join('n1', [plane]);
    const write = (index: number) =>
      plane.client.configuration.apply({ resources: [httpUpstream(`u${index}`, 'http://127.0.0.1:1/')] });
    await write(1);
    await isServing(url);
    await cluster.nodes[0]?.stop();
    for (let index = 2; index <= 12; index++) await write(index);
    // Another replica: it knows no more than the store.
    expect(await plane.stop()).toBe(0);
    const next = await cluster.start(etcd, ['--keep-revisions', '3'], { ports: portsOf(plane) });
    await next.isReady();
    const metrics = await (await fetch(`http://${next.health}/metrics`)).text();
    expect(Number(/^sluice_control_plane_oldest_revision (\d+)$/m.exec(metrics)?.[1])).toBeGreaterThan(5);
    await cluster.join('n1', [next]);
    await vi.waitFor(async () => expect(await knownTo(next)).toEqual([['n1', Presence.PRESENT]]), SOON);
    const { convergence } = await next.client.configuration.waitRevision({ revision: 12n, wait: 'all' });
    expect(convergence).toMatchObject({ reached: true, active: 1 });
  });

  it('refuse to follow an etcd that was wiped, and nodes go on with what they have', async () => {
    const own = await startEtcd();
    cluster.stores.push(own);
    const plane = await cluster.start(own);
    await plane.isReady();
    const url = await cluster.join('n1', [plane]);
    const upstream = httpUpstream('demo', await cluster.demo());
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
    const next = await cluster.start(own, [], { ports: portsOf(plane) });
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

  it('stand still with etcd, and go on with it', async () => {
    const own = await startEtcd();
    cluster.stores.push(own);
    const plane = await cluster.start(own);
    await plane.isReady();
    const url = await cluster.join('n1', [plane]);
    await change(plane, 'one');
    await isServing(url);
    own.freeze();
    try {
      await expect(change(plane, 'two')).rejects.toThrow('the store cannot be reached');
      expect((await plane.client.configuration.listResources({})).resources).toHaveLength(1);
      await isServing(url);
    } finally {
      own.thaw();
    }
    await vi.waitFor(() => change(plane, 'three'), SOON);
    // The second one may have been taken when etcd went on: nobody was told that it was not.
    expect(await namesIn(plane)).toEqual(expect.arrayContaining(['one', 'three']));
  });

  it('refuse an older state of etcd, and take it when they start anew', async () => {
    const own = await startEtcd();
    cluster.stores.push(own);
    const plane = await cluster.start(own);
    await plane.isReady();
    await cluster.join('n1', [plane]);
    await change(plane, 'one');
    const data = join(own.folder, ETCD_DATA_FOLDER);
    await own.kill();
    await cp(data, `${data}.saved`, { recursive: true });
    await own.restart();
    await vi.waitFor(() => change(plane, 'two'), SOON);
    await vi.waitFor(async () => expect(await runBy(plane)).toBe(2n), SOON);
    await own.kill();
    await rm(data, { recursive: true });
    await cp(`${data}.saved`, data, { recursive: true });
    await own.restart();
    await vi.waitFor(() => expect(plane.logs()).toContain('the store went back to revision 1'), SOON);
    await expect(change(plane, 'three')).rejects.toThrow('the store cannot be reached');
    expect(await runBy(plane)).toBe(2n);
    const backup = await plane.client.configuration.export({});
    await plane.stop();
    const next = await cluster.start(own, [], { ports: portsOf(plane) });
    await next.isReady();
    await next.client.configuration.import({ checkpoint: backup.checkpoint });
    expect(await namesIn(next)).toEqual(['one', 'two']);
    await vi.waitFor(async () => expect(await knownTo(next)).toEqual([['n1', Presence.PRESENT]]), SOON);
    const { revision } = await change(next, 'three');
    await vi.waitFor(async () => expect(await runBy(next)).toBe(revision), SOON);
  });
});

const change = ({ client }: RunningControlPlane, name: string) =>
  client.configuration.apply({ resources: [httpUpstream(name, 'http://127.0.0.1:1/')] });

async function namesIn({ client }: RunningControlPlane): Promise<(string | undefined)[]> {
  const { resources } = await client.configuration.listResources({});
  return resources.map((each) => keyOf(each)?.name);
}

/** The revision that the first node runs. */
async function runBy({ client }: RunningControlPlane): Promise<bigint | undefined> {
  const { nodes } = await client.fleet.listNodes({});
  return nodes[0]?.health?.position?.revision;
}
