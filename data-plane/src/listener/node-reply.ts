import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { type Answer, ConnectionReply, type Field, type ReplyHost } from './connection-reply.js';

/** A client that takes nothing of what waits for it for this long, twice in a row, is cut off. */
const STALLED_REPLY_MS = 5_000;

/** An answer over node:http. */
export class NodeReply extends ConnectionReply {
  /** @param left Called when the last byte has been handed to the system. */
  constructor(
    host: ReplyHost,
    method: string,
    private readonly socket: Socket,
    private readonly res: ServerResponse,
    left: (reply: NodeReply) => void,
  ) {
    super(host, method);
    res.once('finish', () => left(this));
    // A write that meets a closed socket; the socket's own `close` says all that matters.
    res.on('error', () => undefined);
  }

  /** Bytes that wait for the client. */
  get waitingBytes(): number {
    return this.res.writableLength;
  }

  /** The connection is about to become a WebSocket connection: this forgets it. */
  handOver(): void {
    this.vanished();
  }

  /** To be called when the connection has gone before the answer had left. */
  connectionClosed(): void {
    this.vanished();
  }

  protected drop(): void {
    this.socket.destroy();
  }

  protected transmit({ status, headers, body }: Answer): void {
    const { res } = this;
    if (this.socket.destroyed) return;
    this.#writeHead(status, headers, body);
    if (this.hasNoBody(status)) res.end();
    else res.end(isAscii(headers) ? body : Buffer.from(body as string));
    this.#watchStall();
  }

  protected start(status: number, headers: readonly Field[]): void {
    this.#writeHead(status, headers, undefined);
    this.res.flushHeaders();
  }

  protected queue(chunk: Uint8Array | string): number {
    this.res.write(chunk);
    const waiting = this.#watchStall();
    if (waiting - Buffer.byteLength(chunk) > this.host.limits.maxPendingReplyBytes) this.destroy();
    return waiting;
  }

  protected finish(): void {
    this.res.end();
    this.#watchStall();
  }

  #writeHead(status: number, headers: readonly Field[], body: Uint8Array | string | undefined): void {
    const { res } = this;
    if (this.closing) res.shouldKeepAlive = false;
    const flat: string[] = headers.flat();
    const isEmpty = status === 204 || status === 304 || (this.isHead && (body === undefined || body === ''));
    if (body !== undefined && !isEmpty) flat.push('Content-Length', String(Buffer.byteLength(body)));
    res.writeHead(status, flat);
  }

  /** A write may take for ever; the time-out of a socket runs while it makes no progress. */
  #watchStall(): number {
    const waiting = this.waitingBytes;
    if (waiting > 0) this.socket.setTimeout(STALLED_REPLY_MS);
    return waiting;
  }
}

/** node:http sends a head together with a body that is text, and then in the encoding of the body, UTF-8. */
function isAscii(headers: readonly Field[]): boolean {
  return headers.every(([, value]) => /^[\t\x20-\x7e]*$/.test(value));
}
