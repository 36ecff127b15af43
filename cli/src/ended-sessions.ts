/*
 * Sessions that were ended, so that their tokens stay worthless when the data plane is started again: it forgets with
 * a crash what it does not hand over, and the next one opens whatever token the same key has sealed.
 */

/** A token means nothing any more when its session would be older, so that nobody has to remember its end. */
const MAX_AGE_MS = 7 * 24 * 60 * 60_000;
/** As many as a data plane remembers. */
const MAX_COUNT = 10_000;

export class EndedSessions {
  /** Ids and when they ended, milliseconds of the clock, from the oldest to the newest. */
  readonly #endedAtMs = new Map<string, number>();

  note(id: string, nowMs: number): void {
    // Whoever is noted twice was ended by the later one.
    this.#endedAtMs.delete(id);
    this.#endedAtMs.set(id, nowMs);
    for (const [oldest, endedAtMs] of this.#endedAtMs) {
      if (this.#endedAtMs.size <= MAX_COUNT && nowMs - endedAtMs <= MAX_AGE_MS) return;
      this.#endedAtMs.delete(oldest);
    }
  }

  /** From the oldest to the newest. */
  ids(nowMs: number): string[] {
    return [...this.#endedAtMs].filter(([, atMs]) => nowMs - atMs <= MAX_AGE_MS).map(([id]) => id);
  }
}
