/** Answers that fronts give by themselves, before or instead of an exchange. */
import type { Reply } from '../listener/listener.js';
import { errorMessage, RpcError } from '../protocol/errors.js';
import { binaryToBytes } from '../protocol/text.js';

export const JSON_HEADERS = [['content-type', 'application/json']] as const;

export const SSE_HEADERS = [
  ['content-type', 'text/event-stream'],
  ['cache-control', 'no-cache, no-transform'],
  ['x-accel-buffering', 'no'],
] as const;

/** Refuses with an HTTP status and a JSON-RPC error. `id` is JSON text, where it is known. */
export function refuse(
  reply: Reply,
  status: number,
  code: number,
  message: string,
  id?: string,
  data?: unknown,
): void {
  reply.send(status, JSON_HEADERS, binaryToBytes(errorMessage(id, new RpcError(code, message, data))));
}

/** 405 with the methods that are there (RFC 9110 section 15.5.6). */
export function refuseMethod(reply: Reply, allowed: string, message: string, code: number): void {
  reply.send(
    405,
    [...JSON_HEADERS, ['allow', allowed]],
    binaryToBytes(errorMessage(undefined, new RpcError(code, message))),
  );
}

/** What the specification tells clients to send, and most do. */
const USUAL_ACCEPT = 'application/json, text/event-stream';

/**
 * Whether an Accept field takes a media type: the range that says it most exactly decides, and `q=0` refuses; a
 * missing field takes everything (RFC 9110 section 12.5.1).
 */
export function accepts(accept: string | undefined, type: 'application/json' | 'text/event-stream'): boolean {
  if (accept === undefined || accept === '' || accept === USUAL_ACCEPT) return true;
  const ranges = [type, `${type.slice(0, type.indexOf('/'))}/*`, '*/*'];
  let best = ranges.length;
  let taken = false;
  for (const part of accept.toLowerCase().split(',')) {
    const [range = '', ...parameters] = part.split(';').map((each) => each.trim());
    const exactness = ranges.indexOf(range);
    if (exactness === -1 || exactness > best) continue;
    const isTaken = !parameters.some((each) => /^q=0(\.0*)?$/.test(each));
    // The same range twice, with different parameters: one that is taken is enough.
    taken = exactness === best ? taken || isTaken : isTaken;
    best = exactness;
  }
  return taken;
}
