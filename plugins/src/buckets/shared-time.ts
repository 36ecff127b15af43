/**
 * A clock for all workers of a node that never goes back. The node's clock may: after a correction of an hour, buckets
 * that stood in the future would refuse for an hour. Here the difference is made up for, so nobody notices.
 */
import type { Clock } from '@sluice/sdk';

/** Workers read the clock one after the other; less than this is no correction, and waiting it out harms nobody. */
const SMALL_STEP_MS = 1_000n;

const EPOCH = 0;
const CORRECTION = 1;
const LATEST = 2;

export class SharedTime {
  private readonly epochMs: number;
  private lastWallMs = Number.NaN;
  private lastMs = 0;

  /** @param times three numbers in shared memory, zeroed at first. */
  constructor(
    private readonly times: BigInt64Array,
    private readonly clock: Clock,
  ) {
    const own = BigInt(Math.max(1, Math.floor(clock.now())));
    const before = Atomics.compareExchange(times, EPOCH, 0n, own);
    this.epochMs = Number(before === 0n ? own : before);
  }

  /** Milliseconds since the first worker began. */
  nowMs(): number {
    const wallMs = Math.floor(this.clock.now());
    if (wallMs !== this.lastWallMs) {
      this.lastMs = this.agreed(wallMs);
      this.lastWallMs = wallMs;
    }
    return this.lastMs;
  }

  private agreed(wallMs: number): number {
    const { times } = this;
    for (;;) {
      const correction = Atomics.load(times, CORRECTION);
      const latest = Atomics.load(times, LATEST);
      const own = BigInt(wallMs - this.epochMs) + correction;
      if (own > latest) {
        if (Atomics.compareExchange(times, LATEST, latest, own) === latest) return Number(own);
      } else if (latest - own <= SMALL_STEP_MS) {
        return Number(latest);
      } else {
        // The clock was set back. One worker corrects; the others find it corrected.
        Atomics.compareExchange(times, CORRECTION, correction, correction + latest - own);
      }
    }
  }
}
