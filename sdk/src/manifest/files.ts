/** The files that make a plugin: which they are, and whether they are what they were. */
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

export const MANIFEST_FILE = 'plugin.json';
const MAX_FILE_COUNT = 5_000;
const MAX_TOTAL_BYTES = 64 * 1024 * 1024;

/** What `node --test` runs of the plugin itself; in packages that it brings along such a name may be anything. */
const TESTS = /^test\/|^(?!(?:.*\/)?node_modules\/).*\.test\.[cm]?[jt]s$/;

export interface PackedFile {
  /** Relative to the folder of the plugin, with `/` between names. */
  readonly path: string;
  readonly bytes: number;
  /** `sha256-` and the digest in base64. */
  readonly digest: string;
}

export function digestOf(content: Uint8Array): string {
  return `sha256-${createHash('sha256').update(content).digest('base64')}`;
}

/**
 * All files of a folder that may run in the gateway, in the order of their paths: without those that begin with a dot,
 * tests, what makes the SDK (the gateway brings its own), and the manifest itself.
 *
 * @throws Error when there are too many, or one is a link: what it leads to could change.
 */
export function packedFiles(folder: string): readonly PackedFile[] {
  const files: PackedFile[] = [];
  let totalBytes = 0;
  for (const path of pathsBelow(folder, '')) {
    const content = readFileSync(join(folder, path));
    totalBytes += content.byteLength;
    if (files.length === MAX_FILE_COUNT || totalBytes > MAX_TOTAL_BYTES)
      throw new Error(`a plugin has at most ${MAX_FILE_COUNT} files and ${MAX_TOTAL_BYTES} bytes; bundle it`);
    files.push({ path, bytes: content.byteLength, digest: digestOf(content) });
  }
  return files;
}

function pathsBelow(folder: string, below: string): string[] {
  return readdirSync(join(folder, below))
    .filter((name) => !name.startsWith('.'))
    .map((name) => (below === '' ? name : `${below}/${name}`))
    .filter((path) => path !== MANIFEST_FILE && !/(?:^|\/)node_modules\/@sluice$/.test(path))
    .flatMap((path) => {
      const stat = lstatSync(join(folder, path));
      if (stat.isSymbolicLink()) throw new Error(`${path} is a link; a plugin is made of files`);
      if (stat.isDirectory()) return pathsBelow(folder, path);
      return TESTS.test(path) ? [] : [path];
    })
    .sort(byCode);
}

/** The same everywhere, whatever the language of the machine. */
function byCode(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * The content of every file, as it was packed.
 *
 * @throws Error that names the first file which is missing or another one.
 */
export function verifiedContents(folder: string, files: readonly PackedFile[]): ReadonlyMap<string, Buffer> {
  const contents = new Map<string, Buffer>();
  for (const { path, digest } of files) {
    let content: Buffer;
    try {
      content = readFileSync(join(folder, path));
    } catch {
      throw new Error(`its file ${path} is missing`);
    }
    if (digestOf(content) !== digest) throw new Error(`its file ${path} is not the one that was packed`);
    contents.set(path, content);
  }
  return contents;
}

/**
 * The folder of a plugin, by its path or that of its module: where the nearest manifest is.
 *
 * @throws Error with a sentence when there is none.
 */
export function pluginFolder(path: string): string {
  if (!existsSync(path)) throw new Error(`there is no ${path}`);
  let folder = statSync(path).isDirectory() ? path : dirname(path);
  while (!existsSync(join(folder, MANIFEST_FILE))) {
    const above = dirname(folder);
    if (above === folder) throw new Error(`${path} has no ${MANIFEST_FILE}; \`sluice plugin pack\` makes it`);
    folder = above;
  }
  return folder;
}
