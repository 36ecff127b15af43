/** The one error of the admin API. What becomes of it on the wire is the business of `grpc/` and `rest/`. */
import type { Conflict, Finding } from '@sluice/proto/admin';
import { UnknownResourceError } from '@sluice/proto/cluster';
import { RevisionTooLargeError, StoreUnavailableError } from '../store/revision-log.js';
import type { Reason } from './reasons.js';

/** A field of a request, in the spelling of the schema, and what is wrong with it. */
export interface Violation {
  readonly field: string;
  readonly description: string;
}

interface ErrorDetails {
  readonly violations?: readonly Violation[];
  readonly findings?: readonly Finding[];
  readonly conflict?: Conflict;
  /** What the failure is about, for programs. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** For the log; never on the wire. */
  readonly cause?: unknown;
}

export class AdminError extends Error {
  override readonly name = 'AdminError';
  readonly details: ErrorDetails;

  /** @param message is shown to the caller: it says what is wrong and what would be right, and holds no secret */
  constructor(
    readonly reason: Reason,
    message: string,
    details: ErrorDetails = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.details = details;
  }

  /** A request with a field that cannot be. */
  static field(field: string, description: string): AdminError {
    return new AdminError('INVALID_REQUEST', `${field}: ${description}`, {
      violations: [{ field, description }],
    });
  }

  /** What a caller is told of anything that was thrown. */
  static of(thrown: unknown): AdminError {
    if (thrown instanceof AdminError) return thrown;
    if (thrown instanceof StoreUnavailableError) {
      const message =
        'the store cannot be reached; try again, with the same idempotency key if it was a change';
      return new AdminError('STORE_UNAVAILABLE', message, { cause: thrown });
    }
    if (thrown instanceof RevisionTooLargeError) return new AdminError('TOO_LARGE', thrown.message);
    if (thrown instanceof UnknownResourceError) return new AdminError('INVALID_REQUEST', thrown.message);
    return new AdminError('INTERNAL', 'the control plane failed; its log says more', { cause: thrown });
  }
}
