/** What was counted while something was broken, and after it. */
export interface Tally {
  /** Calls that clients made, each until it was answered or given up. */
  callCount: number;
  /** Times that a call had to be made once more, because a node was gone or said that it cannot just now. */
  retryCount: number;
  /** What the first of them were told, for whoever wonders. */
  readonly retryReasons: string[];
  /** Calls that no node answered rightly, however often they were made. */
  readonly failures: string[];
  /** Sessions that a node did not know any more. */
  readonly lostSessions: string[];
  /** Revisions that were made. */
  writeCount: number;
  /** Changes that could not be made, because the store or all control planes were away. */
  refusedWriteCount: number;
  /** What a node served that it never should have. */
  readonly wrongStates: string[];
  /** Times that nodes were looked at. */
  lookCount: number;
}

export function newTally(): Tally {
  return {
    callCount: 0,
    retryCount: 0,
    retryReasons: [],
    failures: [],
    lostSessions: [],
    writeCount: 0,
    refusedWriteCount: 0,
    wrongStates: [],
    lookCount: 0,
  };
}
