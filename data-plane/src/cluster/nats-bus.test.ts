import { connect } from '@nats-io/transport-node';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type CutProxy, startCutProxy } from '../../../cli/test/servers/cut-proxy.js';
import { describeUnless } from '../../../cli/test/servers/describe-unless.js';
import { NO_NATS, startNats } from '../../../cli/test/servers/nats.js';
import type { TestServer } from '../../../cli/test/servers/server-process.js';
import { BusNode, nodeBusCases, ofRequests } from '../sessions/node-bus.cases.js';
import type { BusMessage, RequestMessage } from '../sessions/node-bus.js';
import { type ClusterConnection, connectCluster } from './index.js';

const log = pino({ level: 'silent' });
const KEY = Buffer.from('a key of at least thirty-two bytes');
const LIMIT = { timeout: 20_000, interval: 20 };
const end = (id: number): BusMessage => ofRequests({ type: 'end', id });

function connectTo(port: number, node: string, cluster = 'test', key: Buffer | undefined = KEY) {
  return connectCluster({ nats: { servers: [`nats://127.0.0.1:${port}`] }, cluster, node, log, key });
}

describeUnless(NO_NATS, 'over a real server', () => {
  nodeBusCases('NATS', async () => {
    const server = await startNats();
    let connections: ClusterConnection[] = [];
    let count = 0;
    return {
      async bus() {
        const connection = await connectTo(server.port, `node-${++count}`);
        connections.push(connection);
        return connection.bus;
      },
      async clear() {
        await Promise.all(connections.map((connection) => connection.close()));
        connections = [];
      },
      close: () => server.close(),
    };
  });
});

describeUnless(NO_NATS, 'a bus over NATS', () => {
  let server: TestServer;
  /** Between the first node and NATS. */
  let cable: CutProxy;
  let connections: ClusterConnection[];
  let a: BusNode;
  let b: BusNode;

  beforeEach(async () => {
    server = await startNats();
    cable = await startCutProxy(server.port);
    connections = [await connectTo(cable.port, 'a'), await connectTo(server.port, 'b')];
    [a, b] = connections.map(({ bus }) => new BusNode(bus)) as [BusNode, BusNode];
    await metAgain(1);
  });
  afterEach(async () => {
    for (const { bus } of [a, b]) bus.leave();
    await Promise.all(connections.map((connection) => connection.close()));
    await cable.close();
    await server.close();
  });

  const metAgain = (count: number) =>
    expect.poll(() => [a.met.length, b.met.length], LIMIT).toEqual([count, count]);
  const closedAtBoth = () => expect.poll(() => [a.closed.length, b.closed.length], LIMIT).toEqual([1, 1]);

  async function reachEachOther(id: number): Promise<void> {
    a.pipeTo(b).post(end(id));
    b.pipeTo(a).post(end(id));
    await expect
      .poll(() => [a.from(b).at(-1), b.from(a).at(-1)], LIMIT)
      .toEqual([
        { type: 'end', id },
        { type: 'end', id },
      ]);
  }

  it('goes on when NATS was away for a moment, with what was said meanwhile', async () => {
    await server.kill();
    // Nodes know it when the connection ends.
    await expect.poll(() => isUp(connections[0]), LIMIT).toBe(false);
    await expect.poll(() => isUp(connections[1]), LIMIT).toBe(false);
    a.pipeTo(b).post(end(1));
    await server.restart();
    await expect.poll(() => b.from(a), LIMIT).toEqual([{ type: 'end', id: 1 }]);
    await reachEachOther(2);
    expect([a.closed, b.closed]).toEqual([[], []]);
  });

  it('closes the pipes of a node that is cut off for long, at both ends, and opens others later', async () => {
    cable.cut();
    await closedAtBoth();
    cable.mend();
    await metAgain(2);
    await reachEachOther(1);
  });

  it('closes a pipe of which something was swallowed, and opens another', async () => {
    cable.silence();
    a.pipeTo(b).post(end(1));
    // So that it is lost on the way, not kept here.
    await expect.poll(() => isUp(connections[0]), LIMIT).toBe(false);
    cable.mend();
    await closedAtBoth();
    await metAgain(2);
    expect(b.from(a)).toEqual([]);
    await reachEachOther(2);
  });

  it('knows when a node is gone without a word', async () => {
    // As the kernel does for a process that was killed: the connection ends, and nobody comes back.
    cable.cut();
    await expect.poll(() => b.closed.length, LIMIT).toBe(1);
  });

  it('does not let clusters of other names meet', async () => {
    const other = await connectTo(server.port, 'c', 'other');
    const c = new BusNode(other.bus);
    const third = await connectTo(server.port, 'd');
    connections.push(other, third);
    const d = new BusNode(third.bus);
    await expect.poll(() => d.met.length, LIMIT).toBe(2);
    expect(c.met).toEqual([]);
    for (const { bus } of [c, d]) bus.leave();
  });

  it('takes nothing from those who can publish there and do not have the key', async () => {
    const stranger = await connect({ servers: `nats://127.0.0.1:${server.port}` });
    const heard: { subject: string; data: Uint8Array }[] = [];
    stranger.subscribe('sluice.test.>', {
      callback: (_, { subject, data }) => void heard.push({ subject, data: Uint8Array.from(data) }),
    });
    await stranger.flush();
    await reachEachOther(1);
    cable.cut();
    await closedAtBoth();
    cable.mend();
    await metAgain(2);
    await reachEachOther(2);
    const inbox = `sluice.test.bus.b.${b.node}`;
    expect(heard.some(({ subject }) => subject === inbox)).toBe(true);
    // All that was said, of pipes that ended and of the one of now, again and in the place of something else.
    for (const { subject, data } of [...heard]) {
      stranger.publish(subject, data);
      stranger.publish(inbox, data);
      stranger.publish('sluice.test.presence', data);
    }
    const forged = Buffer.from(heard.findLast(({ subject }) => subject === inbox)?.data as Uint8Array);
    forged[20] = (forged[20] ?? 0) ^ 1;
    stranger.publish(inbox, forged);
    const gone = { node: a.node, number: 1e9, inbox: 'x', workers: [...a.workers], leaves: true };
    stranger.publish('sluice.test.presence', JSON.stringify(gone));
    await stranger.flush();
    await reachEachOther(3);
    const idsOf = (messages: readonly RequestMessage[]) =>
      messages.map((message) => ('id' in message ? message.id : undefined));
    expect([a.from(b), b.from(a)].map(idsOf)).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ]);
    expect([a.closed.length, b.closed.length]).toEqual([1, 1]);
    expect(await connections[1]?.metricsText()).toMatch(/sluice_bus_strangers_total [1-9]/);
    // A node of another key is a stranger too.
    const other = await connectTo(
      server.port,
      'c',
      'test',
      Buffer.from('another key of thirty-two bytes!!!'),
    );
    connections.push(other);
    const c = new BusNode(other.bus);
    await reachEachOther(4);
    expect([a, b, c].map(({ met }) => met.length)).toEqual([2, 2, 0]);
    c.bus.leave();
    await stranger.close();
  });

  it.each([
    ['with a key', KEY],
    ['without a key', Buffer.alloc(0)],
  ])('lives on %s, whatever is published where nodes speak', async (_, key) => {
    const nodeIn = (node: string) =>
      connectCluster({
        nats: { servers: [`nats://127.0.0.1:${server.port}`] },
        cluster: 'wild',
        node,
        log,
        key: key.length > 0 ? key : undefined,
      });
    const wild = [await nodeIn('d'), await nodeIn('e')];
    connections.push(...wild);
    const [d, e] = wild.map(({ bus }) => new BusNode(bus)) as [BusNode, BusNode];
    await expect.poll(() => [d.met.length, e.met.length], LIMIT).toEqual([1, 1]);
    const stranger = await connect({ servers: `nats://127.0.0.1:${server.port}` });
    const node = 'f'.repeat(16);
    const presences = [
      ...['', 'null', '[]', '{}', '"x"', `{"node":"${node}"}`, '{"node":1,"workers":[]}'],
      `{"node":"${node}","number":1,"inbox":"i","workers":"x"}`,
      `{"node":"${node}","number":1,"inbox":1,"workers":[]}`,
      `{"node":"${node}","number":1,"inbox":"i","workers":[1,null]}`,
    ];
    for (const text of presences) stranger.publish('sluice.wild.presence', text);
    const inbox = `sluice.wild.bus.d.${d.node}`;
    for (let type = 0; type < 8; type++)
      for (const length of [0, 1, 8, 9, 13, 14, 15, 40]) stranger.publish(inbox, Buffer.alloc(length, type));
    stranger.publish(`${inbox}.unread.x`, 'x');
    await stranger.flush();
    d.pipeTo(e).post(end(1));
    e.pipeTo(d).post(end(1));
    await expect.poll(() => [d.from(e).length, e.from(d).length], LIMIT).toEqual([1, 1]);
    for (const { bus } of [d, e]) bus.leave();
    await stranger.close();
  });

  it('begins alone without NATS, and finds the others when it is there', async () => {
    await server.kill();
    const connection = await connectTo(server.port, 'late');
    connections.push(connection);
    const late = new BusNode(connection.bus);
    expect(late.met).toEqual([]);
    await server.restart();
    await expect.poll(() => late.met.length, LIMIT).toBe(2);
    late.bus.leave();
  });
});

describe('a connection that cannot be', () => {
  const good = { nats: { servers: ['nats://127.0.0.1:1'] }, cluster: 'test', node: 'a', log };
  it.each([
    ['Two Words', { cluster: 'Two Words' }],
    ['a.b', { node: 'a.b' }],
    ['no NATS server', { nats: { servers: [] } }],
    ['1, 3 or 5', { nats: { ...good.nats, replicas: 2 } }],
  ])('is refused: %s', async (said, wrong) => {
    await expect(connectCluster({ ...good, ...wrong })).rejects.toThrow(said);
  });
});

async function isUp(connection: ClusterConnection | undefined): Promise<boolean> {
  return (await connection?.metricsText())?.includes('\nsluice_nats_up 1\n') === true;
}
