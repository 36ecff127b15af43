/** Where the buckets of `ratelimit` are: in the memory of the node, or leased from those of the cluster. */
import type { PluginHost } from '@sluice/sdk';
import type { BucketStore } from '../buckets/bucket-store.js';
import { LeasedBuckets } from '../buckets/leased-buckets.js';
import { SharedBuckets } from '../buckets/shared-buckets.js';

interface StoreConfig {
  readonly scope: 'node' | 'cluster';
  readonly buckets: number;
  readonly without_store: 'node' | 'deny';
}

export function storeOf(
  { scope, buckets: maxCount, without_store: whenAway }: StoreConfig,
  { shared, clock, buckets, log, metrics }: PluginHost,
): BucketStore {
  const local = new SharedBuckets(shared, clock);
  if (scope === 'node') return local;
  const isThere = (value: number) =>
    metrics.gauge('workers_sharing', 'Workers that can ask for the buckets of the cluster.', value);
  isThere(1);
  return new LeasedBuckets({
    ...{ local, buckets, clock, maxCount, whenAway },
    changed(isSharing, reason) {
      isThere(isSharing ? 1 : 0);
      if (isSharing) log.info({}, 'the limits of the cluster hold again');
      else
        log.warn(
          { reason: reason instanceof Error ? reason.message : String(reason) },
          whenAway === 'deny'
            ? 'the buckets of the cluster cannot be asked for: what was taken of them is used up, then requests are refused'
            : 'the buckets of the cluster cannot be asked for: what was taken of them is used up, then each node keeps the limits by itself',
        );
    },
  });
}
