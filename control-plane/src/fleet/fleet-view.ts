/** The port through which the admin API sees the nodes. What it shows is what this replica of the control plane knows. */
import type { Convergence } from '@sluice/proto/admin';
import type { ConnectionList, Node, NodeEvent, ResourceKey } from '@sluice/proto/cluster';

/** Which nodes have to run a revision before it counts as there. */
export type Wait =
  | { readonly kind: 'any' }
  | { readonly kind: 'all' }
  | { readonly kind: 'region'; readonly region: string }
  /** Rounded up: 1 % of three nodes is one node. */
  | { readonly kind: 'share'; readonly percent: number };

/**
 * Whether somebody may be told why a node refused a revision, by the resource that is the reason; undefined when it is
 * no single one.
 */
export type MayTell = (resource: ResourceKey | undefined) => boolean;

/** Which revision is waited for, and for how long. */
export interface ConvergenceRequest {
  readonly revision: number;
  readonly wait: Wait;
  /** From now; 0 answers with what is so now. */
  readonly deadlineMs: number;
  /** Absent: all reasons may be told. */
  readonly mayTell?: MayTell | undefined;
  /** The one who asked has gone: the answer is not needed any more. */
  readonly signal?: AbortSignal | undefined;
}

export interface FleetView {
  /** In the order of region and name. */
  nodes(mayTell?: MayTell): readonly Node[];
  /** Newest first, at most `limitCount`; of one node, when it is named. */
  events(limitCount: number, node?: string, mayTell?: MayTell): readonly NodeEvent[];
  /**
   * Resolves with the node as it was known when it was told; undefined when there is none of this name.
   *
   * @throws NodeUnreachableError
   */
  drain(node: string, reason: string): Promise<Node | undefined>;
  /**
   * Asks a node for its clients; undefined when there is none of this name.
   *
   * @throws NodeUnreachableError when it does not answer, or has its stream to another replica
   */
  connections(node: string, page: ConnectionPage): Promise<ConnectionList | undefined>;
  /**
   * Tells a node to end a connection; false when there is no node of this name.
   *
   * @throws NodeUnreachableError
   */
  endConnection(node: string, connection: string): Promise<boolean>;
  /** Resolves as soon as what is waited for is so, and at the deadline with how far it has come. */
  convergence(request: ConvergenceRequest): Promise<Convergence>;
}

/** Which of the connections of a node. */
export interface ConnectionPage {
  readonly limitCount: number;
  /** From the list before; empty for the first ones. */
  readonly cursor: string;
}

/** Nothing leads to the node at the moment, so it cannot be told. */
export class NodeUnreachableError extends Error {
  override readonly name = 'NodeUnreachableError';
}
