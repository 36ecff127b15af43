/** What is broken, and how it is mended. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { CutProxy } from '../servers/cut-proxy.js';
import type { ChaosCluster, ChaosNode } from './chaos-cluster.js';
import type { Restartable } from './restartable.js';

/** How long something stays broken. */
const BROKEN_MS = 1_500;
/** In 512 byte blocks: a node's log goes to a pipe, so what it may not write is what it keeps of the configuration. */
const NO_BLOCKS = 0;
const CLOCK_JUMP_MS = 60 * 60_000;

export interface Fault {
  readonly name: string;
  /** Breaks it, leaves it broken for a while, and mends it; resolves when what was broken answers again. */
  strike(cluster: ChaosCluster, round: number): Promise<void>;
}

/** What ends without a goodbye, and comes back. */
interface Victim {
  readonly name: string;
  kill(cluster: ChaosCluster, round: number): Promise<void>;
  revive(cluster: ChaosCluster, round: number): Promise<void>;
}

const VICTIMS: readonly Victim[] = [
  {
    name: 'a data plane',
    kill: (cluster, round) => one(cluster.nodes, round).murder(),
    revive: (cluster, round) => one(cluster.nodes, round).up(),
  },
  {
    name: 'a control plane',
    kill: (cluster, round) => one(cluster.planes, round).murder(),
    revive: (cluster, round) => one(cluster.planes, round).up(),
  },
  {
    name: 'etcd',
    kill: ({ etcd }) => etcd.kill(),
    revive: ({ etcd }) => etcd.restart(),
  },
  {
    name: 'NATS',
    kill: ({ nats }) => nats.kill(),
    revive: ({ nats }) => nats.restart(),
  },
];

const kills: readonly Fault[] = VICTIMS.map((victim) => killed([victim]));
const pairs: readonly Fault[] = VICTIMS.flatMap((victim, index) =>
  VICTIMS.slice(index + 1).map((other) => killed([victim, other])),
);

const everybody: readonly Fault[] = [
  {
    name: 'kill -9 of both control planes',
    async strike({ planes }) {
      await Promise.all(planes.map((plane) => plane.murder()));
      await sleep(BROKEN_MS);
      await Promise.all(planes.map((plane) => plane.up()));
    },
  },
  {
    name: 'kill -9 of etcd, NATS and both control planes',
    async strike({ etcd, nats, planes }) {
      await Promise.all([etcd.kill(), nats.kill(), ...planes.map((plane) => plane.murder())]);
      await sleep(BROKEN_MS);
      await Promise.all([etcd.restart(), nats.restart(), ...planes.map((plane) => plane.up())]);
    },
  },
];

const CABLES: readonly [string, (cluster: ChaosCluster) => readonly CutProxy[]][] = [
  ['control planes and etcd', ({ cables }) => [cables.etcd]],
  ['control planes and NATS', ({ cables }) => [cables.natsOfPlanes]],
  ['nodes and NATS', ({ cables }) => [cables.natsOfNodes]],
  ['nodes and control planes', ({ cables }) => cables.planes],
  ['nodes and everything', ({ cables }) => [...cables.planes, cables.natsOfNodes]],
];

const cuts: readonly Fault[] = CABLES.flatMap(([between, cablesOf]) =>
  (['cut', 'silence'] as const).map((how) => ({
    name: `the network between ${between} is ${how === 'cut' ? 'cut' : 'silent: nothing arrives, and nobody is told'}`,
    async strike(cluster: ChaosCluster) {
      for (const cable of cablesOf(cluster)) cable[how]();
      await sleep(BROKEN_MS);
      for (const cable of cablesOf(cluster)) cable.mend();
    },
  })),
);

const frozen: readonly Fault[] = (['etcd', 'nats'] as const).map((server) => ({
  name: `${server === 'nats' ? 'NATS' : 'etcd'} stands still, and its connections stay open`,
  async strike(cluster: ChaosCluster) {
    cluster[server].freeze();
    await sleep(BROKEN_MS);
    cluster[server].thaw();
  },
}));

const disk: Fault = {
  name: 'a node may write to no file: its disk is full',
  async strike(cluster, round) {
    const node = one(cluster.nodes, round) as ChaosNode;
    cluster.limitFiles(node, NO_BLOCKS);
    await node.murder();
    await node.up();
    await sleep(BROKEN_MS);
    cluster.limitFiles(node, undefined);
    await node.murder();
    await node.up();
  },
};

const clocks: readonly Fault[] = [CLOCK_JUMP_MS, -CLOCK_JUMP_MS].map((ms) => ({
  name: `all clocks jump an hour ${ms > 0 ? 'forward' : 'back'}, and return`,
  async strike(cluster: ChaosCluster) {
    await cluster.shiftClocks(ms);
    await sleep(BROKEN_MS);
    await cluster.shiftClocks(0);
  },
}));

/** Everything that is done. */
export const FAULTS: readonly Fault[] = [
  ...kills,
  ...pairs,
  ...everybody,
  ...frozen,
  ...cuts,
  disk,
  ...clocks,
];

/** What is done whenever the tests run. */
export const FEW_FAULTS: readonly Fault[] = [
  ...kills,
  ...pairs.filter(({ name }) => name === 'kill -9 of a data plane and NATS'),
  ...cuts.filter(({ name }) => name.includes('nodes and everything is cut')),
  disk,
];

function killed(victims: readonly Victim[]): Fault {
  return {
    name: `kill -9 of ${victims.map(({ name }) => name).join(' and ')}`,
    async strike(cluster, round) {
      await Promise.all(victims.map((victim) => victim.kill(cluster, round)));
      await sleep(BROKEN_MS);
      await Promise.all(victims.map((victim) => victim.revive(cluster, round)));
    },
  };
}

function one<T extends Pick<Restartable<never>, 'murder' | 'up'>>(all: readonly T[], round: number): T {
  return all[round % all.length] as T;
}
