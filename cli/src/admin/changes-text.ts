/** Changes of resources as text, field by field. */
import type { JsonValue } from '@bufbuild/protobuf';
import { type Change, keyName, type Resource, type ResourceKey, ResourceSchema } from '@sluice/proto/cluster';
import { type Palette, printable } from '../terminal.js';
import { jsonOf } from './output.js';
import { inWords } from './words.js';

/** `upstream/files`, with the tenant in it where there is one. */
export function keyLabel(key: ResourceKey): string {
  return printable(keyName(key));
}

/** All changes, each with its fields. */
export function changesText(changes: readonly Change[], paint: Palette): string {
  return changes.map((change) => `${headOf(change, paint)}\n${fieldsOf(change, paint)}`).join('');
}

/** All changes, a line for each. */
export function changesSummary(changes: readonly Change[], paint: Palette): string {
  return changes.map((change) => `${headOf(change, paint)}${changedFields(change, paint)}\n`).join('');
}

/** `1 created, 2 changed, 1 removed`. */
export function changesCount(changes: readonly Change[]): string {
  const created = changes.filter(({ before }) => before === undefined).length;
  const removed = changes.filter(({ after }) => after === undefined).length;
  const changed = changes.length - created - removed;
  const parts = [
    [created, 'created'],
    [changed, 'changed'],
    [removed, 'removed'],
  ] as const;
  return parts.flatMap(([count, what]) => (count === 0 ? [] : [`${count} ${what}`])).join(', ');
}

function headOf({ key, before, after }: Change, paint: Palette): string {
  const label = key === undefined ? '' : keyLabel(key);
  if (before === undefined) return paint.green(`+ ${label}`);
  return after === undefined ? paint.red(`- ${label}`) : paint.bold(`~ ${label}`);
}

function changedFields({ before, after }: Change, paint: Palette): string {
  if (before === undefined || after === undefined) return '';
  const fields = differing(flat(before), flat(after));
  return paint.dim(`   ${printable(fields.join(', '))}`);
}

function fieldsOf({ before, after }: Change, paint: Palette): string {
  const [old, now] = [flat(before), flat(after)];
  const fields = differing(old, now);
  return fields
    .flatMap((field) => [
      ...(old.has(field) ? [paint.red(`-   ${lineOf(field, old, now)}`)] : []),
      ...(now.has(field) ? [paint.green(`+   ${lineOf(field, now, old)}`)] : []),
    ])
    .map((text) => `${text}\n`)
    .join('');
}

/** Characters of a value that are shown: the definition of a tool is one text of thousands. */
const MAX_VALUE_LENGTH = 200;
/** Characters that are shown before the first one that is another. */
const BEFORE_DIFFERENCE_LENGTH = 40;

/** A field with its value; of a long one what is around the first difference. */
function lineOf(field: string, own: ReadonlyMap<string, string>, other: ReadonlyMap<string, string>): string {
  const value = own.get(field) ?? '';
  if (value.length <= MAX_VALUE_LENGTH) return printable(`${field}: ${value}`);
  const same = commonLength(value, other.get(field) ?? '');
  const from = same < MAX_VALUE_LENGTH / 2 ? 0 : same - BEFORE_DIFFERENCE_LENGTH;
  const to = from + MAX_VALUE_LENGTH;
  const part = `${from > 0 ? '…' : ''}${value.slice(from, to)}${to < value.length ? '…' : ''}`;
  return printable(`${field}: ${part} (${value.length} characters)`);
}

function commonLength(one: string, other: string): number {
  let length = 0;
  while (length < one.length && one[length] === other[length]) length++;
  return length;
}

/** Names of what is in one and not in the other, or another there. */
function differing(old: ReadonlyMap<string, string>, now: ReadonlyMap<string, string>): string[] {
  const added = [...now.keys()].filter((field) => !old.has(field));
  return [...old.keys(), ...added].filter((field) => old.get(field) !== now.get(field));
}

/** The fields of a resource by their paths; those of what it is begin there, as in `http.url`. */
function flat(resource: Resource | undefined): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  if (resource === undefined) return fields;
  const { revision: _, ...json } = inWords(ResourceSchema, jsonOf(ResourceSchema, resource));
  const spec = ResourceSchema.oneofs.flatMap((oneof) => oneof.fields).map(({ name }) => name);
  for (const [name, value] of Object.entries(json))
    flatten(fields, spec.includes(name) ? '' : name, value as JsonValue);
  return fields;
}

function flatten(fields: Map<string, string>, path: string, value: JsonValue): void {
  if (Array.isArray(value) && value.length > 0) {
    for (const [index, item] of value.entries()) flatten(fields, `${path}[${index}]`, item);
  } else if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    const members = Object.entries(value);
    if (members.length === 0 && path !== '') fields.set(path, '{}');
    for (const [name, member] of members) flatten(fields, path === '' ? name : `${path}.${name}`, member);
  } else fields.set(path, typeof value === 'string' ? value : JSON.stringify(value));
}
