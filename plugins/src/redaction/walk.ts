/** Goes through JSON and changes the texts in it. What is not changed is the same object afterwards. */
import type { Json, JsonObject } from '@sluice/sdk';

/** Deeper ones are taken as a text: whoever nests so deep hides something. */
const MAX_DEPTH = 64;

export interface Visitor {
  /** What becomes of a text. */
  text(text: string, name: string): string;
  /** What becomes of a number. */
  number?(number: number): Json;
  /** What becomes of the name of a member. */
  name?(name: string): string;
  /** True for members that stay as they are. */
  isKept?(name: string, depth: number): boolean;
  /** Takes the place of all that is done to a member; undefined for one as any other. */
  member?(name: string, value: Json, owner: JsonObject): Json | undefined;
}

/** @param name of the member that holds it. */
export function changed(value: Json, visitor: Visitor, name = '', depth = 0): Json {
  if (typeof value === 'string') return visitor.text(value, name);
  if (typeof value === 'number') return visitor.number?.(value) ?? value;
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= MAX_DEPTH) {
    const text = JSON.stringify(value);
    const own = visitor.text(text, name);
    return own === text ? value : own;
  }
  return Array.isArray(value)
    ? changedList(value, visitor, name, depth)
    : changedObject(value as JsonObject, visitor, depth);
}

function changedList(list: readonly Json[], visitor: Visitor, name: string, depth: number): Json {
  let out: Json[] | undefined;
  for (let index = 0; index < list.length; index += 1) {
    const before = list[index] as Json;
    const after = changed(before, visitor, name, depth + 1);
    if (after === before) continue;
    out ??= [...list];
    out[index] = after;
  }
  return out ?? list;
}

function changedObject(object: JsonObject, visitor: Visitor, depth: number): JsonObject {
  // Nothing is made for an object that stays as it is, as most do.
  let members: [string, Json | undefined][] | undefined;
  let count = 0;
  for (const name of Object.keys(object)) {
    const before = object[name];
    const isKept = before === undefined || visitor.isKept?.(name, depth) === true;
    const own = isKept ? name : (visitor.name?.(name) ?? name);
    const after = isKept
      ? before
      : (visitor.member?.(name, before, object) ?? changed(before, visitor, name, depth + 1));
    if (members === undefined && (after !== before || own !== name))
      members = Object.entries(object).slice(0, count);
    members?.push([own, after]);
    count += 1;
  }
  // `fromEntries` defines members, so one that is called `__proto__` stays a member.
  return members === undefined ? object : (Object.fromEntries(members) as JsonObject);
}
