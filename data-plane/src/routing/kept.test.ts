import fc from 'fast-check';
import { expect, it } from 'vitest';
import { isSame } from './kept.js';

it('two values are the same when their JSON is', () => {
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom(0, 1, '', 'a', true, false, null),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.oneof(tie('value'), fc.constant(undefined))),
    ),
  }));
  let sameCount = 0;
  fc.assert(
    fc.property(value, value, (one, other) => {
      const isExpected = JSON.stringify(one) === JSON.stringify(other);
      expect(isSame(one, other)).toBe(isExpected);
      if (isExpected) sameCount++;
      expect(isSame(one, structuredClone(one))).toBe(true);
      expect(isSame(one, { ...(one as object), more: undefined })).toBe(
        JSON.stringify(one) === JSON.stringify({ ...(one as object) }),
      );
    }),
    { numRuns: 500 },
  );
  expect(sameCount).toBeGreaterThan(0);
});
