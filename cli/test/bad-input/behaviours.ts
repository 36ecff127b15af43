import type { ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';

/** What a tool does to the answer of its call. */
export type Behaviour = (response: ServerResponse, id: unknown, elsewhere: string) => void;

/** A result that is fit for both eras. */
export function result(id: unknown, value: object): string {
  return JSON.stringify({ jsonrpc: '2.0', id, result: { resultType: 'complete', ...value } });
}

const content = [{ type: 'text', text: 'fine' }];
const good = (id: unknown) => result(id, { content });
const progress = '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}';

function json(body: string | Buffer): Behaviour {
  return (response) => response.writeHead(200, { 'content-type': 'application/json' }).end(body);
}

function stream(text: (id: unknown) => string): Behaviour {
  return (response, id) => response.writeHead(200, { 'content-type': 'text/event-stream' }).end(text(id));
}

/** Bytes on the connection, without any help of HTTP, and its end. */
function raw(text: (id: unknown) => string): Behaviour {
  return (response, id) => response.socket?.end(text(id));
}

/** The same piece again and again, as fast as it is read, for as long as somebody reads. */
function endless(type: string, begin: string, piece: string): Behaviour {
  const bytes = Buffer.from(piece);
  return (response) => {
    response.writeHead(200, { 'content-type': type });
    response.write(begin);
    const go = () => {
      while (!response.destroyed) if (!response.write(bytes)) return;
    };
    response.on('drain', go);
    go();
  };
}

const JSON_HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n';
const LARGE = 'a'.repeat(64 * 1024);

/** By the name of the tool. */
export const BEHAVIOURS: Readonly<Record<string, Behaviour>> = {
  good: (response, id) => json(good(id))(response, id, ''),
  /** The result with what nobody knows, and fields of the answer that are nobody else's business. */
  talkative: (response) => {
    response.setHeader('set-cookie', 'secret=1');
    response.setHeader('mcp-session-id', 'of-the-upstream');
    response.setHeader('www-authenticate', 'Bearer realm="secret-realm"');
    response.setHeader('x-upstream', 'secret');
    response.setHeader('sluice-internal-worker', '1');
    json(
      '{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","content":[],"unknown":{"n":1.0,"é":[]}},"x":{}}',
    )(response, 1, '');
  },
  hangs: () => undefined,
  hangs_midway: (response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
    response.write('{"jsonrpc":"2.0",');
  },
  is_no_http: raw(() => 'SSH-2.0-OpenSSH_9.2\r\n\r\n'),
  closes_at_once: raw(() => ''),
  sends_half_a_head: raw(() => 'HTTP/1.1 200 OK\r\nContent-Ty'),
  sends_half_a_body: raw((id) => `${JSON_HEAD}Content-Length: 1000\r\n\r\n${good(id)}`),
  sends_half_a_chunk: raw((id) => `${JSON_HEAD}Transfer-Encoding: chunked\r\n\r\nfff\r\n${good(id)}`),
  sends_two_lengths: raw((id) => `${JSON_HEAD}Content-Length: 5\r\nContent-Length: 500\r\n\r\n${good(id)}`),
  sends_a_head_without_end: (response) => {
    const { socket } = response;
    socket?.write('HTTP/1.1 200 OK\r\nX: ');
    const go = () => {
      while (socket !== null && !socket.destroyed) if (!socket.write(LARGE)) return;
    };
    socket?.on('drain', go);
    go();
  },
  is_no_json: json('<html>Welcome</html>'),
  is_no_json_rpc: json('{"hello":1}'),
  is_an_array: (response, id) => json(`[${good(id)}]`)(response, id, ''),
  has_a_key_twice: (response, id) =>
    json(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{"a":1,"a":2}}`)(response, id, ''),
  is_no_utf8: (response, id) =>
    json(Buffer.from(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{"a":"\u00ff"}}`, 'latin1'))(
      response,
      id,
      '',
    ),
  is_nested_too_deep: (response, id) =>
    json(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{"a":${'['.repeat(1e5)}`)(response, id, ''),
  is_empty: json(''),
  has_no_content: (response) => response.writeHead(204).end(),
  is_only_accepted: (response) => response.writeHead(202).end(),
  is_a_page: (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'),
  is_compressed: (response, id) =>
    response
      .writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' })
      .end(gzipSync(good(id))),
  fails_with_a_page: (response) => response.writeHead(500, { 'content-type': 'text/html' }).end('<html>'),
  is_unauthorized: (response) =>
    response.writeHead(401, { 'www-authenticate': 'Bearer realm="secret-realm"' }).end('{"error":"secret"}'),
  is_too_busy: (response) => response.writeHead(429, { 'retry-after': '7' }).end(),
  leads_elsewhere: (response, _, elsewhere) => response.writeHead(302, { location: elsewhere }).end(),
  leads_elsewhere_with_the_body: (response, _, elsewhere) =>
    response.writeHead(307, { location: elsewhere }).end(),
  answers_somebody_else: (response) => json(good('somebody else'))(response, '', ''),
  asks_on_its_stream: stream(
    (id) =>
      `data: {"jsonrpc":"2.0","id":9,"method":"sampling/createMessage","params":{}}\n\ndata: ${good(id)}\n\n`,
  ),
  sends_an_event_that_is_no_json: stream(() => 'event: message\ndata: nonsense\n\n'),
  sends_half_an_event: stream((id) => `data: ${progress}\n\ndata: ${good(id).slice(0, 30)}`),
  sends_no_response: stream(() => `data: ${progress}\n\n`),
  sends_events_of_other_kinds: stream(
    (id) => `event: ping\ndata: 12:00\n\n: comment\n\nfoo: bar\n\nevent: message\ndata: ${good(id)}\n\n`,
  ),
  sends_two_responses: stream((id) => `data: ${good(id)}\n\ndata: ${good(id)}\n\n`),
  sends_json_without_end: endless('application/json', '{"jsonrpc":"2.0","id":1,"result":{"a":"', LARGE),
  sends_an_event_without_end: endless('text/event-stream', 'data: "', LARGE),
  sends_a_comment_without_end: endless('text/event-stream', ': ', LARGE),
  sends_empty_data_without_end: endless('text/event-stream', '', 'data\n'.repeat(10_000)),
  sends_events_without_end: endless('text/event-stream', '', `data: ${progress}\n\n`.repeat(100)),
};
