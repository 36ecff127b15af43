import fc from 'fast-check';
import { expect, it } from 'vitest';
import { measure } from './measure.js';

const NONE = {
  bytes: Number.POSITIVE_INFINITY,
  depth: Number.POSITIVE_INFINITY,
  valueCount: Number.POSITIVE_INFINITY,
  stringBytes: Number.POSITIVE_INFINITY,
};

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

function countOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1;
  return 1 + Object.values(value).reduce((sum: number, each) => sum + countOf(each), 0);
}

it('measures what JSON.stringify writes', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4, stringUnit: 'binary' }), (written) => {
      const value = JSON.parse(JSON.stringify(written));
      const [bytes, depth, valueCount] = [
        Buffer.byteLength(JSON.stringify(value)),
        depthOf(value),
        countOf(value),
      ];
      expect(measure(value, { ...NONE, bytes, depth, valueCount })).toBeUndefined();
      expect(measure(value, { ...NONE, bytes: bytes - 1 })).toMatch(/larger than/);
      expect(measure(value, { ...NONE, valueCount: valueCount - 1 })).toMatch(/hold more than/);
      if (depth > 0) expect(measure(value, { ...NONE, depth: depth - 1 })).toMatch(/nested deeper/);
    }),
    { numRuns: 1_000 },
  );
});

it('takes texts by their bytes, names of members too', () => {
  const stringBytes = 4;
  expect(measure({ a: 'ää', abcd: ['abcd'] }, { ...NONE, stringBytes })).toBeUndefined();
  expect(measure({ a: 'ääa' }, { ...NONE, stringBytes })).toBe('hold a text that is longer than 4 bytes');
  expect(measure({ abcde: 1 }, { ...NONE, stringBytes })).toBe('hold a text that is longer than 4 bytes');
});

it('needs no stack for a value that is nested without end', () => {
  let value: unknown = 1;
  for (let depth = 0; depth < 200_000; depth += 1) value = [value];
  expect(measure(value, NONE)).toBeUndefined();
  expect(measure(value, { ...NONE, depth: 100 })).toBe('are nested deeper than 100');
});
