import { Presence } from '@sluice/proto/cluster';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { httpUpstream } from '../../../../control-plane/test/delivering.js';
import { describeUnless } from '../../servers/describe-unless.js';
import { type EtcdServer, NO_ETCD, startEtcd } from '../../servers/etcd.js';
import { NO_NATS, startNats } from '../../servers/nats.js';
import { connect } from '../official-client.js';
import { portsOf, type RunningControlPlane, SOON } from './control-plane.js';
import { murder, type RunningNode } from './node.js';
import { knownTo, ReplicaCluster } from './replica-cluster.js';

/* "Two replicas share an etcd and a NATS, and either may die." */

describeUnless(NO_ETCD ?? NO_NATS, 'replicas of a control plane', () => {
  const cluster = new ReplicaCluster();
  let etcd: EtcdServer;
  beforeAll(async () => {
    etcd = await startEtcd();
  });
  afterAll(() => etcd.close());

  it('bring what is changed at one to a node of the other, over NATS', async () => {
    const nats = await startNats();
    cluster.stores.push(nats);
    const [a, b] = [
      await cluster.start(etcd, ['--nats', nats.url]),
      await cluster.start(etcd, ['--nats', nats.url]),
    ];
    await Promise.all([a.isReady(), b.isReady()]);
    const url = await cluster.join('n1', [b], '--nats', nats.url);
    await vi.waitFor(async () => expect(await knownTo(b)).toEqual([['n1', Presence.PRESENT]]), SOON);
    const { revision } = await a.client.configuration.apply({
      resources: [httpUpstream('demo', await cluster.demo())],
    });
    const waited = await b.client.configuration.waitRevision({ revision, wait: 'all' });
    expect(waited.convergence).toMatchObject({ reached: true, active: 1 });
    const caller = await connect('SDK v2 auto', `${url}/mcp`);
    expect(await caller.toolNames()).toContain('demo__slow');
  });

  it('bring changes over the streams of nodes while NATS is away, and over NATS when it is back', async () => {
    const nats = await startNats();
    cluster.stores.push(nats);
    const args = ['--nats', nats.url];
    const plane = await cluster.start(etcd, args);
    await plane.isReady();
    await cluster.join('n1', [plane], ...args);
    await vi.waitFor(async () => expect(await knownTo(plane)).toEqual([['n1', Presence.PRESENT]]), SOON);
    const write = async (name: string) => {
      const { convergence } = await plane.client.configuration.apply({
        resources: [httpUpstream(name, 'http://127.0.0.1:1/')],
        options: { wait: 'all' },
      });
      expect(convergence).toMatchObject({ reached: true, active: 1 });
    };
    const isOnNats = async (is: 0 | 1) => {
      const metrics = await (await fetch(`http://${plane.health}/metrics`)).text();
      expect(metrics).toContain(`\nsluice_control_plane_nats_connected ${is}\n`);
    };
    await vi.waitFor(() => isOnNats(1), SOON);
    await write('with');
    await nats.kill();
    await write('without');
    await vi.waitFor(() => isOnNats(0), SOON);
    const health = (await (await fetch(`http://${plane.health}/health`)).json()) as object;
    expect(health).toMatchObject({ status: 'degraded', troubles: [expect.stringContaining('NATS is away')] });
    await write('still-without');
    await nats.restart();
    await vi.waitFor(() => isOnNats(1), SOON);
    await write('again');
    expect(plane.logs().match(/NATS is away/g)).toHaveLength(1);
  });

  it('leave a node to each other: one killed, it goes on with the other', async () => {
    const [a, b] = [await cluster.start(etcd), await cluster.start(etcd)];
    await Promise.all([a.isReady(), b.isReady()]);
    await cluster.join('n1', [a, b]);
    await vi.waitFor(async () => {
      const known = [...(await knownTo(a)), ...(await knownTo(b))];
      expect(known).toContainEqual(['n1', Presence.PRESENT]);
    }, SOON);
    const takesOver = async (plane: RunningControlPlane, name: string) => {
      await vi.waitFor(async () => expect(await knownTo(plane)).toEqual([['n1', Presence.PRESENT]]), SOON);
      const applied = await plane.client.configuration.apply({
        resources: [httpUpstream(name, await cluster.demo())],
        options: { wait: 'all' },
      });
      expect(applied.convergence).toMatchObject({ reached: true, active: 1 });
    };
    a.kill('SIGKILL');
    await a.ended;
    await takesOver(b, 'first');
    const again = await cluster.start(etcd, [], { ports: portsOf(a) });
    await again.isReady();
    b.kill('SIGKILL');
    await b.ended;
    await takesOver(again, 'second');
  });

  it("know each other's nodes without NATS, and tell them what to do", async () => {
    const [a, b] = [await cluster.start(etcd), await cluster.start(etcd)];
    await Promise.all([a.isReady(), b.isReady()]);
    await cluster.join('n1', [a]);
    await vi.waitFor(async () => expect(await knownTo(b)).toEqual([['n1', Presence.PRESENT]]), SOON);
    const applied = await b.client.configuration.apply({
      resources: [httpUpstream('demo', await cluster.demo())],
      options: { wait: 'all' },
    });
    expect(applied.convergence).toMatchObject({ reached: true, active: 1 });
    await b.client.fleet.drainNode({ node: 'n1', reason: 'new kernel' });
    expect(await cluster.nodes[0]?.ended).toBe(0);
    await vi.waitFor(async () => expect(await knownTo(b)).toEqual([['n1', Presence.GONE]]), SOON);
  });

  it('know the nodes there were when all of them start anew, and wait for them', async () => {
    const first = await cluster.start(etcd);
    await first.isReady();
    await cluster.join('n1', [first]);
    await cluster.join('n2', [first]);
    await vi.waitFor(async () => expect(await knownTo(first)).toHaveLength(2), SOON);
    await murder(cluster.nodes[0] as RunningNode);
    await cluster.nodes[1]?.stop();
    // Its end is told before it ends, and kept soon after.
    await vi.waitFor(async () => expect(await knownTo(first)).toContainEqual(['n2', Presence.GONE]), SOON);
    expect(await first.stop()).toBe(0);
    const next = await cluster.start(etcd);
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
});
