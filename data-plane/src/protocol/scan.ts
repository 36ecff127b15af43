/**
 * One pass over the bytes of a JSON-RPC message: checks the grammar (RFC 8259), refuses duplicate keys and deep
 * nesting, and notes where the parts stand that routing needs. No object is built, so a message that nobody
 * rewrites is relayed with the bytes it came in.
 */

import { isUtf8 } from 'node:buffer';
import {
  FNV_OFFSET,
  FNV_PRIME,
  hashOf,
  type KnownKey,
  knownKeys,
  NOWHERE,
  type Slot,
  TOP,
} from './known-keys.js';

/** Deepest nesting that is read; a bomb of brackets ends here. */
export const MAX_JSON_DEPTH_LEVELS = 96;
/** Longest JSON-RPC id as text; a longer one serves nobody and would be copied into every answer. */
export const MAX_ID_BYTES = 256;
/**
 * A method as it may stand in the header `Mcp-Method` (2026-07-28, streamable HTTP, "Standard Request Headers"),
 * which has no form for anything else: a line break in it would be a header of the sender's own.
 */
const METHOD = /^[\x21-\x7e]{1,256}$/;

export type MessageKind = 'request' | 'notification' | 'result' | 'error';

/** A piece of the message: offsets into its buffer, from the first byte of the value to behind its last. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** What one message is and where its parts stand. */
export class Envelope {
  kind: MessageKind = 'notification';
  start = 0;
  end = 0;
  /** Value of `method`; empty for responses. */
  method = '';
  id: Span | undefined;
  params: Span | undefined;
  /** `params.name`, `params.uri`, `params.cursor`, … */
  name: Span | undefined;
  uri: Span | undefined;
  cursor: Span | undefined;
  arguments: Span | undefined;
  requestState: Span | undefined;
  inputResponses: Span | undefined;
  requestId: Span | undefined;
  progressToken: Span | undefined;
  level: Span | undefined;
  meta: Span | undefined;
  /** `params._meta["io.modelcontextprotocol/…"]` */
  metaVersion: Span | undefined;
  metaCapabilities: Span | undefined;
  metaClientInfo: Span | undefined;
  metaLogLevel: Span | undefined;
  metaSubscriptionId: Span | undefined;
  /** `params._meta.progressToken` */
  metaProgressToken: Span | undefined;
  result: Span | undefined;
  resultType: Span | undefined;
  resultState: Span | undefined;
  error: Span | undefined;
  /** 0 says: absent or not an integer. */
  errorCode = 0;
}

/** Why a message was not taken. `parse`: not JSON. `invalid`: JSON, but not a JSON-RPC message of MCP. */
export class ScanError extends Error {
  override readonly name = 'ScanError';
  constructor(
    readonly kind: 'parse' | 'invalid',
    message: string,
    /** The id as text, where it was read before the fault. */
    readonly id: string | undefined = undefined,
  ) {
    super(message);
  }
}

/** An id that is a number. */
const INTEGER = /^-?\d+$/;

/** Stands in before the first message; nobody writes to it. */
const NOTHING_READ = new Envelope();

/** From this many keys on, an object's keys go into a set instead of being compared one by one. */
const KEYS_COMPARED_ONE_BY_ONE_COUNT = 24;

class Scanner {
  private bytes: Buffer = Buffer.alloc(0);
  private at = 0;
  private end = 0;
  private envelope = NOTHING_READ;
  private keyHash = new Int32Array(1024);
  private keyStart = new Int32Array(1024);
  private keyEnd = new Int32Array(1024);
  private keyCount = 0;
  private sawVersion = false;
  private sawMethod = false;
  /** A batch is refused whole: no id of one of its messages stands for it. */
  private inBatch = false;

  /** Reads one message from where the scanner stands; {@link stoppedAt} is then behind it. */
  message(): Envelope {
    this.keyCount = 0;
    this.sawVersion = false;
    this.sawMethod = false;
    const envelope = new Envelope();
    this.envelope = envelope;
    this.space();
    envelope.start = this.at;
    if (this.bytes[this.at] !== 0x7b) {
      this.value(1, NOWHERE);
      throw this.invalid('a JSON-RPC message is an object');
    }
    this.object(1, TOP);
    envelope.end = this.at;
    this.classify();
    return envelope;
  }

  get stoppedAt(): number {
    return this.at;
  }

  /** Skips white space (RFC 8259 section 2). */
  space(): void {
    const bytes = this.bytes;
    let at = this.at;
    for (;;) {
      const c = bytes[at];
      if (at < this.end && (c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09)) at++;
      else break;
    }
    this.at = at;
  }

  reset(bytes: Buffer, inBatch: boolean): void {
    this.bytes = bytes;
    this.at = 0;
    this.end = bytes.length;
    this.inBatch = inBatch;
    this.envelope = NOTHING_READ;
  }

  take(byte: number): boolean {
    if (this.at < this.end && this.bytes[this.at] === byte) {
      this.at++;
      return true;
    }
    return false;
  }

  fault(what: string): ScanError {
    if (this.at >= this.end)
      return new ScanError('parse', `not JSON: ${what}, but the message ends there`, this.idText());
    return new ScanError('parse', `not JSON: ${what} at byte ${this.at}`, this.idText());
  }

  private invalid(what: string): ScanError {
    return new ScanError('invalid', what, this.idText());
  }

  /** The id for an error's answer: only one that a request may have, and that can be sent back as it is. */
  private idText(): string | undefined {
    const id = this.envelope.id;
    if (id === undefined || this.inBatch || id.end - id.start > MAX_ID_BYTES) return undefined;
    const text = this.bytes.latin1Slice(id.start, id.end);
    if (text.startsWith('"')) return isUtf8(this.bytes.subarray(id.start, id.end)) ? text : undefined;
    return INTEGER.test(text) ? text : undefined;
  }

  /**
   * Throws unless the buffer is UTF-8 (RFC 8259 section 8.1): what is no character may be read as anything, so what
   * is checked here and what runs behind could differ. Asked last, so that the error can say whose answer it is.
   */
  checkEncoding(): void {
    if (!isUtf8(this.bytes)) throw new ScanError('parse', 'not JSON: it is not UTF-8', this.idText());
  }

  private value(depth: number, inner: number): void {
    const c = this.at < this.end ? this.bytes[this.at] : -1;
    if (c === 0x22) this.string();
    else if (c === 0x7b) this.object(depth, inner);
    else if (c === 0x5b) this.array(depth);
    else if (c === 0x2d || (c !== undefined && c >= 0x30 && c <= 0x39)) this.number();
    else if (c === 0x74) this.literal('true');
    else if (c === 0x66) this.literal('false');
    else if (c === 0x6e) this.literal('null');
    else throw this.fault('a value is missing');
  }

  private object(depth: number, scope: number): void {
    if (depth > MAX_JSON_DEPTH_LEVELS)
      throw this.invalid(`nested deeper than ${MAX_JSON_DEPTH_LEVELS} levels`);
    this.at++;
    this.space();
    if (this.take(0x7d)) return;
    const firstKey = this.keyCount;
    let many: Set<string> | undefined;
    for (;;) {
      if (this.bytes[this.at] !== 0x22 || this.at >= this.end) throw this.fault('a key is missing');
      const hash = this.key();
      const slot = this.keyCount;
      if (many !== undefined || slot - firstKey >= KEYS_COMPARED_ONE_BY_ONE_COUNT) {
        many ??= this.keySet(firstKey, slot);
        const text = this.keyText(slot);
        if (many.has(text)) throw this.duplicate(slot);
        many.add(text);
      } else {
        for (let i = firstKey; i < slot; i++) {
          if (this.keyHash[i] === hash && this.sameKey(i, slot)) throw this.duplicate(slot);
        }
        this.keyCount++;
        if (this.keyCount === this.keyHash.length) this.grow();
      }
      const known = scope === NOWHERE ? undefined : this.known(scope, hash, slot);
      this.space();
      if (!this.take(0x3a)) throw this.fault('a colon is missing');
      this.space();
      const start = this.at;
      this.value(depth + 1, known === undefined ? NOWHERE : known.inner);
      if (known !== undefined) this.note(known.slot, start);
      this.space();
      if (this.take(0x2c)) {
        this.space();
        continue;
      }
      if (this.take(0x7d)) break;
      throw this.fault('a comma or a closing brace is missing');
    }
    this.keyCount = firstKey;
  }

  private array(depth: number): void {
    if (depth > MAX_JSON_DEPTH_LEVELS)
      throw this.invalid(`nested deeper than ${MAX_JSON_DEPTH_LEVELS} levels`);
    this.at++;
    this.space();
    if (this.take(0x5d)) return;
    for (;;) {
      this.value(depth + 1, NOWHERE);
      this.space();
      if (this.take(0x2c)) {
        this.space();
        continue;
      }
      if (this.take(0x5d)) return;
      throw this.fault('a comma or a closing bracket is missing');
    }
  }

  /** Reads a string; true when it holds escapes. */
  private string(): boolean {
    const bytes = this.bytes;
    const end = this.end;
    let at = this.at + 1;
    let escaped = false;
    for (;;) {
      if (at >= end) {
        this.at = at;
        throw this.fault('a string is not closed');
      }
      const c = bytes[at] as number;
      if (c === 0x22) break;
      if (c === 0x5c) {
        escaped = true;
        at = this.escape(at);
      } else if (c < 0x20) {
        this.at = at;
        throw this.fault('a control character stands in a string');
      } else at++;
    }
    this.at = at + 1;
    return escaped;
  }

  private escape(at: number): number {
    const c = at + 1 < this.end ? this.bytes[at + 1] : -1;
    if (c === 0x75) {
      for (let i = at + 2; i < at + 6; i++) {
        const h = i < this.end ? (this.bytes[i] as number) : 0;
        if (!((h >= 0x30 && h <= 0x39) || (h >= 0x41 && h <= 0x46) || (h >= 0x61 && h <= 0x66))) {
          this.at = at;
          throw this.fault('a \\u escape is not four hexadecimal digits');
        }
      }
      return at + 6;
    }
    if (
      c === 0x22 ||
      c === 0x5c ||
      c === 0x2f ||
      c === 0x62 ||
      c === 0x66 ||
      c === 0x6e ||
      c === 0x72 ||
      c === 0x74
    ) {
      return at + 2;
    }
    this.at = at;
    throw this.fault('an unknown escape stands in a string');
  }

  /** Reads a key into the slot `keyCount` and returns the hash of its decoded bytes. */
  private key(): number {
    const slot = this.keyCount;
    const bytes = this.bytes;
    const start = this.at + 1;
    let hash = FNV_OFFSET;
    let at = start;
    const end = this.end;
    while (at < end) {
      const c = bytes[at] as number;
      if (c === 0x22) {
        this.at = at + 1;
        this.keyStart[slot] = start;
        this.keyEnd[slot] = at;
        this.keyHash[slot] = hash;
        return hash;
      }
      if (c === 0x5c || c < 0x20) break;
      hash = Math.imul(hash ^ c, FNV_PRIME);
      at++;
    }
    this.string();
    this.keyStart[slot] = start;
    this.keyEnd[slot] = this.at - 1;
    hash = hashOf(Buffer.from(this.keyText(slot)));
    this.keyHash[slot] = hash;
    return hash;
  }

  private keyText(slot: number): string {
    const text = this.bytes.utf8Slice(this.keyStart[slot] as number, this.keyEnd[slot] as number);
    return text.includes('\\') ? (JSON.parse(`"${text}"`) as string) : text;
  }

  private sameKey(a: number, b: number): boolean {
    return this.keyText(a) === this.keyText(b);
  }

  private keySet(from: number, to: number): Set<string> {
    const set = new Set<string>();
    for (let i = from; i < to; i++) set.add(this.keyText(i));
    return set;
  }

  private duplicate(slot: number): ScanError {
    return this.invalid(
      `the key ${JSON.stringify(this.keyText(slot)).slice(0, 80)} stands twice in one object`,
    );
  }

  private grow(): void {
    const larger = (old: Int32Array) => {
      const grown = new Int32Array(old.length * 2);
      grown.set(old);
      return grown;
    };
    this.keyHash = larger(this.keyHash);
    this.keyStart = larger(this.keyStart);
    this.keyEnd = larger(this.keyEnd);
  }

  private known(scope: number, hash: number, slot: number): KnownKey | undefined {
    let known = knownKeys.get(hash);
    while (known !== undefined && known.scope !== scope) known = known.next;
    if (known === undefined) return undefined;
    const start = this.keyStart[slot] as number;
    const length = (this.keyEnd[slot] as number) - start;
    if (length === known.bytes.length) {
      let i = 0;
      while (i < length && this.bytes[start + i] === known.bytes[i]) i++;
      if (i === length) return known;
    }
    return this.keyText(slot) === Buffer.from(known.bytes).latin1Slice() ? known : undefined;
  }

  private number(): void {
    const bytes = this.bytes;
    let at = this.at;
    if (bytes[at] === 0x2d) at++;
    const first = at < this.end ? (bytes[at] as number) : 0;
    if (first === 0x30) at++;
    else if (first >= 0x31 && first <= 0x39) at = this.digits(at);
    else throw this.fault('a number has no digits');
    if (at < this.end && bytes[at] === 0x2e) at = this.digits(at + 1);
    if (at < this.end && (bytes[at] === 0x65 || bytes[at] === 0x45)) {
      at++;
      if (bytes[at] === 0x2b || bytes[at] === 0x2d) at++;
      at = this.digits(at);
    }
    this.at = at;
  }

  private digits(from: number): number {
    let at = from;
    while (at < this.end) {
      const c = this.bytes[at] as number;
      if (c < 0x30 || c > 0x39) break;
      at++;
    }
    if (at === from) {
      this.at = at;
      throw this.fault('a number has no digits');
    }
    return at;
  }

  private literal(word: string): void {
    for (let i = 0; i < word.length; i++) {
      if (this.at + i >= this.end || this.bytes[this.at + i] !== word.charCodeAt(i))
        throw this.fault('a value is missing');
    }
    this.at += word.length;
  }

  /** The value of the string that begins at `start` and ends where the scanner stands. */
  private text(start: number): string {
    const text = this.bytes.utf8Slice(start, this.at);
    return text.includes('\\') ? (JSON.parse(text) as string) : text.slice(1, -1);
  }

  private note(slot: Slot, start: number): void {
    const envelope = this.envelope;
    switch (slot) {
      case 'jsonrpc':
        this.sawVersion = this.at - start === 5 && this.bytes.latin1Slice(start, this.at) === '"2.0"';
        if (!this.sawVersion && this.bytes[start] === 0x22) this.sawVersion = this.text(start) === '2.0';
        return;
      case 'method': {
        if (this.bytes[start] !== 0x22) throw this.invalid('`method` is not a string');
        this.sawMethod = true;
        envelope.method = this.text(start);
        return;
      }
      case 'code': {
        const code = Number(this.bytes.latin1Slice(start, this.at));
        envelope.errorCode = Number.isInteger(code) ? code : 0;
        return;
      }
      default:
        envelope[slot] = { start, end: this.at };
    }
  }

  private classify(): void {
    const envelope = this.envelope;
    if (!this.sawVersion) throw this.invalid('`jsonrpc` is not "2.0"');
    if (envelope.id !== undefined) this.checkId(envelope.id);
    if (this.sawMethod) {
      if (envelope.result !== undefined || envelope.error !== undefined) {
        throw this.invalid('a message with `method` has no `result` and no `error`');
      }
      if (!METHOD.test(envelope.method))
        throw this.invalid('`method` is not 1 to 256 visible ASCII characters');
      if (envelope.params !== undefined && this.bytes[envelope.params.start] !== 0x7b) {
        throw this.invalid('`params` is not an object');
      }
      if (envelope.meta !== undefined && this.bytes[envelope.meta.start] !== 0x7b) {
        throw this.invalid('`params._meta` is not an object');
      }
      envelope.kind = envelope.id === undefined ? 'notification' : 'request';
      return;
    }
    if (envelope.result !== undefined && envelope.error === undefined) {
      if (envelope.id === undefined) throw this.invalid('a result has no `id`');
      if (this.bytes[envelope.result.start] !== 0x7b) throw this.invalid('`result` is not an object');
      envelope.kind = 'result';
    } else if (envelope.error !== undefined && envelope.result === undefined) {
      if (this.bytes[envelope.error.start] !== 0x7b) throw this.invalid('`error` is not an object');
      envelope.kind = 'error';
    } else throw this.invalid('a message has one of `method`, `result` and `error`');
  }

  /** An id is a string or an integer, never null (specification 2025-03-26 and later, basic, "Requests"). */
  private checkId(id: Span): void {
    if (id.end - id.start > MAX_ID_BYTES) throw this.invalid(`\`id\` is longer than ${MAX_ID_BYTES} bytes`);
    const first = this.bytes[id.start] as number;
    if (first === 0x22) return;
    const text = this.bytes.latin1Slice(id.start, id.end);
    if (INTEGER.test(text)) return;
    if (text === 'null' && this.envelope.error !== undefined) {
      // JSON-RPC 2.0 section 5: an error for a message whose id could not be read.
      this.envelope.id = undefined;
      return;
    }
    throw this.invalid('`id` is not a string and not an integer');
  }
}

const scanner = new Scanner();

/** Reads exactly one message that fills the buffer. Throws {@link ScanError}. */
export function scanMessage(bytes: Buffer): Envelope {
  scanner.reset(bytes, false);
  const envelope = scanner.message();
  scanner.space();
  if (scanner.stoppedAt !== bytes.length) throw scanner.fault('something stands behind the message');
  scanner.checkEncoding();
  return envelope;
}

/** True when the first byte that is not white space opens an array, as a batch of revision 2025-03-26 does. */
export function looksLikeBatch(bytes: Buffer): boolean {
  for (let i = 0; i < bytes.length; i++) {
    const c = bytes[i];
    if (c === 0x5b) return true;
    if (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09) return false;
  }
  return false;
}

/** Most messages of one batch. */
export const MAX_BATCH_MESSAGE_COUNT = 100;

/**
 * Reads a batch (specification 2025-03-26, basic, "Batching"). Throws {@link ScanError} when it is not an array,
 * is empty, too long, or one of its messages is bad: a half-good batch is refused whole.
 */
export function scanBatch(bytes: Buffer): Envelope[] {
  scanner.reset(bytes, true);
  scanner.space();
  if (!scanner.take(0x5b)) throw scanner.fault('a batch is an array');
  const envelopes: Envelope[] = [];
  for (;;) {
    if (envelopes.length === MAX_BATCH_MESSAGE_COUNT) {
      throw new ScanError('invalid', `a batch holds at most ${MAX_BATCH_MESSAGE_COUNT} messages`);
    }
    scanner.space();
    if (envelopes.length === 0 && scanner.take(0x5d)) throw new ScanError('invalid', 'a batch is not empty');
    envelopes.push(scanner.message());
    scanner.space();
    if (scanner.take(0x2c)) continue;
    if (scanner.take(0x5d)) break;
    throw scanner.fault('a comma or a closing bracket is missing');
  }
  scanner.space();
  if (scanner.stoppedAt !== bytes.length) throw scanner.fault('something stands behind the batch');
  scanner.checkEncoding();
  return envelopes;
}
