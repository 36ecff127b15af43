import { bodyTooLong } from './admission.js';
import type { ConnectionReply, ReplyHost, UnreadBody } from './connection-reply.js';
import type { RequestHead } from './listener.js';

/** The body of a request that has none. */
const EMPTY = Buffer.alloc(0);

/** After a refusal, a client that says nothing for this long waits for the answer. */
const DISCARD_QUIET_MS = 250;

/** After a refusal, a client may go on sending for this long, and this much, before it is cut off. */
const DISCARD_MS = 3_000;
const DISCARD_BYTES = 64 * 1024 * 1024;

/** In seconds: bodies come and go faster than anything else. */
const RETRY_SOON = [['retry-after', '1']] as const;

/** Least capacity of a body that comes in pieces, so that one-byte pieces cost few copies. */
const LEAST_CAPACITY_BYTES = 4 * 1024;

/** A library's own demand on how fast a body comes: so many bytes in each stretch of time. */
export interface Pace {
  readonly bytes: number;
  readonly ms: number;
}

/** Collects the body of one request within its limits and hands it to the door. */
export class BodyIntake implements UnreadBody {
  #bytes: Buffer = EMPTY;
  #length = 0;
  #limit = 0;
  /** Set while what comes is thrown away; called when that has gone on for long enough. */
  #discarded: (() => void) | undefined;
  #discardedBytes = 0;
  #discardUntil = 0;
  #complete = false;
  #timer: NodeJS.Timeout | undefined;
  #deadline = 0;
  #paceBytes = 0;

  /** @param declared Content-Length, or a negative number when the client did not say. */
  constructor(
    private readonly host: ReplyHost,
    private readonly head: RequestHead,
    private readonly reply: ConnectionReply,
    private readonly declared: number,
    private readonly pace?: Pace | undefined,
  ) {
    reply.unread = this;
  }

  /** Sets the largest body that is taken, before the first byte is. */
  allow(limitBytes: number): void {
    this.#limit = limitBytes;
  }

  /** True when the last byte has come. */
  get complete(): boolean {
    return this.#complete;
  }

  /** Starts the clock. To be called when it is clear that the body did not come together with the head. */
  watch(): void {
    if (this.#complete || this.#discarded !== undefined || this.#deadline > 0) return;
    this.#deadline = performance.now() + this.host.limits.bodyTimeoutMs;
    this.#arm();
  }

  /** Takes a piece. It is copied unless it is `owned`. */
  take(piece: Uint8Array, owned: boolean): void {
    if (this.#discarded !== undefined) return this.#takeDiscarded(piece.length);
    if (!this.reply.open) return;
    if (this.#length + piece.length > this.#limit) return this.reply.refuse(413, bodyTooLong(this.#limit));
    this.#append(piece, owned);
    if (this.pace === undefined || this.#deadline === 0) return;
    this.#paceBytes += piece.length;
    if (this.#paceBytes >= this.pace.bytes) this.#arm();
  }

  /** The last byte has come. */
  finish(): void {
    if (this.#complete) return;
    this.#complete = true;
    const discarded = this.#discarded;
    this.stop();
    this.reply.unread = undefined;
    if (discarded !== undefined) discarded();
    else if (this.reply.open) askForAnswer(this.host, this.head, this.#whole(), this.reply);
  }

  discard(done: () => void): void {
    this.stop();
    this.#bytes = EMPTY;
    this.#discarded = done;
    this.#discardUntil = performance.now() + DISCARD_MS;
    this.#timer = setTimeout(() => this.#endDiscard(), DISCARD_QUIET_MS);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#discarded = undefined;
  }

  #takeDiscarded(length: number): void {
    this.#discardedBytes += length;
    const enough = this.#discardedBytes > DISCARD_BYTES || performance.now() > this.#discardUntil;
    if (enough) this.#endDiscard();
    else this.#timer?.refresh();
  }

  #endDiscard(): void {
    const done = this.#discarded;
    this.stop();
    this.reply.unread = undefined;
    done?.();
  }

  #append(piece: Uint8Array, owned: boolean): void {
    const length = this.#length + piece.length;
    if (length > this.reply.bodyBytes && !this.#hold(length)) return;
    if (this.#length === 0) {
      this.#bytes = owned ? Buffer.from(piece.buffer, piece.byteOffset, piece.length) : Buffer.from(piece);
    } else {
      // A list of pieces would cost a hundred times the body when each piece is one byte.
      if (length > this.#bytes.length) this.#grow(length);
      this.#bytes.set(piece, this.#length);
    }
    this.#length = length;
  }

  /** Makes room in what all bodies may take together. False after refusing the request. */
  #hold(length: number): boolean {
    const { host, reply } = this;
    const capacity = this.#length === 0 ? length : this.#capacity(length);
    const sum = host.bodyBytes - reply.bodyBytes + capacity;
    if (sum > host.limits.maxBufferedBytes) {
      reply.refuse(503, 'requests that are not answered yet take all the memory that they may', RETRY_SOON);
      return false;
    }
    host.bodyBytes = sum;
    reply.bodyBytes = capacity;
    return true;
  }

  #capacity(length: number): number {
    const most = this.declared > 0 ? this.declared : this.#limit;
    return Math.min(Math.max(length * 2, LEAST_CAPACITY_BYTES), most);
  }

  #grow(length: number): void {
    const grown = Buffer.allocUnsafe(this.#capacity(length));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }

  #whole(): Buffer {
    return this.#bytes.length === this.#length ? this.#bytes : this.#bytes.subarray(0, this.#length);
  }

  #arm(): void {
    clearTimeout(this.#timer);
    this.#paceBytes = 0;
    const left = Math.max(0, this.#deadline - performance.now());
    this.#timer = setTimeout(() => this.#late(), Math.min(left, this.pace?.ms ?? left));
  }

  #late(): void {
    // Nobody reads a second answer, so a body that outlives its answer just loses the connection.
    if (!this.reply.open) return this.reply.destroy();
    // A client this slow has sent nothing that is unread, so nothing needs to be thrown away first.
    this.reply.unread = undefined;
    this.reply.refuse(408, `the body did not come within ${this.host.limits.bodyTimeoutMs} ms`);
  }
}

/** Hands a request without a body to the door. */
export function askWithoutBody(host: ReplyHost, head: RequestHead, reply: ConnectionReply): void {
  if (reply.open) askForAnswer(host, head, EMPTY, reply);
}

function askForAnswer(host: ReplyHost, head: RequestHead, body: Buffer, reply: ConnectionReply): void {
  try {
    host.door.request(head, body, reply);
  } catch (error) {
    reply.fail(error);
  }
}
