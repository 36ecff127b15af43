/** Crashes in a row that are followed by a restart at once: a single crash must cost as little as possible. */
const IMMEDIATE_RESTARTS = 3;
const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 10_000;

/** A process that lived this long has worked; its crash begins a new count. */
export const STABLE_AFTER_MS = 60_000;

/**
 * Time to wait before the data plane is started again, in milliseconds.
 *
 * @param crashes how many times in a row it has ended unexpectedly, the last one included (1 or more)
 */
export function restartDelayMs(crashes: number): number {
  if (crashes <= IMMEDIATE_RESTARTS) return 0;
  return Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** (crashes - IMMEDIATE_RESTARTS - 1));
}
