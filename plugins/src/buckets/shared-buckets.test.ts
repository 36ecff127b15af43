import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { bucketStoreCases } from './bucket-store.cases.js';
import { TICKS_PER_MS, type Want } from './bucket-store.js';
import { SharedBuckets } from './shared-buckets.js';

const BUILT = new URL('../../dist/buckets/shared-buckets.js', import.meta.url).href;
const HOUR_TICKS = 3_600_000 * TICKS_PER_MS;

function memoryFor(bucketCount: number): SharedArrayBuffer {
  return new SharedArrayBuffer(SharedBuckets.bytesFor(bucketCount));
}

/** Standing time: then a bucket gives its burst and nothing more, whoever takes. */
const STANDING = { now: () => 1_700_000_000_000, after: () => () => undefined };

/** Threads that take from the same memory at once; each says how often it was allowed what. */
async function hammer(shared: SharedArrayBuffer, threadCount: number, body: string, data: object = {}) {
  const gate = new SharedArrayBuffer(4);
  const source = `
    const { parentPort, workerData } = require('node:worker_threads');
    import(${JSON.stringify(BUILT)}).then(({ SharedBuckets }) => {
      const clock = { now: () => workerData.nowMs ?? Date.now() };
      const store = new SharedBuckets(workerData.shared, clock);
      const gate = new Int32Array(workerData.gate);
      Atomics.add(gate, 0, 1);
      while (Atomics.load(gate, 0) < workerData.threadCount);
      parentPort.postMessage((${body})(store, workerData));
    });`;
  const workers = Array.from({ length: threadCount }, (_, thread) => {
    const workerData = { shared, gate, threadCount, thread, ...data };
    return new Worker(source, { eval: true, workerData });
  });
  return Promise.all(
    workers.map(
      (worker) =>
        new Promise<any>((resolve, reject) => {
          worker.once('message', resolve);
          worker.once('error', reject);
        }),
    ),
  );
}

bucketStoreCases('shared memory', (clock) => {
  return new SharedBuckets(memoryFor(1_024), { now: clock.now, after: () => () => undefined });
});

describe('buckets in shared memory', () => {
  it('are the same for all who hold the memory', () => {
    const shared = memoryFor(64);
    const [one, other] = [new SharedBuckets(shared, STANDING), new SharedBuckets(shared, STANDING)];
    const want: Want = { key: 'a', allowance: { intervalTicks: HOUR_TICKS, burst: 2 } };
    expect([one, other, one, other].map((store) => store.take([want]).isAllowed)).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });

  it('take 16 bytes each, and the table never grows', () => {
    expect(SharedBuckets.bytesFor(65_536)).toBe(64 + 65_536 * 16 + 4_096 * 4);
    expect(SharedBuckets.bytesFor(1)).toBe(64 + 16 * 16 + 4);
  });

  it('give a slot that nobody needs to the next key', () => {
    let nowMs = 0;
    const store = new SharedBuckets(memoryFor(16), { now: () => nowMs, after: () => () => undefined });
    const allowance = { intervalTicks: TICKS_PER_MS, burst: 1 };
    for (let key = 0; key < 1_000; key++) {
      expect(store.take([{ key: `key ${key}`, allowance }]).isAllowed).toBe(true);
      expect(store.take([{ key: `key ${key}`, allowance }]).isAllowed).toBe(false);
      nowMs += 1;
    }
  });

  it('forget the fullest when there are too many keys, and not the one that took most', () => {
    const store = new SharedBuckets(memoryFor(16), STANDING);
    const allowance = { intervalTicks: HOUR_TICKS, burst: 5 };
    const greedy: Want = { key: 'greedy', allowance };
    for (let i = 0; i < 5; i++) store.take([greedy]);
    for (let key = 0; key < 10_000; key++) store.take([{ key: `other ${key}`, allowance }]);
    expect(store.take([greedy]).isAllowed).toBe(false);
  });

  it('never give more than the burst to threads that take at once', async () => {
    const shared = memoryFor(256);
    const counts = await hammer(
      shared,
      4,
      `(store, { ticks }) => {
        const counts = [0, 0, 0];
        for (let i = 0; i < 60000; i++) {
          const key = i % 3;
          if (store.take([{ key: 'key ' + key, allowance: { intervalTicks: ticks, burst: 7000 } }]).isAllowed) counts[key]++;
        }
        return counts;
      }`,
      { nowMs: STANDING.now(), ticks: HOUR_TICKS },
    );
    for (const key of [0, 1, 2]) expect(sum(counts.map((own) => own[key]))).toBe(7_000);
  });

  it('give each of many keys its burst once, although threads bring them in at once', async () => {
    const shared = memoryFor(65_536);
    const counts = await hammer(
      shared,
      4,
      `(store, { ticks, thread }) => {
        const counts = new Array(5000).fill(0);
        for (let round = 0; round < 4; round++) for (let i = 0; i < 5000; i++) {
          const key = (i * (thread % 2 ? 1 : 4999)) % 5000;
          if (store.take([{ key: 'key ' + key, allowance: { intervalTicks: ticks, burst: 3 } }]).isAllowed) counts[key]++;
        }
        return counts;
      }`,
      { nowMs: STANDING.now(), ticks: HOUR_TICKS },
    );
    const totals = Array.from({ length: 5_000 }, (_, key) => sum(counts.map((own) => own[key])));
    expect(totals.filter((total) => total !== 3)).toEqual([]);
  });

  it('never give more than burst and rate while time passes and slots change hands', async () => {
    // Far more keys than slots come and go beside the one that is watched, which is never the fullest.
    const shared = memoryFor(16);
    const began = Date.now();
    const counts = await hammer(
      shared,
      4,
      `(store) => {
        let count = 0;
        for (let i = 0; i < 100000; i++) {
          if (store.take([{ key: 'watched', allowance: { intervalTicks: ${TICKS_PER_MS}, burst: 500 } }]).isAllowed) count++;
          store.take([{ key: 'passing ' + i, allowance: { intervalTicks: 100, burst: 1 } }]);
        }
        return count;
      }`,
    );
    expect(sum(counts)).toBeLessThanOrEqual(500 + (Date.now() - began) + 1);
  });

  it('take from all or none, although others take at once', async () => {
    const shared = memoryFor(256);
    const wants = `[
      { key: 'wide', allowance: { intervalTicks: ${HOUR_TICKS}, burst: 1000000 } },
      { key: 'narrow', allowance: { intervalTicks: ${HOUR_TICKS}, burst: 1000 } },
    ]`;
    const counts = await hammer(
      shared,
      4,
      `(store) => {
        const wants = ${wants};
        let count = 0;
        for (let i = 0; i < 20000; i++) if (store.take(wants).isAllowed) count++;
        return count;
      }`,
      { nowMs: STANDING.now() },
    );
    expect(sum(counts)).toBe(1_000);
    const wide: Want = { key: 'wide', allowance: { intervalTicks: HOUR_TICKS, burst: 1_000_000 } };
    expect(new SharedBuckets(shared, STANDING).take([wide]).states[0]?.leftCount).toBe(1_000_000 - 1_000 - 1);
  });
});

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
