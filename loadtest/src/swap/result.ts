/** The JSON file of one run with `--swap`. */
export interface SwapResult {
  /** Raised when a field changes its meaning. */
  formatVersion: 1;
  measures: 'swap';
  startedAt: string;
  finishedAt: string;
  /** How many there are. */
  resources: number;
  processor: string;
  /** Version of the Node.js that ran it all. */
  node: string;
  cells: SwapCell[];
}

export interface SwapCell {
  workers: number;
  steps: SwapStep[];
}

/** What one change cost; the median of several, but for the first, which is the least of several starts. */
export interface SwapStep {
  name: string;
  /** From resources to a configuration, on the main thread. */
  compileMs: number;
  /** From there until all workers run it. */
  swapMs: number;
  /** Processor time of the whole process. */
  compileCpuMs: number;
  swapCpuMs: number;
  /** The same from there until all is quiet: the first questions to upstreams that are new. */
  afterCpuMs: number;
  /** Time in the steps of each work, by who has it done; the least of all repetitions. */
  workMs: Record<string, number>;
  /** Steps that were long in every repetition, each with its least time; the longest first. */
  long: LongStep[];
  /** Pauses of garbage collections, in the thread that had most of them. */
  gcMs: number;
  /** Longest time for which the event loop of the main thread, or of a worker of its own, did nothing else. */
  mainHoldMs: number;
  workerHoldMs: number;
  /** To each worker thread. */
  sentBytes: number;
}

export interface LongStep {
  work: string;
  /** Which one of that work, from 1. */
  step: number;
  ms: number;
}
