import { createHash } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { ChannelCredentials, Server, ServerCredentials, status } from '@grpc/grpc-js';
import {
  type Announcement,
  CheckpointSchema,
  entryOfBytes,
  NodeEventKind,
  NodeState,
  type Position,
  PositionSchema,
  Presence,
  type Resource,
  ResourceSchema,
  ResourceState,
} from '@sluice/proto/cluster';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { makeTestCertificate } from '../../../data-plane/src/upstream/transport/test-certificate.js';
import { MemoryLog } from '../../test/memory-log.js';
import { afterPieces, TestNode, type TestNodeOptions } from '../../test/node-client.js';
import { Fleet } from '../fleet/fleet.js';
import { ConfigurationHead } from '../revisions/head.js';
import { StoreUnavailableError } from '../store/revision-log.js';
import { SYSTEM_TIMING, type Timing } from '../timing.js';
import { type NodeGrant, nodeAccess } from './node-access.js';
import { deliveryService } from './service.js';
import { Views } from './views.js';

const opened: (() => void)[] = [];
afterEach(() => {
  for (const close of opened.splice(0).reverse()) close();
});

interface ServedOptions {
  readonly grants?: readonly NodeGrant[];
  readonly credentials?: ServerCredentials;
  readonly isOnNats?: () => boolean;
  readonly timing?: Timing;
}

async function served({ grants, credentials, isOnNats = () => false, timing }: ServedOptions = {}) {
  const log = new MemoryLog();
  const onTrouble = (error: unknown) => {
    throw error;
  };
  const head = await ConfigurationHead.open({ log, nowMs: () => 0, onTrouble });
  const views = new Views(head, () => 0);
  const clock = { nowMs: () => 0, elapsedMs: () => 0 };
  const fleet = new Fleet({ head, views, ...clock, orderElsewhere: () => false });
  const access = nodeAccess(grants);
  const delivery = deliveryService({
    ...{ head, views, fleet, access, cluster: 'test', isOnNats, onTrouble, timing },
  });
  const server = new Server();
  server.addService(delivery.definition, delivery.implementation);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', credentials ?? ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  opened.push(() => {
    delivery.close();
    fleet.close();
    views.close();
    head.close();
    server.forceShutdown();
  });
  return { log, head, views, fleet, delivery, address: `localhost:${port}` };
}

function node(options: TestNodeOptions): TestNode {
  const made = new TestNode(options);
  opened.push(() => made.close());
  return made;
}

async function connected(options: TestNodeOptions): Promise<TestNode> {
  const made = node(options);
  made.connect();
  await vi.waitFor(() => expect(made.welcome ?? made.ended).toBeDefined());
  return made;
}

function commit(head: ConfigurationHead, ...resources: { name: string; tenant?: string; region?: string }[]) {
  const changed = resources.map(
    ({ name, tenant = '', region }): Resource =>
      create(ResourceSchema, {
        tenant,
        regions: region === undefined ? [] : [region],
        spec: { case: 'consumer', value: { name } },
      }),
  );
  return head.commit({ author: 'test', message: '', plan: async () => ({ changed, removed: [] }) });
}

const sha256 = (token: string) => createHash('sha256').update(token).digest('hex');
const keysOf = (pieces: { changed: Uint8Array[] }[]) =>
  pieces.flatMap(({ changed }) => changed.map((bytes) => entryOfBytes(bytes).key)).sort();

describe('the delivery service', () => {
  it('answers a pull with everything, and the next one with what changed since', async () => {
    const { head, address } = await served();
    await commit(head, { name: 'a' }, { name: 'b' });
    const edge = node({ address });
    const first = await edge.pull();
    const have = first.at(-1)?.position;
    expect(first[0]).toMatchObject({ snapshot: true });
    expect(afterPieces(ResourceState.empty(), first).digest).toEqual(have?.digest);
    await commit(head, { name: 'c' });
    const second = await edge.pull(have);
    expect(second).toMatchObject([{ snapshot: false, last: true }]);
    expect(keysOf(second)).toEqual(['consumer//c']);
  });

  it('welcomes a node, tells it what changed, and knows what it runs', async () => {
    const { head, fleet, address } = await served();
    const edge = await connected({ address, region: 'eu' });
    expect(edge.welcome).toMatchObject({
      cluster: 'test',
      announcementSubject: expect.stringMatching(/^sluice\.test\.config\.[0-9a-f]{16}$/),
      reportSubject: 'sluice.test.nodes.report.n1',
      healthIntervalMs: 2_000,
    });
    await commit(head, { name: 'a', region: 'eu' });
    await vi.waitFor(() => expect(edge.announcements).toHaveLength(1));
    const announcement = edge.announcements[0] as Announcement;
    expect(announcement.hasDelta).toBe(true);
    expect(keysOf([announcement])).toEqual(['consumer//a']);

    const all = fleet.convergence({ revision: 1, wait: { kind: 'all' }, deadlineMs: 10_000 });
    edge.acknowledge(announcement.position as Position);
    expect(await all).toMatchObject({ reached: true, active: 1, concerned: 1, behind: [] });
    expect(fleet.nodes()).toMatchObject([
      { hello: { node: 'n1', region: 'eu' }, health: { position: { revision: 1n } }, wantedRevision: 1n },
    ]);
    expect(fleet.events(1)).toMatchObject([{ kind: NodeEventKind.APPLIED, revision: 1n }]);
  });

  it('tells what a node refuses to those who wait, without waiting longer', async () => {
    const { head, fleet, address } = await served();
    const edge = await connected({ address });
    await commit(head, { name: 'a' });
    await vi.waitFor(() => expect(edge.announcements).toHaveLength(1));
    const all = fleet.convergence({ revision: 1, wait: { kind: 'all' }, deadlineMs: 600_000 });
    edge.acknowledge(edge.announcements[0]?.position as never, 'does not compile');
    expect(await all).toMatchObject({
      reached: false,
      behind: [{ node: 'n1', rejection: 'does not compile', presence: Presence.PRESENT }],
    });
  });

  it('orders a node to drain, and knows when it is gone', async () => {
    const { fleet, address } = await served();
    const edge = await connected({ address });
    expect(await fleet.drain('n1', 'new kernel')).toMatchObject({ hello: { node: 'n1' } });
    await vi.waitFor(() =>
      expect(edge.orders).toMatchObject([{ what: { case: 'drain', value: { reason: 'new kernel' } } }]),
    );
    edge.say({ case: 'health', value: { ...edge.self, state: NodeState.STOPPED } });
    await vi.waitFor(() => expect(fleet.nodes()).toMatchObject([{ presence: Presence.GONE }]));
    expect(fleet.events(9).map(({ kind }) => kind)).toEqual([
      NodeEventKind.LEFT,
      NodeEventKind.DRAIN_ORDERED,
      NodeEventKind.JOINED,
    ]);
    expect(await fleet.drain('nobody', '')).toBeUndefined();
  });

  it('lets only the newest start of a node speak', async () => {
    const { fleet, address } = await served();
    const old = await connected({ address });
    const young = await connected({ address, incarnation: 'second' });
    await vi.waitFor(() => expect(old.ended).toMatchObject({ code: status.ABORTED }));
    expect(young.ended).toBeUndefined();
    expect(fleet.nodes()).toMatchObject([{ hello: { incarnation: 'second' } }]);
  });

  it('shows a node what its token is for, and nothing to others', async () => {
    const grants: NodeGrant[] = [
      { node: 'edge-*', tokenSha256: sha256('secret'), region: 'eu', tenants: ['acme'] },
      { node: 'core', tokenSha256: sha256('other'), region: '', tenants: [] },
    ];
    const { head, address } = await served({ grants });
    await commit(
      head,
      { name: 'ours', tenant: 'acme' },
      { name: 'theirs', tenant: 'other' },
      { name: 'all' },
    );
    await commit(head, { name: 'eu', region: 'eu' }, { name: 'us', region: 'us' });
    const pulled = (options: Omit<TestNodeOptions, 'address'>) => node({ address, ...options }).pull();

    expect(keysOf(await pulled({ node: 'edge-1', token: 'secret' }))).toEqual([
      'consumer//all',
      'consumer//eu',
      'consumer/acme/ours',
    ]);
    expect(keysOf(await pulled({ node: 'core', token: 'other', region: 'us' }))).toEqual([
      'consumer//all',
      'consumer//us',
      'consumer/acme/ours',
      'consumer/other/theirs',
    ]);
    for (const [options, code, details] of [
      [{ node: 'edge-1' }, status.UNAUTHENTICATED, 'neither the token'],
      [{ node: 'edge-1', token: 'wrong' }, status.UNAUTHENTICATED, 'neither the token'],
      [{ node: 'edge-1', token: 'other' }, status.PERMISSION_DENIED, 'not for a node named edge-1'],
      [{ node: 'edge-1', token: 'secret', region: 'us' }, status.PERMISSION_DENIED, 'its grant says eu'],
      [{ node: 'edge 1', token: 'secret' }, status.INVALID_ARGUMENT, 'a node has a name'],
    ] as const) {
      await expect(pulled(options)).rejects.toMatchObject({
        code,
        details: expect.stringContaining(details),
      });
      const stream = await connected({ address, ...options });
      expect(stream.ended).toMatchObject({ code, details: expect.stringContaining(details) });
    }
  });

  it('takes the name in a client certificate for the name of the node', async () => {
    const authority = makeTestCertificate(['127.0.0.1', 'localhost']);
    const edge = makeTestCertificate(['edge-1']);
    const pem = (text: string) => Buffer.from(text);
    const credentials = ServerCredentials.createSsl(
      pem(edge.cert),
      [{ private_key: pem(authority.key), cert_chain: pem(authority.cert) }],
      true,
    );
    const grants = [{ node: 'edge-*', tokenSha256: '', region: '', tenants: [] }];
    const { head, address } = await served({ grants, credentials });
    await commit(head, { name: 'a' });
    const shown = ChannelCredentials.createSsl(pem(authority.cert), pem(edge.key), pem(edge.cert));
    const pulled = (name: string) => node({ address, node: name, credentials: shown }).pull();
    expect(keysOf(await pulled('edge-1'))).toEqual(['consumer//a']);
    await expect(pulled('edge-2')).rejects.toMatchObject({ code: status.UNAUTHENTICATED });
    const without = node({
      address,
      node: 'edge-1',
      credentials: ChannelCredentials.createSsl(pem(authority.cert)),
    });
    await expect(without.pull()).rejects.toMatchObject({ code: status.UNAVAILABLE });
  });

  it('lets a stream speak for its own node alone, and begin with Hello', async () => {
    const { address } = await served();
    const edge = await connected({ address });
    edge.say({ case: 'health', value: { ...edge.self, node: 'another' } });
    await vi.waitFor(() => expect(edge.ended).toMatchObject({ code: status.INVALID_ARGUMENT }));
  });

  it('has one stream of a node, and one start on a stream', async () => {
    const { fleet, address } = await served();
    const first = await connected({ address });
    const second = await connected({ address });
    await vi.waitFor(() => expect(first.ended).toMatchObject({ code: status.ABORTED }));
    second.say({ case: 'hello', value: { ...second.self, hearsAnnouncements: true } });
    await vi.waitFor(() => expect(fleet.nodes()).toMatchObject([{ hello: { hearsAnnouncements: true } }]));
    expect(second.ended).toBeUndefined();
    second.say({ case: 'hello', value: { ...second.self, incarnation: 'another' } });
    await vi.waitFor(() => expect(second.ended).toMatchObject({ code: status.INVALID_ARGUMENT }));
    expect([...fleet.heardHere()]).toEqual([]);
  });

  it('refuses a Hello that could rewrite a terminal', async () => {
    const { fleet, address } = await served();
    const edge = await connected({ address, incarnation: '\u001b[2Jfirst' });
    expect(edge.ended).toMatchObject({ code: status.INVALID_ARGUMENT });
    expect(fleet.nodes()).toEqual([]);
  });

  it('ends the stream of a node that says again and again who it is and reads no answer', async () => {
    const { fleet, address } = await served();
    const edge = await connected({ address });
    edge.read(false);
    const flood = setInterval(() => {
      for (let count = 0; count < 500; count++) edge.say({ case: 'hello', value: edge.self });
    });
    opened.push(() => clearInterval(flood));
    await vi.waitFor(() => expect([...fleet.heardHere()]).toEqual([]), { timeout: 20_000 });
    clearInterval(flood);
    edge.read(true);
    await vi.waitFor(() => expect(edge.ended).toMatchObject({ code: status.RESOURCE_EXHAUSTED }));
  }, 30_000);

  it('asks the store before it sends a node back', async () => {
    const { log, head, address } = await served();
    await commit(head, { name: 'a' });
    const ahead = create(PositionSchema, {
      storeId: head.storeId,
      revision: 2n,
      digest: new Uint8Array(32).fill(1),
    });
    log.trouble = new StoreUnavailableError('etcd is away');
    await expect(node({ address }).pull(ahead)).rejects.toMatchObject({ code: status.UNAVAILABLE });
    await expect(node({ address }).pull(ahead, true)).rejects.toMatchObject({ code: status.UNAVAILABLE });
    log.trouble = undefined;
    expect(
      await node({ address }).pull({ ...ahead, revision: 1n, digest: head.state.digest }, true),
    ).toMatchObject([{ snapshot: true, position: { revision: 1n } }]);
    expect(await node({ address }).pull(ahead)).toMatchObject([
      { snapshot: true, position: { revision: 1n } },
    ]);
  });

  it('does not give a node that follows the store what the store lost when it went back', async () => {
    const { head, log, address } = await served();
    for (const name of ['a', 'b', 'c']) await commit(head, { name });
    const other = new MemoryLog();
    other.checkpoint = log.checkpoint;
    other.revisions = log.revisions.slice(0, 1);
    const onTrouble = () => {};
    const elsewhere = await ConfigurationHead.open({ log: other, nowMs: () => 0, onTrouble });
    await commit(elsewhere, { name: 'x' });
    const { storeId, state } = elsewhere;
    const have = create(PositionSchema, { storeId, revision: 2n, digest: Uint8Array.from(state.digest) });
    expect(keysOf(await node({ address }).pull(have))).toEqual(['consumer//a', 'consumer//b', 'consumer//c']);
    // The store goes back, and on from there, and this replica has heard nothing of it.
    log.revisions = other.revisions;
    await expect(node({ address }).pull(have)).rejects.toMatchObject({ code: status.UNAVAILABLE });
    for (const name of ['y', 'z']) await commit(elsewhere, { name });
    log.revisions = other.revisions;
    expect(keysOf(await node({ address }).pull(have))).toEqual([
      'consumer//a',
      'consumer//x',
      'consumer//y',
      'consumer//z',
    ]);
    elsewhere.close();
  });

  it('does not send a node back that knows the store which took the place of this one', async () => {
    const { log, head, address } = await served();
    await commit(head, { name: 'a' });
    const { storeId } = head;
    const later = create(PositionSchema, {
      storeId: 'later',
      revision: 9n,
      digest: new Uint8Array(32).fill(1),
    });
    log.trouble = new StoreUnavailableError('etcd is away');
    await expect(node({ address }).pull(later)).rejects.toMatchObject({ code: status.UNAVAILABLE });
    log.trouble = undefined;
    log.revisions = [];
    log.checkpoint = create(CheckpointSchema, { storeId: 'later', revision: 9n, replaces: [storeId] });
    expect(await node({ address }).pull(later)).toMatchObject([
      { snapshot: true, position: { storeId: 'later', revision: 9n } },
    ]);
    // What came before this store is known without asking.
    log.trouble = new StoreUnavailableError('etcd is away');
    expect(await node({ address }).pull({ ...later, storeId, revision: 1n })).toMatchObject([
      { snapshot: true, position: { storeId: 'later', revision: 9n } },
    ]);
  });

  it('announces over the stream to those who do not hear it over NATS', async () => {
    let isOnNats = true;
    const { head, delivery, address } = await served({ isOnNats: () => isOnNats });
    const hears = await connected({ address, node: 'hears', hearsAnnouncements: true });
    const deaf = await connected({ address, node: 'deaf' });
    await commit(head, { name: 'a' });
    await vi.waitFor(() => expect(deaf.announcements).toHaveLength(1));
    expect(hears.announcements).toEqual([]);
    isOnNats = false;
    delivery.announceAll();
    await vi.waitFor(() => expect(hears.announcements).toMatchObject([{ hasDelta: false }]));
    await commit(head, { name: 'b' });
    await vi.waitFor(() => expect(hears.announcements[1]).toMatchObject({ hasDelta: true }));
  });

  it('keeps nothing for a node that does not read, and tells it later where it stands', async () => {
    const { head, address } = await served();
    const slow = await connected({ address });
    slow.read(false);
    const large = 'x'.repeat(50_000);
    const commits = 400;
    for (let number = 1; number <= commits; number++)
      await commit(head, { name: `n${number}`, tenant: large });
    slow.read(true);
    await vi.waitFor(() => expect(slow.announcements.at(-1)?.position?.revision).toBe(BigInt(commits)));
    expect(slow.announcements.length).toBeLessThan(commits);
  });

  it('ends a pull of which nobody takes anything', async () => {
    const waits: (() => void)[] = [];
    const after: Timing['after'] = (_, what) => {
      waits.push(what);
      return () => void waits.splice(waits.indexOf(what), 1);
    };
    const { head, address } = await served({ timing: { ...SYSTEM_TIMING, after } });
    const large = 'x'.repeat(900_000);
    for (let number = 0; number < 20; number++) await commit(head, { name: `n${number}`, tenant: large });
    const edge = node({ address });
    const pieces = edge.pulling()[Symbol.asyncIterator]();
    await vi.waitFor(() => expect(waits).toHaveLength(1));
    waits[0]?.();
    const all = async () => {
      while (!(await pieces.next()).done);
    };
    await expect(all()).rejects.toMatchObject({ code: status.DEADLINE_EXCEEDED });
    expect(await edge.pull()).toHaveLength(20);
    expect(waits).toEqual([]);
  });

  it('tells its nodes when it stops', async () => {
    const { delivery, address } = await served();
    const edge = await connected({ address });
    delivery.close();
    await vi.waitFor(() => expect(edge.ended).toMatchObject({ code: status.UNAVAILABLE }));
  });
});
