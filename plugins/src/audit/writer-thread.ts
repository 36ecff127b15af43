/** The program of the thread that writes the records of one worker. */
import { parentPort, workerData } from 'node:worker_threads';
import type { Batch } from './record-queue.js';
import { Writer, type WriterOptions } from './writer.js';

export type ToWriter = { readonly type: 'batch'; readonly batch: Batch } | { readonly type: 'end' };
export type FromWriter =
  | { readonly type: 'written' }
  /** To be sent elsewhere. */
  | { readonly type: 'shaped'; readonly texts: readonly string[] }
  | { readonly type: 'failing'; readonly reason: string }
  | { readonly type: 'ended' };

const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 5_000;
const RETENTION_INTERVAL_MS = 60_000;

const options = workerData as WriterOptions;
const writer = new Writer(options, () => Date.now());
const port = parentPort as NonNullable<typeof parentPort>;
let retry: NodeJS.Timeout | undefined;

port.on('message', (message: ToWriter) => {
  if (message.type === 'batch') write(message.batch, FIRST_RETRY_MS);
  else end();
});
const retaining = setInterval(retain, RETENTION_INTERVAL_MS);
retain();

function write(batch: Batch, retryMs: number): void {
  try {
    if (!options.isFile) return tell({ type: 'shaped', texts: writer.sent(batch) });
    writer.write(batch);
    tell({ type: 'written' });
  } catch (thrown) {
    tell({ type: 'failing', reason: thrown instanceof Error ? thrown.message : String(thrown) });
    retry = setTimeout(() => write(batch, Math.min(retryMs * 2, LONGEST_RETRY_MS)), retryMs);
  }
}

/** In steps, so that batches are written in between. */
function retain(): void {
  try {
    if (writer.retain()) setImmediate(retain);
  } catch {
    // The next batch says what is wrong with the file.
  }
}

function end(): void {
  clearTimeout(retry);
  clearInterval(retaining);
  writer.end();
  tell({ type: 'ended' });
  port.close();
}

function tell(message: FromWriter): void {
  port.postMessage(message);
}
