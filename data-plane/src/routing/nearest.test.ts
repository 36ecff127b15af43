import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nearestName } from './nearest.js';

function nearest(unknown: string, names: readonly string[]): string | undefined {
  return nearestName(
    unknown,
    names.map((name) => ({ spelling: name, name })),
  );
}

/** The textbook definition, without a band. */
function edits(a: string, b: string): number {
  if (a === '' || b === '') return a.length + b.length;
  if (a[0] === b[0]) return edits(a.slice(1), b.slice(1));
  return 1 + Math.min(edits(a.slice(1), b), edits(a, b.slice(1)), edits(a.slice(1), b.slice(1)));
}

describe('nearestName', () => {
  it.each([
    ['everything__ehco', 'everything__echo'],
    ['everything:echo', 'everything__echo'],
    ['Everything__Echo', 'everything__echo'],
    ['raed_file', 'read_file'],
    ['something_else', undefined],
    ['ab', undefined],
    ['', undefined],
    ['x'.repeat(500), undefined],
  ])('%.20j was probably %j', (unknown, name) => {
    expect(nearest(unknown, ['everything__add', 'everything__echo', 'read_file', 'cd'])).toBe(name);
  });

  it('suggests the closest, the first of equals, and only within three edits and a third of the letters', () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 8 });
    fc.assert(
      fc.property(word, fc.array(word, { maxLength: 6 }), (unknown, names) => {
        const limit = Math.min(3, Math.floor(unknown.length / 3));
        const distances = names.map((name) => edits(unknown, name));
        const least = Math.min(...distances);
        expect(nearest(unknown, names)).toBe(least <= limit ? names[distances.indexOf(least)] : undefined);
      }),
      { numRuns: 500 },
    );
  });
});
