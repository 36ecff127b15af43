import type { HttpResponse } from 'uWebSockets.js';
import { beforeEach, describe, expect, test } from 'vitest';
import { LIMITS, TestDoor } from './cases/test-listener.js';
import type { ReplyHost } from './connection-reply.js';
import { UwsReply } from './uws-reply.js';
import { UwsTurn } from './uws-turn.js';

/** What one cork held: names of calls, and lengths of writes. */
type Cork = (string | number)[];

/** Stands for the native object, and writes down what was done inside which cork. */
class NativeResponse {
  readonly corks: Cork[] = [];
  isClosed = false;
  takes = true;
  writable: (() => boolean) | undefined;
  #cork: Cork | undefined;

  cork(run: () => void): void {
    this.#cork = [];
    run();
    this.corks.push(this.#cork);
    this.#cork = undefined;
  }

  writeStatus(status: string): void {
    this.#note(status);
  }

  writeHeader(): void {}

  write(chunk: Uint8Array): boolean {
    this.#note(chunk.length);
    return this.takes;
  }

  tryEnd(body: string): [boolean, boolean] {
    this.#note(`tryEnd ${body.length}`);
    return [true, true];
  }

  end(): void {
    this.#note('end');
  }

  close(): void {
    this.isClosed = true;
  }

  onAborted(): void {}

  onWritable(handler: () => boolean): void {
    this.writable = handler;
  }

  #note(what: string | number): void {
    if (this.#cork === undefined) throw new Error(`${what} was written outside of a cork`);
    this.#cork.push(what);
  }
}

let turn: UwsTurn;

function create(): { native: NativeResponse; reply: UwsReply } {
  const native = new NativeResponse();
  const door = new TestDoor();
  const host: ReplyHost = {
    door,
    limits: LIMITS,
    draining: false,
    fault: () => undefined,
    settled: () => undefined,
    bodyBytes: 0,
  };
  return { native, reply: new UwsReply(host, 'GET', native as unknown as HttpResponse, turn, false) };
}

/** Waits until the parser is surely done. */
function turnOver(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}

beforeEach(() => {
  turn = new UwsTurn((error) => {
    throw error;
  });
});

describe('what goes into one cork', () => {
  test('nothing of a stream while the parser holds the cork, then one write of at most 12 KiB each', async () => {
    const { native, reply } = create();
    turn.enter();
    turn.current = reply;
    reply.begin(200, []);
    for (let count = 0; count < 3; count++) reply.write(Buffer.alloc(10_000));
    expect(native.corks).toEqual([]);
    await turnOver();
    const writes = native.corks.map((cork) => cork.filter((call) => typeof call === 'number'));
    expect(writes.map((lengths) => lengths.length)).toEqual([1, 1, 1]);
    expect(Math.max(...writes.flat())).toBeLessThanOrEqual(12 * 1024);
    expect(writes.flat().reduce((sum, length) => sum + length)).toBe(30_000);
    expect(native.corks[0]?.[0]).toBe('200 OK');
  });

  test('one write each when the parser is not at work', async () => {
    const { native, reply } = create();
    reply.begin(200, []);
    await turnOver();
    reply.write('one');
    reply.write('three');
    expect(native.corks).toEqual([['200 OK', 3], [5]]);
  });

  test('nothing after a write that was not taken, until the socket is writable', async () => {
    const { native, reply } = create();
    reply.begin(200, []);
    await turnOver();
    native.takes = false;
    expect(reply.write(Buffer.alloc(5))).toBe(0);
    expect(reply.write(Buffer.alloc(7))).toBe(7);
    reply.end();
    expect(native.corks).toEqual([['200 OK', 5]]);
    native.takes = true;
    expect(native.writable?.()).toBe(true);
    expect(native.corks.slice(1)).toEqual([[7], ['end']]);
  });

  test('an empty cork when the socket is writable and nothing waits, so that what is held below goes out', async () => {
    const { native, reply } = create();
    reply.begin(200, []);
    await turnOver();
    native.takes = false;
    reply.write('held');
    native.writable?.();
    expect(native.corks).toEqual([['200 OK', 4], []]);
  });

  test('whole answers in place only as far as they surely fit', async () => {
    const replies = Array.from({ length: 4 }, create);
    for (const { reply } of replies) {
      turn.enter();
      turn.current = reply;
      reply.send(200, [], 'x'.repeat(5_000));
    }
    expect(replies.map(({ native }) => native.corks.length)).toEqual([1, 1, 0, 0]);
    await turnOver();
    expect(replies.map(({ native }) => native.corks)).toEqual(replies.map(() => [['200 OK', 'tryEnd 5000']]));
  });

  test('an answer to another request than the one that is parsed waits', async () => {
    const [first, second] = [create(), create()];
    turn.enter();
    turn.current = second.reply;
    first.reply.send(200, [], 'x');
    expect(first.native.corks).toEqual([]);
    await turnOver();
    expect(first.native.corks).toEqual([['200 OK', 'tryEnd 1']]);
  });
});

test('a connection is closed only when the parser has let go of it', async () => {
  const { native, reply } = create();
  turn.enter();
  turn.current = reply;
  reply.close();
  expect([native.isClosed, reply.open]).toEqual([false, false]);
  await turnOver();
  expect(native.isClosed).toBe(true);
});
