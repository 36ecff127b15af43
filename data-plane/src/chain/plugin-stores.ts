/** Where plugins keep what they store. */

import { join } from 'node:path';
import type { PluginStore } from '@sluice/sdk';
import type { Logger } from 'pino';
import { MemoryPluginStores } from './memory-store.js';
import { SqlitePluginStores } from './sqlite-store.js';
import { type PluginStores, STORE_LIMITS } from './store-limits.js';

const FILE = 'plugins.sqlite';

/**
 * Durable where the gateway has a folder for its state, which is opened when a plugin first needs it; else in memory,
 * which is said when one does.
 */
export function pluginStores(stateDir: string | undefined, log: Logger): PluginStores {
  if (stateDir !== undefined) return new LazyStores(() => openFile(stateDir));
  const memory = new MemoryPluginStores(STORE_LIMITS);
  let hasSaid = false;
  return new LazyStores(() => {
    if (!hasSaid) {
      hasSaid = true;
      log.info(
        'what plugins store is kept in memory, by each worker for itself and until it ends; gateway.state_dir names a folder for it',
      );
    }
    return memory;
  });
}

/** Throws an Error with a readable message when nothing can be kept in the folder. */
export function checkStateDir(stateDir: string | undefined): void {
  if (stateDir !== undefined) openFile(stateDir).close();
}

function openFile(stateDir: string): PluginStores {
  return new SqlitePluginStores(join(stateDir, FILE), STORE_LIMITS);
}

/** Opens when something is asked of a store for the first time. */
class LazyStores implements PluginStores {
  private opened: PluginStores | undefined;

  constructor(private readonly open: () => PluginStores) {}

  of(binding: string): PluginStore {
    let own: PluginStore | undefined;
    const store = () => {
      this.opened ??= this.open();
      own ??= this.opened.of(binding);
      return own;
    };
    return {
      get: async (key) => store().get(key),
      set: async (key, value, options) => store().set(key, value, options),
      delete: async (key) => store().delete(key),
      keys: async (prefix) => store().keys(prefix),
    };
  }

  close(): void {
    this.opened?.close();
    this.opened = undefined;
  }
}
