/**
 * A pipe over HTTP+SSE (specification 2024-11-05, basic/transports, "HTTP with SSE"): a stream whose first event names
 * the address that messages are posted to, and which brings everything that the server says.
 */

import type { RpcError } from '../../protocol/errors.js';
import { SseDecoder } from '../../protocol/sse.js';
import { failureToError } from '../call.js';
import { SessionLost } from '../channel.js';
import { statusToError } from '../message-reader.js';
import { type OwnFields, withOwnFields } from '../own-fields.js';
import type { HttpCall, HttpClient, HttpFailure, HttpResponseHandler } from '../transport/http.js';
import type { Pipe, PipeEvents } from '../transport/pipe.js';

/** An address for messages that is longer than this is none. */
const MAX_ENDPOINT_CHARS = 4096;

export interface SseOptions {
  readonly name: string;
  /** The address of the stream. */
  readonly url: URL;
  /** Carries the streams, each of which holds a connection of its own. */
  readonly streams: HttpClient;
  /** Carries the messages, to the same origin. */
  readonly posts: HttpClient;
  /** Header lines of the configuration, each ended by CRLF. */
  readonly headerLines: string;
  /** From the request for the stream to its first event. */
  readonly connectTimeoutMs: number;
  /** Time that a POST may take. */
  readonly timeoutMs: number;
  readonly maxMessageBytes: number;
  /** Bytes that may wait until they can be posted. */
  readonly maxPendingWriteBytes: number;
}

export function openSse(options: SseOptions, events: PipeEvents): Pipe {
  return new SsePipe(options, events);
}

interface Letter {
  readonly message: string;
  readonly requestId: string | undefined;
  readonly own: OwnFields | undefined;
}

class SsePipe implements Pipe, HttpResponseHandler {
  private readonly stream: HttpCall;
  private readonly timer: NodeJS.Timeout;
  private decoder: SseDecoder | undefined;
  /** Where messages go, once the server has said it. */
  private endpoint: string | undefined;
  /** What waits for the endpoint, or for a message in front of it. */
  private held: Letter[] = [];
  private heldBytes = 0;
  /** A notification is on its way. What follows must not overtake it: a server may need it first. */
  private inOrder = false;
  private ended = false;

  constructor(
    readonly options: SseOptions,
    readonly events: PipeEvents,
  ) {
    this.timer = setTimeout(
      () => this.lose(`the stream named no address for messages within ${options.connectTimeoutMs} ms`),
      options.connectTimeoutMs,
    );
    this.stream = options.streams.send(
      {
        method: 'GET',
        path: `${options.url.pathname}${options.url.search}`,
        headerLines: `accept: text/event-stream\r\ncache-control: no-store\r\n${options.headerLines}`,
        body: '',
        // A stream is silent when there is nothing to say.
        silenceTimeoutMs: 0,
        repeatable: true,
      },
      this,
    );
  }

  write(message: string, requestId?: string, own?: OwnFields): boolean {
    if (this.ended) return false;
    if (this.endpoint !== undefined && !this.inOrder) {
      this.post({ message, requestId, own });
      return true;
    }
    if (this.heldBytes + message.length > this.options.maxPendingWriteBytes) return false;
    this.held.push({ message, requestId, own });
    this.heldBytes += message.length;
    return true;
  }

  stop(): Promise<void> {
    this.finish();
    return Promise.resolve();
  }

  head(status: number, headers: Readonly<Record<string, string | undefined>>): void {
    const type = headers['content-type'] ?? 'nothing';
    if (status >= 300) {
      const hint = status === 404 || status === 405 ? '; is this the address of an HTTP+SSE stream?' : '';
      this.lose(`the server answered the request for the stream with HTTP ${status}${hint}`);
    } else if (!type.startsWith('text/event-stream')) {
      this.lose(`the server answered the request for the stream with ${type} and not with text/event-stream`);
    } else {
      this.decoder = new SseDecoder(
        {
          event: (data) => this.message(data),
          other: (kind, data) => this.other(kind, data),
          retry() {},
          primed() {},
        },
        this.options.maxMessageBytes,
      );
    }
  }

  data(chunk: Uint8Array): void {
    if (this.ended || this.decoder?.push(chunk) !== false) return;
    this.lose(`sent a message of more than ${this.options.maxMessageBytes} bytes, which is the limit`);
  }

  end(): void {
    this.lose('the server ended the stream');
  }

  error(failure: HttpFailure): void {
    this.lose(failure.message);
  }

  private message(data: Buffer): void {
    if (this.ended) return;
    if (this.endpoint === undefined)
      this.lose('the stream began with a message and not with its endpoint event');
    else this.events.message(data);
  }

  private other(kind: string, data: Buffer): void {
    // Once it is known it does not change (2024-11-05: the event comes when a client connects).
    if (kind !== 'endpoint' || this.endpoint !== undefined || this.ended) return;
    const said = data.toString();
    const { url } = this.options;
    const address =
      said.length <= MAX_ENDPOINT_CHARS && URL.canParse(said, url.href) ? new URL(said, url) : undefined;
    if (address === undefined) {
      this.lose(
        `the stream named ${JSON.stringify(said.slice(0, 100))} as the address for messages, which is none`,
      );
    } else if (address.origin !== url.origin) {
      // The configured credentials go there, and so would whatever clients say.
      this.lose(
        `the stream named an address for messages at ${address.origin}, and it has to be at ${url.origin} as the stream is`,
      );
    } else {
      clearTimeout(this.timer);
      this.endpoint = `${address.pathname}${address.search}`;
      this.events.opened();
      this.postHeld();
    }
  }

  private postHeld(): void {
    while (!this.inOrder && !this.ended) {
      const letter = this.held.shift();
      if (letter === undefined) return;
      this.heldBytes -= letter.message.length;
      this.post(letter);
    }
  }

  private post({ message, requestId, own }: Letter): void {
    this.inOrder = requestId === undefined;
    this.options.posts.send(
      {
        method: 'POST',
        path: this.endpoint as string,
        headerLines: withOwnFields(`content-type: application/json\r\n${this.options.headerLines}`, own),
        body: message,
        silenceTimeoutMs: this.options.timeoutMs,
        repeatable: false,
      },
      new Posting(this, requestId),
    );
  }

  /** @internal One message was taken, or is known to be lost. */
  posted(requestId: string | undefined, error: RpcError | undefined): void {
    if (this.ended) return;
    if (requestId !== undefined) {
      if (error !== undefined) this.events.undelivered(requestId, error);
      return;
    }
    if (error instanceof SessionLost) this.lose(error.message);
    this.inOrder = false;
    this.postHeld();
  }

  private lose(reason: string): void {
    if (this.ended) return;
    this.finish();
    this.events.closed(reason);
  }

  private finish(): void {
    this.ended = true;
    clearTimeout(this.timer);
    this.held = [];
    this.stream.abort();
  }
}

/** One message on its way. What is answered to it comes on the stream; here comes only whether it was taken. */
class Posting implements HttpResponseHandler {
  constructor(
    private readonly pipe: SsePipe,
    private readonly requestId: string | undefined,
  ) {}

  head(status: number): void {
    const { name } = this.pipe.options;
    if (status < 300) this.pipe.posted(this.requestId, undefined);
    // The address for messages is that of the session.
    else
      this.pipe.posted(this.requestId, status === 404 ? new SessionLost(name) : statusToError(name, status));
  }

  data(): void {}

  end(): void {}

  error(failure: HttpFailure): void {
    // Some servers answer the POST when the call has ended: whether that takes too long is judged where it waits.
    const late = failure.kind === 'timeout';
    this.pipe.posted(this.requestId, late ? undefined : failureToError(this.pipe.options.name, failure));
  }
}
