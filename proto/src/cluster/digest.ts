/**
 * The digest of a set of resources. It is a sum of digests, so that it follows a change in the time of the change,
 * and does not depend on order. It finds what was lost or damaged; who may send what is the transport's business.
 */
import { createHash } from 'node:crypto';
import type { KeyText } from './key.js';

const DIGEST_BITS = 256n;
const MASK = (1n << DIGEST_BITS) - 1n;
const DIGEST_BYTES = Number(DIGEST_BITS / 8n);

/** The part of one resource in the sum. */
export function partOf(key: KeyText, bytes: Uint8Array): bigint {
  return BigInt(`0x${createHash('sha256').update(key).update('\0').update(bytes).digest('hex')}`);
}

/** A sum without one part, and with another. */
export function exchanged(sum: bigint, without: bigint, withPart: bigint): bigint {
  return (sum - without + withPart) & MASK;
}

/** A sum as bytes; 32 of them. */
export function digestBytes(sum: bigint): Uint8Array {
  return Buffer.from(sum.toString(16).padStart(DIGEST_BYTES * 2, '0'), 'hex');
}
