/** What plugins share with others of their kind beyond their worker. */
import type { PluginBuckets, PluginRecords } from '@sluice/sdk';
import type { PluginStores } from './store-limits.js';

export interface PluginSharing {
  /** Of all plugins; their names begin with the binding. */
  readonly buckets: PluginBuckets;
  /** Undefined where every worker keeps by itself what plugins store, in a file or in memory. */
  readonly stores?: PluginStores | undefined;
  /** Undefined where nobody gathers what plugins record. */
  readonly records?: SharedRecords | undefined;
}

/** What plugins of nodes record, on its way to whoever collects it. */
export interface SharedRecords {
  /** See `send` of {@link PluginRecords}. */
  send(binding: string, batch: string): Promise<void>;
}

/** Those of one plugin. */
export function recordsOf(binding: string, { records }: PluginSharing): PluginRecords | undefined {
  return records && { send: (batch) => records.send(binding, batch) };
}

/** The buckets of one plugin. */
export function bucketsOf(binding: string, { buckets }: PluginSharing): PluginBuckets {
  // With its length before it, no binding looks like another one and the beginning of a name.
  const prefix = `${binding.length}:${binding}/`;
  return { take: (bucket, allowance, count) => buckets.take(prefix + bucket, allowance, count) };
}
