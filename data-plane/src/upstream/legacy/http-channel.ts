/**
 * A channel over legacy streamable HTTP (specification 2025-11-25, basic/transports): a session that the server
 * names, a POST for each message, a GET stream for what belongs to no request, and streams that are resumed.
 */
import { OpenSet, type Slotted } from '../../exchange/open-set.js';
import { ErrorCode, RpcError } from '../../protocol/errors.js';
import { idKey, idKeyOf, isId } from '../../protocol/ids.js';
import type { Envelope, Span } from '../../protocol/scan.js';
import { withId } from '../../protocol/translate.js';
import { EraMismatch } from '../call.js';
import type { Channel, ChannelEvents, ChannelRequest, ChannelSink } from '../channel.js';
import { SessionLost } from '../channel.js';
import { MessageReader, type MessageSink, statusToError } from '../message-reader.js';
import { errorOf } from '../own-request.js';
import type { HttpCall, HttpClient } from '../transport/http.js';

export interface LegacyHttpOptions {
  readonly name: string;
  readonly client: HttpClient;
  readonly path: string;
  /** Header lines of the configuration, each ended by CRLF. */
  readonly headerLines: string;
  readonly timeoutMs: number;
  readonly maxMessageBytes: number;
}

/** Wait before a broken stream is opened again, when the server did not say; doubled up to the maximum. */
const RECONNECT_MIN_MS = 500;
const RECONNECT_MAX_MS = 30_000;
/** How often one request's stream is resumed without any message in between. */
const MAX_RESUME_COUNT = 20;
/** A `retry` that is shorter would keep both sides busy with nothing else, one that is longer is not believed. */
const MIN_RETRY_MS = 100;
const MAX_RETRY_MS = 60_000;
/** An event id is sent back in a header; a longer one is not. */
const EVENT_ID = /^[\x20-\x7e]{1,1024}$/;
/** Refusals of the GET stream that are for now only (RFC 9110, section 15.5; RFC 6585, section 4). */
const PASSING_STATUSES = new Set([408, 425, 429]);

export class LegacyHttpChannel implements Channel {
  sessionId: string | undefined;
  private revision = '';
  private lines = '';
  private closed = false;
  private listening: Listening | undefined;
  private readonly open = new OpenSet<Posting>();

  constructor(
    readonly options: LegacyHttpOptions,
    readonly events: ChannelEvents,
  ) {
    this.render();
  }

  request(text: string, id: string, token: string | undefined, sink: ChannelSink): ChannelRequest {
    const posting = new Posting(this, id, token === undefined ? undefined : idKeyOf(token), sink);
    posting.start(text);
    return posting;
  }

  post(text: string): void {
    const sink: MessageSink = {
      message() {},
      closed: (status) => {
        if (this.tellsLostSession(status, undefined)) this.lost();
      },
      failed() {},
    };
    this.send(
      'POST',
      text,
      '',
      false,
      new MessageReader(this.options.name, sink, this.options.maxMessageBytes),
      this.options.timeoutMs,
    );
  }

  listen(): Promise<void> | undefined {
    if (this.listening !== undefined || this.closed) return this.listening?.open;
    this.listening = new Listening(this);
    this.listening.start();
    return this.listening.open;
  }

  resume(sessionId: string): void {
    this.sessionId = sessionId;
  }

  established(revision: string): void {
    this.revision = revision;
    this.render();
  }

  close(): Promise<void> {
    if (this.closed) return Promise.resolve();
    this.closed = true;
    this.listening?.stop();
    if (this.sessionId !== undefined) this.endSession();
    const error = new RpcError(
      ErrorCode.UpstreamLost,
      `the connection to upstream ${JSON.stringify(this.options.name)} was closed before it answered; the request may have run`,
    );
    // In the middle of the handshake the server may have made a session already, whose name only its answer tells.
    const named = this.revision !== '';
    for (const posting of this.open.toArray()) posting.drop(error, named);
    return Promise.resolve();
  }

  private endSession(): void {
    const sink: MessageSink = { message() {}, closed() {}, failed() {} };
    this.options.client.send(
      {
        method: 'DELETE',
        path: this.options.path,
        headerLines: this.lines,
        body: '',
        silenceTimeoutMs: this.options.timeoutMs,
        repeatable: true,
      },
      new MessageReader(this.options.name, sink, this.options.maxMessageBytes),
    );
  }

  /** @internal */
  send(
    method: 'GET' | 'POST',
    body: string,
    extraLines: string,
    repeatable: boolean,
    reader: MessageReader,
    silenceTimeoutMs: number,
  ): HttpCall {
    const call = this.options.client.send(
      {
        method,
        path: this.options.path,
        headerLines:
          method === 'POST'
            ? `content-type: application/json\r\naccept: application/json, text/event-stream\r\n${this.lines}${extraLines}`
            : `accept: text/event-stream\r\n${this.lines}${extraLines}`,
        body,
        silenceTimeoutMs,
        repeatable,
      },
      reader,
    );
    reader.http = call;
    return call;
  }

  /** @internal Progress that came on the stream for what belongs to no request is a sign of life all the same. */
  progressed(bytes: Buffer, token: Span): void {
    const key = idKey(bytes, token);
    for (const posting of this.open.toArray()) if (posting.token === key) posting.lives();
  }

  /** @internal */
  track(posting: Posting, open: boolean): void {
    if (open) this.open.add(posting);
    else this.open.delete(posting);
  }

  /** @internal The session id comes with the answer to `initialize`. */
  learn(headers: Readonly<Record<string, string | undefined>>): void {
    const id = headers['mcp-session-id'];
    if (id === undefined || this.sessionId !== undefined || this.revision !== '') return;
    // Visible ASCII only (2025-03-26, transports, "Session Management"); anything else could break a header.
    if (!/^[\x21-\x7e]{1,1024}$/.test(id)) return;
    this.sessionId = id;
    this.render();
    if (this.closed) this.endSession();
  }

  /**
   * @internal 404 says that the session is gone. Servers built on the SDK's example answer 400 with a JSON-RPC
   * error that speaks of the session.
   */
  tellsLostSession(status: number, error: string | undefined): boolean {
    if (this.sessionId === undefined) return false;
    return status === 404 || (status === 400 && error !== undefined && /session/i.test(error));
  }

  /** @internal */
  lost(): void {
    if (this.closed) return;
    this.closed = true;
    this.listening?.stop();
    this.events.lost('the upstream does not know the session any more');
  }

  get isClosed(): boolean {
    return this.closed;
  }

  /** @internal The handshake is over. */
  get isEstablished(): boolean {
    return this.revision !== '';
  }

  private render(): void {
    let lines = this.options.headerLines;
    if (this.sessionId !== undefined) lines += `mcp-session-id: ${this.sessionId}\r\n`;
    // The header exists from 2025-06-18 on.
    if (this.revision >= '2025-06-18') lines += `mcp-protocol-version: ${this.revision}\r\n`;
    this.lines = lines;
  }
}

/** One request: its POST, and the GETs that resume its stream when the server ends it before the response. */
class Posting implements MessageSink, ChannelRequest, Slotted {
  slot = -1;
  private http: HttpCall | undefined;
  private done = false;
  private patient = false;
  private lastEventId: string | undefined;
  private retryMs = RECONNECT_MIN_MS;
  private resumeCount = 0;
  /** Its stream broke after it had begun: the server has the request, whatever it says from now on. */
  private broke = false;
  private status = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly channel: LegacyHttpChannel,
    private readonly id: string,
    /** Its progress token in its one spelling. */
    readonly token: string | undefined,
    private readonly sink: ChannelSink,
  ) {}

  lives(): void {
    if (!this.patient) this.http?.waitPatiently(false);
  }

  start(text: string): void {
    this.channel.track(this, true);
    this.begin('POST', text, '');
  }

  private begin(method: 'GET' | 'POST', body: string, extra: string): void {
    const { options } = this.channel;
    const reader = new MessageReader(options.name, this, options.maxMessageBytes);
    this.http = this.channel.send(method, body, extra, false, reader, options.timeoutMs);
    if (this.patient) this.http.waitPatiently();
  }

  head(status: number, headers: Readonly<Record<string, string | undefined>>): void {
    this.status = status;
    if (status < 300) this.channel.learn(headers);
  }

  message(bytes: Buffer, envelope: Envelope): void {
    if (this.done) return;
    this.resumeCount = 0;
    if (envelope.kind === 'request' || envelope.kind === 'notification') {
      this.sink.message(bytes, envelope);
      return;
    }
    const { id } = envelope;
    if (this.status >= 400) {
      const text = bytes.utf8Slice(envelope.error?.start ?? 0, envelope.error?.end ?? 0);
      if (this.channel.tellsLostSession(this.status, text)) {
        this.loseSession();
        return;
      }
      if (this.broke) {
        this.lose();
        return;
      }
    }
    if (this.status < 400) {
      // A response to something else on this stream is not ours to give to anybody.
      if (id !== undefined && !isId(bytes, id, this.id)) return;
      this.finish();
      this.sink.message(bytes, envelope);
      return;
    }
    this.finish();
    // A server that has come to speak only 2026-07-28 refuses so (streamable HTTP, "Server Validation").
    if (envelope.errorCode === ErrorCode.UnsupportedProtocolVersion && this.channel.isEstablished) {
      this.sink.failed(
        new EraMismatch(
          `upstream ${JSON.stringify(this.channel.options.name)} refused a request of a session`,
          errorOf({ bytes, envelope }),
        ),
      );
      return;
    }
    // Refused before its id was read, it is still the answer to this POST.
    const answer = withId({ bytes, envelope }, this.id);
    this.sink.message(answer.bytes, answer.envelope);
  }

  closed(status: number): void {
    if (this.done) return;
    if (this.channel.tellsLostSession(status, undefined)) {
      this.loseSession();
      return;
    }
    if (status < 300 && this.resume()) return;
    if (status >= 400 && this.broke) {
      this.lose();
      return;
    }
    this.finish();
    this.sink.failed(statusToError(this.channel.options.name, status));
  }

  failed(error: RpcError): void {
    if (this.done) return;
    if (error.code === ErrorCode.UpstreamLost && this.resume()) return;
    if (error.code === ErrorCode.UpstreamUnavailable && this.broke) {
      this.lose();
      return;
    }
    this.finish();
    // Whoever gives up says so (2025-11-25, basic/lifecycle, "Timeouts").
    if (error.code === ErrorCode.UpstreamTimeout) this.cancel('no sign of life in time');
    this.sink.failed(error);
  }

  /** A session that does not know the request did not run it; it may be sent again unless it was under way. */
  private loseSession(): void {
    this.channel.lost();
    if (this.broke) {
      this.lose();
      return;
    }
    this.finish();
    this.sink.failed(new SessionLost(this.channel.options.name));
  }

  private lose(): void {
    this.finish();
    this.sink.failed(
      new RpcError(
        ErrorCode.UpstreamLost,
        `upstream ${JSON.stringify(this.channel.options.name)} broke the connection before it answered; the request may have run`,
      ),
    );
  }

  resumePoint(id: string): void {
    this.lastEventId = id;
  }

  retry(ms: number): void {
    this.retryMs = believable(ms);
  }

  /** @internal The channel is closed. Without `abort` the answer is read to its end, for its head. */
  drop(error: RpcError, abort: boolean): void {
    if (this.done) return;
    this.finish();
    if (abort) this.http?.abort();
    this.sink.failed(error);
  }

  abort(): void {
    if (this.done) return;
    this.finish();
    this.http?.abort();
    // Closing the stream does not cancel in this era (2025-11-25, basic/transports); saying so does.
    this.cancel('the client does not wait any more');
  }

  /** A handshake is never cancelled (2025-11-25, basic/utilities/cancellation). */
  private cancel(reason: string): void {
    if (!this.channel.isEstablished) return;
    this.channel.post(
      `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":${this.id},"reason":${JSON.stringify(reason)}}}`,
    );
  }

  waitPatiently(patiently = true): void {
    this.patient = patiently;
    this.http?.waitPatiently(patiently);
  }

  /** A stream with event ids may be ended by the server at will and is taken up again (2025-11-25, "Resumability"). */
  private resume(): boolean {
    const from = this.lastEventId;
    if (from === undefined || this.channel.isClosed || ++this.resumeCount > MAX_RESUME_COUNT) return false;
    if (!EVENT_ID.test(from)) return false;
    this.broke = true;
    this.timer = setTimeout(() => {
      if (!this.done) this.begin('GET', '', `last-event-id: ${from}\r\n`);
    }, this.retryMs);
    return true;
  }

  private finish(): void {
    this.done = true;
    clearTimeout(this.timer);
    this.channel.track(this, false);
  }
}

/** The GET stream, opened again when it breaks. */
class Listening implements MessageSink {
  private http: HttpCall | undefined;
  private lastEventId: string | undefined;
  private retryMs = RECONNECT_MIN_MS;
  private attempts = 0;
  private openedAt = 0;
  private interrupted = false;
  private stopped = false;
  private timer: NodeJS.Timeout | undefined;
  private opened: () => void = () => {};
  /** Resolves when the server has answered the first time, in whatever way. */
  readonly open = new Promise<void>((resolve) => {
    this.opened = resolve;
  });

  constructor(private readonly channel: LegacyHttpChannel) {}

  start(): void {
    const { options } = this.channel;
    const extra = this.lastEventId === undefined ? '' : `last-event-id: ${this.lastEventId}\r\n`;
    const reader = new MessageReader(options.name, this, options.maxMessageBytes);
    this.openedAt = Date.now();
    // What belongs to no request comes when there is something to say.
    this.http = this.channel.send('GET', '', extra, true, reader, 0);
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    this.http?.abort();
    this.opened();
  }

  head(status: number): void {
    this.opened();
    if (status >= 300 || !this.interrupted) return;
    this.interrupted = false;
    if (this.lastEventId === undefined) this.channel.events.gap();
  }

  message(bytes: Buffer, envelope: Envelope): void {
    this.attempts = 0;
    if (envelope.progressToken !== undefined) this.channel.progressed(bytes, envelope.progressToken);
    if (!this.stopped) this.channel.events.message(bytes, envelope);
  }

  closed(status: number): void {
    if (this.channel.tellsLostSession(status, undefined)) {
      this.channel.lost();
      return;
    }
    // 405 says that the server offers no such stream; other refusals will not get better either.
    if (status >= 400 && status < 500 && !PASSING_STATUSES.has(status)) return;
    this.again();
  }

  failed(): void {
    this.opened();
    this.again();
  }

  resumePoint(id: string): void {
    this.attempts = 0;
    if (EVENT_ID.test(id)) this.lastEventId = id;
  }

  retry(ms: number): void {
    this.retryMs = believable(ms);
  }

  private again(): void {
    if (this.stopped || this.channel.isClosed) return;
    // A server that ends the stream as soon as it is open gets fewer and fewer of them.
    if (Date.now() - this.openedAt > RECONNECT_MAX_MS) this.attempts = 0;
    this.interrupted = true;
    const wait = Math.min(this.retryMs * 2 ** this.attempts++, RECONNECT_MAX_MS);
    this.timer = setTimeout(() => this.start(), Math.max(wait, this.retryMs));
    this.timer.unref();
  }
}

function believable(retryMs: number): number {
  return Math.min(Math.max(retryMs, MIN_RETRY_MS), MAX_RETRY_MS);
}
