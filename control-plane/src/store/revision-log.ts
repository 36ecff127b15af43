/**
 * The port to where revisions are kept. What a configuration is at a revision follows from the log alone: a checkpoint,
 * and every revision after it. Implementations keep order and wholeness, and know nothing of what revisions mean.
 */
import { toBinary } from '@bufbuild/protobuf';
import { type Checkpoint, type Revision, RevisionSchema } from '@sluice/proto/cluster';

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
  /**
   * Revisions may have been missed, or the store is another than it was: everything has to be read again. Nothing more
   * is told after it.
   */
  lost(reason: string): void;
  /** The store cannot be reached, or can be again; nothing is missed by that alone. */
  reachable(isReachable: boolean, reason?: string): void;
}

export interface LogWatch {
  close(): void;
}

/** All methods reject with StoreUnavailableError when the store cannot be reached or does not answer in time. */
export interface RevisionLog {
  /**
   * Reads everything, as it was at one moment. A store that is new is given its name by that.
   *
   * @throws StoreDamagedError
   */
  read(): Promise<LogContent>;
  /**
   * Adds the revision after the newest one, in one piece, if nobody was faster. It may be larger than one transaction
   * of the store takes; nobody sees a part of it. When this rejects it may have been added all the same.
   *
   * @param storeId the name of the store that it is meant for
   * @param afterId the id of the revision that it was made on; undefined where that is forgotten
   * @throws RevisionTooLargeError
   * @throws StoreReplacedError when the store has another name, or another revision of that number: it went back to an
   *   older state and on from there
   */
  append(revision: Revision, storeId: string, afterId: string | undefined): Promise<AppendOutcome>;
  /** Tells of every revision of this store after `after`, from now on. */
  watch(after: number, listener: LogListener, storeId: string): LogWatch;
  /** Revisions with numbers below `before`, newest first; those before the checkpoint are forgotten. */
  history(before: number, limitCount: number): Promise<readonly Revision[]>;
  /**
   * Forgets the revisions up to that of the checkpoint, which takes their place. Does nothing when they are forgotten,
   * or the store has another name than the checkpoint.
   */
  compact(checkpoint: Checkpoint): Promise<void>;
  /**
   * Forgets everything, and begins anew with a checkpoint and its name.
   *
   * @param instead the name of the store that ends
   * @returns whether it was done: the store had this name
   */
  replace(checkpoint: Checkpoint, instead: string): Promise<boolean>;
  close(): Promise<void>;
}

/** Largest encoded revision. */
const MAX_REVISION_BYTES = 64 * 1024 * 1024;

/** @throws RevisionTooLargeError */
export function encodedRevision(revision: Revision): Uint8Array {
  const bytes = toBinary(RevisionSchema, revision);
  if (bytes.length > MAX_REVISION_BYTES)
    throw new RevisionTooLargeError(
      `revision ${revision.number} has ${bytes.length} bytes, and may have ${MAX_REVISION_BYTES}: make the change in several steps`,
    );
  return bytes;
}

/** The store cannot be reached, or did not answer in time. */
export class StoreUnavailableError extends Error {
  override readonly name = 'StoreUnavailableError';
}

/** The store has another name than it had: somebody wiped it, or began it anew. */
export class StoreReplacedError extends Error {
  override readonly name = 'StoreReplacedError';
}

/** What the store holds cannot be: a gap, a part, or a digest that does not fit. */
export class StoreDamagedError extends Error {
  override readonly name = 'StoreDamagedError';
}

/** A revision of more than `MAX_REVISION_BYTES`. */
export class RevisionTooLargeError extends Error {
  override readonly name = 'RevisionTooLargeError';
}
