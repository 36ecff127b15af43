import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseConfiguration } from './load.js';

const read = (text: string, file: string) => parseConfiguration(text, { file, environment: {} });

/** Ten aliases of ten aliases of …: nine levels make a thousand million values. */
function aliasBomb(): string {
  const levels = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
  for (let level = 1; level < 9; level++) {
    levels.push(`a${level}: &a${level} [${Array.from({ length: 10 }, () => `*a${level - 1}`).join(', ')}]`);
  }
  return `${levels.join('\n')}\n`;
}

const DEEP = 100_000;

describe('hostile files', () => {
  it.each([
    ['an alias bomb', aliasBomb(), 'a.yaml', /more than 100000 values/],
    ['an alias that holds itself', 'upstreams: &a [*a]\n', 'a.yaml', /nested more than 32 levels deep/],
    ['deep flow sequences', '['.repeat(DEEP), 'a.yaml', /nested more than 32/],
    ['deep flow mappings', '{a: '.repeat(DEEP), 'a.yaml', /nested more than 32/],
    ['deep block sequences', '- '.repeat(DEEP), 'a.yaml', /nested more than 32/],
    ['deep explicit keys', '? '.repeat(DEEP), 'a.yaml', /nested more than 32/],
    ['deep JSON', `${'{"a":'.repeat(DEEP)}1${'}'.repeat(DEEP)}`, 'a.json', /nested more than 32/],
    ['deep TOML lists', `a = ${'['.repeat(DEEP)}`, 'a.toml', /nested/],
    [
      'deep TOML lists within its own limit',
      `a = ${'['.repeat(200)}${']'.repeat(200)}`,
      'a.toml',
      /nested more than 32/,
    ],
    ['deep TOML keys', `${'a.'.repeat(200)}a = 1`, 'a.toml', /nested more than 32/],
    ['many values', `a: [${'x,'.repeat(100_001)}]`, 'a.yaml', /more than 100000 values/],
    ['many TOML values', `a = [${'1,'.repeat(100_001)}]`, 'a.toml', /more than 100000 values/],
    ['many aliases', `a: [&a x, ${'*a,'.repeat(100_001)}]`, 'a.yaml', /more than 100000 values/],
    ['many equal keys', 'a: 1\n'.repeat(100_000), 'a.yaml', /twice/],
  ])('%s', (_, text, file, message) => {
    const { configuration, problems } = read(text, file);
    expect(configuration).toBeUndefined();
    expect(problems).toMatchObject([
      {
        severity: 'error',
        line: expect.any(Number),
        column: expect.any(Number),
        message: expect.stringMatching(message),
      },
    ]);
  });

  it.each([
    ['a tab', 'a:\n\tb: 1\n', 'a.yaml', 2, /tab/],
    ['a key twice', 'gateway: {}\nupstreams: {}\ngateway: {}\n', 'a.yaml', 3, /twice/],
    ['a key twice in JSON', '{"gateway": {},\n"gateway": {}}', 'a.json', 2, /twice/],
    ['a key twice in TOML', 'a = 1\na = 2', 'a.toml', 2, /redefine/],
    ['an unknown alias', 'upstreams: {}\ngateway: *nothing\n', 'a.yaml', 2, /alias/],
    ['a tag', 'gateway: !!js/function "x"\n', 'a.yaml', 1, /tag/],
    ['a second document', 'gateway: {}\n---\nupstreams: {}\n', 'a.yaml', 2, /second document/],
    ['a mapping as key', '? {a: b}\n: c\n', 'a.yaml', 1, /plain text/],
    [
      'an unclosed brace',
      'gateway: {listen: {}\nupstreams: {}\n',
      'a.yaml',
      2,
      /^what begins with \{ must .*}$/,
    ],
    ['an unclosed brace in JSON', '{"gateway": {}', 'a.json', 1, /^what begins with \{ must end with a }$/],
    ['an unclosed quote', '{"gateway": "x', 'a.json', 1, /closing/],
    ['a comment in JSON without an end', '{\n"gateway": {} /* comment\n}', 'a.json', 2, /does not end/],
    [
      'a mistake behind a comment in JSON',
      '// one\n{ /* two\n"*/ "gateway": x}',
      'a.json',
      3,
      /not a JSON value/,
    ],
    ['a bare word in JSON', '{"gateway": x}', 'a.json', 1, /not a JSON value/],
    ['an unclosed TOML text', 'a = "x', 'a.toml', 1, /unfinished string/],
    ['TOML without an ending', '[gateway]\nport = \n', 'conf', 2, /not valid TOML/],
    ['YAML without an ending', 'gateway:\n  listen: [\n', 'conf', 3, /^what begins with \[ must .*]$/],
  ])('say where the mistake is: %s', (_, text, file, line, message) => {
    const { configuration, problems } = read(text, file);
    expect(configuration).toBeUndefined();
    expect(problems[0]).toMatchObject({
      file,
      line,
      message: expect.stringMatching(message),
      hint: expect.any(String),
    });
  });

  it('never show what stands beside a mistake', () => {
    for (const [text, file] of [
      ['upstreams: {a: {url: x, headers: {A: "hunter2" hunter2}}}', 'a.yaml'],
      ['upstreams:\n  a:\n    headers: {A: "\\hunter2"}\n', 'a.yaml'],
      ['{"upstreams": {"a": {"headers": {"A": hunter2}}}}', 'a.json'],
      ['[upstreams.a.headers]\nA = "hunter2" hunter2\n', 'a.toml'],
    ] as const) {
      const { problems } = read(text, file);
      expect(problems).not.toEqual([]);
      expect(JSON.stringify(problems)).not.toContain('hunter2');
    }
  });

  it('survives keys that are special in JavaScript', () => {
    for (const key of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
      const servers = JSON.stringify({ mcpServers: { [`${key}`]: { command: 'c' } } });
      expect(read(servers, 'a.json').problems).toEqual([]);
      expect(read(`${key}: {a: 1}`, 'a.yaml').configuration).toBeUndefined();
      expect(read(`gateway: {listen: {${key}: 1}}`, 'a.yaml').configuration).toBeUndefined();
    }
    expect(Object.hasOwn(Object.prototype, 'a')).toBe(false);
  });

  it('answers anything with a configuration or an error, and never throws', () => {
    const pieces = fc.constantFrom(
      ...[
        'gateway',
        'upstreams',
        'mcpServers',
        'listen',
        'port',
        'url',
        'a',
        '__proto__',
        '"',
        "'",
        '[',
        ']',
        '{',
        '}',
      ],
      ...[
        ':',
        ': ',
        '=',
        '- ',
        '\n',
        '\n  ',
        ',',
        '#',
        '&a',
        '*a',
        '${',
        '}',
        '!',
        '|',
        '>',
        '1',
        'null',
        '\t',
        '%',
        '@',
      ],
    );
    const text = fc.oneof(
      fc.array(pieces, { maxLength: 40 }).map((parts) => parts.join('')),
      fc.string({ unit: 'binary' }),
    );
    fc.assert(
      fc.property(text, fc.constantFrom('a.yaml', 'a.json', 'a.toml', 'a'), (content, file) => {
        const { configuration, problems } = read(content, file);
        const errors = problems.filter(({ severity }) => severity === 'error');
        expect(configuration === undefined).toBe(errors.length > 0);
      }),
      { numRuns: 2000 },
    );
  });
});
