import { CloseCode, type ListenerLimits, type MessageSocket, type SocketHandler } from './listener.js';

/** Longest reason of a close frame (RFC 6455 section 5.5). */
const MAX_REASON_BYTES = 123;
/** From the close frame to the end of the connection, when the client does not answer it. */
const CLOSE_GRACE_MS = 2_000;
/** A client that said nothing for this many pings, not even that it got one, is gone. */
const MAX_SILENT_PING_COUNT = 2;

/** What a socket needs of the listener that made it. */
export interface SocketHost {
  readonly limits: ListenerLimits;
  fault(error: unknown): void;
  /** The goodbye is said; what was sent before it may still be on its way. */
  closing(): void;
  /** The connection has gone; `wasClosing` when it was said goodbye to. */
  gone(socket: ConnectionSocket, wasClosing: boolean): void;
}

/** The part of a WebSocket connection that does not depend on the library below. */
export abstract class ConnectionSocket implements MessageSocket {
  #closing = false;
  #gone = false;
  #silentPingCount = 0;
  #grace: NodeJS.Timeout | undefined;

  constructor(
    private readonly host: SocketHost,
    private readonly handler: SocketHandler,
  ) {}

  send(text: Uint8Array): boolean {
    if (this.#closing || this.#gone) return false;
    // What waits already decides, so that a single message may be as long as it is.
    if (this.waitingBytes <= this.host.limits.maxPendingReplyBytes) {
      this.transmit(text);
      return true;
    }
    this.destroy();
    return false;
  }

  close(code: number, reason: string): void {
    if (this.#closing || this.#gone) return;
    this.#closing = true;
    this.host.closing();
    this.#grace = setTimeout(() => this.destroy(), CLOSE_GRACE_MS).unref();
    this.finish(code, shortened(reason));
  }

  /** Asks whether the client is there, and ends the connection when it did not say so for too long. */
  ping(): void {
    if (this.#closing || this.#gone) return;
    if (this.#silentPingCount >= MAX_SILENT_PING_COUNT) {
      this.destroy();
      return;
    }
    this.#silentPingCount++;
    this.transmitPing();
  }

  /** As they are now: they may change while the listener runs. */
  protected get limits(): ListenerLimits {
    return this.host.limits;
  }

  /** Bytes that wait for the client. */
  protected abstract get waitingBytes(): number;
  protected abstract transmit(text: Uint8Array): void;
  protected abstract transmitPing(): void;
  /** Says goodbye. */
  protected abstract finish(code: number, reason: string): void;
  /** Drops the connection without another byte. */
  protected abstract drop(): void;

  /** To be called with every sign of life. */
  protected heard(): void {
    this.#silentPingCount = 0;
  }

  /** To be called with a whole message, which belongs to the callee. */
  protected received(message: Buffer, isBinary: boolean): void {
    this.heard();
    if (this.#closing || this.#gone) return;
    const { maxMessageBytes } = this.host.limits;
    if (isBinary) this.close(CloseCode.UnsupportedData, 'messages are text frames, this one is binary');
    else if (message.length > maxMessageBytes)
      this.close(CloseCode.TooBig, `the message is longer than the ${maxMessageBytes} bytes that are taken`);
    else this.#guarded(() => this.handler.message(message));
  }

  /** To be called when the connection has gone. */
  protected vanished(): void {
    if (this.#gone) return;
    this.#gone = true;
    clearTimeout(this.#grace);
    this.host.gone(this, this.#closing);
    this.#guarded(() => this.handler.gone());
  }

  private destroy(): void {
    if (!this.#gone) this.drop();
  }

  #guarded(tell: () => void): void {
    try {
      tell();
    } catch (error) {
      this.host.fault(error);
      this.close(CloseCode.InternalError, 'a message failed inside the gateway');
    }
  }
}

/** As much of a reason as a close frame takes, without half a character. */
function shortened(reason: string): string {
  const bytes = Buffer.from(reason);
  if (bytes.length <= MAX_REASON_BYTES) return reason;
  return new TextDecoder().decode(bytes.subarray(0, MAX_REASON_BYTES), { stream: true });
}
