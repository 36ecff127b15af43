import { MessageChannel } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ErrorCode, RpcError } from '../../protocol/errors.js';
import { scanMessage } from '../../protocol/scan.js';
import { type Pipe, workerAddress } from '../../sessions/node-bus.js';
import { MemorySessionStore, type SessionStore } from '../../sessions/store.js';
import { portPipe } from '../../threads/port-pipe.js';
import type { UpstreamCall } from '../call.js';
import { ownCall } from '../own-request.js';
import { settled } from '../scripted-channel.js';
import type { Shared } from '../shared-connection.js';
import type { Refusal } from '../subscriptions.js';
import { traitsOf } from '../transport-traits.js';
import type { Upstream } from '../upstream.js';
import type { UpstreamMessage } from './messages.js';
import { SharedProcesses } from './shared-processes.js';

interface Served {
  readonly call: UpstreamCall;
  resolve(message: object): void;
  reject(error: RpcError): void;
}

/** The upstream in the worker that has the process. */
class FakeUpstream {
  id = 'id';
  readonly name = 'name';
  readonly era = 'legacy';
  sharing: 'shared' | 'cluster' = 'shared';
  readonly served: Served[] = [];
  listenCount = 0;

  get traits() {
    const { sharing } = this;
    return traitsOf({ kind: 'stdio', command: 'x', args: [], env: {}, cwd: '', sharing, maxProcessCount: 1 });
  }
  async open() {
    return { revision: '2025-11-25', capabilities: {}, serverInfo: undefined, instructions: undefined };
  }
  listen(): void {
    this.listenCount++;
  }
  callAsItIs(call: UpstreamCall) {
    return new Promise((resolve, reject) => {
      call.cancellation.onCancel({ cancel: () => reject(new RpcError(-1, 'cancelled')) });
      this.served.push({
        call,
        resolve: (message) => {
          const bytes = Buffer.from(JSON.stringify({ jsonrpc: '2.0', ...message }));
          resolve({ bytes, envelope: scanMessage(bytes) });
        },
        reject,
      });
    });
  }
}

let upstream: FakeUpstream;
let watched: string[];
let refusal: Refusal;
let told: string[];
let workers: TestWorker[];
/** The worker that has the process, and one that has not. */
let owner: TestWorker;
let other: TestWorker;

class TestWorker {
  readonly processes: SharedProcesses;
  readonly address: string;
  readonly pipes: Pipe<UpstreamMessage>[] = [];

  constructor(
    readonly node: string,
    index: number,
    count: number,
    store?: SessionStore,
  ) {
    this.address = workerAddress(node, index);
    // Pipes of the test before may close late.
    const mine = watched;
    this.processes = new SharedProcesses({
      self: this.address,
      node,
      count,
      store,
      host: () => ({
        all: [upstream as unknown as Upstream],
        find: (id) => (id === upstream.id ? (upstream as unknown as Upstream) : undefined),
        heard: (id, message) => told.push(`${this.address} ${id} ${message.toString()}`),
        stale: (id) => told.push(`${this.address} stale ${id}`),
        letGo: (id) => told.push(`${this.address} lets go of ${id}`),
        offerChanged: (id, principal, kind) => told.push(`${this.address} ${kind} of ${id} for ${principal}`),
        watch: async (_, uri) => {
          mine.push(`+${uri}`);
          return refusal;
        },
        unwatch: (_, uri) => mine.push(`-${uri}`),
        concerns: (_, updated, uris) => uris.includes(updated),
      }),
    });
  }
  meet(another: TestWorker): void {
    const { port1, port2 } = new MessageChannel();
    for (const [each, its, port] of [
      [this, another, port1],
      [another, this, port2],
    ] as const) {
      const pipe = portPipe<UpstreamMessage>(port);
      each.pipes.push(pipe);
      each.processes.addPeer(its.address, pipe);
    }
  }

  connect(lost: (reason: string) => void = () => {}): Promise<Shared | undefined> {
    return this.processes.connect(upstream, lost);
  }

  end(): void {
    for (const pipe of this.pipes) pipe.close();
  }
}

beforeEach(() => {
  upstream = new FakeUpstream();
  watched = [];
  refusal = undefined;
  told = [];
});
afterEach(() => {
  for (const worker of workers) worker.end();
});

/** One of the workers, and one of the others. */
async function tellApart(): Promise<void> {
  for (const worker of workers) if ((await worker.connect()) === undefined) owner = worker;
  other = workers.find((worker) => worker !== owner) as TestWorker;
}

function connect(lost?: (reason: string) => void): Promise<Shared> {
  return other.connect(lost) as Promise<Shared>;
}

const served = async (index: number) => {
  await expect.poll(() => upstream.served.length).toBeGreaterThan(index);
  return upstream.served[index] as Served;
};

describe('in the workers of one node', () => {
  beforeEach(async () => {
    workers = [0, 1].map((index) => new TestWorker('a', index, 2));
    workers[0]?.meet(workers[1] as TestWorker);
    await tellApart();
  });

  it('has one owner for each upstream', async () => {
    const connections = await Promise.all(workers.map((worker) => worker.connect()));
    expect(connections.filter((connection) => connection === undefined)).toHaveLength(1);
  });

  describe('a call from another worker', () => {
    it('reaches the process, with what belongs to it, and alone', async () => {
      const shared = await connect();
      const notes: string[] = [];
      const call = ownCall('tools/call', { name: 'a' }, false, (_, { method }) => notes.push(method));
      const outcome = shared.call(call);
      const { call: request, resolve } = await served(0);
      expect(request.bytes.toString()).toBe(call.bytes.toString());
      expect(request.bytes.buffer.byteLength).toBe(request.bytes.byteLength);
      const note = Buffer.from('{"jsonrpc":"2.0","method":"notifications/progress","params":{}}');
      request.onNotification(note, scanMessage(note));
      resolve({ id: 1, result: { a: 1 } });
      expect(JSON.parse((await outcome).bytes.toString()).result).toEqual({ a: 1 });
      expect(notes).toEqual(['notifications/progress']);
    });

    it('is cancelled there when its client has gone', async () => {
      const shared = await connect();
      const call = ownCall('tools/call', {}, false);
      const outcome = shared.call(call);
      const { call: request } = await served(0);
      call.cancellation.cancel();
      await expect(outcome).rejects.toThrow('cancelled');
      await expect.poll(() => request.cancellation.cancelled).toBe(true);
    });

    it('fails with the error that it failed with there', async () => {
      const shared = await connect();
      const outcome = shared.call(ownCall('tools/call', {}, false));
      (await served(0)).reject(new RpcError(ErrorCode.UpstreamLost, 'gone', { a: 1 }));
      await expect(outcome).rejects.toMatchObject({
        code: ErrorCode.UpstreamLost,
        message: 'gone',
        data: { a: 1 },
      });
    });
  });

  describe('a resource', () => {
    const ask = (shared: Shared, method: string, uri: string) => shared.call(ownCall(method, { uri }, false));

    it('is watched once for a worker, however often it says so', async () => {
      const shared = await connect();
      await ask(shared, 'resources/subscribe', 'test://a');
      await ask(shared, 'resources/subscribe', 'test://a');
      await ask(shared, 'resources/unsubscribe', 'test://a');
      await ask(shared, 'resources/unsubscribe', 'test://a');
      expect(watched).toEqual(['+test://a', '-test://a']);
      expect(upstream.served).toEqual([]);
    });

    it('is told of to the workers that it concerns, and everything else to all', async () => {
      const shared = await connect();
      await ask(shared, 'resources/subscribe', 'test://a');
      const tell = (method: string, params: object) =>
        owner.processes.heard(upstream, Buffer.from(JSON.stringify({ jsonrpc: '2.0', method, params })));
      for (const uri of ['test://b', 'test://a']) tell('notifications/resources/updated', { uri });
      tell('notifications/tools/list_changed', {});
      await expect.poll(() => told.length).toBe(2);
      expect(told[0]).toContain('test://a');
      expect(told[1]).toContain('list_changed');
    });

    it('is let go again when the upstream refuses', async () => {
      const shared = await connect();
      refusal = new RpcError(-32002, 'Resource not found');
      await expect(ask(shared, 'resources/subscribe', 'test://a')).rejects.toMatchObject({
        code: -32002,
        message: 'Resource not found',
      });
      expect(watched).toEqual(['+test://a', '-test://a']);
    });
  });

  describe('what the process does', () => {
    it('is heard by the other workers', async () => {
      const news = (what: string) => JSON.stringify({ jsonrpc: '2.0', method: `notifications/${what}` });
      owner.processes.heard(upstream, Buffer.from(news('news')));
      other.processes.heard(upstream, Buffer.from(news('not theirs to tell')));
      await expect.poll(() => told).toEqual([`${other.address} id ${news('news')}`]);
    });

    it('ends the connections of the other workers when it ends', async () => {
      const reasons: string[] = [];
      const shared = await connect((reason) => reasons.push(reason));
      const closed = await connect((reason) => reasons.push(`closed ${reason}`));
      await closed.close();
      owner.processes.stale(upstream, 'it ended');
      await expect.poll(() => reasons).toEqual(['it ended']);
      expect(told).toEqual([`${other.address} stale id`]);
      shared.listen();
      await expect.poll(() => upstream.listenCount).toBe(1);
      await settled();
    });
  });

  it('tells the other workers what a session has heard', async () => {
    workers[0]?.processes.offerChanged('id', 'ann', 'tools');
    await expect.poll(() => told).toEqual(['a.1 tools of id for ann']);
  });

  it('is nothing to another node, which has a process of its own', async () => {
    const neighbour = new TestWorker('b', 0, 1);
    neighbour.meet(owner);
    workers.push(neighbour);
    expect(await neighbour.connect()).toBeUndefined();
    owner.processes.heard(upstream, Buffer.from('{"jsonrpc":"2.0","method":"notifications/news"}'));
    owner.processes.stale(upstream, 'it ended');
    await expect.poll(() => told.length).toBe(2);
    await settled();
    expect(told.every((line) => line.startsWith(other.address))).toBe(true);
  });
});

describe('in a cluster that shares it', () => {
  let store: MemorySessionStore;

  beforeEach(async () => {
    upstream.sharing = 'cluster';
    store = new MemorySessionStore();
    workers = ['a', 'b', 'c'].map((node) => new TestWorker(node, 0, 1, store));
    workers.forEach((worker, i) => {
      for (const earlier of workers.slice(0, i)) worker.meet(earlier);
    });
    await tellApart();
  });
  const others = () => workers.filter((worker) => worker !== owner);

  it('runs in one node, however many need it at once', async () => {
    upstream.id = 'another';
    const connections = await Promise.all(workers.map((worker) => worker.connect()));
    expect(connections.filter((connection) => connection === undefined)).toHaveLength(1);
  });

  it('stays where it is when a node joins, even one that has met nobody yet', async () => {
    const late = new TestWorker('d', 0, 1, store);
    workers.push(late);
    const connecting = late.connect();
    late.meet(owner);
    expect(await connecting).toMatchObject({ era: 'legacy' });
    expect(await owner.connect()).toBeUndefined();
  });

  it('is heard by all nodes', async () => {
    owner.processes.heard(upstream, Buffer.from('{"jsonrpc":"2.0","method":"notifications/news"}'));
    await expect.poll(() => told.length).toBe(2);
  });

  it('is lost with its node: calls may have run, and every other node hears of it', async () => {
    const reasons: string[] = [];
    const shareds = await Promise.all(others().map((each) => each.connect((reason) => reasons.push(reason))));
    const outcome = shareds[0]?.call(ownCall('tools/call', {}, false));
    await served(0);
    owner.end();
    await expect(outcome).rejects.toMatchObject({
      code: ErrorCode.UpstreamLost,
      message: expect.stringContaining('may have run'),
    });
    await expect.poll(() => reasons).toHaveLength(2);
    const again = await Promise.all(others().map((each) => each.connect()));
    expect(again.filter((connection) => connection === undefined)).toHaveLength(1);
    expect(again.filter((connection) => connection?.era === 'legacy')).toHaveLength(1);
    expect(upstream.served).toHaveLength(1);
  });

  it('is let go by a node that was cut off, when another one has it, and all hear of it', async () => {
    const reasons: string[] = [];
    const [first, second] = others() as [TestWorker, TestWorker];
    await second.connect((reason) => reasons.push(reason));
    await store.claim('process:id', owner.address, first.address);
    expect(told).toContain(`${owner.address} lets go of id`);
    await expect.poll(() => reasons).toEqual(['the process runs at another node now']);
    expect(await owner.connect()).toMatchObject({ era: 'legacy' });
    expect(await first.connect()).toBeUndefined();
    expect(await second.connect()).toMatchObject({ era: 'legacy' });
    expect(told.filter((line) => line.includes('lets go'))).toHaveLength(1);
  });

  it("is somebody else's when its node dies before it has answered", async () => {
    let answer = () => {};
    upstream.open = () =>
      new Promise((resolve) => {
        answer = () =>
          resolve({ revision: '', capabilities: {}, serverInfo: undefined, instructions: undefined });
      });
    const connecting = Promise.all(others().map((each) => each.connect()));
    await settled();
    owner.end();
    await expect
      .poll(async () => (await store.claim('process:id', owner.address, owner.address))?.owner)
      .not.toBe(owner.address);
    const timer = setInterval(() => answer(), 10);
    const again = await connecting;
    clearInterval(timer);
    expect(again.filter((connection) => connection === undefined)).toHaveLength(1);
  });

  it('is let go by a node that dies', async () => {
    const shared = await connect();
    await shared.call(ownCall('resources/subscribe', { uri: 'test://a' }, false));
    void shared.call(ownCall('tools/call', {}, false)).catch(() => undefined);
    const { call } = await served(0);
    expect(owner.processes.lentCallCount).toBe(1);
    other.end();
    await expect.poll(() => call.cancellation.cancelled).toBe(true);
    expect(watched).toEqual(['+test://a', '-test://a']);
    await expect.poll(() => owner.processes.lentCallCount).toBe(0);
  });

  it('is not waited for while somebody only listens', async () => {
    const shared = await connect();
    const listening = ownCall('subscriptions/listen', {}, true);
    const outcome = shared.call(listening);
    await served(0);
    expect(owner.processes.lentCallCount).toBe(0);
    listening.cancellation.cancel();
    await expect(outcome).rejects.toThrow('cancelled');
  });

  it('is of no use without the store, and that is said', async () => {
    store.claim = () => Promise.reject(new Error('no answer from the store'));
    await expect(other.connect()).rejects.toMatchObject({
      code: ErrorCode.UpstreamUnavailable,
      message: expect.stringContaining('"name"'),
    });
  });
});
