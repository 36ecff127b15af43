import type { ReplyHost } from './connection-reply.js';
import { Heartbeat } from './heartbeat.js';
import type { Door, ListenerLimits, ListenerOptions } from './listener.js';
import type { ConnectionSocket, SocketHost } from './message-socket.js';

/** What replies and WebSocket connections ask of their listener, whichever library is below. */
export abstract class ListenerHost implements ReplyHost, SocketHost {
  limits: ListenerLimits;
  draining = false;
  /** Answers that have not wholly left, and goodbyes that are on their way. */
  openReplyCount = 0;
  bodyBytes = 0;
  protected readonly heartbeat = new Heartbeat(() => this.limits);

  constructor(
    protected readonly options: ListenerOptions,
    readonly door: Door,
  ) {
    this.limits = options.limits;
  }

  fault(error: unknown): void {
    try {
      this.options.onFault?.(error);
    } catch {
      // Whoever counts faults must not add one: an exception in a native callback ends the process.
    }
  }

  settled(bodyBytes: number): void {
    this.bodyBytes -= bodyBytes;
    this.openReplyCount--;
  }

  closing(): void {
    this.openReplyCount++;
  }

  gone(socket: ConnectionSocket, wasClosing: boolean): void {
    if (wasClosing) this.openReplyCount--;
    this.heartbeat.delete(socket);
  }
}
