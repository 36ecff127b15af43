import type { OnReadOpts, Socket } from 'node:net';
import { platform } from 'node:process';
import { deadlineClock } from './deadline-clock.js';
import { connectEgress, type EgressAttempt, type EgressListener, type EgressOptions } from './egress.js';
import { HttpFailure, type HttpOrigin } from './http.js';
import type { Http1Call } from './http1-call.js';
import type { ResponseHead } from './response-head.js';
import { ResponseParser, type ResponseSink } from './response-parser.js';

/** Taken from a socket in one read. */
const READ_BUFFER_BYTES = 64 * 1024;
/**
 * Idle time after which a connection is not used again when the server announces none. uvicorn, on which most
 * Python MCP servers run, closes after 5 s and does not say so; a request that meets the close is lost. One
 * second less leaves time for the way there.
 */
const UNANNOUNCED_IDLE_MS = 4_000;
/** Taken off an announced idle time, for the way there and for the server's clock. */
const ANNOUNCED_IDLE_MARGIN_MS = 1_000;
/** A connection that idles for longer saves next to no handshakes and costs the upstream a descriptor. */
const MAX_IDLE_MS = 60_000;

/**
 * On POSIX a read is one system call that fills the buffer and hands it over at once, so that one buffer serves
 * all sockets of the thread and stays in the processor's cache. On Windows a read is pending while others run.
 */
const sharedReadBuffer = platform === 'win32' ? undefined : Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);

/** The pool, as its connections see it. */
export interface ConnectionOwner {
  readonly label: string;
  readonly maxHeadBytes: number;
  /** Request line and Host: what stands in front of the caller's header lines. */
  requestPrefix(method: string, path: string): string;
  /** The connection can take its first request. */
  opened(connection: Http1Connection): void;
  /** The connection could not be opened, and is gone. */
  openFailed(connection: Http1Connection, failure: HttpFailure): void;
  /** The connection can take another request. */
  released(connection: Http1Connection): void;
  /** The connection is gone. */
  closed(connection: Http1Connection): void;
  /** The connection was dead before the request had an effect: it is to be sent on a new one. */
  repeat(call: Http1Call): void;
  handlerFailed(error: unknown): void;
}

/** One connection, which carries one request at a time. */
export class Http1Connection implements ResponseSink, EgressListener {
  /** Time on the `performance.now()` clock until which the server keeps an idle connection open. */
  reusableUntilMs = 0;
  private socket: Socket | undefined = undefined;
  private attempt: EgressAttempt | undefined = undefined;
  private call: Http1Call | undefined = undefined;
  private readonly parser: ResponseParser;
  private silentUntilTick = 0;
  /** What the current answer says about the connection. */
  private reusable = false;
  private keepAliveTimeoutMs: number | undefined = undefined;
  private answerBegun = false;
  /** The request did not get as far as the kernel. */
  private unsent = false;
  /** Has brought an answer, so that a server that goes away now may have done so before the request came. */
  private usedBefore = false;
  private gone = false;

  constructor(private readonly owner: ConnectionOwner) {
    this.parser = new ResponseParser(this, owner.maxHeadBytes);
  }

  open(origin: HttpOrigin, options: EgressOptions): void {
    this.attempt = connectEgress(origin, { ...options, onread: this.readOptions() }, this);
  }

  /** Sends a request; the connection must be idle. */
  run(call: Http1Call): void {
    const socket = this.socket as Socket;
    const { request } = call;
    this.call = call;
    call.connection = this;
    this.answerBegun = false;
    this.silentUntilTick = deadlineClock.after(call.silenceTimeoutMs);
    const prefix = this.owner.requestPrefix(request.method, request.path);
    const length =
      request.body.length > 0 || request.method === 'POST'
        ? `Content-Length: ${request.body.length}\r\n`
        : '';
    // One string, so that head and body leave in one system call.
    socket.write(`${prefix}${request.headerLines}${length}\r\n${request.body}`, 'latin1');
    // An error that is there at once is that of the very first attempt to write: not a byte has left.
    this.unsent = socket.errored !== null;
  }

  /** Ends the connection; a call that it carries hears nothing more. */
  close(): void {
    if (this.gone) return;
    this.dispose();
    this.owner.closed(this);
  }

  /** The answer to the current request may be silent for so long from now on; 0 means for ever. */
  silenceCounts(timeoutMs: number): void {
    this.silentUntilTick = deadlineClock.after(timeoutMs);
  }

  /** Looks at the deadlines. */
  ticked(tick: number, nowMs: number): void {
    const { call } = this;
    if (call === undefined) {
      if (this.socket !== undefined && nowMs >= this.reusableUntilMs) this.close();
    } else if (this.silentUntilTick !== 0 && tick >= this.silentUntilTick) {
      const part = this.answerBegun ? 'the rest of its answer' : 'an answer';
      this.close();
      call.fail(
        new HttpFailure(
          'timeout',
          `${this.owner.label} sent nothing for ${call.request.silenceTimeoutMs} ms; gave up waiting for ${part}`,
        ),
      );
    }
  }

  connected(socket: Socket): void {
    this.attempt = undefined;
    this.socket = socket;
    // A plain socket reads through `onread`; TLS, which cannot, emits `data`.
    socket.on('data', (chunk: Buffer) => this.receive(chunk, chunk.length));
    socket.on('end', () => this.ended());
    socket.on('error', (error) => this.lost(error));
    socket.on('close', () => this.lost(undefined));
    this.reusableUntilMs = performance.now() + UNANNOUNCED_IDLE_MS;
    this.owner.opened(this);
  }

  failed(failure: HttpFailure): void {
    this.dispose();
    this.owner.openFailed(this, failure);
  }

  head(head: ResponseHead): void {
    this.reusable = head.reusable;
    this.keepAliveTimeoutMs = head.keepAliveTimeoutMs;
    const call = this.call as Http1Call;
    if (call.request.silenceTimeoutMs === 0) this.parser.forgetHead();
    try {
      call.handler.head(head.status, head.headers);
    } catch (error) {
      this.handlerFailed(call, error);
    }
  }

  body(bytes: Buffer): void {
    const call = this.call as Http1Call;
    try {
      call.handler.data(bytes);
    } catch (error) {
      this.handlerFailed(call, error);
    }
  }

  complete(excessByteCount: number): void {
    const call = this.call as Http1Call;
    this.call = undefined;
    this.usedBefore = true;
    const idleMs = this.reusable ? idleTimeMs(this.keepAliveTimeoutMs) : 0;
    // Bytes that no request asked for, or a request that is not yet sent although it is answered: what comes
    // next on such a connection could be taken for the answer to something else.
    if (idleMs === 0 || excessByteCount > 0 || (this.socket as Socket).writableLength > 0) {
      this.close();
    } else {
      this.reusableUntilMs = performance.now() + idleMs;
      this.owner.released(this);
    }
    // Last, because the handler may send the next request, for which this connection should be free.
    call.end();
  }

  private readOptions(): OnReadOpts {
    return {
      buffer: sharedReadBuffer ?? Buffer.allocUnsafeSlow(READ_BUFFER_BYTES),
      callback: (byteCount, buffer) => {
        this.receive(buffer as Buffer, byteCount);
        return true;
      },
    };
  }

  private receive(buffer: Buffer, byteCount: number): void {
    const { call } = this;
    if (call === undefined) {
      // Nothing was asked: whatever this is, it must not become the answer to the next request.
      this.close();
      return;
    }
    this.answerBegun = true;
    this.silentUntilTick = deadlineClock.after(call.silenceTimeoutMs);
    try {
      this.parser.feed(buffer, byteCount);
    } catch (error) {
      this.close();
      call.fail(
        new HttpFailure('protocol', `${this.owner.label} ${(error as Error).message}`, { cause: error }),
      );
    }
  }

  private ended(): void {
    if (this.call !== undefined && this.parser.end()) return;
    this.lost(undefined);
  }

  /** The other side, or the way there, ended the connection. */
  private lost(error: Error | undefined): void {
    if (this.gone) return;
    const { call, unsent, answerBegun } = this;
    this.dispose();
    if (call !== undefined && this.mayRepeat(call)) {
      call.connection = undefined;
      call.repeated = true;
      this.owner.repeat(call);
    }
    this.owner.closed(this);
    if (call === undefined || call.connection === undefined) return;
    const how = error === undefined ? 'closed the connection' : `broke the connection (${error.message})`;
    const when = answerBegun ? 'in the middle of its answer' : 'without an answer';
    call.fail(
      new HttpFailure(unsent ? 'connect' : 'reset', `${this.owner.label} ${how} ${when}`, { cause: error }),
    );
  }

  private mayRepeat(call: Http1Call): boolean {
    return this.usedBefore && !this.answerBegun && !call.repeated && (call.request.repeatable || this.unsent);
  }

  private handlerFailed(call: Http1Call, error: unknown): void {
    this.owner.handlerFailed(error);
    this.close();
    call.fail(
      new HttpFailure('reset', `the answer of ${this.owner.label} could not be handled`, { cause: error }),
    );
  }

  private dispose(): void {
    this.gone = true;
    this.call = undefined;
    this.parser.stop();
    this.attempt?.cancel();
    this.socket?.destroy();
  }
}

/** How long an idle connection may be used again; 0 means not at all. */
function idleTimeMs(announcedMs: number | undefined): number {
  if (announcedMs === undefined) return UNANNOUNCED_IDLE_MS;
  return Math.min(MAX_IDLE_MS, Math.max(announcedMs - ANNOUNCED_IDLE_MARGIN_MS, announcedMs / 2));
}
