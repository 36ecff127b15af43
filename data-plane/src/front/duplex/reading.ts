/** What comes over a connection, before it is known what it asks for. */
import { ErrorCode, RpcError, unreadable } from '../../protocol/errors.js';
import { type Envelope, looksLikeBatch, ScanError, scanBatch, scanMessage } from '../../protocol/scan.js';

/** Messages that may wait for the answer to `initialize`; clients should send none, scripts often do. */
const MAX_WAITING_COUNT = 100;

interface ReadMessages {
  /** At least one. */
  readonly envelopes: readonly Envelope[];
  readonly batch: boolean;
}

/** Why bytes are not taken as messages. */
export class Unread {
  constructor(
    /** What HTTP would say. */
    readonly status: number,
    readonly error: RpcError,
    /** Of the message, as JSON text, where it was read before the fault. */
    readonly id?: string,
  ) {}
}

export function readMessages(bytes: Buffer, maxBytes: number): ReadMessages | Unread {
  if (bytes.length > maxBytes) {
    const reason = `the message has ${bytes.length} bytes, at most ${maxBytes} are taken`;
    return new Unread(413, new RpcError(ErrorCode.InvalidRequest, reason));
  }
  try {
    const batch = looksLikeBatch(bytes);
    return { batch, envelopes: batch ? scanBatch(bytes) : [scanMessage(bytes)] };
  } catch (thrown) {
    if (!(thrown instanceof ScanError)) throw thrown;
    return new Unread(400, unreadable(thrown), thrown.id);
  }
}

/** Messages that came before they can be taken, in their order. */
export class WaitingMessages {
  private messages: Buffer[] = [];
  private bytes = 0;

  /** False when too much waits already. */
  add(message: Buffer, maxBytes: number): boolean {
    if (this.messages.length === MAX_WAITING_COUNT || this.bytes + message.length > maxBytes) return false;
    this.messages.push(message);
    this.bytes += message.length;
    return true;
  }

  /** All of them; none waits any more. */
  take(): Buffer[] {
    const { messages } = this;
    this.messages = [];
    this.bytes = 0;
    return messages;
  }
}
