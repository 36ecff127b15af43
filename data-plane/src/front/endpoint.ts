/** What stands behind a path: one upstream, or all of them as one server. Fronts know endpoints by this port. */
import type { JsonObject, MaybePromise, Target } from '@sluice/sdk';
import type { Route } from '@sluice/sdk/engine';
import type { Admission, Caller, Exchange, Outcome, RequestHeaders } from '../exchange/exchange.js';
import type { Message } from '../protocol/translate.js';
import type { HeldAtUpstream } from '../sessions/store.js';
import type { Tally } from '../telemetry/tally.js';

/** What a legacy session hears from its endpoint. */
export interface LegHost {
  readonly caller: Caller;
  /** What is known of who has it; undefined where no plugin is in the way. */
  readonly admission: Admission | undefined;
  /** What came with its newest request, or with the beginning of its connection. */
  readonly headers: RequestHeaders;
  /** Names the session, where it has a name; no credential. */
  readonly sessionName: string | undefined;
  /**
   * A message for the client that is not a response: an ask, or a notification. `requestId` names the client's
   * request that it belongs to (JSON text), where that is known.
   */
  toClient(message: Message, requestId: string | undefined): void;
  /** What the session holds at an upstream has changed; undefined when that is nothing any more. */
  holds(upstreamId: string, held: HeldAtUpstream | undefined): void;
  /** The session cannot go on. */
  end(reason: string): void;
}

/** What a session held at upstreams, by their ids, when the worker that had it went away. */
export type HeldBefore = Readonly<Record<string, HeldAtUpstream>>;

/** The endpoint's side of one legacy session. */
export interface LegacyBacking {
  /**
   * The result of `initialize` as JSON (binary text). Rejects with an RpcError.
   *
   * @param before for a session that began at a worker which is gone; its client does not know of this handshake.
   */
  initialize(params: string, requestedRevision: string, before?: HeldBefore): Promise<string>;
  request(exchange: Exchange): Promise<Outcome>;
  /**
   * The entry of a tool in the list that its upstream shows this session, by the upstream's own names; absent where no
   * session is shown anything of its own. Throws, or rejects with, a Refusal when the upstream does not tell.
   */
  definition?(target: Target, caller: Caller): MaybePromise<JsonObject | undefined>;
  /** A notification of the client. */
  notification(message: Message): void;
  /** The client's answer to an ask. */
  response(message: Message): void;
  /** The client listens on its GET stream. */
  listen(): void;
  /** The client may have missed what was said outside of requests, so it is told to look again. */
  resync(): void;
  close(): void;
}

export interface Endpoint {
  /** `/mcp`, `/mcp/files`. */
  readonly path: string;
  /** For metrics: the upstream's name, or `*`. */
  readonly label: string;
  /** The plugins in front of it; undefined where there are none. */
  readonly route?: Route | undefined;
  /** Where its requests are counted beside all others. */
  readonly tally?: Tally | undefined;
  /** A request of a modern client. */
  modern(exchange: Exchange): Promise<Outcome>;
  /** A notification of a modern client. */
  modernNotification(message: Message): void;
  openLegacy(host: LegHost): LegacyBacking;
}
