import { once } from 'node:events';
import {
  connect,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { Server } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { passOverClosedStreams } from './closed-streams.js';

let http2: Http2Server;
beforeEach(async () => {
  http2 = createServer().listen(0, '127.0.0.1');
  await once(http2, 'listening');
});
afterEach(() => void http2.close());

/** What a server is given of a call whose connection ended in the moment in which it came. */
async function closedCall(contentType: string): Promise<[ServerHttp2Stream, IncomingHttpHeaders]> {
  const session = connect(`http://127.0.0.1:${(http2.address() as AddressInfo).port}`);
  session.on('error', () => {});
  const call = session.request({ ':method': 'POST', ':path': '/a.B/C', 'content-type': contentType });
  call.on('error', () => {});
  const [stream, headers] = await once(http2, 'stream');
  stream.on('error', () => {});
  session.destroy();
  await once(stream, 'close');
  return [stream, headers];
}

it.each([
  ['_channelzHandler', 'application/grpc'],
  ['_channelzHandler', 'text/plain'],
  ['_streamHandler', 'application/grpc'],
  ['_streamHandler', 'text/plain'],
])('%s throws for a call of %s that is closed, unless it is passed over', async (handler, contentType) => {
  const server = new Server();
  const [stream, headers] = await closedCall(contentType);
  const take = () => Reflect.get(server, handler).call(server, [], stream, headers);
  expect(take).toThrow('The stream has been destroyed');
  passOverClosedStreams(server);
  expect(take).not.toThrow();
});
