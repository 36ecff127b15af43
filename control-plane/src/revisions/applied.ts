/** What revisions make of what held before them. */
import { entryOf, ResourceState, type Revision, type StateChange } from '@sluice/proto/cluster';
import { type LogContent, StoreDamagedError } from '../store/revision-log.js';

/** What a revision changed. */
export function changeIn({ changes }: Revision): StateChange {
  return {
    changed: changes.flatMap(({ after }) => (after === undefined ? [] : [entryOf(after)])),
    removed: changes.flatMap(({ before, after }) =>
      after === undefined && before !== undefined ? [entryOf(before).key] : [],
    ),
  };
}

/** What takes it back. */
export function undone({ changes }: Revision): StateChange {
  return {
    changed: changes.flatMap(({ before }) => (before === undefined ? [] : [entryOf(before)])),
    removed: changes.flatMap(({ before, after }) =>
      before === undefined && after !== undefined ? [entryOf(after).key] : [],
    ),
  };
}

/** The newest revision of a store. */
export function newestOf({ checkpoint, revisions }: LogContent): number {
  return Number(checkpoint.revision) + revisions.length;
}

/**
 * What holds at the newest revision.
 *
 * @throws StoreDamagedError when one is missing, or is not what its digest says
 */
export function contentAt({ checkpoint, revisions }: LogContent): ResourceState {
  let state = ResourceState.of(checkpoint.resources.map(entryOf));
  let number = Number(checkpoint.revision);
  for (const revision of revisions) {
    number += 1;
    if (Number(revision.number) !== number)
      throw new StoreDamagedError(`revision ${number} is missing from the store`);
    state = state.with(changeIn(revision));
    if (Buffer.compare(state.digest, revision.digest) !== 0)
      throw new StoreDamagedError(`revision ${number} is not what its digest says`);
  }
  return state;
}

/** Why going on with what a store holds would go back behind what is known; undefined when it would not. */
export function whyNotCovering(
  content: LogContent,
  known: { readonly storeId: string; readonly revision: number },
): string | undefined {
  // Whoever knows of no revision has nothing to go back behind.
  if (known.revision === 0) return undefined;
  const { storeId, replaces } = content.checkpoint;
  const newest = newestOf(content);
  if (storeId !== known.storeId && !replaces.includes(known.storeId))
    return `the store is another one (${storeId}, revision ${newest}) than was known (${known.storeId}, revision ${known.revision}), and does not say that it takes its place: bring the known one back, or restore a backup`;
  if (newest < known.revision)
    return `the store went back to revision ${newest}, and revision ${known.revision} was known: bring the newer one back, or restore a backup`;
  return undefined;
}
