/**
 * Every error code that Sluice gives by itself, in one table. Codes of JSON-RPC 2.0 and of MCP keep their
 * meaning; Sluice's own stand outside the reserved range (specification 2026-07-28, basic, "Error Codes").
 */
import type { ScanError } from './scan.js';
import { jsonBinary } from './text.js';

export const ErrorCode = {
  /** Not JSON. */
  ParseError: -32700,
  /** JSON, but not a JSON-RPC message of this revision. */
  InvalidRequest: -32600,
  /** Nobody here knows the method. */
  MethodNotFound: -32601,
  /** The parameters are wrong: unknown tool, bad cursor, missing `_meta` field. */
  InvalidParams: -32602,
  /** A fault of the gateway itself. */
  InternalError: -32603,
  /** MCP 2025-11-25 and earlier: no such resource. */
  ResourceNotFound: -32002,
  /** MCP 2025-11-25: a person has to look at a page first. */
  UrlElicitationRequired: -32042,
  /** MCP 2026-07-28: a header says something else than the body. */
  HeaderMismatch: -32020,
  /** MCP 2026-07-28: the client did not declare a capability that this needs. */
  MissingClientCapability: -32021,
  /** MCP 2026-07-28: no such revision here. */
  UnsupportedProtocolVersion: -32022,
  /** The upstream could not be reached; the call did not run. */
  UpstreamUnavailable: -31001,
  /** The upstream said nothing in time; the call may have run. */
  UpstreamTimeout: -31002,
  /** The upstream's answer is not a JSON-RPC message, is incomplete, or is over its limit. */
  UpstreamBadAnswer: -31003,
  /** The connection broke after the request was sent; the call may have run. */
  UpstreamLost: -31004,
  /** This hop cannot be translated between the two eras. */
  NotTranslatable: -31005,
  /** The gateway is shutting down or has too much to do; unless the message says so, the call did not run. */
  Overloaded: -31006,
  /** Host, Origin or path is refused. */
  Forbidden: -31007,
  /** No such session. */
  SessionNotFound: -31008,
} as const;

export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode];

/** What plugins want to see in the head of an answer. */
export interface HttpHead {
  /** Undefined: as the error code says. */
  readonly status: number | undefined;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** A refusal or failure on its way to the client: a JSON-RPC error with a sentence that can be shown. */
export class RpcError extends Error {
  override readonly name = 'RpcError';
  /** For the head of an HTTP answer that has nothing else in it. */
  readonly http: HttpHead | undefined;
  constructor(
    readonly code: number,
    message: string,
    readonly data?: unknown,
    options?: { cause?: unknown; http?: HttpHead },
  ) {
    super(message, options);
    this.http = options?.http;
  }

  /** Any thrown thing as an error for the wire; what is not an RpcError says nothing of its inside. */
  static from(thrown: unknown): RpcError {
    if (thrown instanceof RpcError) return thrown;
    return new RpcError(ErrorCode.InternalError, 'Internal error of the gateway', undefined, {
      cause: thrown,
    });
  }
}

/** What the sender of bytes is told that are no message. */
export function unreadable({ kind, message }: ScanError): RpcError {
  return kind === 'parse'
    ? new RpcError(ErrorCode.ParseError, `Parse error: ${message}`)
    : new RpcError(ErrorCode.InvalidRequest, `Invalid request: ${message}`);
}

/** Binary text of an error response. `id` is JSON text; without it the message has `"id":null` for legacy readers. */
export function errorMessage(id: string | undefined, error: RpcError): string {
  const body =
    error.data === undefined
      ? { code: error.code, message: error.message }
      : { code: error.code, message: error.message, data: error.data };
  return `{"jsonrpc":"2.0","id":${id ?? 'null'},"error":${jsonBinary(body)}}`;
}

/** Binary text of a result response; both arguments are JSON as binary text. */
export function resultMessage(id: string, result: string): string {
  return `{"jsonrpc":"2.0","id":${id},"result":${result}}`;
}
