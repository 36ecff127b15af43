/** Token buckets that all nodes share, in Redis: a script takes from them, in the time of the Redis server. */
import { createHash } from 'node:crypto';
import type { BucketAllowance, PluginBuckets, Portion } from '@sluice/sdk';
import { Redis } from 'ioredis';
import type { Logger } from 'pino';

/** For each answer. */
const TIMEOUT_MS = 1_000;
const MAX_RECONNECT_MS = 1_000;

/**
 * GCRA, as `takePortion` of the SDK has it, in whole microseconds: those since 1970 are below 2^53. Whoever is full is
 * forgotten.
 */
const SCRIPT = `
local interval, burst, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local capacity = interval * burst
local full = tonumber(redis.call('GET', KEYS[1]) or '0')
local debt = math.min(math.max(full - now, 0), capacity + 1)
local there = math.floor((capacity - debt + 1) / interval)
local count = math.max(0, math.min(wanted, there))
local owed = math.ceil(debt + count * interval)
if count > 0 then
  redis.call('SET', KEYS[1], string.format('%.0f', now + owed), 'PX', math.ceil(owed / 1000) + 1)
end
local left = there - count
local next = (left + 1) * interval - (capacity - owed)
return { count, left, math.max(1, math.ceil(next / 1000)) }
`;

interface WithScript {
  takePortion(
    key: string,
    intervalUs: number,
    burst: number,
    count: number,
  ): Promise<[number, number, number]>;
}

export class RedisBuckets implements PluginBuckets {
  private readonly redis: Redis;

  /**
   * @param url `redis://` or `rediss://`, with user, password and number of the database where there are some
   * @param prefix begins every key
   */
  constructor(
    url: string,
    private readonly prefix: string,
    log: Logger,
  ) {
    this.redis = new Redis(url, {
      commandTimeout: TIMEOUT_MS,
      connectTimeout: TIMEOUT_MS,
      // Who asks is told at once that nobody is there, and not later.
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      retryStrategy: (count) => Math.min(count * 100, MAX_RECONNECT_MS),
      scripts: { takePortion: { lua: SCRIPT, numberOfKeys: 1 } },
    });
    let isSaid = false;
    this.redis.on('error', (error: Error) => {
      if (!isSaid) log.warn({ reason: error.message }, `Redis cannot be reached: ${error.message}`);
      isSaid = true;
    });
    this.redis.on('ready', () => {
      log.info(isSaid ? 'Redis is reached again' : 'connected to Redis');
      isSaid = false;
    });
  }

  async take(bucket: string, { intervalUs, burst }: BucketAllowance, wanted: number): Promise<Portion> {
    const key = this.prefix + createHash('sha256').update(bucket).digest('base64url');
    const redis = this.redis as unknown as WithScript;
    const [count, leftCount, nextMs] = await redis.takePortion(key, intervalUs, burst, wanted);
    return { count, leftCount, nextMs };
  }

  close(): void {
    this.redis.disconnect();
  }
}
