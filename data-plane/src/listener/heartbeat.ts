import type { ListenerLimits } from './listener.js';
import type { ConnectionSocket } from './message-socket.js';

/** The WebSocket connections of a listener, each of which is asked from time to time whether its client is there. */
export class Heartbeat {
  private readonly sockets = new Set<ConnectionSocket>();
  private timer: NodeJS.Timeout | undefined;

  /** @param limits as they are now: they may change while the listener runs. */
  constructor(private readonly limits: () => ListenerLimits) {}

  add(socket: ConnectionSocket): void {
    this.sockets.add(socket);
    if (this.timer === undefined) this.wait();
  }

  delete(socket: ConnectionSocket): void {
    this.sockets.delete(socket);
  }

  private wait(): void {
    this.timer = setTimeout(() => this.beat(), this.limits().pingIntervalMs).unref();
  }

  private beat(): void {
    this.timer = undefined;
    for (const socket of [...this.sockets]) socket.ping();
    if (this.sockets.size > 0) this.wait();
  }
}
