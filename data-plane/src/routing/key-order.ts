/** Resources in the order of their keys. */
import type { KeyText } from '@sluice/proto/cluster';

type Keyed = readonly [KeyText, unknown];

/** How entries were brought into order, for the next ones. */
export interface KeyOrder {
  /** As they came. */
  readonly keys: readonly KeyText[];
  /** For each place in the order where it came. */
  readonly places: readonly number[];
}

/** As much as is sorted at once: less than a millisecond. */
const RUN_COUNT = 500;

/**
 * Sorts entries. Where their keys are those of `before`, as after most changes, none is compared with another. Sorts
 * runs first, with pauses in between; to sort what is made of sorted runs takes little.
 */
export function* inKeyOrder<T extends Keyed>(
  entries: readonly T[],
  before: KeyOrder | undefined,
): Generator<void, { readonly entries: readonly T[]; readonly order: KeyOrder }, void> {
  if (before?.keys.length === entries.length && before.keys.every((key, i) => key === entries[i]?.[0]))
    return { entries: before.places.map((place) => entries[place] as T), order: before };
  const keys = entries.map(([key]) => key);
  const byKey = (a: number, b: number) => ((keys[a] as KeyText) < (keys[b] as KeyText) ? -1 : 1);
  const places = keys.map((_, place) => place);
  for (let start = 0; start < places.length; start += RUN_COUNT) {
    const run = places.slice(start, start + RUN_COUNT).sort(byKey);
    for (const [index, place] of run.entries()) places[start + index] = place;
    yield;
  }
  places.sort(byKey);
  return { entries: places.map((place) => entries[place] as T), order: { keys, places } };
}
