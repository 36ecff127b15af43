import { MalformedResponse, parseResponseHead, type ResponseHead } from './response-head.js';

/** Longest line in front of a chunk: its size and whatever extensions a server adds. */
const MAX_CHUNK_LINE_BYTES = 1024;
/** 2^52 - 1 bytes: what a number holds exactly. */
const MAX_CHUNK_SIZE_DIGITS = 13;
/** What is searched first for the end of a head; nearly every head is shorter. */
const FIRST_LOOK_BYTES = 2048;
const END_OF_HEAD = '\r\n\r\n';
const PROTOCOL_PREFIX = 'HTTP/1.';
const SWITCHING_PROTOCOLS = 101;

const CR = 0x0d;
const LF = 0x0a;
const TAB = 0x09;
const SPACE = 0x20;
const DELETE = 0x7f;
const SEMICOLON = 0x3b;

/** Called in this order for each response: head, body*, complete. */
export interface ResponseSink {
  head(head: ResponseHead): void;
  /** A view of what was fed, valid during the call. */
  body(bytes: Buffer): void;
  /** The parser is ready for the next response; `excessByteCount` bytes came that belong to none. */
  complete(excessByteCount: number): void;
}

/** What the next byte belongs to. */
const HEAD = 0;
const BODY_BY_LENGTH = 1;
const BODY_UNTIL_CLOSE = 2;
const CHUNK_SIZE = 3;
const CHUNK_EXTENSION = 4;
const CHUNK_LINE_LF = 5;
const CHUNK_DATA = 6;
const CHUNK_DATA_CR = 7;
const CHUNK_DATA_LF = 8;
const TRAILER_START = 9;
const TRAILER_LINE = 10;
const TRAILER_LINE_LF = 11;
const LAST_LF = 12;
const COMPLETE = 13;
const STOPPED = 14;

/**
 * Reads HTTP/1.1 responses from the bytes of one connection, however they are cut. Strict where leniency would
 * let two readers see two different messages (RFC 9112, 11.1): line ends are CRLF, framing is unambiguous.
 */
export class ResponseParser {
  private state = HEAD;
  /** Bytes still to come of the body or the chunk. */
  private remainingBytes = 0;
  private chunkSizeDigits = 0;
  /** Bytes of this chunk's line, or of all trailers. */
  private lineBytes = 0;
  /** Bytes of interim (1xx) heads in front of this one. */
  private interimBytes = 0;
  /** The beginning of a head that came in pieces. */
  private partial: Buffer | undefined;
  private partialBytes = 0;
  private lastText = '';
  private lastHead: ResponseHead | undefined;

  constructor(
    private readonly sink: ResponseSink,
    private readonly maxHeadBytes: number,
  ) {}

  /** Lets go of the head that it remembers: the answer that it began may go on for days. */
  forgetHead(): void {
    this.lastText = '';
    this.lastHead = undefined;
  }

  /** Ignores all that follows. May be called from within the sink. */
  stop(): void {
    this.state = STOPPED;
    this.partial = undefined;
  }

  /**
   * Takes the first `length` bytes of `buffer`, up to the end of a response.
   *
   * @throws MalformedResponse; nothing may be fed after it.
   */
  feed(buffer: Buffer, length: number): void {
    let offset = 0;
    while (offset < length) {
      switch (this.state) {
        case HEAD:
          offset = this.readHead(buffer, offset, length);
          break;
        case BODY_BY_LENGTH:
          offset = this.readBody(buffer, offset, length, COMPLETE);
          break;
        case CHUNK_DATA:
          offset = this.readBody(buffer, offset, length, CHUNK_DATA_CR);
          break;
        case BODY_UNTIL_CLOSE:
          this.sink.body(buffer.subarray(offset, length));
          return;
        case STOPPED:
          return;
        default:
          this.readFramingByte(buffer[offset] as number);
          offset += 1;
      }
      if (this.state === COMPLETE) {
        this.finish(length - offset);
        return;
      }
    }
  }

  /** The server will send no more. Returns whether that ends a response rather than cutting it off. */
  end(): boolean {
    if (this.state !== BODY_UNTIL_CLOSE) return false;
    this.finish(0);
    return true;
  }

  /** The state is set first, because the sink may begin the next request at once. */
  private finish(excessByteCount: number): void {
    this.state = HEAD;
    this.interimBytes = 0;
    this.sink.complete(excessByteCount);
  }

  private readHead(buffer: Buffer, offset: number, length: number): number {
    if (this.partialBytes > 0) return this.readPartialHead(buffer, offset, length);
    const look = buffer.toString('latin1', offset, Math.min(length, offset + FIRST_LOOK_BYTES));
    const end = look.indexOf(END_OF_HEAD);
    if (end < 0) return this.readPartialHead(buffer, offset, length);
    this.takeHead(look.slice(0, end + 2));
    return offset + end + END_OF_HEAD.length;
  }

  /** Collects a head that is cut, or longer than the first look. */
  private readPartialHead(buffer: Buffer, offset: number, length: number): number {
    const before = this.partialBytes;
    const limit = this.maxHeadBytes - this.interimBytes;
    const total = Math.min(before + length - offset, limit);
    const collected = withRoom(this.partial, before, total, limit);
    buffer.copy(collected, before, offset, offset + total - before);
    this.partial = collected;
    this.partialBytes = total;

    const filled = collected.subarray(0, total);
    const end = filled.indexOf(END_OF_HEAD, Math.max(0, before - (END_OF_HEAD.length - 1)), 'latin1');
    if (end < 0) {
      if (total === limit) throw this.headTooLong();
      rejectEarly(filled, before);
      return length;
    }
    this.partial = undefined;
    this.partialBytes = 0;
    this.takeHead(filled.toString('latin1', 0, end + 2));
    return offset + end + END_OF_HEAD.length - before;
  }

  private takeHead(text: string): void {
    const headBytes = text.length + 2;
    if (this.interimBytes + headBytes > this.maxHeadBytes) throw this.headTooLong();
    const head = this.parseHead(text);
    if (head.status < 200) {
      if (head.status === SWITCHING_PROTOCOLS) {
        throw new MalformedResponse('switched protocols, which nobody asked for');
      }
      // An interim response (RFC 9110, 15.2) says nothing that matters here; the head of the answer follows.
      this.interimBytes += headBytes;
      return;
    }
    this.beginChunk();
    this.remainingBytes = head.contentLength;
    this.state = stateAfter(head);
    this.sink.head(head);
  }

  /** A busy server sends the same head again and again, as long as its Date and the length stay the same. */
  private parseHead(text: string): ResponseHead {
    if (this.lastHead !== undefined && text === this.lastText) return this.lastHead;
    const head = parseResponseHead(text);
    this.lastText = text;
    this.lastHead = head;
    return head;
  }

  private readBody(buffer: Buffer, offset: number, length: number, next: number): number {
    const end = Math.min(length, offset + this.remainingBytes);
    this.remainingBytes -= end - offset;
    if (this.remainingBytes === 0) this.state = next;
    this.sink.body(buffer.subarray(offset, end));
    return end;
  }

  /** Chunk lines and trailers (RFC 9112, 7.1), one byte at a time: they are short. */
  private readFramingByte(byte: number): void {
    switch (this.state) {
      case CHUNK_SIZE:
        this.readChunkSize(byte);
        break;
      case CHUNK_EXTENSION:
        this.countLineByte(byte, MAX_CHUNK_LINE_BYTES, 'a chunk line');
        if (byte === CR) this.state = CHUNK_LINE_LF;
        break;
      case CHUNK_LINE_LF:
        expectByte(byte, LF);
        this.lineBytes = 0;
        this.state = this.remainingBytes === 0 ? TRAILER_START : CHUNK_DATA;
        break;
      case CHUNK_DATA_CR:
        expectByte(byte, CR);
        this.state = CHUNK_DATA_LF;
        break;
      case CHUNK_DATA_LF:
        expectByte(byte, LF);
        this.beginChunk();
        break;
      case TRAILER_START:
      case TRAILER_LINE:
        this.countLineByte(byte, this.maxHeadBytes, 'trailers');
        if (byte !== CR) this.state = TRAILER_LINE;
        else this.state = this.state === TRAILER_START ? LAST_LF : TRAILER_LINE_LF;
        break;
      case TRAILER_LINE_LF:
        expectByte(byte, LF);
        this.state = TRAILER_START;
        break;
      default:
        expectByte(byte, LF);
        this.state = COMPLETE;
    }
  }

  private readChunkSize(byte: number): void {
    const digit = hexDigit(byte);
    if (digit >= 0) {
      this.chunkSizeDigits += 1;
      if (this.chunkSizeDigits > MAX_CHUNK_SIZE_DIGITS)
        throw new MalformedResponse('sent a chunk size that is too large');
      this.remainingBytes = this.remainingBytes * 16 + digit;
    } else if (this.chunkSizeDigits === 0 || (byte !== CR && byte !== SEMICOLON)) {
      throw new MalformedResponse('sent an invalid chunk size');
    } else {
      this.state = byte === CR ? CHUNK_LINE_LF : CHUNK_EXTENSION;
    }
  }

  private beginChunk(): void {
    this.state = CHUNK_SIZE;
    this.remainingBytes = 0;
    this.chunkSizeDigits = 0;
    this.lineBytes = 0;
  }

  private countLineByte(byte: number, maxBytes: number, what: string): void {
    this.lineBytes += 1;
    if (this.lineBytes > maxBytes) throw new MalformedResponse(`sent more than ${maxBytes} bytes of ${what}`);
    if (byte === DELETE || (byte < SPACE && byte !== TAB && byte !== CR)) {
      throw new MalformedResponse(`sent a control character in ${what}`);
    }
  }

  private headTooLong(): MalformedResponse {
    return new MalformedResponse(`sent a header of more than ${this.maxHeadBytes} bytes`);
  }
}

function stateAfter(head: ResponseHead): number {
  if (head.framing === 'chunked') return CHUNK_SIZE;
  if (head.framing === 'until-close') return BODY_UNTIL_CLOSE;
  return head.contentLength === 0 ? COMPLETE : BODY_BY_LENGTH;
}

/** A buffer that begins with the bytes so far; it grows by doubling, so that collecting stays linear. */
function withRoom(
  buffer: Buffer | undefined,
  usedBytes: number,
  neededBytes: number,
  maxBytes: number,
): Buffer {
  if (buffer !== undefined && buffer.length >= neededBytes) return buffer;
  const grown = Buffer.allocUnsafe(Math.min(maxBytes, Math.max(FIRST_LOOK_BYTES, neededBytes * 2)));
  buffer?.copy(grown, 0, 0, usedBytes);
  return grown;
}

/** What can never become a head is refused now; its end might never come. */
function rejectEarly(bytes: Buffer, checkedBytes: number): void {
  const start = bytes.toString('latin1', 0, PROTOCOL_PREFIX.length);
  if (!PROTOCOL_PREFIX.startsWith(start)) {
    throw new MalformedResponse('sent something that is not an HTTP/1.1 status line');
  }
  for (let at = bytes.indexOf(LF, checkedBytes); at >= 0; at = bytes.indexOf(LF, at + 1)) {
    if (bytes[at - 1] !== CR) throw new MalformedResponse('ended a header line with a bare LF');
  }
}

function expectByte(byte: number, expected: number): void {
  if (byte === expected) return;
  throw new MalformedResponse(
    expected === LF ? 'sent a CR without its LF' : 'sent a chunk longer than its size',
  );
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
