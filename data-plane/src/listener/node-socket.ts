import type { WebSocket } from 'ws';
import type { SocketHandler } from './listener.js';
import { ConnectionSocket, type SocketHost } from './message-socket.js';

/** A WebSocket connection over node:http and ws. */
export class NodeSocket extends ConnectionSocket {
  constructor(
    host: SocketHost,
    handler: SocketHandler,
    private readonly ws: WebSocket,
  ) {
    super(host, handler);
    ws.on('message', (message, isBinary) => this.received(message as Buffer, isBinary));
    ws.on('ping', () => this.heard());
    ws.on('pong', () => this.heard());
    // What breaks a rule of the protocol is closed with its code by the library; `close` follows.
    ws.on('error', () => undefined);
    ws.on('close', () => this.vanished());
  }

  protected get waitingBytes(): number {
    return this.ws.bufferedAmount;
  }

  protected transmit(text: Uint8Array): void {
    this.ws.send(text, { binary: false });
  }

  protected transmitPing(): void {
    this.ws.ping();
  }

  protected finish(code: number, reason: string): void {
    this.ws.close(code, reason);
  }

  protected drop(): void {
    this.ws.terminate();
  }
}
