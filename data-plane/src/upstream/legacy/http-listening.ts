/** What an upstream of legacy streamable HTTP says outside of requests. */
import type { Envelope, Span } from '../../protocol/scan.js';
import type { ChannelEvents } from '../channel.js';
import { MessageReader, type MessageSink } from '../message-reader.js';
import type { HttpCall } from '../transport/http.js';
import type { PostingHost } from './http-posting.js';
import { believable, RECONNECT_MIN_MS, resumptionLine } from './http-resumption.js';

/** Longest wait before it is opened again; the wait is doubled up to this. */
const RECONNECT_MAX_MS = 30_000;
/** Refusals of the stream that are for now only (RFC 9110, section 15.5; RFC 6585, section 4). */
const PASSING_STATUSES = new Set([408, 425, 429]);

/** What the stream needs of the session that it belongs to. */
export interface ListeningHost
  extends Pick<PostingHost, 'options' | 'isClosed' | 'send' | 'tellsLostSession' | 'lost'> {
  readonly events: Pick<ChannelEvents, 'message' | 'gap'>;
  /** Progress of a request came here. */
  progressed(bytes: Buffer, token: Span): void;
}

/** The GET stream, opened again when it breaks. */
export class Listening implements MessageSink {
  private http: HttpCall | undefined;
  /** Says from where to go on. */
  private resumption = '';
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

  constructor(private readonly channel: ListeningHost) {}

  start(): void {
    const { options } = this.channel;
    const reader = new MessageReader(options.name, this, options.maxMessageBytes);
    this.openedAt = Date.now();
    // What belongs to no request comes when there is something to say.
    this.http = this.channel.send('GET', '', this.resumption, true, reader, 0);
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
    if (this.resumption === '') this.channel.events.gap();
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
    this.resumption = resumptionLine(id) ?? this.resumption;
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
