/** The fields of a plugin's configuration as rows of a table, read from its schema. */
import { Duration, Size } from '@sluice/sdk';

/** What of JSON Schema the plugins use. */
export interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly maxProperties?: number;
  readonly writeOnly?: boolean;
}

export interface Setting {
  /** `keys[].prefix`, `tiers.*.rate`. */
  readonly path: string;
  readonly takes: string;
  /** As Markdown; empty where there is none. */
  readonly default: string;
  readonly meaning: string;
}

/** All fields in the order of the schema, those of an inner object behind it. */
export function settingsOf(schema: Schema): readonly Setting[] {
  // What several fields have inside is told at the first of them.
  const told = new Map<string, string>();
  return membersOf(schema, '', told);
}

function membersOf(schema: Schema, prefix: string, told: Map<string, string>): Setting[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const path = `${prefix}${name}`;
    const isNeeded = schema.required?.includes(name) === true && field.default === undefined;
    const own = { path, takes: takes(field), default: isNeeded ? 'has to be there' : defaultOf(field) };
    const inner = innerOf(field, path);
    if (inner === undefined) return [{ ...own, meaning: field.description ?? '' }];
    const key = JSON.stringify(inner.schema.properties);
    const first = told.get(key);
    if (first !== undefined) {
      const meaning = [field.description, `Its fields are those of \`${first}\`.`].filter(Boolean).join(' ');
      return [{ ...own, meaning }];
    }
    told.set(key, inner.path);
    return [{ ...own, meaning: field.description ?? '' }, ...membersOf(inner.schema, `${inner.path}.`, told)];
  });
}

/** The object with fields of its own in a field, in a list, or in a mapping. */
function innerOf(field: Schema, path: string): { schema: Schema; path: string } | undefined {
  if (field.properties !== undefined) return { schema: field, path };
  if (field.items !== undefined) return innerOf(field.items, `${path}[]`);
  const values = valuesOf(field);
  return values === undefined ? undefined : innerOf(values, `${path}.*`);
}

/** What a mapping of any keys holds. */
function valuesOf({ patternProperties }: Schema): Schema | undefined {
  return patternProperties === undefined ? undefined : Object.values(patternProperties)[0];
}

const DURATION = Duration().pattern;
const SIZE = JSON.stringify(Size().anyOf);

/** In words; what stands in code may be written as it is. */
function takes(field: Schema): string {
  if (field.anyOf !== undefined) return unionOf(field.anyOf);
  if (field.items !== undefined)
    return `list of ${inside(takes(field.items))}${bounds(field.minItems, field.maxItems, 'entries')}`;
  const values = valuesOf(field);
  if (values !== undefined) {
    const most = bounds(undefined, field.maxProperties, 'entries');
    return values.type === undefined ? `mapping${most}` : `mapping to ${inside(takes(values))}${most}`;
  }
  switch (field.type) {
    case 'string':
      return textOf(field);
    case 'integer':
      return `whole number${bounds(field.minimum, field.maximum)}`;
    case 'boolean':
      return '`true`, `false`';
    case 'object':
      return 'mapping';
    default:
      return field.type ?? 'anything';
  }
}

function unionOf(forms: readonly Schema[]): string {
  if (JSON.stringify(forms) === SIZE) return 'size';
  const words = forms.flatMap((form) => (form.const === undefined ? [] : [code(form.const)]));
  return words.length === forms.length
    ? words.join(', ')
    : forms.map((form) => inside(takes(form))).join(' or ');
}

function textOf({ pattern, minLength, maxLength, writeOnly }: Schema): string {
  if (pattern === DURATION) return 'duration';
  const kind = writeOnly === true ? 'secret text' : 'text';
  const length = bounds(minLength === 1 ? undefined : minLength, maxLength, 'characters');
  return pattern === undefined ? kind + length : `${kind} like ${code(pattern)}${length}`;
}

function bounds(least: number | undefined, most: number | undefined, unit = ''): string {
  const noun = unit === '' ? '' : ` ${unit}`;
  if (least === 1 && most === undefined && unit === 'entries') return ', not empty';
  if (least === undefined && most === undefined) return '';
  if (least === undefined) return `, at most ${most}${noun}`;
  return most === undefined ? `, at least ${least}${noun}` : `, ${least} to ${most}${noun}`;
}

/** Of an object with fields, these say the default. */
function defaultOf({ default: value, properties }: Schema): string {
  if (value === undefined || properties !== undefined) return '';
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.map(code).join(', ');
  if (typeof value === 'object' && value !== null && Object.keys(value).length === 0) return 'none';
  return value === '' ? 'an empty text' : code(value);
}

/** Parts of what stands inside of something else are held together. */
function inside(words: string): string {
  return words.includes(', ') ? `(${words})` : words;
}

function code(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  const fence = text.includes('`') ? '``' : '`';
  return fence + text + fence;
}
