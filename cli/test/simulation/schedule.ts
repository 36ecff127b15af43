/**
 * Virtual time. Everything that happens is an event; of those that are due at the same time the seed says which comes
 * first. Between two events everything runs that needs no time.
 */
import type { Random } from '../fuzz/random.js';

interface Event {
  readonly atMs: number;
  /** Decides among those of the same time. */
  readonly tie: number;
  what: (() => void) | undefined;
}

const TIE_BOUND = 2 ** 30;
const MICROSECONDS = 1_000;

export class Schedule {
  private heap: Event[] = [];
  private now = 0;
  /** Events that happened. */
  count = 0;

  constructor(private readonly random: Random) {}

  /** Milliseconds since the run began. */
  get nowMs(): number {
    return this.now;
  }

  /** Calls back once after a time; returns how to prevent it. */
  after(ms: number, what: () => void): () => void {
    const event: Event = {
      // Whole microseconds, so that times read the same everywhere.
      atMs: Math.round((this.now + Math.max(0, ms)) * MICROSECONDS) / MICROSECONDS,
      tie: this.random.below(TIE_BOUND),
      what,
    };
    this.push(event);
    return () => {
      event.what = undefined;
    };
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve));
  }

  /** Lets time pass; ends early when what is waited for is so. Resolves to whether it is. */
  async pass(ms: number, isEnough: () => boolean = () => false): Promise<boolean> {
    const until = this.now + ms;
    await settled();
    while (!isEnough()) {
      const next = this.heap[0];
      if (next === undefined || next.atMs > until) {
        this.now = until;
        return isEnough();
      }
      this.pop();
      if (next.what === undefined) continue;
      this.now = next.atMs;
      this.count += 1;
      next.what();
      await settled();
    }
    return true;
  }

  /** Nothing more happens. */
  end(): void {
    this.heap = [];
  }

  private push(event: Event): void {
    const { heap } = this;
    let index = heap.push(event) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isBefore(event, heap[parent] as Event)) break;
      heap[index] = heap[parent] as Event;
      index = parent;
    }
    heap[index] = event;
  }

  private pop(): void {
    const { heap } = this;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Event, heap[child] as Event)) child += 1;
      if (!isBefore(heap[child] as Event, last)) break;
      heap[index] = heap[child] as Event;
      index = child;
    }
    heap[index] = last;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.tie < b.tie);
}

/** A turn of the real event loop comes when all promises that can have been settled. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
