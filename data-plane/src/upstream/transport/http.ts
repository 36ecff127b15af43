/**
 * The HTTP client port towards upstreams: one keep-alive pool for each origin, HTTP/1.1, bytes and no meaning.
 * Everything that leaves the gateway over HTTP goes through it, and so through the one egress function.
 */

/** Where requests go. */
export interface HttpOrigin {
  readonly protocol: 'http:' | 'https:' | 'unix:';
  readonly hostname: string;
  readonly port: number;
  /** For `unix:` the socket's path. */
  readonly socketPath?: string | undefined;
}

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Request target with query, beginning with a slash. */
  readonly path: string;
  /**
   * Header lines as text, each ended by CRLF, without Host, Content-Length, Connection and the blank line.
   * Built by the caller from its allow-list; must not hold a bare CR or LF beyond the line ends.
   */
  readonly headerLines: string;
  /** The body as latin-1 text, one character for each byte; empty for GET. */
  readonly body: string;
  /** Time to the first byte of the answer's head, and between two chunks of it; 0 means none. */
  readonly silenceTimeoutMs: number;
  /** True when the request may be sent again on a fresh connection if a kept-alive one turns out dead before any byte of the answer. */
  readonly repeatable: boolean;
}

/** Called in this order: head, data*, then exactly one of end or error. Nothing after abort(). */
export interface HttpResponseHandler {
  /** `headers`: lower-case names, repeated ones joined with `, `. */
  head(status: number, headers: Readonly<Record<string, string | undefined>>): void;
  /** The bytes are valid only during the call. */
  data(chunk: Uint8Array): void;
  end(): void;
  error(failure: HttpFailure): void;
}

export class HttpFailure extends Error {
  override readonly name = 'HttpFailure';
  constructor(
    /** `connect`: never sent. `refused`: egress policy. `reset`: sent, connection lost. `timeout`: silence. `protocol`: not HTTP/1.1 or over a limit. */
    readonly kind: 'connect' | 'refused' | 'reset' | 'timeout' | 'protocol',
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
  /** True when the request cannot have reached the upstream's program. */
  get neverSent(): boolean {
    return this.kind === 'connect' || this.kind === 'refused';
  }
}

export interface HttpCall {
  /** From now on the answer may be silent for as long as it likes; with `false`, as long as its request says. */
  waitPatiently(patiently?: boolean): void;
  /** Closes the connection of this call; the handler hears nothing more. No-op after the end. */
  abort(): void;
}

export interface HttpClient {
  send(request: HttpRequest, handler: HttpResponseHandler): HttpCall;
  /** Sockets open now, idle ones included. */
  readonly socketCount: number;
  /** Ends idle sockets at once and busy ones with their answer. */
  close(): void;
}
