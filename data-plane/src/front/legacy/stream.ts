/**
 * Streams of server-sent events towards a legacy client, with ids of the gateway's own and a bounded memory of what
 * was sent, so that `Last-Event-ID` resumes without loss or repetition (specification 2025-11-25,
 * basic/transports, "Resumability and Redelivery").
 */
import type { Reply } from '../../listener/listener.js';
import { isIdText } from '../../protocol/ids.js';
import { SSE_COMMENT, sseEvent, ssePriming } from '../../protocol/sse.js';
import { SSE_HEADERS } from '../http-answers.js';

/** What a client is told to wait before it resumes. */
const RETRY_MS = 1_000;

export interface StreamLimits {
  readonly replayMessageCount: number;
  readonly replayBytes: number;
}

/** One logical stream; the connection under it may change. */
export class EventStream {
  private readonly events: { seq: number; event: Buffer }[] = [];
  private bytes = 0;
  private seq = 0;
  /** Sequence number of the newest event that the memory has dropped. */
  private droppedSeq = 0;
  private reply: Reply | undefined;
  private ended = false;
  private lastWriteAt = Date.now();
  /** When the stream ended, in milliseconds of the clock; 0 while it goes on. */
  endedAt = 0;

  constructor(
    /** Unique in its session. */
    readonly id: string,
    private readonly limits: StreamLimits,
  ) {}

  /** Sequence number of the newest event. */
  get lastSeq(): number {
    return this.seq;
  }

  get attached(): boolean {
    return this.reply?.open ?? false;
  }

  /** Bytes that are kept for a resumption. */
  get heldBytes(): number {
    return this.bytes;
  }

  get hasEnded(): boolean {
    return this.ended;
  }

  /**
   * Begins or resumes on a connection: everything after `fromSeq` is sent, then what comes.
   *
   * @param primes whether to begin with an event that has an id and empty data: only clients from 2025-11-25 on
   *   know it, older ones would choke on it.
   */
  attach(reply: Reply, fromSeq: number, primes: boolean): void {
    this.reply?.end();
    this.reply = reply;
    reply.begin(200, SSE_HEADERS);
    if (primes) reply.write(ssePriming(this.eventId(fromSeq), RETRY_MS));
    for (const { seq, event } of this.events) if (seq > fromSeq) reply.write(event);
    this.lastWriteAt = Date.now();
    if (this.ended) reply.end();
  }

  /** Ends the connection and goes on without one. */
  detach(): void {
    this.reply?.end();
    this.reply = undefined;
  }

  /** True when everything after `seq` is still known. */
  canResume(seq: number): boolean {
    return seq >= this.droppedSeq && seq <= this.seq;
  }

  send(message: Buffer): void {
    if (this.ended) return;
    const seq = ++this.seq;
    const event = sseEvent(message, this.eventId(seq));
    this.events.push({ seq, event });
    this.bytes += event.length;
    while (this.events.length > this.limits.replayMessageCount || this.bytes > this.limits.replayBytes) {
      const dropped = this.events.shift();
      if (dropped === undefined) break;
      this.bytes -= dropped.event.length;
      // What was dropped before it ever reached a connection is lost to a later resumption, and said so.
      this.droppedSeq = dropped.seq;
    }
    if (this.reply?.open) {
      this.reply.write(event);
      this.lastWriteAt = Date.now();
    }
  }

  end(now: number): void {
    if (this.ended) return;
    this.ended = true;
    this.endedAt = now;
    this.reply?.end();
  }

  keepAlive(now: number, intervalMs: number): void {
    if (this.reply?.open && now - this.lastWriteAt >= intervalMs) {
      this.reply.write(SSE_COMMENT);
      this.lastWriteAt = now;
    }
  }

  private eventId(seq: number): string {
    return `${this.id}_${seq}`;
  }
}

/** Longer ids of requests are not part of the names of their streams. */
const MAX_REQUEST_ID_LENGTH = 64;

/**
 * The name of the stream of one POST. It holds the id of the request, so that a worker which knows nothing of the
 * stream can still tell the client that this request's answer is lost.
 *
 * @param requestId JSON text; empty for a batch.
 */
export function streamIdFor(count: number, requestId: string): string {
  if (requestId === '' || requestId.length > MAX_REQUEST_ID_LENGTH) return `p${count}`;
  return `p${count}-${Buffer.from(requestId, 'latin1').toString('base64url')}`;
}

/** The id of the request that a stream belongs to, as JSON text, where its name says it. */
export function requestIdOf(streamId: string): string | undefined {
  const match = /^p\d+-([A-Za-z0-9_-]+)$/.exec(streamId);
  if (match === null) return undefined;
  const id = Buffer.from(match[1] as string, 'base64url').toString('latin1');
  // What comes from a client is not believed to be what was given out.
  return isIdText(id) ? id : undefined;
}

/** The stream and sequence number in an event id; undefined when it is not one of ours. */
export function readEventId(text: string): { streamId: string; seq: number } | undefined {
  const match = /^([a-z0-9]{1,16}(?:-[A-Za-z0-9_-]{1,88})?)_(\d{1,15})$/.exec(text);
  return match === null ? undefined : { streamId: match[1] as string, seq: Number(match[2]) };
}
