/** Gets plugins that cannot simply be called: those that run elsewhere than on the thread of the request. */
import type { ResolvedPlugin } from '@sluice/proto';
import type { Hooks, Isolation, Plugin } from '@sluice/sdk';
import type { LoadOrder } from '@sluice/sdk/isolation';
import type { Logger } from 'pino';
import { isolatedHooks } from './isolated-hooks.js';
import { ISOLATION_LIMITS } from './limits.js';
import { dependencyFolders, packageEntry } from './own-folders.js';
import type { Runner } from './runner.js';

/** A plugin that is there and not in use yet. */
export interface Loaded {
  readonly plugin: Plugin;
  /** Those that run elsewhere; by default the plugin's own. */
  readonly hooks?: Hooks;
  readonly runner?: Runner;
}

const OWN = '@sluice/plugins';

/**
 * Rejects with a sentence when it cannot be had.
 *
 * @param builtIn the plugin, where it comes with the gateway.
 */
export async function load(
  resolved: ResolvedPlugin,
  builtIn: Plugin | undefined,
  log: Logger,
): Promise<Loaded> {
  const { name, config } = resolved;
  try {
    if (builtIn === undefined) throw new Error(`there is no plugin ${resolved.plugin}`);
    const order = { module: packageEntry(OWN), builtIn: builtIn.name, binding: name, config };
    const where = resolved.isolation ?? builtIn.isolation;
    const runner = await started(where, order, dependencyFolders(OWN), log);
    return { plugin: builtIn, hooks: isolatedHooks(runner), runner };
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    throw new Error(`plugin ${name} cannot be loaded: ${reason}`, { cause: thrown });
  }
}

/** @param readable what a process may read, beside what every one has to. */
async function started(
  where: Isolation,
  order: LoadOrder,
  readable: readonly string[],
  log: Logger,
): Promise<Runner> {
  const limits = ISOLATION_LIMITS;
  if (where === 'pool') {
    const { PluginPool } = await import('./plugin-pool.js');
    return PluginPool.start({ order, limits, log });
  }
  const { PluginProcess } = await import('./plugin-process.js');
  return PluginProcess.start({ order, limits, log, readable });
}
