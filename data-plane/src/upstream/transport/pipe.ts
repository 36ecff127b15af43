/**
 * The pipe port: one connection that carries messages both ways, with nothing that ties one to another. The streams
 * of a subprocess, a WebSocket, the stream and the POSTs of HTTP+SSE.
 */

import type { RpcError } from '../../protocol/errors.js';
import type { OwnFields } from '../own-fields.js';

export interface PipeEvents {
  /** What is written from now on goes out at once. Called at most once, perhaps before the pipe is returned. */
  opened(): void;
  /** One message as the other end wrote it, not looked at yet. The buffer belongs to the callee. */
  message(bytes: Buffer): void;
  /** The message of this request did not arrive, and others are not affected. */
  undelivered(requestId: string, error: RpcError): void;
  /** The pipe has ended by itself or by its peer; the reason is a sentence. Called at most once. */
  closed(reason: string): void;
}

export interface Pipe {
  /**
   * Writes one message (binary text: one character for each byte). False when the pipe has ended or its queue is
   * full.
   *
   * @param requestId the request's id as it is known to `undelivered`; without it nobody waits for an answer
   * @param own header fields of plugins, where messages have such
   */
  write(message: string, requestId?: string, own?: OwnFields): boolean;
  /** Ends it; resolves when it is gone. Idempotent. */
  stop(): Promise<void>;
}

export type OpenPipe = (events: PipeEvents) => Pipe;
