/** Which nodes a step takes in. */
import { createHash } from 'node:crypto';
import type { Step } from './plan.js';
import type { WatchedNode } from './watched-node.js';

/**
 * The nodes that have to be given the revision so that a step has its share: by a hash of rollout and name, so that it
 * is not always the same nodes that take the risk. Whoever was given it stays.
 */
export function missingMembers(
  rolloutId: string,
  { percent, regions }: Step,
  nodes: readonly WatchedNode[],
  members: ReadonlySet<string>,
): string[] {
  const eligible = nodes.filter(
    ({ presence, region }) => presence !== 'gone' && (regions.length === 0 || regions.includes(region)),
  );
  const wantedCount = Math.ceil((eligible.length * percent) / 100);
  const haveCount = eligible.filter(({ name }) => members.has(name)).length;
  const candidates = eligible
    .filter(({ name, presence }) => presence === 'present' && !members.has(name))
    .map(({ name }) => ({ name, place: placeOf(rolloutId, name) }))
    .sort((a, b) => (a.place < b.place ? -1 : 1));
  return candidates.slice(0, Math.max(0, wantedCount - haveCount)).map(({ name }) => name);
}

function placeOf(rolloutId: string, name: string): string {
  return createHash('sha256')
    .update(JSON.stringify([rolloutId, name]))
    .digest('hex');
}
