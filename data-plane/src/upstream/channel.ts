/**
 * A channel carries messages to one upstream connection and back: a subprocess's pipes, or a legacy HTTP session.
 * It knows which request a message came with, and nothing of what messages mean.
 */
import { ErrorCode, RpcError } from '../protocol/errors.js';
import type { Envelope } from '../protocol/scan.js';
import type { OwnFields } from './own-fields.js';

/** Hears what comes on a request's own stream; after a response or `failed` nothing more. */
export interface ChannelSink {
  message(bytes: Buffer, envelope: Envelope): void;
  failed(error: RpcError): void;
}

export interface ChannelEvents {
  /** What is sent from now on goes out at once; it need not be said before. */
  opened?(): void;
  /** A message that the transport ties to no request. */
  message(bytes: Buffer, envelope: Envelope): void;
  /** The connection is gone and everything on it; the reason is a sentence. Called at most once. */
  lost(reason: string): void;
  /** Messages outside requests may have been missed. */
  gap(): void;
}

export interface ChannelRequest {
  /** Stops listening; with a stream of its own, closes it. */
  abort(): void;
  /**
   * Somebody is being asked in the middle of this request: silence means nothing, until `false` says that nobody is
   * asked any more; then the time for a sign of life begins anew.
   */
  waitPatiently(patiently?: boolean): void;
}

export interface Channel {
  /**
   * Sends a request (binary text). `token` is its progress token as JSON text: progress is a sign of life. `own` goes
   * with it where the transport has header fields for a message.
   */
  request(
    text: string,
    id: string,
    token: string | undefined,
    sink: ChannelSink,
    own?: OwnFields,
  ): ChannelRequest;
  /** Sends a notification or a response. */
  post(text: string): void;
  /** Asks for messages outside requests, where that takes a stream of its own: resolves when the server has answered. */
  listen(): Promise<void> | undefined;
  /** The handshake settled a revision. */
  established(revision: string): void;
  /** What the server calls this session; undefined where it has no name that another connection could give. */
  readonly sessionId?: string | undefined;
  /** Goes on with a session of the server that began on another connection, in place of a handshake. */
  resume?(sessionId: string): void;
  close(): Promise<void>;
}

/** The upstream does not know the session any more: it did not run the request, so it may be sent again. */
export class SessionLost extends RpcError {
  constructor(upstream: string) {
    super(
      ErrorCode.UpstreamUnavailable,
      `upstream ${JSON.stringify(upstream)} does not know the session any more`,
    );
  }
}
