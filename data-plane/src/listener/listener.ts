/**
 * The listener port: sockets in, bytes out, no meaning.
 *
 * Two implementations (`uws.ts` over uWebSockets.js, `node.ts` over node:http) run one shared case suite.
 * A listener parses HTTP/1.1, enforces the size and time limits of {@link ListenerLimits}, refuses ambiguous
 * framing by closing the connection, and hands whole requests to the {@link Door}.
 */

import type { Admission } from '../exchange/exchange.js';

/** What was in front of the body. Valid for as long as the request lives (everything is copied out). */
export interface RequestHead {
  /** Upper case, as sent: `POST`. */
  readonly method: string;
  /** Path without the query, not decoded: `/mcp/files`. */
  readonly path: string;
  /** Query without the question mark; empty when there is none. */
  readonly query: string;
  /**
   * Header fields by lower-case name, an object without a prototype. Repeated fields are joined with `, `
   * (RFC 9110 section 5.3) and their names listed in {@link repeated}. Values are latin-1 text, trimmed.
   */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Lower-case names of fields that came more than once; undefined when none did. */
  readonly repeated: readonly string[] | undefined;
  /** Text form of the peer's address; computed when first read, which has to be before the answer ends. */
  readonly remoteAddress: string;
  /**
   * Whom the request is made for. Nothing that a client sends sets it: it is anonymous until the door has found out
   * who asks, which has to be before a front sees the head. A request that is handed to another worker carries it.
   */
  principal: string;
  /** What plugins found out about it; set by the door, like {@link principal}. */
  admission?: Admission | undefined;
  /** By how many workers it was handed over already; undefined when this one received it. */
  readonly hopCount?: number;
}

/**
 * The answer to one request. Exactly one of {@link send} or {@link begin} is called, once. Everything is a
 * no-op after the client went away or after the end, so a late answer harms nobody.
 */
export interface Reply {
  /** True until the answer has ended or the client went away. */
  readonly open: boolean;
  /** Answers at once with a whole body and its Content-Length. `headers` are `[name, value]` pairs. */
  send(status: number, headers: readonly (readonly [string, string])[], body: Uint8Array | string): void;
  /**
   * Begins a streamed answer (chunked); the head goes out at once. uWebSockets.js can send a head only
   * together with the first bytes: there an event stream that stays empty for a moment begins with an empty
   * comment (`:` and two line feeds), and the head of anything else waits for its first {@link write}.
   */
  begin(status: number, headers: readonly (readonly [string, string])[]): void;
  /**
   * Queues bytes of a streamed answer. Returns how many bytes wait in memory for a slow reader; when those
   * before this chunk pass `ListenerLimits.maxPendingReplyBytes` the listener closes the connection (which
   * fires onAborted). A single message may be larger than that.
   */
  write(chunk: Uint8Array | string): number;
  /** Ends a streamed answer after what is queued. */
  end(): void;
  /** Adds a field to the head of the answer, whoever gives it. Without effect once the answer has begun. */
  addHeader(name: string, value: string): void;
  /** Drops the connection without another byte. */
  close(): void;
  /** Called once, when the client went away before the end (or the connection was closed by a limit). */
  onAborted(listener: () => void): void;
}

/** Status codes with which a connection ends (RFC 6455 section 7.4.1). */
export const CloseCode = {
  GoingAway: 1001,
  UnsupportedData: 1003,
  PolicyViolation: 1008,
  TooBig: 1009,
  InternalError: 1011,
} as const;

/** A WebSocket connection (RFC 6455); one JSON text in each message. Everything is a no-op once it has gone. */
export interface MessageSocket {
  /**
   * Queues a text message. False when it cannot be sent: the connection is closing or gone, or more than
   * `ListenerLimits.maxPendingReplyBytes` wait for a slow reader, who then loses the connection.
   */
  send(text: Uint8Array): boolean;
  /** Says goodbye behind what is queued. `code` is a status code of RFC 6455 section 7.4.1. */
  close(code: number, reason: string): void;
}

/** What stands behind one WebSocket connection. */
export interface SocketHandler {
  /** The subprotocol that was chosen; undefined when the client offered none. */
  readonly protocol: string | undefined;
  /** Called once, before everything else. */
  open(socket: MessageSocket): void;
  /** A whole text message, valid UTF-8. The buffer belongs to the callee. */
  message(text: Buffer): void;
  /** Called once, when the connection has gone. */
  gone(): void;
}

/** What stands behind the listener. Its functions may be called for many requests at once; none may throw. */
export interface Door {
  /**
   * Called with the head, before the body. Returns the largest body that is taken, in bytes, or 0 when the
   * door has answered by itself already (the body is then discarded).
   */
  head(head: RequestHead, reply: Reply): number;
  /** Called once with the whole body (empty for GET and DELETE). The buffer belongs to the callee. */
  request(head: RequestHead, body: Buffer, reply: Reply): void;
  /**
   * Called after {@link head} for a request that asks to become a WebSocket connection. Returns who takes it, or
   * undefined when the door has answered by itself; a promise of that where it takes time. Without this function such requests are like all others.
   */
  upgrade?(head: RequestHead, reply: Reply): SocketHandler | undefined | Promise<SocketHandler | undefined>;
  /**
   * Makes the body of an answer that the listener gives by itself (408, 413, 414, 431, 400), so that its
   * wording has one home.
   */
  refusal(status: number, reason: string): { contentType: string; body: string };
}

/** Every limit of a listener; the unit stands last in the name. */
export interface ListenerLimits {
  /** Longest request target; beyond it 414. */
  maxUrlBytes: number;
  /** Names and values of all header fields together; beyond it 431. */
  maxHeaderBytes: number;
  /** Number of header fields; beyond it 431. */
  maxHeaderCount: number;
  /** Time from the first byte of the head to its end, where the implementation can tell. */
  headTimeoutMs: number;
  /** Bodies of all requests that have not been answered yet, as far as they have come; beyond it 503. */
  maxBufferedBytes: number;
  /** Time for the whole body; beyond it 408 and the connection is closed. */
  bodyTimeoutMs: number;
  /** Idle keep-alive connections are closed after this. */
  idleTimeoutMs: number;
  /** Bytes that may wait for a slow reader of one streamed answer when more comes. */
  maxPendingReplyBytes: number;
  /**
   * Longest message of a WebSocket connection; beyond it 1009, and far beyond (from twice the number that the
   * listener was made with) uWebSockets.js closes without a word.
   */
  maxMessageBytes: number;
  /** How often clients of WebSocket connections are asked whether they are there. */
  pingIntervalMs: number;
  /** Open connections; one more is closed at once. */
  maxConnectionCount: number;
}

export interface ListenerTls {
  /** Paths of PEM files. They are read again when {@link Listener.reloadTls} is called. */
  readonly certFile: string;
  readonly keyFile: string;
}

export interface ListenerOptions {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** Several processes or threads may listen on the same port. */
  readonly sharedPort: boolean;
  readonly limits: ListenerLimits;
  readonly tls?: ListenerTls | undefined;
  /** Told of every exception that cost a request: one that the door threw, or an answer that cannot be sent. */
  readonly onFault?: ((error: unknown) => void) | undefined;
}

export interface Listener {
  readonly kind: 'uws' | 'node';
  /** Starts to listen and resolves with the port. Rejects with a readable message when the port is taken. */
  listen(): Promise<number>;
  /** Open connections now, where the implementation can tell. */
  readonly connectionCount: number;
  /**
   * Requests that were handed to the door and whose answer has not wholly left yet. A shutdown that has
   * drained loses nothing once this is 0. A WebSocket connection counts from its goodbye on.
   */
  readonly openReplyCount: number;
  /**
   * Takes other limits, for connections that are open too. Those of the head, and the times that the parser
   * measures, have to be the ones that the listener was made with.
   */
  setLimits(limits: ListenerLimits): void;
  /** Reads the certificate files again; connections that are open keep theirs. Rejects and keeps the old ones when they are bad. */
  reloadTls(): Promise<void>;
  /** Stops taking connections; requests under way go on. Keep-alive connections end with their next answer. */
  drain(): void;
  /** Closes everything at once and frees the port. Idempotent. */
  close(): Promise<void>;
}

/** Makes a listener. `kind: 'auto'` takes uWebSockets.js where it loads, else node:http. */
export type CreateListener = (
  kind: 'auto' | 'uws' | 'node',
  options: ListenerOptions,
  door: Door,
) => Promise<Listener>;
