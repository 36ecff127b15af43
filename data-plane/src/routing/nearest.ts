/** A name that is further than this from every other, in edits, gets no suggestion. */
const MAX_EDITS = 3;
/** Longer names get no suggestion, and names beyond this many are not looked at: unknown names must stay cheap. */
const MAX_NAME_CHARS = 128;
const MAX_CANDIDATES = 1_000;

/**
 * The name that somebody who wrote `unknown` probably meant, letter case aside; undefined when none is close.
 * Each candidate says which name to suggest when it is the closest. The first of equals wins.
 */
export function nearestName(
  unknown: string,
  candidates: Iterable<{ readonly spelling: string; readonly name: string }>,
): string | undefined {
  if (unknown.length > MAX_NAME_CHARS) return undefined;
  const wanted = unknown.toLowerCase();
  // A third of the letters may be wrong: "ab" is not near "cd".
  let best = Math.min(MAX_EDITS, Math.floor(wanted.length / 3)) + 1;
  let nearest: string | undefined;
  let looked = 0;
  for (const { spelling, name } of candidates) {
    if (++looked > MAX_CANDIDATES) break;
    const edits = editsWithin(wanted, spelling.toLowerCase(), best - 1);
    if (edits === undefined) continue;
    best = edits;
    nearest = name;
  }
  return nearest;
}

/**
 * Insertions, deletions and replacements between two texts; undefined when there are more than `limit`. Only
 * the cells within `limit` of the diagonal are computed.
 */
function editsWithin(a: string, b: string, limit: number): number | undefined {
  if (limit < 0 || Math.abs(a.length - b.length) > limit) return undefined;
  // A common beginning costs no edits, and names of one upstream have one.
  let same = 0;
  while (same < a.length && a[same] === b[same]) same++;
  if (same > 0) return editsWithin(a.slice(same), b.slice(same), limit);
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = new Array<number>(b.length + 1).fill(limit + 1);
    if (i <= limit) next[0] = i;
    let least = next[0] as number;
    for (let j = Math.max(1, i - limit); j <= Math.min(b.length, i + limit); j++) {
      const replaced = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const cell = Math.min(replaced, (row[j] as number) + 1, (next[j - 1] as number) + 1);
      next[j] = cell;
      least = Math.min(least, cell);
    }
    if (least > limit) return undefined;
    row = next;
  }
  const edits = row[b.length] as number;
  return edits <= limit ? edits : undefined;
}
