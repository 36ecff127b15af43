/** What the threads of one data plane process say to each other. */

import type { MessagePort } from 'node:worker_threads';
import type { ResolvedConfiguration } from '@sluice/proto';
import type { OpsUrls } from '../addresses.js';
import type { WorkerQuery } from '../admin/worker-part.js';
import type { SharedMemory } from '../chain/shared-memory.js';
import type { WorkerAddress } from '../sessions/node-bus.js';
import type { SessionRecord } from '../sessions/store.js';
import type { CannotRun } from '../snapshot/cannot-run.js';
import type { Delta } from '../snapshot/delta.js';
import type { UpstreamStatus } from '../telemetry/ops-door.js';
import type { SharedCall, SharedOutcome } from './shared-calls.js';

/** With what a thread begins. */
export interface ThreadData {
  /** With what it listens; what it runs is told to it. */
  readonly configuration: ResolvedConfiguration;
  readonly key: Uint8Array;
  /** This process among all nodes; part of every address. */
  readonly node: string;
  /** From 0. */
  readonly index: number;
  /** How many threads there are. */
  readonly count: number;
  readonly logLevel: string;
  /** There are other nodes, and the session store, which is asked over the main thread, is theirs too. */
  readonly inCluster: boolean;
  /** What plugins store is all nodes', and reached over the main thread. */
  readonly sharesStores: boolean;
  readonly sharesRecords: boolean;
}

/** What can be asked of all threads together. */
export type Question = 'metrics' | 'sessions' | WorkerQuery;

/** How a claim in the session store ended. */
export type ClaimOutcome = { record: SessionRecord | undefined } | { error: string };

/** What a thread wants of the session store. */
export type ToSessionStore =
  | { type: 'putSession'; session: string; record: SessionRecord }
  | { type: 'endSession'; session: string }
  | { type: 'claimSession'; id: number; session: string; from: WorkerAddress; to: WorkerAddress };

export type ToThread =
  /** Another worker is there, of this node or of another. */
  | { type: 'met'; address: WorkerAddress; port: MessagePort }
  | { type: 'claimed'; id: number; outcome: ClaimOutcome }
  | { type: 'served'; id: number; outcome: SharedOutcome }
  /** A session, or a process, is another node's now; see `onMoved` of the session store. */
  | { type: 'sessionMoved'; session: string; owner: WorkerAddress | undefined }
  | { type: 'listen'; port: number }
  /** Do all that can fail of running the next configuration; `shared` is the memory that is new. */
  | { type: 'prepare'; id: number; delta: Delta; shared: SharedMemory }
  /** Run what was prepared. */
  | { type: 'swap'; id: number }
  /** Forget what was prepared. */
  | { type: 'drop'; id: number }
  | { type: 'reloadTls'; id: number }
  | { type: 'collect'; id: number; what: Question }
  | { type: 'answer'; id: number; value: unknown }
  /** Takes nothing new, and lets what runs end within the grace. */
  | { type: 'drain'; id: number; graceMs: number }
  /** Closes everything; what others may still want to say to it can be said until `exit`. */
  | { type: 'close'; id: number; graceMs: number }
  | { type: 'exit' };

/** Why something could not be done. */
export interface Fault {
  readonly message: string;
  /** What of a configuration cannot be run. */
  readonly culprit?: Pick<CannotRun, 'culprit' | 'culpritName' | 'mayPass'> | undefined;
  /** The change does not fit to what the thread has. */
  readonly isWrongBase?: boolean | undefined;
}

export type FromThread =
  | ({ type: 'listening'; port: number; kind: 'uws' | 'node' } & OpsUrls)
  | { type: 'failed'; fault: Fault; code?: string }
  | { type: 'settled' }
  | { type: 'status'; status: UpstreamStatus[] }
  | { type: 'log'; line: string }
  | ToSessionStore
  /** A plugin wants something of what is shared. */
  | { type: 'serve'; id: number; call: SharedCall }
  /** A group of subprocesses has begun, or has ended. */
  | { type: 'processGroup'; leaderPid: number; lives: boolean }
  | { type: 'done'; id: number; fault?: Fault }
  | { type: 'collected'; id: number; value: unknown }
  /** A thread wants what all threads have together. */
  | { type: 'ask'; id: number; what: Question };
