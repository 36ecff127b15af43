import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Cancellation } from '../exchange/exchange.js';
import { ErrorCode, RpcError, resultMessage } from '../protocol/errors.js';
import type { Era } from '../protocol/revisions.js';
import { scanMessage } from '../protocol/scan.js';
import { binaryToBytes } from '../protocol/text.js';
import { idOf, type UpstreamCall, type UpstreamReply } from './call.js';
import { ownCall } from './own-request.js';
import {
  MAX_PRINCIPAL_CONNECTION_COUNT,
  PRINCIPAL_IDLE_MS,
  PrincipalConnections,
} from './principal-connections.js';
import type { Shared, SharedEvents } from './shared-connection.js';
import { updatedUri } from './subscriptions.js';

const FACTS = {
  revision: '2025-11-25',
  capabilities: { logging: {}, resources: { subscribe: true } },
  serverInfo: undefined,
  instructions: undefined,
};

function messageOf(message: object) {
  const bytes = Buffer.from(JSON.stringify({ jsonrpc: '2.0', ...message }));
  return { bytes, envelope: scanMessage(bytes) };
}

/** One connection, at whose other end is the test. */
class Connection implements Shared {
  readonly era: Era = 'legacy';
  readonly facts = FACTS;
  /** `method`, or `method what`, in the order in which they came. */
  readonly heard: string[] = [];
  closed = false;
  /** Calls are answered by hand. */
  private static held: (() => void)[] | undefined;

  constructor(readonly events: SharedEvents) {}

  static hold(): void {
    Connection.held = [];
  }

  static answerAll(): void {
    for (const answer of Connection.held ?? []) answer();
    Connection.held = undefined;
  }

  call(call: UpstreamCall): Promise<UpstreamReply> {
    const { params } = JSON.parse(call.bytes.toString()) as { params: Record<string, string> };
    const what = params.name ?? params.uri ?? params.level;
    this.heard.push(what === undefined ? call.method : `${call.method} ${what}`);
    const bytes = binaryToBytes(resultMessage(idOf(call), '{}'));
    const reply = { bytes, envelope: scanMessage(bytes) };
    return new Promise((resolve) => {
      if (Connection.held === undefined) resolve(reply);
      else Connection.held.push(() => resolve(reply));
    });
  }

  listen(): undefined {
    this.heard.push('listen');
  }

  updated(uri: string): void {
    const { bytes, envelope } = messageOf({ method: 'notifications/resources/updated', params: { uri } });
    this.events.notification(bytes, envelope);
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}

let opened: Connection[];
let refusal: RpcError | undefined;
/** What the gateway's own connection was asked. */
let asked: string[];
let ownListsChangedCount: number;
let connections: PrincipalConnections;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] });
  opened = [];
  asked = [];
  ownListsChangedCount = 0;
  refusal = undefined;
  connections = new PrincipalConnections({
    name: 'up',
    log: pino({ level: 'silent' }),
    facts: FACTS,
    backoffMaxMs: 5_000,
    async connect(events) {
      if (refusal !== undefined) throw refusal;
      const connection = new Connection(events);
      opened.push(connection);
      return connection;
    },
    ask: (method) => {
      asked.push(method);
      return new Promise(() => {});
    },
    ownListsChanged: () => ownListsChangedCount++,
    resourceUpdated: () => {},
  });
});
afterEach(async () => {
  Connection.answerAll();
  await connections.close();
  vi.useRealTimers();
});

const call = (principal: string, name = 'echo', level?: string) =>
  connections.call(principal, ownCall('tools/call', { name }, false), level);
const turns = async () => {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
};

describe('a connection', () => {
  it('is one principal’s, however many of its calls come at once', async () => {
    await Promise.all([call('ada', 'a'), call('ada', 'b'), call('ben', 'c')]);
    await call('ada', 'd');
    expect(opened.map(({ heard }) => heard)).toEqual([
      ['tools/call a', 'tools/call b', 'tools/call d'],
      ['tools/call c'],
    ]);
  });

  it('is told the lowest log level of its own principal', async () => {
    await call('ada', 'a', 'debug');
    await call('ada', 'b', 'debug');
    await call('ben', 'c', 'error');
    expect(opened.map(({ heard }) => heard)).toEqual([
      ['logging/setLevel debug', 'tools/call a', 'tools/call b'],
      ['logging/setLevel info', 'tools/call c'],
    ]);
  });

  it('is sent no call that was cancelled while it was made', async () => {
    const cancellation = new Cancellation();
    const own = { ...ownCall('tools/call', {}, false), cancellation };
    const reply = connections.call('ada', own, undefined);
    cancellation.cancel();
    await expect(reply).rejects.toThrow('cancelled');
    expect(opened.map(({ heard }) => heard)).toEqual([[]]);
  });

  it('that was lost is made again for its principal, and waits as long as it has to', async () => {
    await call('ada');
    await call('ben');
    opened[0]?.events.lost('it broke');
    await call('ada');
    opened[2]?.events.lost('it broke');
    await expect(call('ada')).rejects.toThrow('is made again in 1 s');
    await call('ben');
    expect(opened).toHaveLength(3);
  });

  it('ends when nobody has used it for a while, and not during a call', async () => {
    await call('ben');
    Connection.hold();
    const long = call('ada');
    await vi.advanceTimersByTimeAsync(PRINCIPAL_IDLE_MS + 10_000);
    expect(opened.map(({ closed }) => closed)).toEqual([true, false]);
    Connection.answerAll();
    await long;
    await vi.advanceTimersByTimeAsync(PRINCIPAL_IDLE_MS - 10_000);
    expect(opened[1]?.closed).toBe(false);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(opened[1]?.closed).toBe(true);
    await call('ada');
    expect(opened).toHaveLength(3);
  });

  it('tells its own principal of changed lists, until it ends', async () => {
    const told: string[] = [];
    const offs = ['ada', 'ben'].map((principal) =>
      connections.onListChanged(principal, (kind) => told.push(`${principal} ${kind}`)),
    );
    await call('ada');
    expect(opened[0]?.heard[0]).toBe('listen');
    const { bytes, envelope } = messageOf({ method: 'notifications/tools/list_changed' });
    opened[0]?.events.notification(bytes, envelope);
    expect(told).toEqual(['ada tools']);
    expect(['ada', 'ben'].map((principal) => connections.hasOwnLists(principal))).toEqual([true, false]);
    expect(ownListsChangedCount).toBe(1);
    opened[0]?.events.stale('it was initialised anew');
    expect(told).toEqual(['ada tools', 'ada tools', 'ada prompts', 'ada resources']);
    expect(connections.hasOwnLists('ada')).toBe(false);
    for (const off of offs) off();
    opened[0]?.events.notification(bytes, envelope);
    expect(told).toHaveLength(4);
  });
});

describe('where there are as many as may be', () => {
  const fill = async () => {
    for (let i = 0; i < MAX_PRINCIPAL_CONNECTION_COUNT; i++) {
      await vi.advanceTimersByTimeAsync(1);
      await call(`principal ${i}`);
    }
  };

  it('the one that was used longest ago makes room', async () => {
    await fill();
    await call('principal 0');
    await call('one more');
    expect(opened.filter(({ closed }) => closed)).toEqual([opened[1]]);
    expect(opened).toHaveLength(MAX_PRINCIPAL_CONNECTION_COUNT + 1);
  });

  it('and all are in use, a call is refused, and those of others go on', async () => {
    Connection.hold();
    const calls = Array.from({ length: MAX_PRINCIPAL_CONNECTION_COUNT }, (_, i) => call(`principal ${i}`));
    await turns();
    const thrown = await call('one more').catch((error: RpcError) => error);
    expect(thrown).toMatchObject({
      code: ErrorCode.Overloaded,
      message: '500 principals use upstream "up" on this worker, as many as may; the request was not sent',
    });
    Connection.answerAll();
    await Promise.all(calls);
    await call('one more');
    expect(opened).toHaveLength(MAX_PRINCIPAL_CONNECTION_COUNT + 1);
  });

  it('of all kinds of connections, an idle one is given up, and none that is in use', async () => {
    await call('ada');
    await vi.advanceTimersByTimeAsync(1);
    await call('ben');
    Connection.hold();
    const busy = call('ada');
    expect([connections.closeIdle(), connections.closeIdle()]).toEqual([true, false]);
    expect(opened.map(({ closed }) => closed)).toEqual([false, true]);
    Connection.answerAll();
    await busy;
  });

  it('what finds no room is not taken for a fault of the upstream', async () => {
    refusal = new RpcError(ErrorCode.Overloaded, 'no room');
    for (let i = 0; i < 3; i++) await expect(call('ada')).rejects.toThrow('no room');
    refusal = undefined;
    await call('ada');
  });
});

describe('what a principal watches', () => {
  /** Updates that this principal is told of. */
  function watching(principal: string): string[] {
    const told: string[] = [];
    const subscriptions = connections.subscriptionsOf(principal);
    subscriptions.on((message) => told.push(updatedUri(message) ?? ''));
    return told;
  }

  it('is watched over its own connection, and told to nobody else', async () => {
    const [ada, ben] = [watching('ada'), watching('ben')];
    expect(await connections.subscriptionsOf('ada').watch('test://a')).toBeUndefined();
    expect(await connections.subscriptionsOf('ben').watch('test://a')).toBeUndefined();
    expect(opened.map(({ heard }) => heard)).toEqual([
      ['listen', 'resources/subscribe test://a'],
      ['listen', 'resources/subscribe test://a'],
    ]);
    opened[0]?.updated('test://a');
    expect([ada, ben]).toEqual([['test://a'], []]);
  });

  it('keeps its connection until nobody watches any more', async () => {
    const subscriptions = connections.subscriptionsOf('ada');
    await subscriptions.watch('test://a');
    await vi.advanceTimersByTimeAsync(PRINCIPAL_IDLE_MS + 10_000);
    expect(opened[0]?.closed).toBe(false);
    subscriptions.unwatch('test://a');
    await turns();
    expect(opened[0]?.heard.at(-1)).toBe('resources/unsubscribe test://a');
    await vi.advanceTimersByTimeAsync(PRINCIPAL_IDLE_MS + 10_000);
    expect(opened[0]?.closed).toBe(true);
  });

  it('is asked for again after its connection was lost, and told of as if it had changed', async () => {
    const told = watching('ada');
    await connections.subscriptionsOf('ada').watch('test://a');
    refusal = new RpcError(ErrorCode.UpstreamUnavailable, 'not there');
    opened[0]?.events.lost('it broke');
    await vi.advanceTimersByTimeAsync(3_000);
    expect([opened.length, told]).toEqual([1, []]);
    refusal = undefined;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(opened[1]?.heard).toEqual(['ping', 'listen', 'listen', 'resources/subscribe test://a']);
    expect(told).toEqual(['test://a']);
  });

  it('goes on in the other era when the upstream has come to speak it, and back', async () => {
    await connections.subscriptionsOf('ada').watch('test://a');
    connections.eraIs('modern');
    await turns();
    expect([opened[0]?.closed, asked]).toEqual([true, ['subscriptions/listen']]);
    connections.eraIs('legacy');
    await turns();
    expect(opened[1]?.heard).toContain('resources/subscribe test://a');
  });
});
