import type { RequestHead } from './listener.js';

/** The body is sent in chunks: its length shows when it has come. */
export const CHUNKED = -1;

/** Two readers could disagree about where this request ends, so it must not be answered at all. */
export const AMBIGUOUS = -2;

/** Fields that decide whom a request is for and where it ends; a second one of these is an attack or a fault. */
const FRAMING_FIELDS = ['host', 'content-length', 'transfer-encoding'];

/** Fifteen digits stay an exact number, and no body is that long. */
const LENGTH = /^[0-9]{1,15}$/;

/** The header section of one request while it is collected (RFC 9110 section 6.3). */
export class FieldSection {
  readonly headers: Record<string, string | undefined> = Object.create(null);
  repeated: string[] | undefined;
  count = 0;
  /** Names and values together. */
  bytes = 0;

  /** Adds one field line. `name` is in lower case, `value` is trimmed. */
  add(name: string, value: string): void {
    this.count++;
    this.bytes += name.length + value.length;
    const before = this.headers[name];
    if (before === undefined) {
      this.headers[name] = value;
      return;
    }
    this.headers[name] = `${before}, ${value}`;
    if (this.repeated === undefined) this.repeated = [name];
    else if (!this.repeated.includes(name)) this.repeated.push(name);
  }
}

/**
 * Says how long the body is: a number of bytes, {@link CHUNKED}, or {@link AMBIGUOUS}. Stricter than RFC 9112
 * section 6.3, because what stands in front may have read the same bytes in another way: one Host that is not
 * empty, at most one Content-Length and only digits in it, Transfer-Encoding exactly `chunked`, never both.
 */
export function bodyFraming(section: Pick<FieldSection, 'headers' | 'repeated'>): number {
  const { headers, repeated } = section;
  if (!headers.host) return AMBIGUOUS;
  if (repeated !== undefined && FRAMING_FIELDS.some((name) => repeated.includes(name))) return AMBIGUOUS;
  const length = headers['content-length'];
  const coding = headers['transfer-encoding'];
  if (coding !== undefined) return coding === 'chunked' && length === undefined ? CHUNKED : AMBIGUOUS;
  if (length === undefined) return 0;
  return LENGTH.test(length) ? Number(length) : AMBIGUOUS;
}

/** True when the client asked for the connection to end with the answer (RFC 9112 section 9.6). */
export function asksToClose(headers: RequestHead['headers']): boolean {
  const connection = headers.connection;
  if (connection === undefined || connection === 'keep-alive') return false;
  return connection.split(',').some((option) => option.trim().toLowerCase() === 'close');
}
