/** How far a revision has come among nodes, and who is behind. */
import { create } from '@bufbuild/protobuf';
import { type Convergence, ConvergenceSchema, NodeBehindSchema } from '@sluice/proto/admin';
import { Presence } from '@sluice/proto/cluster';
import type { MayTell, Wait } from './fleet-view.js';
import { type KnownNode, regionOf, rejectionOf, runs } from './known-node.js';

/** What became of waiting. */
export interface ConvergenceNow {
  readonly convergence: Convergence;
  /** It cannot be reached any more by this revision: too many nodes refused it. */
  readonly isHopeless: boolean;
}

/**
 * Nodes that said that they leave are not waited for; those that were lost are, for they may serve.
 *
 * @param isConcerned which nodes are given the revision, when not all of them are; one at least has to run it then
 * @param mayTell of which resources reasons of nodes may be told; by default of all
 */
export function convergenceNow(
  nodes: Iterable<KnownNode>,
  revision: number,
  wait: Wait,
  isConcerned?: (node: KnownNode) => boolean,
  mayTell?: MayTell,
): ConvergenceNow {
  const concerned = [...nodes].filter(
    (node) =>
      node.presence !== Presence.GONE &&
      (wait.kind !== 'region' || regionOf(node) === wait.region) &&
      isConcerned?.(node) !== false,
  );
  const behind = concerned.filter((node) => !runs(node, revision));
  const refused = behind.filter((node) => rejectionOf(node, revision) !== undefined);
  const neededCount = Math.max(neededOf(wait, concerned.length), isConcerned === undefined ? 0 : 1);
  const activeCount = concerned.length - behind.length;
  return {
    isHopeless: concerned.length >= neededCount && concerned.length - refused.length < neededCount,
    convergence: create(ConvergenceSchema, {
      revision: BigInt(revision),
      reached: activeCount >= neededCount,
      active: activeCount,
      concerned: concerned.length,
      behind: behind.map((node) =>
        create(NodeBehindSchema, {
          node: node.hello.node,
          region: regionOf(node),
          revision: node.running?.revision ?? 0n,
          rejection: rejectionOf(node, revision, mayTell) ?? '',
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
