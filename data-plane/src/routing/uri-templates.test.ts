import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileUriTemplate, matchesUriTemplate } from './uri-templates.js';

function matches(template: string, uri: string): boolean {
  const compiled = compileUriTemplate(template);
  return compiled !== undefined && matchesUriTemplate(compiled, uri);
}

describe('URI templates', () => {
  it.each([
    ['demo://x/{id}', 'demo://x/7'],
    ['demo://x/{id}', 'demo://x/a%2Fb'],
    ['demo://x/{id}', 'demo://x/'],
    ['demo://x/{id}/y', 'demo://x/y/y'],
    ['file:///{+path}', 'file:///a/b/c.txt?d#e'],
    ['{+uri}', 'anything://at/all'],
    ['demo://x{/a,b}', 'demo://x/1/2'],
    ['demo://x{/a*}', 'demo://x'],
    ['demo://x{?q,page}', 'demo://x?q=1&page=2'],
    ['demo://x{?q}', 'demo://x'],
    ['demo://x?fixed=1{&q}', 'demo://x?fixed=1&q=2'],
    ['demo://x{#part}', 'demo://x#part/1'],
    ['demo://x{.format}', 'demo://x.json'],
    ['demo://x{;v}', 'demo://x;v=1'],
    ['demo://{a}-{b}/{c:3}', 'demo://1-2-3/abc'],
    ['demo://plain', 'demo://plain'],
  ])('%s holds %s', (template, uri) => {
    expect(matches(template, uri)).toBe(true);
  });

  it.each([
    ['demo://x/{id}', 'demo://x/a/b'],
    ['demo://x/{id}', 'demo://x/a?b'],
    ['demo://x/{id}', 'demo://y/1'],
    ['demo://x/{id}/y', 'demo://x/1/z'],
    ['demo://x{/a}', 'demo://xa'],
    ['demo://x{?q}', 'demo://x/1?q=2'],
    ['demo://x{?q}', 'demo://xq=2'],
    ['demo://x{#part}', 'demo://x/1'],
    ['demo://plain', 'demo://plain/more'],
  ])('%s does not hold %s', (template, uri) => {
    expect(matches(template, uri)).toBe(false);
  });

  it.each([
    'demo://{',
    'demo://}',
    'demo://{a{b}}',
    'demo://{}',
    'demo://{+}',
    'demo://{a}}',
    '{'.repeat(5_000),
  ])('%.20j is malformed', (template) => {
    expect(compileUriTemplate(template)).toBeUndefined();
  });

  it('hold their own expansions', () => {
    const value = fc.string({ unit: fc.constantFrom('a', 'b', '-', '%2F', '.', ','), maxLength: 6 });
    const literal = fc.string({ unit: fc.constantFrom('a', '/', '-', '?', '.'), maxLength: 4 });
    const expressions: [string, (value: string) => string][] = [
      ['{x}', (text) => text],
      ['{+x}', (text) => `${text}/?#${text}`],
      ['{#x}', (text) => `#${text}`],
      ['{.x}', (text) => `.${text}`],
      ['{/x,y}', (text) => `/${text}/${text}`],
      ['{;x}', (text) => `;x=${text}`],
      ['{?x,y}', (text) => `?x=${text}&y=/`],
      ['{&x}', (text) => `&x=${text}`],
    ];
    const part = fc.tuple(literal, fc.constantFrom(...expressions), value, fc.boolean());
    fc.assert(
      fc.property(fc.array(part, { maxLength: 5 }), (parts) => {
        const template = parts.map(([text, [expression]]) => text + expression).join('');
        const uri = parts.map(([text, [, expand], v, empty]) => text + (empty ? '' : expand(v))).join('');
        expect(matches(template, uri)).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });

  it('never throw', () => {
    const text = fc.string({ unit: fc.constantFrom('{', '}', '+', '/', 'a', '?', ','), maxLength: 20 });
    fc.assert(fc.property(text, text, (template, uri) => typeof matches(template, uri) === 'boolean'));
  });

  it('give an answer for long hostile input', () => {
    const template = `{x}${'a'.repeat(90)}`.repeat(10);
    expect(matches(template, `${'a'.repeat(2_046)}!/`)).toBe(false);
    expect(matches(template, 'a'.repeat(2_048))).toBe(true);
    expect(matches('{x}', 'a'.repeat(2_049))).toBe(false);
    expect(compileUriTemplate('{x}'.repeat(11))).toBeUndefined();
  });
});
