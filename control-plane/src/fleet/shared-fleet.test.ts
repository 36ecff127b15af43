import {
  AcknowledgementSchema,
  ConnectionListSchema,
  create,
  HealthSchema,
  HelloSchema,
  NodeEventKind,
  NodeState,
  type Order,
  Presence,
  type View,
} from '@sluice/proto/cluster';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { MemoryLog } from '../../test/memory-log.js';
import { until } from '../../test/revision-log.cases.js';
import { Views } from '../delivery/views.js';
import { ConfigurationHead } from '../revisions/head.js';
import { EmbeddedRecords } from '../store/embedded-records.js';
import type { Records } from '../store/records.js';
import { Fleet } from './fleet.js';
import { NodeUnreachableError } from './fleet-view.js';
import { SharedFleet } from './shared-fleet.js';

const INTERVAL_MS = 100;
const EU: View = { region: 'eu', tenants: ['acme'] };

/** Replicas of this process share the records, each over its own view of them. */
let store: Records | undefined;
const opened: SharedFleet[] = [];
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
  await store?.close();
  store = undefined;
});

class Stream {
  readonly orders: Order[] = [];
  replacedCount = 0;
  order(order: Order): void {
    this.orders.push(order);
  }
  replaced(): void {
    this.replacedCount += 1;
  }
}

async function replica(log = new MemoryLog()) {
  store ??= EmbeddedRecords.open(undefined, Date.now);
  const onTrouble = (error: unknown) => {
    throw error;
  };
  const head = await ConfigurationHead.open({ log, nowMs: () => Date.now(), onTrouble });
  const views = new Views(head, () => performance.now());
  const fleet: Fleet = new Fleet({
    head,
    views,
    nowMs: () => Date.now(),
    elapsedMs: () => performance.now(),
    orderElsewhere: (node, order) => shared.order(node, order),
    answerElsewhere: (list) => shared.answer(list),
    healthIntervalMs: INTERVAL_MS,
  });
  const shared = new SharedFleet({ fleet, records: store, log: pino({ level: 'silent' }), hasPeers: true });
  opened.push(shared);
  await shared.start();
  const presence = (node = 'n1') => fleet.nodes().find(({ hello }) => hello?.node === node)?.presence;
  const kinds = () => fleet.events(9).map(({ kind }) => kind);
  return { head, fleet, shared, presence, kinds };
}

const hello = (incarnation = 'first', node = 'n1') =>
  create(HelloSchema, { node, incarnation, region: 'eu', clientUrl: 'http://n1' });
const position = (revision: number) => ({ storeId: 'memory', revision: BigInt(revision) });
const acknowledgement = (revision: number) =>
  create(AcknowledgementSchema, { node: 'n1', incarnation: 'first', position: position(revision) });

describe('what replicas know together of nodes', () => {
  it('has a node that joined one be known to the other, with what it runs', async () => {
    const [a, b] = [await replica(), await replica()];
    a.fleet.joined(hello(), EU, new Stream());
    await until(() => b.presence() === Presence.PRESENT);
    a.fleet.acknowledged(acknowledgement(7));
    await until(() => b.fleet.nodes()[0]?.acknowledgement?.position?.revision === 7n);
    expect(b.fleet.nodes()).toMatchObject([
      { hello: { clientUrl: 'http://n1', region: 'eu' }, health: { position: { revision: 7n } } },
    ]);
    expect(b.kinds()).toEqual([NodeEventKind.APPLIED, NodeEventKind.JOINED]);
    await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS * 6));
    expect(b.presence()).toBe(Presence.PRESENT);
  });

  it('asks a node for its clients that has its stream to another replica, and takes no other answer', async () => {
    const [a, b] = [await replica(), await replica()];
    const stream = new Stream();
    a.fleet.joined(hello(), EU, stream);
    await until(() => b.presence() === Presence.PRESENT);
    const listed = b.fleet.connections('n1', { limitCount: 5, cursor: 'c' });
    await until(() => stream.orders.length === 1);
    const { what } = stream.orders[0] as Order;
    expect(what).toMatchObject({ case: 'listConnections', value: { limit: 5, cursor: 'c' } });
    const { request } = what.value as { request: string };
    const answer = (node: string, id: string, to = request) =>
      a.fleet.listed(create(ConnectionListSchema, { node, request: to, connections: [{ id }] }));
    answer('n2', 'forged');
    answer('n1', 'unasked', 'something else');
    answer('n1', 'c1');
    expect(await listed).toMatchObject({ connections: [{ id: 'c1' }] });
    await expect.poll(() => store?.list('answers')).toEqual([]);
  });

  it('does not forget a node when all replicas start anew, and waits for it', async () => {
    const first = await replica();
    first.fleet.joined(hello(), EU, new Stream());
    await first.shared.close();
    const next = await replica();
    expect(next.presence()).toBe(Presence.UNKNOWN);
    const { reached, behind } = await next.fleet.convergence({
      revision: 1,
      wait: { kind: 'all' },
      deadlineMs: 0,
    });
    expect([reached, behind]).toMatchObject([
      false,
      [{ node: 'n1', region: 'eu', presence: Presence.UNKNOWN }],
    ]);
    next.fleet.joined(hello(), EU, new Stream());
    expect(next.kinds()).toEqual([NodeEventKind.FOUND]);
  });

  it('loses a node when the replica that heard it is gone, and forgets none that left', async () => {
    const [a, b] = [await replica(), await replica()];
    a.fleet.joined(hello(), EU, new Stream());
    a.fleet.joined(hello('first', 'n2'), EU, new Stream());
    await until(() => b.presence() === Presence.PRESENT && b.presence('n2') === Presence.PRESENT);
    a.fleet.reported(create(HealthSchema, { node: 'n2', incarnation: 'first', state: NodeState.STOPPED }));
    await until(() => b.presence('n2') === Presence.GONE);
    await a.shared.close();
    await until(() => b.presence() === Presence.UNKNOWN);
    const next = await replica();
    expect([next.presence(), next.presence('n2')]).toEqual([Presence.UNKNOWN, Presence.GONE]);
  });

  it('ends the stream of a start that another one took the place of elsewhere', async () => {
    const [a, b] = [await replica(), await replica()];
    const stream = new Stream();
    a.fleet.joined(hello(), EU, stream);
    await until(() => b.presence() === Presence.PRESENT);
    b.fleet.joined(hello('second'), EU, new Stream());
    await until(() => stream.replacedCount === 1);
    expect(a.fleet.nodes()).toMatchObject([{ hello: { incarnation: 'second' } }]);
  });

  it('gives an order through the replica that has the stream, once', async () => {
    const [a, b, c] = [await replica(), await replica(), await replica()];
    const stream = new Stream();
    a.fleet.joined(hello(), EU, stream);
    await until(() => b.presence() === Presence.PRESENT);
    await until(() => c.presence() === Presence.PRESENT);
    await b.fleet.drain('n1', 'new kernel');
    await until(() => stream.orders.length === 1);
    expect(stream.orders[0]).toMatchObject({ what: { value: { reason: 'new kernel' } } });
    await a.shared.close();
    await until(() => b.presence() === Presence.UNKNOWN);
    await expect(b.fleet.drain('n1', '')).rejects.toThrow(NodeUnreachableError);
    expect(stream.orders).toHaveLength(1);
  });

  it('gives an order to a node that was between two streams', async () => {
    const [a, b] = [await replica(), await replica()];
    const [stream, next] = [new Stream(), new Stream()];
    a.fleet.joined(hello(), EU, stream);
    await until(() => b.presence() === Presence.PRESENT);
    a.fleet.disconnected('n1', stream);
    await b.fleet.drain('n1', 'new kernel');
    a.fleet.joined(hello(), EU, next);
    await until(() => next.orders.length === 1);
    expect(stream.orders).toEqual([]);
  });

  it('writes what it could not write as soon as it can', async () => {
    const a = await replica();
    const records = store as Records;
    const { put } = records;
    records.put = () => Promise.reject(new Error('away'));
    a.fleet.joined(hello(), EU, new Stream());
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await records.list('nodes')).toEqual([]);
    records.put = put.bind(records);
    await expect.poll(() => records.list('nodes'), { timeout: 10_000 }).toHaveLength(1);
  });
});
