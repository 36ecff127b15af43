import type { Timing } from './delivery-port.js';

/** Timers by name: each name has one at most. */
export class Timers<Name extends string> {
  private readonly cancels = new Map<Name, () => void>();

  constructor(private readonly timing: Pick<Timing, 'after'>) {}

  /** In place of the one that had the name. */
  later(name: Name, ms: number, what: () => void): void {
    this.cancel(name);
    const cancel = this.timing.after(ms, () => {
      this.cancels.delete(name);
      what();
    });
    this.cancels.set(name, cancel);
  }

  cancel(name: Name): void {
    this.cancels.get(name)?.();
    this.cancels.delete(name);
  }

  cancelAll(): void {
    for (const cancel of this.cancels.values()) cancel();
    this.cancels.clear();
  }
}

/** The first pause before something is tried again, and the longest; milliseconds. */
export interface Pauses {
  readonly shortestMs: number;
  readonly longestMs: number;
}

/** Longer from time to time, and never the same for all nodes. */
export function pauseMs({ shortestMs, longestMs }: Pauses, failures: number, timing: Timing): number {
  const longest = Math.min(longestMs, shortestMs * 2 ** Math.min(failures, 10));
  return longest * (0.5 + timing.random() / 2);
}

/** Before somebody is asked again. */
export const ASK_AGAIN: Pauses = { shortestMs: 100, longestMs: 1_000 };
