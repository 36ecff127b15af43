/**
 * The exchange: one client request on its way through the gateway, in any era. It keeps the bytes it came with
 * and ends as exactly one {@link Outcome} or one thrown RpcError.
 */
import type { Target } from '@sluice/sdk';
import type { Admitted, Arrival, Route } from '@sluice/sdk/engine';
import type { HttpHead } from '../protocol/errors.js';
import type { MethodRow } from '../protocol/methods.js';
import type { Era } from '../protocol/revisions.js';
import type { Envelope, Span } from '../protocol/scan.js';

/** The principal of all who have not said who they are. */
export const ANONYMOUS = 'anonymous';

/** Who asks, and what the client can do. */
export interface Caller {
  readonly era: Era;
  /** Protocol revision of the client. */
  readonly revision: string;
  /** Whom this exchange is made for; connections towards upstreams are never shared across it. */
  readonly principal: string;
  /** The client's capabilities as JSON (binary text). */
  readonly capabilities: string;
  /** The client's name and version as JSON (binary text), where it gave one. */
  readonly clientInfo: string | undefined;
  /** The level that a legacy client set with `logging/setLevel`; a modern client says it on each request. */
  readonly logLevel: string | undefined;
}

/** What was found out about a request before anybody looked at what it says. */
export interface Admission {
  /** The plugins that found it out. With others in their place it does not count any more. */
  readonly route: Route | undefined;
  readonly arrival: Arrival;
  readonly admitted: Admitted;
  /** By plugins of a revision that only some callers are given: it says nothing to those of the other one. */
  readonly isTried?: boolean;
}

/** True when nobody may go on with what was found out then. Times in milliseconds of the clock. */
export function hasExpired({ admitted: { identity } }: Admission, now: number): boolean {
  return identity.expiresAtMs !== undefined && identity.expiresAtMs <= now;
}

/** Header fields of a request, by lower-case name. */
export type RequestHeaders = Readonly<Record<string, string | undefined>>;

/** What can be told that nobody waits for it any more. */
export interface Cancellable {
  cancel(): void;
}

/** Tells those who work for an exchange that nobody waits for it any more. */
export class Cancellation {
  // Nearly every exchange has one listener, which gets along without a list.
  private first: Cancellable | undefined = undefined;
  private others: Cancellable[] | undefined = undefined;
  private done = false;

  get cancelled(): boolean {
    return this.done;
  }

  onCancel(listener: Cancellable): void {
    if (this.done) listener.cancel();
    else if (this.first === undefined) this.first = listener;
    else if (this.others === undefined) this.others = [listener];
    else this.others.push(listener);
  }

  cancel(): void {
    if (this.done) return;
    this.done = true;
    const { first, others } = this;
    this.first = undefined;
    this.others = undefined;
    first?.cancel();
    if (others !== undefined) for (const listener of others) listener.cancel();
  }
}

export interface Exchange {
  readonly row: MethodRow | undefined;
  /** The request as the client sent it. */
  readonly bytes: Buffer;
  readonly envelope: Envelope;
  readonly caller: Caller;
  /** Those of the client's request. */
  readonly headers: RequestHeaders;
  /** True where the transport has no headers for a message of its own, which therefore repeat nothing of the body. */
  readonly bodyOnly?: boolean;
  /** Undefined where no plugin is in the way, and for what the gateway asks by itself. */
  readonly admission?: Admission | undefined;
  /** Names the client's legacy session, where it has one; no credential. */
  readonly session?: string | undefined;
  /** Fields of the request to the upstream, by lower-case name, that plugins set; undefined takes one away. */
  ownHeaders?: Readonly<Record<string, string | undefined>> | undefined;
  /** What plugins were told that it is about: it goes there, or nowhere. */
  decidedFor?: readonly Target[] | undefined;
  readonly cancellation: Cancellation;
  /** Hands the client a notification that belongs to this exchange, in the client's names and tokens. */
  notify(message: Buffer): void;
}

/** How an exchange ended, with the client's id. */
export interface Outcome {
  /** The JSON-RPC response. */
  readonly bytes: Buffer;
  /** 0 for a result, else the error's code. */
  readonly errorCode: number;
  /** Where the result is in the response, when that is known. */
  readonly result?: Span | undefined;
  /** For the head of an HTTP answer that has nothing else in it. */
  readonly http?: HttpHead | undefined;
}
