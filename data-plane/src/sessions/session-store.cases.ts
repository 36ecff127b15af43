/** The cases that every store of sessions passes, whatever it is made of. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { newNodeId, type WorkerAddress, workerAddress } from './node-bus.js';
import type { SessionRecord, SessionStore } from './store.js';

/** Where stores can be that know the same sessions. */
export interface StorePlace {
  /** The store as one more node sees it. */
  store(): Promise<SessionStore>;
  /** Resolves when all others see what was put down and ended here. */
  written(store: SessionStore): Promise<void>;
  clear(): Promise<void>;
  close(): Promise<void>;
}

const LIMIT = { timeout: 15_000, interval: 10 };

export const newWorker = (): WorkerAddress => workerAddress(newNodeId(), 0);

let count = 0;
/** The place may be that of the test before. */
export const newSession = (): string => `session-${++count}-${newNodeId()}`;

/** @param open prepares where the sessions are. */
export function sessionStoreCases(name: string, open: () => Promise<StorePlace>): void {
  describe(`${name}, as a store of sessions`, () => {
    let place: StorePlace;
    let [one, two, three]: SessionStore[] = [];

    beforeAll(async () => {
      place = await open();
    });
    afterEach(() => place.clear());
    afterAll(() => place?.close());

    async function begin() {
      [one, two, three] = [await place.store(), await place.store(), await place.store()];
      const stores = [one, two, three] as const;
      return { stores, workers: [newWorker(), newWorker(), newWorker()] as const, session: newSession() };
    }

    const held: SessionRecord['held'] = {
      remote: {
        session: { id: 'abc', revision: '2025-11-25', capabilities: { tools: {} } },
        logLevel: '"info"',
        subscribed: ['"a://b"'],
      },
    };

    it('gives a session to whoever claims it from the one that has it, with what it holds', async () => {
      const { stores, workers, session } = await begin();
      stores[0].put(session, { owner: workers[0], held });
      await place.written(stores[0]);
      expect(await stores[1].claim(session, workers[0], workers[1])).toEqual({ owner: workers[1], held });
      expect(await stores[2].claim(session, workers[0], workers[2])).toMatchObject({ owner: workers[1] });
    });

    it('keeps what it holds', async () => {
      const { stores, workers, session } = await begin();
      stores[0].put(session, { owner: workers[0], held: {} });
      stores[0].put(session, { owner: workers[0], held });
      const claimed = await stores[0].claim(session, workers[0], workers[1]);
      expect(claimed).toEqual({ owner: workers[1], held });
      expect(await stores[2].claim(session, workers[1], workers[2])).toEqual({ owner: workers[2], held });
    });

    it('gives a session that nobody has put down to whoever claims it, with nothing', async () => {
      const { stores, workers, session } = await begin();
      expect(await stores[0].claim(session, workers[1], workers[0])).toEqual({ owner: workers[0], held: {} });
      expect(await stores[1].claim(session, workers[2], workers[1])).toMatchObject({ owner: workers[0] });
    });

    it('gives it to one of several that claim at once', async () => {
      const { stores, workers, session } = await begin();
      const gone = newWorker();
      const claimants = Array.from({ length: 12 }, (_, index) => ({
        store: stores[index % 3] as SessionStore,
        worker: newWorker(),
      }));
      const records = await Promise.all(
        claimants.map(({ store, worker }) => store.claim(session, gone, worker)),
      );
      const [owner] = new Set(records.map((record) => record?.owner));
      expect(new Set(records.map((record) => record?.owner)).size).toBe(1);
      expect(claimants.map(({ worker }) => worker)).toContain(owner);
      expect(workers).not.toContain(owner);
    });

    it('gives no session that has ended, whoever put it down before or after', async () => {
      const { stores, workers, session } = await begin();
      stores[0].put(session, { owner: workers[0], held });
      stores[0].end(session);
      stores[0].put(session, { owner: workers[0], held });
      expect(await stores[0].claim(session, workers[0], workers[0])).toBeUndefined();
      await place.written(stores[0]);
      for (const store of stores) expect(await store.claim(session, workers[0], workers[1])).toBeUndefined();
    });

    it('lets nobody put down what another worker has', async () => {
      const { stores, workers, session } = await begin();
      await stores[1].claim(session, workers[0], workers[1]);
      stores[0].put(session, { owner: workers[0], held });
      await place.written(stores[0]);
      expect(await stores[2].claim(session, workers[2], workers[2])).toEqual({ owner: workers[1], held: {} });
    });

    it('tells who had a session that another one has it', async () => {
      const { stores, workers, session } = await begin();
      const moved: [string, string | undefined][] = [];
      stores[0].onMoved((id, owner) => moved.push([id, owner]));
      stores[0].put(session, { owner: workers[0], held });
      await place.written(stores[0]);
      await stores[1].claim(session, workers[0], workers[1]);
      await expect.poll(() => moved, LIMIT).toEqual([[session, workers[1]]]);
    });

    it('takes ids with anything in them', async () => {
      const { stores, workers } = await begin();
      const id = `process:my server.*>/ \u20ac ${newNodeId()}`;
      expect(await stores[0].claim(id, workers[0], workers[0])).toMatchObject({ owner: workers[0] });
      expect(await stores[1].claim(id, workers[1], workers[1])).toMatchObject({ owner: workers[0] });
    });
  });
}
