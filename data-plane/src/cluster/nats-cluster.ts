/** Puts together what nodes share over NATS. */
import type { PluginBuckets } from '@sluice/sdk';
import { STORE_LIMITS } from '../chain/store-limits.js';
import { MAX_SESSION_AGE_MS } from '../sessions/tokens.js';
import { ClusterMetrics } from './cluster-metrics.js';
import { FrameSeal } from './frame-seal.js';
import type { ClusterConnection, ClusterOptions } from './index.js';
import { KvBucket } from './kv-bucket.js';
import { NatsAnnouncements } from './nats-announcements.js';
import { LIMIT_BUCKETS, NatsBuckets } from './nats-buckets.js';
import { NatsBus } from './nats-bus.js';
import { NatsLink } from './nats-link.js';
import { NatsPluginStores } from './nats-plugin-stores.js';
import { NatsRecords } from './nats-records.js';
import { NatsSessionStore } from './nats-session-store.js';
import { SessionSweep } from './session-sweep.js';

const IDLE_TIMEOUT_MS = 30 * 60_000;
/** An end is remembered for longer than any token of the session lives, whatever the clocks say. */
const CLOCK_MARGIN_MS = 60 * 60_000;

export async function connect(options: ClusterOptions): Promise<ClusterConnection> {
  const { nats, cluster, node, log, sessionIdleTimeoutMs = IDLE_TIMEOUT_MS } = options;
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
    seal: new FrameSeal(options.key),
    log,
    metrics,
  });
  const bucket = new KvBucket(
    {
      link,
      name: `sluice_${cluster}_sessions`,
      replicas: nats.replicas ?? 1,
      maxAgeMs: MAX_SESSION_AGE_MS + CLOCK_MARGIN_MS,
      log,
    },
    {
      opened: (isOther) => sessions.opened(isOther),
      entry: (entry) => {
        sessions.heard(entry);
        sweep.heard(entry);
      },
    },
  );
  const sessions = new NatsSessionStore({ bucket, log, metrics, onOwner: (worker) => sweep.own(worker) });
  const sweep = new SessionSweep({
    bucket,
    store: sessions,
    idleTimeoutMs: sessionIdleTimeoutMs,
    log,
    metrics,
  });
  const announcements = new NatsAnnouncements(link, log);
  const stored = new KvBucket({
    ...{ link, name: `sluice_${cluster}_plugins`, replicas: nats.replicas ?? 1, maxAgeMs: 0, log },
  });
  const stores = new NatsPluginStores(stored, STORE_LIMITS, log);
  const records = new NatsRecords({ link, cluster, node, key: options.key, replicas: nats.replicas ?? 1 });
  const limits = await bucketsFor(options, link);
  await link.open();
  return {
    bus,
    announcements,
    plugins: { buckets: limits.buckets, stores, records },
    sessions,
    metricsText: () => metrics.text(),
    async close() {
      sweep.close();
      limits.close();
      stores.close();
      stored.close();
      await sessions.written();
      bucket.close();
      await link.close();
    },
  };
}

/** Token buckets in Redis where one is named, else in NATS. */
async function bucketsFor(
  { nats, cluster, redis, log }: ClusterOptions,
  link: NatsLink,
): Promise<{ buckets: PluginBuckets; close(): void }> {
  if (redis !== undefined) {
    const { RedisBuckets } = await import('./redis-buckets.js');
    const buckets = new RedisBuckets(redis, `sluice:${cluster}:limits:`, log);
    return { buckets, close: () => buckets.close() };
  }
  const kept = LIMIT_BUCKETS.map(
    ({ name, maxAgeMs }) =>
      new KvBucket({ link, name: `sluice_${cluster}_${name}`, replicas: nats.replicas ?? 1, maxAgeMs, log }),
  );
  return {
    buckets: new NatsBuckets(kept),
    close: () => {
      for (const each of kept) each.close();
    },
  };
}
