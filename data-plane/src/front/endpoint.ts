/** What stands behind a path: one upstream, or all of them as one server. Fronts know endpoints by this port. */
import type { Caller, Exchange, Outcome } from '../exchange/exchange.js';
import type { Message } from '../protocol/translate.js';

/** What a legacy session hears from its endpoint. */
export interface LegHost {
  readonly caller: Caller;
  /**
   * A message for the client that is not a response: an ask, or a notification. `requestId` names the client's
   * request that it belongs to (JSON text), where that is known.
   */
  toClient(message: Message, requestId: string | undefined): void;
  /** The session cannot go on. */
  end(reason: string): void;
}

/** The endpoint's side of one legacy session. */
export interface LegacyBacking {
  /** The result of `initialize` as JSON (binary text). Rejects with an RpcError. */
  initialize(params: string, requestedRevision: string): Promise<string>;
  request(exchange: Exchange): Promise<Outcome>;
  /** A notification of the client. */
  notification(message: Message): void;
  /** The client's answer to an ask. */
  response(message: Message): void;
  /** The client listens on its GET stream. */
  listen(): void;
  close(): void;
}

export interface Endpoint {
  /** `/mcp`, `/mcp/files`. */
  readonly path: string;
  /** For metrics: the upstream's name, or `*`. */
  readonly label: string;
  /** A request of a modern client. */
  modern(exchange: Exchange): Promise<Outcome>;
  /** A notification of a modern client. */
  modernNotification(message: Message): void;
  openLegacy(host: LegHost): LegacyBacking;
}
