/** SQLite takes JSON up to a depth of 1,000. */
const MAX_DEPTH = 500;

/** True for JSON whose objects and lists are nested more deeply than SQLite can be relied on to take. */
export function isTooDeep(json: string): boolean {
  if (json.length <= MAX_DEPTH) return false;
  let [depth, deepest, isText] = [0, 0, false];
  for (let index = 0; index < json.length; index++) {
    const character = json[index];
    if (isText && character === '\\') index++;
    else if (character === '"') isText = !isText;
    else if (isText) continue;
    else if (character === '{' || character === '[') deepest = Math.max(deepest, ++depth);
    else if (character === '}' || character === ']') depth--;
  }
  return deepest > MAX_DEPTH;
}
