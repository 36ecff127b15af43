/** A cluster to break: etcd, NATS, two control planes and three nodes, with a cable to cut between each two of them. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type AdminClient, connectAdmin } from '@sluice/sdk/admin';
import { vi } from 'vitest';
import { type CutProxy, startCutProxy } from '../servers/cut-proxy.js';
import { type EtcdServer, startEtcd } from '../servers/etcd.js';
import { startNats } from '../servers/nats.js';
import type { TestServer } from '../servers/server-process.js';
import {
  ADMIN_TOKEN,
  NODE_TOKEN,
  type RunningControlPlane,
  SOON,
  startControlPlane,
  tokenFiles,
} from '../stories/cluster/control-plane.js';
import { KEY, type RunningNode, startNode } from '../stories/cluster/node.js';
import { freePort, type HttpServer, startPlain } from '../stories/upstreams.js';
import { Restartable } from './restartable.js';

const SHIFTED_CLOCK = fileURLToPath(new URL('./shifted-clock.mjs', import.meta.url));
const PLANE_COUNT = 2;
const NODE_COUNT = 3;

export interface ChaosNode extends Restartable<RunningNode> {
  readonly url: string;
}

/** Cables, each between one and another. */
export interface Cables {
  readonly etcd: CutProxy;
  readonly natsOfPlanes: CutProxy;
  readonly natsOfNodes: CutProxy;
  /** From all nodes to each of the control planes. */
  readonly planes: readonly CutProxy[];
}

export interface ChaosCluster {
  readonly etcd: EtcdServer;
  readonly nats: TestServer;
  readonly planes: readonly Restartable<RunningControlPlane>[];
  readonly nodes: readonly ChaosNode[];
  readonly cables: Cables;
  /** Asks whichever control plane answers. */
  readonly admin: AdminClient;
  readonly upstreamUrl: string;
  /** Sets the clocks of all control planes and nodes forward or back, from what they should say. */
  shiftClocks(ms: number): Promise<void>;
  /** From its next start on the node may write this much to a file, and not one byte more; undefined: what it likes. */
  limitFiles(node: ChaosNode, blockCount: number | undefined): void;
  close(): Promise<void>;
}

export async function startChaosCluster(): Promise<ChaosCluster> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-chaos-'));
  const clock = join(folder, 'clock-shift-ms');
  await writeFile(clock, '0');
  const env = { NODE_OPTIONS: `--import=${SHIFTED_CLOCK}`, SLUICE_TEST_CLOCK_FILE: clock };
  const [etcd, nats, upstream] = await Promise.all([startEtcd(), startNats(), startPlain()]);
  const cables = {
    etcd: await startCutProxy(etcd.port),
    natsOfPlanes: await startCutProxy(nats.port),
    natsOfNodes: await startCutProxy(nats.port),
    planes: [] as CutProxy[],
  };
  const planes: Restartable<RunningControlPlane>[] = [];
  const admins: string[] = [];
  for (let index = 0; index < PLANE_COUNT; index++) {
    const ports = [await freePort(), await freePort(), await freePort()] as const;
    const args = [
      ...['--store', 'etcd', '--etcd', `http://127.0.0.1:${cables.etcd.port}`],
      ...['--nats', `nats://127.0.0.1:${cables.natsOfPlanes.port}`, ...(await tokenFiles(folder))],
    ];
    const start = () => startControlPlane(args, { ports, env });
    planes.push(new Restartable(`control plane ${index + 1}`, start, () => until200(ports[2])));
    cables.planes.push(await startCutProxy(ports[0]));
    admins.push(`127.0.0.1:${ports[1]}`);
  }
  const limits = new Map<string, number>();
  const nodes: ChaosNode[] = [];
  for (let index = 0; index < NODE_COUNT; index++)
    nodes.push(await chaosNode(`node-${index + 1}`, folder, cables, env, limits));
  // They are ready when there is a configuration, for which whoever breaks things waits.
  for (const node of nodes) node.up().catch(() => {});
  await Promise.all(planes.map((each) => each.up()));
  const admin = connectAdmin({ address: admins, token: ADMIN_TOKEN });
  return {
    etcd,
    nats,
    planes,
    nodes,
    cables,
    admin,
    upstreamUrl: upstream.url,
    shiftClocks: (ms) => writeFile(clock, String(ms)),
    limitFiles(node, blockCount) {
      if (blockCount === undefined) limits.delete(node.name);
      else limits.set(node.name, blockCount);
    },
    async close() {
      admin.close();
      await Promise.all(nodes.map((node) => node.stop()));
      await Promise.all(planes.map((plane) => plane.stop()));
      const { etcd: toEtcd, natsOfPlanes, natsOfNodes } = cables;
      await Promise.all([toEtcd, natsOfPlanes, natsOfNodes, ...cables.planes].map((each) => each.close()));
      await Promise.all([etcd.close(), nats.close(), (upstream as HttpServer).kill()]);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function chaosNode(
  name: string,
  folder: string,
  cables: Cables,
  env: Record<string, string>,
  limits: ReadonlyMap<string, number>,
): Promise<ChaosNode> {
  const port = await freePort();
  const args = [
    ...cables.planes.flatMap((cable) => ['--control-plane', `127.0.0.1:${cable.port}`]),
    ...['--nats', `nats://127.0.0.1:${cables.natsOfNodes.port}`, '--node', name],
    ...['--state-dir', join(folder, name), '--port', String(port), '--workers', '1'],
  ];
  const own = { ...env, SLUICE_NODE_KEY: KEY, SLUICE_NODE_TOKEN: NODE_TOKEN };
  const start = async () => startNode(args, own, limits.get(name));
  const node = new Restartable(name, start, () => until200(port));
  return Object.assign(node, { url: `http://127.0.0.1:${port}` });
}

async function until200(port: number): Promise<void> {
  await vi.waitFor(async () => {
    const response = await fetch(`http://127.0.0.1:${port}/ready`);
    const said = await response.text();
    if (response.status !== 200) throw new Error(`/ready says ${response.status}: ${said}`);
  }, SOON);
}
