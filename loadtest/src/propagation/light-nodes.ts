/**
 * A program: nodes that follow the configuration as `sluice data-plane` does, and run nothing of it. What each message
 * weighs is counted as it comes.
 */
import { randomUUID } from 'node:crypto';
import {
  type AnnouncementBus,
  announcementsOver,
  type DeliveryTransport,
  Follower,
  GrpcTransport,
  inSlices,
  Replica,
  type Standing,
} from '@sluice/data-plane/delivery';
import { ConnectResponseSchema, PullResponseSchema, toBinary } from '@sluice/proto/cluster';
import pino from 'pino';
import type { LightNodesOrder, LightNodesReport } from './light-nodes-messages.js';

const SILENT = pino({ enabled: false });

let receivedBytes = 0;

/** Counts what comes over a transport. */
class Weighed implements DeliveryTransport {
  constructor(private readonly transport: DeliveryTransport) {}

  async *pull(...[request]: Parameters<DeliveryTransport['pull']>): ReturnType<DeliveryTransport['pull']> {
    for await (const piece of this.transport.pull(request)) {
      receivedBytes += toBinary(PullResponseSchema, piece).length;
      yield piece;
    }
  }

  connect(...[hears]: Parameters<DeliveryTransport['connect']>): Standing {
    return this.transport.connect({
      ...hears,
      heard(response) {
        receivedBytes += toBinary(ConnectResponseSchema, response).length;
        hears.heard(response);
      },
      ended: (reason) => hears.ended(reason),
    });
  }

  close(): Promise<void> {
    return this.transport.close();
  }
}

function weighed(bus: AnnouncementBus): AnnouncementBus {
  return {
    get isUp() {
      return bus.isUp;
    },
    onChange: (listener) => bus.onChange(listener),
    subscribe: (subject, heard) =>
      bus.subscribe(subject, (bytes) => {
        receivedBytes += bytes.length;
        heard(bytes);
      }),
    publish: (subject, bytes) => bus.publish(subject, bytes),
  };
}

async function follow(
  name: string,
  { controlPlane, token, nats }: LightNodesOrder & { type: 'start' },
): Promise<void> {
  const bus = nats === undefined ? undefined : await announcementsOver({ servers: [nats] }, name, SILENT);
  const incarnation = randomUUID();
  new Follower({
    identity: () => ({ node: name, incarnation, version: 'light', region: '', clientUrl: '' }),
    replica: new Replica(),
    transport: new Weighed(new GrpcTransport({ addresses: [controlPlane], token: () => token })),
    bus: bus && weighed(bus),
    timing: {
      nowMs: () => Date.now(),
      after: (ms, what) => {
        const timer = setTimeout(what, ms);
        return () => clearTimeout(timer);
      },
      random: Math.random,
      run: inSlices,
    },
    log: SILENT,
    activate: async () => undefined,
    activated: () => undefined,
    health: () => ({}),
    order: () => undefined,
    activateTrial: async () => undefined,
  }).start();
}

process.on('message', (order: LightNodesOrder) => {
  if (order.type === 'start')
    for (let index = 0; index < order.count; index++) void follow(`${order.prefix}${index}`, order);
  else process.send?.({ receivedBytes } satisfies LightNodesReport);
});
process.on('disconnect', () => process.exit());
