/**
 * The port to where revisions are kept. What a configuration is at a revision follows from the log alone: a checkpoint,
 * and every revision after it. Implementations keep order and wholeness, and know nothing of what revisions mean.
 */
import type { Checkpoint, Revision } from '@sluice/proto/cluster';

/** Everything that is known from the oldest point on. */
export interface LogContent {
  /** Where it begins; of revision 0 and without resources when nothing was forgotten yet. Names the store. */
  readonly checkpoint: Checkpoint;
  /** All after it, in order and without gaps. */
  readonly revisions: readonly Revision[];
}

/** What became of an attempt to add a revision. */
export type AppendOutcome =
  | { readonly appended: true }
  /** Somebody else was first: `head` is the newest revision now. */
  | { readonly appended: false; readonly head: number };

export interface LogListener {
  /** A revision was added; they come in order, without gaps and once. */
  revision(revision: Revision): void;
  /** Revisions may have been missed, or the store is another than it was: everything has to be read again. */
  lost(reason: string): void;
  /** The store cannot be reached, or can be again; nothing is missed by that alone. */
  reachable(isReachable: boolean, reason?: string): void;
}

export interface LogWatch {
  close(): void;
}

/** All methods reject with StoreUnavailableError when the store cannot be reached or does not answer in time. */
export interface RevisionLog {
  /** Reads everything. A store that is new is given its name by that. */
  read(): Promise<LogContent>;
  /**
   * Adds the revision after the newest one, in one piece, if nobody was faster. It may be larger than one transaction
   * of the store takes; nobody sees a part of it. When this rejects it may have been added all the same.
   *
   * @throws RevisionTooLargeError
   */
  append(revision: Revision): Promise<AppendOutcome>;
  /** Tells of every revision after `after`, from now on. */
  watch(after: number, listener: LogListener): LogWatch;
  /** Revisions with numbers below `before`, newest first; those before the checkpoint are forgotten. */
  history(before: number, limitCount: number): Promise<readonly Revision[]>;
  /** Forgets the revisions up to that of the checkpoint, which takes their place. Does nothing when they are forgotten. */
  compact(checkpoint: Checkpoint): Promise<void>;
  close(): Promise<void>;
}

/** Largest encoded revision. */
export const MAX_REVISION_BYTES = 64 * 1024 * 1024;

/** The store cannot be reached, or did not answer in time. */
export class StoreUnavailableError extends Error {
  override readonly name = 'StoreUnavailableError';
}

/** What the store holds cannot be: a gap, a part, or a digest that does not fit. */
export class StoreDamagedError extends Error {
  override readonly name = 'StoreDamagedError';
}

/** A revision of more than `MAX_REVISION_BYTES`. */
export class RevisionTooLargeError extends Error {
  override readonly name = 'RevisionTooLargeError';
}
