import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BusMessage, Pipe } from '../sessions/node-bus.js';
import { MemorySessionStore, type SessionStore } from '../sessions/store.js';
import { metForThreads, StoreOfMainThread, serveStore } from './cluster.js';
import { portPipe } from './port-pipe.js';

const message = (id: number): BusMessage => ({ lane: 'requests', message: { type: 'abort', id } });
const idOf = ({ message }: BusMessage) => ('id' in message ? message.id : undefined);

describe('a worker of another node', () => {
  let introduced: { ours: string; other: string; port: MessagePort }[];
  /** The ends that the worker of ours and the other one have. */
  let thread: Pipe;
  let other: Pipe;

  beforeEach(() => {
    introduced = [];
    const { port1, port2 } = new MessageChannel();
    other = portPipe(port2);
    const met = metForThreads((ours, name, port) => introduced.push({ ours, other: name, port }));
    met('a.1', 'b.0', portPipe(port1));
    thread = portPipe(introduced[0]?.port as MessagePort);
  });
  afterEach(() => {
    thread.close();
    other.close();
  });

  it('is introduced to the thread that the bus means', () => {
    expect(introduced).toMatchObject([{ ours: 'a.1', other: 'b.0' }]);
  });

  it('is spoken with in order, both ways', async () => {
    const heard: string[] = [];
    thread.onMessage((sent) => heard.push(`thread ${idOf(sent)}`));
    other.onMessage((sent) => heard.push(`other ${idOf(sent)}`));
    for (const id of [1, 2, 3]) other.post(message(id));
    await expect.poll(() => heard).toEqual(['thread 1', 'thread 2', 'thread 3']);
    for (const id of [4, 5]) thread.post(message(id));
    await expect.poll(() => heard.slice(3)).toEqual(['other 4', 'other 5']);
  });

  it('is gone when its end is closed, after what it said', async () => {
    const heard: (number | string | undefined)[] = [];
    thread.onMessage((sent) => heard.push(idOf(sent)));
    thread.onClose(() => heard.push('closed'));
    other.post(message(1));
    other.close();
    await expect.poll(() => heard).toEqual([1, 'closed']);
  });

  it('hears when the thread is gone', async () => {
    let isClosed = false;
    other.onClose(() => {
      isClosed = true;
    });
    thread.close();
    await expect.poll(() => isClosed).toBe(true);
  });
});

describe('the session store of the main thread', () => {
  /** A thread's view of a store, over what threads and the main thread can say to each other. */
  function seenFrom(store: SessionStore): SessionStore {
    const view: StoreOfMainThread = new StoreOfMainThread((wanted) => {
      void serveStore(store, structuredClone(wanted), (id, outcome) =>
        view.claimed(id, structuredClone(outcome)),
      );
    });
    return view;
  }

  it('gives a session to one of several threads', async () => {
    const store = new MemorySessionStore();
    const threads = ['a.0', 'a.1', 'b.0'].map((address) => ({ address, view: seenFrom(store) }));
    threads[0]?.view.put('s', { owner: 'gone.0', held: { u: { logLevel: '"info"' } } });
    const records = await Promise.all(threads.map(({ address, view }) => view.claim('s', 'gone.0', address)));
    expect(records[0]).toEqual({ owner: 'a.0', held: { u: { logLevel: '"info"' } } });
    expect(records.map((record) => record?.owner)).toEqual(['a.0', 'a.0', 'a.0']);
  });

  it('forgets no session that has ended', async () => {
    const store = new MemorySessionStore();
    const view = seenFrom(store);
    view.put('s', { owner: 'a.0', held: {} });
    view.end('s');
    expect(await seenFrom(store).claim('s', 'a.0', 'b.0')).toBeUndefined();
  });

  it('says why a claim failed', async () => {
    const view = seenFrom({
      put() {},
      end() {},
      onMoved() {},
      claim: () => Promise.reject(new Error('no answer from the store')),
    });
    await expect(view.claim('s', 'a.0', 'b.0')).rejects.toThrow('no answer from the store');
  });
});
