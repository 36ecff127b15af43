import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { exchange, OK, type Script, ScriptedUpstream } from './scripted-upstream.js';

const upstreams: ScriptedUpstream[] = [];

afterEach(async () => {
  await Promise.all(upstreams.splice(0).map((upstream) => upstream.stop()));
});

async function start(script: Script): Promise<ScriptedUpstream> {
  const upstream = await ScriptedUpstream.start(script);
  upstreams.push(upstream);
  return upstream;
}

/** Writes for as long as anybody reads. */
function pour(socket: Socket, chunk: string | Buffer, counted: (byteCount: number) => void = () => {}): void {
  const more = (): void => {
    if (socket.destroyed) return;
    counted(chunk.length);
    if (socket.write(chunk)) setImmediate(more);
    else socket.once('drain', more);
  };
  more();
}

const HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n';

describe('an upstream that misbehaves costs its own call and nothing else', () => {
  it.each<[string, Script, string, RegExp]>([
    ['sends garbage', (s) => s.write('\0\x01\x02 what is this'), 'protocol', /not an HTTP\/1\.1 status line/],
    [
      'speaks another protocol',
      (s) => s.write('220 mail.test ESMTP\r\n'),
      'protocol',
      /not an HTTP\/1\.1 status line/,
    ],
    ['sends half a head and closes', (s) => s.end('HTTP/1.1 200 OK\r\nContent-'), 'reset', /in the middle/],
    [
      'sends half a body and closes',
      (s) => s.end(`${HEAD}Content-Length: 9\r\n\r\nhalf`),
      'reset',
      /in the middle/,
    ],
    [
      'sends half a chunk and closes',
      (s) => s.end(`${HEAD}Transfer-Encoding: chunked\r\n\r\n9\r\nhalf`),
      'reset',
      /in the middle/,
    ],
    [
      'leaves out the last chunk',
      (s) => s.end(`${HEAD}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n`),
      'reset',
      /in the middle/,
    ],
    ['closes without a word', (s) => s.end(), 'reset', /closed the connection without an answer/],
    [
      'breaks the connection',
      (s) => s.resetAndDestroy(),
      'reset',
      /broke the connection .* without an answer/,
    ],
    [
      'sends two lengths',
      (s) => s.write(`${HEAD}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`),
      'protocol',
      /conflicting/,
    ],
    [
      'sends length and chunks',
      (s) => s.write(`${HEAD}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`),
      'protocol',
      /both/,
    ],
    ['ends lines with LF', (s) => s.write('HTTP/1.1 200 OK\nContent-Length: 2\n\n{}'), 'protocol', /bare LF/],
    [
      'sends a chunk size that is none',
      (s) => s.write(`${HEAD}Transfer-Encoding: chunked\r\n\r\nhello\r\n`),
      'protocol',
      /chunk size/,
    ],
    [
      'compresses unasked',
      (s) => s.write(`${HEAD}Transfer-Encoding: gzip\r\n\r\n`),
      'protocol',
      /nobody asked for/,
    ],
    [
      'switches protocols',
      (s) => s.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n'),
      'protocol',
      /nobody asked for/,
    ],
    [
      'sends a header without end',
      (s) => pour(s, `${HEAD}X: ${'x'.repeat(4096)}`),
      'protocol',
      /more than 65536 bytes/,
    ],
    [
      'sends header lines without end',
      (s) => {
        s.write(HEAD);
        pour(s, 'X: y\r\n'.repeat(500));
      },
      'protocol',
      /more than 65536 bytes/,
    ],
    [
      'sends interim answers without end',
      (s) => pour(s, 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(50)),
      'protocol',
      /more than 65536 bytes/,
    ],
    ['never answers', () => {}, 'timeout', /sent nothing for 150 ms; gave up waiting for an answer/],
    [
      'stops in the middle of the head',
      (s) => s.write(HEAD),
      'timeout',
      /waiting for the rest of its answer/,
    ],
    [
      'stops in the middle of the body',
      (s) => s.write(`${HEAD}Content-Length: 9\r\n\r\nhalf`),
      'timeout',
      /waiting for the rest/,
    ],
  ])('when it %s', async (_, misbehave, kind, message) => {
    const upstream = await start((socket, request) => {
      if (request.startsWith('GET /fine')) socket.write(OK);
      else misbehave(socket, request, 0);
    });
    const client = upstream.client();
    const fine = exchange(client, { method: 'GET', path: '/fine', body: '' });
    const bad = await exchange(client, { silenceTimeoutMs: 150 }).done;
    expect(bad.failure).toMatchObject({ kind, neverSent: false });
    expect(bad.failure?.message).toMatch(message);
    expect(bad.order.at(-1)).toBe('error');
    expect((await fine.done).status).toBe(200);
    expect((await exchange(client, { method: 'GET', path: '/fine', body: '' }).done).status).toBe(200);
  });

  it('and a sign of life in time keeps a slow answer alive', async () => {
    const upstream = await start((socket) => {
      socket.write(`${HEAD}Transfer-Encoding: chunked\r\n\r\n`);
      let left = 8;
      const timer = setInterval(() => {
        socket.write('1\r\n.\r\n');
        left -= 1;
        if (left > 0) return;
        clearInterval(timer);
        socket.write('0\r\n\r\n');
      }, 100);
    });
    // The whole answer takes longer than the silence that is allowed.
    const answer = await exchange(upstream.client(), { silenceTimeoutMs: 500 }).done;
    expect(answer.body).toBe('........');
  });

  it.each([
    ['chunks', 'Transfer-Encoding: chunked\r\n\r\n', `100000\r\n${'x'.repeat(0x100000)}\r\n`],
    ['a body of 10 GB', 'Content-Length: 10737418240\r\n\r\n', 'x'.repeat(0x100000)],
    ['a body until a close that never comes', '\r\n', 'x'.repeat(0x100000)],
  ])('and %s can be read for as long as the reader wants, in bounded memory', async (_, framing, text) => {
    const limitBytes = 256 * 1024 * 1024;
    let sentBytes = 0;
    const upstream = await start((socket) => {
      socket.write(HEAD + framing);
      pour(socket, Buffer.from(text), (byteCount) => {
        sentBytes += byteCount;
      });
    });
    const client = upstream.client();
    const before = process.memoryUsage().arrayBuffers;
    let peak = before;
    let seenBytes = 0;
    let largestChunkBytes = 0;
    await new Promise<void>((resolve, reject) => {
      const call = client.send(
        { method: 'GET', path: '/', headerLines: '', body: '', silenceTimeoutMs: 10_000, repeatable: false },
        {
          head() {},
          data(chunk) {
            seenBytes += chunk.length;
            largestChunkBytes = Math.max(largestChunkBytes, chunk.length);
            peak = Math.max(peak, process.memoryUsage().arrayBuffers);
            if (seenBytes < limitBytes) return;
            call.abort();
            resolve();
          },
          end: () => reject(new Error('ended')),
          error: reject,
        },
      );
    });
    expect(largestChunkBytes).toBeLessThanOrEqual(64 * 1024);
    // The upstream shares this process and its buffers: some megabytes in flight, but nothing that adds up.
    expect(peak - before).toBeLessThan(32 * 1024 * 1024);
    expect(sentBytes - limitBytes).toBeLessThan(32 * 1024 * 1024);
    expect(client.socketCount).toBe(0);
  });
});
