/**
 * Server-sent events (WHATWG HTML section 9.2) as bytes: a decoder for what upstreams stream and an encoder for
 * what clients read. Framing only; what an event's data means is the era's business.
 */

/** Largest field line and largest event data are bound by one limit, given by the caller. */
export interface SseEvents {
  /** One event with data. `data` belongs to the callee; `id` is the last event id, where the event set one. */
  event(data: Buffer, id: string | undefined): void;
  /** A `retry` field, in milliseconds. */
  retry(ms: number): void;
  /** An event that has an id and no data: 2025-11-25 primes streams with it. */
  primed(id: string): void;
}

const LF = 0x0a;
const CR = 0x0d;

/** Decodes a stream that comes in chunks. Lines may end in LF, CR or CRLF. */
export class SseDecoder {
  private pending: Buffer[] = [];
  private pendingBytes = 0;
  private data: Buffer[] = [];
  private dataBytes = 0;
  private id: string | undefined;
  private skipLf = false;
  private first = true;

  constructor(
    private readonly events: SseEvents,
    private readonly maxEventBytes: number,
  ) {}

  /** Takes bytes that are valid only during the call. False when an event passes the limit: the stream is then lost. */
  push(chunk: Uint8Array): boolean {
    let from = 0;
    for (let at = 0; at < chunk.length; at++) {
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
    if (from < chunk.length) {
      this.pending.push(Buffer.from(chunk.subarray(from)));
      this.pendingBytes += chunk.length - from;
    }
    return this.pendingBytes + this.dataBytes <= this.maxEventBytes;
  }

  private line(chunk: Uint8Array, from: number, to: number): void {
    let line: Buffer;
    if (this.pendingBytes > 0) {
      this.pending.push(Buffer.from(chunk.subarray(from, to)));
      line = Buffer.concat(this.pending);
      this.pending = [];
      this.pendingBytes = 0;
    } else line = Buffer.from(chunk.buffer, chunk.byteOffset + from, to - from);
    if (this.first) {
      this.first = false;
      // A byte order mark may stand before the first field.
      if (line.length >= 3 && line[0] === 0xef && line[1] === 0xbb && line[2] === 0xbf)
        line = line.subarray(3);
    }
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
      this.data.push(Buffer.from(line.subarray(value)));
      this.dataBytes += line.length - value + 1;
    } else if (name === 'id') {
      const id = line.utf8Slice(value, line.length);
      if (!id.includes('\0')) this.id = id;
    } else if (name === 'retry') {
      const text = line.latin1Slice(value, line.length);
      if (/^\d{1,9}$/.test(text)) this.events.retry(Number(text));
    }
  }

  private dispatch(): void {
    const id = this.id;
    this.id = undefined;
    if (this.data.length === 0) {
      if (id !== undefined) this.events.primed(id);
      return;
    }
    let data: Buffer;
    if (this.data.length === 1) data = this.data[0] as Buffer;
    else {
      const parts: Buffer[] = [];
      for (const [i, part] of this.data.entries()) {
        if (i > 0) parts.push(Buffer.from('\n'));
        parts.push(part);
      }
      data = Buffer.concat(parts);
    }
    this.data = [];
    this.dataBytes = 0;
    if (data.length === 0) {
      if (id !== undefined) this.events.primed(id);
      return;
    }
    this.events.event(data, id);
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
