/** The store of plugins where nothing has to outlive the process. */
import type { PluginStore } from '@sluice/sdk';
import { checkKey, checkValue, type PluginStores, type StoreLimits, storeIsFull } from './store-limits.js';

interface Entry {
  readonly value: string;
  /** Milliseconds since the epoch. */
  readonly untilMs: number;
}

export class MemoryPluginStores implements PluginStores {
  private readonly byBinding = new Map<string, Map<string, Entry>>();

  constructor(private readonly limits: StoreLimits) {}

  of(binding: string): PluginStore {
    const entries = this.byBinding.get(binding) ?? new Map<string, Entry>();
    this.byBinding.set(binding, entries);
    const { limits } = this;
    return {
      get: async (key) => alive(entries, key),
      set: async (key, value, { ttlMs = Number.POSITIVE_INFINITY } = {}) => {
        checkKey(key, limits);
        checkValue(value, limits);
        if (entries.size >= limits.maxKeyCount && !entries.has(key)) {
          for (const each of [...entries.keys()]) alive(entries, each);
          if (entries.size >= limits.maxKeyCount) throw storeIsFull(binding, limits);
        }
        entries.set(key, { value, untilMs: Date.now() + ttlMs });
      },
      delete: async (key) => {
        entries.delete(key);
      },
      keys: async (prefix) =>
        [...entries.keys()]
          .filter((key) => key.startsWith(prefix) && alive(entries, key) !== undefined)
          .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
          .slice(0, limits.maxListedCount),
    };
  }

  close(): void {
    this.byBinding.clear();
  }
}

/** What there is and has not expired. */
function alive(entries: Map<string, Entry>, key: string): string | undefined {
  const entry = entries.get(key);
  if (entry === undefined) return undefined;
  if (entry.untilMs > Date.now()) return entry.value;
  entries.delete(key);
  return undefined;
}
