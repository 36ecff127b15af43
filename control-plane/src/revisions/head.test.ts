import { create } from '@bufbuild/protobuf';
import { type Checkpoint, CheckpointSchema, entryOf, type Revision } from '@sluice/proto/cluster';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { consumer, until } from '../../test/revision-log.cases.js';
import { EmbeddedLog } from '../store/embedded.js';
import {
  type LogListener,
  type LogWatch,
  type RevisionLog,
  StoreUnavailableError,
} from '../store/revision-log.js';
import { ConflictError } from './conflict.js';
import { ConfigurationHead } from './head.js';

const opened: (() => unknown)[] = [];
afterEach(async () => {
  vi.useRealTimers();
  for (const close of opened.splice(0).reverse()) await close();
});

/** One store, and a head over it whose calls to it may be bent by the test. */
function store(): EmbeddedLog {
  const log = EmbeddedLog.open(undefined);
  opened.push(() => log.close());
  return log;
}

async function headOver(log: RevisionLog, bent: Partial<RevisionLog> = {}) {
  const troubles: unknown[] = [];
  const reaches: [boolean, string?][] = [];
  let renewals = 0;
  const head = await ConfigurationHead.open({
    log: bentLog(log, bent),
    nowMs: () => 1_000,
    onTrouble: (error) => troubles.push(error),
  });
  head.onChange({
    revision: () => {},
    renewed: () => renewals++,
    reachable: (isReachable, reason) =>
      reaches.push(reason === undefined ? [isReachable] : [isReachable, reason]),
  });
  opened.push(() => head.close());
  return { head, troubles, reaches, renewals: () => renewals };
}

function bentLog(log: RevisionLog, bent: Partial<RevisionLog>): RevisionLog {
  return new Proxy(log, {
    get(target, name) {
      const method = Reflect.get(name in bent ? bent : target, name);
      return typeof method === 'function' ? method.bind(name in bent ? bent : target) : method;
    },
  });
}

/** A watch that the test speaks for. */
function spokenWatch() {
  const listeners: LogListener[] = [];
  const watch = (_after: number, listener: LogListener): LogWatch => {
    listeners.push(listener);
    return { close: () => {} };
  };
  const newest = () => listeners.at(-1) as LogListener;
  return { watch, newest };
}

interface Written {
  readonly author?: string;
  readonly expected?: number;
  readonly id?: string;
  readonly scopes?: string[];
}

function put(head: ConfigurationHead, name: string, { author = 'ann', scopes = [], ...more }: Written = {}) {
  return head.commit({
    author,
    message: `put ${name}`,
    ...more,
    plan: async () => ({ changed: [consumer(name, scopes)], removed: [] }),
  });
}

function remove(head: ConfigurationHead, name: string) {
  const { key } = entryOf(consumer(name));
  return head.commit({ author: 'ann', message: '', plan: async () => ({ changed: [], removed: [key] }) });
}

const keysOf = ({ state }: Pick<ConfigurationHead, 'state'>) =>
  [...state.entries()].map(({ key }) => key).sort();
const unavailable = (message: string) => ({
  name: 'StoreUnavailableError',
  message: expect.stringContaining(message),
});

function beginning(storeId: string, revision: number, replaces: string[] = []): Checkpoint {
  return create(CheckpointSchema, {
    storeId,
    revision: BigInt(revision),
    resources: [consumer('restored')],
    replaces,
  });
}

describe('a commit', () => {
  it('says who made which revision, when and why, and is heard of by the other head', async () => {
    const log = store();
    const [{ head }, { head: other }] = [await headOver(log), await headOver(log)];
    const made = await put(head, 'a', { author: 'ann' });
    expect(made).toMatchObject({ number: 1n, author: 'ann', message: 'put a', time: { seconds: 1n } });
    expect(head.state.get('consumer//a')?.resource.revision).toBe(1n);
    await until(() => other.revision === 1);
    expect(other.state.digest).toEqual(head.state.digest);
  });

  it('that changes nothing makes no revision', async () => {
    const { head } = await headOver(store());
    await put(head, 'a');
    expect(await put(head, 'a')).toBeUndefined();
    expect(await remove(head, 'nobody')).toBeUndefined();
    expect(head.revision).toBe(1);
  });

  it('on an older revision is told what changed, and who did it', async () => {
    const { head } = await headOver(store());
    await put(head, 'a');
    await put(head, 'b', { author: 'bob' });
    const conflict = await put(head, 'c', { expected: 1 }).catch((error: unknown) => error);
    expect(conflict).toBeInstanceOf(ConflictError);
    expect(conflict).toMatchObject({
      expected: 1,
      head: 2,
      between: [{ author: 'bob' }],
      message: 'the change was made on revision 1, and bob has made 2, which changed consumer/b',
    });
    expect(await put(head, 'c', { expected: 2 })).toMatchObject({ number: 3n });
  });

  it('of an attempt that was made already finds its revision', async () => {
    const log = store();
    const [{ head }, { head: other }] = [await headOver(log), await headOver(log)];
    const made = await put(head, 'a', { id: 'attempt', expected: 0 });
    expect(await put(head, 'a', { id: 'attempt', expected: 0 })).toMatchObject({
      id: 'attempt',
      number: made?.number,
    });
    expect(head.revision).toBe(1);
    expect(await put(other, 'a', { id: 'attempt', expected: 0 })).toMatchObject({
      id: 'attempt',
      number: 1n,
    });
    expect(other.revision).toBe(1);
  });

  it('comes after those that were asked for before, however many', async () => {
    const { head } = await headOver(store());
    const made = await Promise.all(Array.from({ length: 40 }, (_, index) => put(head, `n${index}`)));
    expect(made.map((each) => Number(each?.number))).toEqual(made.map((_, index) => index + 1));
  });

  it('does not hold up the next one when its plan fails', async () => {
    const { head } = await headOver(store());
    const failing = head.commit({
      author: 'ann',
      message: '',
      plan: async () => {
        throw new RangeError('not valid');
      },
    });
    const next = put(head, 'a');
    await expect(failing).rejects.toThrow('not valid');
    expect(await next).toMatchObject({ number: 1n });
  });

  it('is planned anew when another head was first', async () => {
    const log = store();
    const [{ head }, { head: other }] = [await headOver(log), await headOver(log)];
    const seen: number[] = [];
    await head.commit({
      author: 'ann',
      message: '',
      plan: async (state, revision) => {
        seen.push(revision);
        if (revision === 0) await put(other, 'first');
        return { changed: [consumer('second', [String(state.size)])], removed: [] };
      },
    });
    expect(seen).toEqual([0, 1]);
    expect(keysOf(head)).toEqual(['consumer//first', 'consumer//second']);
  });

  it('that others always overtake ends with a conflict', async () => {
    const log = store();
    const [{ head }, { head: other }] = [await headOver(log), await headOver(log)];
    let count = 0;
    const overtaken = head.commit({
      author: 'ann',
      message: '',
      plan: async () => {
        await put(other, 'busy', { author: 'bob', scopes: [String(++count)] });
        return { changed: [consumer('mine')], removed: [] };
      },
    });
    await expect(overtaken).rejects.toMatchObject({
      name: 'ConflictError',
      message: 'the change was made on revision 7, and bob has made 8, which changed consumer/busy',
    });
    expect(count).toBe(8);
  });

  it('on a revision that is not here yet waits for it', async () => {
    const log = store();
    const { watch, newest } = spokenWatch();
    const { head } = await headOver(log, { watch });
    const { head: other } = await headOver(log);
    const first = (await put(other, 'a')) as Revision;
    const made = put(head, 'b', { expected: 1 });
    await new Promise(setImmediate);
    newest().revision(first);
    expect(await made).toMatchObject({ number: 2n });
  });

  it('on a revision that nobody has made is a conflict', async () => {
    const { head } = await headOver(store());
    await put(head, 'a');
    await expect(put(head, 'b', { expected: 9 })).rejects.toMatchObject({
      name: 'ConflictError',
      message: 'revision 1 holds now, and the change was made on 9',
    });
  });
});

describe('a store whose answer is lost', () => {
  it('has added what the head then takes from it', async () => {
    const log = store();
    const append: RevisionLog['append'] = async (revision, ...rest) => {
      await log.append({ ...revision, message: 'as it is stored' }, ...rest);
      throw new StoreUnavailableError('the answer is lost');
    };
    const { head } = await headOver(log, { append });
    expect(await put(head, 'a')).toMatchObject({ number: 1n, message: 'as it is stored' });
    expect(head.between(0, 1)).toMatchObject([{ message: 'as it is stored' }]);
  });

  it('has added nothing, and is asked again', async () => {
    const log = store();
    let count = 0;
    const append: RevisionLog['append'] = async (...args) => {
      if (++count === 1) throw new StoreUnavailableError('the question is lost');
      return log.append(...args);
    };
    const { head } = await headOver(log, { append });
    expect(await put(head, 'a')).toMatchObject({ number: 1n });
    expect(count).toBe(2);
  });

  it('and that cannot be asked leaves the caller with its error', async () => {
    const away = async () => {
      throw new StoreUnavailableError('etcd is away');
    };
    const { head } = await headOver(store(), { append: away, history: away });
    await expect(put(head, 'a')).rejects.toMatchObject(unavailable('etcd is away'));
    await expect(put(head, 'a', { expected: 5 })).rejects.toMatchObject(unavailable('etcd is away'));
  });
});

describe('a revision that does not come', () => {
  it('is waited for until a deadline, also when the store does not answer', async () => {
    const log = store();
    const { watch } = spokenWatch();
    let isSilent = false;
    const read = () => (isSilent ? new Promise<never>(() => {}) : log.read());
    const { head } = await headOver(log, { watch, read });
    await put((await headOver(log)).head, 'a');
    isSilent = true;
    vi.useFakeTimers();
    const refused = expect(put(head, 'b')).rejects.toMatchObject(
      unavailable('revision 1 has not come here from the store: not within 5000 ms'),
    );
    await vi.advanceTimersByTimeAsync(5_000);
    await refused;
  });

  it('is read from the store when the watch is late', async () => {
    const log = store();
    const { head, renewals } = await headOver(log, { watch: spokenWatch().watch });
    await put((await headOver(log)).head, 'a');
    vi.useFakeTimers();
    const made = put(head, 'b');
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await made).toMatchObject({ number: 2n });
    expect(renewals()).toBe(1);
  });

  it('is not waited for by a head that ends', async () => {
    const log = store();
    const { head } = await headOver(log, { watch: spokenWatch().watch });
    await put((await headOver(log)).head, 'a');
    const refused = expect(put(head, 'b')).rejects.toMatchObject(unavailable('the control plane ends'));
    await new Promise(setImmediate);
    head.close();
    await refused;
  });
});

describe('a revision that is heard of', () => {
  it('is not applied when its digest does not fit; the store is read instead', async () => {
    const log = store();
    const { watch, newest } = spokenWatch();
    const { head, troubles } = await headOver(log, { watch });
    const told: unknown[] = [];
    head.onChange({ revision: (each) => told.push(each), renewed: () => {}, reachable: () => {} });
    const made = (await put((await headOver(log)).head, 'a')) as Revision;
    newest().revision({ ...made, digest: new Uint8Array(32) });
    expect(head.revision).toBe(0);
    expect(head.state.size).toBe(0);
    await until(() => head.revision === 1);
    expect(keysOf(head)).toEqual(['consumer//a']);
    expect(told).toEqual([]);
    expect(troubles).toMatchObject([{ name: 'StoreDamagedError' }]);
  });

  it('after one that is missing makes the head read the store', async () => {
    const log = store();
    const { watch, newest } = spokenWatch();
    const { head } = await headOver(log, { watch });
    const { head: other } = await headOver(log);
    await put(other, 'a');
    newest().revision((await put(other, 'b')) as Revision);
    await until(() => head.revision === 2);
    expect(head.state.digest).toEqual(other.state.digest);
  });
});

describe('a store that is not what it was', () => {
  it('is not followed when it is another one, until it is back', async () => {
    const log = store();
    const { head, reaches, troubles } = await headOver(log);
    await put(head, 'a');
    const known = head.checkpoint();
    const digest = known.digest;
    vi.useFakeTimers();
    await log.replace(beginning('wiped', 0), known.storeId);
    await vi.advanceTimersByTimeAsync(0);
    expect(head).toMatchObject({ storeId: known.storeId, revision: 1, reachable: false });
    expect(head.state.digest).toEqual(digest);
    await expect(put(head, 'b')).rejects.toMatchObject(
      unavailable('nothing can be written: the store is another one (wiped, revision 0)'),
    );
    await expect(head.refresh()).rejects.toMatchObject(unavailable('the store is another one'));
    await expect(head.compact(0)).rejects.toMatchObject(unavailable('nothing can be written'));
    expect(troubles).toHaveLength(1);

    await log.replace(known, 'wiped');
    await vi.advanceTimersByTimeAsync(10_000);
    expect(head.reachable).toBe(true);
    expect(reaches).toEqual([[false, expect.stringContaining('the store is another one')], [true]]);
    expect(await put(head, 'b')).toMatchObject({ number: 2n });
  });

  it('is followed, whatever it is, by whoever knows of no revision', async () => {
    const log = store();
    const { head } = await headOver(log);
    await log.replace(beginning('known', 7), head.storeId);
    await until(() => head.storeId === 'known');
    expect(head).toMatchObject({ revision: 7, reachable: true });
  });

  it('is not followed when it went back', async () => {
    const log = store();
    const { head } = await headOver(log);
    await put(head, 'a');
    const early = head.checkpoint();
    await put(head, 'b');
    await log.replace(early, early.storeId);
    await until(() => !head.reachable);
    expect(keysOf(head)).toEqual(['consumer//a', 'consumer//b']);
    await expect(put(head, 'c')).rejects.toMatchObject(unavailable('the store went back to revision 1'));
    expect((await log.read()).revisions).toEqual([]);
  });

  it('is told of when it was away before', async () => {
    const log = store();
    const { watch, newest } = spokenWatch();
    const { head, reaches } = await headOver(log, { watch });
    await put(head, 'a');
    newest().reachable(false, 'no answer');
    await log.replace(beginning('wiped', 0), head.storeId);
    newest().lost('the store has another name than it had');
    await until(() => reaches.length === 2);
    expect(reaches).toEqual([
      [false, 'no answer'],
      [false, expect.stringContaining('the store is another one')],
    ]);
  });

  it('is looked at when it was away: the watch need not know what was added from here', async () => {
    const log = store();
    const { watch, newest } = spokenWatch();
    const { head } = await headOver(log, { watch });
    await put(head, 'a');
    const early = head.checkpoint();
    await put(head, 'b');
    newest().reachable(false, 'no answer');
    await log.replace(early, early.storeId);
    newest().reachable(true);
    await until(() => !head.reachable);
    expect(head.revision).toBe(2);
  });

  it('that went back unnoticed is not written to', async () => {
    const log = store();
    const { head } = await headOver(log, { watch: spokenWatch().watch });
    await put(head, 'a');
    const early = head.checkpoint();
    await put(head, 'b');
    await put(head, 'c');
    await log.replace(early, early.storeId);
    await expect(put(head, 'd')).rejects.toMatchObject(unavailable('the store went back to revision 1'));
    expect(head.revision).toBe(3);
  });

  it('is followed when it takes the place of the known one and is not behind it', async () => {
    const log = store();
    const { head, renewals } = await headOver(log);
    await put(head, 'a');
    await log.replace(beginning('next', 2, ['elder', head.storeId]), head.storeId);
    await until(() => head.storeId === 'next');
    expect(head).toMatchObject({ revision: 2, oldest: 2, reachable: true });
    expect(renewals()).toBe(1);
    expect(keysOf(head)).toEqual(['consumer//restored']);
    await put(head, 'b');
    await head.compact(0);
    expect((await log.read()).checkpoint.replaces).toMatchObject({ 0: 'elder' });
  });

  it('is found out by a commit that comes before the news', async () => {
    const log = store();
    const { head } = await headOver(log, { watch: spokenWatch().watch });
    await put(head, 'a');
    await log.replace(beginning('next', 5, [head.storeId]), head.storeId);
    expect(await put(head, 'b')).toMatchObject({ number: 6n });
    expect(keysOf(head)).toEqual(['consumer//b', 'consumer//restored']);
  });

  it('is not followed when it takes the place of the known one and is behind it', async () => {
    const log = store();
    const { head } = await headOver(log);
    await put(head, 'a');
    await put(head, 'b');
    await log.replace(beginning('next', 1, [head.storeId]), head.storeId);
    await until(() => !head.reachable);
    expect(head.revision).toBe(2);
  });

  it('is read again until it answers', async () => {
    const log = store();
    const { watch, newest } = spokenWatch();
    let failures = 0;
    let isAway = false;
    const read: RevisionLog['read'] = async () => {
      if (!isAway) return log.read();
      failures += 1;
      throw new StoreUnavailableError('etcd is away');
    };
    const { head, reaches } = await headOver(log, { watch, read });
    await put(head, 'a');
    isAway = true;
    vi.useFakeTimers();
    newest().lost('compacted');
    await vi.advanceTimersByTimeAsync(5_000);
    // After 0, 250, 750, 1750 and 3750 ms.
    expect(failures).toBe(5);
    await expect(put(head, 'b')).rejects.toMatchObject(unavailable('nothing can be written: etcd is away'));
    isAway = false;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await put(head, 'b')).toMatchObject({ number: 2n });
    expect(reaches).toEqual([[false, 'etcd is away'], [true]]);
  });
});

describe('refresh', () => {
  it('brings what the store has and the watch has not told', async () => {
    const log = store();
    const { head, renewals } = await headOver(log, { watch: spokenWatch().watch });
    await put((await headOver(log)).head, 'a');
    await head.refresh();
    expect(head.revision).toBe(1);
    await head.refresh();
    expect(renewals()).toBe(1);
  });

  it('sees another store where both have forgotten all revisions', async () => {
    const log = store();
    const { head } = await headOver(log, { watch: spokenWatch().watch });
    await put(head, 'a');
    await head.compact(0);
    await log.replace(beginning('restored', 2, [head.storeId]), head.storeId);
    await head.refresh();
    expect(head).toMatchObject({ storeId: 'restored', revision: 2 });
  });

  it('does not take what was read before it was asked for', async () => {
    const log = store();
    const spoken = spokenWatch();
    const answers: (() => void)[] = [];
    let isSlow = false;
    const read = async () => {
      const content = await log.read();
      if (isSlow) await new Promise<void>((resolve) => answers.push(resolve));
      return content;
    };
    const { head } = await headOver(log, { watch: spoken.watch, read });
    await put(head, 'a');
    isSlow = true;
    spoken.newest().lost('a test');
    await until(() => answers.length === 1);
    await log.replace(beginning('restored', 2, [head.storeId]), head.storeId);
    isSlow = false;
    const refreshed = head.refresh();
    answers[0]?.();
    await refreshed;
    expect(head).toMatchObject({ storeId: 'restored', revision: 2 });
  });
});

describe('the past', () => {
  it('is known at every revision that is not forgotten', async () => {
    const { head } = await headOver(store());
    await put(head, 'a');
    await put(head, 'a', { scopes: ['more'] });
    await put(head, 'b');
    await remove(head, 'a');
    const keysAt = (revision: number) => keysOf({ state: head.stateAt(revision) });
    expect([0, 1, 2, 3, 4].map(keysAt)).toEqual([
      [],
      ['consumer//a'],
      ['consumer//a'],
      ['consumer//a', 'consumer//b'],
      ['consumer//b'],
    ]);
    for (const revision of head.between(0, 4) ?? [])
      expect(head.stateAt(Number(revision.number)).digest).toEqual(Buffer.from(revision.digest));

    await head.compact(2);
    expect(head.oldest).toBe(2);
    expect(keysAt(2)).toEqual(['consumer//a']);
    for (const revision of [1, 5])
      expect(() => head.stateAt(revision)).toThrow(
        `revision ${revision} is not known: the oldest is 2, the newest 4`,
      );
    expect(head.between(1, 4)).toBeUndefined();
    await expect(put(head, 'c', { expected: 1 })).rejects.toMatchObject({ between: [] });
  });

  it('is forgotten once, whoever asks for it at the same time, and a new head begins there', async () => {
    const log = store();
    const [{ head }, { head: other }] = [await headOver(log), await headOver(log)];
    for (const name of ['a', 'b', 'c']) await put(head, name);
    await until(() => other.revision === 3);
    await Promise.all([head.compact(1), head.compact(2), head.compact(1), other.compact(2)]);
    expect([head.oldest, other.oldest]).toEqual([2, 1]);
    const late = (await headOver(log)).head;
    expect(late).toMatchObject({ oldest: 2, revision: 3 });
    expect(late.state.digest).toEqual(head.state.digest);
    expect(late.checkpoint()).toEqual(head.checkpoint());
  });
});

it('two heads that write as they like come to the same', async () => {
  const step = fc.record({
    head: fc.nat({ max: 1 }),
    name: fc.constantFrom('a', 'b', 'c', 'd'),
    what: fc.constantFrom('put', 'remove', 'compact', 'wait'),
    value: fc.nat({ max: 3 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 24 }), async (steps) => {
      const log = EmbeddedLog.open(undefined);
      const both = [(await headOver(log)).head, (await headOver(log)).head] as const;
      const pending: Promise<unknown>[] = [];
      for (const { head: index, name, what, value } of steps) {
        const head = both[index as 0 | 1];
        if (what === 'put') pending.push(put(head, name, { scopes: [String(value)] }));
        else if (what === 'remove') pending.push(remove(head, name));
        else if (what === 'compact') pending.push(head.compact(value));
        else await new Promise(setImmediate);
      }
      await Promise.all(pending);
      await Promise.all(both.map((head) => head.refresh()));
      const fresh = (await headOver(log)).head;
      for (const head of both) {
        expect(head.revision).toBe(fresh.revision);
        expect(head.state.digest).toEqual(fresh.state.digest);
        expect(keysOf(head)).toEqual(keysOf(fresh));
      }
      for (const head of [...both, fresh]) head.close();
      await log.close();
    }),
    { numRuns: 100 },
  );
});
