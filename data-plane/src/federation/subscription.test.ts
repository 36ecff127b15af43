import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Cancellation, type Exchange } from '../exchange/exchange.js';
import { RpcError } from '../protocol/errors.js';
import { methodRow } from '../protocol/methods.js';
import { scanMessage } from '../protocol/scan.js';
import type { Message } from '../protocol/translate.js';
import { CALLER } from '../upstream/parked/scripted-parking.js';
import type { UpstreamSubscriptions } from '../upstream/subscriptions.js';
import type { Upstream } from '../upstream/upstream.js';
import { subscribe } from './subscription.js';

/** Long after what the gateway waits for an acknowledgement. */
const LATE_MS = 10_000;

/** An upstream of which the test says when it agrees, and what it tells. */
class ScriptedUpstream {
  readonly unwatched: string[] = [];
  readonly upstream = { onOwnListChanged: () => () => undefined } as unknown as Upstream;
  /** Resolves the watch: undefined agrees, an error refuses. */
  settle: (refusal: RpcError | undefined) => void = () => undefined;
  #tell: (message: Message) => void = () => undefined;

  readonly subscriptions = {
    on: (listener: (message: Message) => void) => {
      this.#tell = listener;
      return () => {
        this.#tell = () => undefined;
      };
    },
    watch: () =>
      new Promise((resolve) => {
        this.settle = resolve;
      }),
    unwatch: (uri: string) => this.unwatched.push(uri),
    concerns: (updated: string, uris: readonly string[]) => uris.includes(updated),
  } as unknown as UpstreamSubscriptions;

  changes(uri: string): void {
    const bytes = Buffer.from(
      JSON.stringify({ jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri } }),
    );
    this.#tell({ bytes, envelope: scanMessage(bytes) });
  }
}

describe('a subscription of a modern client', () => {
  let quick: ScriptedUpstream;
  let slow: ScriptedUpstream;
  let told: { method: string; params: Record<string, unknown> }[];
  let cancellation: Cancellation;
  let ended: Promise<unknown>;

  beforeEach(() => {
    vi.useFakeTimers();
    [quick, slow, told, cancellation] = [
      new ScriptedUpstream(),
      new ScriptedUpstream(),
      [],
      new Cancellation(),
    ];
    const method = 'subscriptions/listen';
    const notifications = {
      toolsListChanged: true,
      resourceSubscriptions: ['quick:a', 'slow:a', 'nobody:a'],
    };
    const bytes = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 'l', method, params: { notifications } }));
    const exchange: Exchange = {
      row: methodRow(method),
      bytes,
      envelope: scanMessage(bytes),
      caller: CALLER,
      headers: {},
      cancellation,
      notify: (message) => told.push(JSON.parse(message.toString())),
    };
    const scripted = new Map([
      ['quick', quick],
      ['slow', slow],
    ]);
    const nameOf = (upstream: Upstream) => (upstream === quick.upstream ? 'quick' : 'slow');
    ended = subscribe(exchange, {
      upstreams: [quick.upstream, slow.upstream],
      subscriptionsOf: (upstream) => (scripted.get(nameOf(upstream)) as ScriptedUpstream).subscriptions,
      resolve: (exposed) => {
        const [name = '', uri = ''] = exposed.split(':');
        const found = scripted.get(name);
        return found && { exposed, uri, upstream: found.upstream };
      },
      expose: (upstream, uri) => `${nameOf(upstream)}:${uri}`,
      has: () => true,
      onListChanged: () => () => undefined,
    }).catch((error: unknown) => error);
  });
  afterEach(() => vi.useRealTimers());

  const acknowledged = (resourceSubscriptions: string[]) => ({
    method: 'notifications/subscriptions/acknowledged',
    params: {
      notifications: {
        toolsListChanged: true,
        ...(resourceSubscriptions.length > 0 && { resourceSubscriptions }),
      },
      _meta: { 'io.modelcontextprotocol/subscriptionId': 'l' },
    },
  });
  const updated = (uri: string) => ({ method: 'notifications/resources/updated', params: { uri } });

  it('is acknowledged at once with what all have agreed to, and with nothing that one refused', async () => {
    quick.settle(undefined);
    slow.settle(new RpcError(-32602, 'no'));
    await vi.advanceTimersByTimeAsync(0);
    expect(told).toMatchObject([acknowledged(['quick:a'])]);
    expect(Object.keys(told[0]?.params.notifications as object)).toHaveLength(2);
  });

  it('waits only so long for who does not agree, and passes on what that one tells later', async () => {
    quick.settle(undefined);
    await vi.advanceTimersByTimeAsync(LATE_MS);
    expect(told).toMatchObject([acknowledged(['quick:a'])]);
    slow.settle(undefined);
    await vi.advanceTimersByTimeAsync(LATE_MS);
    slow.changes('a');
    slow.changes('b');
    expect(told.slice(1)).toMatchObject([updated('slow:a')]);
  });

  it('tells nothing before its acknowledgement', async () => {
    quick.changes('a');
    await vi.advanceTimersByTimeAsync(100);
    expect(told).toEqual([]);
    quick.settle(undefined);
    slow.settle(undefined);
    await vi.advanceTimersByTimeAsync(0);
    expect(told).toMatchObject([acknowledged(['quick:a', 'slow:a']), updated('quick:a')]);
  });

  it('is over when its client has gone, at the upstreams too', async () => {
    cancellation.cancel();
    expect(await ended).toBeInstanceOf(RpcError);
    expect([quick.unwatched, slow.unwatched]).toEqual([['a'], ['a']]);
    quick.settle(undefined);
    quick.changes('a');
    await vi.advanceTimersByTimeAsync(LATE_MS);
    expect(told).toEqual([]);
  });
});
