/** What an upstream adapter is asked to do, and what it brings back. */
import type { Cancellation } from '../exchange/exchange.js';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import type { MethodRow } from '../protocol/methods.js';
import type { Envelope } from '../protocol/scan.js';
import type { Edit } from '../protocol/text.js';
import type { OwnFields } from './own-fields.js';
import type { HttpFailure } from './transport/http.js';

/** One request on its way to one upstream. */
export interface UpstreamCall {
  readonly method: string;
  readonly row: MethodRow | undefined;
  /** The request as the client sent it. */
  readonly bytes: Buffer;
  readonly envelope: Envelope;
  /** What must be changed in it for this upstream: names, `_meta`. Not its id. */
  readonly edits: readonly Edit[];
  /** `Mcp-Name` and `Mcp-Param-*` as header lines, each ended by CRLF; only a modern upstream over HTTP gets them. */
  readonly headerLines: string;
  /** What plugins change about the header fields, where the transport has such for a message. */
  readonly ownHeaders?: OwnFields | undefined;
  readonly cancellation: Cancellation;
  /** Answers what a modern upstream asks in the middle of a call, where the client is of the legacy era. */
  readonly asks?: CallAsks | undefined;
  /** Told of what is asked in the call on a connection where everything that is asked is refused. */
  readonly onRefusedAsk?: (bytes: Buffer, envelope: Envelope) => void;
  /** Notifications that belong to this call, as the upstream sent them. */
  onNotification(bytes: Buffer, envelope: Envelope): void;
}

/** How a legacy client is asked; see `ClientAsks`. */
export interface CallAsks {
  /** What can be asked, as client capabilities (JSON, binary text). */
  capabilities(): string;
  round(requestId: string, inputs: Readonly<Record<string, unknown>>): Promise<Record<string, unknown>>;
  drop(requestId: string): void;
}

/** The upstream's response, whole and checked. */
export interface UpstreamReply {
  readonly bytes: Buffer;
  readonly envelope: Envelope;
}

/** A failed HTTP call as the client is told. */
export function failureToError(upstream: string, failure: HttpFailure): RpcError {
  const said = `upstream ${JSON.stringify(upstream)}`;
  switch (failure.kind) {
    case 'connect':
    case 'refused':
      return new RpcError(
        ErrorCode.UpstreamUnavailable,
        `${said} cannot be reached; the request was not sent`,
        undefined,
        { cause: failure },
      );
    case 'timeout':
      return new RpcError(
        ErrorCode.UpstreamTimeout,
        `${said} did not answer in time; the request may have run`,
        undefined,
        { cause: failure },
      );
    case 'reset':
      return new RpcError(
        ErrorCode.UpstreamLost,
        `${said} broke the connection before it answered; the request may have run`,
        undefined,
        { cause: failure },
      );
    default:
      return new RpcError(
        ErrorCode.UpstreamBadAnswer,
        `${said} answered something that is not HTTP as expected`,
        undefined,
        { cause: failure },
      );
  }
}

/** The call's id as JSON (binary text); every request has one. */
export function idOf(call: UpstreamCall): string {
  const { id } = call.envelope;
  return id === undefined ? 'null' : call.bytes.latin1Slice(id.start, id.end);
}

/** What a call ends with when its client has gone; nobody reads it. */
export function cancelledError(): RpcError {
  return new RpcError(ErrorCode.InternalError, 'cancelled by the client');
}

/**
 * The upstream has come to speak the legacy era, in which this legacy client can have a session of its own with it. It
 * did not run the request.
 */
export class BecameLegacy extends RpcError {
  constructor(upstream: string) {
    super(
      ErrorCode.UpstreamUnavailable,
      `upstream ${JSON.stringify(upstream)} has come to speak the legacy era; the request was not run`,
    );
  }
}

/**
 * The upstream does not speak the era that it was taken for; it did not run the request. `refusal` is the error that
 * it answered, which the client gets when the era turns out to be right after all.
 */
export class EraMismatch extends RpcError {
  constructor(message: string, refusal?: RpcError) {
    super(
      refusal?.code ?? ErrorCode.UpstreamBadAnswer,
      refusal?.message ?? message,
      refusal?.data,
      refusal === undefined ? undefined : { cause: new Error(message) },
    );
  }
}
