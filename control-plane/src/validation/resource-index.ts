/** Who gives and who refers to what in a configuration, found without looking at all of it. */
import type { Entry, KeyText, ResourceState } from '@sluice/proto/cluster';
import { type Links, linksOf, type Thing } from './resource-links.js';

interface Known {
  readonly entry: Entry;
  readonly links: Links;
}

const NOBODY: ReadonlySet<KeyText> = new Set();

/**
 * Follows from state to state: what did not change costs a comparison of two references, so that the cost of a look
 * grows with what did.
 */
export class ResourceIndex {
  private readonly known = new Map<KeyText, Known>();
  private readonly givers = new Map<Thing, Set<KeyText>>();
  private readonly referrers = new Map<Thing, Set<KeyText>>();

  /** Brings it to what a state holds. */
  follow(state: ResourceState): void {
    for (const entry of state.entries()) {
      const known = this.known.get(entry.key);
      if (known?.entry === entry) continue;
      if (known !== undefined) this.drop(known);
      this.add(entry);
    }
    if (this.known.size === state.size) return;
    for (const [key, known] of this.known) if (state.get(key) === undefined) this.drop(known);
  }

  has(thing: Thing): boolean {
    return this.givers.has(thing);
  }

  giversOf(thing: Thing): ReadonlySet<KeyText> {
    return this.givers.get(thing) ?? NOBODY;
  }

  referrersOf(thing: Thing): ReadonlySet<KeyText> {
    return this.referrers.get(thing) ?? NOBODY;
  }

  entry(key: KeyText): Entry | undefined {
    return this.known.get(key)?.entry;
  }

  linksOf(key: KeyText): Links | undefined {
    return this.known.get(key)?.links;
  }

  /** All that is given, in no particular order. */
  things(): Iterable<Thing> {
    return this.givers.keys();
  }

  private add(entry: Entry): void {
    const links = linksOf(entry);
    this.known.set(entry.key, { entry, links });
    for (const thing of links.gives) addTo(this.givers, thing, entry.key);
    for (const { toOneOf } of links.refersTo)
      for (const thing of toOneOf) addTo(this.referrers, thing, entry.key);
  }

  private drop({ entry: { key }, links }: Known): void {
    this.known.delete(key);
    for (const thing of links.gives) removeFrom(this.givers, thing, key);
    for (const { toOneOf } of links.refersTo)
      for (const thing of toOneOf) removeFrom(this.referrers, thing, key);
  }
}

function addTo(sets: Map<Thing, Set<KeyText>>, thing: Thing, key: KeyText): void {
  const set = sets.get(thing);
  if (set === undefined) sets.set(thing, new Set([key]));
  else set.add(key);
}

function removeFrom(sets: Map<Thing, Set<KeyText>>, thing: Thing, key: KeyText): void {
  const set = sets.get(thing);
  set?.delete(key);
  if (set?.size === 0) sets.delete(thing);
}
