import { randomUUID } from 'node:crypto';
import type { BucketAllowance, PluginBuckets } from '@sluice/sdk';
import { MemoryBuckets } from '@sluice/sdk/engine';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { describeUnless } from '../../../cli/test/servers/describe-unless.js';
import { NO_NATS, startNats } from '../../../cli/test/servers/nats.js';
import { NO_REDIS, startRedis } from '../../../cli/test/servers/redis.js';
import type { TestServer } from '../../../cli/test/servers/server-process.js';
import { type ClusterConnection, connectCluster } from './index.js';

const log = pino({ level: 'silent' });
const LIMIT = { timeout: 20_000, interval: 20 };
const perHour = (burst: number): BucketAllowance => ({ intervalUs: 3.6e9 / burst, burst });

/** How stores of one kind are had, each as another node would have it. */
interface Kind {
  start(): Promise<void>;
  store(): Promise<PluginBuckets>;
  /** The server ends without a goodbye; resolves when all know it. */
  kill(): Promise<void>;
  restart(): Promise<void>;
  close(): Promise<void>;
}

function overCluster(withRedis: boolean): Kind {
  let nats: TestServer;
  let redis: TestServer | undefined;
  let connections: ClusterConnection[] = [];
  let count = 0;
  const server = () => redis ?? nats;
  return {
    async start() {
      nats = await startNats();
      if (withRedis) redis = await startRedis();
    },
    async store() {
      const connection = await connectCluster({
        ...{ nats: { servers: [nats.url] }, redis: redis?.url, cluster: 'test', node: `n${++count}`, log },
      });
      connections.push(connection);
      const { buckets } = connection.plugins;
      await vi.waitFor(() => buckets.take(randomUUID(), perHour(1), 1), LIMIT);
      return buckets;
    },
    kill: () => server().kill(),
    restart: () => server().restart(),
    async close() {
      await Promise.all(connections.map((connection) => connection.close()));
      connections = [];
      await redis?.close();
      await nats.close();
    },
  };
}

const inMemory: Kind = (() => {
  const memory = new MemoryBuckets(() => Date.now());
  const nothing = async () => undefined;
  return { start: nothing, store: async () => memory, kill: nothing, restart: nothing, close: nothing };
})();

const KINDS: [string, Kind, string | undefined][] = [
  ['memory', inMemory, undefined],
  ['NATS', overCluster(false), NO_NATS],
  ['Redis', overCluster(true), NO_NATS ?? NO_REDIS],
];

for (const [name, kind, missing] of KINDS) {
  describeUnless(missing, `buckets in ${name}`, () => {
    let one: PluginBuckets;
    let other: PluginBuckets;
    beforeAll(async () => {
      await kind.start();
      one = await kind.store();
      other = await kind.store();
    });
    afterAll(() => kind.close());

    it('give what there is, and say how much is left and when there is more', async () => {
      const bucket = randomUUID();
      expect(await one.take(bucket, perHour(10), 4)).toMatchObject({ count: 4, leftCount: 6 });
      expect(await other.take(bucket, perHour(10), 4)).toMatchObject({ count: 4, leftCount: 2 });
      expect(await one.take(bucket, perHour(10), 4)).toMatchObject({ count: 2, leftCount: 0 });
      const { count, leftCount, nextMs } = await other.take(bucket, perHour(10), 1);
      expect([count, leftCount]).toEqual([0, 0]);
      expect(nextMs).toBeGreaterThan(300_000);
      expect(nextMs).toBeLessThanOrEqual(360_000);
    });

    it('fill up with time', async () => {
      const bucket = randomUUID();
      const allowance = { intervalUs: 40_000, burst: 2 };
      expect(await one.take(bucket, allowance, 5)).toMatchObject({ count: 2 });
      const after = { ...LIMIT, interval: 200 };
      await expect.poll(() => other.take(bucket, allowance, 2), after).toMatchObject({ count: 2 });
    });

    it('are apart by their names', async () => {
      const [a, b] = [randomUUID(), `${randomUUID()} * > . \n\u{1f600}`];
      expect(await one.take(a, perHour(1), 1)).toMatchObject({ count: 1 });
      expect(await one.take(b, perHour(1), 1)).toMatchObject({ count: 1 });
      expect(await other.take(b, perHour(1), 1)).toMatchObject({ count: 0 });
    });

    it.each([
      ['a second', { intervalUs: 10, burst: 100_000 }],
      ['a day', { intervalUs: 8.64e9, burst: 10 }],
      ['a year', { intervalUs: 3.15e12, burst: 10 }],
    ])('may take %s to fill', async (_, allowance) => {
      const bucket = randomUUID();
      const { burst } = allowance;
      expect(await one.take(bucket, allowance, burst)).toMatchObject({ count: burst });
      if (burst === 10) expect(await other.take(bucket, allowance, 1)).toMatchObject({ count: 0 });
    });

    it('give to nodes that ask at the same time no more than there is, and all of it', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.integer({ min: 1, max: 60 }),
          fc.array(fc.record({ isOther: fc.boolean(), count: fc.integer({ min: 1, max: 9 }) }), {
            minLength: 1,
            maxLength: 12,
          }),
          async (burst, asked) => {
            const bucket = randomUUID();
            const portions = await Promise.all(
              asked.map(({ isOther, count }) => (isOther ? other : one).take(bucket, perHour(burst), count)),
            );
            const given = portions.reduce((sum, { count }) => sum + count, 0);
            const wanted = asked.reduce((sum, { count }) => sum + count, 0);
            expect(given).toBe(Math.min(burst, wanted));
          },
        ),
        { numRuns: 25 },
      );
    });

    it.skipIf(kind === inMemory)('cannot be asked for while the server is away, and can again', async () => {
      await kind.kill();
      await expect(one.take(randomUUID(), perHour(1), 1)).rejects.toThrow();
      await kind.restart();
      const bucket = randomUUID();
      await expect
        .poll(() => one.take(bucket, perHour(1), 1).catch(() => undefined), LIMIT)
        .toMatchObject({ count: 1 });
      await expect
        .poll(() => other.take(bucket, perHour(1), 1).catch(() => undefined), LIMIT)
        .toMatchObject({ count: 0 });
    });
  });
}

describeUnless(NO_NATS ?? NO_REDIS, 'buckets in Redis', () => {
  it('are forgotten when they are full, and show nobody in their keys', async () => {
    const kind = overCluster(true);
    await kind.start();
    let redis: Redis | undefined;
    try {
      const store = await kind.store();
      await store.take('11:ratelimit/ada@example.com', { intervalUs: 50_000, burst: 1 }, 1);
      redis = new Redis((store as unknown as { redis: Redis }).redis.options.port as number, '127.0.0.1');
      for (const key of await redis.keys('*')) expect(key).toMatch(/^sluice:test:limits:[\w-]{43}$/);
      await expect.poll(() => redis?.keys('*'), LIMIT).toHaveLength(1);
    } finally {
      redis?.disconnect();
      await kind.close();
    }
  });
});
