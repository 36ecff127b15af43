import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createSealer } from '../sessions/seal.js';
import { buildCatalogue } from './catalogue.js';
import { type ListPage, listPage } from './merge.js';
import type { CacheScope, UpstreamOffer } from './offer.js';

const sealer = createSealer({ current: randomBytes(32), previous: [] });
const paging = { pageSize: 2, sealer, context: 'alice' };

interface Given {
  name: string;
  count: number;
  ttlMs?: number;
  cacheScope?: CacheScope;
}

function catalogueOf(...upstreams: Given[]) {
  const offers = upstreams.map(
    ({ name, count, ...freshness }): UpstreamOffer => ({
      upstreamId: name,
      upstreamName: name,
      hidden: false,
      tools: Array.from({ length: count }, (_, at) => ({ name: String(at) })),
      prompts: [],
      resources: [],
      templates: [],
      mirrorsParams: false,
      ...freshness,
    }),
  );
  return buildCatalogue(offers, { separator: '.', maxNameLength: 64, mode: 'always' });
}

type Built = ReturnType<typeof catalogueOf>;

function page(catalogue: Built, cursor?: string, how = paging): ListPage {
  const read = listPage(catalogue, 'tools', cursor, how);
  if (!read) throw new Error('the cursor was refused');
  return read;
}

function names(read: ListPage): unknown[] {
  return read.entries.map((entry) => entry.name);
}

describe('pages of a merged list', () => {
  it('hold together what the list holds, in order, for any page size', () => {
    const counts = fc.array(fc.nat(5), { maxLength: 6 });
    fc.assert(
      fc.property(counts, fc.integer({ min: 1, max: 8 }), (all, pageSize) => {
        const catalogue = catalogueOf(...all.map((count, at) => ({ name: `u${at}`, count })));
        const pages = [page(catalogue, undefined, { ...paging, pageSize })];
        for (let next = pages[0]?.nextCursor; next !== undefined; next = pages.at(-1)?.nextCursor) {
          expect(pages.length).toBeLessThan(40);
          pages.push(page(catalogue, next, { ...paging, pageSize }));
        }
        expect(pages.flatMap((each) => each.entries)).toEqual(catalogue.listed('tools'));
        // Every page but the last is full, and there is no empty page after the last entry.
        for (const each of pages.slice(0, -1)) expect(each.entries.length).toBe(pageSize);
        expect(pages.length).toBe(Math.max(1, Math.ceil(catalogue.listed('tools').length / pageSize)));
      }),
    );
  });

  it('begin at the start without a cursor and with the empty one', () => {
    const catalogue = catalogueOf({ name: 'a', count: 3 });
    expect(names(page(catalogue, ''))).toEqual(['a.0', 'a.1']);
    expect(names(page(catalogue))).toEqual(['a.0', 'a.1']);
  });

  it('are the list itself where one page holds it', () => {
    const catalogue = catalogueOf({ name: 'a', count: 2 });
    expect(page(catalogue).entries).toBe(catalogue.listed('tools'));
    expect(page(catalogue).nextCursor).toBeUndefined();
  });

  it('go on where they were after the catalogue changed', () => {
    const cursor = page(catalogueOf({ name: 'a', count: 1 }, { name: 'b', count: 3 })).nextCursor;
    const later = (...upstreams: Given[]) => names(page(catalogueOf(...upstreams), cursor));
    expect(later({ name: 'a', count: 9 }, { name: 'b', count: 3 })).toEqual(['b.1', 'b.2']);
    expect(later({ name: 'new', count: 9 }, { name: 'a', count: 1 }, { name: 'b', count: 2 })).toEqual([
      'b.1',
    ]);
    expect(later({ name: 'a', count: 1 }, { name: 'b', count: 1 }, { name: 'c', count: 1 })).toEqual(['c.0']);
    expect(later({ name: 'a', count: 1 }, { name: 'c', count: 1 })).toEqual(['c.0']);
    expect(later({ name: 'a', count: 1 })).toEqual([]);
    expect(later()).toEqual([]);
  });

  it('are refused for a cursor of another list, another principal, or none of ours', () => {
    const catalogue = catalogueOf({ name: 'a', count: 3 });
    const cursor = page(catalogue).nextCursor as string;
    expect(listPage(catalogue, 'prompts', cursor, paging)).toBeUndefined();
    expect(listPage(catalogue, 'tools', cursor, { ...paging, context: 'mallory' })).toBeUndefined();
    expect(listPage(catalogue, 'tools', `${cursor}A`, paging)).toBeUndefined();
    expect(listPage(catalogue, 'tools', 'garbage', paging)).toBeUndefined();
    const odd = ['', 'x', 'null', '[]', '{"kind":"tools"}'];
    odd.push('{"kind":"tools","upstreamId":"a","at":0,"offset":-1}');
    odd.push('{"kind":"tools","upstreamId":"a","at":0.5,"offset":1}');
    for (const payload of odd) {
      const sealed = sealer.seal('cursor', payload, 'alice');
      expect(listPage(catalogue, 'tools', sealed, paging)).toBeUndefined();
    }
  });

  it('need a page size', () => {
    expect(() => page(catalogueOf(), undefined, { ...paging, pageSize: 0 })).toThrow(/at least 1/);
  });
});

describe('freshness of a merged list', () => {
  const freshness = (...given: Partial<Given>[]) => {
    const { ttlMs, cacheScope } = page(
      catalogueOf(...given.map((each, at) => ({ name: `u${at}`, count: 3, ...each }))),
    );
    return [ttlMs, cacheScope];
  };

  it('is the least of all', () => {
    expect(freshness({ ttlMs: 500, cacheScope: 'public' }, { ttlMs: 90, cacheScope: 'public' })).toEqual([
      90,
      'public',
    ]);
    expect(freshness({ ttlMs: 500, cacheScope: 'public' }, { ttlMs: 90, cacheScope: 'private' })).toEqual([
      90,
      'private',
    ]);
    expect(freshness({ ttlMs: 500, cacheScope: 'public' }, {})).toEqual([0, 'private']);
    expect(freshness()).toEqual([0, 'private']);
  });

  it('counts an upstream that offers nothing now, as it may later', () => {
    expect(freshness({ ttlMs: 500, cacheScope: 'public' }, { count: 0, ttlMs: 5 })).toEqual([5, 'private']);
  });

  it('is a whole number of milliseconds that is not negative', () => {
    for (const [ttlMs, expected] of [
      [-5, 0],
      [2.9, 2],
      [Number.POSITIVE_INFINITY, 0],
    ]) {
      expect(freshness({ ttlMs, cacheScope: 'public' })).toEqual([expected, 'public']);
    }
  });
});
