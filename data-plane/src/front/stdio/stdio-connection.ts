/**
 * Newline-delimited JSON-RPC over two byte streams (2026-07-28, basic/transports/stdio; framed alike in every
 * revision). Framing only: what a line means is the business of who opens it.
 */
import { writeSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { ErrorCode, errorMessage, RpcError } from '../../protocol/errors.js';
import { LineSplitter } from '../../protocol/line-splitter.js';
import { binaryToBytes } from '../../protocol/text.js';
import type { DuplexConnection } from '../duplex/connection.js';

export interface StdioLimits {
  /** Longest line from the client. */
  readonly maxLineBytes: number;
  /** Bytes that may wait for a client that does not read. */
  readonly maxWaitingBytes: number;
}

export interface StdioEvents {
  /** One line without its newline. The buffer belongs to the callee. */
  message(bytes: Buffer): void;
  /** The client sends nothing any more; it may still read. */
  inputEnded(): void;
  /** The connection is of no use any more. Called once: the client reads nothing (`gone`), or has to be left (`failed`). */
  ended(reason: string, kind: 'gone' | 'failed'): void;
}

const LF = 0x0a;
const CR = 0x0d;
const BLANK = 0x20;
const NEWLINE = Buffer.from('\n');
const NOTHING = Buffer.alloc(0);
/** How often a client that sends nothing any more is looked for. */
const READER_CHECK_MS = 250;

export class StdioConnection implements DuplexConnection {
  readonly transport = 'stdio';
  private readonly lines: LineSplitter;
  private isEnded = false;
  private inputEnded = false;
  private readerCheck: NodeJS.Timeout | undefined;

  constructor(
    private readonly input: Readable,
    private readonly output: Writable,
    private readonly limits: StdioLimits,
    private readonly events: StdioEvents,
  ) {
    // One byte more than a line may have tells a line that was cut from one that just fits.
    this.lines = new LineSplitter(limits.maxLineBytes + 1, 'cut', (line) => this.line(line));
    output.on('error', (error) => this.end(`the client does not read any more: ${error.message}`, 'gone'));
    output.on('drain', () => this.readOn());
    input.on('error', () => this.endInput());
    input.on('end', () => this.endInput());
  }

  /** Begins to read. */
  start(): void {
    this.input.on('data', (chunk: Buffer) => {
      this.lines.push(chunk);
      // Whoever asks without reading the answers is not read from either.
      if (this.output.writableNeedDrain) this.input.pause();
    });
  }

  send(message: Buffer): boolean {
    if (this.isEnded) return false;
    if (this.output.writableLength > this.limits.maxWaitingBytes) {
      this.end(`${this.output.writableLength} bytes wait for a client that does not read`, 'failed');
      return false;
    }
    this.output.cork();
    this.output.write(onOneLine(message));
    this.output.write(NEWLINE);
    this.output.uncork();
    return true;
  }

  close(reason: string): void {
    this.end(reason, 'failed');
  }

  private line(line: Buffer): void {
    if (this.isEnded) return;
    if (line.length <= this.limits.maxLineBytes) {
      this.events.message(line);
      return;
    }
    const what = `a message has more than ${this.limits.maxLineBytes} bytes (limits.max_body_bytes)`;
    // Its id may stand anywhere in what was not kept.
    this.send(binaryToBytes(errorMessage(undefined, new RpcError(ErrorCode.InvalidRequest, what))));
  }

  private endInput(): void {
    if (this.inputEnded || this.isEnded) return;
    this.inputEnded = true;
    this.lines.flush();
    this.readerCheck = setInterval(() => {
      if (!mayBeRead(this.output)) this.end('the client is gone', 'gone');
    }, READER_CHECK_MS).unref();
    this.events.inputEnded();
  }

  private readOn(): void {
    if (!this.isEnded) this.input.resume();
  }

  private end(reason: string, kind: 'gone' | 'failed'): void {
    if (this.isEnded) return;
    this.isEnded = true;
    clearInterval(this.readerCheck);
    this.events.ended(reason, kind);
  }
}

/**
 * False when it is known that nobody reads. A socket tells, also when nothing is written to it, and sockets are what
 * clients made with Node.js give the servers that they start; a pipe tells only when there is something to write.
 */
function mayBeRead(output: Writable & { readonly fd?: number }): boolean {
  if (output.fd === undefined) return true;
  try {
    writeSync(output.fd, NOTHING);
    return true;
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code !== 'EPIPE';
  }
}

/** A raw line end within a JSON text stands between its tokens; here it would end the message. */
function onOneLine(message: Buffer): Buffer {
  if (!message.includes(LF) && !message.includes(CR)) return message;
  const line = Buffer.from(message);
  for (let i = 0; i < line.length; i++) if (line[i] === LF || line[i] === CR) line[i] = BLANK;
  return line;
}
