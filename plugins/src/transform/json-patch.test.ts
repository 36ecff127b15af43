import type { JsonObject } from '@sluice/sdk';
import fc from 'fast-check';
import { applyPatch } from 'rfc6902';
import { describe, expect, it } from 'vitest';
import { without, withValue } from '../pointer.js';
import { compilePatch, patchProblems } from './json-patch.js';

const key = fc.constantFrom('a', 'b', '0', '1', '-', 'a~1b', 'm~0n');
const pointer = fc.array(key, { minLength: 1, maxLength: 3 }).map((tokens) => `/${tokens.join('/')}`);
const { json } = fc.letrec((tie) => ({
  json: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom(1, 'text', true, null),
    fc.array(tie('json'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('a', 'b', '0', 'a/b', 'm~n'), tie('json'), {
      maxKeys: 3,
      noNullPrototype: true,
    }),
  ),
}));
const document = fc.dictionary(fc.constantFrom('a', 'b', '0', 'a/b', 'm~n'), json, {
  maxKeys: 4,
  noNullPrototype: true,
});
const operation = fc.oneof(
  fc.record(
    { op: fc.constantFrom('add', 'replace', 'test'), path: pointer, value: json },
    { noNullPrototype: true },
  ),
  fc.record({ op: fc.constant('remove'), path: pointer }),
  fc.record({ op: fc.constantFrom('move', 'copy'), path: pointer, from: pointer }),
);

/** The library alone; it throws where a place would be inside of a number. */
function applies(target: unknown, operations: unknown): boolean {
  try {
    return applyPatch(target, operations as never).every((error) => error === null);
  } catch {
    return false;
  }
}

describe('a JSON Patch', () => {
  it('does what the library does, or refuses, and never touches what it was given', () => {
    let appliedCount = 0;
    fc.assert(
      fc.property(document, fc.array(operation, { maxLength: 4 }), (came, operations) => {
        fc.pre(patchProblems(operations as never, 'patch').length === 0);
        const before = structuredClone(came);
        const expected: any = structuredClone(came);
        const isApplied = applies(expected, operations);
        let after: JsonObject;
        try {
          after = compilePatch(operations as never)(came as JsonObject, 1_000_000);
        } catch (error) {
          expect(error).toMatchObject({ name: 'NoPlace' });
          return;
        } finally {
          expect(came).toEqual(before);
        }
        if (!isApplied) expect(after).toBe(came);
        else {
          appliedCount++;
          expect(after).toEqual(expected);
        }
      }),
      { numRuns: 3_000 },
    );
    expect(appliedCount).toBeGreaterThan(200);
  });
});

describe('a place', () => {
  it('holds what was put there, is gone when it was taken away, and the rest stays', () => {
    fc.assert(
      fc.property(
        document,
        fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 3 }),
        (came, place) => {
          const before = structuredClone(came);
          let put: any;
          try {
            put = withValue(came as JsonObject, place, 'new');
          } catch (error) {
            expect(error).toMatchObject({ name: 'NoPlace' });
            return;
          }
          expect(place.reduce((value, token) => value[token], put)).toBe('new');
          const gone: any = without(put, place);
          expect(place.slice(0, -1).reduce((value, token) => value[token], gone)).not.toHaveProperty(
            place.slice(-1),
          );
          expect(came).toEqual(before);
          const kept = Object.keys(before).filter((name) => name !== place[0]);
          for (const name of kept) expect(gone[name]).toBe(came[name]);
        },
      ),
    );
  });
});
