/**
 * Places in JSON documents by JSON Pointer (RFC 6901), read and changed without touching the document: what is on the
 * way to a change is copied, the rest is shared. Only own members count, so there is no way to a prototype.
 */
import type { Json, JsonObject } from '@sluice/sdk';

export type Pointer = readonly string[];

const INDEX = /^(?:0|[1-9]\d{0,9})$/;
/** Members by which careless code reaches prototypes. No document of a tool needs a rule for them. */
const REFUSED: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);
const MAX_TOKEN_COUNT = 32;

/** There is no such place, or nothing can be put there. */
export class NoPlace extends Error {
  override readonly name = 'NoPlace';
}

/** Why a text is no pointer to a place inside a document; undefined when it is one. */
export function pointerProblem(text: string): string | undefined {
  if (!text.startsWith('/')) return 'is no JSON Pointer; it begins with a slash, for example /filter/tenant';
  if (/~(?![01])/.test(text)) return 'has a ~ that is none; write ~0 for ~ and ~1 for /';
  const tokens = parsePointer(text);
  if (tokens.length > MAX_TOKEN_COUNT) return `has more than ${MAX_TOKEN_COUNT} parts`;
  const refused = tokens.find((token) => REFUSED.has(token));
  return refused === undefined ? undefined : `goes through ${refused}, which no rule may`;
}

/** @param text without a {@link pointerProblem}. */
export function parsePointer(text: string): Pointer {
  return text
    .slice(1)
    .split('/')
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** True when the second is a place inside of the first. */
export function isInside(outer: Pointer, inner: Pointer): boolean {
  return inner.length > outer.length && outer.every((token, index) => token === inner[index]);
}

/** What is there; undefined when nothing is. */
export function valueAt(document: Json, pointer: Pointer): Json | undefined {
  let value: Json | undefined = document;
  for (const token of pointer) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, token)) return undefined;
    if (Array.isArray(value) && !INDEX.test(token)) return undefined;
    value = (value as JsonObject)[token];
  }
  return value;
}

/**
 * The document with a value in that place. Objects that are missing on the way are made; in a list, an index that is
 * there is replaced, and `-` appends.
 *
 * @throws NoPlace
 */
export function withValue<T extends Json>(document: T, pointer: Pointer, value: Json): T {
  return changed(document, pointer, 0, value) as T;
}

/** The document without what is in that place; the same one when nothing is. Items of a list move up. */
export function without<T extends Json>(document: T, pointer: Pointer): T {
  if (valueAt(document, pointer) === undefined) return document;
  const parent = pointer.slice(0, -1);
  const last = pointer[pointer.length - 1] as string;
  const holder = valueAt(document, parent) as readonly Json[] | JsonObject;
  const rest = Array.isArray(holder)
    ? holder.filter((_, index) => String(index) !== last)
    : Object.fromEntries(Object.entries(holder).filter(([name]) => name !== last));
  return withValue(document, parent, rest as Json);
}

function changed(document: Json | undefined, pointer: Pointer, depth: number, value: Json): Json {
  const token = pointer[depth];
  if (token === undefined) return value;
  if (document === undefined) return { [token]: changed(undefined, pointer, depth + 1, value) };
  if (Array.isArray(document)) {
    const index = token === '-' ? document.length : Number(token);
    const isThere = token === '-' || (INDEX.test(token) && index < document.length);
    if (!isThere) throw new NoPlace(`there is no ${written(pointer, depth)} in the list`);
    const copy = [...document];
    copy[index] = changed(document[index], pointer, depth + 1, value);
    return copy;
  }
  if (typeof document !== 'object' || document === null)
    throw new NoPlace(`${written(pointer, depth)} would be inside of a value that holds none`);
  const own = Object.hasOwn(document, token) ? (document as JsonObject)[token] : undefined;
  return { ...(document as JsonObject), [token]: changed(own, pointer, depth + 1, value) };
}

function written(pointer: Pointer, depth: number): string {
  return `/${pointer.slice(0, depth + 1).join('/')}`;
}
