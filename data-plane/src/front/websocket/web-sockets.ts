/** WebSocket connections as a transport of the duplex front: one JSON-RPC message in each text message. */
import type { RequestHeaders } from '../../exchange/exchange.js';
import { CloseCode, type MessageSocket, type SocketHandler } from '../../listener/listener.js';
import type { Beginning, DuplexClient, DuplexConnection } from '../duplex/connection.js';
import type { DuplexFront } from '../duplex/front.js';
import type { Endpoint } from '../endpoint.js';

/** The subprotocol that clients of MCP offer, as the official SDKs do. */
export const SUBPROTOCOL = 'mcp';

/** How often connections are looked after on which nothing is said. */
const TICK_MS = 1_000;
/** Time for the first message. */
const FIRST_MESSAGE_TIMEOUT_MS = 75_000;

export interface WebSocketsOptions {
  readonly front: DuplexFront;
  /** When a client without a session and without requests has been silent for too long; as it is now. */
  readonly idleTimeoutMs: () => number;
}

export class WebSockets {
  private readonly open = new Set<WebSocketClient>();
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly options: WebSocketsOptions) {}

  /** Takes a connection that began with this request. */
  accept(endpoint: Endpoint, { headers, principal, admission }: Beginning): SocketHandler {
    const offered = offeredProtocols(headers);
    const client: WebSocketClient = new WebSocketClient(
      offered === undefined ? undefined : SUBPROTOCOL,
      (connection) => {
        this.open.add(client);
        this.timer ??= setInterval(() => this.tick(), TICK_MS).unref();
        return this.options.front.open(endpoint, connection, { headers, principal, admission });
      },
      () => this.left(client),
    );
    return client;
  }

  private left(client: WebSocketClient): void {
    this.open.delete(client);
    if (this.open.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private tick(): void {
    const now = Date.now();
    const idleTimeoutMs = this.options.idleTimeoutMs();
    for (const client of [...this.open]) client.endIfIdle(now, idleTimeoutMs);
  }
}

/** What a client offers as subprotocols; undefined when it offers none. */
export function offeredProtocols(headers: RequestHeaders): readonly string[] | undefined {
  return headers['sec-websocket-protocol']?.split(',').map((each) => each.trim());
}

class WebSocketClient implements SocketHandler, DuplexConnection {
  readonly transport = 'websocket';
  private socket: MessageSocket | undefined;
  private client: DuplexClient | undefined;
  private lastHeardAt = Date.now();
  private hasSpoken = false;

  constructor(
    readonly protocol: string | undefined,
    private readonly enter: (connection: DuplexConnection) => DuplexClient,
    private readonly leave: () => void,
  ) {}

  // What the listener tells.

  open(socket: MessageSocket): void {
    this.socket = socket;
    this.client = this.enter(this);
  }

  message(text: Buffer): void {
    this.lastHeardAt = Date.now();
    this.hasSpoken = true;
    this.client?.message(text);
  }

  gone(): void {
    this.leave();
    this.client?.gone();
  }

  // What the front says.

  send(message: Buffer): boolean {
    return this.socket?.send(message) ?? false;
  }

  close(reason: string): void {
    this.socket?.close(CloseCode.GoingAway, reason);
  }

  /** Whoever has a session or waits for an answer may be silent for ever: pings say that it is there. */
  endIfIdle(now: number, idleTimeoutMs: number): void {
    const { client } = this;
    if (client === undefined || client.hasSession || client.requestCount > 0) return;
    const limitMs = this.hasSpoken ? idleTimeoutMs : Math.min(idleTimeoutMs, FIRST_MESSAGE_TIMEOUT_MS);
    if (now - this.lastHeardAt > limitMs) this.socket?.close(CloseCode.PolicyViolation, 'idle');
  }
}
