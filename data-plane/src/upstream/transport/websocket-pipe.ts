/**
 * A pipe over WebSocket (RFC 6455) with the subprotocol `mcp`: one message in each text frame. The connection is made
 * through the one way out of the gateway.
 */
import type { IncomingMessage } from 'node:http';
import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SecureContext } from 'node:tls';
import type { WebSocket } from 'ws';
import { connectEgress, type EgressAttempt } from './egress.js';
import type { EgressPolicy } from './egress-policy.js';
import type { HttpOrigin } from './http.js';
import type { Pipe, PipeEvents } from './pipe.js';

const SUBPROTOCOL = 'mcp';
/** How often the peer is asked whether it lives; one that brings nothing until the next time is taken for dead. */
const PING_INTERVAL_MS = 20_000;
/** From the goodbye to the end of the connection, when the peer does not answer it. */
const CLOSE_GRACE_MS = 2_000;
/** RFC 6455, 7.4.1. */
const NORMAL_CLOSURE = 1000;
const UNSUPPORTED_DATA = 1003;
const ABNORMAL_CLOSURE = 1006;

export interface WebSocketOptions {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly policy: EgressPolicy;
  /** What certificates are checked against; must be there for `wss:`. */
  readonly secureContext: SecureContext | undefined;
  /** From the beginning until messages can be sent. */
  readonly connectTimeoutMs: number;
  /** Largest message of the peer; a larger one ends the connection. */
  readonly maxMessageBytes: number;
  /** Bytes that may wait for a peer that does not read. */
  readonly maxPendingWriteBytes: number;
}

/** Loaded when it is first needed: it takes 8 MB, and most gateways have no server of this kind. */
const loadWs = () => createRequire(import.meta.url)('ws') as typeof import('ws');

export function openWebSocket(options: WebSocketOptions, events: PipeEvents): Pipe {
  return new WebSocketPipe(options, events);
}

class WebSocketPipe implements Pipe {
  private readonly socket: WebSocket;
  private readonly gone: Promise<void>;
  private attempt: EgressAttempt | undefined;
  private carrier: Socket | undefined;
  /** What is to be sent when the handshake is over. */
  private early: Buffer[] = [];
  private earlyBytes = 0;
  private timer: NodeJS.Timeout;
  private heard = true;
  private bytesRead = 0;
  /** Why it ends; the first reason counts. Nobody is told of an end that the gateway wanted. */
  private reason: string | undefined;
  private wanted = false;

  constructor(
    private readonly options: WebSocketOptions,
    private readonly events: PipeEvents,
  ) {
    this.socket = new (loadWs().WebSocket)(options.url, [SUBPROTOCOL], {
      headers: { ...options.headers },
      followRedirects: false,
      perMessageDeflate: false,
      maxPayload: options.maxMessageBytes,
      // The first two arguments are for sockets that connect by themselves; this one is there when it is connected.
      createConnection: ((_: unknown, done: Connected) => this.connect(done)) as never,
    });
    this.timer = setTimeout(
      () => this.abandon(`no WebSocket handshake within ${options.connectTimeoutMs} ms`),
      options.connectTimeoutMs,
    );
    this.socket.on('open', () => this.opened());
    this.socket.on('message', (data, isBinary) => this.message(data as Buffer, isBinary));
    this.socket.on('pong', () => {
      this.heard = true;
    });
    this.socket.on('unexpected-response', (_request, response) => this.refused(response));
    this.socket.on('error', (error) => {
      this.reason ??= this.describe(error);
    });
    this.gone = new Promise((resolve) => {
      this.socket.on('close', (code, reason) => {
        this.closed(code, reason);
        resolve();
      });
    });
  }

  write(message: string): boolean {
    if (this.wanted || this.reason !== undefined || this.socket.readyState > this.socket.OPEN) return false;
    const pending = this.earlyBytes + this.socket.bufferedAmount;
    if (pending + message.length > this.options.maxPendingWriteBytes) return false;
    const bytes = Buffer.from(message, 'latin1');
    if (this.socket.readyState === this.socket.OPEN) this.socket.send(bytes, { binary: false });
    else {
      this.early.push(bytes);
      this.earlyBytes += bytes.length;
    }
    return true;
  }

  stop(): Promise<void> {
    if (!this.wanted) {
      this.wanted = true;
      if (this.socket.readyState === this.socket.CONNECTING) this.abandon('was stopped by the gateway');
      else this.sayGoodbye(NORMAL_CLOSURE, '');
    }
    return this.gone;
  }

  private connect(done: Connected): undefined {
    const { url, policy, secureContext, connectTimeoutMs } = this.options;
    const secure = url.protocol === 'wss:';
    const origin: HttpOrigin = {
      protocol: secure ? 'https:' : 'http:',
      hostname: url.hostname,
      port: Number(url.port) || (secure ? 443 : 80),
    };
    this.attempt = connectEgress(
      origin,
      { policy, secureContext, connectTimeoutMs },
      {
        connected: (socket) => {
          this.carrier = socket;
          done(null, socket);
        },
        failed: (failure) => done(failure),
      },
    );
  }

  private opened(): void {
    clearTimeout(this.timer);
    this.timer = setInterval(() => this.checkLife(), PING_INTERVAL_MS);
    this.timer.unref();
    for (const bytes of this.early) this.socket.send(bytes, { binary: false });
    this.early = [];
    this.earlyBytes = 0;
    this.events.opened();
  }

  private message(data: Buffer, isBinary: boolean): void {
    this.heard = true;
    if (this.wanted || this.reason !== undefined) return;
    if (isBinary) {
      this.reason = 'sent a binary frame, and MCP messages are text';
      this.sayGoodbye(UNSUPPORTED_DATA, 'MCP messages are text');
    } else this.events.message(data);
  }

  /** A large message takes longer than the pings are apart, so that any byte is a sign of life. */
  private checkLife(): void {
    const bytesRead = this.carrier?.bytesRead ?? 0;
    if (!this.heard && bytesRead === this.bytesRead) {
      this.abandon(`brought nothing for ${PING_INTERVAL_MS / 1000} s, not even an answer to a ping`);
      return;
    }
    this.heard = false;
    this.bytesRead = bytesRead;
    this.socket.ping();
  }

  private refused(response: IncomingMessage): void {
    const where = response.headers.location === undefined ? '' : ` to ${response.headers.location}`;
    this.abandon(
      (response.statusCode ?? 0) >= 300 && (response.statusCode ?? 0) < 400
        ? `the server redirects the WebSocket handshake${where}; write the final address into the configuration`
        : `the server refused the WebSocket handshake with HTTP ${response.statusCode}`,
    );
  }

  private sayGoodbye(code: number, text: string): void {
    clearInterval(this.timer);
    this.socket.close(code, text);
    this.timer = setTimeout(() => this.socket.terminate(), CLOSE_GRACE_MS);
  }

  /** Ends it without a goodbye. */
  private abandon(reason: string): void {
    this.reason ??= reason;
    this.attempt?.cancel();
    this.socket.terminate();
  }

  private closed(code: number, said: Buffer): void {
    clearTimeout(this.timer);
    this.early = [];
    if (this.wanted) return;
    const quoted = said.length === 0 ? '' : `: ${JSON.stringify(said.toString())}`;
    this.events.closed(
      this.reason ??
        (code === ABNORMAL_CLOSURE
          ? 'the connection broke'
          : `the server closed the connection with code ${code}${quoted}`),
    );
  }

  private describe(error: Error & { code?: string }): string {
    switch (error.code) {
      case 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH':
        return `sent a message of more than ${this.options.maxMessageBytes} bytes, which is the limit`;
      case 'WS_ERR_INVALID_UTF8':
        return 'sent a text frame that is not UTF-8';
      default:
        return error.message === 'Server sent no subprotocol' ||
          error.message === 'Server sent an invalid subprotocol'
          ? `the server did not take the subprotocol ${JSON.stringify(SUBPROTOCOL)}`
          : error.message;
    }
  }
}

type Connected = (error: Error | null, socket?: Duplex) => void;
