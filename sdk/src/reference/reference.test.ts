import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { declarationsOf, exportsOf, headComment, membersOf } from './declarations.js';
import { sdkPage } from './sdk-page.js';

/** What the compiler has made of the sources. */
const read = (name: string) => readFileSync(new URL(`../../dist/${name}.d.ts`, import.meta.url), 'utf8');

describe('the reference page of the SDK', () => {
  it('is as committed (else: npm run generate -w @sluice/sdk)', () => {
    const file = new URL('../../../docs/reference/sdk.md', import.meta.url);
    expect(readFileSync(file, 'utf8')).toBe(sdkPage(read));
  });

  it.each([
    ['attributes', 'Attributes'],
    ['exchange', 'Target'],
    ['identity', 'Identity'],
    ['plugin', 'Hooks'],
  ])('has a meaning for everything of %s, %s', (file, name) => {
    const declaration = declarationsOf(read(file)).get(name);
    if (declaration === undefined) throw new Error(`there is no ${name}`);
    for (const member of membersOf(declaration)) expect(member.doc, member.name).toMatch(/\.$/);
  });
});

const EMITTED = `/** What the file is. */
import type { B } from './b.js';
/** Says {@link B}: a text with a brace, "}". */
export declare const A = "{";
/**
 * Two lines
 * of it.
 */
export interface Shape<T> {
    /** One. */
    readonly one: \`x.\${string}\`;
    two?(value: {
        readonly inner: T;
    }): void;
}
declare const hidden: unique symbol;
export declare class Made {
    private readonly parts;
    /** Hidden too. */
    private read;
    /** Seen. */
    get seen(): number;
}
export declare const Twice: number;
export type Twice = typeof Twice;
export {};
//# sourceMappingURL=a.d.ts.map`;

describe('declarations', () => {
  const found = declarationsOf(EMITTED);

  it('are read with their docstrings', () => {
    expect(headComment(EMITTED)).toBe('What the file is.');
    expect([...found.keys()]).toEqual(['A', 'Shape', 'Made', 'Twice']);
    expect(found.get('A')).toEqual({
      name: 'A',
      doc: 'Says `B`: a text with a brace, "}".',
      code: 'const A = "{";',
    });
    expect(found.get('Shape')?.doc).toBe('Two lines of it.');
    expect(found.get('Twice')?.code).toBe('const Twice: number;\ntype Twice = typeof Twice;');
  });

  it('have members, and none that are private', () => {
    expect(membersOf(found.get('Shape') as never)).toEqual([
      { name: 'one', code: 'readonly one: `x.${string}`', doc: 'One.' },
      { name: 'two', code: 'two?(value: { readonly inner: T; }): void', doc: '' },
    ]);
    expect(found.get('Made')?.code).toBe('class Made {\n    /** Seen. */\n    get seen(): number;\n}');
  });

  it('are passed on by name and file', () => {
    const index = `export { type Static, Type } from 'x';\nexport type { A, B } from './a.js';\nexport { C } from './c.js';\n`;
    expect([...exportsOf(index)]).toEqual([
      ['x', ['Static', 'Type']],
      ['./a.js', ['A', 'B']],
      ['./c.js', ['C']],
    ]);
  });
});
