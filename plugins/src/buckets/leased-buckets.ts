/**
 * Token buckets that all nodes of a cluster share, without asking for each unit: a worker takes several units of a
 * bucket at once, as many as it uses in about a second, and hands them out. So the limit can be passed, by what workers
 * have in hand: in any stretch of time no more pass in the whole cluster than
 *
 *     burst + elapsed / interval + workers * maxBatch(burst)
 *
 * Beside that each node keeps the limit by itself: it refuses without asking what it alone would not let pass, and it
 * can go on when nobody can be asked.
 */
import type { BucketAllowance, Clock, PluginBuckets } from '@sluice/sdk';
import {
  type Allowance,
  type BucketState,
  type BucketStore,
  type Taken,
  TICKS_PER_MS,
  type Want,
} from './bucket-store.js';

const TICKS_PER_US = TICKS_PER_MS / 1_000;
/** Units that are taken at once are to last for so long. */
const LEASE_MS = 1_000;
/** Of a full bucket, what one worker has in hand at most. */
const MAX_BATCH_SHARE = 0.1;
/** From so many on, the next units are taken before the last one is used. */
const MIN_AHEAD_COUNT = 4;
/** Between two questions about a bucket that had too little, unless it fills up meanwhile. */
const MIN_PAUSE_MS = 20;
/** Between two questions when nobody answers. */
const AWAY_MS = 500;
/** Other requests may be quicker to take what came for this one. */
const MAX_TRY_COUNT = 16;

/** What a worker has of a bucket. */
interface Lease {
  /** Units in hand. */
  count: number;
  /** Units that are taken at once. */
  batch: number;
  /** When units were taken last. */
  leasedAtMs: number;
  /** What was left for others then. */
  leftCount: number;
  /** There is none before. */
  noneUntilMs: number;
  /** Requests that wait for units. */
  waitingCount: number;
  asking: Promise<void> | undefined;
}

/** Buckets in this process. */
interface LocalBuckets extends BucketStore {
  take(wants: readonly Want[]): Taken;
}

export interface LeasedBucketsOptions {
  readonly buckets: PluginBuckets;
  /** Those of the node alone. */
  readonly local: LocalBuckets;
  readonly clock: Clock;
  /** Buckets of which this worker remembers something. */
  readonly maxCount: number;
  /** What a request gets whose units nobody can give: what the node alone lets pass, or nothing. */
  readonly whenAway: 'node' | 'deny';
  /** Whether the buckets can be asked has changed; begins with true. */
  readonly changed: (isThere: boolean, reason?: unknown) => void;
}

/** Units that one worker has in hand at most. Of small buckets it has none: it takes what it needs at once. */
export function maxBatch(burst: number): number {
  return Math.max(1, Math.floor(burst * MAX_BATCH_SHARE));
}

export class LeasedBuckets implements BucketStore {
  /** By key; from the one that was used first. */
  private readonly leases = new Map<string, Lease>();
  private awayUntilMs = 0;
  private isAway = false;

  constructor(private readonly options: LeasedBucketsOptions) {}

  take(wants: readonly Want[]): Taken | Promise<Taken> {
    const taken = this.options.local.take(wants);
    if (!taken.isAllowed) return taken;
    const leases = wants.map((want) => this.leaseOf(want.key));
    return leases.every(hasUnit) ? this.handOut(wants, leases, taken) : this.takeLate(wants, leases, taken);
  }

  async giveBack(want: Want, taken: Pick<Taken, 'atTicks'>): Promise<void> {
    await this.options.local.giveBack(want, taken);
    const lease = this.leases.get(want.key);
    if (lease !== undefined && lease.count < maxBatch(want.allowance.burst)) lease.count++;
  }

  private async takeLate(wants: readonly Want[], leases: readonly Lease[], taken: Taken): Promise<Taken> {
    for (let tryCount = 0; tryCount < MAX_TRY_COUNT; tryCount++) {
      if (leases.every(hasUnit)) return this.handOut(wants, leases, taken);
      const nowMs = this.options.clock.now();
      if (leases.some((lease) => lease.count === 0 && nowMs < lease.noneUntilMs)) break;
      if (nowMs < this.awayUntilMs) return this.takeAway(wants, leases, taken);
      await Promise.all(leases.map((lease, index) => this.waitFor(lease, wants[index] as Want)));
    }
    return this.refuse(wants, leases, taken, 0);
  }

  private async waitFor(lease: Lease, want: Want): Promise<void> {
    if (lease.count > 0) return;
    lease.waitingCount++;
    try {
      await this.ask(lease, want);
    } finally {
      lease.waitingCount--;
    }
  }

  /** Takes units that are there. */
  private handOut(wants: readonly Want[], leases: readonly Lease[], taken: Taken): Taken {
    const states: BucketState[] = [];
    for (let index = 0; index < wants.length; index++) {
      const lease = leases[index] as Lease;
      const { leftCount, nextMs } = taken.states[index] as BucketState;
      lease.count--;
      states.push({ isEnough: true, leftCount: Math.min(leftCount, lease.count + lease.leftCount), nextMs });
      if (lease.batch >= MIN_AHEAD_COUNT && lease.count < lease.batch / 2)
        this.askAhead(lease, wants[index] as Want);
    }
    return { isAllowed: true, states, atTicks: taken.atTicks };
  }

  /** Nobody can be asked. What is in hand is used up, and then it is for the setting to say. */
  private takeAway(wants: readonly Want[], leases: readonly Lease[], taken: Taken): Taken {
    if (this.options.whenAway === 'deny')
      return this.refuse(wants, leases, taken, Math.max(1, this.awayUntilMs - this.options.clock.now()));
    for (const lease of leases) lease.count = Math.max(0, lease.count - 1);
    return taken;
  }

  /** @param awayMs how long nobody is asked; 0 where the buckets themselves have too little */
  private refuse(wants: readonly Want[], leases: readonly Lease[], taken: Taken, awayMs: number): Taken {
    for (const want of wants) void this.options.local.giveBack(want, taken);
    const nowMs = this.options.clock.now();
    const states = leases.map((lease, index): BucketState => {
      // What came for requests that another bucket refused may be more than there may be in hand.
      lease.count = Math.min(lease.count, maxBatch((wants[index] as Want).allowance.burst));
      const { leftCount, nextMs } = taken.states[index] as BucketState;
      if (lease.count > 0)
        return { isEnough: true, leftCount: Math.min(leftCount + 1, lease.count + lease.leftCount), nextMs };
      return { isEnough: false, leftCount: 0, nextMs: Math.max(1, awayMs, lease.noneUntilMs - nowMs) };
    });
    return { isAllowed: false, states, atTicks: taken.atTicks };
  }

  private leaseOf(key: string): Lease {
    const known = this.leases.get(key);
    if (known !== undefined) return known;
    const lease: Lease = {
      count: 0,
      batch: 1,
      leasedAtMs: Number.NEGATIVE_INFINITY,
      leftCount: 0,
      noneUntilMs: 0,
      waitingCount: 0,
      asking: undefined,
    };
    if (this.leases.size >= this.options.maxCount) this.forgetOldest();
    this.leases.set(key, lease);
    return lease;
  }

  /** What it had in hand is lost to everybody, until it comes back with time. */
  private forgetOldest(): void {
    for (const [key, lease] of this.leases) {
      if (lease.asking !== undefined) continue;
      this.leases.delete(key);
      return;
    }
  }

  private askAhead(lease: Lease, want: Want): void {
    const nowMs = this.options.clock.now();
    if (lease.asking === undefined && nowMs >= lease.noneUntilMs && nowMs >= this.awayUntilMs)
      void this.ask(lease, want);
  }

  private ask(lease: Lease, want: Want): Promise<void> {
    lease.asking ??= this.lease(lease, want).finally(() => {
      lease.asking = undefined;
    });
    return lease.asking;
  }

  private async lease(lease: Lease, { key, allowance }: Want): Promise<void> {
    const { buckets, clock } = this.options;
    const askedAtMs = clock.now();
    const isSoon = askedAtMs - lease.leasedAtMs < LEASE_MS;
    lease.batch = Math.max(
      1,
      Math.min(isSoon ? lease.batch * 2 : Math.ceil(lease.batch / 2), maxBatch(allowance.burst)),
    );
    lease.leasedAtMs = askedAtMs;
    const wanted = Math.max(lease.batch - lease.count, lease.waitingCount, 1);
    try {
      const { count, leftCount, nextMs } = await buckets.take(key, bucketAllowance(allowance), wanted);
      lease.count += count;
      lease.leftCount = leftCount;
      lease.noneUntilMs = count < wanted ? clock.now() + Math.max(nextMs, pauseMs(allowance)) : 0;
      if (this.isAway) this.options.changed(true);
      this.isAway = false;
    } catch (thrown) {
      this.awayUntilMs = clock.now() + AWAY_MS;
      if (!this.isAway) this.options.changed(false, thrown);
      this.isAway = true;
    }
  }
}

function hasUnit({ count }: Lease): boolean {
  return count > 0;
}

function pauseMs({ intervalTicks, burst }: Allowance): number {
  return Math.min(MIN_PAUSE_MS, (intervalTicks * burst) / TICKS_PER_MS / 2);
}

function bucketAllowance({ intervalTicks, burst }: Allowance): BucketAllowance {
  return { intervalUs: intervalTicks / TICKS_PER_US, burst };
}
