/**
 * The port between a transport that carries whole messages both ways (WebSocket, stdio, the event stream and the
 * POSTs of 2024-11-05) and the front that knows what they mean.
 */
import type { Admission, RequestHeaders } from '../../exchange/exchange.js';

/** How a connection began. */
export interface Beginning {
  /** Where the transport has any. */
  readonly headers: RequestHeaders;
  readonly principal: string;
  readonly admission?: Admission | undefined;
}

import type { ClientTransport } from '../client-connection.js';

/** The way to one client; one message each. */
export interface DuplexConnection {
  readonly transport: ClientTransport;
  /** False when the client does not read and its queue is full: the connection is then closed. */
  send(message: Buffer): boolean;
  /** `reason` is a sentence for the client's log, where the transport has a place for one. */
  close(reason: string): void;
}

/** What a client says, as the transport hands it over. Nothing here throws. */
export interface DuplexClient {
  /** One message, or a batch where the revision has them. */
  message(bytes: Buffer): void;
  /** The same caller has shown a credential again, which counts from now on. */
  admittedAgain(admission: Admission | undefined): void;
  /** The connection is gone. */
  gone(): void;
  /** Requests under way. */
  readonly requestCount: number;
  /** True once a legacy client's `initialize` was answered. */
  readonly hasSession: boolean;
}
