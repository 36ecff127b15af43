/** Several nodes in this process, which know each other over a bus, and a balancer in front that has no affinity. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MessageChannel, Worker } from 'node:worker_threads';
import { loadConfigurationFile } from '@sluice/control-plane';
import { MemorySessionStore, type SessionRecord } from '@sluice/data-plane';
import { type Configuration, resolveConfiguration } from '@sluice/proto';

const STOP_LIMIT_MS = 10_000;

type FromNode =
  | { type: 'join'; address: string }
  | { type: 'put'; id: string; record: SessionRecord }
  | { type: 'end'; id: string }
  | { type: 'claim'; call: number; id: string; from: string; to: string }
  | { type: 'listening'; url: string };

export interface ClusterNode {
  readonly url: string;
  /** Ends it as a power cut would. */
  kill(): Promise<void>;
}

export interface Cluster {
  /** The balancer: each request goes to the next node that can be reached. */
  readonly url: string;
  readonly nodes: readonly ClusterNode[];
  stop(): Promise<void>;
}

export async function startCluster(config: object, count = 2): Promise<Cluster> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-cluster-'));
  const configuration = await resolved(config, join(folder, 'sluice.json'));
  const key = randomBytes(32);
  const store = new MemorySessionStore();
  const members = new Map<Worker, string>();
  const nodes: (ClusterNode & { stop(): Promise<void> })[] = [];
  for (let index = 0; index < count; index++) {
    const thread = new Worker(new URL('./node.mjs', import.meta.url), { workerData: { configuration, key } });
    const ended = once(thread, 'exit').finally(() => members.delete(thread));
    const url = await new Promise<string>((resolve, reject) => {
      thread.on('error', reject);
      thread.on('message', (message: FromNode) => {
        if (message.type === 'listening') resolve(message.url);
        else if (message.type === 'join') introduce(thread, message.address, members);
        else if (message.type === 'put') store.put(message.id, message.record);
        else if (message.type === 'end') store.end(message.id);
        else {
          const { call, id, from, to } = message;
          void store
            .claim(id, from, to)
            .then((record) => thread.postMessage({ type: 'claimed', call, record }));
        }
      });
    });
    nodes.push({
      url,
      kill: async () => void (await thread.terminate()),
      async stop() {
        if (!members.has(thread)) return;
        thread.postMessage({ type: 'stop' });
        const limit = setTimeout(() => void thread.terminate(), STOP_LIMIT_MS);
        await ended;
        clearTimeout(limit);
      },
    });
  }
  const balancer = await startBalancer(nodes.map(({ url }) => url));
  return {
    url: `http://127.0.0.1:${(balancer.address() as AddressInfo).port}`,
    nodes,
    async stop() {
      balancer.closeAllConnections();
      balancer.close();
      await Promise.all(nodes.map((node) => node.stop()));
      await rm(folder, { recursive: true });
    },
  };
}

async function resolved(config: object, file: string) {
  // A thread that is ended must not have loaded native code which cannot be unloaded.
  const { gateway, ...others } = config as { gateway?: object };
  const listen = { port: 0, listener: 'node' };
  await writeFile(file, JSON.stringify({ ...others, gateway: { ...gateway, listen } }));
  const { configuration, problems } = await loadConfigurationFile(file, { environment: {} });
  if (configuration === undefined) throw new Error(JSON.stringify(problems));
  return resolveConfiguration(configuration as Configuration);
}

function introduce(thread: Worker, address: string, members: Map<Worker, string>): void {
  for (const [other, otherAddress] of members) {
    const { port1, port2 } = new MessageChannel();
    thread.postMessage({ type: 'met', address: otherAddress, channel: port1 }, [port1]);
    other.postMessage({ type: 'met', address, channel: port2 }, [port2]);
  }
  members.set(thread, address);
}

async function startBalancer(targets: readonly string[]): Promise<Server> {
  let turn = 0;
  const server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk) => chunks.push(chunk));
    incoming.on('end', () => pass(incoming, outgoing, Buffer.concat(chunks), turn++, targets.length));
  });
  function pass(
    incoming: IncomingMessage,
    outgoing: ServerResponse,
    body: Buffer,
    next: number,
    left: number,
  ): void {
    const url = new URL(incoming.url ?? '/', targets[next % targets.length]);
    const { method, headers } = incoming;
    let isAnswered = false;
    const sent = request(url, { method, headers: { ...headers, host: url.host } }, (answer) => {
      isAnswered = true;
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      outgoing.flushHeaders();
      answer.pipe(outgoing);
      answer.on('error', () => outgoing.destroy());
    });
    sent.on('error', (error: NodeJS.ErrnoException) => {
      // Only what no node can have seen is given to another one.
      if (!isAnswered && error.code === 'ECONNREFUSED' && left > 1)
        pass(incoming, outgoing, body, next + 1, left - 1);
      else outgoing.destroy();
    });
    outgoing.on('close', () => sent.destroy());
    sent.end(body);
  }
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}
