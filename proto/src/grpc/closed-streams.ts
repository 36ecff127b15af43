/** Calls whose caller has gone before anybody looked at them. */
import type { ServerHttp2Stream } from 'node:http2';
import type { Server } from '@grpc/grpc-js';

/** How grpc-js 1.14 takes a stream, with statistics (channelz) and without. */
const STREAM_HANDLERS = ['_channelzHandler', '_streamHandler'];

type StreamHandler = (
  this: Server,
  interceptors: unknown,
  stream: ServerHttp2Stream,
  headers: unknown,
) => void;

/**
 * Has a server pass over streams that are closed already. It answers what it does not know (a method, a content type)
 * at once, and to answer a closed stream throws: anybody who opened streams and reset them ended the process. Call it
 * before the server listens.
 */
export function passOverClosedStreams(server: Server): void {
  for (const name of STREAM_HANDLERS) {
    const handler: unknown = Reflect.get(server, name);
    if (typeof handler !== 'function') throw new Error(`the Server of grpc-js has no ${name} any more`);
    const guarded: StreamHandler = function (interceptors, stream, headers) {
      if (!stream.closed && !stream.destroyed) handler.call(this, interceptors, stream, headers);
    };
    Reflect.set(server, name, guarded);
  }
}
