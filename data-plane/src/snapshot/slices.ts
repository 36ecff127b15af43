/** Long work in slices, so that requests are served in between. */
import { setImmediate as nextTurn } from 'node:timers/promises';

/** Requests wait at most about this long for a slice to end; milliseconds. */
const SLICE_MS = 2;

/** Runs work that yields often to its end, never longer at a stretch than a slice. */
export async function inSlices<T>(work: Generator<void, T, void>): Promise<T> {
  for (;;) {
    const end = performance.now() + SLICE_MS;
    do {
      const step = work.next();
      if (step.done) return step.value;
    } while (performance.now() < end);
    await nextTurn();
  }
}
