/** A cluster on this machine: etcd, NATS, one control plane, nodes that serve, and light ones. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type AdminClient, connectAdmin } from '@sluice/sdk/admin';
import { NODE_PROGRAM } from '../node-program.js';
import { pause, type RunningProcess, type StartedProcesses } from '../running-process.js';
import { findProgram, freePort, untilListening } from '../server-program.js';
import type { LightNodesOrder, LightNodesReport } from './light-nodes-messages.js';
import { KEY_SECRET, KEY_SECRET_VARIABLE } from './resources.js';

const PROGRAM = fileURLToPath(new URL('../../../cli/bin/sluice.js', import.meta.url));
const LIGHT_NODES = fileURLToPath(new URL('./light-nodes.js', import.meta.url));
/** For every node to come. */
const JOIN_TIMEOUT_MS = 60_000;
const JOIN_POLL_MS = 100;

export interface ClusterPlan {
  readonly servingNodesCount: number;
  readonly lightNodesCount: number;
  readonly isOnNats: boolean;
  /** Empty, for what the processes keep. */
  readonly folder: string;
}

export interface Cluster {
  readonly admin: AdminClient;
  /** By all light nodes since they started. */
  receivedBytes(): Promise<number>;
  end(): Promise<void>;
}

/** @throws Error when a program is not installed, or does not start */
export async function startCluster(processes: StartedProcesses, plan: ClusterPlan): Promise<Cluster> {
  const { folder, isOnNats, servingNodesCount, lightNodesCount } = plan;
  mkdirSync(folder, { recursive: true });
  const started: RunningProcess[] = [];
  const start: StartedProcesses['start'] = (spec) => {
    const running = processes.start(spec);
    started.push(running);
    return running;
  };
  const tokens = { node: randomBytes(32).toString('hex'), admin: randomBytes(32).toString('hex') };
  const etcd = await startEtcd(start, join(folder, 'etcd'));
  const nats = isOnNats ? await startNats(start) : undefined;
  const [nodes, adminAddress] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
  const controlPlane = start({
    name: 'sluice control-plane',
    command: NODE_PROGRAM,
    args: [
      ...[PROGRAM, 'control-plane', '--store', 'etcd', '--etcd', etcd, '--log-format', 'json'],
      ...['--listen', nodes, '--admin-listen', adminAddress, '--health-listen', '127.0.0.1:0'],
      ...tokenFiles(folder, tokens),
      ...(nats === undefined ? [] : ['--nats', nats]),
    ],
    env: environment(),
  });
  await untilListening(controlPlane, Number(adminAddress.split(':')[1]));
  const admin = connectAdmin({ address: adminAddress, token: tokens.admin });
  for (let index = 0; index < servingNodesCount; index++)
    start({
      name: `serving-${index}`,
      command: NODE_PROGRAM,
      args: [
        ...[PROGRAM, 'data-plane', '--control-plane', nodes, '--node', `serving-${index}`, '--port', '0'],
        ...['--workers', '1', '--log-format', 'json', '--state-dir', join(folder, `serving-${index}`)],
        ...(nats === undefined ? [] : ['--nats', nats]),
      ],
      env: { ...environment(), SLUICE_NODE_TOKEN: tokens.node, [KEY_SECRET_VARIABLE]: KEY_SECRET },
    });
  const light = start({ name: 'the light nodes', command: NODE_PROGRAM, args: [LIGHT_NODES], ipc: true });
  tell(light, {
    type: 'start',
    count: lightNodesCount,
    prefix: 'light-',
    controlPlane: nodes,
    token: tokens.node,
    nats,
  });
  await untilJoined(admin, servingNodesCount + lightNodesCount, started);
  return {
    admin,
    receivedBytes: () => receivedBy(light),
    async end() {
      admin.close();
      // Nodes before whom they ask: none should look for another one.
      for (const running of started.reverse()) await running.end();
    },
  };
}

/** @returns its URL */
async function startEtcd(start: StartedProcesses['start'], folder: string): Promise<string> {
  const [port, peerPort] = [await freePort(), await freePort()];
  const [url, peerUrl] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${peerPort}`];
  const running = start({
    name: 'etcd',
    command: installed('etcd', 'etcd-server'),
    args: [
      ...['--name', 'bench', '--data-dir', folder, '--log-level', 'error'],
      ...['--listen-client-urls', url, '--advertise-client-urls', url],
      ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
      ...['--initial-cluster', `bench=${peerUrl}`],
    ],
  });
  await untilListening(running, port);
  return url;
}

async function startNats(start: StartedProcesses['start']): Promise<string> {
  const port = await freePort();
  const args = ['--addr', '127.0.0.1', '--port', String(port)];
  const running = start({ name: 'nats-server', command: installed('nats-server', 'nats-server'), args });
  await untilListening(running, port);
  return `nats://127.0.0.1:${port}`;
}

function installed(program: string, debianPackage: string): string {
  const path = findProgram(program);
  if (path === undefined)
    throw new Error(`${program} is not installed; on Debian: apt install ${debianPackage}`);
  return path;
}

/** Writes who may come, and returns the arguments that say where. */
function tokenFiles(folder: string, tokens: { node: string; admin: string }): string[] {
  const digest = (token: string) => createHash('sha256').update(token).digest('hex');
  const [nodes, admins] = [join(folder, 'nodes.json'), join(folder, 'admins.json')];
  writeFileSync(nodes, JSON.stringify([{ node: '*', token_sha256: digest(tokens.node) }]));
  const admin = { name: 'bench', token_sha256: digest(tokens.admin), role: 'admin' };
  writeFileSync(admins, JSON.stringify([admin]));
  return ['--node-tokens-file', nodes, '--admin-tokens-file', admins];
}

/** What somebody set for a cluster of their own must not change what is measured. */
function environment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('SLUICE_')));
}

async function untilJoined(admin: AdminClient, count: number, started: RunningProcess[]): Promise<void> {
  const deadline = Date.now() + JOIN_TIMEOUT_MS;
  let joinedCount = 0;
  while (Date.now() < deadline) {
    joinedCount = (await admin.fleet.listNodes({})).nodes.length;
    if (joinedCount >= count) return;
    await pause(JOIN_POLL_MS);
  }
  const outputs = started.map(({ name, lastOutput }) => `${name}: ${lastOutput.slice(-500)}`);
  throw new Error(`${joinedCount} of ${count} nodes have come\n${outputs.join('\n')}`);
}

function tell({ child }: RunningProcess, order: LightNodesOrder): void {
  child.send(order);
}

async function receivedBy(light: RunningProcess): Promise<number> {
  const report = new Promise<LightNodesReport>((resolve) => {
    light.child.once('message', (message) => resolve(message as LightNodesReport));
  });
  tell(light, { type: 'count' });
  return (await report).receivedBytes;
}
