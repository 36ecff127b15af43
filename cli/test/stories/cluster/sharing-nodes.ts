/** Nodes of a cluster that share over NATS, as an operator starts them. */
import { mkdtemp, rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Resource } from '@sluice/proto/cluster';
import { expect, vi } from 'vitest';
import { httpUpstream, startDelivering } from '../../../../control-plane/test/delivering.js';
import { startBalancer } from '../../cluster/balancer.js';
import { type NatsOptions, startNats } from '../../servers/nats.js';
import type { TestServer } from '../../servers/server-process.js';
import { freePort, type HttpServer, startPlain } from '../upstreams.js';
import { SOON } from './control-plane.js';
import { KEY, type RunningNode, startNode } from './node.js';

export interface StoryNode extends RunningNode {
  readonly url: string;
  metric(name: string): Promise<number | undefined>;
}

export interface Wish {
  readonly nats?: NatsOptions;
  readonly address?: (port: number) => string;
  readonly args?: readonly string[];
  readonly env?: Record<string, string>;
  /** Beside the upstream `remote`. */
  readonly resources?: readonly Resource[];
}

export class SharingNodes {
  readonly nodes: StoryNode[] = [];
  private balancer: Server | undefined;

  private constructor(
    readonly folder: string,
    readonly nats: TestServer,
    private readonly plane: Awaited<ReturnType<typeof startDelivering>>,
    private readonly upstream: HttpServer,
  ) {}

  /** NATS, a control plane, and a configuration; no node yet. */
  static async prepare({
    nats,
    resources = [],
  }: Pick<Wish, 'nats' | 'resources'> = {}): Promise<SharingNodes> {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-sharing-'));
    const server = await startNats(nats);
    const plane = await startDelivering();
    const upstream = await startPlain(['--name', 'remote']);
    await plane.write([httpUpstream('remote', upstream.url), ...resources]);
    return new SharingNodes(folder, server, plane, upstream);
  }

  /** Two nodes with two workers and with one, that have met. */
  static async begin({ address, args = [], env = { SLUICE_NODE_KEY: KEY }, ...wish }: Wish = {}) {
    const sharing = await SharingNodes.prepare(wish);
    try {
      const { nats } = sharing;
      const url = address?.(nats.port) ?? nats.url;
      await sharing.start('n1', ['--nats', url, '--workers', '2', ...args], env);
      await sharing.start('n2', ['--nats', url, ...args], env);
      for (const node of sharing.nodes)
        await vi.waitFor(async () => {
          expect((await fetch(`${node.url}/ready`)).status).toBe(200);
          expect(await node.metric('sluice_bus_pipes')).toBe(2);
        }, SOON);
    } catch (error) {
      await sharing.stop();
      throw error;
    }
    return sharing;
  }

  get n1(): StoryNode {
    return this.nodes[0] as StoryNode;
  }

  get n2(): StoryNode {
    return this.nodes[1] as StoryNode;
  }

  /** A balancer in front of them, without affinity. */
  async url(): Promise<string> {
    this.balancer ??= await startBalancer(this.nodes.map((node) => node.url));
    return `http://127.0.0.1:${(this.balancer.address() as AddressInfo).port}`;
  }

  async start(name: string, args: readonly string[], env: Record<string, string>): Promise<StoryNode> {
    const port = await freePort();
    const running = startNode(
      [
        ...['--control-plane', this.plane.address, '--node', name, '--state-dir', join(this.folder, name)],
        ...['--port', String(port), ...args],
      ],
      env,
    );
    const url = `http://127.0.0.1:${port}`;
    const node: StoryNode = Object.assign(running, {
      url,
      async metric(metric: string) {
        const text = await (await fetch(`${url}/metrics`)).text();
        const line = text.split('\n').find((each) => each.startsWith(`${metric} `));
        return line === undefined ? undefined : Number(line.split(' ')[1]);
      },
    });
    this.nodes.push(node);
    return node;
  }

  async stop(): Promise<void> {
    this.balancer?.closeAllConnections();
    this.balancer?.close();
    await Promise.all(this.nodes.map((node) => node.stop()));
    this.plane.stop();
    await this.upstream.kill();
    await this.nats.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}
