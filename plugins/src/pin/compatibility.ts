/**
 * What is another in a tool than before, and whether calls that are made by its old definition may fail or do something
 * else. Whatever cannot be told is taken for breaking.
 */
import type { Json, JsonObject } from '@sluice/sdk';
import { canonicalText } from './canonical-text.js';

export interface DefinitionChange {
  /** JSON Pointer into the definition (RFC 6901). */
  readonly path: string;
  /** What has become of it: `is required now`. */
  readonly what: string;
  readonly isBreaking: boolean;
}

/** Hints by which clients decide what to ask before: their cautious value, which is what they are without being said. */
const CAUTIOUS_HINTS: Readonly<Record<string, boolean>> = {
  readOnlyHint: false,
  destructiveHint: true,
  idempotentHint: false,
  openWorldHint: true,
};

/** Characters that are written to compare two definitions; ways of many ways take their square. */
const MAX_COMPARED_LENGTH = 2_000_000;
/** What is left of it: one comparison ends before another begins. */
let leftLength = 0;

class TooLarge extends Error {
  override readonly name = 'TooLarge';
}

/** Of a definition by another one; empty when both say the same. */
export function changesBetween(before: JsonObject, after: JsonObject): readonly DefinitionChange[] {
  leftLength = MAX_COMPARED_LENGTH;
  try {
    return comparedMembers(before, after);
  } catch (thrown) {
    if (!(thrown instanceof TooLarge)) throw thrown;
    return [{ path: '', what: 'is too large to be compared', isBreaking: true }];
  }
}

function comparedMembers(before: JsonObject, after: JsonObject): readonly DefinitionChange[] {
  const changes: DefinitionChange[] = [];
  const members = new Set([...Object.keys(before), ...Object.keys(after)]);
  for (const member of [...members].sort()) {
    const [old, own] = [before[member], after[member]];
    if (isSame(old, own)) continue;
    const path = `/${escaped(member)}`;
    const found = changes.length;
    if (member === 'inputSchema') changes.push(...inputChanges(old, own, path));
    else if (member === 'outputSchema') changes.push(...outputChanges(old, own, path));
    else if (member === 'annotations') changes.push(...hintChanges(old, own, path));
    // How a call runs, for example as a task, is what a client relies on.
    else if (member === 'execution') changes.push({ path, what: 'has changed', isBreaking: true });
    // What is only for readers is told too: models are among them.
    if (changes.length === found) changes.push({ path, what: spokenOf(old, own), isBreaking: false });
  }
  return changes;
}

function spokenOf(old: unknown, own: unknown): string {
  if (old === undefined) return 'is new';
  return own === undefined ? 'is gone' : 'has changed';
}

function inputChanges(old: Json | undefined, own: Json | undefined, path: string): DefinitionChange[] {
  if (old === undefined || own === undefined) return [{ path, what: spokenOf(old, own), isBreaking: true }];
  return narrowings(old, own, path);
}

/** Whoever reads results has to understand all that may come now. */
function outputChanges(old: Json | undefined, own: Json | undefined, path: string): DefinitionChange[] {
  if (old === undefined) return [{ path, what: 'is new', isBreaking: false }];
  if (own === undefined) return [{ path, what: 'is gone', isBreaking: true }];
  return narrowings(own, old, path).map((each) => ({ ...each, what: 'allows more than before' }));
}

function hintChanges(old: Json | undefined, own: Json | undefined, path: string): DefinitionChange[] {
  const [before, after] = [objectOr(old), objectOr(own)];
  return Object.entries(CAUTIOUS_HINTS).flatMap(([hint, cautious]) => {
    const [was, is] = [before[hint] ?? cautious, after[hint] ?? cautious];
    if (was === is) return [];
    return [{ path: `${path}/${hint}`, what: `is ${is} now`, isBreaking: is === cautious }];
  });
}

/** Keywords that assert nothing. */
const REMARKS = new Set([
  '$comment',
  '$id',
  '$anchor',
  'default',
  'deprecated',
  'description',
  'examples',
  'readOnly',
  'title',
  'writeOnly',
]);
const LOWER_BOUNDS = ['minimum', 'exclusiveMinimum', 'minLength', 'minItems', 'minProperties', 'minContains'];
const UPPER_BOUNDS = ['maximum', 'exclusiveMaximum', 'maxLength', 'maxItems', 'maxProperties', 'maxContains'];
/** The value of these is a schema that what is inside has to fit. */
const INNER = ['additionalProperties', 'items', 'propertyNames', 'unevaluatedItems', 'unevaluatedProperties'];
/** Their members are schemas that stand for themselves. */
const DEFINED = ['$defs', 'definitions'];
const HANDLED = new Set([
  ...REMARKS,
  ...LOWER_BOUNDS,
  ...UPPER_BOUNDS,
  ...INNER,
  ...DEFINED,
  'allOf',
  'anyOf',
  'const',
  'enum',
  'prefixItems',
  'properties',
  'required',
  'type',
]);
const ALL_TYPES = ['array', 'boolean', 'null', 'number', 'object', 'string'];

/** Where a schema may refuse what another one took. Optional properties that are new count as harmless. */
function narrowings(from: Json | undefined, to: Json | undefined, path: string): DefinitionChange[] {
  if (isSame(from, to) || from === false || to === true || to === undefined) return [];
  const breaking = (what: string, at = '') => ({ path: path + at, what, isBreaking: true });
  if (to === false) return [breaking('is not taken any more')];
  if (!isObject(to) || !(isObject(from) || from === true || from === undefined))
    return [breaking('is no schema that can be compared')];
  const before = objectOr(from);
  const changes: DefinitionChange[] = [];

  const types = typesOf(before);
  const lost = types.filter(
    (type) => !typesOf(to).some((own) => own === type || (own === 'number' && type === 'integer')),
  );
  if (lost.length > 0) changes.push(breaking(`cannot be ${lost.join(' or ')} any more`, '/type'));

  const values = valuesOf(to);
  if (values !== undefined) {
    const allowed = new Set(values.map(canonicalText));
    const old = valuesOf(before);
    if (old === undefined || old.some((value) => !allowed.has(canonicalText(value))))
      changes.push(breaking('takes fewer values', to.const === undefined ? '/enum' : '/const'));
  }

  const known = new Set(namesOf(before.required));
  for (const name of namesOf(to.required))
    if (!known.has(name)) changes.push(breaking('is required now', `/properties/${escaped(name)}`));

  changes.push(...propertyChanges(before, to, path));
  for (const bound of LOWER_BOUNDS)
    if (bounded(before[bound], to[bound], 1)) changes.push(breaking('takes less', `/${bound}`));
  for (const bound of UPPER_BOUNDS)
    if (bounded(before[bound], to[bound], -1)) changes.push(breaking('takes less', `/${bound}`));
  for (const keyword of INNER) {
    // A list of them is what `prefixItems` was before.
    if (Array.isArray(to[keyword]) || Array.isArray(before[keyword])) changes.push(...undecided(keyword));
    else if (to[keyword] !== undefined)
      changes.push(...narrowings(before[keyword] ?? true, to[keyword], `${path}/${keyword}`));
  }
  for (const keyword of DEFINED) {
    const [old, own] = [objectOr(before[keyword]), objectOr(to[keyword])];
    for (const name of Object.keys(own))
      if (Object.hasOwn(old, name))
        changes.push(...narrowings(old[name], own[name], `${path}/${keyword}/${escaped(name)}`));
  }
  changes.push(...partChanges(before, to, path, undecided));
  for (const keyword of new Set([...Object.keys(before), ...Object.keys(to)]))
    if (!HANDLED.has(keyword) && !isSame(before[keyword], to[keyword]) && mayNarrow(keyword, to))
      changes.push(...undecided(keyword));
  return changes;

  function undecided(keyword: string): DefinitionChange[] {
    return isSame(before[keyword], (to as JsonObject)[keyword])
      ? []
      : [breaking('has changed', `/${escaped(keyword)}`)];
  }
}

/** An assertion that is gone narrows nothing, but for those that belong to others. */
function mayNarrow(keyword: string, to: JsonObject): boolean {
  // Says which header field a client has to send (2026-07-28, streamable HTTP).
  if (keyword === 'x-mcp-header') return true;
  if (keyword.startsWith('x-')) return false;
  if (['format', 'multipleOf', 'not', 'pattern', 'uniqueItems'].includes(keyword))
    return to[keyword] !== undefined && to[keyword] !== false;
  return true;
}

function propertyChanges(before: JsonObject, to: JsonObject, path: string): DefinitionChange[] {
  const [old, own] = [objectOr(before.properties), objectOr(to.properties)];
  const changes: DefinitionChange[] = [];
  for (const name of Object.keys(own)) {
    const at = `${path}/properties/${escaped(name)}`;
    if (Object.hasOwn(old, name)) changes.push(...narrowings(old[name], own[name], at));
    else changes.push({ path: at, what: 'is new', isBreaking: false });
  }
  for (const name of Object.keys(old)) {
    if (Object.hasOwn(own, name)) continue;
    const at = `${path}/properties/${escaped(name)}`;
    const rest = to.additionalProperties ?? to.unevaluatedProperties ?? true;
    const isTaken = rest === true || (isObject(rest) && narrowings(old[name], rest, at).length === 0);
    changes.push({
      path: at,
      what: isTaken ? 'is not described any more' : 'is not taken any more',
      isBreaking: !isTaken,
    });
  }
  return changes;
}

/** `allOf` part by part; of `anyOf` each way that was has to be one that is. */
function partChanges(
  before: JsonObject,
  to: JsonObject,
  path: string,
  undecided: (keyword: string) => DefinitionChange[],
): DefinitionChange[] {
  const changes: DefinitionChange[] = [];
  for (const keyword of ['allOf', 'prefixItems'] as const) {
    const [old, own] = [before[keyword], to[keyword]];
    if (isSame(old, own) || own === undefined) continue;
    if (!Array.isArray(old) || !Array.isArray(own) || old.length !== own.length)
      changes.push(...undecided(keyword));
    else
      for (const [index, part] of own.entries())
        changes.push(...narrowings(old[index] as Json, part as Json, `${path}/${keyword}/${index}`));
  }
  const [old, own] = [before.anyOf, to.anyOf];
  if (isSame(old, own) || own === undefined) return changes;
  const isWidened =
    Array.isArray(old) &&
    Array.isArray(own) &&
    old.every((way: Json) =>
      own.some((other: Json) => !narrowings(way, other, '').some((each) => each.isBreaking)),
    );
  return isWidened ? changes : [...changes, ...undecided('anyOf')];
}

/** @param towards 1 for a bound that refuses what is below it, -1 for one that refuses what is above. */
function bounded(old: Json | undefined, own: Json | undefined, towards: 1 | -1): boolean {
  if (own === undefined || isSame(old, own)) return false;
  return typeof old !== 'number' || typeof own !== 'number' || (own - old) * towards > 0;
}

function typesOf({ type }: JsonObject): readonly string[] {
  if (type === undefined) return ALL_TYPES;
  return Array.isArray(type) ? (type as readonly string[]) : [String(type)];
}

function valuesOf(schema: JsonObject): readonly Json[] | undefined {
  if (schema.const !== undefined) return [schema.const];
  return Array.isArray(schema.enum) ? schema.enum : undefined;
}

function namesOf(required: Json | undefined): readonly string[] {
  return Array.isArray(required) ? required.map(String) : [];
}

function isSame(a: unknown, b: unknown): boolean {
  if (a === b || a === undefined || b === undefined) return a === b;
  const text = canonicalText(a);
  leftLength -= text.length;
  if (leftLength < 0) throw new TooLarge();
  return text === canonicalText(b);
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function objectOr(value: Json | undefined): JsonObject {
  return isObject(value) ? value : NOTHING;
}

const NOTHING: JsonObject = Object.freeze({});

function escaped(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}
