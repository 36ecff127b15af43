/** The schema of a configuration as it stands in a manifest, made into one that can be checked with. */
import { Kind, type TObject, type TSchema, Type } from '@sinclair/typebox';

type Json = { readonly [member: string]: unknown };

/** By keywords, the first that is there; what TypeBox writes has exactly one of them. */
const KINDS: readonly (readonly [keyword: string, kind: string])[] = [
  ['const', 'Literal'],
  ['anyOf', 'Union'],
  ['allOf', 'Intersect'],
  ['not', 'Not'],
  ['patternProperties', 'Record'],
];
const KINDS_OF_TYPES: Readonly<Record<string, string>> = {
  array: 'Array',
  boolean: 'Boolean',
  integer: 'Integer',
  null: 'Null',
  number: 'Number',
  object: 'Object',
  string: 'String',
};

/** @throws Error that names the place of what is no schema that the SDK's `Type` makes. */
export function configSchema(json: unknown): TObject {
  const schema = revived(json, 'config');
  if (schema[Kind] === 'Object') return schema as TObject;
  throw new Error('the schema of its configuration is not that of an object');
}

function revived(json: unknown, path: string): TSchema {
  if (typeof json !== 'object' || json === null) throw new Error(`${path} is no schema`);
  const node = json as Json;
  const kind = kindOf(node, path);
  const parts = Object.entries(node).map(([keyword, value]) => [keyword, partOf(keyword, value, path)]);
  // Made by the library, so that whatever it knows of the kind is there.
  return { ...Type.Unknown(), ...Object.fromEntries(parts), [Kind]: kind } as TSchema;
}

function kindOf(node: Json, path: string): string {
  if ('$ref' in node || '$id' in node) throw new Error(`${path} refers to another schema`);
  const found = KINDS.find(([keyword]) => keyword in node)?.[1];
  if (found !== undefined) return found;
  const { type, items } = node;
  if (type === undefined) return 'Unknown';
  if (type === 'array' && Array.isArray(items)) return 'Tuple';
  const kind = KINDS_OF_TYPES[String(type)];
  if (kind === undefined) throw new Error(`${path} has the unknown type ${JSON.stringify(type)}`);
  return kind;
}

function partOf(keyword: string, value: unknown, path: string): unknown {
  switch (keyword) {
    case 'properties':
    case 'patternProperties': {
      const own = Object.entries(value as Json).map(([name, each]) => [
        name,
        revived(each, `${path}.${name}`),
      ]);
      return Object.fromEntries(own);
    }
    case 'anyOf':
    case 'allOf':
      return (value as unknown[]).map((each, index) => revived(each, `${path}.${keyword}[${index}]`));
    case 'items':
      return Array.isArray(value)
        ? value.map((each, index) => revived(each, `${path}[${index}]`))
        : revived(value, `${path}[]`);
    case 'not':
      return revived(value, path);
    case 'additionalProperties':
      return typeof value === 'object' ? revived(value, `${path}.*`) : value;
    default:
      return value;
  }
}
