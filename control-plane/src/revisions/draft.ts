/** What somebody wants to write, and the revision that it becomes. */
import { clone, create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import {
  type Change,
  ChangeSchema,
  type Entry,
  entryOf,
  type KeyText,
  parseKeyText,
  type Resource,
  ResourceSchema,
  type ResourceState,
  type Revision,
  RevisionSchema,
  type RolloutPlan,
  type StateChange,
} from '@sluice/proto/cluster';

/** What somebody wants to write. */
export interface Proposal {
  readonly author: string;
  readonly message: string;
  /** The revision that it was made on; undefined when `plan` itself decides whether what holds now will do. */
  readonly expected?: number | undefined;
  /** Of the attempt; the same one given again finds the revision that it made. Default a new one. */
  readonly id?: string | undefined;
  readonly restores?: number | undefined;
  /**
   * Resources are to be what they were, the revision that changed them last among it, so that nodes that never had
   * another one see no change.
   */
  readonly isExact?: boolean | undefined;
  /** It comes to the nodes in steps. */
  readonly rollout?: RolloutPlan | undefined;
  /**
   * What to change in what holds now. Called again when somebody else was first. What it throws ends the commit.
   */
  plan(state: ResourceState, revision: number): Promise<Wanted>;
}

/** What a plan wants to change. */
export interface Wanted {
  readonly changed: readonly Resource[];
  readonly removed: readonly KeyText[];
}

/** Only what is another than now: a plan may want what is so already. */
export function changeOf(state: ResourceState, { changed, removed }: Wanted, number: number): StateChange {
  const entries = changed
    .map((resource) => entryOf({ ...clone(ResourceSchema, resource), revision: BigInt(number) }))
    .filter((entry) => !isSo(state, entry));
  return { changed: entries, removed: [...new Set(removed)].filter((key) => state.get(key)) };
}

/** The same for resources that come as they were. */
export function exactChangeOf(state: ResourceState, { changed, removed }: Wanted): StateChange {
  const entries = changed.map(entryOf).filter(({ key, part }) => state.get(key)?.part !== part);
  return { changed: entries, removed: [...new Set(removed)].filter((key) => state.get(key)) };
}

function isSo(state: ResourceState, { key, resource }: Entry): boolean {
  const now = state.get(key);
  if (now === undefined) return false;
  const same = entryOf({ ...resource, revision: now.resource.revision });
  return Buffer.compare(same.bytes, now.bytes) === 0;
}

interface Draft {
  readonly proposal: Proposal;
  readonly id: string;
  readonly number: number;
  /** Milliseconds since 1970. */
  readonly timeMs: number;
  /** What holds before. */
  readonly state: ResourceState;
  readonly change: StateChange;
}

export function revisionOf({ proposal, id, number, timeMs, state, change }: Draft): Revision {
  return create(RevisionSchema, {
    number: BigInt(number),
    id,
    author: proposal.author,
    time: timestampFromMs(timeMs),
    message: proposal.message,
    restores: BigInt(proposal.restores ?? 0),
    digest: state.digestWith(change),
    changes: changesIn(state, change),
    ...(proposal.rollout && { rollout: proposal.rollout }),
  });
}

/** What a change makes of what holds before it, in the order of the keys. */
export function changesIn(state: ResourceState, change: StateChange): Change[] {
  const after = new Map<KeyText, Resource | undefined>([
    ...change.removed.map((key) => [key, undefined] as const),
    ...change.changed.map(({ key, resource }) => [key, resource] as const),
  ]);
  return [...after]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, resource]) => {
      const before = state.get(key)?.resource;
      const parsed = parseKeyText(key);
      return create(ChangeSchema, {
        ...(parsed && { key: parsed }),
        ...(before && { before }),
        ...(resource && { after: resource }),
      });
    });
}
