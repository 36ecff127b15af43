/** Requests that the gateway itself makes of an upstream: probing, discovery, subscriptions. */
import { Cancellation } from '../exchange/exchange.js';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import { methodRow } from '../protocol/methods.js';
import { META, MODERN_REVISION } from '../protocol/revisions.js';
import { type Envelope, type Span, scanMessage } from '../protocol/scan.js';
import { parsed } from '../protocol/text.js';
import type { UpstreamCall, UpstreamReply } from './call.js';

/** How the gateway introduces itself. */
export const GATEWAY_INFO = { name: 'sluice', version: '0.1.0' } as const;

/** `_meta` of a request of the gateway's own: it has nobody to ask, so it declares no capability. */
const OWN_META = {
  [META.version]: MODERN_REVISION,
  [META.clientInfo]: GATEWAY_INFO,
  [META.capabilities]: {},
};

let requestCount = 0;

/** A call with an id of the gateway's own. With `modern` it carries the `_meta` of 2026-07-28. */
export function ownCall(
  method: string,
  params: Readonly<Record<string, unknown>>,
  modern: boolean,
  onNotification: (bytes: Buffer, envelope: Envelope) => void = () => {},
  cancellation = new Cancellation(),
): UpstreamCall {
  const body = {
    jsonrpc: '2.0',
    id: `sluice-${++requestCount}`,
    method,
    params: modern ? { ...params, _meta: OWN_META } : params,
  };
  const bytes = Buffer.from(JSON.stringify(body));
  return {
    method,
    row: methodRow(method),
    bytes,
    envelope: scanMessage(bytes),
    edits: [],
    headerLines: '',
    cancellation,
    onNotification,
  };
}

/** The result of a reply, parsed; an error of the upstream is thrown as it is. */
export function resultOf(reply: UpstreamReply): Record<string, unknown> {
  if (reply.envelope.error !== undefined) throw errorOf(reply);
  return parsed(reply.bytes, reply.envelope.result as Span) as Record<string, unknown>;
}

/** The error that a reply holds, as the upstream gave it. */
export function errorOf({ bytes, envelope }: UpstreamReply): RpcError {
  const error = parsed(bytes, envelope.error as Span) as { message?: unknown; data?: unknown };
  return new RpcError(
    envelope.errorCode || ErrorCode.InternalError,
    String(error.message ?? 'error without a message'),
    error.data,
  );
}
