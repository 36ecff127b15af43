import { once } from 'node:events';
import { WebSocketClientTransport } from '@modelcontextprotocol/sdk/client/websocket.js';
import { type ClientOptions, WebSocket } from 'ws';
import type { JsonRpc } from './raw-http.js';

/** As in a browser every message is an event of its own: SDKs lose progress that comes in one with its response. */
class OneByOne extends WebSocket {
  constructor(url: string | URL, protocols?: string | string[]) {
    super(url, protocols, { allowSynchronousEvents: false });
  }
}

// Node 20 has no WebSocket of its own, which the SDK's transport takes from there.
Object.assign(globalThis, { WebSocket: OneByOne });

/** The address of an endpoint for WebSocket clients. */
export const socketUrl = (url: string) => url.replace(/^http/, 'ws');

/** The official transport over WebSocket. */
export const overWebSocket = (url: string) => new WebSocketClientTransport(new URL(socketUrl(url)));

/** A client that sends exactly what it is told. */
export class RawSocketClient {
  readonly heard: JsonRpc[] = [];
  closed: { code: number; reason: string } | undefined;
  private readonly waiting = new Map<unknown, (message: JsonRpc) => void>();

  private constructor(readonly ws: WebSocket) {
    ws.on('message', (data) => {
      const message = JSON.parse(String(data)) as JsonRpc;
      this.heard.push(message);
      if (message.method === undefined) this.waiting.get(message.id)?.(message);
    });
    ws.on('error', () => undefined);
    ws.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() };
    });
  }

  static async open(url: string, options: ClientOptions = {}): Promise<RawSocketClient> {
    const ws = new WebSocket(socketUrl(url), 'mcp', options);
    const client = new RawSocketClient(ws);
    await once(ws, 'open');
    return client;
  }

  send(message: object): void {
    this.ws.send(JSON.stringify({ jsonrpc: '2.0', ...message }));
  }

  /** Sends a request, and resolves with its response. */
  ask(id: number | string | null, method: string, params: object = {}): Promise<JsonRpc> {
    const response = new Promise<JsonRpc>((resolve) => this.waiting.set(id, resolve));
    this.send({ id, method, params });
    return response;
  }

  async initialize(protocolVersion = '2025-11-25', capabilities: object = {}): Promise<JsonRpc> {
    const clientInfo = { name: 'raw', version: '1' };
    const answer = await this.ask(0, 'initialize', { protocolVersion, capabilities, clientInfo });
    this.send({ method: 'notifications/initialized' });
    return answer;
  }
}

/** Status with which an upgrade is refused. */
export function refusedWith(
  url: string,
  options: ClientOptions = {},
  protocol: string | undefined = 'mcp',
): Promise<number> {
  const ws = new WebSocket(socketUrl(url), protocol, options);
  return new Promise((resolve, reject) => {
    ws.once('unexpected-response', (_request, response) => {
      resolve(response.statusCode ?? 0);
      ws.terminate();
    });
    ws.once('open', () => {
      ws.terminate();
      reject(new Error('the upgrade was not refused'));
    });
    ws.once('error', (error) => reject(error));
  });
}
