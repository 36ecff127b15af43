/** What a request must be that becomes a WebSocket connection (RFC 6455 section 4.2.1). */
import type { ConnectionReply } from './connection-reply.js';
import type { Door, RequestHead, SocketHandler } from './listener.js';

/** Sixteen bytes as Base64. */
const KEY = /^[+/0-9A-Za-z]{22}==$/;
const VERSION = '13';

/** True for a request that wants to be one; requests for other upgrades are answered as if they had not asked. */
export function asksForWebSocket({ method, headers }: Pick<RequestHead, 'method' | 'headers'>): boolean {
  return (
    method === 'GET' &&
    headers.upgrade?.toLowerCase() === 'websocket' &&
    (headers.connection ?? '').split(',').some((option) => option.trim().toLowerCase() === 'upgrade')
  );
}

/** What the door makes of an upgrade that the listener could do; undefined when the reply was answered instead. */
export function askForSocket(
  door: Door,
  head: RequestHead,
  reply: ConnectionReply,
): SocketHandler | undefined | Promise<SocketHandler | undefined> {
  const { headers } = head;
  const version = headers['sec-websocket-version'];
  if (version !== VERSION) {
    reply.refuse(426, `Sec-WebSocket-Version must be ${VERSION}`, [['sec-websocket-version', VERSION]]);
    return undefined;
  }
  if (!KEY.test(headers['sec-websocket-key'] ?? '')) {
    reply.refuse(400, 'Sec-WebSocket-Key must be 16 bytes as Base64');
    return undefined;
  }
  try {
    const handler = door.upgrade?.(head, reply);
    if (!(handler instanceof Promise)) return reply.open ? handler : undefined;
    return handler.then(
      (found) => (reply.open ? found : undefined),
      (error: unknown) => {
        reply.fail(error);
        return undefined;
      },
    );
  } catch (error) {
    reply.fail(error);
    return undefined;
  }
}
