/**
 * Reads an HTTP answer of an MCP server into messages: one JSON text, or a stream of server-sent events. Both
 * eras answer in these two ways; what the messages mean is theirs.
 */
import { ErrorCode, RpcError } from '../protocol/errors.js';
import { type Envelope, ScanError, scanMessage } from '../protocol/scan.js';
import { SseDecoder, type SseEvents } from '../protocol/sse.js';
import { failureToError } from './call.js';
import type { HttpCall, HttpFailure, HttpResponseHandler } from './transport/http.js';

/** Called in order; after `closed` or `failed` nothing more. */
export interface MessageSink {
  head?(status: number, headers: Readonly<Record<string, string | undefined>>): void;
  message(bytes: Buffer, envelope: Envelope): void;
  /** The answer ended as HTTP says. `status` tells the rest when there was no message. */
  closed(status: number): void;
  failed(error: RpcError): void;
  /** An event id to resume from. */
  resumePoint?(id: string): void;
  retry?(ms: number): void;
}

const EMPTY = Buffer.alloc(0);

export class MessageReader implements HttpResponseHandler, SseEvents {
  private status = 0;
  private sse: SseDecoder | undefined = undefined;
  private body: Buffer = EMPTY;
  private more: Buffer[] | undefined = undefined;
  private bodyBytes = 0;
  private over = false;
  /** Set by the caller, so that an answer over its limit ends the connection. */
  http: HttpCall | undefined = undefined;

  constructor(
    private readonly upstream: string,
    private readonly sink: MessageSink,
    private readonly maxMessageBytes: number,
  ) {}

  head(status: number, headers: Readonly<Record<string, string | undefined>>): void {
    this.status = status;
    this.sink.head?.(status, headers);
    const type = headers['content-type'];
    if (status < 300 && type !== undefined && type.startsWith('text/event-stream')) {
      this.sse = new SseDecoder(this, this.maxMessageBytes);
    }
  }

  /** @internal */
  event(data: Buffer, id: string | undefined): void {
    if (id !== undefined) this.sink.resumePoint?.(id);
    this.take(data);
  }

  /** @internal */
  primed(id: string): void {
    this.sink.resumePoint?.(id);
  }

  /** @internal */
  retry(ms: number): void {
    this.sink.retry?.(ms);
  }

  data(chunk: Uint8Array): void {
    if (this.over) return;
    if (this.sse !== undefined) {
      if (!this.sse.push(chunk)) this.tooLarge();
      return;
    }
    this.bodyBytes += chunk.length;
    if (this.bodyBytes > this.maxMessageBytes) this.tooLarge();
    else if (this.body.length === 0) this.body = Buffer.from(chunk);
    else if (this.more === undefined) this.more = [this.body, Buffer.from(chunk)];
    else this.more.push(Buffer.from(chunk));
  }

  end(): void {
    if (this.over) return;
    if (this.sse === undefined && this.bodyBytes > 0) {
      const body = this.more === undefined ? this.body : Buffer.concat(this.more);
      // A refusal may have any body; only a JSON-RPC message in it is worth passing on.
      if (this.status < 300) this.take(body);
      else this.tryTake(body);
    }
    if (this.over) return;
    this.over = true;
    this.sink.closed(this.status);
  }

  error(failure: HttpFailure): void {
    this.fail(failureToError(this.upstream, failure));
  }

  private tryTake(body: Buffer): void {
    let envelope: Envelope;
    try {
      envelope = scanMessage(body);
    } catch {
      return;
    }
    this.sink.message(body, envelope);
  }

  private take(body: Buffer): void {
    if (this.over) return;
    let envelope: Envelope;
    try {
      envelope = scanMessage(body);
    } catch (thrown) {
      if (!(thrown instanceof ScanError)) throw thrown;
      this.fail(
        new RpcError(
          ErrorCode.UpstreamBadAnswer,
          `upstream ${JSON.stringify(this.upstream)} sent a message that is not JSON-RPC`,
          undefined,
          { cause: thrown },
        ),
      );
      this.http?.abort();
      return;
    }
    this.sink.message(body, envelope);
  }

  private tooLarge(): void {
    this.fail(
      new RpcError(
        ErrorCode.UpstreamBadAnswer,
        `upstream ${JSON.stringify(this.upstream)} sent a message of more than ${this.maxMessageBytes} bytes`,
      ),
    );
    this.http?.abort();
  }

  private fail(error: RpcError): void {
    if (this.over) return;
    this.over = true;
    this.body = EMPTY;
    this.more = undefined;
    this.sink.failed(error);
  }
}

/** An answer without a usable message, as the client is told. */
export function statusToError(upstream: string, status: number): RpcError {
  const said = `upstream ${JSON.stringify(upstream)}`;
  if (status === 401 || status === 403) {
    return new RpcError(
      ErrorCode.UpstreamUnavailable,
      `${said} refused the gateway's credentials (HTTP ${status})`,
    );
  }
  if (status === 429 || status === 503) {
    return new RpcError(ErrorCode.UpstreamUnavailable, `${said} has too much to do (HTTP ${status})`);
  }
  if (status < 300)
    return new RpcError(ErrorCode.UpstreamBadAnswer, `${said} ended its answer without a response`);
  return new RpcError(ErrorCode.UpstreamBadAnswer, `${said} answered HTTP ${status}`);
}
