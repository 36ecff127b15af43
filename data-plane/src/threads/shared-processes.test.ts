import { MessageChannel } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import { scanMessage } from '../protocol/scan.js';
import type { UpstreamCall } from '../upstream/call.js';
import { ownCall } from '../upstream/own-request.js';
import { settled } from '../upstream/scripted-channel.js';
import type { Shared } from '../upstream/shared-connection.js';
import type { Refusal } from '../upstream/subscriptions.js';
import type { Upstream } from '../upstream/upstream.js';
import { SharedProcesses } from './shared-processes.js';

interface Served {
  readonly call: UpstreamCall;
  resolve(message: object): void;
  reject(error: RpcError): void;
}

/** The upstream in the worker that has the process. */
class FakeUpstream {
  readonly id = 'id';
  readonly era = 'legacy';
  readonly served: Served[] = [];
  listenCount = 0;

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
let workers: SharedProcesses[];
let told: string[];
/** The worker that has the process, and one that has not. */
let owner: number;
let other: number;

beforeEach(() => {
  upstream = new FakeUpstream();
  watched = [];
  refusal = undefined;
  told = [];
  workers = [0, 1].map(
    (index) =>
      new SharedProcesses(index, 2, {
        find: (id) => (id === 'id' ? (upstream as unknown as Upstream) : undefined),
        heard: (id, message) => told.push(`${id} ${message.toString()}`),
        stale: (id) => told.push(`stale ${id}`),
        offerChanged: (id, principal, kind) => told.push(`${kind} of ${id} for ${principal}`),
        watch: async (_, uri) => {
          watched.push(`+${uri}`);
          return refusal;
        },
        unwatch: (_, uri) => watched.push(`-${uri}`),
        concerns: (_, updated, uris) => uris.includes(updated),
      }),
  );
  const { port1, port2 } = new MessageChannel();
  workers[0]?.addPeer(1, port1);
  workers[1]?.addPeer(0, port2);
  owner = workers.findIndex((worker) => worker.elsewhere('id') === undefined);
  other = 1 - owner;
});
afterEach(() => {
  for (const worker of workers) worker.close();
});

function connect(lost: (reason: string) => void = () => {}): Promise<Shared> {
  return workers[other]?.elsewhere('id')?.(lost) as Promise<Shared>;
}

const served = async (index: number) => {
  await expect.poll(() => upstream.served.length).toBeGreaterThan(index);
  return upstream.served[index] as Served;
};

it('has one owner for each upstream', () => {
  expect(workers.filter((worker) => worker.elsewhere('id') === undefined)).toHaveLength(1);
});

it('tells the other workers what a session has heard', async () => {
  workers[0]?.offerChanged('id', 'ann', 'tools');
  await expect.poll(() => told).toEqual(['tools of id for ann']);
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
      workers[owner]?.heard('id', Buffer.from(JSON.stringify({ jsonrpc: '2.0', method, params })));
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
    workers[owner]?.heard('id', Buffer.from(news('news')));
    workers[other]?.heard('id', Buffer.from(news('not theirs to tell')));
    await expect.poll(() => told).toEqual([`id ${news('news')}`]);
  });

  it('ends the connections of the other workers when it ends', async () => {
    const reasons: string[] = [];
    const shared = await connect((reason) => reasons.push(reason));
    const closed = await connect((reason) => reasons.push(`closed ${reason}`));
    await closed.close();
    workers[owner]?.stale('id', 'it ended');
    await expect.poll(() => reasons).toEqual(['it ended']);
    expect(told).toEqual(['stale id']);
    shared.listen();
    await expect.poll(() => upstream.listenCount).toBe(1);
    await settled();
  });
});
