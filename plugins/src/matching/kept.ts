/**
 * What threads keep compiled from one task to the next: what is there by a name, or what is made now. With one more than
 * there may be it begins anew.
 */
export function kept<T>(all: Map<string, T>, key: string, maxCount: number, make: () => T): T {
  const known = all.get(key);
  if (known !== undefined) return known;
  if (all.size >= maxCount) all.clear();
  const made = make();
  all.set(key, made);
  return made;
}
