import type { Machine } from '../machine.js';

/** The JSON file of one run with `--propagation`. Times are in the unit that the name ends with. */
export interface PropagationResult {
  /** Raised when a field changes its meaning. */
  formatVersion: 1;
  measures: 'propagation';
  startedAt: string;
  finishedAt: string;
  /** Nodes that serve, each a `sluice data-plane` of its own. */
  servingNodesCount: number;
  /** Nodes that follow the configuration with the same code, and serve nobody. */
  lightNodesCount: number;
  resourcesCount: number;
  machine: Machine;
  /** What was changed, with NATS and without. */
  cells: PropagationCell[];
  /** The first revision, with all resources, from nothing. */
  snapshot?: SnapshotFigures;
  /** What was wrong during the run, one sentence each. */
  problems: string[];
}

export interface PropagationCell {
  what: string;
  /** Resources in one change. */
  changedCount: number;
  isOnNats: boolean;
  changesCount: number;
  /** Of the 99th percentile. */
  limitMs: number;
  /** From the time of the revision, taken before it is stored, to the last acknowledgement. One for each change. */
  lastAckMs: number[];
  /** The whole call of the admin API that made the change and waited: with validation and compiling before it. */
  callMs: number[];
  /** Received by all light nodes together for one change, over NATS and gRPC, as encoded messages. */
  receivedBytes: number[];
  /** Encoded resources of one change. */
  changeBytes: number[];
}

export interface SnapshotFigures {
  /** Encoded resources. */
  bytes: number;
  /** The call of the admin API that made the revision, until every node ran it. */
  callMs: number;
}
