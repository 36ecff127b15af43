/**
 * The answer to one legacy POST: a JSON body when nothing but the responses comes, else a stream from the first
 * message on. A batch (2025-03-26) has several responses.
 */

import type { Reply } from '../../listener/listener.js';
import { batchOf } from '../../protocol/batch.js';
import type { HttpHead } from '../../protocol/errors.js';
import { JSON_HEADERS } from '../http-answers.js';
import { EventStream, type StreamLimits } from './stream.js';

export interface AnswerOptions {
  readonly streamId: string;
  readonly limits: StreamLimits;
  readonly primes: boolean;
  /** False when the client's Accept leaves no room for a stream. */
  readonly mayStream: boolean;
  readonly responseCount: number;
  readonly batch: boolean;
  /** The stream was begun, and may be resumed from now on. */
  readonly onStream: (stream: EventStream) => void;
  readonly onEnd: () => void;
}

export class Answer {
  private stream: EventStream | undefined;
  private readonly responses: Buffer[] = [];
  private missing: number;

  constructor(
    private readonly reply: Reply,
    private readonly options: AnswerOptions,
  ) {
    this.missing = options.responseCount;
  }

  get ended(): boolean {
    return this.missing === 0;
  }

  get isStream(): boolean {
    return this.stream !== undefined;
  }

  /** A notification or an ask that belongs here. False when the client left no way to tell it. */
  message(bytes: Buffer): boolean {
    if (this.ended) return false;
    if (this.stream === undefined) {
      if (!this.options.mayStream || !this.reply.open) return false;
      this.begin();
    }
    this.stream?.send(bytes);
    return true;
  }

  /** Opens the stream before any message, to keep a long call's connection alive. */
  keepAlive(now: number, intervalMs: number, startedAt: number): void {
    if (this.ended || !this.options.mayStream) return;
    if (this.stream !== undefined) this.stream.keepAlive(now, intervalMs);
    else if (now - startedAt >= intervalMs && this.reply.open) this.begin();
  }

  response(bytes: Buffer, _cancelled = false, http?: HttpHead): void {
    if (this.ended) return;
    this.missing--;
    if (this.stream !== undefined) {
      this.stream.send(bytes);
      if (this.missing === 0) this.stream.end(Date.now());
    } else {
      this.responses.push(bytes);
      if (this.missing === 0) this.sendJson(http);
    }
    if (this.missing === 0) this.options.onEnd();
  }

  private begin(): void {
    this.stream = new EventStream(this.options.streamId, this.options.limits);
    this.stream.attach(this.reply, 0, this.options.primes);
    this.options.onStream(this.stream);
    for (const response of this.responses.splice(0)) this.stream.send(response);
  }

  private sendJson(http: HttpHead | undefined): void {
    const { batch } = this.options;
    const [first] = this.responses;
    const body = batch || first === undefined ? batchOf(this.responses) : first;
    // In a batch each response has a head of its own, and the answer only one.
    if (batch || http === undefined) this.reply.send(200, JSON_HEADERS, body);
    else this.reply.send(http.status ?? 200, [...JSON_HEADERS, ...http.headers], body);
  }
}
