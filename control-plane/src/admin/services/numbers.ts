import { AdminError } from '../admin-error.js';

/** A revision as a number; those that no store will ever reach are told so. */
export function revisionNumber(field: string, revision: bigint): number {
  if (revision <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(revision);
  throw AdminError.field(field, 'is larger than any revision');
}
