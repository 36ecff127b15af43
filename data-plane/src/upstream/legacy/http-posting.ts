/** A request over legacy streamable HTTP, until it is answered. */

import type { OpenSet, Slotted } from '../../exchange/open-set.js';
import { ErrorCode, RpcError } from '../../protocol/errors.js';
import { isId } from '../../protocol/ids.js';
import type { Envelope } from '../../protocol/scan.js';
import { withId } from '../../protocol/translate.js';
import { EraMismatch } from '../call.js';
import { type ChannelRequest, type ChannelSink, SessionLost } from '../channel.js';
import { MessageReader, type MessageSink, statusToError } from '../message-reader.js';
import type { OwnFields } from '../own-fields.js';
import { errorOf } from '../own-request.js';
import type { HttpCall } from '../transport/http.js';
import { believable, RECONNECT_MIN_MS, resumptionLine } from './http-resumption.js';

/** How often one request's stream is resumed without any message in between. */
const MAX_RESUME_COUNT = 20;

/** What a request needs of the session that it belongs to. */
export interface PostingHost {
  readonly options: { readonly name: string; readonly timeoutMs: number; readonly maxMessageBytes: number };
  readonly isClosed: boolean;
  /** The handshake is over. */
  readonly isEstablished: boolean;
  send(
    method: 'GET' | 'POST',
    body: string,
    extraLines: string,
    repeatable: boolean,
    reader: MessageReader,
    silenceTimeoutMs: number,
    own?: OwnFields,
  ): HttpCall;
  /** Sends what nobody waits for. */
  post(text: string): void;
  /** Reads the session's id in the head of an answer. */
  learn(headers: Readonly<Record<string, string | undefined>>): void;
  /** Whether an answer says that the server does not know the session any more. */
  tellsLostSession(status: number, error: string | undefined): boolean;
  /** The server does not know the session any more. */
  lost(): void;
}

/** One request: its POST, and the GETs that resume its stream when the server ends it before the response. */
export class Posting implements MessageSink, ChannelRequest, Slotted {
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
    private readonly channel: PostingHost,
    /** Those of the session that are under way. */
    private readonly open: OpenSet<Posting>,
    private readonly id: string,
    /** Its progress token in its one spelling. */
    readonly token: string | undefined,
    private readonly sink: ChannelSink,
    private readonly own: OwnFields | undefined,
  ) {}

  lives(): void {
    if (!this.patient) this.http?.waitPatiently(false);
  }

  start(text: string): void {
    this.open.add(this);
    this.begin('POST', text, '');
  }

  private begin(method: 'GET' | 'POST', body: string, extra: string): void {
    const { options } = this.channel;
    const reader = new MessageReader(options.name, this, options.maxMessageBytes);
    this.http = this.channel.send(method, body, extra, false, reader, options.timeoutMs, this.own);
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

  /** The channel is closed. Without `abort` the answer is read to its end, for its head. */
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
    const line = resumptionLine(from);
    if (line === undefined) return false;
    this.broke = true;
    this.timer = setTimeout(() => {
      if (!this.done) this.begin('GET', '', line);
    }, this.retryMs);
    return true;
  }

  private finish(): void {
    this.done = true;
    clearTimeout(this.timer);
    this.open.delete(this);
  }
}
