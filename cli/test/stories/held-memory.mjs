// @ts-check
// Loaded into every thread of a gateway (NODE_OPTIONS=--import): tells what its heap holds after a collection.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { threadId } from 'node:worker_threads';

const POLL_MS = 50;
const folder = process.env.SLUICE_TEST_HEAP_FOLDER;
if (folder !== undefined) {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc');
  let answered = '';
  const write = (/** @type {string} */ name, /** @type {string} */ text) => {
    // Nobody must read half of it.
    const file = join(folder, name);
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
  };
  setInterval(() => {
    let asked = '';
    try {
      asked = readFileSync(join(folder, 'asked'), 'utf8');
    } catch {
      // Nobody has asked yet.
    }
    if (asked === answered) return;
    answered = asked;
    // Buffers are given back after the collection that finds them, so that a second one counts them right.
    collect();
    collect();
    const { heapUsed, external } = process.memoryUsage();
    write(`held.${process.pid}.${threadId}.${asked}`, String(heapUsed + external));
  }, POLL_MS).unref();
  write(`thread.${process.pid}.${threadId}`, '');
}
