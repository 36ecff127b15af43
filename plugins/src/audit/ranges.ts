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

/** The same numbers, from the lowest on, without ranges that overlap or touch. */
export function merged(ranges: readonly Range[]): Range[] {
  const out: Range[] = [];
  for (const [from, to] of [...ranges].sort(([a], [b]) => a - b)) {
    const last = out.at(-1);
    if (last !== undefined && from <= last[1] + 1) out[out.length - 1] = [last[0], Math.max(last[1], to)];
    else out.push([from, to]);
  }
  return out;
}

/** What is in these and not in those; both merged. */
export function without(these: readonly Range[], those: readonly Range[]): Range[] {
  const left: Range[] = [];
  let place = 0;
  for (const [from, to] of these) {
    let start = from;
    while (place < those.length && (those[place] as Range)[1] < from) place++;
    for (let at = place; at < those.length && (those[at] as Range)[0] <= to; at++) {
      const [first, last] = those[at] as Range;
      if (first > start) left.push([start, first - 1]);
      start = Math.max(start, last + 1);
    }
    if (start <= to) left.push([start, to]);
  }
  return left;
}
