/**
 * A message between workers as bytes: what describes it as JSON, and the one body that it may have as it is behind. So
 * a body is never escaped or looked through, and nodes with other versions of Node.js read it all the same.
 */
import type { BusMessage } from '../sessions/node-bus.js';

const NO_BODY = 0;
const BYTES = 1;
const TEXT = 2;
/** What kind of body there is, and the length of the JSON. */
const PREFIX_BYTES = 5;

/** Members that can be a body; a message has one of them at most. */
const BODIES = ['body', 'chunk', 'bytes'] as const;

interface Described {
  readonly lane: BusMessage['lane'];
  readonly message: Record<string, unknown>;
  /** The member that the body is. */
  readonly body?: string | undefined;
}

export function messageToBytes({ lane, message }: BusMessage): Buffer {
  const member = BODIES.find((name) => name in message);
  const body = member === undefined ? undefined : (message as Record<string, unknown>)[member];
  const described: Described = {
    lane,
    message: member === undefined ? (message as never) : { ...message, [member]: undefined },
    body: member,
  };
  const json = JSON.stringify(described);
  const jsonBytes = Buffer.byteLength(json);
  const kind = body === undefined ? NO_BODY : typeof body === 'string' ? TEXT : BYTES;
  const bodyBytes = kind === NO_BODY ? 0 : Buffer.byteLength(body as string | Uint8Array);
  const bytes = Buffer.allocUnsafeSlow(PREFIX_BYTES + jsonBytes + bodyBytes);
  bytes[0] = kind;
  bytes.writeUInt32LE(jsonBytes, 1);
  bytes.write(json, PREFIX_BYTES, 'utf8');
  if (kind === TEXT) bytes.write(body as string, PREFIX_BYTES + jsonBytes, 'utf8');
  else if (kind === BYTES) bytes.set(body as Uint8Array, PREFIX_BYTES + jsonBytes);
  return bytes;
}

/** @throws Error when the bytes are no message. */
export function messageFromBytes(bytes: Buffer): BusMessage {
  const kind = bytes[0];
  const end = bytes.length < PREFIX_BYTES ? Number.POSITIVE_INFINITY : PREFIX_BYTES + bytes.readUInt32LE(1);
  if (end > bytes.length) throw new Error('a message between nodes is shorter than it says');
  const { lane, message, body } = JSON.parse(bytes.toString('utf8', PREFIX_BYTES, end)) as Described;
  if (body !== undefined && kind !== NO_BODY) {
    // Bytes of their own: what is posted to another thread takes all of its buffer along.
    message[body] = kind === TEXT ? bytes.toString('utf8', end) : new Uint8Array(bytes.subarray(end));
  }
  return { lane, message } as unknown as BusMessage;
}
