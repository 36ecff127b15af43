import fc from 'fast-check';
import { expect, it } from 'vitest';
import { jsonFault } from './json-fault.js';

it.each([
  ['', 1, 1],
  ['{', 1, 2],
  ['{"a":}', 1, 6],
  ['{"a": 1,}', 1, 9],
  ['{\n  "a": 1\n  "b": 2\n}', 3, 3],
  ['[1, 2', 1, 6],
  ['[01]', 1, 2],
  ['{a: 1}', 1, 2],
  ["{'a': 1}", 1, 2],
  ['"a\tb"', 1, 3],
  ['"a\\x"', 1, 3],
  ['{} {}', 1, 4],
  ['[1}', 1, 3],
  ['nul', 1, 1],
])('finds where %j ends to be JSON', (text, line, column) => {
  expect(jsonFault(text)).toEqual({ line, column });
});

it('finds a fault where the platform finds one, and nowhere else', () => {
  const nearlyJson = fc
    .tuple(fc.json(), fc.nat(), fc.constantFrom('', ',', '"', '}', ']', ':', '0', '\\', ' ', 'e', '-', '\n'))
    .map(([text, place, piece]) => {
      const at = place % (text.length + 1);
      return text.slice(0, at) + piece + text.slice(piece === '' ? at + 1 : at);
    });
  fc.assert(
    fc.property(nearlyJson, (text) => {
      let isJson = true;
      try {
        JSON.parse(text);
      } catch {
        isJson = false;
      }
      expect(jsonFault(text) === undefined).toBe(isJson);
    }),
    { numRuns: 2_000 },
  );
});
