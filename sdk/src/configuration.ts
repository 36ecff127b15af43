/** The configuration of a plugin against its schema: every problem with the path of its field. */
import { type StringOptions, type TObject, type TSchema, type TString, Type } from '@sinclair/typebox';
import { Value, type ValueError, ValueErrorType } from '@sinclair/typebox/value';
import { attributeProblem } from './attributes.js';
import { withDefaults } from './defaults.js';
import { nearestName } from './nearest-name.js';
import type { ConfigProblem, Plugin } from './plugin.js';

/** Entries of a list that are checked at once: less than a millisecond. */
const ITEMS_PER_STEP = 50;
/** And of those that were checked before. */
const KNOWN_PER_STEP = 20 * ITEMS_PER_STEP;
/** What a schema has of which the members can be checked one after the other. */
const PLAIN_OBJECT: ReadonlySet<string> = new Set([
  ...['type', 'properties', 'required', 'additionalProperties', 'default', 'title', 'description'],
]);
const PLAIN_LIST: ReadonlySet<string> = new Set([
  ...['type', 'items', 'minItems', 'maxItems', 'default', 'title', 'description'],
]);
const REFERENCE = /"\$(?:ref|id|defs)":/;
/** Problems of one configuration that are told; the rest repeats them. */
const MAX_PROBLEM_COUNT = 20;

export type CheckedConfig =
  | { readonly ok: true; readonly config: unknown }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

/** Fills in defaults and checks. The value is not changed. */
export function checkConfig(plugin: Plugin, value: unknown): CheckedConfig {
  const problems = prototypeProblems(value, '');
  const config = withDefaults(plugin.config, structuredClone(value ?? {}));
  // To look for errors takes twenty times as long as to find that there are none.
  const errors = Value.Check(plugin.config, config) ? [] : Value.Errors(plugin.config, config);
  for (const error of errors) {
    if (problems.length === MAX_PROBLEM_COUNT) break;
    const problem = problemOf(innermost(error));
    if (!problems.some(({ path }) => path === problem.path)) problems.push(problem);
  }
  if (problems.length > 0) return { ok: false, problems };
  return checkedByPlugin(plugin, config);
}

/**
 * As {@link checkConfig}, and yields every few entries of a long list, so that whoever runs it can do something else in
 * between. What the plugin checks by itself is one step. A configuration that is wrong is checked at once. An entry that
 * is frozen has to be frozen through and through.
 */
export function* checkConfigInSteps(plugin: Plugin, value: unknown): Generator<void, CheckedConfig, void> {
  const name = longestList(plugin, value);
  if (name === undefined) return checkConfig(plugin, value);
  const { [name]: list = [], ...rest } = value as Record<string, readonly unknown[]>;
  const schema = plugin.config.properties[name] as TSchema;
  const known = knownEntries(schema.items);
  const filled: unknown[] = [];
  while (filled.length < list.length) {
    const few = list.slice(filled.length, filled.length + ITEMS_PER_STEP);
    const fresh = few.filter((each) => !known.has(each as object));
    if (fresh.some((each) => prototypeProblems(each, '').length > 0)) return checkConfig(plugin, value);
    const made = fresh.length === 0 ? [] : structuredClone(fresh);
    let next = 0;
    for (const each of few) {
      const before = known.get(each as object);
      if (before !== undefined) {
        filled.push(before);
        continue;
      }
      const item = withDefaults(schema.items, made[next++]);
      if (!Value.Check(schema.items, item)) return checkConfig(plugin, value);
      filled.push(item);
      if (typeof each === 'object' && each !== null && Object.isFrozen(each)) known.set(each, item as object);
    }
    if (fresh.length > 0 || filled.length % KNOWN_PER_STEP === 0) yield;
  }
  // The rest of it, beside a list of which only the length is still to be looked at.
  const properties = { ...plugin.config.properties, [name]: { ...schema, items: Type.Unknown() } };
  const frame: TObject = { ...plugin.config, properties };
  const config = { ...(withDefaults(frame, structuredClone(rest)) as object), [name]: filled };
  if (!Value.Check(frame, config) || prototypeProblems(rest, '').length > 0)
    return checkConfig(plugin, value);
  yield;
  return checkedByPlugin(plugin, config);
}

/**
 * What was made of entries that are frozen, by the schema of an entry: whoever has one key more hands the others on as
 * they are, and those are not checked again.
 */
const checkedEntries = new WeakMap<TSchema, WeakMap<object, object>>();

function knownEntries(schema: TSchema): WeakMap<object, object> {
  let known = checkedEntries.get(schema);
  if (known === undefined) {
    known = new WeakMap();
    checkedEntries.set(schema, known);
  }
  return known;
}

/** The longest list that can be checked one by one; undefined when none is long. */
function longestList({ config }: Plugin, value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || !isPlain(config, PLAIN_OBJECT)) return undefined;
  let longest: string | undefined;
  let count = ITEMS_PER_STEP;
  for (const [name, schema] of Object.entries<TSchema>(config.properties)) {
    const list = Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
    if (!Array.isArray(list) || list.length <= count || !isPlain(schema, PLAIN_LIST)) continue;
    if (schema.type !== 'array' || REFERENCE.test(JSON.stringify(schema.items))) continue;
    longest = name;
    count = list.length;
  }
  return longest;
}

function isPlain(schema: TSchema, keys: ReadonlySet<string>): boolean {
  return Object.keys(schema).every((key) => keys.has(key));
}

function checkedByPlugin(plugin: Plugin, config: unknown): CheckedConfig {
  const own = plugin.check(config);
  if (own.length > 0) return { ok: false, problems: own };
  for (const name of plugin.reads(config)) {
    const problem = attributeProblem(name);
    if (problem !== undefined) return { ok: false, problems: [{ path: '', message: `reads ${problem}` }] };
  }
  return { ok: true, config };
}

/** A field of that name would be taken for what the object inherits, here or in a plugin. */
function prototypeProblems(value: unknown, pointer: string): ConfigProblem[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, member]) => {
    const own = `${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    if (key === '__proto__') return [{ path: dotted(own), message: 'is no name that a field can have' }];
    return prototypeProblems(member, own);
  });
}

/** Of several forms that a value can have, one alone fits it but for something inside. */
function innermost(error: ValueError): ValueError {
  if (error.type !== ValueErrorType.Union) return error;
  const inside = error.errors
    .map((each) => each.First())
    .filter((first) => first !== undefined && first.path.length > error.path.length);
  return inside.length === 1 && inside[0] !== undefined ? innermost(inside[0]) : error;
}

function problemOf({ path: pointer, message, schema, type, value }: ValueError): ConfigProblem {
  const path = dotted(pointer);
  if (type === ValueErrorType.ObjectAdditionalProperties) {
    return { path, message: 'unknown field', ...knownFields(schema, pointer) };
  }
  if (type === ValueErrorType.ObjectRequiredProperty) {
    return { path, message: 'is missing', ...hintOf(schema) };
  }
  if (type === ValueErrorType.Union) {
    const values = constants(schema);
    if (values.length > 0)
      return { path, message: 'is none of the values that it can have', hint: values.join(', ') };
  }
  // Never the value, nor a text that holds it: it may be a secret.
  if (type === ValueErrorType.StringPattern) {
    return { path, message: `does not have the form ${schema.pattern}`, ...hintOf(schema) };
  }
  const said = type === ValueErrorType.Union ? 'has none of the forms that it can have' : lowerFirst(message);
  return { path, message: `${said}; it is ${kindOf(value)}`, ...hintOf(schema) };
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

function hintOf({ description }: TSchema): { hint?: string } {
  return description === undefined ? {} : { hint: description };
}

/** What could have been meant by a field that is not there. */
function knownFields({ properties }: TSchema, pointer: string): { hint?: string } {
  const names = Object.keys(properties ?? {});
  const near = nearestName(pointer.slice(pointer.lastIndexOf('/') + 1), names);
  if (near !== undefined) return { hint: `did you mean ${near}?` };
  return names.length === 0 ? {} : { hint: `known here: ${names.join(', ')}` };
}

function constants(schema: TSchema): string[] {
  const any = (schema.anyOf ?? []) as TSchema[];
  return any.flatMap((each) => (each.const === undefined ? [] : [JSON.stringify(each.const)]));
}

/** `/tiers/0/rate` as `tiers[0].rate`. */
function dotted(pointer: string): string {
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce(
      (path, part) => (/^\d+$/.test(part) ? `${path}[${part}]` : path === '' ? part : `${path}.${part}`),
      '',
    );
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

/** A text that never appears in logs, errors or answers of the admin API. Write it as `${VAR}` in a file. */
export function Secret(options: StringOptions = {}): TString {
  return Type.String({ ...options, writeOnly: true });
}

/**
 * A pattern `upstream:name`. The gateway warns of one that names an upstream which its configuration does not have;
 * what else is wrong with it is for the plugin to say. In a record whose keys are such patterns it is the schema of
 * `propertyNames`.
 */
export function TargetPattern(options: StringOptions = {}): TString {
  return Type.String({ ...options, targetPattern: true });
}
