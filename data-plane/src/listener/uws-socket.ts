import type { WebSocket } from 'uWebSockets.js';
import type { SocketHandler } from './listener.js';
import { ConnectionSocket, type SocketHost } from './message-socket.js';

/** What uWebSockets.js keeps with a connection. */
export interface UwsSocketData {
  readonly handler: SocketHandler;
  socket: UwsSocket | undefined;
}

/** In front of the payload of a control frame of a server (RFC 6455 section 5.2). */
const PONG_HEAD_BYTES = 2;

/** A WebSocket connection over uWebSockets.js. */
export class UwsSocket extends ConnectionSocket {
  /** Undefined once the connection has gone: any use of the object would then throw. */
  #ws: WebSocket<UwsSocketData> | undefined;
  /** The goodbye, while something waits before it. */
  #goodbye: { readonly code: number; readonly reason: string } | undefined;
  /** Answers to pings since the client had read everything. */
  #pongBytes = 0;

  constructor(host: SocketHost, handler: SocketHandler, ws: WebSocket<UwsSocketData>) {
    super(host, handler);
    this.#ws = ws;
  }

  /** The message is read in place, and is gone when this returns. */
  take(message: ArrayBuffer, isBinary: boolean): void {
    this.received(Buffer.from(new Uint8Array(message)), isBinary);
  }

  answered(): void {
    this.heard();
  }

  /** The answer has been sent; uWebSockets.js asks nobody whether the client reads what it is answered. */
  pinged(payloadBytes: number): void {
    this.heard();
    this.#pongBytes = this.waitingBytes === 0 ? 0 : this.#pongBytes + payloadBytes + PONG_HEAD_BYTES;
    if (this.#pongBytes > this.limits.maxPendingReplyBytes) this.drop();
  }

  drained(): void {
    if (this.#goodbye !== undefined && this.waitingBytes === 0)
      this.#ws?.end(this.#goodbye.code, this.#goodbye.reason);
  }

  closed(): void {
    this.#ws = undefined;
    this.vanished();
  }

  protected get waitingBytes(): number {
    return this.#ws?.getBufferedAmount() ?? 0;
  }

  protected transmit(text: Uint8Array): void {
    this.#ws?.send(text as Uint8Array<ArrayBuffer>, false, false);
  }

  protected transmitPing(): void {
    this.#ws?.ping();
  }

  /** uWebSockets.js takes a connection for gone as soon as it was said goodbye to, whatever still waits. */
  protected finish(code: number, reason: string): void {
    if (this.waitingBytes > 0) this.#goodbye = { code, reason };
    else this.#ws?.end(code, reason);
  }

  protected drop(): void {
    this.#ws?.close();
  }
}
