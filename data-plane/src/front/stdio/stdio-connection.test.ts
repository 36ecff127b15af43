import { PassThrough, Writable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { StdioConnection, type StdioLimits } from './stdio-connection.js';

/** A client that reads only when it is told to. */
class SlowReader extends Writable {
  text = '';
  private waiting: (() => void)[] = [];
  reads = true;

  constructor() {
    super({ highWaterMark: 16 });
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    const take = () => {
      this.text += chunk;
      done();
    };
    if (this.reads) take();
    else this.waiting.push(take);
  }

  readOn(): void {
    this.reads = true;
    for (const take of this.waiting.splice(0)) take();
  }
}

function connected(limits: Partial<StdioLimits> = {}) {
  const input = new PassThrough();
  const output = new SlowReader();
  const heard: string[] = [];
  const connection = new StdioConnection(
    input,
    output,
    { maxLineBytes: 100, maxWaitingBytes: 1_000, ...limits },
    {
      message: (bytes) => heard.push(bytes.toString()),
      inputEnded: () => heard.push('(input ended)'),
      ended: (reason, kind) => heard.push(`(${kind}: ${reason})`),
    },
  );
  connection.start();
  return { input, output, heard, connection };
}

test('each line is a message, however its bytes come', async () => {
  const { input, heard } = connected();
  for (const piece of ['{"a":', '1}\n{"b":2}\r\n', '\n{"c"', ':3}']) input.write(piece);
  await setImmediate();
  expect(heard).toEqual(['{"a":1}', '{"b":2}']);
  input.end();
  await setImmediate();
  expect(heard).toEqual(['{"a":1}', '{"b":2}', '{"c":3}', '(input ended)']);
});

test('what is sent stands on one line', () => {
  const { output, connection } = connected();
  expect(connection.send(Buffer.from('{\n"a":\r\n1}'))).toBe(true);
  expect(output.text).toBe('{ "a":  1}\n');
});

test('a line that is too long is refused, one that just fits is not, and the next is taken', async () => {
  const { input, output, heard } = connected();
  const fits = 'x'.repeat(100);
  input.write(`${fits}\r\n${fits}x\n${'y'.repeat(1_000)}\n{}\n`);
  await setImmediate();
  expect(heard).toEqual([fits, '{}']);
  const refusals = output.text.trim().split('\n');
  expect(refusals).toHaveLength(2);
  expect(JSON.parse(refusals[0] as string)).toEqual({
    jsonrpc: '2.0',
    id: null,
    error: { code: -32600, message: 'a message has more than 100 bytes (limits.max_body_bytes)' },
  });
});

test('a client that does not read is not read from, until it reads', async () => {
  const { input, output, heard, connection } = connected();
  output.reads = false;
  connection.send(Buffer.alloc(50, 'a'));
  input.write('1\n');
  await setImmediate();
  input.write('2\n');
  await setImmediate();
  expect(heard).toEqual(['1']);
  output.readOn();
  await setImmediate();
  expect(heard).toEqual(['1', '2']);
});

test('when too much waits for it, the connection ends once', () => {
  const { output, heard, connection } = connected();
  output.reads = false;
  expect(connection.send(Buffer.alloc(2_000, 'a'))).toBe(true);
  expect(connection.send(Buffer.from('b'))).toBe(false);
  expect(connection.send(Buffer.from('c'))).toBe(false);
  expect(heard).toEqual(['(failed: 2001 bytes wait for a client that does not read)']);
});

test('a client that is gone ends the connection', async () => {
  const { output, heard, connection } = connected();
  output.destroy(new Error('write EPIPE'));
  await setImmediate();
  expect(heard).toEqual(['(gone: the client does not read any more: write EPIPE)']);
  connection.close('again');
  expect(heard).toHaveLength(1);
});

test('a client that sends nothing more may still read', async () => {
  const { input, output, heard, connection } = connected();
  input.end('1');
  await setImmediate();
  expect(heard).toEqual(['1', '(input ended)']);
  connection.send(Buffer.from('{}'));
  expect(output.text).toBe('{}\n');
});

test('after the end nothing is taken', async () => {
  const { input, heard, connection } = connected();
  connection.close('enough');
  input.end('1\n2\n');
  await setImmediate();
  expect(heard).toEqual(['(failed: enough)']);
});
