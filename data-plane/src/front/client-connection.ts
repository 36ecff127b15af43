/** A client as those see it who operate the gateway: one that has a session, or a connection of its own. */
import type { Caller } from '../exchange/exchange.js';
import type { Endpoint } from './endpoint.js';

/** What carries the messages: `http` is streamable HTTP, where a session has no connection of its own. */
export type ClientTransport = 'http' | 'sse' | 'websocket' | 'stdio';

export interface ClientConnection {
  /** Names it for operators. No client knows it, and nobody comes in by it. */
  readonly connectionId: string;
  readonly endpoint: Endpoint;
  readonly transport: ClientTransport;
  readonly principal: string;
  /** Who speaks, as far as the client has said it. */
  readonly caller: Caller | undefined;
  /** Milliseconds of the clock. */
  readonly beganAt: number;
  /** When the client last said something, or was last answered; milliseconds of the clock. */
  readonly lastUsedAt: number;
  /** Requests under way. */
  readonly requestCount: number;
  /** Ends it, and what it has at upstreams. */
  end(reason: string): void;
}
