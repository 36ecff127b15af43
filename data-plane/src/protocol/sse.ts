/**
 * Server-sent events (WHATWG HTML section 9.2) as bytes: a decoder for what upstreams stream and an encoder for
 * what clients read. Framing only; what an event's data means is the era's business.
 */

export interface SseEvents {
  /** One event of MCP's with data. `data` belongs to the callee; `id` is the last event id, where the event set one. */
  event(data: Buffer, id: string | undefined): void;
  /** An event of another type than `message`, where somebody wants it: 2024-11-05 begins a stream with one. */
  other?(type: string, data: Buffer): void;
  /** A `retry` field, in milliseconds. */
  retry(ms: number): void;
  /** An event that has an id and no data for MCP: 2025-11-25 primes streams with it. */
  primed(id: string): void;
}

const LF = 0x0a;
const CR = 0x0d;
const LINE_FEED = Buffer.from('\n');
const EMPTY = Buffer.alloc(0);
/** Room in a line beside its data: `data: `, and a byte order mark. */
const FIELD_NAME_BYTES = 9;

/**
 * Bytes that come in pieces, in one buffer that doubles: a list of them would cost a hundred times their size when
 * each piece is a byte.
 */
class Gathered {
  private bytes: Buffer = EMPTY;
  length = 0;

  add(piece: Uint8Array): void {
    const length = this.length + piece.length;
    if (this.length === 0) this.bytes = Buffer.from(piece);
    else {
      if (length > this.bytes.length) {
        const grown = Buffer.allocUnsafe(length * 2);
        grown.set(this.bytes.subarray(0, this.length));
        this.bytes = grown;
      }
      this.bytes.set(piece, this.length);
    }
    this.length = length;
  }

  /** All of it, which is then the caller's. */
  take(): Buffer {
    const { bytes, length } = this;
    this.bytes = EMPTY;
    this.length = 0;
    return bytes.subarray(0, length);
  }
}

/**
 * Decodes a stream that comes in chunks. Lines may end in LF, CR or CRLF. Events of another type than `message` are
 * left out as clients leave them out, unless they are asked for.
 */
export class SseDecoder {
  /** The beginning of a line whose end has not come. */
  private readonly pending = new Gathered();
  private readonly data = new Gathered();
  private hasData = false;
  /** The type of the event, where it is not `message`. */
  private otherType: string | undefined;
  private id: string | undefined;
  private skipLf = false;
  private first = true;
  private lost = false;

  constructor(
    private readonly events: SseEvents,
    /** Largest data of one event, and largest line beside the name of its field. */
    private readonly maxEventBytes: number,
  ) {}

  /** Takes bytes that are valid only during the call. False when an event passes the limit: the stream is then lost. */
  push(chunk: Uint8Array): boolean {
    let from = 0;
    for (let at = 0; at < chunk.length && !this.lost; at++) {
      const c = chunk[at];
      if (c !== LF && c !== CR) {
        this.skipLf = false;
        continue;
      }
      if (c === LF && this.skipLf) {
        this.skipLf = false;
        from = at + 1;
        continue;
      }
      this.skipLf = c === CR;
      this.line(chunk, from, at);
      from = at + 1;
    }
    if (from < chunk.length && !this.lost) this.keep(chunk.subarray(from));
    return !this.lost;
  }

  private keep(piece: Uint8Array): void {
    if (this.pending.length + piece.length > this.maxEventBytes + FIELD_NAME_BYTES) this.lost = true;
    else this.pending.add(piece);
  }

  private addData(piece: Uint8Array): void {
    if (this.data.length + piece.length > this.maxEventBytes) this.lost = true;
    else this.data.add(piece);
  }

  private line(chunk: Uint8Array, from: number, to: number): void {
    let line: Buffer;
    if (this.pending.length > 0) {
      this.keep(chunk.subarray(from, to));
      line = this.pending.take();
    } else line = Buffer.from(chunk.buffer, chunk.byteOffset + from, to - from);
    if (this.first) {
      this.first = false;
      // A byte order mark may stand before the first field.
      if (line.length >= 3 && line[0] === 0xef && line[1] === 0xbb && line[2] === 0xbf)
        line = line.subarray(3);
    }
    if (this.lost) return;
    if (line.length === 0) this.dispatch();
    else this.field(line);
  }

  private field(line: Buffer): void {
    const colon = line.indexOf(0x3a);
    if (colon === 0) return;
    const name = line.latin1Slice(0, colon === -1 ? line.length : colon);
    let value = colon === -1 ? line.length : colon + 1;
    if (line[value] === 0x20) value++;
    if (name === 'data') {
      if (this.hasData) this.addData(LINE_FEED);
      this.addData(line.subarray(value));
      this.hasData = true;
    } else if (name === 'event') {
      const type = line.latin1Slice(value, line.length);
      this.otherType = type === 'message' || type === '' ? undefined : type;
    } else if (name === 'id') {
      const id = line.utf8Slice(value, line.length);
      if (!id.includes('\0')) this.id = id;
    } else if (name === 'retry') {
      const text = line.latin1Slice(value, line.length);
      if (/^\d{1,9}$/.test(text)) this.events.retry(Number(text));
    }
  }

  private dispatch(): void {
    const { id, otherType } = this;
    const data = this.data.take();
    this.id = undefined;
    this.hasData = false;
    this.otherType = undefined;
    if (otherType !== undefined && data.length > 0) this.events.other?.(otherType, data);
    if (otherType === undefined && data.length > 0) this.events.event(data, id);
    else if (id !== undefined) this.events.primed(id);
  }
}

const MESSAGE_FIELD = Buffer.from('event: message\n');
const DATA_FIELD = Buffer.from('data: ');
const EVENT_END = Buffer.from('\n\n');
const ID_FIELD = 'id: ';

/**
 * One message as an event. A JSON text holds line breaks only as white space between tokens, so each of them can
 * be a blank without changing the value.
 */
export function sseEvent(message: Buffer, id?: string): Buffer {
  let body = message;
  if (body.includes(LF) || body.includes(CR)) {
    body = Buffer.from(body);
    for (let i = 0; i < body.length; i++) if (body[i] === LF || body[i] === CR) body[i] = 0x20;
  }
  return id === undefined
    ? Buffer.concat([MESSAGE_FIELD, DATA_FIELD, body, EVENT_END])
    : Buffer.concat([MESSAGE_FIELD, Buffer.from(`${ID_FIELD}${id}\n`), DATA_FIELD, body, EVENT_END]);
}

/** An event with an id and empty data: tells a client of 2025-11-25 from where it may resume. */
export function ssePriming(id: string, retryMs: number): string {
  return `id: ${id}\nretry: ${retryMs}\ndata: \n\n`;
}

/** A comment, which keeps an idle stream open and means nothing. */
export const SSE_COMMENT = ': keep-alive\n\n';
