import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { substitute } from './substitution.js';

const environment = { HOST: 'h.example', EMPTY: '', NESTED: '${HOST}', DOLLARS: '$${HOST}' };

/** By a function, because `$` means something in a replacement text. */
const escapeReferences = (text: string) => text.replaceAll('${', () => '$${');

describe('substitute', () => {
  it.each([
    ['plain', 'plain'],
    ['${HOST}', 'h.example'],
    ['a-${HOST}-b-${HOST}', 'a-h.example-b-h.example'],
    ['${MISSING:-fallback}', 'fallback'],
    ['${MISSING:-}', ''],
    ['${EMPTY:-fallback}', 'fallback'],
    ['[${EMPTY}]', '[]'],
    ['${HOST:-fallback}', 'h.example'],
    ['${MISSING:-http://h:1/$x?a=b}', 'http://h:1/$x?a=b'],
    ['$${HOST}', '${HOST}'],
    ['$$${HOST}', '$${HOST}'],
    ['$HOST costs 5$ {x}', '$HOST costs 5$ {x}'],
    ['${NESTED}', '${HOST}'],
    ['${DOLLARS}', '$${HOST}'],
  ])('reads %s as %s', (input, text) => {
    expect(substitute(input, environment)).toMatchObject({ text });
  });

  it.each([
    ['ab${MISSING}', 2, /MISSING is not set/],
    ['${', 0, /does not begin a reference/],
    ['${HOST', 0, /does not begin a reference/],
    ['x${}', 1, /does not begin a reference/],
    ['${1HOST}', 0, /does not begin a reference/],
    ['${HOST-x}', 0, /does not begin a reference/],
    ['${input:token}', 0, /does not begin a reference/],
    ['${MISSING:-${HOST}}', 0, /does not begin a reference/],
  ])('refuses %s', (input, offset, message) => {
    expect(substitute(input, environment)).toEqual({
      offset,
      message: expect.stringMatching(message),
      hint: expect.stringMatching(/\$\{/),
    });
  });

  it('names the variables that were asked for', () => {
    expect(substitute('${HOST}${MISSING:-x}', environment)).toMatchObject({ variables: ['HOST', 'MISSING'] });
  });

  const anyText = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(fc.constantFrom('$', '{', '}', '${', '$${', ':-', 'A', ' ')).map((parts) => parts.join('')),
  );

  it('gives back any text whose references are escaped', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(substitute(escapeReferences(text), {})).toMatchObject({ text });
      }),
    );
  });

  it('puts in any value as it is, between any texts', () => {
    const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,20}$/);
    fc.assert(
      fc.property(anyText, name, anyText, anyText, (before, variable, value, after) => {
        // A dollar sign in front of a reference would escape it.
        const left = before.replace(/\$+$/, '');
        const input = `${escapeReferences(left)}\${${variable}}${escapeReferences(after)}`;
        expect(substitute(input, { [variable]: value })).toMatchObject({ text: left + value + after });
      }),
    );
  });

  it('takes any default without a brace when the variable is missing', () => {
    const fallback = anyText.map((text) => text.replaceAll(/[{}]/g, ''));
    fc.assert(
      fc.property(fallback, (text) => {
        expect(substitute(`\${MISSING:-${text}}`, {})).toMatchObject({ text });
      }),
    );
  });

  it('never throws', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const result = substitute(text, { A: 'a' });
        expect('text' in result || result.message !== '').toBe(true);
      }),
    );
  });
});
