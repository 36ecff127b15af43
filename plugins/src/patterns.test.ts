import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compilePattern, compilePatterns, patternProblem } from './patterns.js';

const is = (pattern: string, upstream: string, name: string) => compilePattern(pattern)({ upstream, name });

describe('patterns', () => {
  it.each([
    ['files:read', 'files', 'read', true],
    ['files:read', 'files', 'read_all', false],
    ['files:read', 'file', 's:read', false],
    ['files:*', 'files', 'read', true],
    ['files:*', 'files2', 'read', false],
    ['*:read', 'anything', 'read', true],
    ['*:*', 'a', 'b', true],
    ['files-*:read_*', 'files-eu', 'read_', true],
    ['files:*_all', 'files', 'read_all', true],
    ['files:*_all', 'files', '_all', true],
    ['files:a*a', 'files', 'a', false],
    ['files:a*b*c', 'files', 'a-bb-c', true],
    ['files:a*b*b', 'files', 'ab', false],
    ['files:**', 'files', 'x', true],
    ['docs:file:///a/*', 'docs', 'file:///a/b', true],
    ['docs:file:///a/*', 'docs', 'file:///b', false],
    ['*:file:*', 'docs', 'file:///b', true],
  ])('%s and %s, %s: %s', (pattern, upstream, name, expected) => {
    expect(is(pattern, upstream, name)).toBe(expected);
    expect(compilePatterns(['other:other', pattern])({ upstream, name })).toBe(expected);
  });

  it('never takes a name with a colon for another upstream', () => {
    expect(is('admin:delete', 'public', 'admin:delete')).toBe(false);
    expect(is('admin:*', 'public', 'admin:delete')).toBe(false);
    expect(is('*:delete', 'public', 'admin:delete')).toBe(false);
  });

  it.each([
    ['another case', 'Read'],
    ['a Cyrillic letter that looks the same', 'r\u0435ad'],
    ['full-width letters', '\uff52\uff45\uff41\uff44'],
    ['a combined letter taken apart', 'read\u0301'],
    ['a zero-width space', 'read\u200b'],
    ['percent-encoding', 're%61d'],
    ['a space behind', 'read '],
  ])('does not take %s for the same', (_, name) => {
    expect(is('files:read', 'files', name)).toBe(false);
  });

  it('gives no other character a meaning', () => {
    expect(is('files:a.c', 'files', 'abc')).toBe(false);
    expect(is('files:(a|b)+', 'files', '(a|b)+')).toBe(true);
    expect(is('files:[a-z]?', 'files', 'b')).toBe(false);
  });

  it.each([
    ['read', /no colon/],
    ['*', /no colon/],
    ['', /no colon/],
    [':read', /before the colon/],
    ['files:', /behind the colon/],
    [`files:${'x'.repeat(3_000)}`, /longer than 2048/],
  ])('refuses %j', (pattern, problem) => {
    expect(patternProblem(pattern)).toMatch(problem);
    expect(() => compilePattern(pattern)).toThrow(problem);
  });

  it('means nothing without patterns', () => {
    expect(compilePatterns([])({ upstream: 'files', name: 'read' })).toBe(false);
  });

  it('agrees with the plain definition of a wildcard', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', ':'), maxLength: 8 });
    const wild = fc.string({ unit: fc.constantFrom('a', 'b', '*'), minLength: 1, maxLength: 6 });
    const slow = (pattern: string, text: string): boolean => {
      if (pattern === '') return text === '';
      if (pattern[0] === '*')
        return slow(pattern.slice(1), text) || (text !== '' && slow(pattern, text.slice(1)));
      return pattern[0] === text[0] && slow(pattern.slice(1), text.slice(1));
    };
    fc.assert(
      fc.property(wild, wild, letters, letters, (own, named, upstream, name) => {
        expect(is(`${own}:${named}`, upstream, name)).toBe(slow(own, upstream) && slow(named, name));
      }),
      { numRuns: 2_000 },
    );
  });

  it('does not hang on a pattern that was made for it', () => {
    const pattern = `files:${'*a'.repeat(1_000)}b`;
    expect(is(pattern, 'files', 'a'.repeat(100_000))).toBe(false);
  });
});
