import { MessageChannel } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Reply, RequestHead } from '../listener/listener.js';
import { portPipe } from '../threads/port-pipe.js';
import { Forwarder } from './forwarding.js';

/** A reply that writes down what is done with it. */
class NotedReply implements Reply {
  readonly done: unknown[] = [];
  open = true;
  private readonly listeners: (() => void)[] = [];

  send(status: number, _headers: unknown, body: Uint8Array | string): void {
    this.done.push(['send', status, textOf(body)]);
  }
  begin(status: number): void {
    this.done.push(['begin', status]);
  }
  write(chunk: Uint8Array | string): number {
    this.done.push(['write', textOf(chunk)]);
    return 0;
  }
  addHeader(): void {}
  end(): void {
    this.done.push(['end']);
  }
  close(): void {
    this.done.push(['close']);
  }
  onAborted(listener: () => void): void {
    this.listeners.push(listener);
  }
  abort(): void {
    for (const listener of this.listeners) listener();
  }
}

function textOf(data: Uint8Array | string): string {
  return typeof data === 'string' ? data : Buffer.from(data).toString();
}

interface Taken {
  readonly head: RequestHead;
  readonly body: Buffer;
  readonly reply: Reply;
}

const HEAD: RequestHead = {
  method: 'POST',
  path: '/mcp',
  query: '',
  headers: Object.assign(Object.create(null), { 'mcp-session-id': 'x' }),
  repeated: undefined,
  remoteAddress: '127.0.0.1',
  principal: 'ada',
};

let taken: Taken[];
let here: Forwarder;
let there: Forwarder;

beforeEach(() => {
  taken = [];
  const { port1, port2 } = new MessageChannel();
  here = new Forwarder(() => {
    throw new Error('nothing was to be forwarded to here');
  });
  there = new Forwarder((head, body, reply) => taken.push({ head, body, reply }));
  here.addPeer('n.1', portPipe(port1));
  there.addPeer('n.0', portPipe(port2));
});
afterEach(() => {
  here.close();
  there.close();
});

async function forward(body: Buffer): Promise<{ client: NotedReply; taken: Taken }> {
  const client = new NotedReply();
  const count = taken.length;
  expect(here.forward('n.1', HEAD, body, client)).toBe(true);
  await expect.poll(() => taken.length).toBe(count + 1);
  return { client, taken: taken.at(-1) as Taken };
}

/** Everything that was posted until now has arrived. */
async function posted(): Promise<void> {
  const { client, taken: marker } = await forward(Buffer.from('marker'));
  marker.reply.send(204, [], '');
  await expect.poll(() => client.done.length).toBe(1);
}

describe('a request for another worker', () => {
  it('arrives whole, and alone', async () => {
    const chunk = Buffer.from('before{"a":1}after');
    const { taken: request } = await forward(chunk.subarray(6, 13));
    expect(request.body.toString()).toBe('{"a":1}');
    expect(request.body.buffer.byteLength).toBe(7);
    expect(request.head).toMatchObject({ method: 'POST', path: '/mcp', principal: 'ada' });
    expect(request.head.headers['mcp-session-id']).toBe('x');
    expect(request.head.headers.constructor).toBeUndefined();
  });

  it('is answered in order', async () => {
    const { client, taken: request } = await forward(Buffer.from('{}'));
    request.reply.begin(200, []);
    request.reply.write('one');
    request.reply.write(Buffer.from('two'));
    request.reply.end();
    request.reply.write('late');
    await posted();
    expect(client.done).toEqual([['begin', 200], ['write', 'one'], ['write', 'two'], ['end']]);
    expect(request.reply.open).toBe(false);
  });

  it('is not taken when there is no such worker', () => {
    const client = new NotedReply();
    expect(here.forward('n.7', HEAD, Buffer.alloc(0), client)).toBe(false);
    expect(client.done).toEqual([]);
  });
});

describe('a client that goes away', () => {
  it('is told to the worker that has its request, once', async () => {
    const { client, taken: request } = await forward(Buffer.from('{}'));
    let abortCount = 0;
    request.reply.onAborted(() => abortCount++);
    request.reply.begin(200, []);
    await posted();
    client.abort();
    client.abort();
    await posted();
    expect(abortCount).toBe(1);
    expect(request.reply.open).toBe(false);
    request.reply.write('late');
    request.reply.end();
    await posted();
    expect(client.done).toEqual([['begin', 200]]);
  });

  it('is nobody any more when its answer was sent', async () => {
    const { client, taken: request } = await forward(Buffer.from('{}'));
    let abortCount = 0;
    request.reply.onAborted(() => abortCount++);
    request.reply.send(200, [], 'ok');
    client.abort();
    await posted();
    expect(abortCount).toBe(0);
  });
});

describe('a worker that is met again', () => {
  it('is reached over the new pipe, though the old one is known to be closed only now', async () => {
    const [before, after] = [new MessageChannel(), new MessageChannel()];
    const again = new Forwarder(() => {});
    again.addPeer('n.2', portPipe(before.port1));
    again.addPeer('n.2', portPipe(after.port1));
    let isClosed = false;
    before.port1.on('close', () => {
      isClosed = true;
    });
    before.port2.close();
    await expect.poll(() => isClosed).toBe(true);
    expect(again.reaches('n.2')).toBe(true);
    again.close();
  });
});
