/** What the head of an HTTP/1.1 response says, and how its body is framed. */
export interface ResponseHead {
  readonly status: number;
  /** Lower-case names; repeated fields joined with `, `. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly framing: BodyFraming;
  /** Bytes of the body when framed by length, else 0. */
  readonly contentLength: number;
  /** Whether the connection may serve another request after the body. */
  readonly reusable: boolean;
  /** Idle time that the server announces in `Keep-Alive: timeout=`; undefined when it does not. */
  readonly keepAliveTimeoutMs: number | undefined;
}

type BodyFraming = 'none' | 'length' | 'chunked' | 'until-close';

/** A response that breaks HTTP/1.1; the message is a sentence part that follows the upstream's name. */
export class MalformedResponse extends Error {
  override readonly name = 'MalformedResponse';
}

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*)?$/;
// Field lines as RFC 9112, 5 has them: no space before the colon, no folding, no control characters, and no CR
// or LF apart from the line's own end. Both sets exclude what follows them, so matching is linear.
const FIELD_LINES = /^(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*$/;
const DECIMAL = /^[0-9]{1,15}$/;
const STATUS_NO_CONTENT = 204;
const STATUS_NOT_MODIFIED = 304;

/**
 * Reads a response head.
 *
 * @param text From the status line up to and with the CRLF of the last field line, without the empty line;
 *   one character for each byte.
 * @throws MalformedResponse
 */
export function parseResponseHead(text: string): ResponseHead {
  const statusEnd = text.indexOf('\r\n');
  const [, minor, statusText] = STATUS_LINE.exec(text.slice(0, statusEnd)) ?? [];
  if (statusText === undefined)
    throw new MalformedResponse('sent something that is not an HTTP/1.1 status line');
  const fields = text.slice(statusEnd + 2);
  if (!FIELD_LINES.test(fields)) throw new MalformedResponse('sent a malformed header line');

  const status = Number(statusText);
  const headers = readFields(fields);
  const contentLength = readContentLength(headers['content-length']);
  const transferEncoding = headers['transfer-encoding'];
  if (transferEncoding !== undefined) checkTransferEncoding(transferEncoding, contentLength, minor);

  const framing = framingOf(status, transferEncoding !== undefined, contentLength);
  const connection = headers.connection?.toLowerCase();
  return {
    status,
    headers,
    framing,
    contentLength: framing === 'length' ? (contentLength ?? 0) : 0,
    reusable:
      framing !== 'until-close' &&
      // A bodyless status that announces a body nevertheless: nobody can say what follows.
      (framing !== 'none' ||
        (transferEncoding === undefined && (status === STATUS_NOT_MODIFIED || !contentLength))) &&
      (minor === '1' ? !hasOption(connection, 'close') : hasOption(connection, 'keep-alive')),
    keepAliveTimeoutMs: readKeepAliveTimeout(headers['keep-alive']),
  };
}

function readFields(fields: string): Record<string, string | undefined> {
  // Without a prototype, so that a field named `constructor` or `__proto__` is a field like any other.
  const headers: Record<string, string | undefined> = Object.create(null);
  let start = 0;
  while (start < fields.length) {
    const colon = fields.indexOf(':', start);
    const end = fields.indexOf('\r\n', colon);
    const name = fields.slice(start, colon).toLowerCase();
    const value = trimBlanks(fields, colon + 1, end);
    const earlier = headers[name];
    headers[name] = earlier === undefined ? value : `${earlier}, ${value}`;
    start = end + 2;
  }
  return headers;
}

/** Without the blanks around it; `trim` would also take byte A0, the end of many a UTF-8 character. */
function trimBlanks(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isBlank(text.charCodeAt(start))) start += 1;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** RFC 9112, 6.3: several values are acceptable only when they all say the same. */
function readContentLength(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (DECIMAL.test(value)) return Number(value);
  const [first = '', ...others] = value.split(',').map((each) => each.trim());
  if (!DECIMAL.test(first)) throw new MalformedResponse('sent an invalid Content-Length');
  if (others.some((other) => other !== first))
    throw new MalformedResponse('sent conflicting Content-Length fields');
  return Number(first);
}

/** RFC 9112, 6.1: whoever combines these may be smuggling a response. */
function checkTransferEncoding(
  value: string,
  contentLength: number | undefined,
  minor: string | undefined,
): void {
  if (contentLength !== undefined)
    throw new MalformedResponse('sent both Content-Length and Transfer-Encoding');
  if (minor === '0') throw new MalformedResponse('sent Transfer-Encoding with HTTP/1.0');
  if (value.toLowerCase() !== 'chunked') {
    throw new MalformedResponse('sent a Transfer-Encoding other than "chunked", which nobody asked for');
  }
}

function framingOf(status: number, chunked: boolean, contentLength: number | undefined): BodyFraming {
  if (status < 200 || status === STATUS_NO_CONTENT || status === STATUS_NOT_MODIFIED) return 'none';
  if (chunked) return 'chunked';
  return contentLength === undefined ? 'until-close' : 'length';
}

function hasOption(connection: string | undefined, option: string): boolean {
  if (connection === undefined) return false;
  if (connection === option) return true;
  return connection.split(',').some((each) => each.trim() === option);
}

function readKeepAliveTimeout(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const seconds = /(?:^|[,\s])timeout\s*=\s*"?([0-9]{1,9})/i.exec(value)?.[1];
  return seconds === undefined ? undefined : Number(seconds) * 1000;
}
