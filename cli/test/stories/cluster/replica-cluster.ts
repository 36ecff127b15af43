import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, vi } from 'vitest';
import type { TestServer } from '../../servers/server-process.js';
import { closeClients } from '../official-client.js';
import { freePort, type HttpServer, startPlain } from '../upstreams.js';
import {
  NODE_TOKEN,
  type RunningControlPlane,
  SOON,
  startControlPlane,
  tokenFiles,
} from './control-plane.js';
import { type RunningNode, startNode } from './node.js';

let clusterCount = 0;

/** Replicas over etcd, nodes and what they serve, each story with a cluster of its own; all is ended after each story. */
export class ReplicaCluster {
  folder = '';
  readonly nodes: RunningNode[] = [];
  /** Stores that are closed after the story. */
  readonly stores: TestServer[] = [];
  private name = '';
  private tokens: string[] = [];
  private readonly planes: RunningControlPlane[] = [];
  private readonly servers: HttpServer[] = [];

  constructor() {
    beforeEach(async () => {
      this.folder = await mkdtemp(join(tmpdir(), 'sluice-replicas-'));
      this.tokens = await tokenFiles(this.folder);
      clusterCount += 1;
      this.name = `c${clusterCount}`;
    });
    afterEach(async () => {
      await closeClients();
      const { nodes, planes, servers, stores, folder } = this;
      await Promise.all([...nodes.splice(0), ...planes.splice(0)].map((each) => each.stop()));
      await Promise.all(servers.splice(0).map((server) => server.kill()));
      await Promise.all(stores.splice(0).map((store) => store.close()));
      await rm(folder, { recursive: true, force: true });
    });
  }

  async start(
    { url }: { readonly url: string },
    args: readonly string[] = [],
    options?: Parameters<typeof startControlPlane>[1],
  ): Promise<RunningControlPlane> {
    const own = ['--store', 'etcd', '--etcd', url, '--cluster', this.name];
    const plane = await startControlPlane([...own, ...this.tokens, ...args], options);
    this.planes.push(plane);
    return plane;
  }

  /** Starts a node; resolves with its URL before it serves. */
  async join(name: string, planes: readonly RunningControlPlane[], ...args: string[]): Promise<string> {
    const port = await freePort();
    const addresses = planes.flatMap((plane) => ['--control-plane', plane.nodes]);
    const state = ['--node', name, '--state-dir', join(this.folder, name), '--port', `${port}`];
    this.nodes.push(startNode([...addresses, ...state, ...args], { SLUICE_NODE_TOKEN: NODE_TOKEN }));
    return `http://127.0.0.1:${port}`;
  }

  /** The URL of a server with tools. */
  async demo(): Promise<string> {
    const server = await startPlain();
    this.servers.push(server);
    return server.url;
  }
}

export const isServing = (url: string) =>
  vi.waitFor(
    async () => expect((await fetch(`${url}/ready`).catch(() => undefined))?.status).toBe(200),
    SOON,
  );

/** Names of the nodes that a replica knows, and what it makes of them. */
export async function knownTo({ client }: RunningControlPlane) {
  const { nodes } = await client.fleet.listNodes({});
  return nodes.map(({ hello, presence }) => [hello?.node, presence]);
}
