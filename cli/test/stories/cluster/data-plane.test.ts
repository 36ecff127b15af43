import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NodeState, Presence } from '@sluice/proto/cluster';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  type Delivering,
  httpUpstream,
  resource,
  startDelivering,
} from '../../../../control-plane/test/delivering.js';
import { closeClients, connect } from '../official-client.js';
import { descendants } from '../processes.js';
import { freePort, type HttpServer, startPlain } from '../upstreams.js';
import { type RunningNode, startNode } from './node.js';

/* "I start a node, and it serves what the cluster has, whoever is away." */

const SOON = { timeout: 15_000, interval: 50 };

let folder: string;
let port: number;
let plane: (Delivering & Awaited<ReturnType<typeof startDelivering>>) | undefined;
let node: RunningNode | undefined;
const servers: HttpServer[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-node-'));
  port = await freePort();
});
afterEach(async () => {
  await closeClients();
  await node?.stop();
  plane?.stop();
  await Promise.all(servers.splice(0).map((server) => server.kill()));
  node = undefined;
  plane = undefined;
  await rm(folder, { recursive: true, force: true });
});

const url = () => `http://127.0.0.1:${port}`;

function start(address: string, ...args: string[]): RunningNode {
  node = startNode([
    ...['--control-plane', address, '--node', 'n1', '--state-dir', folder, '--port', String(port), ...args],
  ]);
  return node;
}

async function server(): Promise<string> {
  const started = await startPlain();
  servers.push(started);
  return started.url;
}

async function ready(): Promise<{ status: number; body: { status?: string; reason?: string } }> {
  const answer = await fetch(`${url()}/ready`).catch(() => undefined);
  return answer === undefined
    ? { status: 0, body: {} }
    : { status: answer.status, body: (await answer.json()) as object };
}

const isReady = () => vi.waitFor(async () => expect((await ready()).status).toBe(200), SOON);

describe('a node of a cluster', () => {
  it('waits for a first configuration, says for what, and serves it when it is there', async () => {
    const address = `127.0.0.1:${await freePort()}`;
    start(address);
    await vi.waitFor(async () => {
      const { status, body } = await ready();
      expect(status).toBe(503);
      expect(body.reason).toContain('no control plane can be reached');
    }, SOON);
    const refused = await fetch(`${url()}/mcp`, { method: 'POST', body: '{}' });
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toBe('1');
    expect((await fetch(`${url()}/live`)).status).toBe(200);

    plane = await startDelivering(Number(address.split(':')[1]));
    await vi.waitFor(
      async () => expect((await ready()).body.reason).toBe('the cluster has no configuration yet'),
      SOON,
    );
    await plane.write([httpUpstream('demo', await server())]);
    await isReady();
    const client = await connect('SDK v2 auto', `${url()}/mcp`);
    expect(await client.toolNames()).toContain('demo__slow');
  });

  it('takes changes while it runs, says so, and harms nobody who does not use what changed', async () => {
    plane = await startDelivering();
    await plane.write([httpUpstream('one', await server()), httpUpstream('two', await server())]);
    start(plane.address);
    await isReady();
    const client = await connect('SDK v1', `${url()}/mcp/one`);
    const slow = client.call('slow', { ms: 1_500 }).catch((error: unknown) => error);
    const revision = await plane.write([httpUpstream('three', await server())], ['upstream//two']);
    const all = await plane.fleet.convergence({ revision, wait: { kind: 'all' }, deadlineMs: 10_000 });
    expect(all).toMatchObject({ reached: true, active: 1 });
    expect((await fetch(`${url()}/mcp/two`, { method: 'POST', body: '{}' })).status).toBe(404);
    expect(await slow).not.toBeInstanceOf(Error);
    expect((await client.toolNames()).length).toBeGreaterThan(0);
  });

  it('keeps what it has when a revision cannot be run, and says which resource is the reason', async () => {
    plane = await startDelivering();
    await plane.write([httpUpstream('one', await server())]);
    start(plane.address);
    await isReady();
    const revision = await plane.write([
      httpUpstream('two', 'http://127.0.0.1:1/mcp', { Authorization: '${secret:missing}' }),
    ]);
    const all = await plane.fleet.convergence({ revision, wait: { kind: 'all' }, deadlineMs: 10_000 });
    expect(all).toMatchObject({
      reached: false,
      behind: [{ node: 'n1', rejection: expect.stringContaining('there is no secret missing') }],
    });
    expect((await ready()).status).toBe(200);
    const mended = await plane.write([
      resource({
        spec: { case: 'secret', value: { name: 'missing', source: { case: 'env', value: 'HOME' } } },
      }),
    ]);
    const then = await plane.fleet.convergence({
      revision: mended,
      wait: { kind: 'all' },
      deadlineMs: 10_000,
    });
    expect(then).toMatchObject({ reached: true });
  });

  it('starts from its disk and serves when nobody can be asked, also after it was killed', async () => {
    plane = await startDelivering();
    const { address, log } = plane;
    await plane.write([httpUpstream('one', await server())]);
    const first = start(address);
    await isReady();
    await vi.waitFor(() => readFile(join(folder, 'configuration.snapshot')), SOON);
    plane.stop();
    expect(await first.stop()).toBe(0);

    const second = start(address);
    await isReady();
    expect(second.logs()).toContain('serving revision 1 from the disk');
    const [serving] = descendants(second.pid);
    process.kill(serving?.pid as number, 'SIGKILL');
    await vi.waitFor(() => expect(second.logs()).toContain('ended unexpectedly'), SOON);
    await vi.waitFor(() => expect(second.logs().match(/serving revision 1/g)).toHaveLength(2), SOON);
    await isReady();
    const client = await connect('SDK v2 2026-07-28', `${url()}/mcp`);
    expect(await client.toolNames()).toContain('one__slow');

    plane = await startDelivering(Number(address.split(':')[1]), log);
    const revision = await plane.write([httpUpstream('two', await server())]);
    const found = () => plane?.fleet.nodes()[0]?.acknowledgement?.position?.revision;
    await vi.waitFor(() => expect(found()).toBe(BigInt(revision)), SOON);
  });

  it('passes over a damaged file, and asks for everything', async () => {
    plane = await startDelivering();
    await plane.write([httpUpstream('one', await server())]);
    await writeFile(join(folder, 'configuration.snapshot'), 'not a snapshot');
    const { logs } = start(plane.address);
    await isReady();
    expect(logs()).toContain('the kept configuration is not used: it is damaged');
  });

  it('drains when it is told to: not ready, ends what is under way, says goodbye, and is not started again', async () => {
    plane = await startDelivering();
    await plane.write([httpUpstream('one', await server())]);
    const own = start(plane.address);
    await isReady();
    const states: (NodeState | undefined)[] = [];
    const watch = setInterval(() => states.push(plane?.fleet.nodes()[0]?.health?.state), 20);
    const client = await connect('SDK v2 2026-07-28', `${url()}/mcp/one`);
    const slow = client.call('slow', { ms: 1_000 }).catch((error: unknown) => error);
    await new Promise((resolve) => setTimeout(resolve, 300));
    await plane.fleet.drain('n1', 'new kernel');
    expect(await slow).not.toBeInstanceOf(Error);
    expect(await own.ended).toBe(0);
    clearInterval(watch);
    expect(states).toContain(NodeState.DRAINING);
    expect(plane.fleet.nodes()).toMatchObject([
      { presence: Presence.GONE, health: { state: NodeState.STOPPED } },
    ]);
    expect(own.logs()).toContain('told to drain: new kernel');
  });

  it('says what it serves: sessions, requests and errors', async () => {
    plane = await startDelivering();
    await plane.write([httpUpstream('one', await server()), httpUpstream('dead', 'http://127.0.0.1:1/mcp')]);
    start(plane.address, '--workers', '2', '--region', 'eu');
    await isReady();
    const client = await connect('SDK v1', `${url()}/mcp/one`);
    await client.toolNames();
    await expect(connect('SDK v2 2026-07-28', `${url()}/mcp/dead`)).rejects.toThrow();
    await vi.waitFor(() => {
      const known = plane?.fleet.nodes()[0];
      expect(known?.hello).toMatchObject({ region: 'eu', clientUrl: url() });
      expect(known?.health).toMatchObject({ state: NodeState.READY, sessions: 1 });
      expect(Number(known?.health?.requestsTotal)).toBeGreaterThan(1);
      expect(Number(known?.health?.errorsTotal)).toBeGreaterThan(0);
      expect(Number(known?.health?.residentBytes)).toBeGreaterThan(1_000_000);
    }, SOON);
  });

  it('does not listen beyond its machine when nothing asks who calls', async () => {
    plane = await startDelivering();
    await plane.write([httpUpstream('one', await server())]);
    start(plane.address, '--host', '0.0.0.0');
    await vi.waitFor(async () => {
      const { status, body } = await ready();
      expect(status).toBe(503);
      expect(body.reason).toContain('can be reached from other machines, and nothing asks them who they are');
    }, SOON);
  });

  it('says that its port is taken, and ends', async () => {
    plane = await startDelivering();
    await plane.write([httpUpstream('one', await server())]);
    start(plane.address);
    await isReady();
    const second = startNode(['--control-plane', plane.address, '--node', 'n2', '--port', String(port)]);
    expect(await second.ended).toBe(5);
    expect(second.logs()).toContain('something listens there already');
  });
});
