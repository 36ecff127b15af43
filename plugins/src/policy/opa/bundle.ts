/**
 * The file with a compiled policy: the module itself, or a bundle as `opa build -t wasm` makes it, which is a tar archive
 * of /policy.wasm, /data.json and /.manifest, compressed with gzip.
 */
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { ConfigProblem } from '@sluice/sdk';
import type { WasmConfig } from './config.js';
import type {} from './web-assembly.js';

const MAX_FILE_BYTES = 16 * 1024 * 1024;
/** Of what a bundle is when it is unpacked. */
const MAX_UNPACKED_BYTES = 64 * 1024 * 1024;
const BLOCK_BYTES = 512;
const WASM_MAGIC = Buffer.from([0, 0x61, 0x73, 0x6d]);
const GZIP_MAGIC = Buffer.from([0x1f, 0x8b]);
/** What a module of OPA exports of its interface, in all versions of it (openpolicyagent.org/docs/wasm, "Exports"). */
const EXPORTS = [
  'builtins',
  'entrypoints',
  'opa_malloc',
  'opa_json_parse',
  'opa_json_dump',
  'opa_heap_ptr_get',
];
const IMPORTED_MODULE = 'env';

/** A policy that can be run. */
export interface Bundle {
  readonly wasm: Uint8Array<ArrayBuffer>;
  /** JSON text. */
  readonly data: string;
  readonly entrypoint: string | undefined;
}

/** What is wrong with a file, and at which field of the configuration that stands. */
class BundleProblem extends Error {
  constructor(
    readonly field: 'path' | 'digest' | 'entrypoint',
    message: string,
  ) {
    super(message);
  }
}

/** Looked at once for each version of a file: configurations are checked often. */
const seen = new Map<string, readonly ConfigProblem[]>();
const MAX_SEEN_COUNT = 64;

export function bundleProblems(config: WasmConfig): readonly ConfigProblem[] {
  const key = JSON.stringify([config.path, config.digest, config.entrypoint, versionOf(config.path)]);
  const known = seen.get(key);
  if (known !== undefined) return known;
  const problems = problemsOf(config);
  if (seen.size >= MAX_SEEN_COUNT) seen.clear();
  seen.set(key, problems);
  return problems;
}

function problemsOf(config: WasmConfig): readonly ConfigProblem[] {
  try {
    readBundle(config);
    return [];
  } catch (thrown) {
    if (!(thrown instanceof BundleProblem)) throw thrown;
    return [{ path: `opa.wasm.${thrown.field}`, message: thrown.message }];
  }
}

function versionOf(path: string): string | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat && `${stat.ino} ${stat.size} ${stat.mtimeMs}`;
}

/** @throws Error that says what is wrong with the file. */
export function readBundle({ path, digest, entrypoint }: WasmConfig): Bundle {
  const file = readFile(path);
  const found = `sha256-${createHash('sha256').update(file).digest('base64')}`;
  // What it is is not said: whoever may write configurations need not be allowed to read files.
  if (digest !== undefined && digest !== found) throw new BundleProblem('digest', 'is not that of the file');
  const isBundle = file.subarray(0, GZIP_MAGIC.length).equals(GZIP_MAGIC);
  const { wasm, data, entrypoints } = isBundle ? unpacked(file) : { wasm: file, data: '{}', entrypoints: [] };
  checkModule(wasm);
  if (entrypoint !== undefined && entrypoints.length > 0 && !entrypoints.includes(entrypoint))
    throw new BundleProblem('entrypoint', `is none of the bundle, which has ${entrypoints.join(', ')}`);
  return { wasm: new Uint8Array(wasm), data, entrypoint };
}

function readFile(path: string): Buffer {
  try {
    const stat = statSync(path);
    // A device or a pipe may have no end.
    if (!stat.isFile()) throw new BundleProblem('path', 'is no file');
    if (stat.size <= MAX_FILE_BYTES) return readFileSync(path);
  } catch (thrown) {
    if (thrown instanceof BundleProblem) throw thrown;
    const { code } = thrown as NodeJS.ErrnoException;
    throw new BundleProblem('path', `cannot be read: ${code === 'ENOENT' ? 'there is no such file' : code}`);
  }
  throw new BundleProblem('path', `is a file of more than ${MAX_FILE_BYTES} bytes`);
}

function unpacked(file: Buffer): { wasm: Buffer; data: string; entrypoints: readonly string[] } {
  let archive: Buffer;
  try {
    archive = gunzipSync(file, { maxOutputLength: MAX_UNPACKED_BYTES });
  } catch {
    throw new BundleProblem(
      'path',
      `is a bundle that cannot be unpacked, or is larger than ${MAX_UNPACKED_BYTES} bytes`,
    );
  }
  const entries = entriesOf(archive);
  const wasm = entries.get('policy.wasm');
  if (wasm === undefined)
    throw new BundleProblem('path', 'is a bundle without /policy.wasm; build it with `opa build -t wasm`');
  const data = entries.get('data.json')?.toString() ?? '{}';
  jsonOf(data, 'data.json');
  const manifest = jsonOf(entries.get('.manifest')?.toString() ?? '{}', '.manifest');
  return { wasm, data, entrypoints: entrypointsOf(manifest) };
}

function jsonOf(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new BundleProblem('path', `is a bundle whose /${name} is no JSON`);
  }
}

/** `wasm` of a manifest names what was compiled (openpolicyagent.org/docs/management-bundles, "Bundle File Format"). */
function entrypointsOf(manifest: unknown): readonly string[] {
  const { wasm } = (manifest ?? {}) as { wasm?: unknown };
  if (!Array.isArray(wasm)) return [];
  return wasm
    .map((each) => (each as { entrypoint?: unknown } | null)?.entrypoint)
    .filter((it) => typeof it === 'string');
}

/** Files of a tar archive (POSIX.1-1988, ustar) by their names, without what they begin with: `/` or `./`. */
function entriesOf(archive: Buffer): Map<string, Buffer> {
  const entries = new Map<string, Buffer>();
  let at = 0;
  while (at + BLOCK_BYTES <= archive.length && archive[at] !== 0) {
    const header = archive.subarray(at, at + BLOCK_BYTES);
    const size = Number.parseInt(textOf(header, 124, 12), 8);
    const start = at + BLOCK_BYTES;
    if (!Number.isSafeInteger(size) || size < 0 || start + size > archive.length)
      throw new BundleProblem('path', 'is a bundle that is damaged, or was cut off');
    const type = String.fromCharCode(header[156] as number);
    const name = textOf(header, 0, 100).replace(/^\.?\//, '');
    if (type === '0' || type === '\0') {
      // Two would be read in two ways.
      if (entries.has(name)) throw new BundleProblem('path', 'is a bundle that has one file twice');
      entries.set(name, archive.subarray(start, start + size));
    }
    at = start + Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
  }
  return entries;
}

/** Text of a field that a zero or a space ends. */
function textOf(header: Buffer, start: number, length: number): string {
  return (header.toString('latin1', start, start + length).split('\0', 1)[0] as string).trim();
}

/** Looks at a module without running any of it. */
function checkModule(wasm: Buffer): void {
  if (!wasm.subarray(0, WASM_MAGIC.length).equals(WASM_MAGIC))
    throw new BundleProblem('path', 'is neither a bundle (.tar.gz) nor a module of WebAssembly');
  let module: WebAssembly.Module;
  try {
    module = new WebAssembly.Module(new Uint8Array(wasm));
  } catch {
    throw new BundleProblem('path', 'is no valid module of WebAssembly');
  }
  const names = WebAssembly.Module.exports(module).map(({ name }) => name);
  const missing = EXPORTS.find((name) => !names.includes(name));
  if (missing !== undefined)
    throw new BundleProblem('path', `is no policy that OPA has compiled: its module exports no ${missing}`);
  const foreign = WebAssembly.Module.imports(module).find((each) => each.module !== IMPORTED_MODULE);
  if (foreign !== undefined)
    throw new BundleProblem(
      'path',
      'is no policy that OPA has compiled: its module wants what OPA does not give',
    );
}
