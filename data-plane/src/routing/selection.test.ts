import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildCatalogue } from './catalogue.js';
import type { UpstreamOffer } from './offer.js';
import { compileSelection } from './selection.js';

const NAMING = { separator: '__', mode: 'when_needed', maxNameLength: 64 } as const;

function offer(
  upstreamName: string,
  tools: readonly string[],
  more: Partial<UpstreamOffer> = {},
): UpstreamOffer {
  return {
    upstreamId: `id of ${upstreamName}`,
    upstreamName,
    hidden: false,
    tools: tools.map((name) => ({ name, description: `${name} of ${upstreamName}` })),
    prompts: [],
    resources: [],
    templates: [],
    mirrorsParams: false,
    ...more,
  };
}

const items = (parts: object) =>
  compileSelection({ kind: 'items', tools: [], prompts: [], resources: [], ...parts });
const toolsOf = (offers: readonly UpstreamOffer[], tools: readonly object[]) =>
  buildCatalogue(offers, NAMING, items({ tools }));

describe('tools that are picked one by one', () => {
  it('are shown by their own names, and nothing else is there', () => {
    const catalogue = toolsOf([offer('a', ['x', 'y']), offer('b', ['z'])], [{ upstream: 'a', name: 'x' }]);
    expect(catalogue.listed('tools')).toEqual([{ name: 'x', description: 'x of a' }]);
    expect(catalogue.resolveTool('x')).toMatchObject({ kind: 'found', upstreamId: 'id of a', name: 'x' });
    for (const name of ['y', 'z', 'a__y', 'b__z']) expect(catalogue.resolveTool(name).kind).toBe('unknown');
  });

  it('get the name and the description that they are given, and go by no other', () => {
    const pick = { upstream: 'a', name: 'x', rename: 'find', description: 'Finds it.' };
    const catalogue = toolsOf([offer('a', ['x'])], [pick]);
    expect(catalogue.listed('tools')).toEqual([{ name: 'find', description: 'Finds it.' }]);
    expect(catalogue.resolveTool('find')).toMatchObject({ kind: 'found', name: 'x' });
    expect(catalogue.resolveTool('x').kind).toBe('unknown');
    expect(catalogue.resolveTool('a__x').kind).toBe('unknown');
  });

  it('keep a given name that another tool has by itself, which makes way', () => {
    const catalogue = toolsOf(
      [offer('a', ['x']), offer('b', ['find'])],
      [
        { upstream: 'a', name: 'x', rename: 'find' },
        { upstream: 'b', name: 'find' },
      ],
    );
    expect(catalogue.resolveTool('find')).toMatchObject({ kind: 'found', upstreamId: 'id of a', name: 'x' });
    expect(catalogue.resolveTool('b__find')).toMatchObject({ kind: 'found', upstreamId: 'id of b' });
    expect(catalogue.listed('tools').map(({ name }) => name)).toEqual(['find', 'b__find']);
  });

  it('may be of an upstream that is hidden elsewhere', () => {
    const hidden = offer('a', ['x'], { hidden: true });
    expect(toolsOf([hidden], [{ upstream: 'a', name: '*' }]).listed('tools')).toHaveLength(1);
  });

  it.each([
    ['*', ['read', 'write']],
    ['re*', ['read']],
    ['*e', ['write']],
    ['r*d', ['read']],
    ['*r*t*', ['write']],
    ['read*read', []],
    ['*a*a*', []],
  ])('by the pattern %s', (name, expected) => {
    const listed = toolsOf([offer('a', ['read', 'write'])], [{ upstream: 'a', name }]).listed('tools');
    expect(listed.map((entry) => entry.name)).toEqual(expected);
  });

  it('by patterns mean what a regular expression of them means', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 8 });
    const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '*'), minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(text, pattern, (name, picked) => {
        const found =
          toolsOf([offer('u', [name])], [{ upstream: 'u', name: picked }]).listed('tools').length === 1;
        expect(found).toBe(new RegExp(`^${picked.replaceAll('*', '.*')}$`).test(name));
      }),
    );
  });
});

describe('resources that are picked', () => {
  const files = offer('files', [], {
    resources: [{ uri: 'file:///pub/a' }, { uri: 'file:///etc/passwd' }],
    templates: [{ uriTemplate: 'note:///{id}' }, { uriTemplate: 'secret:///{id}' }],
  });
  const catalogue = buildCatalogue(
    [files],
    NAMING,
    items({
      resources: [
        { upstream: 'files', uri: 'file:///pub/*' },
        { upstream: 'files', uri: 'note:///{id}' },
      ],
    }),
  );

  it('are listed, and others are not', () => {
    expect(catalogue.listed('resources').map(({ uri }) => uri)).toEqual(['files+file:///pub/a']);
    expect(catalogue.listed('templates').map(({ uriTemplate }) => uriTemplate)).toEqual([
      'files+note:///{id}',
    ]);
  });

  it.each([
    ['files+file:///pub/a', 'found'],
    ['files+file:///pub/unlisted', 'found'],
    ['file:///pub/a', 'found'],
    ['files+note:///7', 'found'],
    ['note:///7', 'found'],
    ['files+file:///etc/passwd', 'unknown'],
    ['file:///etc/passwd', 'unknown'],
    ['files+secret:///7', 'unknown'],
    ['secret:///7', 'unknown'],
    ['files+file:///pub', 'unknown'],
  ])('%s is %s', (uri, kind) => {
    expect(catalogue.resolveResource(uri).kind).toBe(kind);
    expect(catalogue.resolveTemplateOrUri(uri).kind).toBe(kind);
  });
});

describe('upstreams that are picked', () => {
  it('are there with everything, the hidden ones too, and others are not', () => {
    const offers = [offer('a', ['x'], { hidden: true }), offer('b', ['y']), offer('c', ['z'])];
    const some = compileSelection({ kind: 'upstreams', upstreams: ['a', 'c'] });
    expect(
      buildCatalogue(offers, NAMING, some)
        .listed('tools')
        .map(({ name }) => name),
    ).toEqual(['x', 'z']);
    const all = compileSelection({ kind: 'upstreams', upstreams: [] });
    expect(
      buildCatalogue(offers, NAMING, all)
        .listed('tools')
        .map(({ name }) => name),
    ).toEqual(['y', 'z']);
  });
});
