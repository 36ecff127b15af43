/** A random secret that all workers of a node have together, in memory that they share. */
import { randomFillSync } from 'node:crypto';

const SECRET_BYTES = 32;
/** Bytes of shared memory that it takes. */
export const NODE_SECRET_BYTES = 4 + SECRET_BYTES;
/** Somebody is about to write it, and it has been written. */
const WRITING = 1;
const WRITTEN = 2;
/** Nobody takes longer to write 32 bytes, except one that has ended over it. */
const MAX_WAIT_MS = 1_000;

/** Throws a RangeError where the memory is too small. */
export function nodeSecret(shared: SharedArrayBuffer): Uint8Array {
  const state = new Int32Array(shared, 0, 1);
  const secret = new Uint8Array(shared, 4, SECRET_BYTES);
  if (Atomics.compareExchange(state, 0, 0, WRITING) === 0) {
    secret.set(randomFillSync(new Uint8Array(SECRET_BYTES)));
    Atomics.store(state, 0, WRITTEN);
    Atomics.notify(state, 0);
  } else {
    Atomics.wait(state, 0, WRITING, MAX_WAIT_MS);
  }
  return Uint8Array.from(secret);
}
