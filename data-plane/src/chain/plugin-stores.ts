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
        'what plugins store is kept in memory until the gateway ends; gateway.state_dir names a folder for it',
      );
    }
    return memory;
  });
}

/** What a full or failing disk says to whoever opens a file (errno(3)). */
const DISK_TROUBLE: readonly unknown[] = ['ENOSPC', 'EDQUOT', 'EFBIG', 'EIO', 'EROFS'];
/** The same said by SQLite: SQLITE_IOERR and SQLITE_FULL, in the lowest byte of a code. */
const SQLITE_DISK_TROUBLE: readonly number[] = [10, 13];

/**
 * Throws an Error with a readable message when nothing can be kept in the folder, unless that is because its disk is
 * full or fails: this is said, and what needs no store goes on.
 */
export function checkStateDir(stateDir: string | undefined, log: Pick<Logger, 'error'>): void {
  if (stateDir === undefined) return;
  try {
    openFile(stateDir).close();
  } catch (thrown) {
    if (!isDiskTrouble((thrown as Error).cause)) throw thrown;
    log.error({ err: thrown }, `${(thrown as Error).message}; plugins that store something fail until then`);
  }
}

function isDiskTrouble(cause: unknown): boolean {
  const { code, errcode } = (cause ?? {}) as { code?: unknown; errcode?: unknown };
  return (
    DISK_TROUBLE.includes(code) ||
    (typeof errcode === 'number' && SQLITE_DISK_TROUBLE.includes(errcode & 0xff))
  );
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
