import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Pick, picks, spell, spellString } from './json-spelling.js';
import { isObject, type PlainReading, readPlainly } from './plain-reading.js';
import { type Envelope, MAX_JSON_DEPTH_LEVELS, ScanError, type Span, scanMessage } from './scan.js';
import { stringOf } from './text.js';

const RUNS = process.env.SLUICE_TEST_FULL === '1' ? 20_000 : 1_000;

/** Where the scanner has to find what: the path of each span. */
const PLACES = {
  id: ['id'],
  params: ['params'],
  name: ['params', 'name'],
  uri: ['params', 'uri'],
  cursor: ['params', 'cursor'],
  arguments: ['params', 'arguments'],
  requestState: ['params', 'requestState'],
  inputResponses: ['params', 'inputResponses'],
  requestId: ['params', 'requestId'],
  progressToken: ['params', 'progressToken'],
  level: ['params', 'level'],
  meta: ['params', '_meta'],
  metaVersion: ['params', '_meta', 'io.modelcontextprotocol/protocolVersion'],
  metaCapabilities: ['params', '_meta', 'io.modelcontextprotocol/clientCapabilities'],
  metaClientInfo: ['params', '_meta', 'io.modelcontextprotocol/clientInfo'],
  metaLogLevel: ['params', '_meta', 'io.modelcontextprotocol/logLevel'],
  metaSubscriptionId: ['params', '_meta', 'io.modelcontextprotocol/subscriptionId'],
  metaProgressToken: ['params', '_meta', 'progressToken'],
  result: ['result'],
  resultType: ['result', 'resultType'],
  resultState: ['result', 'requestState'],
  error: ['error'],
} as const satisfies Partial<Record<keyof Envelope, readonly string[]>>;

const json = fc.jsonValue({ maxDepth: 3, stringUnit: 'binary' });
const members = fc.dictionary(fc.string({ unit: 'binary', maxLength: 12 }), json, { maxKeys: 6 });
const id = fc.oneof(fc.string({ maxLength: 20 }), fc.maxSafeInteger());

/** An object with some of the members at each place, and others that nobody knows. */
function withKnown(place: readonly string[], inner: Record<string, fc.Arbitrary<unknown>> = {}) {
  const known: Record<string, fc.Arbitrary<unknown>> = {};
  for (const path of Object.values(PLACES)) {
    const key = path.at(-1) as string;
    if (path.length === place.length + 1 && place.every((each, i) => each === path[i])) known[key] = json;
  }
  const some = fc.record({ ...known, ...inner }, { requiredKeys: [] });
  return fc.tuple(members, some).map(([others, own]) => ({ ...others, ...own }));
}

const meta = withKnown(['params', '_meta']);
const params = withKnown(['params'], { _meta: meta });
const method = fc.constantFrom('tools/call', 'x', 'notifications/progress', '"\\');
const version = fc.constant('2.0');
const errorBody = withKnown(['error'], { code: fc.integer(), message: fc.string() });

const message = fc.oneof(
  fc.record({ jsonrpc: version, id, method, params }, { requiredKeys: ['jsonrpc', 'id', 'method'] }),
  fc.record({ jsonrpc: version, method, params }, { requiredKeys: ['jsonrpc', 'method'] }),
  fc.record({ jsonrpc: version, id, result: withKnown(['result']) }),
  fc.record({ jsonrpc: version, id, error: errorBody }, { requiredKeys: ['jsonrpc', 'error'] }),
);
const extended = fc.tuple(members, message).map(([others, own]) => ({
  ...withoutKeys(others, ['id', 'method', 'params', 'result', 'error']),
  ...own,
}));

/** Messages whose parts are of the right type most of the time. */
const nearlyMessage = fc.record(
  {
    jsonrpc: fc.oneof({ weight: 9, arbitrary: version }, json),
    id: fc.oneof({ weight: 6, arbitrary: id as fc.Arbitrary<unknown> }, json),
    method: fc.oneof({ weight: 6, arbitrary: method as fc.Arbitrary<unknown> }, json),
    params: fc.oneof(
      {
        weight: 6,
        arbitrary: withKnown(['params'], { _meta: fc.oneof(meta, json) }) as fc.Arbitrary<unknown>,
      },
      json,
    ),
    result: fc.oneof({ weight: 6, arbitrary: withKnown(['result']) as fc.Arbitrary<unknown> }, json),
    error: fc.oneof({ weight: 6, arbitrary: errorBody as fc.Arbitrary<unknown> }, json),
    other: json,
  },
  { requiredKeys: [] },
);

function withoutKeys(object: Record<string, unknown>, keys: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([key]) => !keys.includes(key)));
}

function scanned(bytes: Buffer): Envelope | ScanError {
  try {
    return scanMessage(bytes);
  } catch (thrown) {
    if (thrown instanceof ScanError) return thrown;
    throw thrown;
  }
}

/** The scanner must say what the plain reading says. */
function expectSameVerdict(bytes: Buffer): PlainReading {
  const plain = readPlainly(bytes);
  const found = scanned(bytes);
  if (found instanceof ScanError) {
    // It stops at the first fault: a duplicate key in front of a syntax error is what it reports.
    if (plain.verdict === 'parse') expect(['parse', 'invalid']).toContain(found.kind);
    else expect([plain.verdict, found.message]).toEqual(['invalid', found.message]);
    if (found.kind === 'parse') expect(plain.verdict).toBe('parse');
  } else {
    expect(found.kind).toBe(plain.verdict);
    expectSpans(bytes, found, plain.value as Record<string, unknown>);
  }
  return plain;
}

function expectSpans(bytes: Buffer, envelope: Envelope, value: Record<string, unknown>): void {
  const valueAt = (span: Span) => JSON.parse(bytes.toString('utf8', span.start, span.end));
  expect(valueAt(envelope)).toEqual(value);
  for (const [place, path] of Object.entries(PLACES)) {
    const span = envelope[place as keyof typeof PLACES];
    let at: unknown = value;
    for (const key of path) at = isObject(at) && Object.hasOwn(at, key) ? at[key] : undefined;
    // The null id of an error is as good as none.
    const expected = place === 'id' && at === null ? undefined : at;
    expect(span === undefined ? undefined : valueAt(span), place).toEqual(expected);
    if (typeof expected === 'string') expect(stringOf(bytes, span)).toBe(expected);
  }
  expect(envelope.method).toBe(value.method ?? '');
  const code = isObject(value.error) && Object.hasOwn(value.error, 'code') ? value.error.code : 0;
  expect(envelope.errorCode).toBe(Number.isInteger(code) ? code : 0);
}

describe('reading a message', () => {
  it('finds every part of every message, however it is spelled', () => {
    fc.assert(
      fc.property(extended, picks, (value, pick) => {
        const { verdict } = expectSameVerdict(Buffer.from(spell(value, pick)));
        expect(['request', 'notification', 'result', 'error']).toContain(verdict);
      }),
      { numRuns: RUNS },
    );
  });

  it('takes exactly what is a message among what looks like one', () => {
    fc.assert(
      fc.property(nearlyMessage, picks, (value, pick) => {
        expectSameVerdict(Buffer.from(spell(value, pick)));
      }),
      { numRuns: RUNS },
    );
  });

  it('judges damaged bytes as a plain reader does', () => {
    const damages = fc.array(fc.tuple(fc.nat(5), fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(extended, picks, damages, (value, pick, list) => {
        let bytes: Buffer = Buffer.from(spell(value, pick));
        for (const [what, at, byte] of list) bytes = damaged(bytes, what, at % (bytes.length + 1), byte);
        expectSameVerdict(bytes);
      }),
      { numRuns: RUNS * 2 },
    );
  });

  it('refuses a key that stands twice in one object, at any depth, in any spelling', () => {
    const keys = fc.uniqueArray(fc.string({ unit: 'binary', maxLength: 8 }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(keys, fc.nat(), fc.nat(MAX_JSON_DEPTH_LEVELS - 6), picks, (names, chosen, depth, pick) => {
        const alone = Buffer.from(nested(names, depth, pick));
        expect(scanMessage(alone).kind).toBe('notification');
        const twice = names.toSpliced(pick(names.length + 1), 0, names[chosen % names.length] as string);
        const found = scanned(Buffer.from(nested(twice, depth, pick)));
        expect(found).toBeInstanceOf(ScanError);
        expect(found).toMatchObject({ kind: 'invalid', message: expect.stringContaining('stands twice') });
      }),
      { numRuns: RUNS },
    );
  });
});

const TELLING_BYTES = Buffer.from('{}[]:,"\\ \n\t0123456789-+.eEtfnu\u0000\u001f\u007fa');

function damaged(bytes: Buffer, what: number, at: number, byte: number): Buffer {
  const telling = TELLING_BYTES[byte % TELLING_BYTES.length] as number;
  const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
  switch (what) {
    case 0:
      return Buffer.concat([before, after.subarray(1)]);
    case 1:
      return Buffer.concat([before, Buffer.from([byte]), after]);
    case 2:
      return Buffer.concat([before, Buffer.from([telling]), after.subarray(1)]);
    case 3:
      return Buffer.concat([before, Buffer.from([telling]), after]);
    case 4:
      return Buffer.concat([before, after.subarray(0, byte), after]);
    default:
      return before;
  }
}

/** A notification with an object of these keys so many levels down, in objects and arrays that alternate. */
function nested(keys: readonly string[], depth: number, pick: Pick): string {
  const own = keys.map((key) => `${spellString(key, pick)}:{"a":[{}]}`).join(',');
  let text = `{${own}}`;
  for (let level = 0; level < depth; level++)
    text = level % 2 === 0 ? `[{"a":1},${text}]` : `{"b":2,"a":${text}}`;
  return `{"jsonrpc":"2.0","method":"m","params":{"deep":${text}}}`;
}
