import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Exchange, Outcome } from '../../exchange/exchange.js';
import type { RequestHead } from '../../listener/listener.js';
import { ErrorCode, RpcError } from '../../protocol/errors.js';
import { scanBatch, scanMessage } from '../../protocol/scan.js';
import { newNodeId, workerAddress } from '../../sessions/node-bus.js';
import { createSealer } from '../../sessions/seal.js';
import { MemorySessionStore } from '../../sessions/store.js';
import { SessionTokens } from '../../sessions/tokens.js';
import { RecordingReply } from '../recording-reply.js';
import { result, ScriptedBacking, ScriptedEndpoint } from '../scripted-endpoint.js';
import { type SessionPlaces, SessionRoom } from '../session-room.js';
import { LegacyFront } from './front.js';
import type { LegacySessionSettings } from './sessions.js';
import { streamIdFor } from './stream.js';

const SELF = workerAddress(newNodeId(), 0);
const SEALER = createSealer({ current: randomBytes(32), previous: [] });

const fronts: LegacyFront[] = [];
afterEach(() => {
  ScriptedBacking.waits = false;
  vi.useRealTimers();
  for (const front of fronts.splice(0)) front.close('the test is over');
});

function setUp(
  settings: Partial<LegacySessionSettings & SessionPlaces> = {},
  tokens = new SessionTokens(SEALER, SELF),
  store = new MemorySessionStore(),
) {
  const endpoint = new ScriptedEndpoint();
  const ends: string[] = [];
  const room = new SessionRoom(() => ({ maxSessionCount: 10, maxSessionPerPrincipalCount: 10, ...settings }));
  const front = new LegacyFront({
    settings: () => ({
      replayMessageCount: 10,
      replayBytes: 10_000,
      idleTimeoutMs: 60_000,
      keepAliveMs: 1_000,
      ...settings,
    }),
    room,
    tokens,
    store,
    self: SELF,
    others: { reaches: () => false, forward: () => false },
    onSessionEnd: (reason) => ends.push(reason),
    onError: () => {},
  });
  fronts.push(front);
  return new Setup(front, room, endpoint, ends);
}

class Setup {
  constructor(
    readonly front: LegacyFront,
    readonly room: SessionRoom,
    readonly endpoint: ScriptedEndpoint,
    readonly ends: string[],
    readonly principal = 'ada',
  ) {}

  /** The same front as somebody else sees it. */
  as(principal: string): Setup {
    return new Setup(this.front, this.room, this.endpoint, this.ends, principal);
  }

  post(body: unknown, headers: Record<string, string> = {}): RecordingReply {
    const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
    const batch = Array.isArray(body);
    const envelopes = batch ? scanBatch(bytes) : [scanMessage(bytes)];
    const reply = new RecordingReply();
    const messages = envelopes.map((envelope) => ({ bytes, envelope }));
    this.front.post(this.endpoint, this.head(headers), messages, batch, reply);
    return reply;
  }

  initialize(protocolVersion = '2025-11-25'): RecordingReply {
    return this.post(request(0, 'initialize', { protocolVersion, capabilities: {} }));
  }

  /** The headers of a session that is open. */
  async open(protocolVersion?: string): Promise<Record<string, string>> {
    const reply = this.initialize(protocolVersion);
    await settled();
    return { 'mcp-session-id': reply.headers['mcp-session-id'] as string };
  }

  get(headers: Record<string, string>): RecordingReply {
    const reply = new RecordingReply();
    this.front.get(this.endpoint, this.head(headers), reply);
    return reply;
  }

  delete(headers: Record<string, string>): RecordingReply {
    const reply = new RecordingReply();
    this.front.delete(this.endpoint, this.head(headers), reply);
    return reply;
  }

  private head(headers: Record<string, string>): RequestHead {
    return { headers, principal: this.principal } as unknown as RequestHead;
  }
}

const request = (id: unknown, method: string, params: object = {}) => ({
  jsonrpc: '2.0',
  id,
  method,
  params,
});
const notification = (method: string, params: object = {}) => ({ jsonrpc: '2.0', method, params });
const UNKNOWN = 'Session not found: it has ended or never was; begin a new one with initialize';
const settled = () => new Promise((resolve) => setImmediate(resolve));
const errorOf = (reply: RecordingReply) => (reply.json as { error: { code: number; message: string } }).error;
const asMessage = (value: object) => {
  const bytes = Buffer.from(JSON.stringify(value));
  return { bytes, envelope: scanMessage(bytes) };
};

describe('a session', () => {
  it('begins with initialize, and ends with DELETE', async () => {
    const setup = setUp();
    const reply = setup.initialize();
    await settled();
    const token = reply.headers['mcp-session-id'] as string;
    expect([reply.status, reply.json]).toEqual([
      200,
      { jsonrpc: '2.0', id: 0, result: { protocolVersion: '2025-11-25' } },
    ]);
    expect(setup.room.size).toBe(1);
    const session = { 'mcp-session-id': token };
    expect(setup.delete(session).status).toBe(200);
    expect([setup.room.size, setup.endpoint.last.closeCount, setup.ends]).toEqual([
      0,
      1,
      ['ended by the client'],
    ]);
    for (const gone of [setup.delete(session), setup.get(session), setup.post(request(1, 'ping'), session)]) {
      expect([gone.status, errorOf(gone).code]).toEqual([404, ErrorCode.SessionNotFound]);
    }
  });

  it('is another endpoint’s business at another endpoint', async () => {
    const setup = setUp();
    const session = await setup.open();
    const other = new Setup(setup.front, setup.room, new ScriptedEndpoint(), setup.ends);
    expect(other.post(request(1, 'ping'), session).status).toBe(404);
    expect(setup.endpoint.last.requests).toEqual([]);
  });

  it('is nobody’s but that of the principal who began it', async () => {
    const setup = setUp();
    const session = await setup.open();
    const accept = { ...session, accept: 'text/event-stream' };
    setup.get(accept).leave();
    const ben = setup.as('ben');
    for (const refused of [
      ben.post(request(1, 'tools/call'), session),
      ben.post(notification('notifications/cancelled', { requestId: 1 }), session),
      ben.get(accept),
      ben.get({ ...accept, 'last-event-id': 'g.1' }),
      ben.delete(session),
    ]) {
      expect([refused.status, errorOf(refused)]).toEqual([
        404,
        { code: ErrorCode.SessionNotFound, message: UNKNOWN },
      ]);
    }
    expect([setup.endpoint.last.requests, setup.endpoint.last.told, setup.room.size]).toEqual([[], [], 1]);
    setup.post(request(1, 'tools/call'), session);
    expect(setup.endpoint.last.requests).toMatchObject([{ caller: { principal: 'ada' } }]);
  });

  it('of a worker that is gone goes on for its principal alone', async () => {
    const setup = setUp();
    const elsewhere = new SessionTokens(SEALER, workerAddress(newNodeId(), 0));
    const { token } = elsewhere.mint({
      path: '/mcp',
      principal: 'ada',
      revision: '2025-11-25',
      capabilities: '{}',
      clientInfo: undefined,
    });
    const session = { 'mcp-session-id': token };
    const refused = setup.as('ben').post(request(1, 'ping'), session);
    await settled();
    expect([refused.status, setup.endpoint.opened]).toEqual([404, []]);
    const revived = setup.post(request(2, 'tools/call'), session);
    await settled();
    expect([revived.status, setup.endpoint.last.host.caller.principal]).toEqual([200, 'ada']);
    // Now that it is here the token opens it no more for others than before.
    expect(setup.as('ben').post(request(3, 'tools/call'), session).status).toBe(404);
  });

  it.each([
    [{}],
    [{ protocolVersion: 1, capabilities: {} }],
    [{ protocolVersion: '2025-11-25' }],
    [{ protocolVersion: '2025-11-25', capabilities: null }],
  ])('does not begin with %j', (params) => {
    const setup = setUp();
    const reply = setup.post(request(1, 'initialize', params));
    expect([reply.status, errorOf(reply).code, setup.endpoint.opened]).toEqual([
      400,
      ErrorCode.InvalidParams,
      [],
    ]);
  });

  it('speaks the latest revision when an unknown one is asked for', async () => {
    const setup = setUp();
    const reply = setup.initialize('1999-01-01');
    await settled();
    expect(reply.json).toMatchObject({ result: { protocolVersion: '2025-11-25' } });
  });

  it('whose client leaves during initialize is closed, with what was opened for it meanwhile', async () => {
    ScriptedBacking.waits = true;
    const setup = setUp();
    setup.initialize().leave();
    const backing = setup.endpoint.last;
    expect(backing.closeCount).toBe(1);
    backing.goOn();
    await settled();
    expect([setup.room.size, backing.closeCount, setup.ends]).toEqual([0, 2, []]);
  });

  it('does not outlive an endpoint that goes away during initialize', async () => {
    ScriptedBacking.waits = true;
    const setup = setUp();
    const reply = setup.initialize();
    setup.front.closeEndpoint(setup.endpoint, 'removed');
    setup.endpoint.last.goOn();
    await settled();
    expect([setup.room.size, errorOf(reply).code]).toEqual([0, ErrorCode.SessionNotFound]);
  });

  it('that says nothing for long ends, and one with an open stream does not', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    const setup = setUp({ idleTimeoutMs: 10_000 });
    await setup.open();
    const listening = await setup.open();
    const stream = setup.get(listening);
    vi.advanceTimersByTime(60_000);
    expect([setup.room.size, setup.ends]).toEqual([1, ['idle']]);
    stream.leave();
    vi.advanceTimersByTime(9_000);
    expect(setup.room.size).toBe(1);
    vi.advanceTimersByTime(2_000);
    expect(setup.room.size).toBe(0);
  });

  it('that another node has taken over is let go of, and found there', async () => {
    const tokens = new SessionTokens(SEALER, SELF);
    const store = new MemorySessionStore();
    const setup = setUp({}, tokens, store);
    const session = await setup.open();
    const token = session['mcp-session-id'] as string;
    const stream = setup.get({ ...session, accept: 'text/event-stream' });
    const id = tokens.open(token)?.id as string;
    await store.claim(id, SELF, 'other.0');
    expect([setup.room.size, setup.ends, stream.open]).toEqual([0, ['another node has it'], false]);
    expect(tokens.owner(token)).toBe('other.0');
    // It has not ended, and comes back when the other one is gone.
    const reply = setup.post(request(1, 'ping'), session);
    await settled();
    expect(reply.json).toMatchObject({ result: {} });
    expect(setup.room.size).toBe(1);
  });

  it('that is idle longest makes room for one too many', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const setup = setUp({ maxSessionCount: 3 });
    const sessions = [];
    for (let i = 0; i < 3; i++) {
      sessions.push(await setup.open());
      vi.advanceTimersByTime(1_000);
    }
    setup.get(sessions[0] as Record<string, string>);
    await setup.open();
    expect(setup.ends).toEqual(['made room for a new session']);
    const statuses = sessions.map((session) => setup.post(notification('notifications/x'), session).status);
    expect(statuses).toEqual([202, 404, 202]);
  });

  it('that cannot be opened takes the room of nobody', async () => {
    const setup = setUp({ maxSessionCount: 1 });
    await setup.open();
    ScriptedBacking.waits = true;
    const reply = setup.initialize();
    setup.endpoint.last.fail(new RpcError(ErrorCode.UpstreamUnavailable, 'away'));
    await settled();
    expect([errorOf(reply).message, setup.ends, setup.room.size]).toEqual(['away', [], 1]);
  });
});

describe('a POST', () => {
  it.each([
    ['no session', {}, 400, ErrorCode.InvalidRequest],
    ['an unknown session', { 'mcp-session-id': 'x' }, 404, ErrorCode.SessionNotFound],
    ['an unknown revision', { 'mcp-protocol-version': '1999-01-01' }, 400, ErrorCode.InvalidRequest],
    ['the modern revision', { 'mcp-protocol-version': '2026-07-28' }, 400, ErrorCode.InvalidRequest],
    ['an Accept for neither', { accept: 'text/html' }, 406, ErrorCode.InvalidRequest],
  ])('with %s is refused', async (_, headers, status, code) => {
    const setup = setUp();
    const session = await setup.open();
    const reply = setup.post(
      request('a', 'ping'),
      'accept' in headers || 'mcp-protocol-version' in headers ? { ...session, ...headers } : headers,
    );
    expect([reply.status, errorOf(reply).code, (reply.json as { id: unknown }).id]).toEqual([
      status,
      code,
      'a',
    ]);
    expect(setup.endpoint.last.requests).toEqual([]);
  });

  it('with notifications and responses gets 202 and nothing', async () => {
    const setup = setUp();
    const session = await setup.open();
    const replies = [
      setup.post(notification('notifications/initialized'), session),
      setup.post({ jsonrpc: '2.0', id: 4, result: {} }, session),
    ];
    expect(replies.map(({ status, body }) => [status, body])).toEqual([
      [202, ''],
      [202, ''],
    ]);
    expect(setup.endpoint.last.told).toEqual(['notifications/initialized', 'response']);
  });

  it('whose request fails gets the error', async () => {
    const setup = setUp();
    const session = await setup.open();
    setup.endpoint.last.answer = () => Promise.reject(new RpcError(-32602, 'no such thing'));
    const reply = setup.post(request(1, 'tools/call'), session);
    setup.endpoint.last.answer = () => Promise.reject(new Error('a secret'));
    const fault = setup.post(request(2, 'tools/call'), session);
    await settled();
    expect(reply.json).toEqual({ jsonrpc: '2.0', id: 1, error: { code: -32602, message: 'no such thing' } });
    expect(errorOf(fault)).toEqual({
      code: ErrorCode.InternalError,
      message: 'Internal error of the gateway',
    });
  });

  it('with the id of a request under way is refused, and free again afterwards', async () => {
    const setup = setUp();
    const session = await setup.open();
    let finish: ((outcome: Outcome) => void) | undefined;
    setup.endpoint.last.answer = () => new Promise((resolve) => (finish = resolve));
    const first = setup.post(request(1, 'tools/call'), session);
    expect(errorOf(setup.post(request(1, 'tools/call'), session)).code).toBe(ErrorCode.InvalidRequest);
    finish?.(result(setup.endpoint.last.requests[0] as Exchange, {}));
    await settled();
    expect(first.json).toEqual({ jsonrpc: '2.0', id: 1, result: {} });
    setup.endpoint.last.answer = (exchange) => Promise.resolve(result(exchange, { again: true }));
    const again = setup.post(request(1, 'tools/call'), session);
    await settled();
    expect(again.json).toMatchObject({ result: { again: true } });
  });

  it('that cancels reaches the request of the same session, and never initialize', async () => {
    const setup = setUp();
    const session = await setup.open();
    const other = await setup.open();
    setup.endpoint.first.answer = () => new Promise(() => undefined);
    setup.post(request(1, 'tools/call'), session);
    const { cancellation } = setup.endpoint.first.requests[0] as Exchange;
    setup.post(notification('notifications/cancelled', { requestId: 1 }), other);
    setup.post(notification('notifications/cancelled', { requestId: '1' }), session);
    expect(cancellation.cancelled).toBe(false);
    setup.post(notification('notifications/cancelled', { requestId: 1 }), session);
    expect(cancellation.cancelled).toBe(true);
    expect(setup.endpoint.first.told).toEqual([]);
  });

  it('knows an id however it is spelled', async () => {
    const setup = setUp();
    const session = await setup.open();
    setup.endpoint.first.answer = () => new Promise(() => undefined);
    setup.post(request('a/b', 'tools/call'), session);
    setup.post(
      '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a\\/b"}}',
      session,
    );
    expect(setup.endpoint.first.requests[0]?.cancellation.cancelled).toBe(true);
  });
});

describe('a batch', () => {
  it('is answered as one in revision 2025-03-26', async () => {
    const setup = setUp();
    const session = await setup.open('2025-03-26');
    const reply = setup.post([request(1, 'a'), notification('n'), request(2, 'b')], session);
    await settled();
    expect(reply.json).toEqual([1, 2].map((id) => ({ jsonrpc: '2.0', id, result: { ok: true } })));
    expect(setup.endpoint.last.told).toEqual(['n']);
    expect(setup.post([notification('n'), notification('n')], session).status).toBe(202);
  });

  it('of two requests with one id is answered twice', async () => {
    const setup = setUp();
    const session = await setup.open('2025-03-26');
    const reply = setup.post([request(1, 'a'), request(1, 'b')], session);
    await settled();
    expect(reply.json).toMatchObject([
      { id: 1, error: { code: ErrorCode.InvalidRequest } },
      { id: 1, result: {} },
    ]);
    expect(setup.endpoint.last.requests).toHaveLength(1);
  });

  it('is refused in other revisions, and with initialize in it', async () => {
    const setup = setUp();
    const session = await setup.open('2025-06-18');
    expect(setup.post([request(1, 'a')], session).status).toBe(400);
    const initialize = request(1, 'initialize', { protocolVersion: '2025-03-26', capabilities: {} });
    expect(setup.post([initialize, request(2, 'a')]).status).toBe(400);
    expect(setup.endpoint.opened).toHaveLength(1);
    expect(setup.endpoint.last.requests).toEqual([]);
  });
});

describe('the GET stream', () => {
  const changed = asMessage(notification('notifications/tools/list_changed'));
  const ids = (reply: RecordingReply) => reply.events.map(({ id }) => id);

  it('tells what came before it was opened, and what comes, once', async () => {
    const setup = setUp();
    const session = await setup.open('2025-06-18');
    const { host } = setup.endpoint.last;
    host.toClient(changed, undefined);
    const first = setup.get(session);
    host.toClient(changed, undefined);
    expect(ids(first)).toEqual(['g_1', 'g_2']);
    first.leave();
    host.toClient(changed, undefined);
    const second = setup.get(session);
    host.toClient(changed, undefined);
    expect(ids(second)).toEqual(['g_3', 'g_4']);
  });

  it('is one at a time, and resumes after the event that the client read last', async () => {
    const setup = setUp();
    const session = await setup.open();
    const first = setup.get(session);
    for (let i = 0; i < 3; i++) setup.endpoint.last.host.toClient(changed, undefined);
    expect(setup.get(session).status).toBe(409);
    const resumed = setup.get({ ...session, 'last-event-id': 'g_1' });
    expect([ids(resumed), first.hasEnded]).toEqual([['g_2', 'g_3'], true]);
  });

  it('goes on from here when it cannot be resumed, and the client is told to look again', async () => {
    const setup = setUp();
    const session = await setup.open();
    const reply = setup.get({ ...session, 'last-event-id': 'g_9' });
    expect([reply.status, setup.endpoint.last.told]).toEqual([200, ['resync']]);
  });

  it.each(['p7_1', 'nonsense', ''])('is not resumed from %j', async (from) => {
    const setup = setUp();
    const reply = setup.get({ ...(await setup.open()), 'last-event-id': from });
    expect([reply.status, errorOf(reply).message]).toEqual([
      400,
      expect.stringContaining(JSON.stringify(from)),
    ]);
  });

  it('keeps of streams that have ended the newest, as much as one stream may keep', async () => {
    const setup = setUp();
    const session = await setup.open();
    const large = Buffer.from(JSON.stringify({ filler: 'x'.repeat(3_000) }));
    setup.endpoint.last.answer = async (exchange) => {
      exchange.notify(large);
      return result(exchange, {});
    };
    for (let i = 1; i <= 5; i++) {
      setup.post(request(i, 'tools/call'), session);
      await settled();
    }
    const codes = [1, 2, 3, 4, 5].map((i) => {
      const { events } = setup.get({ ...session, 'last-event-id': `${streamIdFor(i, String(i))}_1` });
      const { id, error } = (events.at(-1) as { message: { id: number; error?: { code: number } } }).message;
      expect(id).toBe(i);
      return error?.code;
    });
    // Whoever waits for the answer of a stream that is not kept hears that it is lost.
    expect(codes).toEqual([ErrorCode.UpstreamLost, ErrorCode.UpstreamLost, undefined, undefined, undefined]);
  });

  it('needs an Accept that takes it', async () => {
    const setup = setUp();
    expect(setup.get({ ...(await setup.open()), accept: 'application/json' }).status).toBe(406);
  });

  it('resumes the stream of a request too, whose rest comes there and nowhere else', async () => {
    const setup = setUp();
    const session = await setup.open('2025-06-18');
    let finish: ((outcome: Outcome) => void) | undefined;
    setup.endpoint.last.answer = () => new Promise((resolve) => (finish = resolve));
    const listening = setup.get(session);
    const call = setup.post(request(1, 'tools/call'), session);
    const exchange = setup.endpoint.last.requests[0] as Exchange;
    exchange.notify(Buffer.from('{"n":1}'));
    call.leave();
    exchange.notify(Buffer.from('{"n":2}'));
    finish?.(result(exchange, {}));
    await settled();
    const resumed = setup.get({ ...session, 'last-event-id': 'p1-MQ_1' });
    expect(resumed.events).toEqual([
      { id: 'p1-MQ_2', message: { n: 2 } },
      { id: 'p1-MQ_3', message: { jsonrpc: '2.0', id: 1, result: {} } },
    ]);
    expect([resumed.hasEnded, listening.events]).toEqual([true, []]);
  });
});
