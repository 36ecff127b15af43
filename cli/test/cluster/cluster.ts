/** Several nodes, which know each other over a bus, and a balancer in front that has no affinity. */
import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadConfigurationFile } from '@sluice/control-plane';
import { MemorySessionStore } from '@sluice/data-plane';
import { type Configuration, type ResolvedConfiguration, resolveConfiguration } from '@sluice/proto';
import { startNats } from '../servers/nats.js';
import type { TestServer } from '../servers/server-process.js';
import { startBalancer } from './balancer.js';
import { Hub } from './hub.js';

const PROGRAM = fileURLToPath(new URL('./node.mjs', import.meta.url));
const STOP_LIMIT_MS = 10_000;

export interface ClusterNode {
  readonly url: string;
  /** Ends it as a power cut would. The others know it when this resolves. */
  kill(): Promise<void>;
  /** Ends it in order, with a second for what runs. */
  stop(): Promise<void>;
  /** Resolves when it reaches as many other nodes. Over NATS only. */
  reaches(nodeCount: number): Promise<void>;
}

export interface Cluster {
  /** The balancer: each request goes to the next node that can be reached. */
  readonly url: string;
  readonly nodes: readonly ClusterNode[];
  /** Over which nodes speak with each other; undefined where they do over the process of the test. */
  readonly nats: TestServer | undefined;
  /** One more node, which the balancer does not know. */
  add(): Promise<ClusterNode>;
  stop(): Promise<void>;
}

/** How many worker threads each node has, unless somebody says otherwise. */
const WORKER_COUNT = Number(process.env.SLUICE_TEST_WORKERS ?? 1);
const IS_OVER_NATS = process.env.SLUICE_TEST_NATS === '1';

/** @param nodeCount at the beginning */
export async function startCluster(config: object, nodeCount = 2): Promise<Cluster> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-cluster-'));
  const configuration = await resolved(config, join(folder, 'sluice.json'));
  const key = randomBytes(32);
  const hub = new Hub(new MemorySessionStore());
  const nats = IS_OVER_NATS ? await startNats() : undefined;
  const running: Started[] = [];
  const othersOf = (node: Started) => running.filter((each) => each !== node && each.isAlive());
  const add = async () => {
    const node: Started = await startNode(
      nats === undefined ? hub : new NatsNodes(nats, () => othersOf(node)),
      configuration,
      key,
    );
    running.push(node);
    if (nats !== undefined)
      await Promise.all([node, ...othersOf(node)].map((each) => each.reaches(othersOf(each).length)));
    return node;
  };
  for (let index = 0; index < nodeCount; index++) await add();
  const nodes = [...running];
  const balancer = await startBalancer(nodes.map(({ url }) => url));
  return {
    url: `http://127.0.0.1:${(balancer.address() as AddressInfo).port}`,
    nodes,
    nats,
    add,
    async stop() {
      balancer.closeAllConnections();
      balancer.close();
      await Promise.all(running.map((node) => node.stop()));
      await nats?.close();
      await rm(folder, { recursive: true });
    },
  };
}

const children = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

type Started = ClusterNode & { isAlive(): boolean };

/** What brings nodes together. */
interface Meeting {
  /** What a node has to know to be there. */
  readonly start: object;
  add(node: ChildProcess): void;
  /** Resolves when what the workers of a node have put down is in the store. */
  written(node: ChildProcess): Promise<unknown>;
  /** Resolves when all the others know that a node is gone. */
  leave(node: ChildProcess): Promise<unknown>;
}

class NatsNodes implements Meeting {
  private static count = 0;
  readonly start: object;

  constructor(
    nats: TestServer,
    private readonly others: () => readonly Started[],
  ) {
    this.start = { nats: { servers: [nats.url] }, node: `node-${++NatsNodes.count}` };
  }

  add(): void {}

  written(node: ChildProcess): Promise<unknown> {
    return ask(node, { type: 'write' });
  }

  async leave(): Promise<void> {
    const others = this.others();
    await Promise.all(others.map((each) => each.reaches(others.length - 1)));
  }
}

let askCount = 0;

/** Resolves when the node has answered, and when it has ended. */
function ask(child: ChildProcess, question: object): Promise<unknown> {
  const id = ++askCount;
  const answered = new Promise<void>((resolve) => {
    child.on('message', function listener(message: { type: string; id?: number }) {
      if (message.type !== 'answer' || message.id !== id) return;
      child.off('message', listener);
      resolve();
    });
  });
  if (child.connected) child.send({ ...question, id }, () => {});
  return Promise.race([answered, once(child, 'exit')]);
}

async function startNode(
  hub: Meeting,
  configuration: ResolvedConfiguration,
  key: Uint8Array,
): Promise<Started> {
  const child = fork(PROGRAM, { serialization: 'advanced' });
  children.add(child);
  const ended = once(child, 'exit').finally(() => children.delete(child));
  hub.add(child);
  child.send({ type: 'start', configuration, key, ...hub.start });
  const url = await new Promise<string>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the node ended with ${code}`)));
    child.on('message', (message: { type: string; url: string }) => {
      if (message.type === 'listening') resolve(message.url);
    });
  });
  return {
    url,
    isAlive: () => children.has(child),
    async reaches(nodeCount) {
      await ask(child, { type: 'reach', pairCount: nodeCount * WORKER_COUNT ** 2 });
    },
    async kill() {
      // What it wrote down in the last moment would be lost or not, by chance.
      await hub.written(child);
      child.kill('SIGKILL');
      await ended;
      await hub.leave(child);
    },
    async stop() {
      if (!children.has(child)) return;
      child.send({ type: 'stop' });
      const limit = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
      await ended;
      clearTimeout(limit);
    },
  };
}

async function resolved(config: object, file: string) {
  const { gateway, ...others } = config as { gateway?: object };
  const listen = { port: 0, workers: WORKER_COUNT };
  await writeFile(file, JSON.stringify({ ...others, gateway: { ...gateway, listen } }));
  const { configuration, problems } = await loadConfigurationFile(file, { environment: {} });
  if (configuration === undefined) throw new Error(JSON.stringify(problems));
  return resolveConfiguration(configuration as Configuration);
}
