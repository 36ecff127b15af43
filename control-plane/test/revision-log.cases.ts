/** The cases that every store of revisions passes, whatever it is made of. */
import { randomUUID } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import {
  type Checkpoint,
  CheckpointSchema,
  entryOf,
  type Resource,
  ResourceSchema,
  ResourceState,
  type Revision,
  RevisionSchema,
} from '@sluice/proto/cluster';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  type LogListener,
  type RevisionLog,
  RevisionTooLargeError,
  StoreReplacedError,
  StoreUnavailableError,
} from '../src/store/revision-log.js';

/** Waits for what comes by itself. */
export const until = (isSo: () => boolean) => vi.waitUntil(isSo, { timeout: 10_000, interval: 5 });

/** One store, which begins empty. */
export interface CaseStore {
  /** Another process that uses it. Logs are closed by the case. */
  open(): Promise<RevisionLog>;
  dispose(): Promise<void>;
}

export const consumer = (name: string, scopes: string[] = []): Resource =>
  create(ResourceSchema, { spec: { case: 'consumer', value: { name, scopes } } });

/** A revision that adds consumers. */
export function revisionOf(number: number, ...resources: Resource[]): Revision {
  return create(RevisionSchema, {
    number: BigInt(number),
    id: randomUUID(),
    author: 'somebody',
    message: `revision ${number}`,
    changes: resources.map((after) => ({ after })),
  });
}

export function checkpointOf(storeId: string, revision: number, ...resources: Resource[]): Checkpoint {
  return create(CheckpointSchema, {
    storeId,
    revision: BigInt(revision),
    digest: Uint8Array.from(ResourceState.of(resources.map(entryOf)).digest),
    resources,
  });
}

/** Writes down what a watch tells. */
export class Listener implements LogListener {
  readonly heard: Revision[] = [];
  readonly losses: string[] = [];
  readonly reaches: [isReachable: boolean, reason?: string][] = [];

  revision(revision: Revision): void {
    this.heard.push(revision);
  }
  lost(reason: string): void {
    this.losses.push(reason);
  }
  reachable(isReachable: boolean, reason?: string): void {
    this.reaches.push(reason === undefined ? [isReachable] : [isReachable, reason]);
  }
  get numbers(): number[] {
    return this.heard.map(({ number }) => Number(number));
  }
}

/** More operations, and more bytes, than one transaction of etcd takes. */
export const manyConsumers = (count = 10_000): Resource[] =>
  Array.from({ length: count }, (_, index) => consumer(`consumer-${index}`, [`group ${'x'.repeat(200)}`]));

export function revisionLogCases(name: string, fresh: () => Promise<CaseStore>): void {
  describe(`${name}, as a store of revisions`, () => {
    let store: CaseStore;
    let logs: RevisionLog[];
    let log: RevisionLog;
    let storeId: string;

    const open = async () => {
      const opened = await store.open();
      logs.push(opened);
      return opened;
    };
    const listen = (on: RevisionLog, after: number) => {
      const listener = new Listener();
      const watch = on.watch(after, listener, storeId);
      return Object.assign(listener, { close: () => watch.close() });
    };
    const numbersIn = async (from: RevisionLog) =>
      (await from.read()).revisions.map(({ number }) => Number(number));
    const fill = async (count: number) => {
      const revisions: Revision[] = [];
      for (let number = 1; number <= count; number++) {
        const revision = revisionOf(number, consumer(`c${number}`));
        expect(await log.append(revision, storeId, undefined)).toEqual({ appended: true });
        revisions.push(revision);
      }
      return revisions;
    };

    beforeEach(async () => {
      store = await fresh();
      logs = [];
      log = await open();
      storeId = (await log.read()).checkpoint.storeId;
    });
    afterEach(async () => {
      for (const each of logs) await each.close();
      await store.dispose();
    });

    it('begins empty, with a name that stays', async () => {
      expect(storeId).not.toBe('');
      const content = await (await open()).read();
      expect(content).toEqual({ checkpoint: create(CheckpointSchema, { storeId }), revisions: [] });
    });

    it('gets one name, whoever comes first', async () => {
      await store.dispose();
      store = await fresh();
      const names = await Promise.all(
        Array.from({ length: 4 }, async () => (await (await open()).read()).checkpoint.storeId),
      );
      expect(new Set(names).size).toBe(1);
      expect(names[0]).not.toBe(storeId);
    });

    it('gives back what was added, as it was', async () => {
      const revisions = await fill(3);
      expect((await (await open()).read()).revisions).toEqual(revisions);
    });

    it.each([0, 1, 2, 4, 5])('refuses %i after 2, and says what is the newest', async (number) => {
      await fill(2);
      expect(await log.append(revisionOf(number), storeId, undefined)).toEqual({ appended: false, head: 2 });
      expect(await numbersIn(log)).toEqual([1, 2]);
    });

    it('refuses what was made on another revision of that number', async () => {
      const [, newest] = await fill(2);
      await expect(log.append(revisionOf(3), storeId, randomUUID())).rejects.toThrow(StoreReplacedError);
      expect(await numbersIn(log)).toEqual([1, 2]);
      expect(await log.append(revisionOf(3), storeId, newest?.id)).toEqual({ appended: true });
    });

    it('takes exactly one of those who write at once', async () => {
      const writers = [log, await open(), await open()];
      for (let number = 1; number <= 10; number++) {
        const attempts = writers.map(() => revisionOf(number, consumer(`c${number}`)));
        const outcomes = await Promise.all(
          writers.map((writer, index) => writer.append(attempts[index] as Revision, storeId, undefined)),
        );
        expect(outcomes.filter(({ appended }) => appended)).toHaveLength(1);
        const winner = outcomes.findIndex(({ appended }) => appended);
        expect((await log.history(number + 1, 1))[0]?.id).toBe(attempts[winner]?.id);
      }
    });

    it('lists history from the newest on', async () => {
      await fill(5);
      const numbers = async (before: number, count: number) =>
        (await log.history(before, count)).map(({ number }) => Number(number));
      expect(await numbers(Number.MAX_SAFE_INTEGER, 2)).toEqual([5, 4]);
      expect(await numbers(4, 10)).toEqual([3, 2, 1]);
      expect(await numbers(1, 10)).toEqual([]);
    });

    it('tells of everything after a revision, in order and once, whoever added it', async () => {
      await fill(2);
      const other = await open();
      const [own, others] = [listen(log, 1), listen(other, 1)];
      for (let number = 3; number <= 12; number++)
        await (number % 2 ? log : other).append(revisionOf(number), storeId, undefined);
      const wanted = [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
      await until(() => own.heard.length >= wanted.length && others.heard.length >= wanted.length);
      expect([own.numbers, others.numbers]).toEqual([wanted, wanted]);
      expect([own.losses, others.losses]).toEqual([[], []]);
    });

    it('tells nothing after the watch was closed', async () => {
      const [closed, open] = [listen(log, 0), listen(log, 0)];
      await fill(1);
      await until(() => closed.heard.length === 1 && open.heard.length === 1);
      closed.close();
      await log.append(revisionOf(2), storeId, undefined);
      await until(() => open.heard.length === 2);
      expect(closed.numbers).toEqual([1]);
    });

    it('takes 10,000 resources at once, whole', async () => {
      const other = await open();
      const listener = listen(other, 0);
      const resources = manyConsumers();
      await log.append(revisionOf(1, ...resources), storeId, undefined);
      await until(() => listener.heard.length === 1);
      expect(listener.heard[0]?.changes.map(({ after }) => after)).toEqual(resources);
      expect((await other.read()).revisions[0]?.changes).toHaveLength(resources.length);
      await log.append(revisionOf(2, consumer('after')), storeId, undefined);
      await until(() => listener.heard.length === 2);
      const checkpoint = checkpointOf(storeId, 1, ...resources);
      await log.compact(checkpoint);
      expect((await other.read()).checkpoint).toEqual(checkpoint);
      expect(await numbersIn(other)).toEqual([2]);
    });

    it('shows nothing of a large revision whose writer was overtaken', async () => {
      const other = await open();
      const [large, small] = await Promise.all([
        log.append(revisionOf(1, ...manyConsumers()), storeId, undefined),
        other.append(revisionOf(1, consumer('small')), storeId, undefined),
      ]);
      expect([large.appended, small.appended].filter(Boolean)).toHaveLength(1);
      const { revisions } = await log.read();
      expect(revisions.map(({ changes }) => changes.length)).toEqual([large.appended ? 10_000 : 1]);
    });

    it('refuses a revision that is too large, and says how large it may be', async () => {
      const huge = revisionOf(1, consumer('huge', ['x'.repeat(65 * 1024 * 1024)]));
      await expect(log.append(huge, storeId, undefined)).rejects.toThrow(RevisionTooLargeError);
      await expect(log.append(huge, storeId, undefined)).rejects.toThrow(
        /has \d+ bytes, and may have 67108864/,
      );
      expect(await numbersIn(log)).toEqual([]);
    });

    it('forgets what is before a checkpoint, and goes on', async () => {
      await fill(5);
      const behind = listen(await open(), 3);
      const checkpoint = checkpointOf(storeId, 3, consumer('c1'), consumer('c2'), consumer('c3'));
      await log.compact(checkpoint);
      const content = await log.read();
      expect(content.checkpoint).toEqual(checkpoint);
      expect(content.revisions.map(({ number }) => Number(number))).toEqual([4, 5]);
      expect((await log.history(Number.MAX_SAFE_INTEGER, 10)).map(({ number }) => Number(number))).toEqual([
        5, 4,
      ]);
      expect(await log.append(revisionOf(6), storeId, undefined)).toEqual({ appended: true });
      await until(() => behind.heard.length === 3);
      expect(behind.numbers).toEqual([4, 5, 6]);
    });

    it('goes on after a checkpoint of the newest revision', async () => {
      await fill(2);
      await log.compact(checkpointOf(storeId, 2, consumer('c1'), consumer('c2')));
      expect(await log.append(revisionOf(2), storeId, undefined)).toEqual({ appended: false, head: 2 });
      expect(await log.append(revisionOf(3), storeId, undefined)).toEqual({ appended: true });
      expect(await numbersIn(await open())).toEqual([3]);
    });

    it('does not go back to an older checkpoint, nor to that of another store', async () => {
      await fill(4);
      await log.compact(checkpointOf(storeId, 3));
      await log.compact(checkpointOf(storeId, 2));
      await log.compact(checkpointOf('another', 4));
      const { checkpoint } = await log.read();
      expect([checkpoint.storeId, checkpoint.revision]).toEqual([storeId, 3n]);
      expect(await numbersIn(log)).toEqual([4]);
    });

    it('says that it lost the thread to whoever is behind the checkpoint', async () => {
      await fill(4);
      await log.compact(checkpointOf(storeId, 3));
      const listener = listen(await open(), 2);
      await until(() => listener.losses.length > 0);
      await log.append(revisionOf(5), storeId, undefined);
      expect([listener.losses.length, listener.numbers]).toEqual([1, []]);
    });

    it('is read as it was at one moment while it is written and compacted', async () => {
      const reader = await open();
      let isWriting = true;
      const writing = (async () => {
        for (let number = 1; number <= 60; number++) {
          await log.append(revisionOf(number, consumer('c')), storeId, undefined);
          if (number % 5 === 0) await log.compact(checkpointOf(storeId, number - 2, consumer('c')));
        }
        isWriting = false;
      })();
      let last = 0;
      while (isWriting) {
        const { checkpoint, revisions } = await reader.read();
        const oldest = Number(checkpoint.revision);
        expect(revisions.map(({ number }) => Number(number))).toEqual(
          revisions.map((_, index) => oldest + 1 + index),
        );
        expect(oldest + revisions.length).toBeGreaterThanOrEqual(last);
        last = oldest + revisions.length;
      }
      await writing;
    });

    it('begins anew when told so, and is another store then', async () => {
      await fill(3);
      const other = await open();
      const listener = listen(other, 3);
      const next = checkpointOf('next', 7, consumer('kept'));
      next.replaces = [storeId];
      expect(await log.replace(next, 'not its name')).toBe(false);
      expect(await numbersIn(log)).toEqual([1, 2, 3]);
      expect(await log.replace(next, storeId)).toBe(true);
      await until(() => listener.losses.length > 0);
      expect(await other.read()).toEqual({ checkpoint: next, revisions: [] });
      await expect(other.append(revisionOf(4), storeId, undefined)).rejects.toThrow(StoreReplacedError);
      expect(await other.append(revisionOf(4), 'next', undefined)).toEqual({ appended: false, head: 7 });
      expect(await other.append(revisionOf(8), 'next', undefined)).toEqual({ appended: true });
      expect(await log.replace(checkpointOf('third', 1), storeId)).toBe(false);
    });

    it('cannot be used when it is closed', async () => {
      const closed = await open();
      const listener = listen(closed, 0);
      await closed.close();
      await expect(closed.read()).rejects.toThrow(StoreUnavailableError);
      await expect(closed.append(revisionOf(1), storeId, undefined)).rejects.toThrow(StoreUnavailableError);
      await fill(1);
      expect(listener.numbers).toEqual([]);
    });

    it('holds what a list would, whatever is done to it', async () => {
      const step = fc.oneof(
        fc.record({
          kind: fc.constant('append' as const),
          by: fc.nat(1),
          ahead: fc.integer({ min: -1, max: 1 }),
        }),
        fc.record({ kind: fc.constant('compact' as const), by: fc.nat(1), keep: fc.nat(3) }),
        fc.record({ kind: fc.constant('replace' as const), by: fc.nat(1) }),
      );
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 15 }), async (steps) => {
          const own = await fresh();
          const pair = [await own.open(), await own.open()] as const;
          try {
            let name = (await pair[0].read()).checkpoint.storeId;
            let oldest = 0;
            let ids: string[] = [];
            for (const each of steps) {
              const on = pair[each.by as 0 | 1];
              const newest = oldest + ids.length;
              if (each.kind === 'append') {
                const revision = revisionOf(newest + 1 + each.ahead);
                const { appended } = await on.append(revision, name, undefined);
                expect(appended).toBe(each.ahead === 0);
                if (appended) ids.push(revision.id);
              } else if (each.kind === 'compact') {
                const to = newest - each.keep;
                await on.compact(checkpointOf(name, Math.max(to, 0)));
                if (to > oldest) {
                  ids = ids.slice(to - oldest);
                  oldest = to;
                }
              } else {
                const next = randomUUID();
                expect(await on.replace(checkpointOf(next, newest), name)).toBe(true);
                [name, oldest, ids] = [next, newest, []];
              }
            }
            for (const each of pair) {
              const { checkpoint, revisions } = await each.read();
              expect([checkpoint.storeId, Number(checkpoint.revision)]).toEqual([name, oldest]);
              expect(revisions.map(({ id }) => id)).toEqual(ids);
            }
          } finally {
            for (const each of pair) await each.close();
            await own.dispose();
          }
        }),
        { numRuns: 20 },
      );
    });
  });
}
