import type { HttpCall, HttpFailure, HttpRequest, HttpResponseHandler } from './http.js';
import type { Http1Connection } from './http1-connection.js';

/** The pool, as its calls see it. */
export interface CallOwner {
  /** The call is aborted while it waits for a connection. */
  withdrawn(call: Http1Call): void;
  handlerFailed(error: unknown): void;
}

/** One request on its way. */
export class Http1Call implements HttpCall {
  /** What carries it now; undefined while it waits. */
  connection: Http1Connection | undefined = undefined;
  /** Sent a second time, which happens once. */
  repeated = false;
  /** The tick at which waiting for a connection ends. */
  waitUntilTick = 0;
  /** Nothing more is said to the handler. */
  private done = false;

  constructor(
    private readonly owner: CallOwner,
    readonly request: HttpRequest,
    readonly handler: HttpResponseHandler,
  ) {
    this.silenceTimeoutMs = request.silenceTimeoutMs;
  }

  /** How long the answer may be silent, in milliseconds; 0 means for ever. */
  silenceTimeoutMs = 0;

  waitPatiently(patiently = true): void {
    this.silenceTimeoutMs = patiently ? 0 : this.request.silenceTimeoutMs;
    this.connection?.silenceCounts(this.silenceTimeoutMs);
  }

  get aborted(): boolean {
    return this.done;
  }

  abort(): void {
    if (this.done) return;
    this.done = true;
    if (this.connection === undefined) this.owner.withdrawn(this);
    else this.connection.close();
  }

  end(): void {
    this.done = true;
    try {
      this.handler.end();
    } catch (error) {
      this.owner.handlerFailed(error);
    }
  }

  fail(failure: HttpFailure): void {
    if (this.done) return;
    this.done = true;
    try {
      this.handler.error(failure);
    } catch (error) {
      this.owner.handlerFailed(error);
    }
  }
}
