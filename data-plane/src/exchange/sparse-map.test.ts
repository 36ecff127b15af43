import fc from 'fast-check';
import { expect, it } from 'vitest';
import { SparseMap, SparseSet } from './sparse-map.js';

const key = fc.integer({ min: 0, max: 4 });
const step = fc.oneof(
  fc.record({ do: fc.constant('set' as const), key, value: fc.integer() }),
  fc.record({ do: fc.constant('delete' as const), key }),
  fc.record({ do: fc.constant('clear' as const) }),
);

it('is a Map in everything that it does', () => {
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const sparse = new SparseMap<number, number>();
      const map = new Map<number, number>();
      for (const each of steps) {
        if (each.do === 'clear') {
          sparse.clear();
          map.clear();
        } else if (each.do === 'delete') expect(sparse.delete(each.key)).toBe(map.delete(each.key));
        else {
          sparse.set(each.key, each.value);
          map.set(each.key, each.value);
        }
        expect([...sparse]).toEqual([...map]);
        expect([...sparse.keys()]).toEqual([...map.keys()]);
        expect([...sparse.values()]).toEqual([...map.values()]);
        expect(sparse.size).toBe(map.size);
        for (let at = 0; at <= 4; at++) {
          expect(sparse.get(at)).toBe(map.get(at));
          expect(sparse.has(at)).toBe(map.has(at));
        }
      }
    }),
  );
});

it('is a Set in everything that it does', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ adds: fc.boolean(), key })), (steps) => {
      const sparse = new SparseSet<number>();
      const set = new Set<number>();
      for (const each of steps) {
        if (each.adds) {
          sparse.add(each.key);
          set.add(each.key);
        } else expect(sparse.delete(each.key)).toBe(set.delete(each.key));
        expect([...sparse]).toEqual([...set]);
        expect(sparse.size).toBe(set.size);
        for (let at = 0; at <= 4; at++) expect(sparse.has(at)).toBe(set.has(at));
      }
    }),
  );
});
