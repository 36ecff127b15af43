/**
 * Where token buckets are kept. The rule is GCRA (ITU-T I.371, annex A): a bucket is one number, the time at which it
 * would be full again, so taking from it is one comparison and one write, and an untouched bucket needs no memory.
 */
import type { MaybePromise } from '@sluice/sdk';

/** Units of time in which buckets count. Fine enough for {@link MAX_RATE_PER_SECOND}, coarse enough for a decade. */
export const TICKS_PER_MS = 10_000;

/** One unit at this rate takes 100 ticks, so rounding a rate down to whole ticks costs 1 % at most. */
export const MAX_RATE_PER_SECOND = 100_000;

/** A bucket that takes longer than this to fill is a quota, which is kept elsewhere. */
export const MAX_FILL_MS = 366 * 24 * 3_600_000;

/** How much a bucket gives. Never more than `burst + elapsed / interval` units pass in any stretch of time. */
export interface Allowance {
  /** Time in which one unit comes back, in whole ticks, rounded up. */
  readonly intervalTicks: number;
  /** Units that a full bucket holds. */
  readonly burst: number;
}

/** One bucket of which something is wanted. */
export interface Want {
  /** Names the bucket; all who hold the same key share it. */
  readonly key: string;
  readonly allowance: Allowance;
}

/** What became of one bucket. */
export interface BucketState {
  /** False when this bucket had too little. */
  readonly isEnough: boolean;
  /** Whole units that are left in it. */
  readonly leftCount: number;
  /** Time until there is one more than `leftCount`, rounded up. */
  readonly nextMs: number;
}

export interface Taken {
  /** True when every bucket had enough; otherwise nothing was taken from any. */
  readonly isAllowed: boolean;
  /** In the order of what was wanted. */
  readonly states: readonly BucketState[];
  /** When, by the clock of the store; for {@link BucketStore.giveBack}. */
  readonly atTicks: number;
}

/** A store of buckets: in the memory of a node, or of a cluster. */
export interface BucketStore {
  /** Takes one unit from each bucket, or none from any. */
  take(wants: readonly Want[]): MaybePromise<Taken>;
  /**
   * Puts a unit back that was taken and not used after all. Does nothing from the moment on at which the unit would
   * have come back by itself.
   */
  giveBack(want: Want, taken: Pick<Taken, 'atTicks'>): MaybePromise<void>;
}

/** GCRA for one bucket that is full at `fullAtTicks`. */
export function stateAt(fullAtTicks: number, nowTicks: number, { intervalTicks, burst }: Allowance) {
  const capacityTicks = intervalTicks * burst;
  // What lies further ahead than an empty bucket comes from a larger allowance that the bucket had before.
  const debtTicks = Math.min(Math.max(fullAtTicks - nowTicks, 0), capacityTicks);
  const creditTicks = capacityTicks - debtTicks;
  const isEnough = creditTicks >= intervalTicks;
  return { isEnough, debtTicks, creditTicks };
}

/** What a caller is told of a bucket with so much in it. */
export function stateOf(creditTicks: number, { intervalTicks }: Allowance, isEnough: boolean): BucketState {
  const leftCount = Math.floor(creditTicks / intervalTicks);
  const nextMs = Math.ceil(((leftCount + 1) * intervalTicks - creditTicks) / TICKS_PER_MS);
  return { isEnough, leftCount, nextMs };
}
