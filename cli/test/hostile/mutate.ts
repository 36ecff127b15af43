/** What no form lets through and the wire does: any value that protobuf can carry, wherever a field takes its kind. */
import {
  create,
  type DescField,
  type DescMessage,
  type DescOneof,
  fromBinary,
  type JsonObject,
  ScalarType,
  toBinary,
} from '@bufbuild/protobuf';
import { type Resource, ResourceSchema } from '@sluice/proto/cluster';
import type { Random } from '../fuzz/random.js';

const TEXTS: readonly string[] = [
  '',
  ' ',
  'x',
  'x'.repeat(41),
  'x'.repeat(65_536),
  'ä'.repeat(65_537),
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  '../../etc/passwd',
  '/etc/../etc/passwd',
  '..',
  'a/b',
  'a\0b',
  'a\r\nb: c',
  '\u202egnp.exe',
  '\u{1f4a5}',
  '\ud800',
  'ﬁles',
  'Files',
  'e\u0301',
  '%2e%2e%2f',
  '<script>alert(1)</script>',
  "'; drop table revisions; --",
  '${',
  '${A',
  '${A}',
  '${A:-b}',
  '${secret:token}',
  '${secret:nobody}',
  '${secret:../token}',
  '$${A}',
  '*',
  '**',
  'files',
  'web',
  'acme',
  'acme/files',
  'globex/mail',
  'globex',
  'mail',
  'team',
  'both',
  'ada',
  'search',
  'policies',
  'limits',
  'eu',
  'nowhere',
  '/mcp',
  '/mcp/',
  '/mcp/files',
  '/mcp/team',
  '/mcp/acme/team',
  '/mcp/globex/all',
  '/mcp/../health',
  '/health',
  'http://',
  'http://[::1',
  'http://me:secret@127.0.0.1:1/',
  'http://169.254.169.254/latest/meta-data',
  'http://0xa9fea9fe/',
  'http://127.0.0.1:1/#fragment',
  'http://127.0.0.1:99999/',
  'http://127.0.0.1:8080/mcp',
  'http://127.0.0.1:1/\u00e9 \u0000',
  'file:///etc/passwd',
  'javascript:alert(1)',
  'unix:///../../run/x.sock',
  'ws://127.0.0.1:1/x',
  'npm:left-pad',
  './plugin.js',
  'auth-jwt',
  'auth-basic',
  'ratelimit',
  'no-such-plugin',
  'sha256-x',
  'files:*',
  'nobody:*',
  ':',
  'NaN',
  '1e999',
  'null',
  '{"a":1}',
];

const NUMBERS: readonly number[] = [0, 1, 2, 64, 255, 65_535, 65_536, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];
const SIGNED: readonly number[] = [0, 1, -1, 999_999_999, 1_000_000_000, -(2 ** 31), 2 ** 31 - 1];
const BIG: readonly bigint[] = [
  0n,
  1n,
  -1n,
  59n,
  2n ** 31n,
  2n ** 53n,
  315_576_000_001n,
  2n ** 63n - 1n,
  -(2n ** 63n),
];

/** Members of free-form objects; made by a parser, so that none of them touches a prototype here. */
const MEMBERS: readonly string[] = [
  '{"__proto__":{"polluted":true}}',
  '{"constructor":{"prototype":{"polluted":true}}}',
  '{"hash_key":1}',
  '{"hash_key":"short"}',
  '{"keys":"${KEYS}"}',
  '{"keys":[{"prefix":"slk_00000000","hash":"x","consumer":"a"}]}',
  '{"allowed_origins":[]}',
  '{"allowed_origins":["*",null,{}]}',
  '{"unknown":1}',
  '{"limits":[{"name":"a","rate":1e308,"per":"day"}]}',
  '{"limits":[{"name":"a","rate":-1,"per":"never","key":["__proto__"]}]}',
  '{"permissions":{"__proto__":[],"files:*":["a"]}}',
  '{"jwks_url":"file:///etc/passwd","issuer":"x"}',
  '{"":null}',
  '[]',
];

interface Place {
  change(random: Random): void;
}

/** A resource with one thing in it another; undefined when protobuf could not carry that. */
export function mutated(resource: Resource, random: Random): Resource | undefined {
  const copy = fromBinary(ResourceSchema, toBinary(ResourceSchema, resource));
  const places: Place[] = [];
  collect(ResourceSchema, copy as unknown as Fields, places);
  random.of(places).change(random);
  try {
    return fromBinary(ResourceSchema, toBinary(ResourceSchema, copy));
  } catch {
    return undefined;
  }
}

type Fields = Record<string, unknown>;

function collect(message: DescMessage, fields: Fields, places: Place[]): void {
  for (const oneof of message.oneofs) collectOneof(oneof, fields, places);
  for (const field of message.fields) {
    if (field.oneof !== undefined) continue;
    const name = field.localName;
    places.push({ change: (random) => put(fields, name, valueFor(field, fields[name], random)) });
    const value = fields[name];
    if (field.fieldKind === 'message' && value !== undefined && !isFreeForm(field))
      collect(field.message, value as Fields, places);
    if (field.fieldKind === 'list' && field.listKind === 'message')
      for (const each of value as Fields[]) collect(field.message, each, places);
  }
}

function collectOneof(oneof: DescOneof, fields: Fields, places: Place[]): void {
  const chosen = fields[oneof.localName] as { case?: string; value?: unknown };
  const field = oneof.fields.find(({ localName }) => localName === chosen.case);
  places.push({
    change: (random) => {
      const other = random.of(oneof.fields);
      const isEmpty = random.oneIn(3);
      fields[oneof.localName] = isEmpty
        ? { case: undefined }
        : { case: other.localName, value: valueFor(other, undefined, random) };
    },
  });
  if (field === undefined) return;
  if (field.fieldKind === 'message') collect(field.message, chosen.value as Fields, places);
  else
    places.push({
      change: (random) => put(chosen as Fields, 'value', valueFor(field, chosen.value, random)),
    });
}

/** Not by assignment: a name may be `__proto__`. */
function put(target: object, name: string, value: unknown): void {
  Object.defineProperty(target, name, { value, enumerable: true, writable: true, configurable: true });
}

function isFreeForm(field: DescField): boolean {
  return field.message?.typeName === 'google.protobuf.Struct';
}

function valueFor(field: DescField, before: unknown, random: Random): unknown {
  switch (field.fieldKind) {
    case 'scalar':
      return scalarFor(field.scalar, random);
    case 'enum':
      return random.of([0, 1, 2, 3, 77, -1]);
    case 'message':
      if (isFreeForm(field)) return freeForm(before, random);
      return random.oneIn(6)
        ? undefined
        : create(field.message, randomFields(field.message, random) as never);
    case 'list':
      return listFor(field, (before ?? []) as unknown[], random);
    case 'map': {
      const map = { ...(before as object) };
      for (let count = random.oneIn(20) ? 300 : 1; count > 0; count--)
        put(map, `${random.of(TEXTS)}${count > 1 ? count : ''}`, random.of(TEXTS));
      return map;
    }
  }
}

function listFor(field: DescField & { fieldKind: 'list' }, before: unknown[], random: Random): unknown[] {
  const another = () => {
    if (field.listKind === 'scalar') return scalarFor(field.scalar, random);
    if (field.listKind === 'enum') return random.below(90);
    return create(field.message, randomFields(field.message, random) as never);
  };
  const kind = random.below(6);
  if (kind === 0) return [];
  if (kind === 1) return [...before, ...before];
  // More than any list may have, and still as little as one request may hold.
  if (kind === 2 && random.oneIn(8) && field.listKind === 'scalar')
    return Array.from({ length: 10_001 }, (_, index) => (random.oneIn(2) ? 'x' : `x${index}`));
  return [...before, another()];
}

/** Some fields of a message, each with anything that it can have. */
function randomFields(message: DescMessage, random: Random): Fields {
  const fields: Fields = {};
  for (const field of message.fields) {
    if (random.oneIn(2)) continue;
    const value = valueFor(field, undefined, random);
    if (field.oneof === undefined) fields[field.localName] = value;
    else if (value !== undefined) fields[field.oneof.localName] = { case: field.localName, value };
  }
  return fields;
}

function scalarFor(type: ScalarType, random: Random): unknown {
  switch (type) {
    case ScalarType.STRING:
      return random.of(TEXTS);
    case ScalarType.BOOL:
      return random.oneIn(2);
    case ScalarType.UINT64:
    case ScalarType.INT64:
      return random.of(BIG);
    case ScalarType.INT32:
      return random.of(SIGNED);
    default:
      return random.of(NUMBERS);
  }
}

function freeForm(before: unknown, random: Random): JsonObject {
  const kind = random.below(5);
  if (kind === 0) return nested(random.of([1, 30, 90]));
  if (kind === 1) return { ...(before as JsonObject), number: random.of([NaN, Infinity, -0, 1e308]) };
  const made = JSON.parse(random.of(MEMBERS)) as JsonObject;
  const all: JsonObject = Array.isArray(made) ? { list: made } : made;
  if (kind === 2) return all;
  const both: JsonObject = {};
  for (const [name, value] of [...Object.entries((before ?? {}) as JsonObject), ...Object.entries(all)])
    put(both, name, value);
  return both;
}

function nested(depth: number): JsonObject {
  let object: JsonObject = { a: 1 };
  for (let level = 0; level < depth; level++) object = { a: object };
  return object;
}
