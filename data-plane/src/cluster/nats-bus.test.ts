import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type CutProxy, startCutProxy } from '../../../cli/test/servers/cut-proxy.js';
import { describeUnless } from '../../../cli/test/servers/describe-unless.js';
import { NO_NATS, startNats } from '../../../cli/test/servers/nats.js';
import type { TestServer } from '../../../cli/test/servers/server-process.js';
import { BusNode, nodeBusCases, ofRequests } from '../sessions/node-bus.cases.js';
import type { BusMessage } from '../sessions/node-bus.js';
import { type ClusterConnection, connectCluster } from './index.js';

const log = pino({ level: 'silent' });
const LIMIT = { timeout: 20_000, interval: 20 };
const end = (id: number): BusMessage => ofRequests({ type: 'end', id });

function connectTo(port: number, node: string, cluster = 'test'): Promise<ClusterConnection> {
  return connectCluster({ nats: { servers: [`nats://127.0.0.1:${port}`] }, cluster, node, log });
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
