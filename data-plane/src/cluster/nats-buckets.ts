/**
 * Token buckets that all nodes share, in NATS key-value. NATS 2.9 has no expiry per key, so there are three buckets of
 * NATS, which forget what was not written for an hour, a day, or longer: a token bucket lies in the first in which it
 * is full again before it is forgotten.
 */
import { createHash } from 'node:crypto';
import type { BucketAllowance, PluginBuckets, Portion } from '@sluice/sdk';
import { takePortion } from '@sluice/sdk/engine';
import type { KvBucket } from './kv-bucket.js';

const HOUR_MS = 3_600_000;
/** Clocks of nodes differ by less. */
const CLOCK_MARGIN_MS = 60_000;
/** Other nodes may be quicker; whoever finds it so often leaves it for now. */
const MAX_TRY_COUNT = 12;
/** Before another try, by chance, so that nodes do not meet again; milliseconds. */
const MAX_BACKOFF_MS = 8;
/** Buckets that are remembered as they were written last, so that they need not be read. */
const MAX_REMEMBERED_COUNT = 20_000;

/** For how long each bucket of NATS keeps what is not written; the name that it has. */
export const LIMIT_BUCKETS = [
  { name: 'limits_hour', maxAgeMs: HOUR_MS },
  { name: 'limits_day', maxAgeMs: 25 * HOUR_MS },
  { name: 'limits_year', maxAgeMs: 367 * 24 * HOUR_MS },
] as const;

interface Written {
  readonly fullAtUs: number;
  readonly revision: number;
}

export class NatsBuckets implements PluginBuckets {
  private readonly remembered = new Map<string, Written>();

  /** @param kept those of {@link LIMIT_BUCKETS}, in their order */
  constructor(private readonly kept: readonly KvBucket[]) {}

  async take(bucket: string, allowance: BucketAllowance, count: number): Promise<Portion> {
    // Whoever calls has no say in how keys look, and nothing of it stands in NATS.
    const key = createHash('sha256').update(bucket).digest('base64url');
    const kept = this.keptFor(allowance);
    for (let tryCount = 0; tryCount < MAX_TRY_COUNT; tryCount++) {
      const written = this.remembered.get(key) ?? (await this.read(kept, key));
      const { portion, fullAtUs } = takePortion(written.fullAtUs, Date.now() * 1_000, allowance, count);
      if (portion.count === 0 && this.remembered.has(key)) {
        // Somebody may have been given more meanwhile, or the bucket was lost with its server.
        const now = await this.read(kept, key);
        if (now.revision !== written.revision) continue;
      }
      if (portion.count === 0) return portion;
      const value = Buffer.from(String(Math.ceil(fullAtUs)));
      const revision = await kept.replace(key, value, written.revision);
      if (revision !== undefined) {
        this.remember(key, { fullAtUs: Math.ceil(fullAtUs), revision });
        return portion;
      }
      this.remembered.delete(key);
      await new Promise((resolve) => setTimeout(resolve, Math.random() * MAX_BACKOFF_MS));
    }
    throw new Error('other nodes took from the same bucket again and again');
  }

  private keptFor({ intervalUs, burst }: BucketAllowance): KvBucket {
    const fillMs = (intervalUs * burst) / 1_000 + CLOCK_MARGIN_MS;
    const index = LIMIT_BUCKETS.findIndex(({ maxAgeMs }) => fillMs <= maxAgeMs);
    return this.kept.at(index) as KvBucket;
  }

  private async read(kept: KvBucket, key: string): Promise<Written> {
    const entry = await kept.get(key);
    const written =
      entry === undefined
        ? { fullAtUs: 0, revision: 0 }
        : { fullAtUs: Number(Buffer.from(entry.value).toString()), revision: entry.revision };
    this.remember(key, written);
    return written;
  }

  private remember(key: string, written: Written): void {
    if (this.remembered.size >= MAX_REMEMBERED_COUNT) this.remembered.clear();
    this.remembered.set(key, written);
  }
}
