/** Objects of the configuration before, where the next one says the same: who runs it sees at once what is another. */

export function keptIfSame<T extends object>(before: T | undefined, next: T): T {
  return before !== undefined && JSON.stringify(before) === JSON.stringify(next) ? before : next;
}

export function keptIfAllSame<T>(before: readonly T[] | undefined, next: readonly T[]): readonly T[] {
  const isSame = before?.length === next.length && before.every((each, index) => each === next[index]);
  return isSame ? (before as readonly T[]) : Object.freeze(next);
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
