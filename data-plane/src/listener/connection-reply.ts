import { STATUS_CODES } from 'node:http';
import type { Door, ListenerLimits, Reply } from './listener.js';

/** A header of an answer. */
export type Field = readonly [name: string, value: string];

/** A whole answer. */
export interface Answer {
  readonly status: number;
  readonly headers: readonly Field[];
  readonly body: Uint8Array | string;
}

/** What a reply needs of the listener that made it. */
export interface ReplyHost {
  readonly door: Door;
  readonly limits: ListenerLimits;
  /** Every answer is the last of its connection. */
  readonly draining: boolean;
  /** Reports an exception that cost a request. */
  fault(error: unknown): void;
  /** What is held of the bodies of all requests that have not been answered yet. */
  bodyBytes: number;
  /**
   * Counts a reply that has wholly left, or whose client has gone.
   *
   * @param bodyBytes what was held of the body of its request
   */
  settled(bodyBytes: number): void;
}

/** A request body that has not wholly come. */
export interface UnreadBody {
  /** Throws away what still comes, for a moment, and then calls `done`. */
  discard(done: () => void): void;
  /** Forgets the body: its client has gone. */
  stop(): void;
}

/** These belong to the listener; two opinions about them would break the framing. */
const OWN_FIELDS = new Set(['connection', 'content-length', 'date', 'keep-alive', 'transfer-encoding']);

/** Colon, space and line end. */
const FIELD_OVERHEAD_BYTES = 4;

const FIELD_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** A line feed in a value would let whoever chose it write headers and bodies (response splitting). */
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** A head that is longer than this is a fault of ours: uWebSockets.js takes head and first bytes in 16 KiB. */
const MAX_HEAD_BYTES = 8 * 1024;

/** The part of an answer that does not depend on the library below. */
export abstract class ConnectionReply implements Reply {
  /** The connection ends with this answer. */
  closing = false;
  /** The request's body, while some of it is still to come. */
  unread: UnreadBody | undefined;
  /** What is held of the request's body. */
  bodyBytes = 0;
  protected begun = false;
  #answered = false;
  #dropped = false;
  #gone = false;
  #listeners: (() => void)[] | undefined;
  #added: Field[] | undefined;

  constructor(
    protected readonly host: ReplyHost,
    private readonly method: string,
  ) {}

  get open(): boolean {
    return !this.#answered && !this.#dropped && !this.#gone;
  }

  send(status: number, headers: readonly Field[], body: Uint8Array | string): void {
    if (!this.open || this.begun) return;
    const own = this.#checked(status, headers);
    if (own === undefined) return;
    this.#answered = true;
    this.#answer({ status, headers: own, body });
  }

  begin(status: number, headers: readonly Field[]): void {
    if (!this.open || this.begun) return;
    const own = this.#checked(status, headers);
    if (own === undefined) return;
    this.begun = true;
    if (this.host.draining) this.closing = true;
    if (this.hasNoBody(status)) {
      this.#answered = true;
      this.#answer({ status, headers: own, body: '' });
    } else {
      this.start(status, own);
    }
  }

  write(chunk: Uint8Array | string): number {
    return this.open && this.begun && chunk.length > 0 ? this.queue(chunk) : 0;
  }

  end(): void {
    if (!this.open || !this.begun) return;
    this.#answered = true;
    this.finish();
  }

  addHeader(name: string, value: string): void {
    this.#added ??= [];
    this.#added.push([name, value]);
  }

  close(): void {
    if (this.open) this.destroy();
  }

  onAborted(listener: () => void): void {
    if (this.#gone) this.#tell(listener);
    else if (!this.#answered) {
      this.#listeners ??= [];
      this.#listeners.push(listener);
    }
  }

  /** Answers with an error of the listener's own and ends the connection: what follows could be anything. */
  refuse(status: number, reason: string, headers: readonly Field[] = []): void {
    if (!this.open) return;
    if (this.begun) return this.destroy();
    this.closing = true;
    let refusal = { contentType: 'text/plain', body: reason };
    try {
      refusal = this.host.door.refusal(status, reason);
    } catch (error) {
      this.host.fault(error);
    }
    this.send(status, [['content-type', refusal.contentType], ...headers], refusal.body);
  }

  /** Ends the request that an exception cost. */
  fail(error: unknown): void {
    this.host.fault(error);
    this.refuse(500, 'the request failed inside the gateway');
  }

  /** Drops the connection. */
  destroy(): void {
    this.#dropped = true;
    this.drop();
  }

  protected abstract drop(): void;

  /** Sends a whole answer. */
  protected abstract transmit(answer: Answer): void;
  protected abstract start(status: number, headers: readonly Field[]): void;
  protected abstract queue(chunk: Uint8Array | string): number;
  protected abstract finish(): void;

  /** HEAD, and statuses that never have content (RFC 9110 sections 9.3.2, 15.3.5 and 15.4.5). */
  protected hasNoBody(status: number): boolean {
    return this.method === 'HEAD' || status === 204 || status === 304;
  }

  protected get isHead(): boolean {
    return this.method === 'HEAD';
  }

  /** To be called when the connection has gone: tells the door, unless it has said its last word already. */
  protected vanished(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.unread?.stop();
    this.unread = undefined;
    this.host.settled(this.bodyBytes);
    if (this.#answered) return;
    for (const listener of this.#listeners ?? []) this.#tell(listener);
  }

  #answer(answer: Answer): void {
    if (this.host.draining) this.closing = true;
    // Closing a socket that holds unread bytes resets it, and the reset overtakes the answer.
    if (this.closing && this.unread) this.unread.discard(() => this.transmit(answer));
    else this.transmit(answer);
  }

  #tell(listener: () => void): void {
    try {
      listener();
    } catch (error) {
      this.host.fault(error);
    }
  }

  /** The door's fields without the listener's own, or undefined after answering 500 because they cannot be sent. */
  #checked(status: number, own: readonly Field[]): readonly Field[] | undefined {
    const headers = this.#added === undefined ? own : [...own, ...this.#added];
    // A fault is answered without what may have caused it.
    this.#added = undefined;
    const problem = headProblem(status, headers);
    if (problem === undefined) return withoutOwn(headers);
    this.fail(new TypeError(`The answer cannot be sent: ${problem}.`));
    return undefined;
  }
}

function headProblem(status: number, headers: readonly Field[]): string | undefined {
  if (!Number.isInteger(status) || status < 200 || status > 599) return `${status} is not a final status`;
  for (const [name, value] of headers) {
    if (!FIELD_NAME.test(name)) return `${JSON.stringify(name)} is not a field name`;
    if (!FIELD_VALUE.test(value)) return `the value of ${name} holds a character that no field may hold`;
  }
  const bytes = fieldBytes(headers);
  return bytes > MAX_HEAD_BYTES
    ? `its head has ${bytes} bytes, at most ${MAX_HEAD_BYTES} are sent`
    : undefined;
}

function withoutOwn(headers: readonly Field[]): readonly Field[] {
  for (const [name] of headers) {
    if (OWN_FIELDS.has(name.toLowerCase())) {
      return headers.filter(([other]) => !OWN_FIELDS.has(other.toLowerCase()));
    }
  }
  return headers;
}

/** Bytes of headers on the wire. */
export function fieldBytes(headers: readonly Field[]): number {
  let bytes = 0;
  for (const [name, value] of headers) bytes += name.length + value.length + FIELD_OVERHEAD_BYTES;
  return bytes;
}

/** The reason phrase of a status, which some clients print. */
export function reasonPhrase(status: number): string {
  return STATUS_CODES[status] ?? 'Unknown';
}
