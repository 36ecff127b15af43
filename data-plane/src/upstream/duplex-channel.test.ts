import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import { SessionLost } from './channel.js';
import { DuplexChannel } from './duplex-channel.js';
import type { PipeEvents } from './transport/pipe.js';

let pipe: PipeEvents;
let written: string[];
let reads: boolean;
let stopCount: number;
let told: string[];
let faults: string[];
let channel: DuplexChannel;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'Date'] });
  written = [];
  reads = true;
  stopCount = 0;
  told = [];
  faults = [];
  channel = new DuplexChannel(
    {
      name: 'up',
      subject: 'the process',
      timeoutMs: 1_000,
      openPipe: (events) => {
        pipe = events;
        return {
          write: (message) => {
            if (reads) written.push(message);
            return reads;
          },
          stop: async () => {
            stopCount++;
          },
        };
      },
      badMessage: (fault) => faults.push(fault),
    },
    {
      opened: () => told.push('opened'),
      message: (_, { method }) => told.push(method),
      lost: (reason) => told.push(`lost: ${reason}`),
      gap: () => told.push('gap'),
    },
  );
  pipe.opened();
  told = [];
});
afterEach(() => vi.useRealTimers());

function request(id: string, token?: string) {
  const outcome: string[] = [];
  const sent = channel.request(`{"jsonrpc":"2.0","id":${id},"method":"x"}`, id, token, {
    message: (bytes) => outcome.push(bytes.toString()),
    failed: ({ message }) => outcome.push(`failed: ${message}`),
  });
  return { outcome, sent };
}

const says = (message: object | string) =>
  pipe.message(
    Buffer.from(typeof message === 'string' ? message : JSON.stringify({ jsonrpc: '2.0', ...message })),
  );
const progress = (progressToken: unknown) =>
  says({ method: 'notifications/progress', params: { progressToken, progress: 1 } });

it('gives each answer to the request with its id, and only once', () => {
  const number = request('1');
  const text = request('"1"');
  says({ id: '1', result: { text: true } });
  says({ id: 1, result: { number: true } });
  says({ id: 1, result: { again: true } });
  says({ id: 2, result: { nobody: true } });
  expect(number.outcome).toEqual(['{"jsonrpc":"2.0","id":1,"result":{"number":true}}']);
  expect(text.outcome).toEqual(['{"jsonrpc":"2.0","id":"1","result":{"text":true}}']);
  expect(told).toEqual([]);
});

it('knows an answer whose id is spelled in another way', () => {
  const { outcome } = request('"a\\/\\u00e9"');
  says({ id: 'a/é', result: {} });
  expect(outcome).toHaveLength(1);
});

describe('a request that waits', () => {
  it('fails after silence, and the process is told', () => {
    const { outcome } = request('7');
    vi.advanceTimersByTime(1_250);
    expect(outcome).toEqual([expect.stringContaining('did not answer in time')]);
    expect(JSON.parse(written.at(-1) as string)).toMatchObject({
      method: 'notifications/cancelled',
      params: { requestId: 7 },
    });
    says({ id: 7, result: {} });
    expect(outcome).toHaveLength(1);
  });

  it('lives on for half an hour while it progresses', () => {
    const { outcome } = request('7', '"t/1"');
    const stepCount = (30 * 60_000) / 900;
    for (let i = 0; i < stepCount; i++) {
      vi.advanceTimersByTime(900);
      progress('t/1');
    }
    expect(outcome).toEqual([]);
    expect(told).toHaveLength(stepCount);
    vi.advanceTimersByTime(1_250);
    expect(outcome).toHaveLength(1);
  });

  it('may be silent for ever once it is told to be patient', () => {
    const { outcome, sent } = request('7', '1');
    sent.waitPatiently();
    vi.advanceTimersByTime(10_000);
    progress(1);
    vi.advanceTimersByTime(10_000);
    expect(outcome).toEqual([]);
    sent.waitPatiently(false);
    vi.advanceTimersByTime(900);
    expect(outcome).toEqual([]);
    vi.advanceTimersByTime(350);
    expect(outcome).toEqual([expect.stringContaining('did not answer in time')]);
  });

  it('has the whole time again when nobody is asked any more', () => {
    const { outcome, sent } = request('7');
    sent.waitPatiently();
    vi.advanceTimersByTime(10_000);
    sent.waitPatiently(false);
    vi.advanceTimersByTime(900);
    expect(outcome).toEqual([]);
    vi.advanceTimersByTime(350);
    expect(outcome).toEqual([expect.stringContaining('did not answer in time')]);
  });

  it('hears nothing any more once it is aborted', () => {
    const { outcome, sent } = request('"x"');
    sent.abort();
    sent.abort();
    expect(written.slice(1).map((text) => JSON.parse(text).params.requestId)).toEqual(['x']);
    says({ id: 'x', result: {} });
    vi.advanceTimersByTime(2_000);
    expect(outcome).toEqual([]);
  });

  it('fails at once when the process does not read', () => {
    reads = false;
    expect(request('1').outcome).toEqual([expect.stringContaining('does not read what it is sent')]);
  });

  it('fails when the process ends, which is told once', () => {
    const { outcome } = request('1');
    pipe.closed('fake exited with code 1');
    expect(outcome).toEqual([expect.stringContaining('ended before it answered')]);
    expect(told).toEqual(['lost: fake exited with code 1']);
    expect(request('2').outcome).toEqual([expect.stringContaining('has ended')]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('fails when the channel is closed, which is no loss', async () => {
    const { outcome } = request('1');
    await channel.close();
    pipe.closed('it was stopped');
    expect(outcome).toHaveLength(1);
    expect([told, stopCount, vi.getTimerCount()]).toEqual([[], 1, 0]);
  });
});

describe('before the pipe is open', () => {
  function another(): DuplexChannel {
    return new DuplexChannel(
      {
        name: 'up',
        subject: 'the connection',
        timeoutMs: 1_000,
        openPipe: (events) => {
          pipe = events;
          return { write: () => true, stop: async () => {} };
        },
        badMessage() {},
      },
      {
        opened: () => told.push('opened'),
        message() {},
        lost: (reason) => told.push(`lost: ${reason}`),
        gap() {},
      },
    );
  }

  it('silence does not count', () => {
    channel = another();
    const { outcome } = request('1');
    vi.advanceTimersByTime(5_000);
    expect(outcome).toEqual([]);
    pipe.opened();
    vi.advanceTimersByTime(900);
    expect([told, outcome]).toEqual([['opened'], []]);
    vi.advanceTimersByTime(350);
    expect(outcome).toEqual([expect.stringContaining('did not answer in time')]);
  });

  it('a request that could not be sent says so', () => {
    channel = another();
    const failures: RpcError[] = [];
    channel.request('{}', '1', undefined, { message() {}, failed: (error) => failures.push(error) });
    pipe.closed('connection refused');
    expect(failures).toMatchObject([
      {
        code: ErrorCode.UpstreamUnavailable,
        message: 'upstream "up" cannot be reached; the request was not sent',
        cause: { message: 'connection refused' },
      },
    ]);
    expect(told).toEqual(['lost: connection refused']);
  });
});

describe('a message that did not arrive', () => {
  it('costs its own request', () => {
    const first = request('1');
    const second = request('2');
    pipe.undelivered('1', new RpcError(ErrorCode.UpstreamBadAnswer, 'HTTP 500'));
    expect(first.outcome).toEqual(['failed: HTTP 500']);
    expect([second.outcome, told]).toEqual([[], []]);
  });

  it('ends the connection first when its session is not known any more', () => {
    const order: string[] = [];
    channel.request('{}', '1', undefined, { message() {}, failed: () => order.push(...told, 'failed') });
    const other = request('2');
    pipe.undelivered('1', new SessionLost('up'));
    expect(order).toEqual([expect.stringContaining('lost: '), 'failed']);
    expect(other.outcome).toEqual([expect.stringContaining('may have run')]);
    expect(stopCount).toBe(1);
  });
});

describe('messages that are not JSON-RPC', () => {
  it('are left out, and shown', () => {
    says('Server listening');
    says({ method: 'notifications/tools/list_changed' });
    expect(told).toEqual(['notifications/tools/list_changed']);
    expect(faults).toHaveLength(1);
  });

  it('end a connection that brings nothing else', () => {
    for (let i = 0; i < 100; i++) says('debug');
    expect([told.length, stopCount]).toEqual([1, 1]);
  });

  it('end no connection that has carried MCP', () => {
    request('1');
    says({ id: 1, result: {} });
    for (let i = 0; i < 1_000; i++) says('debug');
    expect([told, stopCount]).toEqual([[], 0]);
  });

  it('cost the request whose id can still be read', () => {
    const { outcome } = request('5');
    const other = request('6');
    says('{"jsonrpc":"2.0","id":5,"result":{"a":');
    expect(outcome).toEqual([expect.stringContaining('sent a message that is not JSON-RPC')]);
    expect(other.outcome).toEqual([]);
  });
});

it('keeps what a listener throws from the messages after it', async () => {
  const before = process.listeners('uncaughtException');
  for (const listener of before) process.off('uncaughtException', listener);
  const thrown = new Promise((resolve) => process.once('uncaughtException', resolve));
  channel.request('{"jsonrpc":"2.0","id":1,"method":"x"}', '1', undefined, {
    message: () => {
      throw new Error('a bug');
    },
    failed() {},
  });
  const { outcome } = request('2');
  says({ id: 1, result: {} });
  says({ id: 2, result: {} });
  expect(outcome).toHaveLength(1);
  expect(await thrown).toMatchObject({ message: 'a bug' });
  for (const listener of before) process.on('uncaughtException', listener);
});
