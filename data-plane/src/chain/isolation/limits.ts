/** What a plugin that runs elsewhere may use. Beyond it, what asked for it fails, and what cannot be stopped is replaced. */
export interface IsolationLimits {
  /** Time that a hook may take, without what it waits for behind `next()`. */
  readonly hookTimeMs: number;
  /** Time to load the plugin. */
  readonly loadTimeMs: number;
  /** Calls of hooks at the same time; one more is refused at once. */
  readonly maxRunCount: number;
  /** What a hook is given, and what it answers, as JSON. */
  readonly maxMessageBytes: number;
  /** What waits to be taken by the plugin. */
  readonly maxWaitingBytes: number;
  /** JavaScript objects. */
  readonly maxHeapBytes: number;
  /** Buffers, which are not part of the heap. */
  readonly maxBufferBytes: number;
  /** All memory of a process. */
  readonly maxResidentBytes: number;
  /** Messages of a plugin in one second: log lines, metrics, calls of the store. */
  readonly maxMessagesPerSecondCount: number;
  readonly maxThreadCount: number;
}

const MIB = 1024 * 1024;

export const ISOLATION_LIMITS: IsolationLimits = {
  hookTimeMs: 5_000,
  loadTimeMs: 10_000,
  maxRunCount: 1_000,
  maxMessageBytes: 16 * MIB,
  maxWaitingBytes: 64 * MIB,
  maxHeapBytes: 128 * MIB,
  maxBufferBytes: 128 * MIB,
  maxResidentBytes: 384 * MIB,
  maxMessagesPerSecondCount: 20_000,
  maxThreadCount: 2,
};
