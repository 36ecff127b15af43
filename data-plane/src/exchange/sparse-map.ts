/**
 * Tables of which there is one for each session, or several, and of which most stay empty. An empty `Map` or `Set`
 * takes some 200 bytes; ten of them were half of what an idle session held. These make theirs with the first entry.
 */

const NOTHING: readonly never[] = [];

export class SparseMap<Key, Value> {
  private map: Map<Key, Value> | undefined;

  get size(): number {
    return this.map === undefined ? 0 : this.map.size;
  }

  has(key: Key): boolean {
    return this.map?.has(key) === true;
  }

  get(key: Key): Value | undefined {
    return this.map?.get(key);
  }

  set(key: Key, value: Value): void {
    this.map ??= new Map();
    this.map.set(key, value);
  }

  /** True when it was there. */
  delete(key: Key): boolean {
    return this.map?.delete(key) === true;
  }

  clear(): void {
    this.map = undefined;
  }

  keys(): Iterable<Key> {
    return this.map?.keys() ?? NOTHING;
  }

  values(): Iterable<Value> {
    return this.map?.values() ?? NOTHING;
  }

  [Symbol.iterator](): Iterator<[Key, Value]> {
    return (this.map ?? NOTHING)[Symbol.iterator]();
  }
}

export class SparseSet<Member> {
  private set: Set<Member> | undefined;

  get size(): number {
    return this.set === undefined ? 0 : this.set.size;
  }

  has(member: Member): boolean {
    return this.set?.has(member) === true;
  }

  add(member: Member): void {
    this.set ??= new Set();
    this.set.add(member);
  }

  /** True when it was there. */
  delete(member: Member): boolean {
    return this.set?.delete(member) === true;
  }

  [Symbol.iterator](): Iterator<Member> {
    return (this.set ?? NOTHING)[Symbol.iterator]();
  }
}
