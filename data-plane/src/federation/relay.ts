/** What every way to an upstream has in common: the exchange as a call that goes there, and the reply as an outcome. */
import type { Exchange, Outcome } from '../exchange/exchange.js';
import { ErrorCode, resultMessage } from '../protocol/errors.js';
import type { Span } from '../protocol/scan.js';
import { binaryToBytes } from '../protocol/text.js';
import type { UpstreamCall, UpstreamReply } from '../upstream/call.js';
import type { Upstream } from '../upstream/upstream.js';

/** Header fields of a modern client that go on to a modern upstream, beside `Mcp-Param-*`. */
const PASSED_HEADERS = ['mcp-name', 'traceparent', 'tracestate', 'baggage'];

/** True when the upstream tells of changed resources. */
export function watchable(upstream: Upstream): boolean {
  const { resources } = (upstream.facts?.capabilities ?? {}) as { resources?: { subscribe?: unknown } };
  return resources?.subscribe === true;
}

/** The exchange as a call that goes to an upstream as it came. */
export function relayed(exchange: Exchange, headerLines: string): UpstreamCall {
  return {
    method: exchange.envelope.method,
    row: exchange.row,
    bytes: exchange.bytes,
    envelope: exchange.envelope,
    edits: [],
    headerLines,
    cancellation: exchange.cancellation,
    onNotification: (bytes) => exchange.notify(bytes),
  };
}

export function outcomeOf(reply: UpstreamReply): Outcome {
  const { bytes, envelope } = reply;
  const whole = envelope.start === 0 && envelope.end === bytes.length;
  return {
    bytes: whole ? bytes : bytes.subarray(envelope.start, envelope.end),
    errorCode: envelope.error === undefined ? 0 : envelope.errorCode || ErrorCode.InternalError,
  };
}

export function passedHeaders({ headers, ownHeaders }: Exchange): string {
  let lines = '';
  for (const name of PASSED_HEADERS) {
    const value = headers[name];
    if (value !== undefined) lines += `${name}: ${value}\r\n`;
  }
  for (const name in headers) if (name.startsWith('mcp-param-')) lines += `${name}: ${headers[name]}\r\n`;
  return ownHeaders === undefined ? lines : lines + ownLines(ownHeaders);
}

/** What no plugin sets: framing, what names the other side, and what speaks for the inside of a gateway. */
const RESERVED =
  /^(?:connection|content-length|content-type|host|keep-alive|mcp-.*|proxy-.*|sluice-internal-.*|te|trailer|transfer-encoding|upgrade)$/;
const FIELD_NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Fields that plugins set; one that would be read as something else is left out. */
function ownLines(headers: Readonly<Record<string, string>>): string {
  let lines = '';
  for (const [name, value] of Object.entries(headers)) {
    if (!RESERVED.test(name) && FIELD_NAME.test(name) && FIELD_VALUE.test(value))
      lines += `${name}: ${value}\r\n`;
  }
  return lines;
}

/** An outcome made here; `result` is JSON as binary text. */
export function answered({ bytes, envelope }: Exchange, result: string): Outcome {
  const id = envelope.id as Span;
  return { bytes: binaryToBytes(resultMessage(bytes.latin1Slice(id.start, id.end), result)), errorCode: 0 };
}
