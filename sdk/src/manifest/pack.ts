/** Makes the manifest of a plugin. Runs the plugin's module, so it is for the author's machine. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isPlugin } from '../isolation/plugin-side.js';
import type { Plugin } from '../plugin.js';
import { digestOf, MANIFEST_FILE, packedFiles } from './files.js';
import { checkedManifest, type Manifest, plainSchema, type ReadManifest } from './manifest.js';

const DEFAULT_MAIN = 'index.js';

/**
 * Writes `plugin.json` into a folder. The same files give the same bytes, and so the same hash.
 *
 * @throws Error with a sentence when the folder holds no plugin.
 */
export async function packPlugin(folder: string): Promise<ReadManifest> {
  const root = resolve(folder);
  const main = mainOf(root);
  const plugin = await pluginAt(join(root, main), main);
  const manifest: Manifest = checkedManifest({
    name: plugin.name,
    version: plugin.version,
    description: plugin.description,
    phase: plugin.phase,
    interfaceVersion: plugin.interfaceVersion,
    main,
    config: plainSchema(plugin.config),
    reads: staticReads(plugin),
    changes: [...plugin.changes],
    pages: [...plugin.pages],
    files: packedFiles(root),
  });
  const bytes = Buffer.from(`${JSON.stringify(manifest, undefined, 2)}\n`);
  writeFileSync(join(root, MANIFEST_FILE), bytes);
  return { manifest, hash: digestOf(bytes) };
}

/** What `package.json` says that the package is, else `index.js`. */
function mainOf(root: string): string {
  const file = join(root, 'package.json');
  if (!existsSync(file)) return DEFAULT_MAIN;
  const { exports: exported, main } = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  const said = typeof exported === 'string' ? exported : (main ?? DEFAULT_MAIN);
  const path = relative(root, resolve(root, String(said)));
  return path.split(sep).join('/');
}

async function pluginAt(file: string, main: string): Promise<Plugin> {
  if (!existsSync(file))
    throw new Error(`there is no ${main}; say in package.json which module is the plugin's`);
  const { default: plugin } = (await import(pathToFileURL(file).href)) as { default?: unknown };
  if (!isPlugin(plugin)) throw new Error(`${main} has no default export that \`definePlugin\` has made`);
  return plugin;
}

/** Null where they depend on the configuration: a function of it that reads it, or fails without. */
function staticReads(plugin: Plugin): string[] | null {
  let asked = false;
  const config = new Proxy(
    {},
    {
      get() {
        asked = true;
        return undefined;
      },
    },
  );
  try {
    const reads = [...plugin.reads(config)];
    return asked ? null : reads;
  } catch {
    return null;
  }
}
