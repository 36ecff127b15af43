import { setTimeout as sleep } from 'node:timers/promises';

const LOOK_EVERY_MS = 10;
/** Far longer than anything takes that comes at all. */
const PATIENCE_MS = 20_000;

/** Waits until something is so. Rejects when it does not become so. */
export async function until(what: string, isSo: () => unknown): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`${what}: not within ${PATIENCE_MS} ms`);
    await sleep(LOOK_EVERY_MS);
  }
}
