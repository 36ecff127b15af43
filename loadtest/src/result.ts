import type { LoadFigures, PingFigures } from './generator-messages.js';
import type { Machine } from './machine.js';
import type { Era } from './mcp-request.js';
import type { RelayKind } from './relays/relay.js';
import type { Spread } from './statistics.js';

/** The JSON file of one run. Times are in the unit that the name ends with. */
export interface BenchmarkResult {
  /** Raised when a field changes its meaning. */
  formatVersion: 1;
  startedAt: string;
  finishedAt: string;
  rounds: number;
  secondsPerCell: number;
  connections: number[];
  machine: Machine;
  rows: RowState[];
  idleMemory: IdleMemory[];
  /** One for each row, number of connections and round, in the order of measuring. */
  cells: LoadCell[];
  /** Some for each row and round. */
  latency: LatencyCell[];
  summary: Summary;
  profiles: RowProfile[];
}

export interface RowState {
  id: string;
  title: string;
  relay: RelayKind;
  era: Era;
  state: 'measured' | 'not installed' | 'failed';
  /** Why it was not measured. */
  reason?: string;
}

/** Memory of a gateway that has started and done nothing. */
export interface IdleMemory {
  relay: RelayKind;
  era: Era;
  /** The process that was started, and those that it started: resident memory of each. */
  processes: { pid: number; role: 'parent' | 'child'; rssBytes: number; pssBytes?: number }[];
  rssBytes: number;
}

export interface LoadCell extends LoadFigures {
  row: string;
  round: number;
  connections: number;
  /** Processor time of the relay's processes for one request; absent for `direct`, and after a restart. */
  relayCpuMicrosPerRequest?: number;
  upstreamCpuMicrosPerRequest?: number;
  generatorCpuMicrosPerRequest?: number;
  /** Processor time of everything else on the machine, as a share of all cores. */
  othersCpuShare: number;
  /** Resident memory of the relay's processes after the cell. */
  relayRssBytes?: number;
}

export interface LatencyCell extends PingFigures {
  row: string;
  round: number;
  /** Rows with the same round and part were measured in turns. */
  part: number;
}

export interface LoadSummary {
  row: string;
  connections: number;
  requestsPerSecond?: Spread;
  p50Micros?: Spread;
  p99Micros?: Spread;
  relayCpuMicrosPerRequest?: Spread;
  /** Against nginx in the same round, era and number of connections. */
  cpuTimesNginx?: Spread;
  throughputTimesNginx?: Spread;
  /** Over the same path without plugins in the same round; rows with plugins only. */
  addedCpuMicros?: Spread;
  relayRssBytes?: Spread;
  requests: number;
  checkedAnswers: number;
  /** Answers with a wrong status or body, failed connections, calls that took too long. */
  errors: number;
}

export interface LatencySummary {
  row: string;
  p50Micros?: Spread;
  p99Micros?: Spread;
  /** Over direct in the same turn and era. */
  addedP50Micros?: Spread;
}

export interface TargetVerdict {
  what: string;
  row: string;
  limit: number;
  unit: string;
  /** Absent when it was not measured. */
  measured?: Spread;
}

export interface Summary {
  load: LoadSummary[];
  latency: LatencySummary[];
  targets: TargetVerdict[];
  /** What was wrong during the run, one sentence each. */
  problems: string[];
}

/** Where the time of one thread went. */
export interface RowProfile {
  row: string;
  /** Process and thread, as in the name of the file. */
  thread: string;
  file: string;
  sampledMillis: number;
  /** Share of the sampled time in which the thread had nothing to do. */
  idleShare: number;
  /** The functions with the most time of their own, largest first; shares of the time that was not idle. */
  top: { name: string; place: string; selfMillis: number; share: number }[];
}
