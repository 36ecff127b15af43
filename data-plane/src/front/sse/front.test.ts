import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { RequestHead } from '../../listener/listener.js';
import type { DuplexConnection } from '../duplex/connection.js';
import type { Endpoint } from '../endpoint.js';
import { RecordingReply } from '../recording-reply.js';
import { SseFront, streamTarget, streamToken } from './front.js';

const KEEP_ALIVE_MS = 1_000;
const ENDPOINT = { path: '/mcp', label: '*' } as Endpoint;
const PING = '{"jsonrpc":"2.0","id":1,"method":"ping"}';

/** What the front told the client that stands behind each stream. */
interface Opened {
  readonly connection: DuplexConnection;
  readonly heard: string[];
  readonly principal: string;
}

let front: SseFront;
let opened: Opened[];

beforeEach(() => {
  vi.useFakeTimers();
  opened = [];
  let count = 0;
  front = new SseFront({
    keepAliveMs: () => KEEP_ALIVE_MS,
    mintToken: () => `token+${++count}`,
    duplex: {
      open: (_, connection, { principal }) => {
        const heard: string[] = [];
        opened.push({ connection, heard, principal });
        return {
          message: (bytes) => void heard.push(bytes.toString()),
          admittedAgain: () => undefined,
          gone: () => void heard.push('(gone)'),
          requestCount: 0,
          hasSession: false,
        };
      },
    },
  });
});
afterEach(() => {
  front.close();
  vi.useRealTimers();
});

function head(
  method: string,
  target: string,
  headers: Record<string, string> = {},
  principal = 'ada',
): RequestHead {
  const [path = '', query = ''] = target.split('?');
  return { method, path, query, headers, repeated: undefined, remoteAddress: '127.0.0.1', principal };
}

/** Opens a stream; `uri` is where its messages go. */
function stream() {
  const reply = new RecordingReply();
  front.stream(ENDPOINT, head('GET', '/sse', { accept: 'text/event-stream' }), reply);
  const uri = /^event: endpoint\ndata: (.*)\n\n/.exec(reply.body)?.[1] as string;
  return { reply, uri, ...(opened.at(-1) as Opened) };
}

function post(uri: string, body = PING, principal?: string): RecordingReply {
  const reply = new RecordingReply();
  front.post(head('POST', uri, {}, principal), Buffer.from(body), reply);
  return reply;
}

test('paths of streams stand for paths of endpoints', () => {
  expect(['/sse', '/sse/', '/sse/files', '/ssefiles', '/mcp'].map(streamTarget)).toEqual([
    '/mcp',
    '/mcp/',
    '/mcp/files',
    undefined,
    undefined,
  ]);
});

test('the first event says where messages go, and what comes there is taken', () => {
  const { reply, uri, heard } = stream();
  expect(reply.status).toBe(200);
  expect(reply.headers).toMatchObject({ 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' });
  expect(uri).toBe('/messages?session_id=token%2B1');
  expect(streamToken(head('POST', uri))).toBe('token+1');
  expect(post(uri).status).toBe(202);
  expect(heard).toEqual([PING]);
});

test('answers are events of the stream', () => {
  const { reply, connection } = stream();
  expect(connection.send(Buffer.from('{\n"id":1}'))).toBe(true);
  expect(reply.body.endsWith('event: message\ndata: { "id":1}\n\n')).toBe(true);
});

test('each stream has its own messages', () => {
  const [one, other] = [stream(), stream()];
  post(other.uri);
  expect([one.heard, other.heard]).toEqual([[], [PING]]);
});

test('another principal’s stream is as unknown as none', () => {
  const { uri, heard, principal } = stream();
  const [foreign, unknown] = [post(uri, PING, 'ben'), post('/messages?session_id=x', PING, 'ben')];
  expect([foreign.status, foreign.json, heard]).toEqual([404, unknown.json, []]);
  expect(post(uri, PING, 'ada').status).toBe(202);
  expect([heard, principal]).toEqual([[PING], 'ada']);
});

test('a stream that was left is over', () => {
  const { reply, uri, heard, connection } = stream();
  reply.leave();
  expect(heard).toEqual(['(gone)']);
  expect(post(uri).status).toBe(404);
  expect(connection.send(Buffer.from('{}'))).toBe(false);
});

test('a connection that the front gives up ends its stream', () => {
  const { reply, uri, heard, connection } = stream();
  connection.close('the gateway shuts down');
  expect(reply.hasEnded).toBe(true);
  expect(post(uri).status).toBe(404);
  expect(heard).toEqual([]);
});

test('a silent stream is kept open by comments', () => {
  const { reply } = stream();
  const before = reply.body;
  vi.advanceTimersByTime(KEEP_ALIVE_MS * 3);
  expect(reply.body.slice(before.length)).toMatch(/^(: keep-alive\n\n){2,3}$/);
});

test.each([
  ['no token', '/messages', PING, 400, 'the query needs session_id'],
  ['a foreign token', '/messages?session_id=x', PING, 404, 'Session not found'],
])('a POST with %s is refused', (_, uri, body, status, message) => {
  stream();
  const reply = post(uri, body);
  expect(reply.status).toBe(status);
  expect(reply.json).toMatchObject({ error: { message: expect.stringContaining(message) } });
});

test.each([
  ['{', -32700],
  ['{"jsonrpc":"2.0","id":7,"method":3}', -32600],
  ['[]', -32600],
])('%s is refused to whoever posts it, and not on the stream', (body, code) => {
  const { reply, uri, heard } = stream();
  const before = reply.body;
  const answer = post(uri, body);
  expect(answer.status).toBe(400);
  expect(answer.json).toMatchObject({ error: { code } });
  expect([heard, reply.body]).toEqual([[], before]);
});

test('other methods are refused with those that are there', () => {
  const posted = new RecordingReply();
  front.stream(ENDPOINT, head('POST', '/sse'), posted);
  expect([posted.status, posted.headers.allow]).toEqual([405, 'GET']);
  const got = new RecordingReply();
  front.post(head('GET', '/messages'), Buffer.alloc(0), got);
  expect([got.status, got.headers.allow]).toEqual([405, 'POST']);
  const picky = new RecordingReply();
  front.stream(ENDPOINT, head('GET', '/sse', { accept: 'application/json' }), picky);
  expect(picky.status).toBe(406);
});
