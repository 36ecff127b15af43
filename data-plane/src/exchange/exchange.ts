/**
 * The exchange: one client request on its way through the gateway, in any era. It keeps the bytes it came with
 * and ends as exactly one {@link Outcome} or one thrown RpcError.
 */
import type { MethodRow } from '../protocol/methods.js';
import type { Era } from '../protocol/revisions.js';
import type { Envelope } from '../protocol/scan.js';

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

/** Tells those who wait that nobody waits for them any more. */
export class Cancellation {
  private listeners: (() => void)[] | undefined;
  private done = false;

  get cancelled(): boolean {
    return this.done;
  }

  onCancel(listener: () => void): void {
    if (this.done) listener();
    else if (this.listeners === undefined) this.listeners = [listener];
    else this.listeners.push(listener);
  }

  cancel(): void {
    if (this.done) return;
    this.done = true;
    const listeners = this.listeners;
    this.listeners = undefined;
    if (listeners !== undefined) for (const listener of listeners) listener();
  }
}

export interface Exchange {
  readonly row: MethodRow | undefined;
  /** The request as the client sent it. */
  readonly bytes: Buffer;
  readonly envelope: Envelope;
  readonly caller: Caller;
  /** Header fields of the client's request, lower-case names. */
  readonly headers: Readonly<Record<string, string | undefined>>;
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
}

/** What takes an exchange to its outcome. */
export type Handler = (exchange: Exchange) => Promise<Outcome>;
