import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Cancellation } from '../exchange/exchange.js';
import type { Era } from '../protocol/revisions.js';
import { scanMessage } from '../protocol/scan.js';
import type { UpstreamReply } from './call.js';
import { UpstreamSubscriptions, updatedUri } from './subscriptions.js';

const SILENT = pino({ level: 'silent' });

interface Asked {
  readonly method: string;
  readonly params: { uri?: string; notifications?: Record<string, unknown> };
  readonly cancellation: Cancellation;
  tell(message: object): void;
  answer(message: object): void;
  fail(): void;
}

/** An upstream that writes down what it is asked. */
class FakeUpstream {
  readonly name = 'fake';
  readonly facts = {
    revision: '',
    capabilities: { tools: { listChanged: true } },
    serverInfo: undefined,
    instructions: undefined,
  };
  readonly asked: Asked[] = [];
  listenCount = 0;

  constructor(public era: Era | undefined) {}

  listen(): void {
    this.listenCount++;
  }

  ask(
    method: string,
    params: Record<string, unknown>,
    onNotification: (bytes: Buffer, envelope: ReturnType<typeof scanMessage>) => void = () => {},
    cancellation = new Cancellation(),
  ): Promise<UpstreamReply> {
    return new Promise((resolve, reject) => {
      cancellation.onCancel({ cancel: () => reject(new Error('cancelled')) });
      const read = (message: object) => {
        const bytes = Buffer.from(JSON.stringify({ jsonrpc: '2.0', ...message }));
        return { bytes, envelope: scanMessage(bytes) };
      };
      this.asked.push({
        method,
        params,
        cancellation,
        tell: (message) => {
          const { bytes, envelope } = read(message);
          onNotification(bytes, envelope);
        },
        answer: (message) => resolve(read({ id: 1, ...message })),
        fail: () => reject(new Error('connection lost')),
      });
    });
  }

  /** Streams that nobody has closed. */
  get open(): Asked[] {
    return this.asked.filter(
      ({ method, cancellation }) => method === 'subscriptions/listen' && !cancellation.cancelled,
    );
  }
}

const ACKNOWLEDGED = 'notifications/subscriptions/acknowledged';
const acknowledge = (asked: Asked | undefined, uris: string[] = []) =>
  asked?.tell({ method: ACKNOWLEDGED, params: { notifications: { resourceSubscriptions: uris } } });
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('at a modern upstream', () => {
  let upstream: FakeUpstream;
  let gapCount: number;
  let subscriptions: UpstreamSubscriptions;

  beforeEach(() => {
    upstream = new FakeUpstream('modern');
    gapCount = 0;
    subscriptions = new UpstreamSubscriptions(upstream, SILENT, () => gapCount++);
  });
  afterEach(() => {
    subscriptions.stop();
    vi.useRealTimers();
  });

  it('names a thousand resources on one stream', async () => {
    for (let i = 0; i < 1000; i++) void subscriptions.watch(`test://${i}`);
    await settled();
    expect(upstream.asked).toHaveLength(1);
    expect(upstream.asked[0]?.params.notifications?.resourceSubscriptions).toHaveLength(1000);
  });

  it('leaves one stream open after many came and went', async () => {
    subscriptions.start();
    for (let i = 0; i < 100; i++) {
      void subscriptions.watch('test://a');
      await settled();
      acknowledge(upstream.asked.at(-1), ['test://a']);
      subscriptions.unwatch('test://a');
      await settled();
      acknowledge(upstream.asked.at(-1));
    }
    expect(upstream.open).toHaveLength(1);
    expect(upstream.open[0]?.params.notifications).toEqual({ toolsListChanged: true });
  });

  it('hears on the old stream until the new one is acknowledged', async () => {
    const heard: string[] = [];
    subscriptions.on(({ envelope }) => heard.push(envelope.method));
    subscriptions.start();
    await settled();
    acknowledge(upstream.asked[0]);
    void subscriptions.watch('test://a');
    await settled();
    upstream.asked[0]?.tell({ method: 'notifications/tools/list_changed' });
    expect(heard).toEqual(['notifications/tools/list_changed']);
    acknowledge(upstream.asked[1], ['test://a']);
    upstream.asked[0]?.tell({ method: 'notifications/tools/list_changed' });
    expect(heard).toHaveLength(1);
    expect(upstream.open).toEqual([upstream.asked[1]]);
  });

  it('says which resource the upstream left out of its acknowledgement', async () => {
    const good = subscriptions.watch('test://good');
    const bad = subscriptions.watch('test://bad');
    await settled();
    acknowledge(upstream.asked[0], ['test://good']);
    expect(await good).toBeUndefined();
    expect((await bad)?.message).toContain('test://bad');
  });

  it('answers who waited for a stream that was replaced before it was acknowledged', async () => {
    const first = subscriptions.watch('test://a');
    await settled();
    const second = subscriptions.watch('test://b');
    await settled();
    acknowledge(upstream.asked[1], ['test://a', 'test://b']);
    expect(await first).toBeUndefined();
    expect(await second).toBeUndefined();
    expect(upstream.open).toHaveLength(1);
  });

  it('opens a broken stream again, less and less often, and says that something may have been missed', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    subscriptions.start();
    await settled();
    // Acknowledging and ending at once is no sign of life.
    for (let i = 0; i < 3; i++) {
      acknowledge(upstream.asked.at(-1));
      upstream.asked.at(-1)?.answer({ result: { resultType: 'complete' } });
      await settled();
      expect(vi.getTimerCount()).toBe(1);
      vi.advanceTimersByTime(500 * 2 ** i - 1);
      expect(upstream.asked).toHaveLength(i + 1);
      vi.advanceTimersByTime(1);
      expect(upstream.asked).toHaveLength(i + 2);
    }
    expect(gapCount).toBe(2);
  });

  it('tells of everything that is watched when a stream is open again: it may have changed meanwhile', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const told: unknown[] = [];
    subscriptions.on((message) => told.push(updatedUri(message)));
    void subscriptions.watch('test://a');
    await settled();
    acknowledge(upstream.asked[0], ['test://a']);
    expect(told).toEqual([]);
    upstream.asked[0]?.fail();
    await settled();
    vi.advanceTimersByTime(500);
    acknowledge(upstream.asked[1], ['test://a']);
    expect(told).toEqual(['test://a']);
  });

  it('does not ask again when the upstream does not know the method', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    subscriptions.start();
    await settled();
    upstream.asked[0]?.answer({ error: { code: -32601, message: 'no' } });
    await settled();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('closes its stream when it is stopped', async () => {
    subscriptions.start();
    await settled();
    acknowledge(upstream.asked[0]);
    subscriptions.stop();
    expect(upstream.open).toEqual([]);
  });

  it('keeps what one listener throws from the others', async () => {
    const thrown = new Promise((resolve) => process.once('uncaughtException', resolve));
    const before = process.listeners('uncaughtException').slice(0, -1);
    for (const listener of before) process.off('uncaughtException', listener);
    const heard: string[] = [];
    subscriptions.on(() => {
      throw new Error('a bug');
    });
    subscriptions.on(({ envelope }) => heard.push(envelope.method));
    subscriptions.start();
    await settled();
    upstream.asked[0]?.tell({ method: 'notifications/tools/list_changed' });
    expect(heard).toEqual(['notifications/tools/list_changed']);
    expect(await thrown).toMatchObject({ message: 'a bug' });
    for (const listener of before) process.on('uncaughtException', listener);
  });
});

describe('at a legacy upstream', () => {
  it('subscribes once for many, and again after the upstream was reached anew', async () => {
    const upstream = new FakeUpstream('legacy');
    const subscriptions = new UpstreamSubscriptions(upstream, SILENT, () => {});
    const first = subscriptions.watch('test://a');
    const second = subscriptions.watch('test://a');
    expect(upstream.asked.map(({ method, params }) => [method, params.uri])).toEqual([
      ['resources/subscribe', 'test://a'],
    ]);
    upstream.asked[0]?.answer({ result: {} });
    expect(await first).toBeUndefined();
    expect(await second).toBeUndefined();
    subscriptions.start();
    expect(upstream.listenCount).toBe(1);
    expect(upstream.asked.at(-1)).toMatchObject({
      method: 'resources/subscribe',
      params: { uri: 'test://a' },
    });
    subscriptions.unwatch('test://a');
    expect(upstream.asked).toHaveLength(2);
    subscriptions.unwatch('test://a');
    expect(upstream.asked.at(-1)).toMatchObject({
      method: 'resources/unsubscribe',
      params: { uri: 'test://a' },
    });
    // One too many is nobody's.
    subscriptions.unwatch('test://a');
    expect(upstream.asked).toHaveLength(3);
  });

  it('gives on why the upstream refused', async () => {
    const upstream = new FakeUpstream('legacy');
    const subscriptions = new UpstreamSubscriptions(upstream, SILENT, () => {});
    const answer = subscriptions.watch('test://a');
    upstream.asked[0]?.answer({ error: { code: -32002, message: 'Resource not found' } });
    expect(await answer).toMatchObject({ code: -32002, message: 'Resource not found' });
  });
});

describe('an update', () => {
  it('concerns who watches the resource or what it is a part of, and not who watches another', async () => {
    const subscriptions = new UpstreamSubscriptions(new FakeUpstream('legacy'), SILENT, () => {});
    void subscriptions.watch('test://a');
    void subscriptions.watch('test://b');
    expect(subscriptions.concerns('test://a', ['test://a'])).toBe(true);
    expect(subscriptions.concerns('test://a/part', ['test://a'])).toBe(true);
    expect(subscriptions.concerns('test://b', ['test://a'])).toBe(false);
    void subscriptions.watch('test://a2');
    expect(subscriptions.concerns('test://a2', ['test://a'])).toBe(false);
    // Only the upstream knows whether this is a part of one of them.
    expect(subscriptions.concerns('test://elsewhere', ['test://a'])).toBe(true);
    expect(subscriptions.concerns('test://elsewhere', [])).toBe(false);
  });
});
