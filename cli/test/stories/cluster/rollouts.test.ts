import { RolloutEventKind, RolloutState } from '@sluice/proto/cluster';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { httpUpstream } from '../../../../control-plane/test/delivering.js';
import { describeUnless } from '../../servers/describe-unless.js';
import { type EtcdServer, NO_ETCD, startEtcd } from '../../servers/etcd.js';
import { NO_NATS, startNats } from '../../servers/nats.js';
import { connect } from '../official-client.js';
import { DEAD_URL } from '../upstreams.js';
import type { RunningControlPlane } from './control-plane.js';
import { isServing, ReplicaCluster } from './replica-cluster.js';

/* "I change the cluster on some nodes first, and it goes on, or back, by itself." */

const PATIENT = { timeout: 25_000, interval: 100 };
const THIRDS = [{ nodesPercent: 30 }, { nodesPercent: 60 }, { nodesPercent: 100 }];

/** What nodes run and should run, by name. */
async function nodesOf({ client }: RunningControlPlane) {
  const { nodes } = await client.fleet.listNodes({});
  return nodes.map(({ hello, health, wantedRevision }) => ({
    name: hello?.node,
    runs: health?.position?.revision,
    wanted: wantedRevision,
  }));
}

const allRun = (plane: RunningControlPlane, revision: bigint) =>
  vi.waitFor(async () => {
    const runs = (await nodesOf(plane)).map((node) => node.runs);
    expect(runs).toEqual([revision, revision, revision]);
  }, PATIENT);

async function newest({ client }: RunningControlPlane) {
  const { rollout } = await client.rollout.getRollout({});
  return rollout;
}

describeUnless(NO_ETCD ?? NO_NATS, 'a rollout', () => {
  const cluster = new ReplicaCluster();
  let etcd: EtcdServer;
  beforeAll(async () => {
    etcd = await startEtcd();
  });
  afterAll(() => etcd.close());

  /** Two replicas and three nodes with a server. */
  async function begun() {
    const nats = await startNats();
    cluster.stores.push(nats);
    const [a, b] = [
      await cluster.start(etcd, ['--nats', nats.url]),
      await cluster.start(etcd, ['--nats', nats.url]),
    ];
    await Promise.all([a.isReady(), b.isReady()]);
    const demo = await cluster.demo();
    await a.client.configuration.apply({ resources: [httpUpstream('demo', demo)] });
    const urls = [
      await cluster.join('n1', [a, b], '--nats', nats.url),
      await cluster.join('n2', [a, b], '--nats', nats.url),
      await cluster.join('n3', [a, b], '--nats', nats.url),
    ];
    await Promise.all(urls.map(isServing));
    await allRun(a, 1n);
    return { a, b, demo, urls };
  }

  it('goes back by itself when the first node refuses it, while the others go on', async () => {
    const { a, b, demo, urls } = await begun();
    // No node has the variable: none can run it, and one finds out for all.
    await a.client.configuration.apply({
      resources: [httpUpstream('other', demo, { authorization: 'Bearer ${SLUICE_STORY_MISSING}' })],
      options: { message: 'one more server', rollout: { steps: THIRDS, pauseMs: 30_000 } },
    });
    await allRun(b, 3n);
    const rollout = await newest(b);
    expect(rollout).toMatchObject({ state: RolloutState.ROLLED_BACK, step: 1, restoredBy: 3n });
    expect(rollout?.nodes).toHaveLength(1);
    expect(rollout?.events.map(({ kind }) => kind)).toEqual([
      RolloutEventKind.STEP_STARTED,
      RolloutEventKind.ROLLBACK_STARTED,
      RolloutEventKind.ROLLED_BACK,
    ]);
    expect(rollout?.events[1]?.reason).toMatch(
      /^1 node refused revision 2, and 0 may; n\d: .*SLUICE_STORY_MISSING/,
    );
    const { revision } = await a.client.configuration.getRevision({});
    expect(revision).toMatchObject({ author: 'rollout', restores: 1n });
    const client = await connect('SDK v2 auto', `${urls[0]}/mcp`);
    expect(await client.toolNames()).toContain('demo__slow');
  });

  it('goes back by itself when a server does not answer the first node, and answers the others', async () => {
    const { a, b, urls } = await begun();
    await a.client.configuration.apply({
      resources: [httpUpstream('demo', DEAD_URL)],
      options: { message: 'move it', rollout: { steps: THIRDS, limits: { maxArrivalMs: 5_000 } } },
    });
    await vi.waitFor(async () => {
      const nodes = await nodesOf(b);
      expect(nodes.map(({ runs }) => runs).sort()).toEqual([1n, 1n, 2n]);
      for (const { runs, wanted } of nodes) expect(wanted).toBe(runs);
    }, PATIENT);
    await allRun(b, 3n);
    const rollout = await newest(b);
    expect(rollout).toMatchObject({ state: RolloutState.ROLLED_BACK, step: 1, restoredBy: 3n });
    expect(rollout?.events.at(-2)?.reason).toMatch(
      /1 upstream does not answer n\d, and 0 without the revision$/,
    );
    for (const url of urls) {
      const client = await connect('SDK v2 auto', `${url}/mcp`);
      await vi.waitFor(async () => expect(await client.toolNames()).toContain('demo__slow'), PATIENT);
    }
  }, 120_000);

  it('goes on with another replica when the one that watches it is killed', async () => {
    const { a, b, urls } = await begun();
    const second = await cluster.demo();
    await a.client.configuration.apply({
      resources: [httpUpstream('second', second)],
      options: { rollout: { steps: THIRDS, pauseMs: 2_000, limits: { minRequestsCount: 0 } } },
    });
    await vi.waitFor(async () => expect((await newest(a))?.driver).not.toBe(''), PATIENT);
    await expect(
      b.client.configuration.apply({ resources: [httpUpstream('third', second)] }),
    ).rejects.toMatchObject({ reason: 'ROLLOUT_ACTIVE' });
    // Which one drives is not said by name; whichever dies, the other has to finish.
    a.kill('SIGKILL');
    await a.ended;
    await vi.waitFor(
      async () => expect(await newest(b)).toMatchObject({ state: RolloutState.PROMOTED, step: 3 }),
      PATIENT,
    );
    await allRun(b, 2n);
    const client = await connect('SDK v2 auto', `${urls[2]}/mcp`);
    expect(await client.toolNames()).toContain('second__slow');
    await b.client.configuration.apply({
      resources: [httpUpstream('third', second)],
      options: { rollout: { steps: THIRDS } },
    });
    await vi.waitFor(async () => expect((await nodesOf(b)).map(({ runs }) => runs)).toContain(3n), PATIENT);
    const aborted = await b.client.rollout.abortRollout({ reason: 'enough' });
    expect(aborted.rollout).toMatchObject({ state: RolloutState.ROLLED_BACK, restoredBy: 4n });
    await allRun(b, 4n);
  }, 120_000);
});
