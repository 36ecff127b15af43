/** Defaults of a schema. A default stands for a value that is not there, and is never mixed with one that is. */
import type { TSchema } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';

/** Schemas that others refer to, by name. */
type Named = Readonly<Record<string, TSchema | undefined>>;

/** @param value JSON, which is filled in place; what it lacks to fit the schema is for others to say. */
export function withDefaults(schema: TSchema, value: unknown, outer: Named = {}): unknown {
  const { $id, $ref, $defs, anyOf, allOf } = schema;
  const named: Named = { ...outer, ...$defs, ...($id === undefined ? {} : { [$id]: schema }) };
  const referred = $ref === undefined ? undefined : named[$ref];
  if (referred !== undefined) return withDefaults(referred, value, named);
  const own = value === undefined ? copyOf(schema.default) : value;
  if (anyOf !== undefined) return ofFirstForm(anyOf, own, named);
  if (allOf !== undefined)
    return (allOf as TSchema[]).reduce((filled, each) => withDefaults(each, filled, named), own);
  if (Array.isArray(own)) {
    const { items } = schema;
    for (let index = 0; isSchema(items) && index < own.length; index++)
      own[index] = withDefaults(items, own[index], named);
  } else if (typeof own === 'object' && own !== null) {
    fillMembers(schema, own as Record<string, unknown>, named);
  }
  return own;
}

/** Of several forms the first that fits. */
function ofFirstForm(forms: readonly TSchema[], value: unknown, named: Named): unknown {
  const references = Object.values(named).filter((each) => each !== undefined);
  for (const form of forms) {
    const filled = withDefaults(form, structuredClone(value), named);
    if (Value.Check(form, references, filled)) return filled;
  }
  return value;
}

function fillMembers(schema: TSchema, value: Record<string, unknown>, named: Named): void {
  const properties: Record<string, TSchema> = schema.properties ?? {};
  for (const [name, each] of Object.entries(properties)) {
    const filled = withDefaults(each, Object.hasOwn(value, name) ? value[name] : undefined, named);
    if (filled !== undefined) value[name] = filled;
  }
  const patterns = Object.entries<TSchema>(schema.patternProperties ?? {});
  for (const name of Object.keys(value)) {
    if (Object.hasOwn(properties, name)) continue;
    const each =
      patterns.find(([pattern]) => new RegExp(pattern).test(name))?.[1] ?? schema.additionalProperties;
    if (name !== '__proto__' && isSchema(each)) value[name] = withDefaults(each, value[name], named);
  }
}

/** To clone what is no object costs much more than all else here. */
function copyOf(value: unknown): unknown {
  return typeof value === 'object' && value !== null ? structuredClone(value) : value;
}

function isSchema(value: unknown): value is TSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
