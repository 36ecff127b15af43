import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { exposeUri, readExposedUri, rewriteUris } from './uris.js';

const SCHEME = /^[a-z][a-z0-9+.-]*:/i;
const tricky = fc.constantFrom(
  '',
  ':',
  '+',
  'a+b',
  'x.-a',
  'x.-',
  'MyServer',
  'my_server',
  '1up',
  '-a',
  'a.b',
  'a..b',
  '..',
  '.0005f',
  '\u212a',
);
const upstreamName = fc.oneof(
  tricky,
  fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$/),
  fc.string({ unit: 'binary' }),
);
const uri = fc.oneof(
  tricky,
  fc.webUrl(),
  fc.string({ unit: 'binary' }),
  fc
    .tuple(
      fc.constantFrom('ui://', 'skill://', 'ui:', 'UI://', 'demo://', 'a+ui://', ':', '://', 'file:///'),
      fc.oneof(tricky, fc.string({ unit: 'binary' }), fc.webPath()),
    )
    .map(([scheme, rest]) => scheme + rest),
);

describe('exposed URIs', () => {
  it.each([
    ['everything', 'demo://resource/1', 'everything+demo://resource/1'],
    ['My_Files', 'file:///a%20b?c#d', 'x.-.my...files+file:///a%20b?c#d'],
    ['everything', 'demo://x/{id}', 'everything+demo://x/{id}'],
    ['weather', 'ui://panel/main.html', 'ui://weather/panel/main.html'],
    ['weather', 'UI://panel', 'UI://weather/panel'],
    ['pdf', 'skill://forms/SKILL.md', 'skill://pdf/forms/SKILL.md'],
    ['notes', 'todo', 'notes+:todo'],
    ['notes', '{+uri}', 'notes+:{+uri}'],
  ])('%s offers %s as %s', (upstream, original, exposed) => {
    expect(exposeUri(upstream, original)).toBe(exposed);
    expect(readExposedUri(exposed)).toEqual({ upstreamName: upstream, uri: original });
  });

  it('map back exactly, whatever the text', () => {
    fc.assert(
      fc.property(upstreamName, uri, (upstream, original) => {
        expect(readExposedUri(exposeUri(upstream, original))).toEqual({
          upstreamName: upstream,
          uri: original,
        });
      }),
      { numRuns: 2_000 },
    );
  });

  it('are different for different upstreams or URIs', () => {
    fc.assert(
      fc.property(upstreamName, uri, upstreamName, uri, (upstream, first, other, second) => {
        if (upstream === other && first === second) return;
        expect(exposeUri(upstream, first)).not.toBe(exposeUri(other, second));
      }),
      { numRuns: 2_000 },
    );
  });

  it('have a scheme', () => {
    fc.assert(
      fc.property(upstreamName, uri, (upstream, original) => {
        expect(exposeUri(upstream, original)).toMatch(SCHEME);
      }),
    );
  });

  it('survive a client that folds the case of scheme and host, as URL parsers do', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$/), (upstream) => {
        const generic = new URL(exposeUri(upstream, 'demo://resource/1')).href;
        expect(readExposedUri(generic)).toEqual({ upstreamName: upstream, uri: 'demo://resource/1' });
        const kept = exposeUri(upstream, 'ui://panel/main');
        expect(readExposedUri(new URL(kept).href)).toEqual({
          upstreamName: upstream,
          uri: 'ui://panel/main',
        });
        const shouted = kept.replace(/\/\/[^/]+/, (host) => host.toUpperCase());
        expect(readExposedUri(shouted)).toEqual({ upstreamName: upstream, uri: 'ui://panel/main' });
      }),
    );
  });

  it('of a template expand to the exposed form of the expansion', () => {
    expect(readExposedUri('notes+:ui://a/b')).toEqual({ upstreamName: 'notes', uri: 'ui://a/b' });
    expect(readExposedUri('everything+demo://x/7')).toEqual({
      upstreamName: 'everything',
      uri: 'demo://x/7',
    });
  });

  it.each([
    'demo://resource/1',
    'everything',
    'every_thing+demo://x',
    'x.-abc+demo://x',
    'a.0005f+demo://x',
    'a+b',
    '+demo://x',
    'ui://panel',
    'ui://pa_nel/main',
    '',
  ])('are not read out of %j', (text) => {
    expect(readExposedUri(text)).toBeUndefined();
  });
});

describe('rewriteUris', () => {
  const map = (original: string) => exposeUri('up', original);

  it('finds URIs where messages hold them', () => {
    expect(
      rewriteUris(
        'tools/call result',
        {
          content: [
            { type: 'text', text: 'demo://a' },
            { type: 'resource_link', uri: 'demo://a', name: 'a' },
            { type: 'resource', resource: { uri: 'demo://b', text: 'demo://b' } },
          ],
          structuredContent: { uri: 'demo://c' },
        },
        map,
      ),
    ).toEqual({
      content: [
        { type: 'text', text: 'demo://a' },
        { type: 'resource_link', uri: 'up+demo://a', name: 'a' },
        { type: 'resource', resource: { uri: 'up+demo://b', text: 'demo://b' } },
      ],
      structuredContent: { uri: 'demo://c' },
    });
    expect(
      rewriteUris(
        'prompts/get result',
        { messages: [{ role: 'user', content: { type: 'resource', resource: { uri: 'demo://a' } } }] },
        map,
      ).messages[0]?.content.resource.uri,
    ).toBe('up+demo://a');
    expect(rewriteUris('resources/read result', { contents: [{ uri: 'demo://a' }] }, map)).toEqual({
      contents: [{ uri: 'up+demo://a' }],
    });
    expect(rewriteUris('resources/read error', { code: -32602, data: { uri: 'demo://a' } }, map)).toEqual({
      code: -32602,
      data: { uri: 'up+demo://a' },
    });
    expect(rewriteUris('notifications/resources/updated params', { uri: 'demo://a' }, map)).toEqual({
      uri: 'up+demo://a',
    });
    expect(
      rewriteUris(
        'tool definition',
        { name: 't', _meta: { ui: { resourceUri: 'ui://a/b', csp: {} }, 'ui/resourceUri': 'ui://a/b' } },
        map,
      ),
    ).toEqual({
      name: 't',
      _meta: { ui: { resourceUri: 'ui://up/a/b', csp: {} }, 'ui/resourceUri': 'ui://up/a/b' },
    });
  });

  it('returns the very same value when there is nothing to rewrite, and never changes its input', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const before = JSON.stringify(value);
        expect(rewriteUris('tools/call result', value, (text) => text)).toBe(value);
        rewriteUris('tools/call result', { content: [value, { uri: 'a', resource: value }] }, map);
        expect(JSON.stringify(value)).toBe(before);
      }),
    );
  });

  it('leaves members alone that have the wrong shape', () => {
    for (const odd of [null, 7, 'text', [], { content: 'x' }, { content: [null, 3, { uri: 4 }, []] }]) {
      expect(rewriteUris('tools/call result', odd, map)).toBe(odd);
    }
    const inherited = JSON.parse('{"__proto__":{"contents":[{"uri":"demo://a"}]}}');
    expect(rewriteUris('resources/read result', inherited, map)).toBe(inherited);
  });
});
