import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { describeUnless } from '../../../cli/test/servers/describe-unless.js';
import { NO_NATS, startNats } from '../../../cli/test/servers/nats.js';
import type { TestServer } from '../../../cli/test/servers/server-process.js';
import { pluginStoresCases } from '../chain/plugin-stores.cases.js';
import { STORE_LIMITS, type StoreLimits } from '../chain/store-limits.js';
import { ClusterMetrics } from './cluster-metrics.js';
import { KvBucket } from './kv-bucket.js';
import { NatsLink } from './nats-link.js';
import { NatsPluginStores } from './nats-plugin-stores.js';

const log = pino({ level: 'silent' });
const LIMIT = { timeout: 20_000, interval: 20 };
const SWEEP_MS = 50;

describeUnless(NO_NATS, 'over a real server', () => {
  let server: TestServer;
  let closing: (() => Promise<void>)[] = [];

  beforeAll(async () => {
    server = await startNats();
  });
  afterEach(async () => {
    vi.useRealTimers();
    await Promise.all(closing.splice(0).map((close) => close()));
    closing = [];
  });
  afterAll(() => server.close());

  async function node(name: string, limits: StoreLimits = STORE_LIMITS, sweepMs?: number) {
    const link = new NatsLink({
      nats: { servers: [server.url] },
      name: 'test',
      inboxPrefix: `test.${randomUUID()}`,
      log,
      metrics: new ClusterMetrics(),
    });
    const bucket = new KvBucket({ link, name, replicas: 1, maxAgeMs: 0, log });
    const stores = new NatsPluginStores(bucket, limits, log, sweepMs);
    closing.push(async () => {
      stores.close();
      bucket.close();
      await link.close();
    });
    await link.open();
    return { stores, bucket };
  }

  pluginStoresCases('NATS', async (limits) => (await node(`test_${randomUUID()}`, limits)).stores);

  describe('a store in NATS', () => {
    it('has at one node what was stored at another', async () => {
      const name = `test_${randomUUID()}`;
      const [one, other] = [(await node(name)).stores.of('p'), (await node(name)).stores.of('p')];
      await one.set('a', '1');
      expect(await other.get('a')).toBe('1');
      await other.set('b', '2');
      expect(await one.keys('')).toEqual(['a', 'b']);
      await one.delete('a');
      expect([await other.get('a'), await other.keys('')]).toEqual([undefined, ['b']]);
    });

    it('takes the longest keys and values that there may be', async () => {
      const store = (await node(`test_${randomUUID()}`)).stores.of('p'.repeat(63));
      const [key, value] = ['k'.repeat(STORE_LIMITS.maxKeyBytes), 'v'.repeat(STORE_LIMITS.maxValueBytes)];
      await store.set(key, value);
      expect(await store.get(key)).toBe(value);
    });

    it('is swept', async () => {
      const { stores, bucket } = await node(`test_${randomUUID()}`, STORE_LIMITS, SWEEP_MS);
      await stores.of('p').set('a', '1', { ttlMs: 1 });
      await stores.of('p').set('b', '1');
      await expect.poll(() => bucket.keys('*.*'), LIMIT).toHaveLength(1);
      expect(await stores.of('p').get('b')).toBe('1');
    });

    it('cannot be used while NATS is away, and has everything afterwards', async () => {
      const store = (await node(`test_${randomUUID()}`)).stores.of('p');
      await store.set('a', '1');
      await server.kill();
      await expect.poll(() => store.get('a').catch((error: Error) => error.message), LIMIT).toContain('away');
      await expect(store.set('b', '1')).rejects.toThrow('NATS key-value is away');
      await expect(store.delete('a')).rejects.toThrow('NATS key-value is away');
      await server.restart();
      await expect.poll(() => store.get('a').catch(() => undefined), LIMIT).toBe('1');
    });
  });
});
