/** The client side of delivery without a listener: what follows a configuration like a node, and serves nobody. */
import type { Logger } from 'pino';
import { ClusterMetrics } from './cluster/cluster-metrics.js';
import type { NatsSettings } from './cluster/index.js';
import { NatsAnnouncements } from './cluster/nats-announcements.js';
import { NatsLink } from './cluster/nats-link.js';
import type { AnnouncementBus } from './snapshot/delivery-port.js';

export type { AnnouncementBus, DeliveryTransport, Standing, Timing } from './snapshot/delivery-port.js';
export { Follower } from './snapshot/follower.js';
export { GrpcTransport } from './snapshot/grpc-transport.js';
export { Replica } from './snapshot/replica.js';
export { inSlices } from './snapshot/slices.js';

/** Announcements over a connection of their own. Resolves when there is one, or there is none soon. */
export async function announcementsOver(
  nats: NatsSettings,
  name: string,
  log: Logger,
): Promise<AnnouncementBus> {
  const link = new NatsLink({
    nats,
    name,
    inboxPrefix: `sluice.inbox.${name}`,
    log,
    metrics: new ClusterMetrics(),
  });
  const announcements = new NatsAnnouncements(link, log);
  await link.open();
  return announcements;
}
