/**
 * One end of a way to a worker of another node. NATS may lose what it was given and says nothing of it: pieces are
 * numbered, and a gap closes the pipe. It also has no end of what it takes: no more than a window is under way, the
 * rest waits here, and a pipe on which too much waits is closed.
 */
import { rethrowLater } from '../exchange/rethrow-later.js';
import type { BusMessage, Pipe, WorkerAddress } from '../sessions/node-bus.js';
import { ackFrame, DATA_HEAD_BYTES, dataFrame, type PipeState } from './frames.js';
import { messageFromBytes, messageToBytes } from './message-bytes.js';

/** Larger messages go in pieces, so that one does not keep the others of the connection waiting for long. */
const MAX_PIECE_BYTES = 128 * 1_024;
/** Under way and not acknowledged. NATS cuts off a node for which 64 MiB wait, whoever sent them. */
const WINDOW_BYTES = 1_024 * 1_024;
/** Received and not acknowledged yet; what is less is acknowledged with the next `sync`. */
const ACK_BYTES = WINDOW_BYTES / 4;
/** Numbers of pieces go round: so many before one are its past. */
const HALF = 0x7fff_ffff;
/** Waits for the other end. More than the largest message is, and than a slow reader is waited for. */
export const MAX_WAITING_BYTES = 64 * 1_024 * 1_024;

/** Why a pipe ended. `parted`: one of the two workers closed it. */
export type PipeEnd = 'gap' | 'overflow' | 'gone' | 'parted' | 'replaced' | 'leave';

export interface PipeWay {
  /** False when nothing can be sent now. */
  send(frame: Buffer): boolean;
  /** How large a frame may be. */
  readonly maxFrameBytes: number;
  /** This end has closed, or the worker here has closed it. */
  ended(pipe: NatsPipe, end: PipeEnd): void;
}

interface Waiting {
  readonly bytes: Buffer;
  sentBytes: number;
}

export class NatsPipe implements Pipe {
  private receive: (message: BusMessage) => void = () => {};
  private readonly closeListeners: (() => void)[] = [];
  private readonly waiting: Waiting[] = [];
  private waitingBytes = 0;
  /** Sizes of the pieces that are under way, in order. */
  private readonly underWay: number[] = [];
  private underWayBytes = 0;
  private sentCount = 0;
  private receivedCount = 0;
  private unacknowledgedBytes = 0;
  private pieces: Buffer[] = [];
  private piecesBytes = 0;
  isOpen = true;

  constructor(
    /** 8 bytes as latin-1 text, the same at both ends. */
    readonly id: string,
    readonly ours: WorkerAddress,
    readonly other: WorkerAddress,
    private readonly way: PipeWay,
  ) {}

  get state(): PipeState {
    return { id: this.id, sentCount: this.sentCount, receivedCount: this.receivedCount };
  }

  post(message: BusMessage): void {
    if (!this.isOpen) return;
    const bytes = messageToBytes(message);
    this.waiting.push({ bytes, sentBytes: 0 });
    this.waitingBytes += bytes.length;
    if (this.waitingBytes > MAX_WAITING_BYTES) this.end('overflow');
    else this.pump();
  }

  onMessage(listener: (message: BusMessage) => void): void {
    this.receive = listener;
  }

  onClose(listener: () => void): void {
    this.closeListeners.push(listener);
  }

  close(): void {
    this.end('parted');
  }

  /** Sends what may be sent now. */
  pump(): void {
    const pieceBytes = Math.min(MAX_PIECE_BYTES, this.way.maxFrameBytes - DATA_HEAD_BYTES);
    while (this.isOpen && this.underWayBytes < WINDOW_BYTES) {
      const [first] = this.waiting;
      if (first === undefined) return;
      const piece = first.bytes.subarray(first.sentBytes, first.sentBytes + pieceBytes);
      const isLast = first.sentBytes + piece.length === first.bytes.length;
      if (!this.way.send(dataFrame(this.id, this.sentCount, isLast, piece))) return;
      this.sentCount = (this.sentCount + 1) >>> 0;
      first.sentBytes += piece.length;
      this.underWay.push(piece.length);
      this.underWayBytes += piece.length;
      if (isLast) this.waiting.shift();
    }
  }

  received(number: number, isLast: boolean, piece: Buffer): void {
    // NATS says nothing twice; somebody else may.
    const isRepeated = (this.receivedCount - number) >>> 0 <= HALF && number !== this.receivedCount;
    if (!this.isOpen || isRepeated) return;
    if (number !== this.receivedCount || this.piecesBytes + piece.length > MAX_WAITING_BYTES) {
      this.end('gap');
      return;
    }
    this.receivedCount = (number + 1) >>> 0;
    this.unacknowledgedBytes += piece.length;
    if (this.unacknowledgedBytes >= ACK_BYTES) this.acknowledge();
    if (!isLast) {
      this.pieces.push(piece);
      this.piecesBytes += piece.length;
      return;
    }
    const whole = this.pieces.length === 0 ? piece : Buffer.concat([...this.pieces, piece]);
    this.pieces = [];
    this.piecesBytes = 0;
    try {
      this.receive(messageFromBytes(whole));
    } catch (thrown) {
      rethrowLater(thrown);
    }
  }

  /** The other end has received so many pieces. */
  acknowledged(count: number): void {
    let newCount = this.underWay.length - ((this.sentCount - count) >>> 0);
    for (; newCount > 0; newCount--) {
      const bytes = this.underWay.shift() as number;
      this.underWayBytes -= bytes;
      this.waitingBytes -= bytes;
    }
    this.pump();
  }

  /** How the other end says that it stands, after all that it sent before. */
  compare(other: PipeState): void {
    if (!this.isOpen) return;
    if (other.sentCount !== this.receivedCount) this.end('gap');
    else this.acknowledged(other.receivedCount);
  }

  end(end: PipeEnd): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.waiting.length = 0;
    this.pieces = [];
    this.way.ended(this, end);
    for (const listener of this.closeListeners) {
      try {
        listener();
      } catch (thrown) {
        rethrowLater(thrown);
      }
    }
  }

  private acknowledge(): void {
    if (this.way.send(ackFrame(this.id, this.receivedCount))) this.unacknowledgedBytes = 0;
  }
}
