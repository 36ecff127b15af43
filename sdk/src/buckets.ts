/**
 * Token buckets from which several units are taken at once. The rule is GCRA (ITU-T I.371, annex A): a bucket is one
 * number, the time at which it would be full again.
 */

/** Token buckets that the workers of all nodes of a cluster share, or those of one node that stands alone. */
export interface PluginBuckets {
  /**
   * Takes as many units as there are in a bucket, `count` at most. That is a question to a server: take several, and
   * hand them out. Rejects when it cannot be asked.
   *
   * @param bucket its name among those of the plugin; whoever names it gives the same allowance
   */
  take(bucket: string, allowance: BucketAllowance, count: number): Promise<Portion>;
}

/** How much a bucket gives: never more than `burst` and what comes back in the time between. */
export interface BucketAllowance {
  /** Time in which one unit comes back; microseconds, more than 0. */
  readonly intervalUs: number;
  /** Units that a full bucket holds. */
  readonly burst: number;
}

/** What was taken out of a bucket. */
export interface Portion {
  readonly count: number;
  /** What is left in it. */
  readonly leftCount: number;
  /** Time until there is one more than `leftCount`; rounded up. */
  readonly nextMs: number;
}

/** Times may be kept in whole microseconds: that much does not make a unit wait. */
const ROUNDED_US = 1;

/** Takes out of a bucket that is full at `fullAtUs`; microseconds of one clock. */
export function takePortion(
  fullAtUs: number,
  nowUs: number,
  { intervalUs, burst }: BucketAllowance,
  wantedCount: number,
): { portion: Portion; fullAtUs: number } {
  const capacityUs = intervalUs * burst;
  // What lies further ahead than an empty bucket comes from a larger allowance before, or a clock that was set back.
  const debtUs = Math.min(Math.max(fullAtUs - nowUs, 0), capacityUs + ROUNDED_US);
  const thereCount = Math.floor((capacityUs - debtUs + ROUNDED_US) / intervalUs);
  const count = Math.max(0, Math.min(wantedCount, thereCount));
  const owedUs = debtUs + count * intervalUs;
  const leftCount = thereCount - count;
  const nextUs = (leftCount + 1) * intervalUs - (capacityUs - owedUs);
  return {
    portion: { count, leftCount, nextMs: Math.max(1, Math.ceil(nextUs / 1_000)) },
    fullAtUs: nowUs + owedUs,
  };
}

const MAX_BUCKET_COUNT = 100_000;

/** Buckets in the memory of one process. */
export class MemoryBuckets implements PluginBuckets {
  /** By name, when each is full; from the one used longest ago. */
  private readonly fullAt = new Map<string, number>();

  /** @param nowMs a clock that is not set back */
  constructor(private readonly nowMs: () => number) {}

  async take(bucket: string, allowance: BucketAllowance, count: number): Promise<Portion> {
    const nowUs = this.nowMs() * 1_000;
    const { portion, fullAtUs } = takePortion(this.fullAt.get(bucket) ?? 0, nowUs, allowance, count);
    this.fullAt.delete(bucket);
    this.fullAt.set(bucket, fullAtUs);
    if (this.fullAt.size > MAX_BUCKET_COUNT) this.sweep(nowUs);
    return portion;
  }

  /** A bucket that is full is as good as none. */
  private sweep(nowUs: number): void {
    for (const [bucket, fullAtUs] of this.fullAt) if (fullAtUs <= nowUs) this.fullAt.delete(bucket);
    for (const bucket of this.fullAt.keys()) {
      if (this.fullAt.size <= MAX_BUCKET_COUNT / 2) return;
      this.fullAt.delete(bucket);
    }
  }
}
