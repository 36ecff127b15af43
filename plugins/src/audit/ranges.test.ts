import fc from 'fast-check';
import { expect, it } from 'vitest';
import { merged, type Range, rangesOf, without } from './ranges.js';

const ranges = fc.array(
  fc.tuple(fc.nat(60), fc.nat(6)).map(([from, more]): Range => [from, from + more]),
  { maxLength: 12 },
);

const numbersOf = (all: readonly Range[]) =>
  new Set(all.flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, index) => from + index)));

it('are what is in the one set and not in the other', () => {
  fc.assert(
    fc.property(ranges, ranges, (these, those) => {
      const [own, other] = [numbersOf(these), numbersOf(those)];
      const expected = [...own].filter((seq) => !other.has(seq)).sort((a, b) => a - b);
      const left = without(merged(these), merged(those));
      expect([...numbersOf(left)]).toEqual(expected);
      expect(merged(left)).toEqual(rangesOf(expected));
    }),
    { numRuns: 300 },
  );
});
