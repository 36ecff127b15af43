import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SessionLost } from '../channel.js';
import { ScriptedHttpClient } from '../scripted-http-client.js';
import { HttpFailure } from '../transport/http.js';
import type { Pipe } from '../transport/pipe.js';
import { openSse } from './sse-pipe.js';

const CONNECT_TIMEOUT_MS = 2_000;

let streams: ScriptedHttpClient;
let posts: ScriptedHttpClient;
let told: string[];
let pipe: Pipe;

beforeEach(() => {
  vi.useFakeTimers();
  streams = new ScriptedHttpClient();
  posts = new ScriptedHttpClient();
  told = [];
  pipe = openSse(
    {
      name: 'up',
      url: new URL('http://server.test:8080/base/sse?key=1'),
      streams,
      posts,
      headerLines: 'authorization: x\r\n',
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      timeoutMs: 1_000,
      maxMessageBytes: 1_000,
      maxPendingWriteBytes: 100,
    },
    {
      opened: () => told.push('opened'),
      message: (bytes) => told.push(`message: ${bytes}`),
      undelivered: (requestId, error) =>
        told.push(
          `undelivered ${requestId}: ${error instanceof SessionLost ? 'session lost' : error.message}`,
        ),
      closed: (reason) => told.push(`closed: ${reason}`),
    },
  );
});
afterEach(() => vi.useRealTimers());

const says = (text: string) => streams.last.more(text);
const openAt = (endpoint: string) => streams.last.stream(`event: endpoint\ndata: ${endpoint}\n\n`);
const posted = () => posts.calls.map(({ request }) => request.body);

describe('the stream', () => {
  it('is asked for with the headers of the configuration', () => {
    expect(streams.last.request).toMatchObject({
      method: 'GET',
      path: '/base/sse?key=1',
      silenceTimeoutMs: 0,
    });
    expect(streams.last.request.headerLines).toBe(
      'accept: text/event-stream\r\ncache-control: no-store\r\nauthorization: x\r\n',
    );
  });

  it.each([
    ['/messages?sessionId=1', '/messages?sessionId=1'],
    ['messages', '/base/messages'],
    ['?sessionId=1', '/base/sse?sessionId=1'],
    ['http://server.test:8080/m', '/m'],
    ['//server.test:8080/m', '/m'],
  ])('names %s as the address for messages', (endpoint, path) => {
    openAt(endpoint);
    pipe.write('{}', '1');
    expect(told).toEqual(['opened']);
    expect(posts.last.request).toMatchObject({ method: 'POST', path, body: '{}' });
    expect(posts.last.request.headerLines).toBe('content-type: application/json\r\nauthorization: x\r\n');
  });

  it.each(['http://elsewhere.test/m', '//server.test/m', 'https://server.test:8080/m', 'file:///m'])(
    'may not name %s, which is of another origin',
    (endpoint) => {
      openAt(endpoint);
      expect(told).toEqual([expect.stringContaining('it has to be at http://server.test:8080')]);
      expect(streams.last.aborted).toBe(true);
      expect(pipe.write('{}', '1')).toBe(false);
      expect(posts.calls).toEqual([]);
    },
  );

  it('may not name what is no address', () => {
    openAt('http://[');
    expect(told).toEqual([expect.stringContaining('"http://["')]);
  });

  it('keeps the first address', () => {
    openAt('/first');
    says('event: endpoint\ndata: /second\n\n');
    pipe.write('{}', '1');
    expect(posts.last.request.path).toBe('/first');
  });

  it('brings messages, and nothing else', () => {
    openAt('/m');
    says('data: {"a":1}\n\nevent: message\ndata: {"b":2}\n\nevent: other\ndata: x\n\n: comment\n\n');
    expect(told).toEqual(['opened', 'message: {"a":1}', 'message: {"b":2}']);
  });

  it('has to begin with the address', () => {
    streams.last.stream('data: {}\n\n');
    expect(told).toEqual([expect.stringContaining('began with a message')]);
  });

  it('has to name the address in time', () => {
    streams.last.stream(': hello\n\n');
    vi.advanceTimersByTime(CONNECT_TIMEOUT_MS);
    expect(told).toEqual([expect.stringContaining(`within ${CONNECT_TIMEOUT_MS} ms`)]);
    expect(streams.last.aborted).toBe(true);
  });

  it('may be silent for ever after that', () => {
    openAt('/m');
    vi.advanceTimersByTime(100 * CONNECT_TIMEOUT_MS);
    expect(told).toEqual(['opened']);
  });

  it('ends the pipe when it ends', () => {
    openAt('/m');
    streams.last.end();
    expect(told).toEqual(['opened', 'closed: the server ended the stream']);
    expect(pipe.write('{}', '1')).toBe(false);
  });

  it('ends the pipe when it breaks', () => {
    openAt('/m');
    streams.last.fail(new HttpFailure('reset', 'the connection broke'));
    expect(told).toEqual(['opened', 'closed: the connection broke']);
  });

  it('ends the pipe with a message that is too large', () => {
    openAt('/m');
    says(`data: "${'x'.repeat(2_000)}`);
    says('"\n\n');
    expect(told).toEqual(['opened', expect.stringContaining('more than 1000 bytes')]);
    expect(streams.last.aborted).toBe(true);
  });

  it.each([
    [404, 'HTTP 404; is this the address of an HTTP+SSE stream?'],
    [302, 'HTTP 302'],
    [500, 'HTTP 500'],
  ])('that is refused with %i says so', (status, text) => {
    streams.last.status(status);
    expect(told).toEqual([expect.stringContaining(text)]);
  });

  it('that is of another type says so', () => {
    streams.last.json({});
    expect(told).toEqual([expect.stringContaining('application/json and not with text/event-stream')]);
  });

  it('is closed when the pipe is stopped, which nobody is told', async () => {
    openAt('/m');
    await pipe.stop();
    await pipe.stop();
    expect([streams.last.aborted, told, vi.getTimerCount()]).toEqual([true, ['opened'], 0]);
  });
});

describe('messages', () => {
  it('wait for the address, as many as there is room for', () => {
    expect(pipe.write('x'.repeat(60), '1')).toBe(true);
    expect(pipe.write('y'.repeat(60), '2')).toBe(false);
    expect(pipe.write('z'.repeat(40), '3')).toBe(true);
    openAt('/m');
    expect(posted()).toEqual(['x'.repeat(60), 'z'.repeat(40)]);
  });

  it('go beside each other, because some servers answer the POST when the call has ended', () => {
    openAt('/m');
    pipe.write('first', '1');
    pipe.write('second', '2');
    expect(posted()).toEqual(['first', 'second']);
  });

  it('wait for a notification in front of them', () => {
    openAt('/m');
    pipe.write('initialized');
    pipe.write('first', '1');
    pipe.write('cancelled');
    pipe.write('second', '2');
    expect(posted()).toEqual(['initialized']);
    posts.last.status(202);
    expect(posted()).toEqual(['initialized', 'first', 'cancelled']);
    posts.last.fail(new HttpFailure('reset', 'broken'));
    expect(posted()).toEqual(['initialized', 'first', 'cancelled', 'second']);
    expect(told).toEqual(['opened']);
  });

  it('that are refused cost their own request', () => {
    openAt('/m');
    pipe.write('first', '1');
    posts.last.status(500);
    pipe.write('second', '"2"');
    posts.last.fail(new HttpFailure('connect', 'connection refused'));
    expect(told).toEqual([
      'opened',
      'undelivered 1: upstream "up" answered HTTP 500',
      'undelivered "2": upstream "up" cannot be reached; the request was not sent',
    ]);
  });

  it('that are taken late are not lost: the answer may still come on the stream', () => {
    openAt('/m');
    pipe.write('first', '1');
    posts.last.fail(new HttpFailure('timeout', 'nothing came'));
    expect(told).toEqual(['opened']);
  });

  it('for a session that is not known any more say so', () => {
    openAt('/m');
    pipe.write('first', '1');
    posts.last.status(404);
    expect(told).toEqual(['opened', 'undelivered 1: session lost']);
    pipe.write('initialized');
    posts.last.status(404);
    expect(told.at(-1)).toContain('closed: upstream "up" does not know the session');
  });
});
