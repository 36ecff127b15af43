/** The store of plugins where nothing has to outlive the process. */
import type { PluginStore } from '@sluice/sdk';

/** Entries that all plugins keep together; the oldest go first. */
const MAX_ENTRY_COUNT = 100_000;
const MAX_KEY_COUNT = 1_000;

export class MemoryPluginStores {
  private readonly entries = new Map<string, { readonly value: string; readonly untilMs: number }>();

  of(binding: string): PluginStore {
    const own = (key: string) => `${binding} ${key}`;
    return {
      get: async (key) => this.alive(own(key)),
      set: async (key, value, { ttlMs = Number.POSITIVE_INFINITY } = {}) => {
        this.entries.delete(own(key));
        this.entries.set(own(key), { value, untilMs: Date.now() + ttlMs });
        if (this.entries.size <= MAX_ENTRY_COUNT) return;
        for (const oldest of this.entries.keys()) {
          this.entries.delete(oldest);
          break;
        }
      },
      delete: async (key) => {
        this.entries.delete(own(key));
      },
      keys: async (prefix) =>
        [...this.entries.keys()]
          .filter((key) => key.startsWith(own(prefix)) && this.alive(key) !== undefined)
          .map((key) => key.slice(binding.length + 1))
          .sort()
          .slice(0, MAX_KEY_COUNT),
    };
  }

  private alive(key: string): string | undefined {
    const entry = this.entries.get(key);
    if (entry === undefined) return undefined;
    if (entry.untilMs > Date.now()) return entry.value;
    this.entries.delete(key);
    return undefined;
  }
}
