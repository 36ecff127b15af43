import { afterEach, describe, expect, it } from 'vitest';
import type { Exchange, Outcome } from '../../exchange/exchange.js';
import type { Reply, RequestHead } from '../../listener/listener.js';
import { ErrorCode, RpcError } from '../../protocol/errors.js';
import { META } from '../../protocol/revisions.js';
import { scanMessage } from '../../protocol/scan.js';
import { newNodeId, workerAddress } from '../../sessions/node-bus.js';
import { ParkedElsewhere } from '../../sessions/parked-elsewhere.js';
import { result, ScriptedBacking, ScriptedEndpoint } from '../scripted-endpoint.js';
import { SessionRoom } from '../session-room.js';
import type { DuplexClient, DuplexConnection } from './connection.js';
import { DuplexFront, type DuplexFrontOptions } from './front.js';

afterEach(() => {
  ScriptedBacking.waits = false;
});

type Sent = { id?: unknown; method?: string; result?: unknown; error?: { code: number; message: string } };

class Connection implements DuplexConnection {
  readonly transport = 'websocket';
  readonly sent: (Sent | Sent[])[] = [];
  readonly closes: string[] = [];
  reads = true;

  send(message: Buffer): boolean {
    if (this.reads) this.sent.push(JSON.parse(message.toString()));
    return this.reads;
  }

  close(reason: string): void {
    this.closes.push(reason);
  }
}

class Setup {
  readonly endpoint = new ScriptedEndpoint();
  readonly connection = new Connection();
  readonly ends: string[] = [];
  readonly faults: unknown[] = [];
  /** What was counted: `method status code`. */
  readonly counted: string[] = [];
  readonly refused: number[] = [];
  inFlight = 0;
  refusal: RpcError | undefined;
  readonly room: SessionRoom;
  readonly front: DuplexFront;
  readonly client: DuplexClient;

  constructor({ room = places(10), ...options }: Partial<DuplexFrontOptions> = {}) {
    this.room = room;
    this.front = new DuplexFront({
      room,
      traffic: {
        refusal: () => this.refusal,
        refused: (status) => this.refused.push(status),
        began: () => this.inFlight++,
        ended: (endpoint, method, status, code) => {
          expect(endpoint).toBe(this.endpoint);
          this.inFlight--;
          this.counted.push(`${method} ${status} ${code}`);
        },
      },
      maxMessageBytes: () => 10_000,
      forward: () => false,
      onSessionEnd: (reason) => this.ends.push(reason),
      onFault: (thrown) => this.faults.push(thrown),
      ...options,
    });
    this.client = this.open(this.connection);
  }

  open(connection: DuplexConnection): DuplexClient {
    const headers = { host: 'localhost', 'mcp-name': 'of the upgrade', traceparent: '00-1' };
    return this.front.open(this.endpoint, connection, { headers, principal: 'ada' });
  }

  say(message: unknown): void {
    this.client.message(Buffer.from(typeof message === 'string' ? message : JSON.stringify(message)));
  }

  /** Says it, and returns what comes next. */
  async ask(message: unknown): Promise<Sent | Sent[]> {
    const at = this.connection.sent.length;
    this.say(message);
    return await expect
      .poll(() => this.connection.sent[at], { interval: 1 })
      .toBeDefined()
      .then(() => this.connection.sent[at] as Sent);
  }

  async initialize(protocolVersion = '2025-11-25'): Promise<ScriptedBacking> {
    await this.ask(request(0, 'initialize', { protocolVersion, capabilities: {} }));
    this.say(notification('notifications/initialized'));
    return this.endpoint.last;
  }

  get last(): Sent {
    return this.connection.sent.at(-1) as Sent;
  }
}

function places(maxSessionCount: number): SessionRoom {
  return new SessionRoom(() => ({ maxSessionCount, maxSessionPerPrincipalCount: maxSessionCount }));
}

function request(id: unknown, method: string, params: object = {}) {
  return { jsonrpc: '2.0', id, method, params };
}

function modern(id: unknown, method: string, params: object = {}, version = '2026-07-28') {
  const _meta = { [META.version]: version, [META.capabilities]: {} };
  return request(id, method, { _meta, ...params });
}

function notification(method: string, params: object = {}) {
  return { jsonrpc: '2.0', method, params };
}

/** An answer that the test gives when it likes. */
function held(): { answer: (exchange: Exchange) => Promise<Outcome>; give: () => void; exchange: Exchange } {
  const state = {
    give: () => {},
    exchange: undefined as unknown as Exchange,
    answer: (exchange: Exchange) =>
      new Promise<Outcome>((resolve, reject) => {
        state.exchange = exchange;
        state.give = () => resolve(result(exchange, { late: true }));
        exchange.cancellation.onCancel({ cancel: () => reject(new RpcError(0, 'cancelled')) });
      }),
  };
  return state;
}

/** Lets everything run that waits for nothing. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

describe('a modern client', () => {
  it('is answered under its id, with the headers of the connection but none that name a message', async () => {
    const setup = new Setup();
    expect(await setup.ask(modern('a', 'tools/list'))).toEqual({
      jsonrpc: '2.0',
      id: 'a',
      result: { modern: true },
    });
    const [exchange] = setup.endpoint.requests as [Exchange];
    expect(exchange.caller).toMatchObject({ era: 'modern', revision: '2026-07-28', principal: 'ada' });
    expect({ ...exchange.headers }).toEqual({ host: 'localhost', traceparent: '00-1' });
    expect(exchange.bodyOnly).toBe(true);
    expect(setup.counted).toEqual(['tools/list 200 0']);
    expect(setup.inFlight).toBe(0);
  });

  it('is told of a revision that nobody speaks', async () => {
    const setup = new Setup();
    expect(await setup.ask(modern(1, 'tools/list', {}, '2031-01-01'))).toMatchObject({
      id: 1,
      error: { code: ErrorCode.UnsupportedProtocolVersion, data: { requested: '2031-01-01' } },
    });
    expect(setup.counted).toEqual([`tools/list 400 ${ErrorCode.UnsupportedProtocolVersion}`]);
  });

  it('hears notifications until its response, and nothing after', async () => {
    const setup = new Setup();
    const call = held();
    setup.endpoint.answer = call.answer;
    setup.say(modern(1, 'tools/call', { name: 'x' }));
    const progress = Buffer.from(JSON.stringify(notification('notifications/progress')));
    call.exchange.notify(progress);
    call.give();
    await settle();
    call.exchange.notify(progress);
    expect(setup.connection.sent.map((each) => (each as Sent).method ?? 'response')).toEqual([
      'notifications/progress',
      'response',
    ]);
  });

  it('cancels, and hears no more of the request', async () => {
    const setup = new Setup();
    const call = held();
    setup.endpoint.answer = call.answer;
    setup.say(modern('r/1', 'tools/call', { name: 'x' }));
    expect(setup.client.requestCount).toBe(1);
    // The same id in another spelling.
    setup.say('{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"r\\/1"}}');
    call.exchange.notify(Buffer.from('{}'));
    await settle();
    expect(call.exchange.cancellation.cancelled).toBe(true);
    expect(setup.connection.sent).toEqual([]);
    expect(setup.counted).toEqual(['notifications/cancelled 202 0', 'tools/call 499 0']);
    expect(setup.client.requestCount).toBe(0);
    expect(setup.endpoint.told).toEqual([]);
  });

  it('gets an error when an id is in use', async () => {
    const setup = new Setup();
    setup.endpoint.answer = held().answer;
    setup.say(modern(1, 'tools/call', { name: 'x' }));
    expect(await setup.ask(modern(1, 'tools/list'))).toMatchObject({
      id: 1,
      error: { code: ErrorCode.InvalidRequest, message: expect.stringContaining('under way') },
    });
  });

  it('gets a response for a subscription that the gateway ends', async () => {
    const setup = new Setup();
    setup.endpoint.answer = held().answer;
    setup.say(modern('s', 'subscriptions/listen', { notifications: {} }));
    setup.front.drain('the gateway shuts down');
    await settle();
    expect(setup.last).toEqual({
      jsonrpc: '2.0',
      id: 's',
      result: { resultType: 'complete', _meta: { [META.subscriptionId]: 's' } },
    });
    expect(setup.connection.closes).toEqual(['the gateway shuts down']);
    expect(setup.inFlight).toBe(0);
  });
});

describe('a modern request whose call another worker has', () => {
  class Elsewhere {
    reply: Reply | undefined;
    head: RequestHead | undefined;
    readonly setup = new Setup({
      forward: (_worker, head, _body, reply) => {
        this.head = head;
        this.reply = reply;
        return true;
      },
    });

    constructor() {
      this.setup.endpoint.answer = () =>
        Promise.reject(new ParkedElsewhere(workerAddress(newNodeId(), 1), 'the call is gone'));
      this.setup.say(modern(1, 'tools/call', { name: 'ü', requestState: 's' }));
    }
  }

  it('goes there as a POST, and its answer comes back', async () => {
    const there = new Elsewhere();
    await settle();
    expect(there.head).toMatchObject({ method: 'POST', path: '/mcp', query: '', principal: 'ada' });
    expect({ ...there.head?.headers }).toMatchObject({
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': '=?base64?w7w=?=',
      traceparent: '00-1',
    });
    there.reply?.send(200, [], '{"jsonrpc":"2.0","id":1,"result":{"done":true}}');
    expect(there.setup.connection.sent).toEqual([{ jsonrpc: '2.0', id: 1, result: { done: true } }]);
    expect(there.setup.counted).toEqual(['tools/call 200 0']);
  });

  it('may be answered by a stream', async () => {
    const there = new Elsewhere();
    await settle();
    there.reply?.begin(200, []);
    there.reply?.write(':\n\n');
    there.reply?.write(Buffer.from('data: {"jsonrpc":"2.0","method":"notifications/progress"}\n\n'));
    there.reply?.write('data: {"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}\n\n');
    there.reply?.end();
    expect(there.setup.connection.sent).toMatchObject([
      { method: 'notifications/progress' },
      { id: 1, error: { code: -32602 } },
    ]);
    expect(there.setup.counted).toEqual(['tools/call 200 -32602']);
  });

  it('is cancelled there', async () => {
    const there = new Elsewhere();
    await settle();
    let isAborted = false;
    there.reply?.onAborted(() => {
      isAborted = true;
    });
    there.setup.say(notification('notifications/cancelled', { requestId: 1 }));
    there.reply?.send(200, [], '{"jsonrpc":"2.0","id":1,"result":{}}');
    expect([isAborted, there.setup.connection.sent]).toEqual([true, []]);
  });

  it('is lost with that worker', async () => {
    const there = new Elsewhere();
    await settle();
    there.reply?.close();
    expect(there.setup.last).toMatchObject({ id: 1, error: { code: ErrorCode.UpstreamLost } });
  });

  it('is refused when nobody is there', async () => {
    const setup = new Setup();
    setup.endpoint.answer = () =>
      Promise.reject(new ParkedElsewhere(workerAddress(newNodeId(), 1), 'the call is gone'));
    expect(await setup.ask(modern(1, 'tools/call', { name: 'x', requestState: 's' }))).toMatchObject({
      error: { code: ErrorCode.InvalidParams },
    });
  });
});

describe('a legacy client', () => {
  it('begins a session, which is counted and ends with the connection', async () => {
    const setup = new Setup();
    const backing = await setup.initialize();
    expect(setup.room.size).toBe(1);
    expect(backing.told).toEqual(['notifications/initialized']);
    expect(await setup.ask(request(1, 'tools/list'))).toMatchObject({ id: 1, result: { ok: true } });
    setup.client.gone();
    expect(setup.room.size).toBe(0);
    expect(backing.closeCount).toBe(1);
    expect(setup.ends).toEqual(['the client left']);
    expect(setup.inFlight).toBe(0);
  });

  it('has to initialize first, but for a ping', async () => {
    const setup = new Setup();
    expect(await setup.ask(request(1, 'tools/list'))).toMatchObject({
      id: 1,
      error: { code: ErrorCode.InvalidRequest, message: expect.stringContaining('begin with initialize') },
    });
    expect(await setup.ask(request(2, 'ping'))).toEqual({ jsonrpc: '2.0', id: 2, result: {} });
  });

  it('may say more before initialize is answered; it is done in order', async () => {
    ScriptedBacking.waits = true;
    const setup = new Setup();
    setup.say(request(0, 'initialize', { protocolVersion: '2025-06-18', capabilities: {} }));
    setup.say(notification('notifications/initialized'));
    setup.say(request(1, 'tools/list'));
    expect(setup.connection.sent).toEqual([]);
    setup.endpoint.last.goOn();
    await settle();
    expect(setup.connection.sent.map((each) => (each as Sent).id)).toEqual([0, 1]);
    expect(setup.endpoint.last.told).toEqual(['notifications/initialized']);
  });

  it('is told when too much waits for initialize', async () => {
    ScriptedBacking.waits = true;
    const setup = new Setup();
    setup.say(request(0, 'initialize', { protocolVersion: '2025-06-18', capabilities: {} }));
    for (let id = 1; id <= 100; id++) setup.say(request(id, 'ping'));
    expect(await setup.ask(request(101, 'ping'))).toMatchObject({
      id: 101,
      error: { code: ErrorCode.Overloaded },
    });
    setup.endpoint.last.goOn();
    await settle();
    expect(setup.connection.sent).toHaveLength(102);
  });

  it('may initialize again after a failure, and not twice', async () => {
    ScriptedBacking.waits = true;
    const setup = new Setup();
    const hello = { protocolVersion: '2025-06-18', capabilities: {} };
    setup.say(request(0, 'initialize', hello));
    setup.endpoint.last.fail(new RpcError(ErrorCode.UpstreamUnavailable, 'nobody is there'));
    await settle();
    expect(setup.last).toMatchObject({ id: 0, error: { message: 'nobody is there' } });
    expect(setup.endpoint.last.closeCount).toBe(1);
    ScriptedBacking.waits = false;
    expect(await setup.ask(request(1, 'initialize', hello))).toMatchObject({
      id: 1,
      result: hello.capabilities,
    });
    expect(await setup.ask(request(2, 'initialize', hello))).toMatchObject({
      id: 2,
      error: { code: ErrorCode.InvalidRequest, message: 'the session of this connection has begun already' },
    });
  });

  it('is asked, and its answers reach the endpoint', async () => {
    const setup = new Setup();
    const backing = await setup.initialize();
    const bytes = Buffer.from(JSON.stringify(request('ask-1', 'roots/list')));
    backing.host.toClient({ bytes, envelope: scanMessage(bytes) }, undefined);
    expect(setup.last).toMatchObject({ id: 'ask-1', method: 'roots/list' });
    setup.say({ jsonrpc: '2.0', id: 'ask-1', result: { roots: [] } });
    expect(backing.told).toEqual(['notifications/initialized', 'response']);
  });

  it('cancels, and gets no response', async () => {
    const setup = new Setup();
    const backing = await setup.initialize();
    const call = held();
    backing.answer = call.answer;
    setup.say(request(7, 'tools/call', { name: 'x' }));
    const before = setup.connection.sent.length;
    setup.say(notification('notifications/cancelled', { requestId: 7 }));
    await settle();
    expect(call.exchange.cancellation.cancelled).toBe(true);
    expect(setup.connection.sent).toHaveLength(before);
    expect(setup.counted.at(-1)).toBe('tools/call 499 0');
  });

  it('may send a batch in 2025-03-26, and gets one back', async () => {
    const setup = new Setup();
    await setup.initialize('2025-03-26');
    const answers = (await setup.ask([
      request(1, 'tools/list'),
      notification('notifications/progress'),
      request(2, 'tools/list'),
    ])) as Sent[];
    expect(answers.map(({ id }) => id)).toEqual([1, 2]);
    expect(await setup.ask([request(3, 'initialize')])).toMatchObject({
      id: null,
      error: { code: ErrorCode.InvalidRequest },
    });
  });

  it.each(['2025-06-18', '2025-11-25', '2024-11-05'])('may send no batch in %s', async (revision) => {
    const setup = new Setup();
    await setup.initialize(revision);
    expect(await setup.ask([request(1, 'tools/list')])).toMatchObject({
      id: null,
      error: { code: ErrorCode.InvalidRequest, message: expect.stringContaining('has no batches') },
    });
  });

  it('loses the connection when the session cannot go on', async () => {
    const setup = new Setup();
    const backing = await setup.initialize();
    backing.answer = held().answer;
    setup.say(request(1, 'tools/call', { name: 'x' }));
    backing.host.end('the upstream forgot it');
    expect(setup.last).toMatchObject({ id: 1, error: { code: ErrorCode.SessionNotFound } });
    expect(setup.connection.closes).toEqual(['the upstream forgot it']);
    expect(setup.room.size).toBe(0);
  });

  it('makes room for another when all places are taken', async () => {
    const setup = new Setup({ room: places(1) });
    await setup.initialize();
    const other = new Connection();
    const client = setup.open(other);
    client.message(
      Buffer.from(
        JSON.stringify(request(0, 'initialize', { protocolVersion: '2025-11-25', capabilities: {} })),
      ),
    );
    await settle();
    expect(other.sent).toHaveLength(1);
    expect(setup.connection.closes).toEqual(['made room for a new session']);
    expect(setup.room.size).toBe(1);
  });
});

describe('one connection', () => {
  it('carries both eras, whose ids are one set', async () => {
    const setup = new Setup();
    const backing = await setup.initialize();
    backing.answer = held().answer;
    setup.say(request(1, 'tools/call', { name: 'x' }));
    expect(await setup.ask(modern(1, 'tools/list'))).toMatchObject({
      error: { code: ErrorCode.InvalidRequest },
    });
    expect(await setup.ask(modern(2, 'tools/list'))).toMatchObject({ id: 2, result: { modern: true } });
    setup.endpoint.answer = held().answer;
    setup.say(modern(3, 'tools/list'));
    expect(await setup.ask(request(3, 'tools/list'))).toMatchObject({
      error: { code: ErrorCode.InvalidRequest },
    });
  });

  it('bears with what is no message', async () => {
    const setup = new Setup();
    expect(await setup.ask('{"jsonrpc"')).toMatchObject({ id: null, error: { code: ErrorCode.ParseError } });
    expect(await setup.ask('{"jsonrpc":"2.0","id":4,"method":7}')).toMatchObject({
      id: 4,
      error: { code: ErrorCode.InvalidRequest },
    });
    expect(await setup.ask('')).toMatchObject({ id: null, error: { code: ErrorCode.ParseError } });
    expect(await setup.ask(`"${'x'.repeat(10_000)}"`)).toMatchObject({
      id: null,
      error: { code: ErrorCode.InvalidRequest, message: expect.stringContaining('at most 10000') },
    });
    expect(await setup.ask(modern(1, 'tools/list'))).toMatchObject({ id: 1, result: { modern: true } });
    expect(setup.connection.closes).toEqual([]);
    expect(setup.refused).toEqual([400, 400, 400, 413]);
  });

  it('never answers notifications and responses', async () => {
    const setup = new Setup();
    setup.say(notification('notifications/initialized'));
    setup.say(notification('notifications/cancelled', { requestId: 1 }));
    setup.say({ jsonrpc: '2.0', id: 1, result: {} });
    await settle();
    expect(setup.connection.sent).toEqual([]);
  });

  it('takes nothing new when there is too much to do', async () => {
    const setup = new Setup();
    setup.refusal = new RpcError(ErrorCode.Overloaded, 'too much');
    expect(await setup.ask(modern(1, 'tools/list'))).toMatchObject({ id: 1, error: { message: 'too much' } });
    expect(await setup.ask(request(2, 'initialize'))).toMatchObject({
      id: 2,
      error: { message: 'too much' },
    });
    expect(setup.refused).toEqual([503, 503]);
    expect(setup.endpoint.requests).toEqual([]);
  });

  it('ends with its last request when its endpoint is removed', async () => {
    const setup = new Setup();
    const backing = await setup.initialize();
    const [old, current] = [held(), held()];
    backing.answer = old.answer;
    setup.endpoint.answer = current.answer;
    setup.say(request(1, 'tools/call', { name: 'x' }));
    setup.say(modern(2, 'tools/call', { name: 'x' }));
    setup.front.closeEndpoint(setup.endpoint, 'the endpoint is gone');
    expect(await setup.ask(request(3, 'tools/list'))).toMatchObject({
      error: { code: ErrorCode.Overloaded },
    });
    old.give();
    await settle();
    expect(setup.connection.closes).toEqual([]);
    current.give();
    await settle();
    expect(setup.connection.sent.slice(-2)).toMatchObject([
      { id: 1, result: { late: true } },
      { id: 2, result: { late: true } },
    ]);
    expect(setup.connection.closes).toEqual(['the endpoint is gone']);
    expect(setup.ends).toEqual(['the endpoint is gone']);
  });

  it('that is gone cancels everything', async () => {
    const setup = new Setup();
    const backing = await setup.initialize();
    const [old, current] = [held(), held()];
    backing.answer = old.answer;
    setup.endpoint.answer = current.answer;
    setup.say(request(1, 'tools/call', { name: 'x' }));
    setup.say(modern(2, 'tools/call', { name: 'x' }));
    const before = setup.connection.sent.length;
    setup.client.gone();
    await settle();
    expect([old, current].map(({ exchange }) => exchange.cancellation.cancelled)).toEqual([true, true]);
    expect(setup.connection.sent).toHaveLength(before);
    expect(setup.inFlight).toBe(0);
    setup.say(modern(3, 'tools/list'));
    expect(setup.endpoint.requests).toHaveLength(1);
  });

  it('that nobody reads is given up', async () => {
    const setup = new Setup();
    await setup.initialize();
    setup.connection.reads = false;
    setup.say(request(1, 'tools/list'));
    await settle();
    expect(setup.ends).toEqual(['the client does not read']);
    expect(setup.room.size).toBe(0);
    expect(setup.inFlight).toBe(0);
  });

  it('goes on after a fault of the gateway', async () => {
    let isBroken = true;
    const maxMessageBytes = () => {
      if (isBroken) throw new Error('a fault');
      return 1_000;
    };
    const setup = new Setup({ maxMessageBytes });
    expect(await setup.ask(modern(1, 'tools/list'))).toMatchObject({
      id: null,
      error: { code: ErrorCode.InternalError, message: 'Internal error of the gateway' },
    });
    expect(setup.faults).toHaveLength(1);
    isBroken = false;
    setup.endpoint.answer = () => {
      throw new Error('another fault');
    };
    expect(await setup.ask(modern(1, 'tools/list'))).toMatchObject({
      id: 1,
      error: { code: ErrorCode.InternalError },
    });
    expect(setup.inFlight).toBe(0);
  });
});
