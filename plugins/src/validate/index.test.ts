import type { JsonObject } from '@sluice/sdk';
import { Outcome } from '@sluice/sdk';
import { configProblems, type TestOptions, testPlugin } from '@sluice/sdk/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import plugin from './index.js';

const DRAFT_07 = 'http://json-schema.org/draft-07/schema#';

interface Tried {
  readonly input?: unknown;
  readonly output?: unknown;
  readonly arguments?: unknown;
  readonly result?: JsonObject | Outcome;
  readonly revision?: string;
  readonly method?: string;
}

/** One call of one tool with these schemas, and how it went. */
async function tried(own: Tried, config: object = {}, more: Partial<TestOptions> = {}) {
  const { input = { type: 'object' }, output, result = { content: [] } } = own;
  const definition = {
    name: 'do',
    inputSchema: input,
    ...(output !== undefined && { outputSchema: output }),
  };
  const gateway = testPlugin(plugin, {
    config,
    definitions: { 'files:do': definition as JsonObject },
    upstream: () => result,
    ...more,
  });
  const params = { name: 'do', ...('arguments' in own && { arguments: own.arguments }) };
  const { outcome } = await gateway.call({
    tool: 'files:do',
    params: params as JsonObject,
    ...(own.revision !== undefined && { revision: own.revision }),
    ...(own.method !== undefined && { method: own.method }),
  });
  const { error, refusal } = outcome;
  return { outcome, error, kind: refusal?.kind, reached: gateway.reached.length, gateway };
}

const PATH = { type: 'object', properties: { path: { type: 'string' } }, required: ['path'] };

describe('arguments', () => {
  it.each<[string, unknown, unknown, string]>([
    ['of another type', PATH, { path: 1 }, '/path must be string'],
    ['that lack one', PATH, {}, "they must have required property 'path'"],
    ['that are none', PATH, undefined, "they must have required property 'path'"],
    [
      'with one too many',
      { ...PATH, additionalProperties: false },
      { path: '', extra: 1 },
      'they must NOT have additional properties: "extra"',
    ],
    [
      'with one too many by another keyword',
      { allOf: [PATH], unevaluatedProperties: false },
      { path: '', extra: 1 },
      'they must NOT have unevaluated properties: "extra"',
    ],
    [
      'deep inside',
      { properties: { a: { type: 'array', items: { properties: { 'b/c': { enum: ['x', 1] } } } } } },
      { a: [{}, { 'b/c': 'y' }] },
      '/a/1/b~1c must be equal to one of the allowed values: ["x",1]',
    ],
    [
      'of none of several kinds, where one was nearly meant',
      { anyOf: [{ properties: { kind: { const: 'a' }, at: { properties: { x: { type: 'integer' } } } } }] },
      { kind: 'a', at: { x: 'no' } },
      '/at/x must be integer',
    ],
    [
      'that a position of 2020-12 forbids',
      { properties: { a: { prefixItems: [{ type: 'string' }], items: false } } },
      { a: ['x', 'y'] },
      '/a must NOT have more than 1 items',
    ],
    [
      'that a position of draft-07 forbids',
      { $schema: DRAFT_07, properties: { a: { items: [{ type: 'string' }], additionalItems: false } } },
      { a: ['x', 'y'] },
      '/a must NOT have more than 1 items',
    ],
    [
      'behind a reference',
      { $defs: { n: { type: 'integer' } }, properties: { a: { $ref: '#/$defs/n' } } },
      { a: 1.5 },
      '/a must be integer',
    ],
    [
      'in a tree',
      { properties: { left: { $ref: '#' }, value: { type: 'integer' } } },
      { left: { left: { value: 'x' } } },
      '/left/left/value must be integer',
    ],
    [
      'that need another one',
      { dependentRequired: { a: ['b'] } },
      { a: 1 },
      'they must have property b when property a is present',
    ],
    [
      'that need another one in draft-07',
      { $schema: DRAFT_07, dependencies: { a: ['b'], c: { required: ['d'] } } },
      { c: 1 },
      "they must have required property 'd'",
    ],
    [
      'that repeat',
      { properties: { a: { uniqueItems: true } } },
      { a: [{ x: 1, y: [] }, 'x', { y: [], x: 1 }] },
      '/a must NOT have duplicate items',
    ],
    ['that are a list', { type: ['object', 'array'] }, [], 'they must be object'],
    ['that are null', {}, null, 'they must be object'],
    ['that are a text', true, 'text', 'they must be object'],
  ])('%s are refused, with the place', async (_, input, own, said) => {
    const { error, kind, reached } = await tried(own === undefined ? { input } : { input, arguments: own });
    expect([kind, error?.message, reached]).toEqual([
      'invalid',
      `arguments of "files:do" do not fit its inputSchema: ${said}`,
      0,
    ]);
    expect(error?.data).toMatchObject({
      expected: expect.any(String),
      schemaPath: expect.stringContaining('#'),
    });
  });

  it.each<[string, unknown, unknown]>([
    ['that fit', PATH, { path: 'a' }],
    ['beyond what is described', PATH, { path: 'a', more: [] }],
    [
      'with keywords that nobody knows',
      { ...PATH, 'x-mcp-header': 'Path', unknown: { type: 1 } },
      { path: '' },
    ],
    ['of any kind', {}, { a: 1 }],
    ['of any kind, in one word', true, { a: 1 }],
    [
      'with different items',
      { properties: { a: { uniqueItems: true } } },
      { a: [1, '1', 's1', [], {}, null] },
    ],
    ['with a format, which is a remark', { properties: { a: { format: 'email' } } }, { a: 'no' }],
    [
      'beside a reference of draft-07, where nothing counts',
      {
        $schema: DRAFT_07,
        definitions: { n: {} },
        properties: { a: { $ref: '#/definitions/n', type: 'string' } },
      },
      { a: 1 },
    ],
    [
      'that are schemas',
      { properties: { a: { $ref: 'https://json-schema.org/draft/2020-12/schema' } } },
      { a: {} },
    ],
  ])('%s pass as they came', async (_, input, own) => {
    const { error, reached, gateway } = await tried({ input, arguments: own });
    expect([error, reached]).toEqual([undefined, 1]);
    expect(gateway.reached[0]?.arguments).toEqual(own);
  });

  it('are told to models as a result where the configuration says so', async () => {
    const said = {
      content: [{ type: 'text', text: expect.stringContaining('/path must be string') }],
      isError: true,
    };
    const wrong = { input: PATH, arguments: { path: 1 } };
    const modern = await tried(wrong, { refusal: 'result' });
    expect([modern.outcome.result, modern.reached]).toEqual([{ ...said, resultType: 'complete' }, 0]);
    const legacy = await tried({ ...wrong, revision: '2025-11-25' }, { refusal: 'result' });
    expect(legacy.outcome.result).toEqual(said);
  });

  it('are counted and pass where the configuration says so, or not looked at', async () => {
    const wrong = { input: PATH, arguments: { path: 1 } };
    const flagged = await tried(wrong, { arguments: 'flag' });
    expect([flagged.reached, [...flagged.gateway.counted]]).toEqual([
      1,
      expect.arrayContaining([['unfit_total{what="arguments",upstream="files"}', 1]]),
    ]);
    const passed = await tried(wrong, { arguments: 'allow' });
    expect([passed.reached, [...passed.gateway.counted]]).toEqual([1, []]);
  });

  it('are looked at of the tools that are named, and of nothing but tools', async () => {
    const wrong = { input: PATH, arguments: { path: 1 } };
    expect((await tried(wrong, { targets: ['other:*'] })).reached).toBe(1);
    expect((await tried(wrong, { targets: ['other:*', 'files:d*'] })).reached).toBe(0);
    expect((await tried({ ...wrong, method: 'completion/complete' })).reached).toBe(1);
  });

  it('are held against formats where the configuration says so', async () => {
    const input = {
      properties: { at: { format: 'date-time' }, to: { format: 'email' }, x: { format: 'colour' } },
    };
    const one = async (own: unknown) =>
      (await tried({ input, arguments: own }, { formats: true })).error?.message;
    expect(await one({ at: '2026-07-28T00:00:00Z', to: 'ada@example.com', x: 'red' })).toBeUndefined();
    expect(await one({ at: 'tomorrow' })).toContain('/at must match format "date-time"');
    expect(await one({ to: `${'a'.repeat(3_000)}@example.com` })).toContain('/to must match format "email"');
  });

  it('hold nothing of their values in what is said', async () => {
    const input = { properties: { a: { type: 'integer' }, b: { pattern: '^x' }, c: { const: 'y' } } };
    for (const name of ['a', 'b', 'c']) {
      const { error, gateway } = await tried({ input, arguments: { [name]: 'hunter2' } });
      expect(JSON.stringify([error, gateway.logged, [...gateway.counted]])).not.toContain('hunter2');
    }
  });
});

describe('what every object inherits', () => {
  const named = (name: string, value: unknown) =>
    JSON.parse(`{${JSON.stringify(name)}:${JSON.stringify(value)}}`);

  it.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])('%s is no argument', async (name) => {
    expect((await tried({ input: { required: [name] }, arguments: {} })).kind).toBe('invalid');
    expect((await tried({ input: { required: [name] }, arguments: named(name, 1) })).kind).toBeUndefined();
    const typed = { properties: named(name, { type: 'string' }) };
    // The schema compiler passes over a member of that name, so it is refused by whoever describes one.
    if (name === '__proto__') expect((await tried({ input: typed, arguments: {} })).kind).toBe('failed');
    else {
      expect((await tried({ input: typed, arguments: {} })).kind).toBeUndefined();
      expect((await tried({ input: typed, arguments: named(name, 1) })).kind).toBe('invalid');
    }
    const closed = { properties: {}, additionalProperties: false };
    expect((await tried({ input: closed, arguments: named(name, 1) })).kind).toBe('invalid');
  });

  it('is not changed by a schema', async () => {
    const input = JSON.parse(
      '{"__proto__": {"type": "string"}, "$id": "__proto__", "properties": {"a": {"default": {"__proto__": {"x": 1}}}}}',
    );
    await tried({ input, arguments: { a: { b: 1 } } });
    expect(({} as { x?: number; type?: string }).x).toBeUndefined();
    expect(({} as { x?: number; type?: string }).type).toBeUndefined();
  });
});

describe('results', () => {
  const output = { type: 'object', properties: { degrees: { type: 'number' } }, required: ['degrees'] };
  const structured = (structuredContent: unknown, more: object = {}) =>
    ({ content: [], structuredContent, ...more }) as JsonObject;

  it('that do not fit are held back, and it is said that the call has run', async () => {
    const { error, kind, reached } = await tried({ output, result: structured({ degrees: 'warm' }) });
    expect([kind, error?.message, reached]).toEqual([
      'failed',
      'the call has run, and its result is held back: that of "files:do" does not fit its outputSchema: structuredContent/degrees must be number',
      1,
    ]);
  });

  it('that are missing are held back', async () => {
    expect((await tried({ output })).error?.message).toContain('structuredContent is missing');
  });

  it.each<[string, Tried]>([
    ['that fit', { output, result: structured({ degrees: 2 }) }],
    ['of a tool that describes none', { result: structured('anything') }],
    ['that say what went wrong', { output, result: { content: [], isError: true } }],
    ['that are no objects', { output: { type: 'array' }, result: structured([1]) }],
    ['that are null', { output: { type: 'null' }, result: structured(null) }],
    ['that ask for input', { output, result: { resultType: 'input_required', requestState: 'x' } }],
    ['that name a task', { output, result: { resultType: 'task', taskId: 'x' } }],
    ['that are errors', { output, result: Outcome.ofError({ code: -32000, message: 'no' }) }],
    ['of a revision without structure', { output, revision: '2024-11-05' }],
    ['that an older revision has no place for', { output: { type: 'array' }, revision: '2025-11-25' }],
  ])('%s pass', async (_, own) => {
    const { kind, outcome } = await tried(own);
    expect(kind).toBeUndefined();
    if (!(own.result instanceof Outcome) && own.result !== undefined)
      expect(outcome.result).toEqual(own.result);
  });

  it('are held against it in older revisions where they are there', async () => {
    for (const revision of ['2024-11-05', '2025-11-25'])
      expect((await tried({ output, revision, result: structured({}) })).kind).toBe('failed');
    expect((await tried({ output, revision: '2025-11-25' })).kind).toBe('failed');
  });

  it('of a task are held against it too', async () => {
    const own = { output, method: 'tasks/result', input: false, result: structured({}) };
    expect((await tried(own)).kind).toBe('failed');
  });

  it('are counted and pass where the configuration says so, or not looked at', async () => {
    const own = { output, result: structured({}) };
    const flagged = await tried(own, { results: 'flag' });
    expect([flagged.outcome.result, [...flagged.gateway.counted]]).toEqual([
      own.result,
      expect.arrayContaining([['unfit_total{what="results",upstream="files"}', 1]]),
    ]);
    const passed = await tried(own, { results: 'allow' });
    expect([passed.outcome.result, [...passed.gateway.counted.keys()]]).toEqual([
      own.result,
      ['compiled_total{outcome="ready"}'],
    ]);
  });
});

/** Schemas of which nothing can be made, or nothing within measure. */
const nested = (depth: number): object => (depth === 0 ? {} : { not: nested(depth - 1) });
const UNFIT: readonly [string, unknown, RegExp][] = [
  [
    'of a dialect that is not supported',
    { $schema: 'http://json-schema.org/draft-04/schema#' },
    /dialect .* is not supported; 2020-12 and draft-07 are/,
  ],
  ['that refer to elsewhere', { $ref: 'https://example.com/schema.json' }, /can't resolve reference/],
  ['that refer to a file', { $ref: 'file:///etc/passwd' }, /can't resolve reference/],
  ['that refer to nowhere', { $ref: '#/$defs/none' }, /can't resolve reference/],
  ['that are none', { type: 'thing' }, /no schema of 2020-12/],
  ['that are none of draft-07', { $schema: DRAFT_07, required: 'path' }, /no schema of draft-07/],
  ['that are no object', null, /no JSON object/],
  ['that are a list', [], /no JSON object/],
  ['with a pattern that looks behind', { properties: { a: { pattern: '(?<=x)y' } } }, /RE2/],
  ['with a pattern that looks ahead', { properties: { a: { pattern: '^(?!x)' } } }, /RE2/],
  ['with a pattern that goes back', { properties: { a: { pattern: '(x)\\1' } } }, /RE2/],
  [
    'with a pattern that repeats too much',
    { properties: { a: { pattern: '((x{100}){100}){100}' } } },
    /RE2|repeat/,
  ],
  [
    'with too many patterns',
    { anyOf: Array.from({ length: 50 }, (_, i) => ({ pattern: `a{${900 + i}}` })) },
    /repeat too much/,
  ],
  ['that are too deep', nested(100), /nested more than 64 levels/],
  ['with too many parts', { anyOf: Array.from({ length: 11_000 }, () => ({})) }, /more than 10000 parts/],
  ['that are too large', { description: 'x'.repeat(70_000) }, /70018 bytes, and 65536 may be/],
  ['that go in a circle', { $ref: '#' }, /cost too much/],
];

describe('schemas', () => {
  it.each(UNFIT)('%s refuse the call, or let it pass', async (_, input, why) => {
    const { error, kind, reached } = await tried({ input, arguments: {} });
    expect([kind === 'failed' || kind === 'invalid', reached]).toEqual([true, 0]);
    expect(error?.message).toMatch(why);
    const allowed = await tried({ input, arguments: {} }, { uncheckable: 'allow' });
    expect([allowed.error, allowed.reached]).toEqual([undefined, 1]);
  });

  it('of results are looked at before the call runs', async () => {
    const { error, reached } = await tried({ output: { $ref: 'https://example.com/' } });
    expect([error?.message, reached]).toEqual([
      expect.stringContaining('"files:do" has an outputSchema that cannot be used'),
      0,
    ]);
  });

  it('that nobody has refuse the call, or let it pass', async () => {
    const none = { definitions: {} };
    const { error, kind } = await tried({}, {}, none);
    expect([kind, error?.message]).toEqual([
      'failed',
      '"files:do" is not on the list of its server; nobody can say whether this call fits',
    ]);
    expect((await tried({}, { uncheckable: 'allow' }, none)).reached).toBe(1);
    expect(
      (await tried({ input: undefined }, {}, { definitions: { 'files:do': { name: 'do' } } })).kind,
    ).toBe('failed');
  });

  it('are compiled once for each content', async () => {
    const fresh = () => ({ name: 'do', inputSchema: structuredClone(PATH) });
    const gateway = testPlugin(plugin, { definitions: () => fresh() });
    const call = () => gateway.call({ tool: 'files:do', arguments: { path: 'a' } });
    await Promise.all([call(), call(), call()]);
    await call();
    expect(gateway.counted.get('compiled_total{outcome="ready"}')).toBe(1);
    expect(gateway.reached).toHaveLength(4);
  });

  it('of which a long program is made are held against values beside the event loop', async () => {
    const input = { anyOf: Array.from({ length: 2_000 }, (_, index) => ({ required: [`p${index}`] })) };
    expect((await tried({ input, arguments: { p1999: 1 } })).reached).toBe(1);
    expect((await tried({ input })).error?.message).toContain('they must match a schema in anyOf');
    const output = { type: 'array', items: input };
    const result = { content: [], structuredContent: [{ p7: 1 }, {}] };
    expect((await tried({ output, result })).error?.message).toContain('structuredContent/1 must');
  });

  it('that say the same of themselves by $id are apart', async () => {
    const typed = (type: string) => ({ $id: 'https://example.com/one', properties: { a: { type } } });
    expect((await tried({ input: typed('string'), arguments: { a: 1 } })).kind).toBe('invalid');
    expect((await tried({ input: typed('integer'), arguments: { a: 1 } })).kind).toBeUndefined();
    const meta = 'https://json-schema.org/draft/2020-12/schema';
    await tried({ input: { $id: meta, not: {} }, arguments: {} });
    const own = { properties: { a: { $ref: meta } } };
    expect((await tried({ input: own, arguments: { a: { type: 'string' } } })).kind).toBeUndefined();
    expect((await tried({ input: own, arguments: { a: { type: 'thing' } } })).kind).toBe('invalid');
  });

  it('put nothing of themselves into what runs', async () => {
    const evil = '"];globalThis.pwned=1;//\'`${globalThis.pwned=1}\u2028\n';
    const input = {
      properties: {
        [evil]: { enum: [evil], pattern: evil.replace(/[[\]`${}();]/g, '') },
        a: { const: { [evil]: evil } },
      },
      required: [evil],
      $defs: { [evil]: {} },
      patternProperties: { '\\/\\*': {} },
    };
    await tried({ input, arguments: { [evil]: evil, a: 1 } });
    expect((globalThis as { pwned?: number }).pwned).toBeUndefined();
  });
});

describe('what would take long', () => {
  const doubling = (count: number, keyword: string, place = '$defs') => {
    const parts: Record<string, object> = { d0: { type: 'integer' } };
    for (let i = 1; i <= count; i++) {
      const $ref = `#/${place}/d${i - 1}`;
      parts[`d${i}`] = { [keyword]: [{ $ref }, { $ref }] };
    }
    return { [place]: parts, properties: { a: { items: { $ref: `#/${place}/d${count}` } } } };
  };

  it.each<[string, unknown, unknown]>([
    ['references that double', doubling(40, 'anyOf'), { a: ['x'] }],
    ['a value that is looked through again and again', doubling(12, 'allOf'), { a: Array(500).fill(1) }],
    ['references into data', doubling(40, 'allOf', 'default'), { a: [1] }],
    ['references into what nobody knows', doubling(40, 'allOf', 'x-types'), { a: [1] }],
  ])('is not finished: %s', async (_, input, own) => {
    const { error, kind, reached } = await tried({ input, arguments: own });
    expect([kind, reached, error?.message]).toEqual([
      'invalid',
      0,
      expect.stringContaining('cost too much to check'),
    ]);
    expect((await tried({ input, arguments: own }, { uncheckable: 'allow' })).reached).toBe(1);
  });

  it('is done in time that grows with the text: patterns, unique items, long texts', async () => {
    const input = {
      properties: {
        a: { pattern: '^(a+)+$' },
        b: { pattern: '(x+x+)+y' },
        c: { uniqueItems: true, items: { type: 'object' } },
      },
    };
    const a = `${'a'.repeat(300_000)}!`;
    expect((await tried({ input, arguments: { a } })).error?.message).toContain('/a must match pattern');
    expect((await tried({ input, arguments: { b: 'x'.repeat(300_000) } })).error?.message).toContain(
      '/b must match pattern',
    );
    const c = Array.from({ length: 20_000 }, (_, index) => ({ index }));
    expect((await tried({ input, arguments: { c } })).kind).toBeUndefined();
    expect((await tried({ input, arguments: { c: [...c, { index: 7 }] } })).error?.message).toContain(
      '/c must NOT have duplicate',
    );
  });
});

describe('patterns of ECMAScript', () => {
  const matches = async (pattern: string, text: string) =>
    (await tried({ input: { properties: { a: { pattern } } }, arguments: { a: text } })).kind === undefined;

  it.each([
    '^[\\s\\S]+$',
    '^\\s$',
    '^[^\\s]$',
    '^\\S$',
    '^.$',
    '^[.]$',
    '[[]',
    '^\\u0041$',
    '^\\p{L}$',
    '^(?<n>a)$',
    '^a\\/b$',
    '^[\\]a]$',
    '^\\cJ$',
    '^[\\w-]+$',
    '^$',
    '^\\d{2,}$',
    'a|b',
  ])('%s means what it means there', async (pattern) => {
    const own = new RegExp(pattern, 'u');
    for (const text of [
      '',
      'a',
      'A',
      'ß',
      ' ',
      '\u00a0',
      '\n',
      '\r',
      '\u2028',
      '[',
      ']',
      '.',
      'a/b',
      '42',
      'ab-c',
      '\ufeff',
    ])
      expect([pattern, text, await matches(pattern, text)]).toEqual([pattern, text, own.test(text)]);
  });
});

describe('configuration', () => {
  it.each<[object, string, RegExp]>([
    [{ arguments: 'refuse' }, 'arguments', /deny|one of/],
    [{ results: true }, 'results', /./],
    [{ uncheckable: 'flag' }, 'uncheckable', /./],
    [{ refusal: 'text' }, 'refusal', /./],
    [{ targets: [] }, 'targets', /./],
    [{ targets: ['files'] }, 'targets[0]', /colon/],
    [{ max_schema_size: '2MiB' }, 'max_schema_size', /more than 1MiB/],
    [{ max_schema_size: 'large' }, 'max_schema_size', /./],
    [{ formats: 'yes' }, 'formats', /./],
    [{ draft: 7 }, 'draft', /./],
  ])('%j is refused at %s', (config, path, message) => {
    const problems = configProblems(plugin, config);
    expect(problems.map((each) => each.path)).toContain(path);
    expect(problems.find((each) => each.path === path)?.message).toMatch(message);
  });
});

it('takes exactly what the schema describes, of generated schemas and values', async () => {
  const leaf = fc.constantFrom<[object, (value: unknown) => boolean]>(
    [{ type: 'string' }, (value) => typeof value === 'string'],
    [{ type: 'integer' }, (value) => Number.isInteger(value)],
    [{ type: 'boolean' }, (value) => typeof value === 'boolean'],
    [{ enum: [1, 'a', null] }, (value) => [1, 'a', null].includes(value as never)],
    [{ type: 'string', maxLength: 2 }, (value) => typeof value === 'string' && [...value].length <= 2],
    [{ not: { type: 'string' } }, (value) => typeof value !== 'string'],
  );
  const value = fc.oneof(
    fc.integer(),
    fc.constantFrom('', 'a', 'abc', '💥💥', 1.5, true, null),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
  );
  const name = fc.constantFrom('a', 'b', 'constructor', 'a/b', 'c~');
  await fc.assert(
    fc.asyncProperty(
      fc.dictionary(name, leaf, { maxKeys: 4 }),
      fc.dictionary(name, value, { maxKeys: 4 }),
      fc.boolean(),
      async (described, own, isClosed) => {
        const entries = Object.entries(described);
        const input = JSON.parse(
          JSON.stringify({ type: 'object', ...(isClosed && { additionalProperties: false }) }).replace(
            /\}$/,
            `,"properties":{${entries.map(([key, [schema]]) => `${JSON.stringify(key)}:${JSON.stringify(schema)}`).join()}}}`,
          ),
        );
        const sent = JSON.parse(JSON.stringify(own));
        const fits = Object.keys(sent).every((key) =>
          Object.hasOwn(described, key)
            ? (described[key] as (typeof entries)[0][1])[1](sent[key])
            : !isClosed,
        );
        expect((await tried({ input, arguments: sent })).kind).toBe(fits ? undefined : 'invalid');
      },
    ),
    { numRuns: 150 },
  );
});
