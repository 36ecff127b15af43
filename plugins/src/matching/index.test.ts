import { Refusal } from '@sluice/sdk';
import fc from 'fast-check';
import { RE2JS } from 're2js';
import { describe, expect, it } from 'vitest';
import { MAX_AT_ONCE_LENGTH, TextPatterns, textPatternProblem } from './index.js';
import { threadCount } from './pool.js';

const LONG = MAX_AT_ONCE_LENGTH * 2;
const NAMES = [
  { id: 'ticket', pattern: 'TICKET-[0-9]{4}\\b' },
  { id: 'name', pattern: '\\bada\\b', ignoresCase: true },
];

describe('patterns in texts', () => {
  it('are placed', async () => {
    const text = 'Ada had TICKET-1234 and TICKET-99, and adamant ADA said so';
    expect(new TextPatterns(NAMES).scan(text)).toEqual([
      { id: 'ticket', start: 8, end: 19 },
      { id: 'name', start: 0, end: 3 },
      { id: 'name', start: 47, end: 50 },
    ]);
    expect(new TextPatterns(NAMES).found(text)).toEqual(['ticket', 'name']);
    expect(new TextPatterns(NAMES).found('TICKET-12')).toEqual([]);
  });

  it('are found in long texts by a thread, at the same places', async () => {
    const text = `${'x '.repeat(LONG)}TICKET-1234 ${'y '.repeat(LONG)}ada`;
    const patterns = new TextPatterns(NAMES);
    const matches = await patterns.scan(text);
    expect(patterns.scan(text)).toBeInstanceOf(Promise);
    expect(patterns.scan('x'.repeat(MAX_AT_ONCE_LENGTH))).toEqual([]);
    expect(matches).toEqual(patterns.scanHere(text));
    expect(matches.map(({ start, end }) => text.slice(start, end))).toEqual(['TICKET-1234', 'ada']);
    expect(await patterns.found(text)).toEqual(['ticket', 'name']);
    expect(threadCount()).toBeGreaterThan(0);
  });

  it('are refused when too many long texts wait', async () => {
    const patterns = new TextPatterns(NAMES);
    const text = `${'x '.repeat(LONG)}ada`;
    const all = await Promise.allSettled(Array.from({ length: 100 }, async () => patterns.found(text)));
    const refused = all.filter((each) => each.status === 'rejected').map(({ reason }) => reason);
    expect(refused.length).toBeGreaterThan(0);
    for (const each of refused) expect([each instanceof Refusal, each.kind]).toEqual([true, 'limited']);
    const found = all.filter((each) => each.status === 'fulfilled').map(({ value }) => value);
    expect(found.length).toBeGreaterThan(60);
    expect(found).toEqual(found.map(() => ['name']));
  });

  it('need no thread where there are none', () => {
    expect(new TextPatterns([]).scan('x'.repeat(LONG))).toEqual([]);
  });

  it('see the text around them, wherever a window begins', () => {
    const patterns = new TextPatterns([
      { id: 'first', pattern: '^ab' },
      { id: 'word', pattern: '\\bab\\b' },
    ]);
    for (let before = 3_060; before < 3_080; before += 1) {
      const text = `${'x'.repeat(before)}ab ab${'x'.repeat(5_000)}`;
      expect(patterns.scanHere(text)).toEqual([]);
      const spaced = `${'x'.repeat(before)} ab ab${'x'.repeat(5_000)}`;
      expect(patterns.scanHere(spaced)).toEqual([{ id: 'word', start: before + 1, end: before + 3 }]);
    }
  });

  it('are placed as RE2 places them', () => {
    const piece = fc.constantFrom('ab', 'aab', ' ', 'x'.repeat(900), 'ab'.repeat(700), 'xyz');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const text = pieces.join('');
        const expected = [...RE2JS.compile('a+b\\s?').matchAll(text)].map(({ index, 0: own }) => ({
          id: 'it',
          start: index as number,
          end: (index as number) + (own as string).length,
        }));
        const found = new TextPatterns([{ id: 'it', pattern: 'a+b\\s?' }]).scanHere(text);
        // A window that is full of matches is one; what is covered is the same.
        for (const { start, end } of expected)
          expect(found.some((each) => each.start <= start && end <= each.end)).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  it('of a match that is longer than any window take all of the text', () => {
    const text = `before BEGIN${'x'.repeat(9_000)}END behind`;
    const matches = new TextPatterns([{ id: 'it', pattern: 'BEGINx+END' }]).scanHere(text);
    expect(matches).toEqual([{ id: 'it', start: 0, end: text.length }]);
  });

  it.each([
    ['(', /RE2's syntax/],
    ['(a)\\1', /backreferences/],
    ['(?=a)', /lookaround/],
    ['a*', /empty text/],
    ['(?:a{500}){1000}b', /RE2's syntax|repeats too much/],
    ['x'.repeat(5_000), /longer than 4096/],
  ])('are not %s', (pattern, problem) => {
    expect(textPatternProblem(pattern)).toMatch(problem);
  });
});

describe('what a text costs', () => {
  /** Finds that RE2 is asked for; each takes a pass over one window at most. */
  function findCount(pattern: string, text: string): number {
    const matcher = Object.getPrototypeOf(RE2JS.compile('a').matcher('')) as { find: () => boolean };
    const before = matcher.find;
    let count = 0;
    matcher.find = function counted(this: unknown, ...rest: []) {
      count += 1;
      return before.apply(this, rest);
    };
    try {
      new TextPatterns([{ id: 'it', pattern }]).scanHere(text);
    } finally {
      matcher.find = before;
    }
    return count;
  }

  it.each([
    ['(?:a+)+b|a', 'a'],
    ['a.*z|a', 'a'],
    ['(?:a|a)*b|a', 'a'],
    ['(?:a?){50}a{50}', 'a'],
    ['(?:[a-z]+[0-9]*)*!|[a-z]', 'a'],
  ])('%s grows as the text grows', (pattern, unit) => {
    const short = findCount(pattern, unit.repeat(25_000));
    const long = findCount(pattern, unit.repeat(100_000));
    expect(short).toBeGreaterThan(0);
    expect(long / short).toBeLessThan(5);
    expect(long).toBeLessThan((100_000 / 3_072 + 1) * 258);
  });
});
