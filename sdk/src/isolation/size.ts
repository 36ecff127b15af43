/** Whether a value is small enough to be made into JSON: to find out by making it can take all memory there is. */

/** What a member costs beside its name and value. */
const MEMBER_LENGTH = 4;

/** Throws a RangeError when the JSON of a value would be longer than that, give or take escapes. */
export function checkLength(value: unknown, maxLength: number): void {
  if (lengthOf(value, maxLength) > maxLength)
    throw new RangeError(`longer than the ${maxLength} characters that the gateway takes from a plugin`);
}

function lengthOf(value: unknown, maxLength: number): number {
  if (typeof value === 'string') return value.length;
  if (typeof value !== 'object' || value === null) return MEMBER_LENGTH;
  let length = 0;
  for (const name in value) {
    length += name.length + MEMBER_LENGTH;
    length += lengthOf((value as Record<string, unknown>)[name], maxLength - length);
    if (length > maxLength) break;
  }
  return length;
}
