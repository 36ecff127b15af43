/** What is needed of a Redis, over ioredis, which is loaded where one is configured and nowhere else. */
import { createRequire } from 'node:module';
import type { Redis, RedisOptions } from 'ioredis';

/** Wait before a lost connection is made again, longer each time up to the maximum. */
const RECONNECT_STEP_MS = 250;
const RECONNECT_MAX_MS = 5_000;
const CONNECT_TIMEOUT_MS = 5_000;

/** All reject when Redis is away, or does not answer in time. */
export interface RedisPort {
  /** True until the first connection is there, or could not be made. */
  readonly isStarting: boolean;
  /** The beginnings of values, up to a length; empty for what is not there. */
  read(names: readonly string[], maxBytes: number): Promise<readonly Buffer[]>;
  write(name: string, value: Buffer, forMs: number): Promise<void>;
  /** Writes what is not there yet. Resolves to what is there then. */
  begin(name: string, value: Buffer, forMs: number): Promise<string>;
  close(): void;
}

const require = createRequire(import.meta.url);

/** @param timeoutMs for each command */
export function connectRedis(url: string, timeoutMs: number): RedisPort {
  const { Redis: Client } = require('ioredis') as {
    Redis: new (url: string, options: RedisOptions) => Redis;
  };
  const redis = new Client(url, {
    commandTimeout: timeoutMs,
    connectTimeout: CONNECT_TIMEOUT_MS,
    // What cannot be asked now is not asked later: nobody would wait for the answer.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: (count) => Math.min(count * RECONNECT_STEP_MS, RECONNECT_MAX_MS),
  });
  return new IoRedisPort(redis);
}

class IoRedisPort implements RedisPort {
  isStarting = true;

  constructor(private readonly redis: Redis) {
    const started = () => {
      this.isStarting = false;
    };
    redis.on('ready', started);
    redis.on('close', started);
    // Every command that fails because of it says so.
    redis.on('error', () => undefined);
  }

  read(names: readonly string[], maxBytes: number): Promise<readonly Buffer[]> {
    // Not MGET: whoever else writes there must not decide how much is read.
    return Promise.all(names.map((name) => this.redis.getrangeBuffer(name, 0, maxBytes - 1)));
  }

  async write(name: string, value: Buffer, forMs: number): Promise<void> {
    await this.redis.set(name, value, 'PX', forMs);
  }

  async begin(name: string, value: Buffer, forMs: number): Promise<string> {
    const [, found] = await Promise.all([
      this.redis.set(name, value, 'PX', forMs, 'NX'),
      this.redis.get(name),
    ]);
    if (found === null) throw new Error('Redis has forgotten at once what it was told to keep');
    return found;
  }

  close(): void {
    this.redis.disconnect();
  }
}
