/** Length of one tick; deadlines are kept to within one. */
const TICK_MS = 100;

/** Something that looks at its own deadlines once in each tick. */
export interface Ticking {
  ticked(): void;
}

/**
 * One coarse timer for all deadlines of a thread. Setting a deadline is an addition and costs no timer, which a
 * path of a few microseconds could not afford for each request.
 *
 * It counts ticks and not time: when the thread was busy for a second, answers may lie unread in the kernel,
 * and the second counts as one tick.
 */
class DeadlineClock {
  /** Ticks until now; grows only while something watches. */
  tick = 0;
  private readonly watching = new Set<Ticking>();
  private timer: NodeJS.Timeout | undefined;

  /** The tick at which a time that begins now is surely over; 0, which no tick reaches, when the time is 0. */
  after(durationMs: number): number {
    return durationMs === 0 ? 0 : this.tick + ticksOf(durationMs);
  }

  watch(ticking: Ticking): void {
    this.watching.add(ticking);
    if (this.timer !== undefined) return;
    // Sockets keep a process alive, their deadlines need not.
    this.timer = setInterval(() => this.advance(), TICK_MS).unref();
  }

  unwatch(ticking: Ticking): void {
    this.watching.delete(ticking);
    if (this.watching.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private advance(): void {
    this.tick += 1;
    for (const each of this.watching) each.ticked();
  }
}

/** The current tick is partly over, so one more is needed for at least this duration. */
function ticksOf(durationMs: number): number {
  return Math.ceil(durationMs / TICK_MS) + 1;
}

export const deadlineClock = new DeadlineClock();
