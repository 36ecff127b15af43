import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { RolloutEventKind, RolloutPlanSchema, RolloutState } from '@sluice/proto/cluster';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { MemoryLog } from '../../test/memory-log.js';
import { RollingNode, type RollingReplica, startRolling, write as writeTo } from '../../test/rolling.js';
import { EmbeddedRecords } from '../store/embedded-records.js';
import { NoRolloutError } from './rollouts.js';

const STEPS = [{ nodesPercent: 25 }, { nodesPercent: 50 }, { nodesPercent: 100 }];
const PATIENT = { timeout: 15_000, interval: 20 };

const endings: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

/** Revision 1 is there. */
async function cluster(nodeCount: number, replicaCount = 1) {
  const log = new MemoryLog();
  const records = EmbeddedRecords.open(undefined, Date.now);
  endings.push(() => records.close());
  const start = async (port = 0) => {
    const replica = await startRolling(log, records, port);
    endings.push(() => replica.stop('killed'));
    return replica;
  };
  const replicas: RollingReplica[] = [];
  for (let index = 0; index < replicaCount; index++) replicas.push(await start());
  const [first] = replicas as [RollingReplica];
  await writeTo(first, 'stable');
  const addresses = replicas.map(({ address }) => address);
  const join = (name: string, more?: ConstructorParameters<typeof RollingNode>[2]) => {
    const node = new RollingNode(name, addresses, more);
    endings.push(() => node.stop());
    return node;
  };
  const nodes = Array.from({ length: nodeCount }, (_, index) => join(`n${index}`));
  await vi.waitFor(() => {
    for (const node of nodes) expect(node.revision).toBe(1);
    for (const { fleet } of replicas) expect(fleet.nodes()).toHaveLength(nodeCount);
    const heard = replicas.flatMap(({ fleet }) => [...fleet.heardHere()]);
    expect(heard).toHaveLength(nodeCount);
    for (const { health } of heard) expect(health?.requestsTotal).toBeGreaterThan(0n);
  }, PATIENT);
  return { log, records, first, replicas, nodes, start, join };
}

const write = (to: RollingReplica, name: string, plan: MessageInitShape<typeof RolloutPlanSchema>) =>
  writeTo(to, name, create(RolloutPlanSchema, plan));

const newest = ({ rollouts }: RollingReplica) => rollouts.all()[0];
const kindsOf = (replica: RollingReplica) => newest(replica)?.events.map(({ kind }) => kind);
const withRevision = (nodes: readonly RollingNode[], revision: number) =>
  nodes.filter((node) => node.revision === revision);

describe('a rollout', () => {
  it('brings a good revision to all nodes, step by step', async () => {
    const { first, nodes } = await cluster(4);
    await write(first, 'new', { steps: STEPS, pauseMs: 300 });
    await vi.waitFor(() => expect(withRevision(nodes, 2)).toHaveLength(1), PATIENT);
    const [canary] = withRevision(nodes, 2);
    expect(first.rollouts.obstacle).toBe(
      'revision 2 is being rolled out, in step 1 of 3: wait for its end, or promote or abort it first',
    );
    expect(first.fleet.nodes().map(({ hello, wantedRevision }) => [hello?.node, wantedRevision])).toEqual(
      nodes.map((node) => [node.name, node === canary ? 2n : 1n]),
    );
    await vi.waitFor(() => expect(newest(first)).toMatchObject({ state: RolloutState.PROMOTED }), PATIENT);
    await vi.waitFor(() => expect(withRevision(nodes, 2)).toHaveLength(4), PATIENT);
    expect(newest(first)).toMatchObject({
      step: 3,
      stableRevision: 1n,
      restoredBy: 0n,
      before: { nodesCount: 4 },
    });
    // A machine that is busy may lose a node for a moment.
    expect(kindsOf(first)?.filter((kind) => kind !== RolloutEventKind.NODES_ADDED)).toEqual([
      RolloutEventKind.STEP_STARTED,
      RolloutEventKind.STEP_STARTED,
      RolloutEventKind.STEP_STARTED,
      RolloutEventKind.PROMOTED,
    ]);
    for (const node of nodes) expect(node.ran).toEqual([1, 2]);
    expect(first.rollouts.obstacle).toBeUndefined();
    expect(await writeTo(first, 'newer')).toBe(3);
    await vi.waitFor(() => expect(withRevision(nodes, 3)).toHaveLength(4), PATIENT);
    expect(first.troubles).toEqual([]);
  });

  it('takes a revision back that a node refuses, and nobody else has seen it', async () => {
    const { first, nodes } = await cluster(4);
    for (const node of nodes) node.refuses = ['bad'];
    await write(first, 'bad', { steps: STEPS, pauseMs: 60_000 });
    await vi.waitFor(() => expect(withRevision(nodes, 3)).toHaveLength(4), PATIENT);
    await vi.waitFor(
      () => expect(newest(first)).toMatchObject({ state: RolloutState.ROLLED_BACK, restoredBy: 3n }),
      PATIENT,
    );
    expect(
      newest(first)?.events.find(({ kind }) => kind === RolloutEventKind.ROLLBACK_STARTED),
    ).toMatchObject({
      reason: expect.stringMatching(/^1 node refused revision 2, and 0 may; n\d: cannot run bad$/),
      author: '',
    });
    expect(first.head.newest).toMatchObject({
      author: 'rollout',
      restores: 1n,
      message: expect.stringContaining('takes back revision 2: 1 node refused'),
    });
    // Resources are as they were, to the byte: nodes that never had the revision have nothing to change.
    expect(first.head.state.digest).toEqual(first.head.stateAt(1).digest);
    for (const node of nodes) {
      expect(node.ran).toEqual([1, 3]);
      expect(node.resources).toEqual(['consumer//stable']);
    }
  });

  it('takes a revision back with which requests fail', async () => {
    const { first, nodes } = await cluster(4);
    for (const node of nodes) node.errorsPercent = { new: 50, stable: 1 };
    await write(first, 'new', { steps: STEPS, pauseMs: 60_000 });
    await vi.waitFor(() => expect(withRevision(nodes, 3)).toHaveLength(4), PATIENT);
    const ran = nodes.map((node) => node.ran.join());
    expect(ran.sort()).toEqual(['1,2,3', '1,3', '1,3', '1,3']);
    expect(first.head.newest?.message).toMatch(
      /takes back revision 2: 50\.0 % of \d+ requests failed with it, 1\.0 % of/,
    );
  });

  it('is stopped by whoever says so, and ends at once for whoever promotes it', async () => {
    const { first, nodes } = await cluster(4);
    await write(first, 'new', { steps: STEPS, pauseMs: 60_000 });
    await vi.waitFor(() => expect(withRevision(nodes, 2)).toHaveLength(1), PATIENT);
    expect(await first.rollouts.abort(2, 'not today', 'token/ada')).toMatchObject({
      state: RolloutState.ROLLED_BACK,
      restoredBy: 3n,
    });
    await vi.waitFor(() => expect(withRevision(nodes, 3)).toHaveLength(4), PATIENT);
    expect(first.head.newest).toMatchObject({
      author: 'token/ada',
      message: 'takes back revision 2: not today',
    });
    await expect(first.rollouts.abort(2, '', 'token/ada')).rejects.toThrow('rolled back already');
    await expect(first.rollouts.promote(1, '', 'token/ada')).rejects.toThrow(NoRolloutError);

    await write(first, 'new', { steps: STEPS, pauseMs: 60_000 });
    await vi.waitFor(() => expect(withRevision(nodes, 4)).toHaveLength(1), PATIENT);
    await first.rollouts.promote(4, 'looks good', 'token/ada');
    await vi.waitFor(() => expect(withRevision(nodes, 4)).toHaveLength(4), PATIENT);
    expect(newest(first)?.events.at(-1)).toMatchObject({ reason: 'looks good', author: 'token/ada' });
  });

  it('gives a node that comes meanwhile what held before, and leaves one that has the revision', async () => {
    const { first, nodes, join } = await cluster(4);
    await write(first, 'new', { steps: [{ nodesPercent: 1 }], pauseMs: 60_000 });
    await vi.waitFor(() => expect(withRevision(nodes, 2)).toHaveLength(1), PATIENT);
    const [canary] = withRevision(nodes, 2) as [RollingNode];
    const fresh = join('fresh');
    await vi.waitFor(() => expect(fresh.revision).toBe(1), PATIENT);
    expect(fresh.resources).toEqual(['consumer//stable']);
    const moved = join('moved', { held: canary.kept() });
    await vi.waitFor(
      () => expect(first.fleet.nodes().map(({ hello }) => hello?.node)).toContain('moved'),
      PATIENT,
    );
    expect(first.fleet.nodes().find(({ hello }) => hello?.node === 'moved')?.wantedRevision).toBe(2n);
    expect(moved.revision).toBe(2);
  });

  it('goes on where it was when the control plane is started anew', async () => {
    const { first, nodes, start } = await cluster(4);
    await write(first, 'new', { steps: STEPS, pauseMs: 500 });
    await vi.waitFor(() => expect(withRevision(nodes, 2)).toHaveLength(1), PATIENT);
    await first.stop('killed');
    expect(withRevision(nodes, 2)).toHaveLength(1);
    const again = await start(Number(first.address.split(':')[1]));
    await vi.waitFor(() => expect(newest(again)).toMatchObject({ state: RolloutState.PROMOTED }), PATIENT);
    await vi.waitFor(() => expect(withRevision(nodes, 2)).toHaveLength(4), PATIENT);
    expect(kindsOf(again)).toContain(RolloutEventKind.TAKEN_OVER);
    for (const node of nodes) expect(node.ran).toEqual([1, 2]);
  });

  it('is driven by one replica, which sees what nodes of the others count, and finished by another one', async () => {
    const { replicas, nodes } = await cluster(4, 2);
    const [one, two] = replicas as [RollingReplica, RollingReplica];
    await write(one, 'new', { steps: STEPS, pauseMs: 100 });
    await vi.waitFor(() => expect(newest(two)).toMatchObject({ state: RolloutState.PROMOTED }), PATIENT);
    await vi.waitFor(() => expect(withRevision(nodes, 2)).toHaveLength(4), PATIENT);
    expect(newest(two)?.canary).toMatchObject({ nodesCount: 4 });
    for (const { rollouts } of replicas) expect(rollouts.obstacle).toBeUndefined();

    await write(two, 'newer', { steps: STEPS, pauseMs: 60_000 });
    await vi.waitFor(() => expect(withRevision(nodes, 3)).toHaveLength(1), PATIENT);
    for (const { rollouts } of replicas) expect(rollouts.obstacle).toBeDefined();
    await one.stop();
    for (const node of nodes) node.errorsPercent = { newer: 50 };
    await vi.waitFor(() => expect(withRevision(nodes, 4)).toHaveLength(4), PATIENT);
    expect(two.head.newest?.message).toContain('requests failed with it');
    for (const node of nodes) expect(node.ran).toEqual([...node.ran].sort());
  });

  it('is taken back by another replica when the one that began to has died', async () => {
    const { first, nodes, start, log } = await cluster(3);
    await write(first, 'new', { steps: [{ nodesPercent: 50 }], pauseMs: 60_000 });
    await vi.waitFor(() => expect(withRevision(nodes, 2).length).toBeGreaterThan(0), PATIENT);
    log.trouble = new Error('the store is away');
    await expect(first.rollouts.abort(2, 'no', 'token/ada')).rejects.toThrow();
    await first.stop('killed');
    log.trouble = undefined;
    const again = await start(Number(first.address.split(':')[1]));
    await vi.waitFor(() => expect(withRevision(nodes, 3)).toHaveLength(3), PATIENT);
    await vi.waitFor(() => expect(newest(again)).toMatchObject({ state: RolloutState.ROLLED_BACK }), PATIENT);
    expect(again.head.newest).toMatchObject({ author: 'token/ada' });
  });

  it('keeps what held before it from being forgotten, and lets waiting writers see the nodes of the step', async () => {
    const { first, nodes } = await cluster(4);
    await writeTo(first, 'more');
    await vi.waitFor(() => expect(withRevision(nodes, 2)).toHaveLength(4), PATIENT);
    await write(first, 'new', { steps: STEPS, pauseMs: 60_000 });
    const all = await first.fleet.convergence({ revision: 3, wait: { kind: 'all' }, deadlineMs: 10_000 });
    expect(all).toMatchObject({ reached: true, concerned: 1, active: 1, behind: [] });
    await first.head.compact(0);
    expect(first.head.oldest).toBe(2);
    await first.rollouts.abort(3, '', 'token/ada');
    await vi.waitFor(() => expect(withRevision(nodes, 4)).toHaveLength(4), PATIENT);
  });
});

it('is taken back once more when the store has lost what took its place', async () => {
  const { first, nodes } = await cluster(1);
  await write(first, 'new', { steps: STEPS, pauseMs: 60_000 });
  await vi.waitFor(() => expect(nodes.map(({ revision }) => revision)).toEqual([2]), PATIENT);
  // As a replica that knows what the store has lost says it.
  await first.rollouts.change(2, (now) => ({ ...now, state: RolloutState.ROLLED_BACK, restoredBy: 3n }));
  await vi.waitFor(() => expect(nodes.map(({ revision }) => revision)).toEqual([3]), PATIENT);
  expect(first.head.newest).toMatchObject({ restores: 1n });
  expect(first.rollouts.obstacle).toBeUndefined();
});

describe('a rollout by callers', () => {
  const SHARES = [{ principalsPercent: 10 }, { principalsPercent: 50 }];

  it('gives a revision to more and more callers on all nodes, then to the nodes', async () => {
    const { first, nodes } = await cluster(3);
    await write(first, 'new', { steps: SHARES, pauseMs: 300 });
    await vi.waitFor(() => expect(newest(first)).toMatchObject({ state: RolloutState.PROMOTED }), PATIENT);
    await vi.waitFor(() => expect(withRevision(nodes, 2)).toHaveLength(3), PATIENT);
    for (const node of nodes) {
      expect(node.shares).toEqual([10, 50]);
      expect(node.ran).toEqual([1, 2]);
    }
    expect(newest(first)).toMatchObject({ step: 2, restoredBy: 0n });
    expect(newest(first)?.nodes).toHaveLength(3);
    const { canary, reference } = newest(first) ?? {};
    expect(Number(canary?.requestsCount)).toBeGreaterThanOrEqual(50);
    expect(Number(reference?.requestsCount)).toBeGreaterThanOrEqual(50);
    expect(first.troubles).toEqual([]);
  });

  it('says that nodes give it to some callers, and what they run themselves', async () => {
    const { first, nodes } = await cluster(2);
    await write(first, 'new', { steps: [{ principalsPercent: 10 }], pauseMs: 60_000 });
    await vi.waitFor(() => expect(nodes.map(({ shares }) => shares)).toEqual([[10], [10]]), PATIENT);
    const wait = { kind: 'all' } as const;
    const reached = await first.fleet.convergence({ revision: 2, wait, deadlineMs: 10_000 });
    expect(reached).toMatchObject({ reached: true, active: 2, concerned: 2 });
    for (const { wantedRevision, health } of first.fleet.nodes())
      expect([wantedRevision, health?.position?.revision, health?.trial?.principalsPercent]).toEqual([
        1n,
        1n,
        10,
      ]);
    await vi.waitFor(
      () => expect(first.fleet.events(10).map(({ detail }) => detail)).toContain('for 10 % of the callers'),
      PATIENT,
    );
  });

  it('gives it to callers of the nodes of the step, and to no others', async () => {
    const { first, join } = await cluster(0);
    const [eu, us] = [join('a', { region: 'eu' }), join('b', { region: 'us' })];
    await vi.waitFor(() => expect([eu.revision, us.revision]).toEqual([1, 1]), PATIENT);
    await write(first, 'new', { steps: [{ regions: ['eu'], principalsPercent: 20 }], pauseMs: 60_000 });
    await vi.waitFor(() => expect(eu.shares).toEqual([20]), PATIENT);
    await first.rollouts.abort(2, 'enough', 'tester');
    await vi.waitFor(
      () =>
        expect([eu.ran, us.ran]).toEqual([
          [1, 3],
          [1, 3],
        ]),
      PATIENT,
    );
    expect(us.shares).toEqual([]);
  });

  it('takes a revision back that a node cannot give to anybody', async () => {
    const { first, nodes } = await cluster(2);
    for (const node of nodes) node.refuses = ['bad'];
    await write(first, 'bad', { steps: SHARES, pauseMs: 60_000, limits: { maxNacksCount: 1 } });
    await vi.waitFor(() => expect(withRevision(nodes, 3)).toHaveLength(2), PATIENT);
    expect(newest(first)?.events.at(-2)?.reason).toMatch(
      /^2 nodes refused revision 2, and 1 may; .*cannot try bad/,
    );
    for (const node of nodes) expect([node.shares, node.ran]).toEqual([[], [1, 3]]);
  });

  it('takes a revision back with which requests of its callers fail, whoever hears the nodes', async () => {
    const { replicas, nodes, first } = await cluster(3, 2);
    for (const node of nodes) node.errorsPercent = { new: 50 };
    await write(first, 'new', { steps: SHARES, pauseMs: 60_000 });
    await vi.waitFor(() => expect(withRevision(nodes, 3)).toHaveLength(3), PATIENT);
    for (const replica of replicas)
      await vi.waitFor(
        () =>
          expect(newest(replica)?.events.at(-2)?.reason).toMatch(
            /^50\.0 % of \d+ requests failed with it, 0\.0 % of \d+ without it/,
          ),
        PATIENT,
      );
    for (const node of nodes) expect(node.shares).toEqual([10]);
  });

  it('goes on with another replica, and with a node that comes back', async () => {
    const { replicas, nodes, join, first } = await cluster(2, 2);
    const [, second] = replicas as [RollingReplica, RollingReplica];
    await write(first, 'new', { steps: SHARES, pauseMs: 1_000 });
    await vi.waitFor(() => expect(nodes.map(({ shares }) => shares[0])).toEqual([10, 10]), PATIENT);
    const [gone] = nodes as [RollingNode];
    await gone.stop();
    const back = join(gone.name, { held: gone.kept() });
    await first.stop('killed');
    await vi.waitFor(() => expect(newest(second)).toMatchObject({ state: RolloutState.PROMOTED }), PATIENT);
    await vi.waitFor(() => expect([back.revision, nodes[1]?.revision]).toEqual([2, 2]), PATIENT);
    expect(back.shares.at(-1)).toBe(50);
  });
});
