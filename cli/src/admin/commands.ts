/** What the commands that use a cluster's admin API are told. */

/** Where the control plane is, and who asks. */
export interface ServerFlags {
  readonly server: readonly string[];
  readonly tokenFile?: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** Milliseconds. */
  readonly timeout: number;
}

export type OutputFormat = 'table' | 'json' | 'yaml' | 'name';

export interface OutputFlags {
  readonly output?: OutputFormat;
  /** False: none, whatever the output is. */
  readonly color: boolean;
}

type Common = ServerFlags & OutputFlags;

/** How a change is made, and whom it waits for. */
export interface WriteFlags {
  readonly dryRun?: true;
  readonly message?: string;
  readonly expectRevision?: bigint;
  readonly idempotencyKey?: string;
  readonly wait?: string;
  /** Milliseconds. */
  readonly deadline: number;
  /** Steps in order; empty for those of the server. Absent: all nodes at once. */
  readonly rollout?: readonly RolloutStepFlags[];
  /** Milliseconds. */
  readonly pause?: number;
  readonly limit?: RolloutLimitFlags;
}

/** A share of all nodes, of those of a region, or all of a region; or a share of the callers of these. */
export interface RolloutStepFlags {
  readonly region?: string;
  readonly percent?: number;
  readonly callersPercent?: number;
}

/** When a rollout goes back by itself. */
export interface RolloutLimitFlags {
  /** Nodes. */
  readonly refusals?: number;
  /** Percentage points. */
  readonly errors?: number;
  /** Ratio. */
  readonly latency?: number;
  readonly requests?: number;
  /** Milliseconds. */
  readonly arrival?: number;
}

/** Files with resources, and what may be removed that is not in them. */
export interface FileFlags {
  /** `-` is stdin. */
  readonly file?: readonly string[];
  /** Of what names none. */
  readonly tenant?: string;
  readonly prune?: true;
  readonly pruneTenant?: readonly string[];
  readonly pruneKind?: readonly string[];
  readonly pruneLabel?: readonly string[];
}

export interface GetFlags {
  readonly tenant?: string;
  readonly filter?: string;
  readonly revision: bigint;
}

export interface HistoryFlags {
  readonly count: number;
  readonly kind?: string;
  readonly name?: string;
  readonly author?: string;
}

export interface WaitFlags {
  readonly for: string;
  /** Milliseconds. */
  readonly deadline: number;
}

export type AdminCommand =
  | { readonly name: 'get'; readonly what?: string | undefined; readonly flags: GetFlags & Common }
  | { readonly name: 'apply'; readonly flags: FileFlags & WriteFlags & Common }
  | {
      readonly name: 'delete';
      /** `kind/name` each. */
      readonly resources: readonly string[];
      readonly flags: Pick<FileFlags, 'file' | 'tenant'> & WriteFlags & Common;
    }
  | {
      readonly name: 'diff';
      /** Revisions. */
      readonly from?: bigint | undefined;
      readonly to?: bigint | undefined;
      readonly flags: FileFlags & Common;
    }
  | {
      readonly name: 'history';
      readonly revision?: bigint | undefined;
      readonly flags: HistoryFlags & Common;
    }
  | { readonly name: 'rollback'; readonly revision: bigint; readonly flags: WriteFlags & Common }
  | { readonly name: 'wait'; readonly revision?: bigint | undefined; readonly flags: WaitFlags & Common }
  | { readonly name: 'export'; readonly flags: { readonly revision: bigint } & Common }
  | { readonly name: 'import'; readonly file: string; readonly flags: WriteFlags & Common }
  | {
      readonly name: 'rolloutStatus';
      readonly revision?: bigint | undefined;
      readonly flags: { readonly follow?: true; readonly deadline: number } & Common;
    }
  | { readonly name: 'rollouts'; readonly flags: { readonly count: number } & Common }
  | {
      readonly name: 'promote' | 'abort';
      readonly revision?: bigint | undefined;
      readonly flags: { readonly reason?: string } & Common;
    }
  | { readonly name: 'nodes'; readonly flags: { readonly region?: string } & Common }
  | { readonly name: 'drain'; readonly node: string; readonly flags: { readonly reason?: string } & Common }
  | {
      readonly name: 'connections';
      readonly node?: string | undefined;
      readonly flags: { readonly count: number } & Common;
    }
  | {
      readonly name: 'closeConnection';
      readonly node: string;
      readonly connection: string;
      readonly flags: Common;
    }
  | {
      readonly name: 'events';
      readonly node?: string | undefined;
      readonly flags: { readonly count: number } & Common;
    };

export type AdminCommandName = AdminCommand['name'];

/** One of the commands, by its name. */
export type CommandNamed<Name extends AdminCommandName> = Extract<AdminCommand, { name: Name }>;
