/** Worker threads reach over the main thread what plugins share. */
import type { BucketAllowance, PluginBuckets, PluginStore } from '@sluice/sdk';
import type { PluginSharing, SharedRecords } from '../chain/plugin-sharing.js';
import type { PluginStores } from '../chain/store-limits.js';

export type SharedCall =
  | {
      readonly what: 'take';
      readonly bucket: string;
      readonly allowance: BucketAllowance;
      readonly count: number;
    }
  | { readonly what: 'send'; readonly binding: string; readonly batch: string }
  | { readonly what: 'get' | 'delete' | 'keys'; readonly binding: string; readonly key: string }
  | {
      readonly what: 'set';
      readonly binding: string;
      readonly key: string;
      readonly value: string;
      readonly ttlMs: number | undefined;
    };

export type SharedOutcome = { readonly value: unknown } | { readonly error: string };

/** Does in the main thread what a thread asks for. Never rejects. */
export async function serveShared(sharing: PluginSharing, call: SharedCall): Promise<SharedOutcome> {
  try {
    return { value: await served(sharing, call) };
  } catch (thrown) {
    return { error: thrown instanceof Error ? thrown.message : String(thrown) };
  }
}

function served({ buckets, stores, records }: PluginSharing, call: SharedCall): Promise<unknown> {
  if (call.what === 'take') return buckets.take(call.bucket, call.allowance, call.count);
  if (call.what === 'send') {
    if (records === undefined) throw new Error('nobody gathers records of this node');
    return records.send(call.binding, call.batch);
  }
  if (stores === undefined) throw new Error('this node shares no store');
  const store = stores.of(call.binding);
  if (call.what === 'set') {
    const { ttlMs } = call;
    return store.set(call.key, call.value, ttlMs === undefined ? {} : { ttlMs });
  }
  return store[call.what](call.key);
}

/** What the main thread has, as a worker thread sees it. */
export class SharingOfMainThread implements PluginSharing {
  private readonly waiting = new Map<number, (outcome: SharedOutcome) => void>();
  private count = 0;
  readonly buckets: PluginBuckets = {
    take: (bucket, allowance, count) => this.ask({ what: 'take', bucket, allowance, count }),
  };
  readonly stores: PluginStores | undefined;
  readonly records: SharedRecords | undefined;

  constructor(
    private readonly tell: (id: number, call: SharedCall) => void,
    { sharesStores, sharesRecords }: { readonly sharesStores: boolean; readonly sharesRecords: boolean },
  ) {
    if (sharesStores) this.stores = { of: (binding) => this.storeOf(binding), close: () => undefined };
    if (sharesRecords)
      this.records = { send: (binding, batch) => this.ask({ what: 'send', binding, batch }) };
  }

  /** The main thread has answered. */
  served(id: number, outcome: SharedOutcome): void {
    this.waiting.get(id)?.(outcome);
    this.waiting.delete(id);
  }

  private storeOf(binding: string): PluginStore {
    return {
      get: (key) => this.ask({ what: 'get', binding, key }),
      set: (key, value, options) => this.ask({ what: 'set', binding, key, value, ttlMs: options?.ttlMs }),
      delete: (key) => this.ask({ what: 'delete', binding, key }),
      keys: (key) => this.ask({ what: 'keys', binding, key }),
    };
  }

  private ask<T>(call: SharedCall): Promise<T> {
    return new Promise((resolve, reject) => {
      const id = ++this.count;
      this.waiting.set(id, (outcome) => {
        if ('error' in outcome) reject(new Error(outcome.error));
        else resolve(outcome.value as T);
      });
      this.tell(id, call);
    });
  }
}
