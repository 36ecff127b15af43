/** Where a plugin is that does not come with the gateway: a path, or a package, both from the file's folder. */
import { existsSync } from 'node:fs';
import { basename, dirname, extname, join, resolve } from 'node:path';
import type { PluginBinding } from '@sluice/proto';

const PATH = /^\.{0,2}\//;
const PACKAGE = /^npm:((?:@[a-z0-9_.-]+\/)?[a-z0-9_.-]+)$/i;
/** Names of modules that say nothing; that of their folder does. */
const SAYS_NOTHING = /^(?:index|main|plugin|dist|src|lib)$/;

/** Makes the place absolute, and names the use after it where it has no name. What is not installed stays as it is. */
export function anchorPlugin(binding: PluginBinding, folder: string): void {
  const written = binding.plugin;
  const name = PACKAGE.exec(written)?.[1];
  if (PATH.test(written)) binding.plugin = resolve(folder, written);
  else if (name !== undefined) binding.plugin = packageFolder(name, folder) ?? written;
  else return;
  if (binding.name === '') binding.name = name === undefined ? nameOf(binding.plugin) : basename(name);
}

function nameOf(path: string): string {
  const name = basename(path, extname(path));
  return SAYS_NOTHING.test(name) ? nameOf(dirname(path)) : name;
}

/** As Node.js looks for packages: in `node_modules` of the folder, and of all above it. */
function packageFolder(name: string, from: string): string | undefined {
  const folder = join(from, 'node_modules', name);
  if (existsSync(folder)) return folder;
  const above = dirname(from);
  return above === from ? undefined : packageFolder(name, above);
}
