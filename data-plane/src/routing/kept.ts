/** Objects of the configuration before, where the next one says the same: who runs it sees at once what is another. */

export function keptIfSame<T extends object>(before: T | undefined, next: T): T {
  return before !== undefined && isSame(before, next) ? before : next;
}

export function keptIfAllSame<T>(before: readonly T[] | undefined, next: readonly T[]): readonly T[] {
  return before !== undefined && sameItems(before, next) ? before : Object.freeze(next);
}

/** The same objects as before for what is the same, by their names. */
export function keptByName<T extends { readonly name: string }>(
  before: readonly T[] | undefined,
  next: readonly T[],
): T[] {
  const earlier = new Map(before?.map((each) => [each.name, each]));
  return next.map((each) =>
    each === earlier.get(each.name) ? each : keptIfSame(earlier.get(each.name), each),
  );
}

export function sameItems<T>(a: readonly T[], b: readonly T[]): boolean {
  return a === b || (a.length === b.length && a.every((each, index) => each === b[index]));
}

/**
 * True when two values of JSON say the same, their members in the same order. What is the very same object is not looked
 * into, so that of two long lists only the entries are compared that were made anew.
 */
export function isSame(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b))
    return (
      Array.isArray(a) &&
      Array.isArray(b) &&
      a.length === b.length &&
      a.every((each, i) => isSame(each, b[i]))
    );
  const names = membersOf(a);
  const others = membersOf(b);
  return (
    names.length === others.length &&
    names.every(
      (name, i) =>
        name === others[i] &&
        isSame((a as Record<string, unknown>)[name], (b as Record<string, unknown>)[name]),
    )
  );
}

/** As JSON has them: what is undefined is not there. */
function membersOf(value: object): string[] {
  const names = Object.keys(value);
  const isThere = (name: string) => (value as Record<string, unknown>)[name] !== undefined;
  return names.every(isThere) ? names : names.filter(isThere);
}
