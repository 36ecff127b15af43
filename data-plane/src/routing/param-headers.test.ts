import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  checkParamHeaders,
  decodeHeaderValue,
  encodeHeaderValue,
  type HeaderParam,
  paramHeaderLines,
  readParamHeaders,
} from './param-headers.js';

function paramsOf(properties: unknown): readonly HeaderParam[] {
  const read = readParamHeaders({ type: 'object', properties });
  if (!read.ok) throw new Error(read.reason);
  return read.params;
}

function reasonOf(schema: unknown): string {
  const read = readParamHeaders(schema);
  return read.ok ? 'accepted' : read.reason;
}

const region = { type: 'string', 'x-mcp-header': 'Region' };

describe('readParamHeaders', () => {
  it('finds annotated properties, nested ones too', () => {
    expect(
      paramsOf({
        region,
        query: { type: 'string' },
        page: { type: 'object', properties: { size: { type: 'integer', 'x-mcp-header': 'Page-Size' } } },
        dry: { type: 'boolean', 'x-mcp-header': 'Dry' },
      }),
    ).toEqual([
      { path: ['region'], header: 'Mcp-Param-Region', type: 'string' },
      { path: ['page', 'size'], header: 'Mcp-Param-Page-Size', type: 'integer' },
      { path: ['dry'], header: 'Mcp-Param-Dry', type: 'boolean' },
    ]);
  });

  it.each([undefined, null, true, 'text', [], {}, { properties: 3 }, { properties: { a: true } }])(
    'finds nothing in %j',
    (schema) => {
      expect(readParamHeaders(schema)).toEqual({ ok: true, params: [] });
    },
  );

  it('takes data and property names for what they are', () => {
    expect(
      paramsOf({
        'x-mcp-header': { type: 'string' },
        a: { type: 'object', default: region, examples: [region], const: region, enum: [region] },
        properties: { type: 'string', 'x-mcp-header': 'P' },
      }),
    ).toEqual([{ path: ['properties'], header: 'Mcp-Param-P', type: 'string' }]);
  });

  it.each([
    ['an empty name', { type: 'string', 'x-mcp-header': '' }, /a: .* not empty/],
    ['a name that is no string', { type: 'string', 'x-mcp-header': 7 }, /a: .* must be a string/],
    ['a space', { type: 'string', 'x-mcp-header': 'My Region' }, /header name/],
    ['a colon', { type: 'string', 'x-mcp-header': 'Region:Primary' }, /header name/],
    ['a letter beyond ASCII', { type: 'string', 'x-mcp-header': 'Région' }, /header name/],
    ['a line feed', { type: 'string', 'x-mcp-header': 'Region\n' }, /header name/],
    ['a name of any length', { 'x-mcp-header': ' '.repeat(9_000) }, /^.{300}$/],
    ['a number', { type: 'number', 'x-mcp-header': 'N' }, /not on "number"/],
    ['an object', { type: 'object', 'x-mcp-header': 'N' }, /not on "object"/],
    ['null', { type: 'null', 'x-mcp-header': 'N' }, /not on "null"/],
    ['several types', { type: ['string', 'null'], 'x-mcp-header': 'N' }, /not on anything else/],
    ['no type', { 'x-mcp-header': 'N' }, /not on anything else/],
    ['items', { type: 'array', items: region }, /a\.items: .*"properties" alone/],
    ['anyOf', { anyOf: [{ type: 'null' }, region] }, /"properties" alone/],
    ['allOf with properties', { allOf: [{ properties: { b: region } }] }, /"properties" alone/],
    ['then', { if: {}, then: { properties: { b: region } } }, /"properties" alone/],
    ['additionalProperties', { additionalProperties: region }, /"properties" alone/],
    ['patternProperties', { patternProperties: { b: region } }, /"properties" alone/],
    ['a keyword of tomorrow', { 'x-later': { deep: [region] } }, /"properties" alone/],
  ])('refuses %s', (_, property, reason) => {
    expect(reasonOf({ type: 'object', properties: { a: property } })).toMatch(reason);
  });

  it('refuses annotations outside the properties, and the same name twice', () => {
    expect(reasonOf(region)).toMatch(/the schema itself: .*"properties" alone/);
    expect(reasonOf([{ properties: { a: region } }])).toMatch(/"properties" alone/);
    expect(reasonOf({ $defs: { properties: region } })).toMatch(/"properties" alone/);
    expect(reasonOf({ items: { properties: { a: region } } })).toMatch(/"properties" alone/);
    expect(reasonOf({ properties: { a: region, b: { type: 'string', 'x-mcp-header': 'rEGION' } } })).toMatch(
      /b: .*"rEGION" is taken by a/,
    );
  });

  it('neither throws nor overflows on any schema', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (schema) => {
        expect(typeof readParamHeaders(schema).ok).toBe('boolean');
      }),
    );
    let deep: unknown = region;
    for (let level = 0; level < 50_000; level++) deep = { properties: { a: deep } };
    expect(reasonOf(deep)).toMatch(/nested deeper/);
    for (let level = 0; level < 50_000; level++) deep = [deep];
    expect(reasonOf(deep)).toMatch(/nested deeper/);
  });
});

describe('header values', () => {
  it.each([
    ['us-west1', 'us-west1'],
    ['a b', 'a b'],
    ['Hello, 世界', '=?base64?SGVsbG8sIOS4lueVjA==?='],
    [' padded ', '=?base64?IHBhZGRlZCA=?='],
    ['line1\nline2', '=?base64?bGluZTEKbGluZTI=?='],
    ['=?base64?literal?=', '=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?='],
    ['', '=?base64??='],
    ['=?base64?SGVsbG8=', '=?base64?SGVsbG8='],
    ['=?BASE64?SGVsbG8=?=', '=?BASE64?SGVsbG8=?='],
  ])('%j is written as %j', (text, value) => {
    expect(encodeHeaderValue(text)).toBe(value);
    expect(decodeHeaderValue(value)).toBe(text);
  });

  it.each([
    '=?base64?SGVsbG8?=',
    '=?base64?SGVs!!!bG8=?=',
    '=?base64?SGVsbG9=?=',
    '=?base64?_-8=?=',
    '=?base64?/w==?=',
    '=?base64?=',
    'caf\u00e9',
    'a\r\nb',
    '\u0000',
  ])('%j is invalid', (value) => {
    expect(decodeHeaderValue(value)).toBeUndefined();
  });

  it('carry any text in characters that every HTTP parser keeps', () => {
    const prefixed = fc.string().map((text) => `=?base64?${text}?=`);
    // Lone surrogates have no UTF-8 form, in a header as in the body.
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: 'binary' }).map((units) => Buffer.from(units).toString()),
      prefixed,
      fc.constantFrom('\ufeffx', ' ', '\t', 'a\tb', '=?base64?='),
    );
    fc.assert(
      fc.property(text, (original) => {
        const value = encodeHeaderValue(original);
        expect(value).toMatch(/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/);
        expect(decodeHeaderValue(value)).toBe(original);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('the header fields of a call', () => {
  const params = paramsOf({
    region,
    nested: { properties: { count: { type: 'integer', 'x-mcp-header': 'Count' } } },
    dry: { type: 'boolean', 'x-mcp-header': 'Dry' },
    constructor: { type: 'string', 'x-mcp-header': 'C' },
  });

  function headersOf(args: unknown): Record<string, string> {
    return Object.fromEntries(
      paramHeaderLines(params, args).map(([name, value]) => [name.toLowerCase(), value]),
    );
  }

  it('mirror what is given and omit what is absent or null', () => {
    expect(paramHeaderLines(params, { region: 'eu', nested: { count: -7 }, dry: false })).toEqual([
      ['Mcp-Param-Region', 'eu'],
      ['Mcp-Param-Count', '-7'],
      ['Mcp-Param-Dry', 'false'],
    ]);
    expect(paramHeaderLines(params, { region: null, nested: [], dry: undefined })).toEqual([]);
    expect(paramHeaderLines(params, undefined)).toEqual([]);
    expect(paramHeaderLines(params, { region: {}, nested: { count: 2 ** 53 } })).toEqual([]);
  });

  it('pass the check for the arguments that they were made of', () => {
    const args = fc.record(
      {
        region: fc.oneof(fc.string(), fc.string({ unit: 'grapheme' }), fc.jsonValue()),
        nested: fc.oneof(fc.record({ count: fc.oneof(fc.maxSafeInteger(), fc.double()) }), fc.jsonValue()),
        dry: fc.oneof(fc.boolean(), fc.constant(null)),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(args, (given) => {
        expect(checkParamHeaders(params, given, headersOf(given))).toBeUndefined();
      }),
    );
  });

  it('fail the check for any other argument', () => {
    const args = fc.record({ region: fc.string(), nested: fc.record({ count: fc.maxSafeInteger() }) });
    fc.assert(
      fc.property(args, args, (sent, executed) => {
        const same = JSON.stringify(sent) === JSON.stringify(executed);
        expect(checkParamHeaders(params, executed, headersOf(sent)) === undefined).toBe(same);
      }),
    );
  });

  it.each([
    [{ region: 'eu' }, {}, /Mcp-Param-Region is missing for argument "region"/],
    [{}, { 'mcp-param-region': 'eu' }, /sent without a value/],
    [{ region: null }, { 'mcp-param-region': 'null' }, /sent without a value/],
    [{ region: 'eu' }, { 'mcp-param-region': 'us' }, /does not match argument "region"/],
    [{ region: 'Hello' }, { 'mcp-param-region': '=?base64?SGVsbG8?=' }, /invalid Base64/],
    [{ nested: { count: 42 } }, { 'mcp-param-count': '0x2a' }, /does not match/],
    [{ nested: { count: 42 } }, { 'mcp-param-count': '42.00000000000000000001' }, /does not match/],
    [{ nested: { count: 2 ** 53 } }, { 'mcp-param-count': '1' }, /sent without a value/],
    [{ region: '42' }, { 'mcp-param-region': '42.0' }, /does not match/],
    [{ dry: true }, { 'mcp-param-dry': 'True' }, /does not match/],
  ])('with arguments %j refuse %j', (args, headers, reason) => {
    expect(checkParamHeaders(params, args, headers)).toMatch(reason);
  });

  it('compare integers by number', () => {
    expect(
      checkParamHeaders(params, { nested: { count: 42 } }, { 'mcp-param-count': '42.0' }),
    ).toBeUndefined();
    expect(
      checkParamHeaders(params, { nested: { count: 42 } }, { 'mcp-param-count': '=?base64?NDI=?=' }),
    ).toBeUndefined();
  });
});
