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

/** What one change cost; the median of several, but for the first. */
export interface SwapStep {
  name: string;
  /** From resources to a configuration, on the main thread. */
  compileMs: number;
  /** From there until all workers run it. */
  swapMs: number;
  /** Processor time of the whole process. */
  compileCpuMs: number;
  swapCpuMs: number;
  /** Longest time for which the event loop of the main thread, or of a worker of its own, did nothing else. */
  mainHoldMs: number;
  workerHoldMs: number;
  /** To each worker thread. */
  sentBytes: number;
}
