/** How far a revision has come among nodes, and who is behind. */
import { create } from '@bufbuild/protobuf';
import { type Convergence, ConvergenceSchema, NodeBehindSchema } from '@sluice/proto/admin';
import { Presence } from '@sluice/proto/cluster';
import type { MayTell, Wait } from './fleet-view.js';
import { type KnownNode, regionOf, rejectionOf, runs, trialOf, trialRejectionOf } from './known-node.js';

/** What became of waiting. */
export interface ConvergenceNow {
  readonly isReached: boolean;
  /** It cannot be reached any more by this revision: too many nodes refused it. */
  readonly isHopeless: boolean;
  /** In full; made when it is asked for, since those who wait look often. Call it at once. */
  told(): Convergence;
}

/** How nodes are asked about a revision that is given to some of them, or to some of their callers. */
export interface HeldRevision {
  /** It is given to the node, or to callers of it. */
  isConcerned(node: KnownNode): boolean;
  /** It is given to callers only. */
  readonly isByCallers: boolean;
}

/**
 * Nodes that said that they leave are not waited for; those that were lost are, for they may serve.
 *
 * @param held when not all nodes are given the revision; one at least has to run it then
 * @param mayTell of which resources reasons of nodes may be told; by default of all
 */
export function convergenceNow(
  nodes: Iterable<KnownNode>,
  revision: number,
  wait: Wait,
  held?: HeldRevision,
  mayTell?: MayTell,
): ConvergenceNow {
  const concerned = [...nodes].filter(
    (node) =>
      node.presence !== Presence.GONE &&
      (wait.kind !== 'region' || regionOf(node) === wait.region) &&
      held?.isConcerned(node) !== false,
  );
  const isByCallers = held?.isByCallers === true;
  const refusalOf = isByCallers ? trialRejectionOf : rejectionOf;
  const behind = concerned.filter((node) =>
    isByCallers ? trialOf(node, revision) === undefined : !runs(node, revision),
  );
  const refused = behind.filter((node) => refusalOf(node, revision) !== undefined);
  const neededCount = Math.max(neededOf(wait, concerned.length), held === undefined ? 0 : 1);
  const activeCount = concerned.length - behind.length;
  const isReached = activeCount >= neededCount;
  return {
    isReached,
    isHopeless: concerned.length >= neededCount && concerned.length - refused.length < neededCount,
    told: () =>
      create(ConvergenceSchema, {
        revision: BigInt(revision),
        reached: isReached,
        active: activeCount,
        concerned: concerned.length,
        behind: behind.map((node) =>
          create(NodeBehindSchema, {
            node: node.hello.node,
            region: regionOf(node),
            revision: node.running?.revision ?? 0n,
            rejection: refusalOf(node, revision, mayTell) ?? '',
            presence: node.presence,
          }),
        ),
      }),
  };
}

/** Of a region or of any node there has to be one: a name that is misspelled must not look like success. */
function neededOf(wait: Wait, concernedCount: number): number {
  switch (wait.kind) {
    case 'any':
      return 1;
    case 'all':
      return concernedCount;
    case 'region':
      return Math.max(1, concernedCount);
    case 'share':
      return Math.ceil((concernedCount * wait.percent) / 100);
  }
}
