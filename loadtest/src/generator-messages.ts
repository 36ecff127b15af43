import type { Target } from './mcp-request.js';

/** What the benchmark asks of the load generator, one command at a time. */
export type GeneratorCommand =
  | { do: 'open'; key: string; target: Target; sessions: number }
  | { do: 'load'; key: string; connections: number; seconds: number }
  | { do: 'ping'; keys: string[]; secondsEach: number }
  | { do: 'listen'; target: Target; streams: number }
  | { do: 'hang up' }
  | { do: 'close' };

/** What it answers. `error` means that the command could not be carried out at all. */
export type GeneratorReply = { result: unknown } | { error: string };

/** Result of `load`: calls of one target over a number of connections, each with one call under way. */
export interface LoadFigures {
  /** Calls that were answered, with whatever answer. */
  requests: number;
  /** Time from the first call to the last answer. */
  seconds: number;
  requestsPerSecond: number;
  /** Time from writing a call to having its whole answer; absent when none came. */
  p50Micros?: number;
  p99Micros?: number;
  /** Answers with a status other than 2xx. */
  non2xx: number;
  /** Connections that failed and calls that took too long. */
  connectionErrors: number;
  /** Answers whose body was read, and how many of them were wrong. */
  checkedAnswers: number;
  wrongAnswers: number;
  /** What was wrong with the first that was. */
  firstProblem?: string;
}

/** Result of `ping` for one target: calls one after the other on one connection. */
export interface PingFigures {
  key: string;
  calls: number;
  /** Absent when there was no answer. */
  p50Micros?: number;
  p99Micros?: number;
  /** Why there are no figures, or what was wrong with an answer. */
  problem?: string;
}
