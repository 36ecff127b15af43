/**
 * What makes the records of a node a chain: each one's hash covers the one before it, its place, and the digests of its
 * two parts. Personal data stands beside a salted digest, so it can be taken out and the chain still holds.
 */
import { hash, type KeyObject, sign, verify } from 'node:crypto';

/** The hash before the first record. */
export const NO_HASH: Uint8Array = Buffer.alloc(32);
/** In the place of the digest of personal data, where there is none. */
export const NO_DIGEST: Uint8Array = Buffer.alloc(0);

export const SALT_BYTES = 16;

/** The number of a record, while its hash is made. */
const PLACE = Buffer.alloc(8);

export function openDigest(open: string): Buffer {
  return hash('sha256', open, 'buffer');
}

export function personalDigest(salt: Uint8Array, personal: string): Buffer {
  return hash('sha256', Buffer.concat([salt, Buffer.from(personal)]), 'buffer');
}

/** The hash of the record with this number. */
export function linked(before: Uint8Array, seq: number, open: Uint8Array, personal: Uint8Array): Buffer {
  PLACE.writeUInt32BE(Math.floor(seq / 2 ** 32), 0);
  PLACE.writeUInt32BE(seq >>> 0, 4);
  return hash('sha256', Buffer.concat([before, PLACE, open, personal]), 'buffer');
}

/** A place in the chain that a node vouches for. */
export interface Checkpoint {
  /** Counted from 1, so that none can be missing unseen. */
  readonly number: number;
  readonly seq: number;
  readonly hash: Uint8Array;
  readonly timeMs: number;
}

/** The end of the chain, as it was last written. */
export interface Head {
  /** Of the last record; 0 before the first one. */
  readonly seq: number;
  readonly hash: Uint8Array;
  readonly timeMs: number;
  /** Of the last record that retention has removed; 0 when none was. */
  readonly anchorSeq: number;
  readonly anchorHash: Uint8Array;
  /** Checkpoints so far. */
  readonly checkpointCount: number;
  readonly checkpointSeq: number;
  readonly checkpointTimeMs: number;
}

export const EMPTY_HEAD: Head = {
  seq: 0,
  hash: NO_HASH,
  timeMs: 0,
  anchorSeq: 0,
  anchorHash: NO_HASH,
  checkpointCount: 0,
  checkpointSeq: 0,
  checkpointTimeMs: 0,
};

export function signedCheckpoint(key: KeyObject, checkpoint: Checkpoint): Buffer {
  return sign(null, checkpointText(checkpoint), key);
}

export function isCheckpointOf(key: KeyObject, checkpoint: Checkpoint, signature: Uint8Array): boolean {
  return verify(null, checkpointText(checkpoint), key, signature);
}

export function signedHead(key: KeyObject, head: Head): Buffer {
  return sign(null, headText(head), key);
}

export function isHeadOf(key: KeyObject, head: Head, signature: Uint8Array): boolean {
  return verify(null, headText(head), key, signature);
}

function checkpointText({ number, seq, hash, timeMs }: Checkpoint): Buffer {
  return Buffer.from(`sluice audit checkpoint 1\n${number}\n${seq}\n${hex(hash)}\n${timeMs}\n`);
}

function headText(head: Head): Buffer {
  const { seq, hash, timeMs, anchorSeq, anchorHash } = head;
  const { checkpointCount, checkpointSeq, checkpointTimeMs } = head;
  return Buffer.from(
    `sluice audit head 1\n${seq}\n${hex(hash)}\n${timeMs}\n${anchorSeq}\n${hex(anchorHash)}\n${checkpointCount}\n${checkpointSeq}\n${checkpointTimeMs}\n`,
  );
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}
