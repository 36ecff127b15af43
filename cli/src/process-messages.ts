/*
 * What the processes of `sluice serve` and `sluice data-plane` say to each other over IPC. The parent understands no configuration: it
 * keeps snapshots, which are resolved configurations as JSON, as text.
 */

/** From the parent to the data plane. */
export type DataPlaneOrder =
  | StartOrder
  /** Run this configuration from now on. */
  | { readonly type: 'apply'; readonly snapshot: string }
  /** Finish what is under way, then end. */
  | { readonly type: 'stop' };

/** First message to every data plane. */
export interface StartOrder {
  readonly type: 'start';
  readonly snapshot: string;
  /** The gateway key, 32 random bytes in hex: what is sealed with it outlives a crash of the data plane. */
  readonly keyHex: string;
  /** Sessions that data planes before this one have ended, from the oldest to the newest. */
  readonly endedSessions: readonly string[];
  /** Whether this start follows a crash: then only the log is read, and no screen is shown. */
  readonly restarted: boolean;
  /** Print the start-up screen even when stdout is no terminal. */
  readonly screen: boolean;
}

export type DataPlaneReport = RunningReport | ProcessGroupReport | SessionEndReport | LeavingReport;

/** From the data plane: it has started a subprocess in a group of its own, or such a group has ended. */
export interface ProcessGroupReport {
  readonly type: 'processGroup';
  readonly leaderPid: number;
  readonly lives: boolean;
}

/** From the data plane: a session has ended, and its token must stay worthless. */
export interface SessionEndReport {
  readonly type: 'sessionEnd';
  readonly id: string;
}

/** From a node of a cluster: it ends because it was told to, and is not to be started again. */
export interface LeavingReport {
  readonly type: 'leaving';
}

/** From the data plane when it serves, and after every `apply`: the configuration to start with again. */
export interface RunningReport {
  readonly type: 'running';
  readonly snapshot: string;
  readonly settings: ParentSettings;
}

/** What the parent itself needs to know of a configuration. */
export interface ParentSettings {
  readonly shutdownGraceMs: number;
  readonly logLevel: string;
  readonly logFormat: 'json' | 'text';
}

/** What the short-lived process that loads the configuration found. */
export interface LoadReport {
  /** Absent when there is an error among the problems. */
  readonly snapshot?: string;
  readonly settings?: ParentSettings;
  readonly problems: readonly LoadProblem[];
  /** Absolute path of the file to watch; absent when the environment alone describes the gateway. */
  readonly file?: string;
  readonly screen: boolean;
}

/** A problem of the configuration as a log line tells it: what is wrong, and fields that say where. */
export interface LoadProblem {
  readonly severity: 'error' | 'warning';
  readonly message: string;
  readonly [field: string]: unknown;
}
