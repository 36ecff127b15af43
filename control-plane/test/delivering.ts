import { create } from '@bufbuild/protobuf';
import { type Resource, ResourceSchema } from '@sluice/proto/cluster';
import { nodeAccess } from '../src/delivery/node-access.js';
import { deliveryService } from '../src/delivery/service.js';
import { Views } from '../src/delivery/views.js';
import { Fleet } from '../src/fleet/fleet.js';
import { ConfigurationHead } from '../src/revisions/head.js';
import { MemoryLog } from './memory-log.js';
import { serveOnLoopback } from './serve-on-loopback.js';

/** The delivery part of a control plane in this process, over real gRPC, with its revisions in memory. */
export interface Delivering {
  readonly address: string;
  readonly fleet: Fleet;
  readonly head: ConfigurationHead;
  write(changed: readonly Resource[], removed?: readonly string[]): Promise<number>;
  stop(): void;
}

/** @param log what an earlier one had, for a control plane that comes back */
export async function startDelivering(
  port = 0,
  log = new MemoryLog(),
): Promise<Delivering & { log: MemoryLog }> {
  const onTrouble = (error: unknown) => {
    throw error;
  };
  const head = await ConfigurationHead.open({ log, nowMs: () => Date.now(), onTrouble });
  const views = new Views(head, () => performance.now());
  const fleet = new Fleet({
    head,
    views,
    nowMs: () => Date.now(),
    elapsedMs: () => performance.now(),
    orderElsewhere: () => false,
    healthIntervalMs: 200,
  });
  const access = nodeAccess(undefined);
  const isOnNats = () => false;
  const delivery = deliveryService({ head, views, fleet, access, cluster: 'test', isOnNats, onTrouble });
  const server = await serveOnLoopback(delivery, port);
  return {
    address: server.address,
    fleet,
    head,
    log,
    async write(changed, removed = []) {
      const plan = async () => ({ changed, removed });
      const revision = await head.commit({ author: 'story', message: '', plan });
      return Number(revision?.number ?? 0);
    },
    stop() {
      delivery.close();
      fleet.close();
      views.close();
      head.close();
      server.cut();
    },
  };
}

type Spec = Parameters<typeof create<typeof ResourceSchema>>[1];

export const resource = (content: Spec): Resource => create(ResourceSchema, content);

/** An upstream over HTTP. */
export const httpUpstream = (name: string, url: string, headers: Record<string, string> = {}): Resource =>
  resource({
    spec: { case: 'upstream', value: { name, transport: { case: 'http', value: { url, headers } } } },
  });
