/** What the program that runs a plugin is made of, and nothing else that the gateway has. */
import { existsSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** From here the same folder in `src` and in `dist`. */
const DATA_PLANE = fileURLToPath(new URL('../../..', import.meta.url));

/** Files and folders, as they are named on the way and as they are in the end. */
export function ownFolders(): readonly string[] {
  const sdk = packageFolders('@sluice/sdk', DATA_PLANE);
  const typebox = packageFolders('@sinclair/typebox', realpathSync(sdk[0] as string));
  const own = [join(DATA_PLANE, 'package.json'), join(DATA_PLANE, 'dist', 'chain', 'isolation')];
  return [...own, ...sdk, ...typebox];
}

/** The folder of a package that a folder can import. */
export function packageFolders(name: string, from: string): readonly string[] {
  const places = createRequire(join(from, 'package.json')).resolve.paths(name) ?? [];
  const found = places.map((place) => join(place, name)).find((folder) => existsSync(folder));
  if (found === undefined) throw new Error(`the package ${name} cannot be found from ${from}`);
  return [...new Set([found, realpathSync(found)])];
}

/** The SDK of this gateway. */
export function sdkFolder(): string {
  return realpathSync(packageFolders('@sluice/sdk', DATA_PLANE)[0] as string);
}

/** URL of the module that a package of the gateway is imported by. */
export function packageEntry(name: string): string {
  return pathToFileURL(createRequire(join(DATA_PLANE, 'package.json')).resolve(name)).href;
}

/** The folders that a package which comes with the gateway imports from. */
export function dependencyFolders(name: string): readonly string[] {
  const own = packageFolders(name, DATA_PLANE);
  const root = realpathSync(own[0] as string);
  const shared = createRequire(join(root, 'package.json')).resolve.paths('any') ?? [];
  return [...own, ...shared.filter((folder) => existsSync(folder) && dirname(folder) !== '/')];
}
