/** Puts together what nodes share over NATS. */
import { ClusterMetrics } from './cluster-metrics.js';
import type { ClusterConnection, ClusterOptions } from './index.js';
import { NatsBus } from './nats-bus.js';
import { NatsLink } from './nats-link.js';

export async function connect({ nats, cluster, node, log }: ClusterOptions): Promise<ClusterConnection> {
  const metrics = new ClusterMetrics();
  const prefix = `sluice.${cluster}`;
  const link = new NatsLink({
    nats,
    name: `sluice ${cluster} ${node}`,
    inboxPrefix: `${prefix}.inbox.${node}`,
    log,
    metrics,
  });
  const bus = new NatsBus({
    link,
    presenceSubject: `${prefix}.presence`,
    inboxPrefix: `${prefix}.bus.${node}`,
    log,
    metrics,
  });
  await link.open();
  return {
    bus,
    metricsSnapshot: () => metrics.snapshot(),
    close: () => link.close(),
  };
}
