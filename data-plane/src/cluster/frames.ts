/**
 * What goes over NATS between two nodes, in bytes. Every frame begins with its type and the id of a pipe; only `sync`
 * speaks of all pipes between two nodes.
 */

export const Frame = {
  /** Asks for a pipe: JSON {@link Opening}. */
  Open: 1,
  /** The pipe is there at the other end too: what this opening of it is called. */
  Opened: 2,
  /** A piece of a message: its number, whether it is the last one, and the piece. */
  Data: 3,
  /** Pieces up to this number have been received. */
  Ack: 4,
  /** The pipe is closed: one byte {@link Closing}. */
  Close: 5,
  /** How all pipes between two nodes stand: its number, the inbox of the sender, then each pipe. */
  Sync: 6,
} as const;

export const Closing = {
  /** It may be opened anew. */
  Broken: 0,
  /** One of the two workers wants no other. */
  Parted: 1,
} as const;

export interface Opening {
  readonly from: string;
  readonly to: string;
  /** Where answers go. */
  readonly inbox: string;
  /** Grows with all that the sender says of itself. */
  readonly number: number;
}

/** How a pipe stands at one end. */
export interface PipeState {
  readonly id: string;
  readonly sentCount: number;
  readonly receivedCount: number;
}

/** Ids of pipes are 8 random bytes, here as latin-1 text. */
export const PIPE_ID_BYTES = 8;
const HEAD_BYTES = 1 + PIPE_ID_BYTES;
/** Before a piece: its number, and whether it is the last. */
export const DATA_HEAD_BYTES = HEAD_BYTES + 5;
const STATE_BYTES = PIPE_ID_BYTES + 8;

export function typeOf(frame: Buffer): number | undefined {
  return frame.length < HEAD_BYTES ? undefined : frame[0];
}

export function pipeIdOf(frame: Buffer): string {
  return frame.latin1Slice(1, HEAD_BYTES);
}

export function openFrame(id: string, opening: Opening): Buffer {
  return frameOf(Frame.Open, id, Buffer.from(JSON.stringify(opening)));
}

export function openingOf(frame: Buffer): Opening {
  return JSON.parse(frame.toString('utf8', HEAD_BYTES)) as Opening;
}

export function openedFrame(id: string, name: string): Buffer {
  return frameOf(Frame.Opened, id, Buffer.from(name, 'hex'));
}

export function openedNameOf(frame: Buffer): string {
  return frame.toString('hex', HEAD_BYTES);
}

export function dataFrame(id: string, number: number, isLast: boolean, piece: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(DATA_HEAD_BYTES + piece.length);
  frame[0] = Frame.Data;
  frame.write(id, 1, 'latin1');
  frame.writeUInt32LE(number, HEAD_BYTES);
  frame[HEAD_BYTES + 4] = isLast ? 1 : 0;
  frame.set(piece, DATA_HEAD_BYTES);
  return frame;
}

export function dataOf(frame: Buffer): { number: number; isLast: boolean; piece: Buffer } {
  return {
    number: frame.readUInt32LE(HEAD_BYTES),
    isLast: frame[HEAD_BYTES + 4] === 1,
    piece: frame.subarray(DATA_HEAD_BYTES),
  };
}

export function ackFrame(id: string, receivedCount: number): Buffer {
  const count = Buffer.allocUnsafe(4);
  count.writeUInt32LE(receivedCount);
  return frameOf(Frame.Ack, id, count);
}

export function ackOf(frame: Buffer): number {
  return frame.readUInt32LE(HEAD_BYTES);
}

export function closeFrame(id: string, closing: number): Buffer {
  return frameOf(Frame.Close, id, Uint8Array.of(closing));
}

export function closingOf(frame: Buffer): number {
  return frame[HEAD_BYTES] ?? Closing.Broken;
}

/**
 * @param node the sender, 8 bytes; stands where others have the id of a pipe.
 * @param number grows with all that the sender says of itself
 */
export function syncFrame(node: string, number: number, inbox: string, states: readonly PipeState[]): Buffer {
  const inboxBytes = Buffer.byteLength(inbox);
  const body = Buffer.allocUnsafe(6 + inboxBytes + states.length * STATE_BYTES);
  body.writeUInt32LE(number, 0);
  body.writeUInt16LE(inboxBytes, 4);
  body.write(inbox, 6, 'utf8');
  let at = 6 + inboxBytes;
  for (const { id, sentCount, receivedCount } of states) {
    body.write(id, at, 'latin1');
    body.writeUInt32LE(sentCount, at + PIPE_ID_BYTES);
    body.writeUInt32LE(receivedCount, at + PIPE_ID_BYTES + 4);
    at += STATE_BYTES;
  }
  return frameOf(Frame.Sync, Buffer.from(node, 'hex').latin1Slice(), body);
}

export function syncOf(frame: Buffer): { node: string; number: number; inbox: string; states: PipeState[] } {
  const inboxEnd = HEAD_BYTES + 6 + frame.readUInt16LE(HEAD_BYTES + 4);
  const states: PipeState[] = [];
  for (let at = inboxEnd; at + STATE_BYTES <= frame.length; at += STATE_BYTES)
    states.push({
      id: frame.latin1Slice(at, at + PIPE_ID_BYTES),
      sentCount: frame.readUInt32LE(at + PIPE_ID_BYTES),
      receivedCount: frame.readUInt32LE(at + PIPE_ID_BYTES + 4),
    });
  return {
    node: frame.toString('hex', 1, HEAD_BYTES),
    number: frame.readUInt32LE(HEAD_BYTES),
    inbox: frame.toString('utf8', HEAD_BYTES + 6, inboxEnd),
    states,
  };
}

function frameOf(type: number, id: string, body: Uint8Array = new Uint8Array(0)): Buffer {
  const frame = Buffer.allocUnsafe(HEAD_BYTES + body.length);
  frame[0] = type;
  frame.write(id, 1, 'latin1');
  frame.set(body, HEAD_BYTES);
  return frame;
}
