/** Answers that fronts give by themselves, before or instead of an exchange. */
import type { Reply } from '../listener/listener.js';
import { errorMessage, RpcError } from '../protocol/errors.js';
import { binaryToBytes } from '../protocol/text.js';

export const JSON_HEADERS = [['content-type', 'application/json']] as const;

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

/** Whether an Accept field takes a media type; a missing field takes everything (RFC 9110 section 12.5.1). */
export function accepts(accept: string | undefined, type: 'application/json' | 'text/event-stream'): boolean {
  if (accept === undefined || accept === '') return true;
  if (accept.includes(type) || accept.includes('*/*')) return true;
  return accept.includes(`${type.slice(0, type.indexOf('/'))}/*`);
}
