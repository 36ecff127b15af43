import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildCatalogue, type Catalogue } from './catalogue.js';
import type { Naming } from './names.js';
import type { UpstreamOffer } from './offer.js';
import { readExposedUri } from './uris.js';

const always: Naming = { separator: '__', maxNameLength: 64, mode: 'always' };
const whenNeeded: Naming = { ...always, mode: 'when_needed' };

function offer(name: string, lists: Partial<UpstreamOffer> = {}): UpstreamOffer {
  return {
    upstreamId: `id-${name}`,
    upstreamName: name,
    hidden: false,
    tools: [],
    prompts: [],
    resources: [],
    templates: [],
    mirrorsParams: false,
    ...lists,
  };
}

function named(...names: string[]) {
  return names.map((name) => ({ name }));
}

function names(catalogue: Catalogue): unknown[] {
  return catalogue.listed('tools').map((tool) => tool.name);
}

describe('tools and prompts', () => {
  const catalogue = buildCatalogue(
    [
      offer('files', { tools: named('read', 'search'), prompts: named('explain') }),
      offer('github', { tools: named('search', 'files__read'), prompts: named('explain', 'review') }),
      offer('secret', { hidden: true, tools: named('launch') }),
    ],
    always,
  );

  it('are listed in the order of the configuration, hidden upstreams left out', () => {
    expect(names(catalogue)).toEqual([
      'files__read',
      'files__search',
      'github__search',
      'github__files__read',
    ]);
    expect(catalogue.listed('prompts').map((prompt) => prompt.name)).toEqual([
      'files__explain',
      'github__explain',
      'github__review',
    ]);
  });

  it('are found by the exposed name, before any bare name', () => {
    expect(catalogue.resolveTool('files__read')).toMatchObject({
      kind: 'found',
      upstreamId: 'id-files',
      name: 'read',
    });
    expect(catalogue.resolveTool('github__files__read')).toMatchObject({
      upstreamId: 'id-github',
      name: 'files__read',
    });
  });

  it('are found by a bare name that one upstream has', () => {
    expect(catalogue.resolveTool('read')).toEqual({
      kind: 'found',
      upstreamId: 'id-files',
      upstreamName: 'files',
      name: 'read',
      entry: { name: 'read' },
    });
    expect(catalogue.resolvePrompt('review')).toMatchObject({ kind: 'found', upstreamId: 'id-github' });
  });

  it('are refused under a bare name that two have', () => {
    expect(catalogue.resolveTool('search')).toEqual({
      kind: 'ambiguous',
      candidates: ['files__search', 'github__search'],
    });
    expect(catalogue.resolvePrompt('explain').kind).toBe('ambiguous');
  });

  it('are unknown otherwise, with a suggestion', () => {
    expect(catalogue.resolveTool('files__raed')).toEqual({ kind: 'unknown', nearest: 'files__read' });
    expect(catalogue.resolveTool('serach')).toEqual({ kind: 'unknown', nearest: 'files__search' });
    for (const name of ['launch', 'secret__launch', 'review', '__proto__', '']) {
      expect(catalogue.resolveTool(name).kind).toBe('unknown');
    }
  });

  it('keep their bare names where unique, when told to', () => {
    const bare = buildCatalogue(
      [offer('files', { tools: named('read', 'search') }), offer('github', { tools: named('search') })],
      whenNeeded,
    );
    expect(names(bare)).toEqual(['read', 'files__search', 'github__search']);
    expect(bare.resolveTool('files__read')).toMatchObject({ kind: 'unknown' });
  });

  it('are found under their names, each as itself, whatever the names are', () => {
    const unit = fc.constantFrom('a', 'b', '_', '__');
    const text = fc.string({ unit, maxLength: 4 });
    const offers = fc
      .uniqueArray(fc.record({ name: text, tools: fc.array(text, { maxLength: 6 }) }), {
        selector: ({ name }) => name,
        maxLength: 5,
      })
      .map((upstreams) => upstreams.map(({ name, tools }) => offer(name, { tools: named(...tools) })));
    fc.assert(
      fc.property(offers, fc.constantFrom(always, whenNeeded), (all, naming) => {
        const built = buildCatalogue(all, naming);
        const listed = names(built);
        expect(new Set(listed).size).toBe(listed.length);
        const found = built.sections('tools').flatMap(({ upstreamId, entries }) =>
          entries.map((entry) => {
            const target = built.resolveTool(entry.name as string);
            expect(target).toMatchObject({ kind: 'found', upstreamId });
            return target.kind === 'found' ? [upstreamId, target.name] : [];
          }),
        );
        const expected = all.flatMap(({ upstreamId, tools }) =>
          [...new Set((tools as { name: string }[]).map((tool) => tool.name))].map((name) => [
            upstreamId,
            name,
          ]),
        );
        expect(found).toEqual(expected);
        // A bare name is found exactly where one upstream has it, unless it is an exposed name.
        for (const [, name] of expected as [string, string][]) {
          const owners = expected.filter(([, other]) => other === name);
          const resolved = built.resolveTool(name);
          if (!listed.includes(name)) expect(resolved.kind).toBe(owners.length === 1 ? 'found' : 'ambiguous');
        }
      }),
      { numRuns: 500 },
    );
  });

  it('keep every field that nobody here knows, and their order', () => {
    const tool = {
      title: 'T',
      name: 'read',
      'x-new': [{ a: null }],
      _meta: { ui: { resourceUri: 'ui://p/1' }, k: 1 },
    };
    const before = JSON.stringify(tool);
    const built = buildCatalogue([offer('files', { tools: [tool] })], always);
    expect(JSON.stringify(built.listed('tools'))).toBe(
      `[${before.replace('"read"', '"files__read"').replace('ui://p/1', 'ui://files/p/1')}]`,
    );
    expect(JSON.stringify(tool)).toBe(before);
    expect(built.resolveTool('read')).toMatchObject({ entry: tool });
  });

  it('are left out and reported when they cannot be used', () => {
    const invalid = {
      name: 'bad',
      inputSchema: { properties: { a: { type: 'object', 'x-mcp-header': 'A' } } },
    };
    const tools = [
      null,
      'echo',
      {},
      { name: 7 },
      [],
      { name: 'echo', n: 1 },
      { name: 'echo', n: 2 },
      invalid,
    ];
    const built = buildCatalogue([offer('http', { tools, mirrorsParams: true })], always);
    expect(built.listed('tools')).toEqual([{ name: 'http__echo', n: 1 }]);
    expect(built.dropped.map(({ index, name, reason }) => `${index} ${name}: ${reason}`)).toEqual([
      ...[0, 1, 2, 3, 4].map((index) => `${index} undefined: needs an object with a string "name"`),
      '6 echo: is listed twice; the first one counts',
      '7 bad: a: x-mcp-header must stand on a string, an integer or a boolean, not on "object"',
    ]);
    const stdio = buildCatalogue([offer('stdio', { tools: [invalid] })], always);
    expect(names(stdio)).toEqual(['stdio__bad']);
  });

  it('need upstreams that can be told apart', () => {
    expect(() => buildCatalogue([offer('a'), { ...offer('b'), upstreamName: 'a' }], always)).toThrow(
      /upstreamName "a"/,
    );
    expect(() => buildCatalogue([offer('a'), { ...offer('b'), upstreamId: 'id-a' }], always)).toThrow(
      /upstreamId/,
    );
  });
});

describe('resources', () => {
  const docs = offer('docs', {
    resources: [{ uri: 'file:///a', name: 'a' }, { uri: 'file:///both' }, { name: 'no uri' }],
    templates: [
      { uriTemplate: 'docs://page/{id}' },
      { uriTemplate: 'shared://{x}' },
      { uriTemplate: 'broken://{' },
    ],
  });
  const wiki = offer('wiki', {
    resources: [{ uri: 'file:///both' }, { uri: 'ui://board/main' }],
    templates: [{ uriTemplate: 'wiki://{+path}{?rev}', name: 'w' }, { uriTemplate: 'shared://{y}' }],
    prompts: named('ask'),
  });
  const tools = offer('tools', { tools: named('t') });
  const catalogue = buildCatalogue([docs, wiki, tools], always);

  it('are listed under URIs that carry the upstream', () => {
    expect(catalogue.listed('resources')).toEqual([
      { uri: 'docs+file:///a', name: 'a' },
      { uri: 'docs+file:///both' },
      { uri: 'wiki+file:///both' },
      { uri: 'ui://wiki/board/main' },
    ]);
    expect(catalogue.listed('templates').map((template) => template.uriTemplate)).toEqual([
      'docs+docs://page/{id}',
      'docs+shared://{x}',
      'docs+broken://{',
      'wiki+wiki://{+path}{?rev}',
      'wiki+shared://{y}',
    ]);
    expect(catalogue.dropped).toMatchObject([{ kind: 'resources', index: 2, upstreamId: 'id-docs' }]);
  });

  it.each([
    ['an exposed URI', 'docs+file:///a', 'id-docs', 'file:///a'],
    ['an exposed URI that is not listed', 'tools+any://x', 'id-tools', 'any://x'],
    ['an exposed ui:// URI', 'ui://wiki/board/main', 'id-wiki', 'ui://board/main'],
    ['a listed URI of one upstream', 'file:///a', 'id-docs', 'file:///a'],
    ['a listed ui:// URI', 'ui://board/main', 'id-wiki', 'ui://board/main'],
    ['a URI in a template', 'docs://page/7', 'id-docs', 'docs://page/7'],
    ['a URI in a template with a query', 'wiki://a/b?rev=1', 'id-wiki', 'wiki://a/b?rev=1'],
  ])('are found by %s', (_, uri, upstreamId, own) => {
    expect(catalogue.resolveResource(uri)).toEqual({ kind: 'found', upstreamId, uri: own });
  });

  it('are refused when several have the URI', () => {
    expect(catalogue.resolveResource('file:///both')).toEqual({
      kind: 'ambiguous',
      candidates: ['docs+file:///both', 'wiki+file:///both'],
    });
    expect(catalogue.resolveResource('shared://1')).toEqual({
      kind: 'ambiguous',
      candidates: ['docs+shared://1', 'wiki+shared://1'],
    });
  });

  it('are unknown when nobody has them, unless only one upstream has resources at all', () => {
    expect(catalogue.resolveResource('other://x')).toEqual({ kind: 'unknown' });
    expect(catalogue.resolveResource('nobody+file:///a')).toEqual({ kind: 'unknown' });
    const alone = buildCatalogue([docs, tools], always);
    expect(alone.resolveResource('other://x')).toEqual({
      kind: 'found',
      upstreamId: 'id-docs',
      uri: 'other://x',
    });
    expect(buildCatalogue([tools], always).resolveResource('other://x')).toEqual({ kind: 'unknown' });
  });

  it('are searched in a bounded number of templates of each upstream', () => {
    const many = Array.from({ length: 101 }, (_, at) => ({ uriTemplate: `t${at}://{x}` }));
    const built = buildCatalogue([offer('many', { templates: many }), docs], always);
    expect(built.resolveResource('t99://x')).toMatchObject({ upstreamId: 'id-many' });
    expect(built.resolveResource('t100://x')).toEqual({ kind: 'unknown' });
    expect(built.resolveResource('docs://page/7')).toMatchObject({ upstreamId: 'id-docs' });
    expect(built.resolveResource('many+t100://x')).toMatchObject({ upstreamId: 'id-many', uri: 't100://x' });
  });

  it('come back to the upstream and URI they were listed with', () => {
    const uris = fc.array(fc.oneof(fc.webUrl(), fc.string({ unit: 'binary' })), { maxLength: 5 });
    fc.assert(
      fc.property(uris, uris, (first, second) => {
        const offers = [first, second].map((list, at) =>
          offer(`Up_${at}`, { resources: list.map((uri) => ({ uri })) }),
        );
        const built = buildCatalogue(offers, always);
        for (const { upstreamId, entries } of built.sections('resources')) {
          for (const { uri } of entries) {
            expect(built.resolveResource(uri as string)).toEqual({
              kind: 'found',
              upstreamId,
              uri: readExposedUri(uri as string)?.uri,
            });
          }
        }
      }),
    );
  });

  it.each([
    [
      { type: 'ref/prompt', name: 'wiki__ask', title: 'x' },
      { type: 'ref/prompt', name: 'ask', title: 'x' },
    ],
    [
      { type: 'ref/prompt', name: 'ask' },
      { type: 'ref/prompt', name: 'ask' },
    ],
    [
      { type: 'ref/resource', uri: 'wiki+wiki://{+path}{?rev}' },
      { type: 'ref/resource', uri: 'wiki://{+path}{?rev}' },
    ],
    [
      { type: 'ref/resource', uri: 'wiki://{+path}{?rev}' },
      { type: 'ref/resource', uri: 'wiki://{+path}{?rev}' },
    ],
    [
      { type: 'ref/resource', uri: 'wiki://a' },
      { type: 'ref/resource', uri: 'wiki://a' },
    ],
  ])('and prompts are found by the completion reference %j', (ref, own) => {
    expect(catalogue.resolveCompletion(ref)).toEqual({ kind: 'found', upstreamId: 'id-wiki', ref: own });
  });

  it('are found by a template that one upstream lists, though the template of another holds its text', () => {
    expect(catalogue.resolveCompletion({ type: 'ref/resource', uri: 'shared://{x}' })).toMatchObject({
      kind: 'found',
      upstreamId: 'id-docs',
    });
  });

  it('have no completion for other references', () => {
    expect(catalogue.resolveCompletion({ type: 'ref/resource', uri: 'shared://1' }).kind).toBe('ambiguous');
    const odd = [
      null,
      'x',
      {},
      { type: 'ref/prompt' },
      { type: 'ref/prompt', uri: 'ask' },
      { type: 'ref/tool', name: 't' },
    ];
    for (const ref of [
      ...odd,
      { type: 'ref/prompt', name: 'none' },
      { type: 'ref/resource', uri: 'none://' },
    ]) {
      expect(catalogue.resolveCompletion(ref).kind).toBe('unknown');
    }
  });
});
