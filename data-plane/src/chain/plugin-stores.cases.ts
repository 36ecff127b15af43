/** The cases that every store of plugins passes, whatever it is made of. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { PluginStores, StoreLimits } from './store-limits.js';

/** So small that a case meets them. */
export const CASE_LIMITS = { maxKeyBytes: 16, maxValueBytes: 32, maxKeyCount: 5, maxListedCount: 3 };

/** @param make an empty store in each case; who calls closes it. */
export function pluginStoresCases(name: string, make: (limits: StoreLimits) => Promise<PluginStores>): void {
  describe(`a store in ${name}`, () => {
    afterEach(() => void vi.useRealTimers());

    it('has what was put there, until that is deleted', async () => {
      const store = (await make(CASE_LIMITS)).of('one');
      expect(await store.get('a')).toBeUndefined();
      await store.set('a', '1');
      await store.set('a', '2');
      await store.set('b', '');
      expect([await store.get('a'), await store.get('b')]).toEqual(['2', '']);
      await store.delete('a');
      await store.delete('never there');
      expect([await store.get('a'), await store.get('b')]).toEqual([undefined, '']);
    });

    it('is one for each plugin', async () => {
      const stores = await make(CASE_LIMITS);
      await stores.of('a').set('b c', '1');
      await stores.of('a b').set('c', '2');
      expect(await stores.of('a').keys('')).toEqual(['b c']);
      expect(await stores.of('a b').keys('')).toEqual(['c']);
      expect(await stores.of('a').get('b c')).toBe('1');
      expect(await stores.of('b').get('b c')).toBeUndefined();
    });

    it('lists keys that begin with a text, in the order of their bytes, so many at most', async () => {
      const store = (await make(CASE_LIMITS)).of('one');
      for (const key of ['a:\uffff', 'a:😀', 'b', 'a:%', 'a']) await store.set(key, '');
      expect(await store.keys('a:')).toEqual(['a:%', 'a:\uffff', 'a:😀']);
      expect(await store.keys('')).toEqual(['a', 'a:%', 'a:\uffff']);
      expect(await store.keys('c')).toEqual([]);
    });

    it('lists what lies in a folder, however deep, and nothing beside it', async () => {
      const store = (await make({ ...CASE_LIMITS, maxKeyCount: 20, maxListedCount: 10 })).of('one');
      const keys = ['x', 'x/', 'x/a', 'x/b/', 'x/b/c', 'x/b/c/d/e', 'x//f', 'xy/a', '/x/a', '/'];
      for (const key of keys) await store.set(key, key);
      const below = (prefix: string) =>
        keys
          .filter((key) => key.startsWith(prefix))
          .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      for (const prefix of ['', 'x', 'x/', 'x/b', 'x/b/', 'x/b/c/', 'x/b/c/d/', 'x//', '/', '/x/', 'y/'])
        expect([prefix, await store.keys(prefix)]).toEqual([prefix, below(prefix)]);
      for (const key of keys) expect(await store.get(key)).toBe(key);
    });

    it('takes texts as they are', async () => {
      const store = (await make(CASE_LIMITS)).of('one');
      for (const text of ["';--", 'a\0b', '__proto__', 'é', 'e\u0301']) {
        await store.set(text, `${text}!`);
        expect(await store.get(text)).toBe(`${text}!`);
      }
      expect(await store.keys('')).toHaveLength(3);
    });

    it('forgets what has expired', async () => {
      vi.useFakeTimers({ toFake: ['Date'], now: 1_000 });
      const store = (await make(CASE_LIMITS)).of('one');
      await store.set('a', '1', { ttlMs: 100 });
      await store.set('b', '1');
      vi.setSystemTime(1_099);
      expect(await store.keys('')).toEqual(['a', 'b']);
      vi.setSystemTime(1_100);
      expect([await store.get('a'), await store.keys('')]).toEqual([undefined, ['b']]);
      await store.set('a', '2');
      vi.setSystemTime(1_000_000);
      expect(await store.get('a')).toBe('2');
    });

    it('takes so many keys and no more, but changes those it has', async () => {
      vi.useFakeTimers({ toFake: ['Date'], now: 1_000 });
      const store = (await make(CASE_LIMITS)).of('one');
      for (let i = 0; i < 5; i++) await store.set(`${i}`, '', i === 4 ? { ttlMs: 10 } : {});
      await expect(store.set('5', '')).rejects.toThrow(
        new RangeError('the store of plugin one is full: it has 5 keys'),
      );
      await store.set('3', 'x');
      expect(await store.get('3')).toBe('x');
      vi.setSystemTime(2_000);
      await store.set('5', '');
      await expect(store.set('6', '')).rejects.toThrow('full');
      await store.delete('5');
      await store.set('6', '');
    });

    it.each<[string, string, string]>([
      ['', '', 'at least one character'],
      ['x'.repeat(17), '', 'at most 16 bytes'],
      ['é'.repeat(9), '', 'at most 16 bytes'],
      ['\ud800', '', 'halves of characters'],
      ['a', 'x'.repeat(33), 'at most 32 bytes'],
      ['a', '\udc00', 'halves of characters'],
    ])('refuses %j: %j', async (key, value, why) => {
      await expect((await make(CASE_LIMITS)).of('one').set(key, value)).rejects.toThrow(why);
    });
  });
}
