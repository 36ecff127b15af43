import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { describeUnless } from '../../../cli/test/servers/describe-unless.js';
import { NO_NATS, startNats } from '../../../cli/test/servers/nats.js';
import type { TestServer } from '../../../cli/test/servers/server-process.js';
import { newSession, newWorker } from '../sessions/session-store.cases.js';
import { ClusterMetrics } from './cluster-metrics.js';
import { KvBucket } from './kv-bucket.js';
import { NatsLink } from './nats-link.js';
import { NatsSessionStore } from './nats-session-store.js';
import { keyOf } from './session-entries.js';
import { SessionSweep } from './session-sweep.js';

const log = pino({ level: 'silent' });
const LIMIT = { timeout: 20_000, interval: 20 };
const SWEEP_MS = 50;

describeUnless(NO_NATS, 'a sweep of sessions in NATS', () => {
  let server: TestServer;
  let closing: (() => Promise<void>)[];

  beforeEach(async () => {
    server = await startNats();
    closing = [];
  });
  afterEach(async () => {
    for (const close of closing) await close();
    await server.close();
  });

  /** A node whose sessions outlive it for a second or two; undefined: it leaves the sweeping to others. */
  async function node(idleTimeoutMs: number | undefined) {
    const metrics = new ClusterMetrics();
    const nats = { servers: [server.url] };
    const link = new NatsLink({ nats, name: 'test', inboxPrefix: 'inbox', log, metrics });
    const bucket = new KvBucket(
      { link, name: 'sluice_test_sessions', replicas: 1, maxAgeMs: 3_600_000, log },
      {
        opened: (isOther) => store.opened(isOther),
        entry: (entry) => {
          store.heard(entry);
          sweep?.heard(entry);
        },
      },
    );
    const store = new NatsSessionStore({ bucket, log, metrics, onOwner: (worker) => sweep?.own(worker) });
    const sweep =
      idleTimeoutMs === undefined
        ? undefined
        : new SessionSweep({ bucket, store, idleTimeoutMs, log, metrics, sweepMs: SWEEP_MS });
    await link.open();
    closing.push(async () => {
      sweep?.close();
      bucket.close();
      await link.close();
    });
    await expect.poll(() => bucket.isOpen, LIMIT).toBe(true);
    return { store, bucket };
  }

  it('deletes those of nodes that are gone, and leaves those of nodes that live', async () => {
    // One that says nothing of itself is as good as gone.
    const gone = await node(undefined);
    const living = await node(60_000);
    const [theirs, own] = [newSession(), newSession()];
    gone.store.put(theirs, { owner: newWorker(), held: {} });
    living.store.put(own, { owner: newWorker(), held: {} });
    await gone.store.written();
    await living.store.written();
    const sweepers = [await node(500), await node(500)];
    await expect.poll(() => gone.bucket.get(keyOf(theirs)), LIMIT).toBeUndefined();
    expect(await living.bucket.get(keyOf(own))).toBeDefined();
    for (const { store } of sweepers)
      await expect.poll(() => [...store.others].map(([id]) => id), LIMIT).toEqual([own]);
  });

  it('leaves what ended, as long as tokens live', async () => {
    const first = await node(undefined);
    const [ended, idle] = [newSession(), newSession()];
    first.store.put(ended, { owner: newWorker(), held: {} });
    first.store.end(ended);
    first.store.put(idle, { owner: newWorker(), held: {} });
    await first.store.written();
    await node(500);
    await expect.poll(() => first.bucket.get(keyOf(idle)), LIMIT).toBeUndefined();
    expect(await first.bucket.get(keyOf(ended))).toBeDefined();
    expect(await first.store.claim(ended, newWorker(), newWorker())).toBeUndefined();
  });
});
