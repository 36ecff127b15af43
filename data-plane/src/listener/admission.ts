import type { ConnectionReply } from './connection-reply.js';
import type { FieldSection } from './fields.js';
import type { Door, ListenerLimits, RequestHead } from './listener.js';

/** What a request target may be made of: RFC 3986 has no place for anything but visible ASCII. */
const VISIBLE_ASCII = /^[\x21-\x7e]*$/;

/** The other forms of a target are for proxies (RFC 9112 section 3.2). */
const PATH = /^\/[\x21-\x7e]*$/;

/**
 * Checks a head against the limits and shows it to the door. Returns the largest body that is taken, in bytes.
 * Where it refuses, and where the door answered by itself, the reply is not open any more.
 */
export function admit(
  door: Door,
  limits: ListenerLimits,
  head: RequestHead,
  section: FieldSection,
  framing: number,
  reply: ConnectionReply,
): number {
  const targetBytes = head.path.length + (head.query === '' ? 0 : head.query.length + 1);
  if (targetBytes > limits.maxUrlBytes) {
    reply.refuse(414, `the request target has ${targetBytes} bytes, at most ${limits.maxUrlBytes} are taken`);
  } else if (section.count > limits.maxHeaderCount) {
    reply.refuse(431, `${section.count} header fields came, at most ${limits.maxHeaderCount} are taken`);
  } else if (section.bytes > limits.maxHeaderBytes) {
    reply.refuse(
      431,
      `the header fields have ${section.bytes} bytes, at most ${limits.maxHeaderBytes} are taken`,
    );
  } else if (!PATH.test(head.path) || !VISIBLE_ASCII.test(head.query)) {
    reply.refuse(400, 'the request target is not a path of visible ASCII characters; percent-encode others');
  } else {
    return askDoor(door, head, framing, reply);
  }
  return 0;
}

function askDoor(door: Door, head: RequestHead, framing: number, reply: ConnectionReply): number {
  let limit = 0;
  try {
    limit = door.head(head, reply);
  } catch (error) {
    reply.fail(error);
    return 0;
  }
  if (reply.open && framing > limit) reply.refuse(413, bodyTooLong(limit));
  return limit;
}

/** The sentence of a 413. */
export function bodyTooLong(limitBytes: number): string {
  return `the body is longer than the ${limitBytes} bytes that are taken`;
}
