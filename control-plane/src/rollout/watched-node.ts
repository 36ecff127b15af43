/** What a rollout sees of the nodes. */

/** Counted by a node since its start. */
export interface Totals {
  readonly requests: number;
  readonly errors: number;
  readonly durationUs: number;
}

/** What a node said last of its requests. */
export interface Report extends Totals {
  /** Of this start of the node: totals of another one count from 0. */
  readonly incarnation: string;
  /** It ran the revision of the rollout when it said so. */
  readonly ran: boolean;
  /** Upstreams that do not answer. */
  readonly failedUpstreams: number;
}

export interface WatchedNode {
  readonly name: string;
  readonly region: string;
  /** `lost`: nothing is heard of it. `gone`: it said that it leaves. */
  readonly presence: 'present' | 'lost' | 'gone';
  /** It runs the revision of the rollout. */
  readonly runs: boolean;
  /** Why it refused it. */
  readonly refusal: string | undefined;
  readonly report: Report | undefined;
  /** Of what it served to callers who were not given the revision, where others were. */
  readonly beside?: Report | undefined;
}
