/**
 * A channel over a pipe: all messages on one connection, where nothing but its id says what an answer belongs to
 * (2026-07-28, basic/transports/stdio, and what other transports make of it).
 */
import { rethrowLater } from '../exchange/rethrow-later.js';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import { idKey, idKeyOf } from '../protocol/ids.js';
import { type Envelope, ScanError, type Span, scanMessage } from '../protocol/scan.js';
import {
  type Channel,
  type ChannelEvents,
  type ChannelRequest,
  type ChannelSink,
  SessionLost,
} from './channel.js';
import type { OwnFields } from './own-fields.js';
import type { OpenPipe, Pipe } from './transport/pipe.js';

/** How often calls that wait are checked for silence; a timeout is late by at most this. */
const SILENCE_CHECK_MS = 250;
/** Messages that are not JSON-RPC before the first one that is, after which a peer is taken for one that speaks no MCP. */
const MAX_BAD_MESSAGE_COUNT = 100;

export interface DuplexChannelOptions {
  readonly name: string;
  /** What is at the other end, for messages: `the process`, `the connection`. */
  readonly subject: string;
  readonly timeoutMs: number;
  readonly openPipe: OpenPipe;
  /** Called with what was wrong with a message that is not JSON-RPC. */
  readonly badMessage: (fault: string) => void;
}

export class DuplexChannel implements Channel {
  private readonly pipe: Pipe;
  private readonly waiting = new Map<string, Waiting>();
  private readonly timer: NodeJS.Timeout;
  private badMessageCount = 0;
  private speaksMcp = false;
  private open = false;
  private ended = false;

  constructor(
    private readonly options: DuplexChannelOptions,
    private readonly events: ChannelEvents,
  ) {
    this.timer = setInterval(() => this.checkSilence(), SILENCE_CHECK_MS);
    this.timer.unref();
    this.pipe = options.openPipe({
      opened: () => this.opened(),
      message: (bytes) => this.message(bytes),
      undelivered: (requestId, error) => this.undelivered(requestId, error),
      closed: (reason) => this.closed(reason),
    });
  }

  request(
    text: string,
    id: string,
    token: string | undefined,
    sink: ChannelSink,
    own?: OwnFields,
  ): ChannelRequest {
    const waiting = new Waiting(this, id, token === undefined ? undefined : idKeyOf(token), sink);
    this.allowSilence(waiting);
    if (this.ended || !this.pipe.write(text, waiting.key, own)) {
      const why = this.ended ? 'has ended' : 'does not read what it is sent';
      sink.failed(notSent(`${this.subject} ${why}`));
      return waiting;
    }
    this.waiting.set(waiting.key, waiting);
    return waiting;
  }

  post(text: string): void {
    if (!this.ended) this.pipe.write(text);
  }

  listen(): undefined {}

  established(): void {}

  close(): Promise<void> {
    this.ended = true;
    clearInterval(this.timer);
    this.failAll('was stopped');
    return this.pipe.stop();
  }

  /** Until now nothing was sent, so nobody could have answered. */
  private opened(): void {
    this.open = true;
    for (const waiting of this.waiting.values()) this.allowSilence(waiting);
    this.events.opened?.();
  }

  /** What a callee throws costs one message, not the connection and everybody who shares it. */
  private message(bytes: Buffer): void {
    try {
      this.take(bytes);
    } catch (thrown) {
      rethrowLater(thrown);
    }
  }

  private take(bytes: Buffer): void {
    if (bytes.length === 0 || this.ended) return;
    let envelope: Envelope;
    try {
      envelope = scanMessage(bytes);
    } catch (thrown) {
      if (!(thrown instanceof ScanError)) throw thrown;
      this.badMessage(thrown);
      return;
    }
    this.speaksMcp = true;
    if (envelope.kind === 'result' || envelope.kind === 'error') this.response(bytes, envelope);
    else {
      if (envelope.progressToken !== undefined) this.signOfLife(bytes, envelope.progressToken);
      this.events.message(bytes, envelope);
    }
  }

  private response(bytes: Buffer, envelope: Envelope): void {
    const id = envelope.id === undefined ? undefined : idKey(bytes, envelope.id);
    const waiting = id === undefined ? undefined : this.waiting.get(id);
    if (waiting === undefined) return;
    this.waiting.delete(id as string);
    waiting.sink.message(bytes, envelope);
  }

  private undelivered(requestId: string, error: RpcError): void {
    const waiting = this.waiting.get(requestId);
    this.waiting.delete(requestId);
    // Whoever sends the request again does so over another connection, so this one has to be gone by then.
    if (error instanceof SessionLost) this.lose(error.message);
    waiting?.sink.failed(error);
  }

  /** Half an answer costs the one call that waits; with several nobody can tell whose it was. */
  private badMessage(fault: ScanError): void {
    this.options.badMessage(fault.message);
    if (fault.id !== undefined) {
      const waiting = this.waiting.get(fault.id);
      if (waiting !== undefined) {
        this.waiting.delete(fault.id);
        waiting.sink.failed(
          new RpcError(
            ErrorCode.UpstreamBadAnswer,
            `upstream ${JSON.stringify(this.options.name)} sent a message that is not JSON-RPC`,
          ),
        );
      }
    }
    // Many servers log to stdout now and then; whoever speaks MCP may.
    if (!this.speaksMcp && ++this.badMessageCount === MAX_BAD_MESSAGE_COUNT) {
      this.lose(`sent ${MAX_BAD_MESSAGE_COUNT} messages that are not JSON-RPC, and none that is`);
    }
  }

  private signOfLife(bytes: Buffer, token: Span): void {
    const text = idKey(bytes, token);
    for (const waiting of this.waiting.values()) if (waiting.token === text) this.allowSilence(waiting);
  }

  /** @internal From now on there is the whole time for a sign of life. */
  allowSilence(waiting: Waiting): void {
    if (!waiting.patient) waiting.deadline = Date.now() + this.options.timeoutMs;
  }

  /** @internal Nobody waits any more. */
  abandon(waiting: Waiting): void {
    if (this.waiting.get(waiting.key) !== waiting) return;
    this.waiting.delete(waiting.key);
    this.cancel(waiting.id, 'the client does not wait any more');
  }

  private checkSilence(): void {
    if (!this.open) return;
    const now = Date.now();
    for (const [key, waiting] of this.waiting) {
      if (waiting.patient || waiting.deadline > now) continue;
      this.waiting.delete(key);
      this.cancel(waiting.id, 'no sign of life in time');
      waiting.sink.failed(
        new RpcError(
          ErrorCode.UpstreamTimeout,
          `upstream ${JSON.stringify(this.options.name)} did not answer in time; the request may have run`,
        ),
      );
    }
  }

  private cancel(id: string, reason: string): void {
    this.post(
      `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":${id},"reason":${JSON.stringify(reason)}}}`,
    );
  }

  /** Ends a connection that is of no use, as if it had ended by itself. */
  private lose(reason: string): void {
    this.closed(reason);
    void this.pipe.stop();
  }

  private closed(reason: string): void {
    if (this.ended) return;
    this.ended = true;
    clearInterval(this.timer);
    this.failAll(reason);
    this.events.lost(reason);
  }

  private failAll(reason: string): void {
    const cause = new Error(reason);
    const error = this.open
      ? new RpcError(
          ErrorCode.UpstreamLost,
          `${this.subject} ended before it answered; the request may have run`,
          undefined,
          { cause },
        )
      : notSent(`upstream ${JSON.stringify(this.options.name)} cannot be reached`, cause);
    const waiting = [...this.waiting.values()];
    this.waiting.clear();
    for (const { sink } of waiting) sink.failed(error);
  }

  private get subject(): string {
    return `${this.options.subject} of upstream ${JSON.stringify(this.options.name)}`;
  }
}

/** A request that waits for its answer. */
class Waiting implements ChannelRequest {
  readonly key: string;
  deadline = 0;
  patient = false;

  constructor(
    private readonly channel: DuplexChannel,
    readonly id: string,
    readonly token: string | undefined,
    readonly sink: ChannelSink,
  ) {
    this.key = idKeyOf(id);
  }

  abort(): void {
    this.channel.abandon(this);
  }

  waitPatiently(patiently = true): void {
    this.patient = patiently;
    this.channel.allowSilence(this);
  }
}

function notSent(why: string, cause?: Error): RpcError {
  return new RpcError(
    ErrorCode.UpstreamUnavailable,
    `${why}; the request was not sent`,
    undefined,
    cause && { cause },
  );
}
