import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Exchange, Outcome } from '../exchange/exchange.js';
import type { RequestHead } from '../listener/listener.js';
import { scanMessage } from '../protocol/scan.js';
import { newNodeId, workerAddress } from '../sessions/node-bus.js';
import { createSealer } from '../sessions/seal.js';
import { MemorySessionStore } from '../sessions/store.js';
import { SessionTokens } from '../sessions/tokens.js';
import type { Endpoint, LegacyBacking } from './endpoint.js';
import { LegacyFront } from './legacy/front.js';
import { ModernFront } from './modern/front.js';
import { RecordingReply } from './recording-reply.js';
import { SessionRoom } from './session-room.js';

/* A call of half an hour, in which the server may say nothing at all. */

const HALF_HOUR_MS = 30 * 60_000;
const KEEP_ALIVE_MS = 15_000;
/** Fronts look at their streams more often than that. */
const SLACK_MS = KEEP_ALIVE_MS / 2;

/** Notes when something was written. */
class TimedReply extends RecordingReply {
  readonly writtenAt: number[] = [];

  override begin(status: number, headers: readonly (readonly [string, string])[]): void {
    super.begin(status, headers);
    this.writtenAt.push(Date.now());
  }

  override write(chunk: Uint8Array | string): number {
    this.writtenAt.push(Date.now());
    return super.write(chunk);
  }

  /** The longest time in which a proxy on the way saw nothing. */
  longestSilenceMs(from: number): number {
    return Math.max(...this.writtenAt.map((at, i) => at - (this.writtenAt[i - 1] ?? from)));
  }
}

/** Answers after half an hour. */
async function answer({ bytes, envelope }: Exchange): Promise<Outcome> {
  await new Promise((resolve) => setTimeout(resolve, HALF_HOUR_MS));
  const { id } = envelope;
  const text = bytes.toString('utf8', id?.start, id?.end);
  return { bytes: Buffer.from(`{"jsonrpc":"2.0","id":${text},"result":{"late":true}}`), errorCode: 0 };
}

const backing: LegacyBacking = {
  initialize: async (_, revision) => JSON.stringify({ protocolVersion: revision }),
  request: answer,
  notification() {},
  response() {},
  listen() {},
  resync() {},
  close() {},
};
const endpoint: Endpoint = {
  path: '/mcp',
  label: '*',
  modern: answer,
  modernNotification() {},
  openLegacy: () => backing,
};

const SELF = workerAddress(newNodeId(), 0);
const SEALER = createSealer({ current: Buffer.alloc(32, 7), previous: [] });

const modern = () => new ModernFront({ keepAliveMs: () => KEEP_ALIVE_MS, forward: () => false });
const SETTINGS = {
  replayMessageCount: 10,
  replayBytes: 10_000,
  idleTimeoutMs: 60_000,
  maxSessionCount: 10,
  maxSessionPerPrincipalCount: 10,
  keepAliveMs: KEEP_ALIVE_MS,
};
const legacy = () =>
  new LegacyFront({
    settings: () => SETTINGS,
    room: new SessionRoom(() => SETTINGS),
    tokens: new SessionTokens(SEALER, SELF),
    store: new MemorySessionStore(),
    self: SELF,
    others: { reaches: () => false, forward: () => false },
    onSessionEnd() {},
    onError() {},
  });

const bytesOf = (message: object) => Buffer.from(JSON.stringify({ jsonrpc: '2.0', ...message }));
const headOf = (headers: Record<string, string>) => ({ headers }) as unknown as RequestHead;

const fronts: { close(reason: string): void }[] = [];
beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  for (const front of fronts.splice(0)) front.close('the test is over');
  vi.useRealTimers();
});

function sendModern(accept: string): TimedReply {
  const front = modern();
  fronts.push(front);
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  const bytes = bytesOf({ id: 7, method: 'tools/call', params: { name: 'slow', _meta } });
  const head = headOf({
    accept,
    'mcp-protocol-version': '2026-07-28',
    'mcp-method': 'tools/call',
    'mcp-name': 'slow',
  });
  const reply = new TimedReply();
  front.request(endpoint, head, bytes, scanMessage(bytes), reply, () => {});
  return reply;
}

async function sendLegacy(protocolVersion: string): Promise<TimedReply> {
  const front = legacy();
  fronts.push(front);
  const post = (message: object, headers: Record<string, string>) => {
    const bytes = bytesOf(message);
    const reply = new TimedReply();
    front.post(endpoint, headOf(headers), [{ bytes, envelope: scanMessage(bytes) }], false, reply);
    return reply;
  };
  const greeted = post({ id: 0, method: 'initialize', params: { protocolVersion, capabilities: {} } }, {});
  await vi.advanceTimersByTimeAsync(0);
  const session = { 'mcp-session-id': greeted.headers['mcp-session-id'] as string };
  return post({ id: 7, method: 'tools/call', params: { name: 'slow' } }, session);
}

describe.each([
  ['a modern client', async () => sendModern('application/json, text/event-stream')],
  ['a legacy client of 2025-11-25', () => sendLegacy('2025-11-25')],
  ['a legacy client of 2025-03-26', () => sendLegacy('2025-03-26')],
] as const)('%s', (_, send) => {
  it('hears a comment at every interval, and the answer in the end', async () => {
    const reply = await send();
    const from = Date.now();
    await vi.advanceTimersByTimeAsync(HALF_HOUR_MS);
    expect(reply.longestSilenceMs(from)).toBeLessThanOrEqual(KEEP_ALIVE_MS + SLACK_MS);
    expect(reply.writtenAt.length).toBeGreaterThanOrEqual(HALF_HOUR_MS / (KEEP_ALIVE_MS + SLACK_MS));
    expect(reply.events.at(-1)?.message).toMatchObject({ id: 7, result: { late: true } });
    expect(reply.hasEnded).toBe(true);
  });

  it('gets a stream that no proxy holds back', async () => {
    const reply = await send();
    await vi.advanceTimersByTimeAsync(KEEP_ALIVE_MS + SLACK_MS);
    expect(reply.headers).toMatchObject({ 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' });
  });
});

it('a client that takes no stream gets the answer alone', async () => {
  const reply = sendModern('application/json');
  await vi.advanceTimersByTimeAsync(HALF_HOUR_MS);
  expect(reply.json).toMatchObject({ id: 7, result: { late: true } });
  expect(reply.headers['content-type']).toBe('application/json');
});
