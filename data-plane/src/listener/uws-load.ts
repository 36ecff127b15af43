import { isMainThread } from 'node:worker_threads';

/** The library, or why it is not there. */
export type LoadedUws =
  | { readonly ok: true; readonly uws: typeof import('uWebSockets.js') }
  | { readonly ok: false; readonly reason: string };

/**
 * Longest head that may come in several packets; uWebSockets.js itself would refuse such a head from 4 KiB on.
 * Only what a client sends is kept, so a large bound costs nothing by itself.
 */
const HEAD_BUFFER_BYTES = 128 * 1024;

/** What uWebSockets.js reads from the environment when it is loaded first, and what it takes when nothing is set. */
const HEAD_BUFFER_VARIABLE = 'UWS_HTTP_MAX_HEADERS_SIZE';
const HEAD_BUFFER_DEFAULT_BYTES = 4 * 1024;

/** Sums to the code of `setSilent`: answers then do not carry the library's name and version. */
const SILENT = '999999990007';

let loaded: Promise<LoadedUws> | undefined;

/**
 * Loads uWebSockets.js where it has a binary for this platform and Node.js. Never rejects; `reason` is for the
 * log. Worker threads cannot set the size of its head buffer (their environment is a copy), so the main thread
 * calls this, or {@link prepareUws}, before it starts them.
 */
export function loadUws(): Promise<LoadedUws> {
  loaded ??= load();
  return loaded;
}

/** Sets what uWebSockets.js reads when it is loaded. Without effect in a worker thread. */
export function prepareUws(): void {
  if (isMainThread) process.env[HEAD_BUFFER_VARIABLE] ??= String(HEAD_BUFFER_BYTES);
}

/** Longest head, in bytes, that uWebSockets.js takes in several packets. */
export function uwsHeadBufferBytes(): number {
  const bytes = Number.parseInt(process.env[HEAD_BUFFER_VARIABLE] ?? '', 10);
  return Number.isNaN(bytes) ? HEAD_BUFFER_DEFAULT_BYTES : bytes;
}

async function load(): Promise<LoadedUws> {
  prepareUws();
  try {
    const { default: uws } = await import('uWebSockets.js');
    (uws as unknown as { _cfg(key: string): void })._cfg(SILENT);
    return { ok: true, uws };
  } catch (error) {
    return { ok: false, reason: reasonFor(error) };
  }
}

/** The last line names the file or symbol that is missing; the ones before it list what could be missing. */
function reasonFor(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const detail = message
    .trim()
    .split('\n')
    .at(-1)
    ?.replace(/^Error: /, '');
  const platform = `${process.platform}-${process.arch}`;
  return `uWebSockets.js has no binary that loads on Node.js ${process.versions.node}, ${platform}: ${detail}`;
}
