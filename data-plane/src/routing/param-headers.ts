import { MAX_JSON_DEPTH_LEVELS } from '../protocol/scan.js';
import { isJsonObject, type JsonObject } from './json-object.js';

/**
 * Tool parameters that are mirrored into HTTP headers: revision 2026-07-28, streamable HTTP, "Custom Headers
 * from Tool Parameters". A property of a tool's `inputSchema` with `"x-mcp-header": "Region"` makes the header
 * `Mcp-Param-Region`.
 */

export interface HeaderParam {
  /** Property names from the root of the arguments to the value. */
  readonly path: readonly string[];
  /** Whole field name: `Mcp-Param-Region`. */
  readonly header: string;
  readonly type: 'string' | 'integer' | 'boolean';
}

export type ParamHeaders =
  | { readonly ok: true; readonly params: readonly HeaderParam[] }
  | { readonly ok: false; readonly reason: string };

const ANNOTATION = 'x-mcp-header';
const HEADER_PREFIX = 'Mcp-Param-';
/** RFC 9110 section 5.6.2. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const TYPES: readonly unknown[] = ['string', 'integer', 'boolean'] satisfies HeaderParam['type'][];

/** Reasons quote what the upstream wrote, and go to the log. */
const MAX_REASON_CHARS = 300;

/** Keywords that hold data of the instance and no schema. */
const DATA_KEYWORDS = new Set(['const', 'default', 'enum', 'examples', 'example']);
/** Keywords whose value is an object from free names to schemas. */
const NAMING_KEYWORDS = new Set([
  'properties',
  'patternProperties',
  'dependentSchemas',
  'dependencies',
  '$defs',
  'definitions',
]);

/**
 * Collects the annotations of a tool's `inputSchema`. One that the specification forbids makes the tool
 * invalid for streamable HTTP: it must be left out of the list, with a warning that gives the reason.
 */
export function readParamHeaders(inputSchema: unknown): ParamHeaders {
  const found = new Map<string, HeaderParam>();
  const reason = collect(inputSchema, { path: [], depth: 0, onChain: true }, found);
  return reason === undefined
    ? { ok: true, params: [...found.values()] }
    : { ok: false, reason: reason.slice(0, MAX_REASON_CHARS) };
}

const readBefore = new WeakMap<JsonObject, ParamHeaders>();

/** {@link readParamHeaders} of a tool definition, read once for each definition. */
export function paramHeadersOf(tool: JsonObject): ParamHeaders {
  let read = readBefore.get(tool);
  if (!read) {
    read = readParamHeaders(tool.inputSchema);
    readBefore.set(tool, read);
  }
  return read;
}

interface Position {
  readonly path: readonly string[];
  /** Levels of JSON from the root; more than any message may have means that nobody parsed this. */
  readonly depth: number;
  /** Whether the way from the root holds nothing but `properties`; the root itself is on the chain. */
  readonly onChain: boolean;
}

/** Parameters by lower-case header name, in the order of the schema. */
type Found = Map<string, HeaderParam>;

/** Adds the annotations at and below `schema` to `found`; returns the first fault. */
function collect(schema: unknown, position: Position, found: Found): string | undefined {
  if (position.depth > MAX_JSON_DEPTH_LEVELS) return `nested deeper than ${MAX_JSON_DEPTH_LEVELS} levels`;
  const depth = position.depth + 1;
  if (Array.isArray(schema)) {
    const astray = { path: position.path, depth, onChain: false };
    return firstFault(schema, (element) => collect(element, astray, found));
  }
  if (!isJsonObject(schema)) return undefined;
  if (Object.hasOwn(schema, ANNOTATION)) {
    const fault = annotationFault(schema, position, found);
    if (fault !== undefined) return `${position.path.join('.') || 'the schema itself'}: ${fault}`;
    const header = HEADER_PREFIX + schema[ANNOTATION];
    found.set(header.toLowerCase(), {
      path: position.path,
      header,
      type: schema.type as HeaderParam['type'],
    });
  }
  return firstFault(Object.entries(schema), ([keyword, value]) => {
    if (keyword === ANNOTATION || DATA_KEYWORDS.has(keyword)) return undefined;
    if (!NAMING_KEYWORDS.has(keyword) || !isJsonObject(value)) {
      return collect(value, { path: [...position.path, keyword], depth, onChain: false }, found);
    }
    const onChain = position.onChain && keyword === 'properties';
    const path = onChain ? position.path : [...position.path, keyword];
    return firstFault(Object.entries(value), ([name, child]) =>
      collect(child, { path: [...path, name], depth: depth + 1, onChain }, found),
    );
  });
}

function annotationFault(schema: JsonObject, position: Position, found: Found): string | undefined {
  const name = schema[ANNOTATION];
  if (typeof name !== 'string' || name === '') return `${ANNOTATION} must be a string that is not empty`;
  if (!TOKEN.test(name)) {
    return `${ANNOTATION} ${JSON.stringify(name)} must hold only characters of a header name`;
  }
  if (!position.onChain || position.path.length === 0) {
    return `${ANNOTATION} must stand on a property that is reached through "properties" alone`;
  }
  if (!TYPES.includes(schema.type)) {
    const type = typeof schema.type === 'string' ? JSON.stringify(schema.type) : 'anything else';
    return `${ANNOTATION} must stand on a string, an integer or a boolean, not on ${type}`;
  }
  const other = found.get((HEADER_PREFIX + name).toLowerCase());
  return other && `${ANNOTATION} ${JSON.stringify(name)} is taken by ${other.path.join('.')}`;
}

function firstFault<Item>(
  items: readonly Item[],
  check: (item: Item) => string | undefined,
): string | undefined {
  for (const item of items) {
    const fault = check(item);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** The header fields of a call, for the arguments that are sent. Absent and null arguments have none. */
export function paramHeaderLines(params: readonly HeaderParam[], args: unknown): [string, string][] {
  const lines: [string, string][] = [];
  for (const param of params) {
    const text = headerText(valueAt(args, param.path));
    if (text !== undefined) lines.push([param.header, encodeHeaderValue(text)]);
  }
  return lines;
}

/**
 * Compares the header fields of a call with its arguments, as a server must. `headers` are by lower-case name.
 * Returns what is wrong, for error -32020 (HeaderMismatch) with HTTP status 400.
 *
 * A field whose argument is absent or null is a mismatch as well: a conforming client omits it, and something
 * in front may have trusted it.
 */
export function checkParamHeaders(
  params: readonly HeaderParam[],
  args: unknown,
  headers: Readonly<Record<string, string | undefined>>,
): string | undefined {
  return firstFault(params, (param) => {
    const argument = `argument ${JSON.stringify(param.path.join('.'))}`;
    const value = valueAt(args, param.path);
    const expected = headerText(value);
    const sent = headers[param.header.toLowerCase()];
    if (sent === undefined) {
      return expected === undefined ? undefined : `header ${param.header} is missing for ${argument}`;
    }
    const text = decodeHeaderValue(sent);
    if (text === undefined) return `header ${param.header} holds invalid characters or invalid Base64`;
    if (expected === undefined) return `header ${param.header} is sent without a value of ${argument}`;
    const same =
      text === expected ||
      (param.type === 'integer' && typeof value === 'number' && INTEGER.test(text) && Number(text) === value);
    return same ? undefined : `header ${param.header} does not match ${argument}`;
  });
}

/** Forms of one integer (`42`, `42.0`); a fraction other than zeros is never rounded into equality. */
const INTEGER = /^-?\d+(?:\.0+)?$/;

/** The text form of an argument; undefined for what has none, unsafe integers included. */
function headerText(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean') return String(value);
  if (typeof value !== 'number' || !Number.isFinite(value)) return undefined;
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? undefined : String(value);
}

function valueAt(args: unknown, path: readonly string[]): unknown {
  let value = args;
  for (const key of path) {
    if (!isJsonObject(value) || !Object.hasOwn(value, key)) return undefined;
    value = value[key];
  }
  return value;
}

const SENTINEL_START = '=?base64?';
const SENTINEL_END = '?=';

/**
 * Visible ASCII with spaces inside. A tab inside would be legal too; it is encoded because some servers take
 * it for a control character. An empty value is encoded because some intermediaries drop empty fields.
 */
const PLAIN = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;
/** What a field value that is not encoded may hold (RFC 9110 section 5.5, without obs-text). */
const FIELD_VALUE = /^[\t\x20-\x7e]*$/;

/** Writes text as a value of `Mcp-Param-*` or `Mcp-Name`: as it is, or as `=?base64?…?=`. */
export function encodeHeaderValue(text: string): string {
  const readsAsSentinel = text.startsWith(SENTINEL_START) && text.endsWith(SENTINEL_END);
  if (PLAIN.test(text) && !readsAsSentinel) return text;
  return SENTINEL_START + Buffer.from(text).toString('base64') + SENTINEL_END;
}

/** A byte order mark is part of the text. */
const STRICT_UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Reads what {@link encodeHeaderValue} writes; undefined for invalid characters, Base64 or UTF-8. */
export function decodeHeaderValue(value: string): string | undefined {
  if (!value.startsWith(SENTINEL_START) || !value.endsWith(SENTINEL_END)) {
    return FIELD_VALUE.test(value) ? value : undefined;
  }
  const encoded = value.slice(SENTINEL_START.length, -SENTINEL_END.length);
  const bytes = Buffer.from(encoded, 'base64');
  // Node skips what it cannot read; only the form that encodes back is valid (padding included).
  if (value.length < SENTINEL_START.length + SENTINEL_END.length || bytes.toString('base64') !== encoded) {
    return undefined;
  }
  try {
    return STRICT_UTF8.decode(bytes);
  } catch {
    return undefined;
  }
}
