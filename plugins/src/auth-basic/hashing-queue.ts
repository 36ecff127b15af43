/**
 * Bounds what hashes cost a worker at any moment: each one holds a thread of the pool, which files, name look-ups and
 * signatures need too, and tens of megabytes.
 */

/** Half of the pool's threads. */
const MAX_RUNNING_COUNT = 2;
/** Some seconds of work; who comes then is told to come again. */
const MAX_WAITING_COUNT = 50;

export class HashingQueue {
  private runningCount = 0;
  private readonly waiting: (() => void)[] = [];

  /** Undefined when too many wait already. */
  run<T>(hash: () => Promise<T>): Promise<T> | undefined {
    if (this.runningCount < MAX_RUNNING_COUNT) return this.start(hash);
    if (this.waiting.length >= MAX_WAITING_COUNT) return undefined;
    return new Promise((resolve) => {
      this.waiting.push(() => resolve(this.start(hash)));
    });
  }

  private async start<T>(hash: () => Promise<T>): Promise<T> {
    this.runningCount++;
    try {
      return await hash();
    } finally {
      this.runningCount--;
      this.waiting.shift()?.();
    }
  }
}
