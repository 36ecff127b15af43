/**
 * The port to small things that replicas of the control plane know together and that are no configuration: which nodes
 * there are, how far rollouts have come. They lie beside the revisions, have no history, and are not part of a backup.
 */

/** A value under a key. */
export interface KeptRecord {
  readonly key: string;
  readonly value: Uint8Array;
  /** Is another after every write; compared, never interpreted. */
  readonly version: string;
}

export interface PutOptions {
  /**
   * What the record has to be for the write to happen: the version that was read, `absent` for a new one, `any` to
   * write in any case.
   */
  readonly expected: string | 'absent' | 'any';
  /**
   * It goes away by itself after so long, unless it is put again; by default it stays. A store may keep it a little
   * longer: etcd counts whole seconds, and two at least.
   */
  readonly ttlMs?: number;
}

export interface RecordListener {
  /** Everything in the bucket, in the order of keys: once soon, and after every change. Steps between may be left out. */
  records(all: readonly KeptRecord[]): void;
  /** The store cannot be reached, or can be again; then everything is told anew. */
  reachable?(isReachable: boolean, reason?: string): void;
}

export interface RecordWatch {
  close(): void;
}

/**
 * Named buckets of records. Names of buckets and keys are letters, digits, `_`, `-` and `.`. All methods reject with
 * StoreUnavailableError when the store cannot be reached or does not answer in time; a write may have happened then.
 */
export interface Records {
  /** Everything in a bucket, in the order of keys, as it was at one moment. */
  list(bucket: string): Promise<readonly KeptRecord[]>;
  /**
   * Writes a record if it is what is expected.
   *
   * @returns its version; undefined when it was not what is expected
   * @throws RangeError when the value is larger than `MAX_RECORD_BYTES`
   */
  put(bucket: string, key: string, value: Uint8Array, options: PutOptions): Promise<string | undefined>;
  /**
   * Has a record that goes away by itself stay as long again as it was put for, if it has this version: without a write,
   * so that it costs no history. Returns whether it did.
   */
  keep(bucket: string, key: string, version: string): Promise<boolean>;
  /** Deletes a record if it has this version; returns whether it did. */
  delete(bucket: string, key: string, version: string): Promise<boolean>;
  /** Tells of everything in a bucket, from now on. */
  watch(bucket: string, listener: RecordListener): RecordWatch;
  close(): Promise<void>;
}

/** Largest value of a record. */
export const MAX_RECORD_BYTES = 512 * 1024;

const NAME = /^[A-Za-z0-9._-]{1,200}$/;

/** @throws RangeError when a bucket or key cannot have this name */
export function assertRecordName(...names: readonly string[]): void {
  const wrong = names.find((name) => !NAME.test(name));
  if (wrong !== undefined)
    throw new RangeError(
      `a record cannot be named ${JSON.stringify(wrong)}: letters, digits, '_', '-' and '.' only`,
    );
}

/** @throws RangeError */
export function assertRecordSize(bucket: string, key: string, { length }: Uint8Array): void {
  if (length > MAX_RECORD_BYTES)
    throw new RangeError(`the record ${bucket}/${key} has ${length} bytes, and may have ${MAX_RECORD_BYTES}`);
}
