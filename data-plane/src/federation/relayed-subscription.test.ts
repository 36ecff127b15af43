import { beforeEach, describe, expect, it } from 'vitest';
import { Cancellation, type Exchange } from '../exchange/exchange.js';
import { methodRow } from '../protocol/methods.js';
import { scanMessage } from '../protocol/scan.js';
import { CALLER } from '../upstream/parked/scripted-parking.js';
import type { Upstream } from '../upstream/upstream.js';
import type { Discovery } from './discovery.js';
import { alsoTelling } from './relayed-subscription.js';

const META = { 'io.modelcontextprotocol/subscriptionId': 'sub "1"' };
const ACKNOWLEDGED = 'notifications/subscriptions/acknowledged';

type ListListener = Parameters<Discovery['onListChanged']>[0];

describe('a subscription that a modern server answers', () => {
  let listeners: Set<ListListener>;
  let told: { method: string; params: Record<string, unknown> }[];
  /** As the server sees the exchange. */
  let own: Exchange;
  let end: () => void;
  let ended: Promise<void>;

  const everybody = () => true;
  const reload = (audience = everybody, upstream?: Upstream) => {
    for (const listener of listeners)
      for (const kind of ['tools', 'prompts', 'resources'] as const) listener(kind, upstream, audience);
  };
  const serverTells = (method: string, params: object) =>
    own.notify(Buffer.from(JSON.stringify({ jsonrpc: '2.0', method, params: { ...params, _meta: META } })));
  const heard = () => told.map(({ method }) => method);

  beforeEach(() => {
    listeners = new Set();
    told = [];
    const discovery = {
      onListChanged: (listener: ListListener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    } as unknown as Discovery;
    const bytes = Buffer.from(
      JSON.stringify({
        jsonrpc: '2.0',
        id: 'sub "1"',
        method: 'subscriptions/listen',
        params: { notifications: { toolsListChanged: true, promptsListChanged: true } },
      }),
    );
    const exchange: Exchange = {
      row: methodRow('subscriptions/listen'),
      bytes,
      envelope: scanMessage(bytes),
      caller: CALLER,
      headers: {},
      cancellation: new Cancellation(),
      notify: (message) => told.push(JSON.parse(message.toString())),
    };
    ended = alsoTelling(exchange, discovery, (given) => {
      own = given;
      return new Promise((resolve) => {
        end = resolve;
      });
    });
  });

  it('tells with its id, and only what client and server agreed on', () => {
    serverTells(ACKNOWLEDGED, { notifications: { toolsListChanged: true, resourcesListChanged: true } });
    reload();
    expect(told.slice(1)).toEqual([
      { jsonrpc: '2.0', method: 'notifications/tools/list_changed', params: { _meta: META } },
    ]);
  });

  it('tells nothing before the acknowledgement, and each list once after it', () => {
    reload();
    reload();
    expect(told).toEqual([]);
    serverTells(ACKNOWLEDGED, { notifications: { toolsListChanged: true, promptsListChanged: true } });
    expect(heard()).toEqual([
      ACKNOWLEDGED,
      'notifications/tools/list_changed',
      'notifications/prompts/list_changed',
    ]);
  });

  it('leaves to the server what the server tells, and to others what is theirs', () => {
    serverTells(ACKNOWLEDGED, { notifications: { toolsListChanged: true } });
    reload(everybody, {} as Upstream);
    reload(() => false);
    expect(heard()).toEqual([ACKNOWLEDGED]);
    serverTells('notifications/tools/list_changed', {});
    expect(heard()).toEqual([ACKNOWLEDGED, 'notifications/tools/list_changed']);
  });

  it('hears nothing any more when it has ended', async () => {
    expect(listeners.size).toBe(1);
    end();
    await ended;
    expect(listeners.size).toBe(0);
  });
});
