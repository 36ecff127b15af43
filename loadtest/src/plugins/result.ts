import type { Spread } from '../statistics.js';

/** The JSON file of one run with `--plugins`. */
export interface PluginResult {
  /** Raised when a field changes its meaning. */
  formatVersion: 1;
  measures: 'plugins';
  startedAt: string;
  finishedAt: string;
  rounds: number;
  secondsPerCase: number;
  processor: string;
  /** Version of the Node.js that ran it all. */
  node: string;
  cases: PluginCell[];
}

export interface PluginCell {
  plugin: string;
  name: string;
  stage: string;
  /** Processor time that it adds to a call, against the same without the plugin in the same round. */
  addedNanos: Spread;
  /** Of each round, in their order. */
  rounds: { withNanos: number; withoutNanos: number; calls: number }[];
  /** Where there is a limit to hold. */
  limitNanos?: number;
}
