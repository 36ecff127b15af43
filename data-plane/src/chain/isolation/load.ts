/** Gets plugins that cannot simply be called: those from elsewhere, and those that run elsewhere. */
import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { ResolvedPlugin } from '@sluice/proto';
import type { Change, Hooks, Isolation, Plugin } from '@sluice/sdk';
import { isPlugin, type LoadedFacts, type LoadOrder } from '@sluice/sdk/isolation';
import { checkManifestConfig, findPlugin, type Manifest } from '@sluice/sdk/manifest';
import type { Logger } from 'pino';
import { isolatedHooks } from './isolated-hooks.js';
import { ISOLATION_LIMITS } from './limits.js';
import { dependencyFolders, packageEntry } from './own-folders.js';
import type { PluginProcessOptions } from './plugin-process.js';
import type { Runner } from './runner.js';
import { stage, unstage } from './stage.js';

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
  try {
    return await (builtIn === undefined ? loadElsewhere(resolved, log) : loadBuiltIn(resolved, builtIn, log));
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    throw new Error(`plugin ${resolved.name} cannot be loaded: ${reason}`, { cause: thrown });
  }
}

async function loadBuiltIn(
  { name, config, isolation, mayFetch }: ResolvedPlugin,
  plugin: Plugin,
  log: Logger,
): Promise<Loaded> {
  const order = { module: packageEntry(OWN), builtIn: plugin.name, binding: name, config };
  const runner = await started(
    isolation ?? plugin.isolation,
    order,
    { readable: dependencyFolders(OWN), mayFetch },
    log,
  );
  return { plugin, hooks: isolatedHooks(runner), runner };
}

/** Whoever wrote it is not trusted unless the configuration says so. */
async function loadElsewhere(
  { name, plugin: path, hash = '', config, isolation = 'process', mayFetch }: ResolvedPlugin,
  log: Logger,
): Promise<Loaded> {
  const found = findPlugin(path, hash);
  const { manifest } = found;
  const folder = stage(found);
  try {
    const module = pathToFileURL(join(folder, manifest.main)).href;
    if (isolation === 'inline') return { plugin: await inlinePlugin(module, manifest) };
    const order = { module, binding: name, config };
    const runner = unstaging(
      await started(isolation, order, { readable: [folder, realpathSync(folder)], mayFetch }, log),
      folder,
    );
    try {
      checkFacts(runner.facts, manifest);
    } catch (thrown) {
      await runner.close();
      throw thrown;
    }
    return { plugin: standIn(manifest, runner.facts, isolation), hooks: isolatedHooks(runner), runner };
  } catch (thrown) {
    unstage(folder);
    throw thrown;
  }
}

/** It stays loaded until the process ends, whatever becomes of the configuration: modules cannot be unloaded. */
async function inlinePlugin(module: string, manifest: Manifest): Promise<Plugin> {
  const { default: plugin } = (await import(module)) as { default?: unknown };
  if (!isPlugin(plugin)) throw new Error('its module has no default export that `definePlugin` has made');
  checkFacts({ ...plugin, reads: [], hooks: [] }, manifest);
  return plugin;
}

/** What the operator has looked at is what runs. */
function checkFacts({ name, version, reads }: LoadedFacts, manifest: Manifest): void {
  if (name !== manifest.name || version !== manifest.version)
    throw new Error(`it is ${name} ${version}, and its manifest says ${manifest.name} ${manifest.version}`);
  const more = reads.find((each) => manifest.reads !== null && !manifest.reads.includes(each));
  if (more !== undefined) throw new Error(`it reads ${more}, which its manifest does not say`);
}

/** A plugin by its manifest, whose hooks run elsewhere. */
function standIn(manifest: Manifest, { reads }: LoadedFacts, isolation: Isolation): Plugin {
  const { name, version, description, phase, interfaceVersion, pages } = manifest;
  return {
    name,
    version,
    description,
    phase,
    isolation,
    interfaceVersion,
    pages,
    config: manifest.config as never,
    changes: manifest.changes as Change[],
    reads: () => reads,
    sharedBytes: () => 0,
    sharesMemory: false,
    check: () => [],
    checked: (config) => checkManifestConfig(manifest, config),
    *checkedInSteps(config) {
      yield;
      return checkManifestConfig(manifest, config);
    },
    hooks: () => {
      throw new Error(`the hooks of ${name} run elsewhere`);
    },
  };
}

/** Its files go with it. */
function unstaging(runner: Runner, folder: string): Runner {
  return {
    facts: runner.facts,
    run: (order, side) => runner.run(order, side),
    serve: (host) => runner.serve(host),
    close: async () => {
      await runner.close();
      unstage(folder);
    },
  };
}

/** What a process may read beside what every one has to, and where it may make requests. */
type Rights = Pick<PluginProcessOptions, 'readable' | 'mayFetch'>;

async function started(where: Isolation, order: LoadOrder, rights: Rights, log: Logger): Promise<Runner> {
  const place = where === 'pool' ? 'pool' : 'process';
  const { PluginProcess } = await import('./plugin-process.js');
  return PluginProcess.start({ place, order, limits: ISOLATION_LIMITS, log, ...rights });
}
