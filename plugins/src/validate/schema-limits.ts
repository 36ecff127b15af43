/**
 * What a schema may be that is made into a program: servers write them, and composition makes short ones expensive
 * (2026-07-28, basic, "Composition-Keyword Resource Use").
 */
import type { Json, JsonObject } from '@sluice/sdk';

/** Objects and arrays inside of each other. */
const MAX_DEPTH = 64;
/** Objects that are, or may be, schemas. */
const MAX_SUBSCHEMA_COUNT = 10_000;

/** Keyword that is put into each subschema, and what one evaluation of it costs. */
export const STEP_KEYWORD = 'sluice-step';

/** What a schema cannot be checked for. */
export class UnfitSchema extends Error {
  override readonly name = 'UnfitSchema';
}

/** Their values are data and no schemas, or change nothing; a reference into one is not followed. */
const DATA = new Set(['const', 'dependentRequired', 'enum']);
/** What stays beside a reference of draft-07, where nothing else counts (core, section 8.3). */
const BESIDE_REFERENCES = new Set(['$id', '$ref', '$schema', '$defs', 'definitions']);
/** Their members are schemas, and their own names are no keywords. */
const MAPS = new Set([
  '$defs',
  'definitions',
  'dependencies',
  'dependentSchemas',
  'patternProperties',
  'properties',
]);

/**
 * A copy in which every subschema says what it costs: one, and one for each value that it is held against.
 *
 * @param referencesStandAlone as they do in draft-07
 * @throws UnfitSchema for one that is too deep or has too many parts.
 */
export function measured(schema: JsonObject, referencesStandAlone: boolean): JsonObject {
  let count = 0;

  function copied(value: Json | undefined, depth: number, isMap: boolean): Json | undefined {
    if (typeof value !== 'object' || value === null) return value;
    if (depth > MAX_DEPTH) throw new UnfitSchema(`it is nested more than ${MAX_DEPTH} levels deep`);
    if (Array.isArray(value)) return value.map((item: Json) => copied(item, depth + 1, false) as Json);
    if (++count > MAX_SUBSCHEMA_COUNT) throw new UnfitSchema(`it has more than ${MAX_SUBSCHEMA_COUNT} parts`);
    const own: Record<string, Json | undefined> = Object.create(null);
    const isReference = referencesStandAlone && !isMap && typeof (value as JsonObject).$ref === 'string';
    for (const [name, member] of Object.entries(value as JsonObject)) {
      if (isMap && name === '__proto__')
        throw new UnfitSchema('it describes a member `__proto__`, which cannot be checked');
      if (!isMap && (name === STEP_KEYWORD || (isReference && !BESIDE_REFERENCES.has(name)))) continue;
      own[name] = !isMap && DATA.has(name) ? member : copied(member, depth + 1, !isMap && MAPS.has(name));
    }
    if (!isMap) own[STEP_KEYWORD] = costOf(value as JsonObject);
    return own as JsonObject;
  }

  return copied(schema, 0, false) as JsonObject;
}

function costOf(schema: JsonObject): number {
  let cost = 1;
  for (const name of ['enum', 'required'] as const) {
    const list = schema[name];
    if (Array.isArray(list)) cost += list.length;
  }
  const { properties } = schema;
  if (typeof properties === 'object' && properties !== null) cost += Object.keys(properties).length;
  return cost;
}
