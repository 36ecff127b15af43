import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type CutProxy, startCutProxy } from '../../../cli/test/servers/cut-proxy.js';
import { describeUnless } from '../../../cli/test/servers/describe-unless.js';
import { NO_NATS, startNats } from '../../../cli/test/servers/nats.js';
import type { TestServer } from '../../../cli/test/servers/server-process.js';
import { newSession, newWorker, sessionStoreCases } from '../sessions/session-store.cases.js';
import { PROCESS_PREFIX, type SessionStore } from '../sessions/store.js';
import { type ClusterConnection, connectCluster } from './index.js';
import type { NatsSessionStore } from './nats-session-store.js';

const log = pino({ level: 'silent' });
const LIMIT = { timeout: 20_000, interval: 20 };

let count = 0;
const connectTo = (port: number): Promise<ClusterConnection> =>
  connectCluster({
    nats: { servers: [`nats://127.0.0.1:${port}`] },
    cluster: 'test',
    node: `node-${++count}`,
    log,
  });

/** It can be asked. */
const isOpen = (store: SessionStore) =>
  expect.poll(() => store.claim(newSession(), 'x.0', 'y.0'), LIMIT).toBeDefined();
const written = (store: SessionStore) => (store as NatsSessionStore).written();

describeUnless(NO_NATS, 'over a real server', () => {
  sessionStoreCases('NATS', async () => {
    const server = await startNats();
    let connections: ClusterConnection[] = [];
    return {
      async store() {
        const connection = await connectTo(server.port);
        connections.push(connection);
        await isOpen(connection.sessions);
        return connection.sessions;
      },
      written,
      async clear() {
        await Promise.all(connections.map((connection) => connection.close()));
        connections = [];
      },
      close: () => server.close(),
    };
  });
});

describeUnless(NO_NATS, 'sessions in NATS', () => {
  let server: TestServer;
  /** Between the first node and NATS. */
  let cable: CutProxy;
  let connections: ClusterConnection[];
  let a: SessionStore;
  let b: SessionStore;
  const [workerA, workerB] = [newWorker(), newWorker()];
  const held = { remote: { logLevel: '"info"' } };

  beforeEach(async () => {
    server = await startNats();
    cable = await startCutProxy(server.port);
    connections = [];
    a = await connected(cable.port);
    b = await connected(server.port);
  });
  afterEach(async () => {
    await Promise.all(connections.map((connection) => connection.close()));
    await cable.close();
    await server.close();
  });

  async function connected(port: number): Promise<SessionStore> {
    const connection = await connectTo(port);
    connections.push(connection);
    await isOpen(connection.sessions);
    return connection.sessions;
  }

  /** Follows, beside this session, all that was written before it. */
  async function follows(store: SessionStore, from: SessionStore): Promise<void> {
    const id = newSession();
    from.put(id, { owner: 'x.0', held: {} });
    await expect
      .poll(() => [...(store as NatsSessionStore).others].some(([known]) => known === id), LIMIT)
      .toBe(true);
  }

  const isUp = async (index: number): Promise<boolean> =>
    (await connections[index]?.metricsText())?.includes('\nsluice_nats_up 1\n') === true;

  it('are claimed without NATS by who followed them, and the ends are known', async () => {
    const [session, ended, unknown] = [newSession(), newSession(), newSession()];
    a.put(session, { owner: workerA, held });
    a.put(ended, { owner: workerA, held });
    a.end(ended);
    await written(a);
    await follows(b, a);
    await server.kill();
    await expect.poll(() => isUp(1), LIMIT).toBe(false);
    expect(await b.claim(session, workerA, workerB)).toEqual({ owner: workerB, held });
    expect(await b.claim(ended, workerA, workerB)).toBeUndefined();
    // Nobody here knows of it: it begins anew at its servers, and its client hears nothing of that.
    expect(await b.claim(unknown, workerA, workerB)).toEqual({ owner: workerB, held: {} });
  });

  it('that were claimed without NATS are the claimant\u2019s when it is back', async () => {
    const session = newSession();
    a.put(session, { owner: workerA, held });
    await follows(b, a);
    await server.kill();
    await expect.poll(() => isUp(1), LIMIT).toBe(false);
    await b.claim(session, workerA, workerB);
    const moved: unknown[] = [];
    a.onMoved((...told) => moved.push(told));
    await server.restart();
    await expect.poll(() => moved, LIMIT).toEqual([[session, workerB]]);
    expect(await a.claim(session, workerA, workerA)).toEqual({ owner: workerB, held });
  });

  it('belong to one of two nodes after they were cut off from each other, and the other lets go', async () => {
    const session = newSession();
    a.put(session, { owner: workerA, held });
    await follows(b, a);
    cable.cut();
    await expect.poll(() => isUp(0), LIMIT).toBe(false);
    const moved: unknown[] = [];
    a.onMoved((...told) => moved.push(told));
    b.onMoved((...told) => moved.push(['wrong', ...told]));
    // Both go on with it: nobody can know of the other.
    expect(await b.claim(session, workerA, workerB)).toEqual({ owner: workerB, held });
    a.put(session, { owner: workerA, held: {} });
    expect(await a.claim(session, workerA, workerA)).toMatchObject({ owner: workerA });
    cable.mend();
    await expect.poll(() => moved, LIMIT).toEqual([[session, workerB]]);
    expect(await b.claim(session, workerB, workerB)).toEqual({ owner: workerB, held });
  });

  it('that were ended elsewhere meanwhile are let go of', async () => {
    const session = newSession();
    a.put(session, { owner: workerA, held });
    await follows(b, a);
    cable.cut();
    await expect.poll(() => isUp(0), LIMIT).toBe(false);
    const moved: unknown[] = [];
    a.onMoved((...told) => moved.push(told));
    b.end(session);
    await written(b);
    cable.mend();
    await expect.poll(() => moved, LIMIT).toEqual([[session, undefined]]);
    expect(await a.claim(session, workerA, workerA)).toBeUndefined();
  });

  it('that ended stay ended after all nodes and NATS were started anew', async () => {
    const [session, ended] = [newSession(), newSession()];
    a.put(session, { owner: workerA, held });
    a.end(ended);
    await Promise.all(connections.map((connection) => connection.close()));
    await server.kill();
    await server.restart();
    const later = await connected(server.port);
    expect(await later.claim(ended, workerA, workerB)).toBeUndefined();
    expect(await later.claim(session, workerA, workerB)).toEqual({ owner: workerB, held });
  });

  it('that were put down and ended while NATS was away are written when it is back', async () => {
    const [session, ended] = [newSession(), newSession()];
    cable.cut();
    await expect.poll(() => isUp(0), LIMIT).toBe(false);
    a.put(session, { owner: workerA, held });
    a.end(ended);
    cable.mend();
    await expect.poll(async () => (await b.claim(ended, workerA, workerA)) === undefined, LIMIT).toBe(true);
    await expect.poll(() => isUp(0), LIMIT).toBe(true);
    await isOpen(a);
    await written(a);
    expect(await b.claim(session, workerA, workerB)).toEqual({ owner: workerB, held });
  });

  it('are written again when the bucket was deleted', async () => {
    const session = newSession();
    a.put(session, { owner: workerA, held });
    await written(a);
    await deleteStream(server.port, 'KV_sluice_test_sessions');
    await server.kill();
    await server.restart();
    await expect
      .poll(async () => {
        await isOpen(b);
        return [...(b as NatsSessionStore).others].some(([id]) => id === session);
      }, LIMIT)
      .toBe(true);
    await isOpen(a);
    await written(a);
    expect(await b.claim(session, workerA, workerB)).toEqual({ owner: workerB, held });
  });

  it('a process that another node has is not run twice because NATS is away', async () => {
    const id = `${PROCESS_PREFIX}once`;
    await a.claim(id, workerA, workerA);
    await follows(b, a);
    await server.kill();
    await expect.poll(async () => [await isUp(0), await isUp(1)], LIMIT).toEqual([false, false]);
    expect(await b.claim(id, workerA, workerB)).toBeUndefined();
    expect(await a.claim(id, workerA, workerA)).toMatchObject({ owner: workerA });
  });
});

async function deleteStream(port: number, name: string): Promise<void> {
  const { connect } = await import('@nats-io/transport-node');
  const { jetstreamManager } = await import('@nats-io/jetstream');
  const connection = await connect({ servers: `127.0.0.1:${port}` });
  await (await jetstreamManager(connection)).streams.delete(name);
  await connection.close();
}
