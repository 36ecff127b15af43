/**
 * The rules of {@link scanMessage} once more, slow and plain, over JSON.parse: what the scanner is measured
 * against in property tests.
 */
import { MAX_ID_BYTES, MAX_JSON_DEPTH_LEVELS, type MessageKind } from './scan.js';

/** `parse`: not JSON. `invalid`: JSON, but not a message. */
export type Verdict = MessageKind | 'parse' | 'invalid';

export interface PlainReading {
  readonly verdict: Verdict;
  /** The parsed message, when it is JSON. */
  readonly value?: unknown;
}

const TOKEN = /"(?:[^"\\]|\\.)*"|[[\]{}:,]|[^\s[\]{}:,"]+/gs;

export function readPlainly(bytes: Uint8Array): PlainReading {
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    value = JSON.parse(text);
  } catch {
    return { verdict: 'parse' };
  }
  const { sound, id } = walk(text);
  return { value, verdict: sound ? classify(value, id) : 'invalid' };
}

/** Looks for duplicate keys and deep nesting in valid JSON, and for the text of the top-level `id`. */
function walk(text: string): { sound: boolean; id: string | undefined } {
  const open: (Set<string> | undefined)[] = [];
  let before = '';
  let sound = true;
  let id: string | undefined;
  let key = '';
  for (const [token] of text.matchAll(TOKEN)) {
    if (open.length === 1 && before === ':' && key === 'id') id = token;
    if (token === '{') open.push(new Set());
    else if (token === '[') open.push(undefined);
    else if (token === '}' || token === ']') open.pop();
    else if (token === ':') {
      key = JSON.parse(before);
      const keys = open.at(-1) as Set<string>;
      if (keys.has(key)) sound = false;
      keys.add(key);
    }
    if (open.length > MAX_JSON_DEPTH_LEVELS) sound = false;
    before = token;
  }
  return { sound, id };
}

function classify(value: unknown, id: string | undefined): Verdict {
  if (!isObject(value)) return 'invalid';
  const has = (key: string) => Object.hasOwn(value, key);
  if (!has('jsonrpc') || value.jsonrpc !== '2.0') return 'invalid';
  const isError = has('error') && !has('method') && !has('result');
  if (has('id') && !(isId(id ?? '') || (isError && id === 'null'))) return 'invalid';
  if (has('method')) {
    if (has('result') || has('error')) return 'invalid';
    if (typeof value.method !== 'string' || !/^[!-~]{1,256}$/.test(value.method)) return 'invalid';
    if (has('params')) {
      const { params } = value;
      if (!isObject(params)) return 'invalid';
      if (Object.hasOwn(params, '_meta') && !isObject(params._meta)) return 'invalid';
    }
    return has('id') ? 'request' : 'notification';
  }
  if (isError) return isObject(value.error) ? 'error' : 'invalid';
  return has('result') && !has('error') && has('id') && isObject(value.result) ? 'result' : 'invalid';
}

/** @param text the id as it stands in the message */
function isId(text: string): boolean {
  return Buffer.byteLength(text) <= MAX_ID_BYTES && (text.startsWith('"') || /^-?[0-9]+$/.test(text));
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
