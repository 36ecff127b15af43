/** The cases that every store of records passes, whatever it is made of. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type KeptRecord, MAX_RECORD_BYTES, type Records } from '../src/store/records.js';
import { StoreUnavailableError } from '../src/store/revision-log.js';
import { until } from './revision-log.cases.js';

/** One store, which begins empty. */
export interface RecordsCaseStore {
  /** Another process that uses it. Closed by the case. */
  open(): Promise<Records>;
  dispose(): Promise<void>;
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = ({ key, value }: KeptRecord) => `${key}=${new TextDecoder().decode(value)}`;

export function recordsCases(name: string, fresh: () => Promise<RecordsCaseStore>): void {
  describe(`${name}, as a store of records`, () => {
    let store: RecordsCaseStore;
    let opened: Records[];
    let one: Records;
    let other: Records;

    const open = async () => {
      const records = await store.open();
      opened.push(records);
      return records;
    };
    const put = async (key: string, value: string, expected: string, on = one, bucket = 'nodes') =>
      on.put(bucket, key, bytes(value), { expected });
    const texts = async (on: Records, bucket = 'nodes') => (await on.list(bucket)).map(textOf);
    /** What a watch tells, as texts. */
    const listen = (on: Records, bucket = 'nodes') => {
      const told: string[][] = [];
      const watch = on.watch(bucket, { records: (all) => void told.push(all.map(textOf)) });
      return { told, close: () => watch.close(), now: () => told.at(-1)?.join() };
    };

    beforeEach(async () => {
      store = await fresh();
      opened = [];
      one = await open();
      other = await open();
    });
    afterEach(async () => {
      for (const each of opened) await each.close();
      await store.dispose();
    });

    it('keeps what is put, for all who use it, in the order of keys', async () => {
      expect(await one.list('nodes')).toEqual([]);
      await put('b', '2', 'absent');
      await put('a', '1', 'absent');
      await put('a.b-c_D', '', 'any');
      expect(await texts(other)).toEqual(['a=1', 'a.b-c_D=', 'b=2']);
    });

    it('holds buckets apart, also those whose names begin alike', async () => {
      for (const bucket of ['nodes', 'nodes-1', 'nodes.1', 'node'])
        await put('a', bucket, 'absent', one, bucket);
      expect(await texts(other)).toEqual(['a=nodes']);
      expect(await texts(other, 'nodes.1')).toEqual(['a=nodes.1']);
    });

    it('writes only what is as it was', async () => {
      const first = await put('a', '1', 'absent');
      expect(first).toBeDefined();
      expect(await put('a', 'x', 'absent', other)).toBeUndefined();
      const second = await put('a', '2', first as string, other);
      expect(second).not.toBe(first);
      expect(await put('a', 'x', first as string)).toBeUndefined();
      expect(await put('never', 'x', first as string)).toBeUndefined();
      expect(await texts(one)).toEqual(['a=2']);
      expect((await one.list('nodes'))[0]?.version).toBe(second);
      expect(await put('a', '3', 'any')).not.toBe(second);
    });

    it('deletes only what is as it was, and gives no version twice', async () => {
      const first = (await put('a', '1', 'absent')) as string;
      const second = (await put('a', '1', first)) as string;
      expect(await other.delete('nodes', 'a', first)).toBe(false);
      expect(await other.delete('nodes', 'a', second)).toBe(true);
      expect(await other.delete('nodes', 'a', second)).toBe(false);
      const third = await put('a', '1', 'absent');
      expect([first, second]).not.toContain(third);
    });

    it('lets one of many who write at once win', async () => {
      const attempts = Array.from({ length: 20 }, (_, index) =>
        put('leader', `${index}`, 'absent', index % 2 === 0 ? one : other),
      );
      const versions = (await Promise.all(attempts)).filter((version) => version !== undefined);
      expect(versions).toHaveLength(1);
      expect((await one.list('nodes'))[0]?.version).toBe(versions[0]);
    });

    it('forgets what has a lease when it ends, and keeps it when it is put again', async () => {
      const ttlMs = 1_000;
      let version = await one.put('nodes', 'kept', bytes('1'), { expected: 'absent', ttlMs });
      await one.put('nodes', 'left', bytes('1'), { expected: 'absent', ttlMs });
      await put('stays', '1', 'absent');
      const listening = listen(other);
      await until(() => listening.now() === 'kept=1,left=1,stays=1');
      const keeping = setInterval(async () => {
        version = await one.put('nodes', 'kept', bytes('1'), { expected: version as string, ttlMs });
      }, 200);
      await until(() => listening.now() === 'kept=1,stays=1');
      clearInterval(keeping);
      expect(version).toBeDefined();
      await until(() => listening.now() === 'stays=1');
      expect(await put('left', '2', 'absent')).toBeDefined();
    });

    it('keeps what is said to stay, without another version, until nobody says so', async () => {
      const version = (await one.put('nodes', 'a', bytes('1'), {
        expected: 'absent',
        ttlMs: 1_000,
      })) as string;
      await one.put('nodes', 'b', bytes('1'), { expected: 'absent', ttlMs: 1_000 });
      const listening = listen(other);
      await until(() => listening.now() === 'a=1,b=1');
      const kept: boolean[] = [];
      const keeping = setInterval(async () => kept.push(await one.keep('nodes', 'a', version)), 200);
      await until(() => listening.now() === 'a=1');
      clearInterval(keeping);
      await until(() => listening.now() === '');
      expect(new Set(kept)).toEqual(new Set([true]));
      expect(await one.keep('nodes', 'a', version)).toBe(false);
      const again = (await put('a', '1', 'absent')) as string;
      expect(await one.keep('nodes', 'a', version)).toBe(false);
      expect(await one.keep('nodes', 'a', again)).toBe(true);
    });

    it('keeps what is put again without a lease', async () => {
      const version = await one.put('nodes', 'a', bytes('1'), { expected: 'absent', ttlMs: 1_000 });
      await put('a', '2', version as string);
      await one.put('nodes', 'b', bytes('1'), { expected: 'absent', ttlMs: 1_000 });
      const listening = listen(other);
      await until(() => listening.now() === 'a=2');
    });

    it('tells what there is, and what becomes of it, until it is closed', async () => {
      await put('a', '1', 'absent');
      const near = listen(one);
      const far = listen(other);
      await until(() => near.now() === 'a=1' && far.now() === 'a=1');
      const version = (await put('b', '2', 'absent')) as string;
      await until(() => near.now() === 'a=1,b=2' && far.now() === 'a=1,b=2');
      near.close();
      await one.delete('nodes', 'b', version);
      await until(() => far.now() === 'a=1');
      expect(near.now()).toBe('a=1,b=2');
    });

    it('tells of an empty bucket, and nothing of others', async () => {
      const listening = listen(one);
      await until(() => listening.told.length === 1);
      await put('a', '1', 'absent', one, 'nodes-1');
      await put('a', '1', 'absent');
      await until(() => listening.now() === 'a=1');
      expect(listening.told).toEqual([[], ['a=1']]);
    });

    it('is back with everything when it is opened again', async () => {
      const version = (await put('a', '1', 'absent')) as string;
      await one.close();
      const again = await open();
      expect(await texts(again)).toEqual(['a=1']);
      expect(await put('a', '2', version, again)).toBeDefined();
    });

    it('refuses what it cannot keep', async () => {
      await expect(put('a/b', '1', 'any')).rejects.toThrow(`a record cannot be named "a/b"`);
      await expect(put('', '1', 'any')).rejects.toThrow(RangeError);
      await expect(one.list('a b')).rejects.toThrow(RangeError);
      const large = new Uint8Array(MAX_RECORD_BYTES).fill(7);
      await one.put('nodes', 'large', large, { expected: 'absent' });
      expect((await other.list('nodes'))[0]?.value).toEqual(large);
      await expect(
        one.put('nodes', 'larger', new Uint8Array(MAX_RECORD_BYTES + 1), { expected: 'any' }),
      ).rejects.toThrow('the record nodes/larger has 524289 bytes, and may have 524288');
      await one.close();
      await expect(one.list('nodes')).rejects.toThrow(StoreUnavailableError);
    });
  });
}
