/** Sets of record numbers, as ranges. */

/** The first and the last one. */
export type Range = readonly [from: number, to: number];

/** Adds the next higher number. */
export function addRange(to: Range[], seq: number): void {
  const last = to.at(-1);
  if (last !== undefined && last[1] === seq - 1) to[to.length - 1] = [last[0], seq];
  else to.push([seq, seq]);
}

export function rangesOf(inOrder: Iterable<number>): Range[] {
  const ranges: Range[] = [];
  for (const seq of inOrder) addRange(ranges, seq);
  return ranges;
}

export function contains(ranges: readonly Range[], seq: number): boolean {
  return ranges.some(([from, to]) => from <= seq && seq <= to);
}
