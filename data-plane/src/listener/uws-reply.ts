import type { HttpResponse } from 'uWebSockets.js';
import { addressText } from './address.js';
import {
  type Answer,
  ConnectionReply,
  type Field,
  fieldBytes,
  type ReplyHost,
  reasonPhrase,
} from './connection-reply.js';
import { PieceQueue } from './piece-queue.js';
import type { UwsTurn } from './uws-turn.js';

/**
 * Most that is written in one cork, head included. A cork that overflows its 16 KiB drops what does not fit
 * when the socket is full, and the client gets a stream with a hole in it.
 */
const PIECE_BYTES = 12 * 1024;

/** What a head costs beside its headers: status, date, framing. */
const HEAD_OVERHEAD_BYTES = 160;

/** An empty comment of an event stream: something to send a head with that no reader sees. */
const EMPTY_COMMENT = Buffer.from(':\n\n');

const statusLines: string[] = [];

/** An answer over uWebSockets.js. */
export class UwsReply extends ConnectionReply {
  /** Undefined once the answer has left or the client has gone: any use of the object would then throw. */
  #res: HttpResponse | undefined;
  #remoteAddress: string | undefined;
  /** A whole answer that waits for its turn. */
  #answer: Answer | undefined;
  /** What the socket did not take of a whole answer. */
  #rest: Uint8Array | undefined;
  /** Head of a streamed answer, until its first bytes take it along. */
  #head: { readonly status: number; readonly headers: readonly Field[] } | undefined;
  #queue: PieceQueue | undefined;
  /** Size of what was queued last. */
  #newestBytes = 0;
  #writable = true;
  #ending = false;
  #dropping = false;
  #deferred = false;

  /** @param endsByItself uWebSockets.js has seen the client's wish to close and ends the connection. */
  constructor(
    host: ReplyHost,
    method: string,
    res: HttpResponse,
    private readonly turn: UwsTurn,
    private readonly endsByItself: boolean,
  ) {
    super(host, method);
    this.#res = res;
    res.onAborted(() => {
      this.#res = undefined;
      this.#queue?.clear();
      this.vanished();
    });
  }

  /** Empty once the answer has left: the socket cannot be asked any more. */
  get remoteAddress(): string {
    if (this.#remoteAddress === undefined) {
      if (this.#res === undefined) return '';
      this.#remoteAddress = addressText(new Uint8Array(this.#res.getRemoteAddress()));
    }
    return this.#remoteAddress;
  }

  /** Has the body read, unless the answer has left: uWebSockets.js throws the rest of the body away by itself. */
  read(receive: (piece: ArrayBuffer, last: boolean) => void): void {
    this.#res?.onData(receive);
  }

  /** The connection is about to become a WebSocket connection: hands it out, and forgets it. */
  handOver(): HttpResponse | undefined {
    const res = this.#res;
    this.#res = undefined;
    this.vanished();
    return res;
  }

  /** Goes on with what was put off. */
  flush(): void {
    this.#deferred = false;
    if (this.#dropping) this.#res?.close();
    else if (this.#answer !== undefined) this.#sendWhole(this.#answer);
    else this.#pump();
  }

  protected drop(): void {
    if (this.#res === undefined) return;
    this.#dropping = true;
    // In the middle of a chunked body uWebSockets.js would go on with a connection that it has freed.
    if (this.turn.open) this.#defer();
    else this.#res.close();
  }

  protected transmit(answer: Answer): void {
    if (this.#res === undefined) return;
    // After an answer that ends the connection the parser would go on with what the client sent behind it.
    const inPlace = !this.closing && this.turn.current === this;
    const now = this.turn.open
      ? inPlace && this.turn.takeInPlace(headBytes(answer.headers) + byteLength(answer.body))
      : !this.closing;
    if (now) this.#sendWhole(answer);
    else {
      this.#answer = answer;
      this.#defer();
    }
  }

  protected start(status: number, headers: readonly Field[]): void {
    this.#head = { status, headers };
    this.#queue = new PieceQueue();
    this.#res?.onWritable(() => this.#onWritable());
    // The first write usually follows at once, and head and bytes then leave together.
    this.#defer();
  }

  protected queue(chunk: Uint8Array | string): number {
    const queue = this.#queue as PieceQueue;
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    queue.push(bytes);
    this.#newestBytes = bytes.length;
    if (this.turn.open) this.#defer();
    else this.#pump();
    return queue.bytes;
  }

  protected finish(): void {
    this.#ending = true;
    if (this.turn.open) this.#defer();
    else this.#pump();
  }

  #defer(): void {
    if (this.#deferred) return;
    this.#deferred = true;
    this.turn.defer(this);
  }

  #settle(): void {
    this.#res = undefined;
    this.host.settled(this.bodyBytes);
  }

  #sendWhole(answer: Answer): void {
    const res = this.#res;
    this.#answer = undefined;
    res?.cork(() => this.#writeWhole(res, answer));
  }

  #writeWhole(res: HttpResponse, { status, headers, body }: Answer): void {
    this.#writeHead(res, status, headers);
    if (this.hasNoBody(status)) return this.#endWithoutBody(res, status, body);
    if (this.closing && !this.endsByItself) {
      this.#settle();
      res.end(body, true);
    } else if (body.length === 0) {
      this.#settle();
      res.end();
    } else {
      this.#tryEnd(res, body);
    }
  }

  /**
   * Writes what the socket takes and the rest when it takes more. `end` would keep the rest in memory and go on
   * with the client's next request, so that a client which never reads would fill the memory with answers.
   */
  #tryEnd(res: HttpResponse, body: Uint8Array | string): void {
    const size = byteLength(body);
    if (res.tryEnd(body, size)[1]) return this.#settle();
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    this.#rest = bytes;
    res.onWritable((offset) => {
      if (this.#rest !== undefined && res.tryEnd(bytes.subarray(offset), size)[1]) {
        this.#rest = undefined;
        this.#settle();
      }
      return true;
    });
  }

  #endWithoutBody(res: HttpResponse, status: number, body: Uint8Array | string): void {
    const closes = this.closing && !this.endsByItself;
    this.#settle();
    if (!this.isHead) {
      // Only with a length can uWebSockets.js be told to end the connection.
      if (closes) res.endWithoutBody(0, true);
      else res.endWithoutBody();
      return;
    }
    // It would wait for ever for a body of the length that it was told, so the length is a header of ours.
    if (closes) res.writeHeader('Connection', 'close');
    const size = byteLength(body);
    if (size > 0 && status !== 204 && status !== 304) res.writeHeader('Content-Length', String(size));
    res.endWithoutBody();
  }

  #writeHead(res: HttpResponse, status: number, headers: readonly Field[]): void {
    statusLines[status] ??= `${status} ${reasonPhrase(status)}`;
    res.writeStatus(statusLines[status]);
    for (const [name, value] of headers) res.writeHeader(name, fieldValue(value));
    // It ends a connection that the client wants closed, and says nothing.
    if (this.closing && this.endsByItself) res.writeHeader('Connection', 'close');
  }

  #onWritable(): boolean {
    this.#writable = true;
    // uWebSockets.js leaves what it holds itself to us from here on; a cork around nothing makes it send that.
    if (this.#queue === undefined || this.#queue.bytes === 0) this.#res?.cork(() => undefined);
    else this.#pump();
    return true;
  }

  #pump(): void {
    const queue = this.#queue;
    if (queue === undefined || this.#res === undefined) return;
    const headIsAlone = this.#head !== undefined && queue.bytes === 0 && !this.#ending;
    if (headIsAlone && isEventStream(this.#head?.headers)) queue.push(EMPTY_COMMENT);
    while (this.#writable && queue.bytes > 0) this.#writePiece(queue);
    if (queue.bytes === 0 && this.#ending) this.#sendEnd();
    else if (queue.bytes - this.#newestBytes > this.host.limits.maxPendingReplyBytes) this.destroy();
  }

  /** Exactly one write in its own cork: a second one could overflow it. */
  #writePiece(queue: PieceQueue): void {
    const res = this.#res as HttpResponse;
    const head = this.#head;
    this.#head = undefined;
    const piece = queue.take(PIECE_BYTES - (head === undefined ? 0 : headBytes(head.headers)));
    res.cork(() => {
      if (head !== undefined) this.#writeStreamHead(res, head.status, head.headers);
      this.#writable = res.write(piece);
    });
  }

  #sendEnd(): void {
    const res = this.#res as HttpResponse;
    const head = this.#head;
    this.#settle();
    res.cork(() => {
      if (head !== undefined) this.#writeStreamHead(res, head.status, head.headers);
      res.end();
    });
  }

  #writeStreamHead(res: HttpResponse, status: number, headers: readonly Field[]): void {
    this.#writeHead(res, status, headers);
    if (this.closing && !this.endsByItself) res.writeHeader('Connection', 'close');
  }
}

/** Fields are latin-1 on the wire; a string would leave as UTF-8. */
function fieldValue(value: string): string | Uint8Array {
  for (let at = 0; at < value.length; at++) {
    if (value.charCodeAt(at) > 0x7e) return Buffer.from(value, 'latin1');
  }
  return value;
}

function byteLength(body: Uint8Array | string): number {
  return typeof body === 'string' ? Buffer.byteLength(body) : body.length;
}

/** An upper bound of what a head takes in the cork buffer. */
function headBytes(headers: readonly Field[]): number {
  return HEAD_OVERHEAD_BYTES + fieldBytes(headers);
}

function isEventStream(headers: readonly Field[] | undefined): boolean {
  const type = headers?.find(([name]) => name.toLowerCase() === 'content-type')?.[1];
  return type?.toLowerCase().startsWith('text/event-stream') ?? false;
}
