/**
 * Loaded into a gateway whose memory is measured (NODE_OPTIONS=--import). On SIGUSR2 it collects garbage and writes
 * down what is left, so that a figure holds what streams keep and nothing that only waits to be collected.
 */
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { isMainThread } from 'node:worker_threads';
import { HEAP_FOLDER_VARIABLE, type HeapFigures, heapFileName } from './streams/heap-files.js';

function answer(folder: string): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  process.on('SIGUSR2', () => {
    // Buffers are given back after the collection that finds them, so that a second one counts them right.
    collect();
    collect();
    const { heapUsed, external } = process.memoryUsage();
    const figures: HeapFigures = { heldBytes: heapUsed + external };
    // Who waits for the file must never read half of it.
    const file = join(folder, heapFileName(process.pid));
    writeFileSync(`${file}.new`, JSON.stringify(figures));
    renameSync(`${file}.new`, file);
  });
}

const folder = process.env[HEAP_FOLDER_VARIABLE];
// With one worker the data plane works on its main thread; signals come to no other one.
if (folder && isMainThread) answer(folder);
