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
    ownHeaders: exchange.ownHeaders,
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
    // Of what stands behind something else its place is another, and is looked for when it is wanted.
    result: envelope.start === 0 ? envelope.result : undefined,
  };
}

export function passedHeaders({ headers }: Exchange): string {
  let lines = '';
  for (const name of PASSED_HEADERS) {
    const value = headers[name];
    if (value !== undefined) lines += `${name}: ${value}\r\n`;
  }
  for (const name in headers) if (name.startsWith('mcp-param-')) lines += `${name}: ${headers[name]}\r\n`;
  return lines;
}

/** An outcome made here; `result` is JSON as binary text. */
export function answered({ bytes, envelope }: Exchange, result: string): Outcome {
  const id = envelope.id as Span;
  return { bytes: binaryToBytes(resultMessage(bytes.latin1Slice(id.start, id.end), result)), errorCode: 0 };
}
