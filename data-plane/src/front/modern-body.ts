/** What the body of a modern request says, whatever transport brought it (specification 2026-07-28, basic, "_meta"). */
import type { Caller } from '../exchange/exchange.js';
import { ErrorCode } from '../protocol/errors.js';
import { LOG_LEVELS } from '../protocol/log-levels.js';
import { methodRow } from '../protocol/methods.js';
import { META, MODERN_REVISION, SUPPORTED_REVISIONS } from '../protocol/revisions.js';
import type { Envelope, Span } from '../protocol/scan.js';
import { binaryOf, binaryToBytes, stringOf } from '../protocol/text.js';

/** A client's fault in one modern message, with the HTTP status that goes with it. */
export class Refusal {
  constructor(
    readonly status: number,
    readonly code: number,
    readonly message: string,
    readonly data?: unknown,
  ) {}
}

/** Everything that a modern request must say in its body; undefined when it does. */
export function checkBody(bytes: Buffer, envelope: Envelope): Refusal | undefined {
  const version = stringOf(bytes, envelope.metaVersion);
  if (version === undefined) {
    return invalid(
      `\`params._meta["${META.version}"]\` is missing; ${MODERN_REVISION} wants it on every request`,
    );
  }
  if (version !== MODERN_REVISION) return unsupported(version);
  const capabilities = envelope.metaCapabilities;
  if (capabilities === undefined || bytes[capabilities.start] !== 0x7b) {
    return invalid(
      `\`params._meta["${META.capabilities}"]\` is missing or not an object; ${MODERN_REVISION} wants it on every request`,
    );
  }
  const level = envelope.metaLogLevel;
  if (level !== undefined && !LOG_LEVELS.includes(stringOf(bytes, level) ?? ''))
    return invalid(`\`params._meta["${META.logLevel}"]\` is not one of ${LOG_LEVELS.join(', ')}`);
  const field = methodRow(envelope.method)?.nameHeader;
  if (field !== undefined && stringOf(bytes, field === 'name' ? envelope.name : envelope.uri) === undefined)
    return invalid(`\`params.${field}\` is missing or not a string`);
  return undefined;
}

function invalid(what: string): Refusal {
  return new Refusal(400, ErrorCode.InvalidParams, what);
}

export function unsupported(requested: string): Refusal {
  return new Refusal(400, ErrorCode.UnsupportedProtocolVersion, 'Unsupported protocol version', {
    supported: SUPPORTED_REVISIONS,
    requested,
  });
}

/** Who asks, as a request says that {@link checkBody} has passed. */
export function callerOf(bytes: Buffer, envelope: Envelope, principal: string): Caller {
  return {
    era: 'modern',
    revision: MODERN_REVISION,
    principal,
    capabilities: binaryOf(bytes, envelope.metaCapabilities as Span),
    clientInfo: envelope.metaClientInfo === undefined ? undefined : binaryOf(bytes, envelope.metaClientInfo),
    logLevel: stringOf(bytes, envelope.metaLogLevel),
  };
}

/** The HTTP status of an outcome, made from its code and never copied from an upstream. */
export function statusOf(errorCode: number): number {
  switch (errorCode) {
    case ErrorCode.MethodNotFound:
      return 404;
    case ErrorCode.HeaderMismatch:
    case ErrorCode.MissingClientCapability:
    case ErrorCode.UnsupportedProtocolVersion:
    case ErrorCode.ParseError:
    case ErrorCode.InvalidRequest:
      return 400;
    default:
      return 200;
  }
}

/** The response to a subscription that the server ends (basic/patterns/subscriptions, "Graceful Closure"). */
export function subscriptionEnd(id: string): Buffer {
  const result = `{"resultType":"complete","_meta":{"${META.subscriptionId}":${id}}}`;
  return binaryToBytes(`{"jsonrpc":"2.0","id":${id},"result":${result}}`);
}
