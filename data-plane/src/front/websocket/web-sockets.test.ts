import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CloseCode, type MessageSocket, type SocketHandler } from '../../listener/listener.js';
import { DuplexFront } from '../duplex/front.js';
import { ScriptedEndpoint } from '../scripted-endpoint.js';
import { SessionRoom } from '../session-room.js';
import { WebSockets } from './web-sockets.js';

const IDLE_TIMEOUT_MS = 600_000;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

class Socket implements MessageSocket {
  readonly sent: string[] = [];
  readonly closes: [code: number, reason: string][] = [];

  send(text: Uint8Array): boolean {
    this.sent.push(Buffer.from(text).toString());
    return true;
  }

  close(code: number, reason: string): void {
    this.closes.push([code, reason]);
  }
}

const front = new DuplexFront({
  room: new SessionRoom(() => ({ maxSessionCount: 10, maxSessionPerPrincipalCount: 10 })),
  traffic: { refusal: () => undefined, refused() {}, began() {}, ended() {} },
  maxMessageBytes: () => 1_000,
  forward: () => false,
  onSessionEnd() {},
  onFault(thrown) {
    throw thrown;
  },
});

function enter(headers: Record<string, string> = { 'sec-websocket-protocol': 'soap, mcp' }): {
  handler: SocketHandler;
  socket: Socket;
  endpoint: ScriptedEndpoint;
} {
  const endpoint = new ScriptedEndpoint();
  const sockets = new WebSockets({ front, idleTimeoutMs: () => IDLE_TIMEOUT_MS });
  const handler = sockets.accept(endpoint, { headers, principal: 'ada' });
  const socket = new Socket();
  handler.open(socket);
  return { handler, socket, endpoint };
}

const say = (handler: SocketHandler, message: object) =>
  handler.message(Buffer.from(JSON.stringify({ jsonrpc: '2.0', ...message })));

describe('a WebSocket connection', () => {
  it('has the subprotocol of MCP, or none', () => {
    expect(enter().handler.protocol).toBe('mcp');
    expect(enter({}).handler.protocol).toBeUndefined();
  });

  it('that says nothing at all is ended before the others', async () => {
    const { socket } = enter();
    await vi.advanceTimersByTimeAsync(74_000);
    expect(socket.closes).toEqual([]);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(socket.closes[0]).toEqual([CloseCode.PolicyViolation, 'idle']);
  });

  it('without a session is ended when it was silent for too long', async () => {
    const { handler, socket } = enter();
    say(handler, { id: 1, method: 'ping' });
    await vi.advanceTimersByTimeAsync(IDLE_TIMEOUT_MS - 1_000);
    say(handler, { id: 2, method: 'ping' });
    await vi.advanceTimersByTimeAsync(IDLE_TIMEOUT_MS - 1_000);
    expect(socket.closes).toEqual([]);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(socket.closes[0]).toEqual([CloseCode.PolicyViolation, 'idle']);
  });

  it('with a session, or with a request under way, may be silent for ever', async () => {
    const session = enter();
    const params = { protocolVersion: '2025-11-25', capabilities: {} };
    say(session.handler, { id: 1, method: 'initialize', params });
    const waiting = enter();
    waiting.endpoint.answer = () => new Promise(() => undefined);
    const _meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': {},
    };
    say(waiting.handler, { id: 1, method: 'subscriptions/listen', params: { _meta, notifications: {} } });
    await vi.advanceTimersByTimeAsync(3 * IDLE_TIMEOUT_MS);
    expect([session.socket.closes, waiting.socket.closes]).toEqual([[], []]);
    front.close('the gateway shuts down');
    expect([session.socket.closes, waiting.socket.closes]).toEqual([
      [[CloseCode.GoingAway, 'the gateway shuts down']],
      [[CloseCode.GoingAway, 'the gateway shuts down']],
    ]);
  });

  it('that is gone is looked after no more', async () => {
    const { handler, socket } = enter();
    handler.gone();
    expect(vi.getTimerCount()).toBe(0);
    await vi.advanceTimersByTimeAsync(IDLE_TIMEOUT_MS);
    expect(socket.closes.filter(([code]) => code === CloseCode.PolicyViolation)).toEqual([]);
  });
});
