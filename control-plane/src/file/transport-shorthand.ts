import type { DescField, DescMessage } from '@bufbuild/protobuf';
import {
  HttpTransportSchema,
  SseTransportSchema,
  StdioTransportSchema,
  WebSocketTransportSchema,
} from '@sluice/proto';
import { findField, type MessageJson } from './decode-message.js';
import type { Decoding } from './decoding.js';
import type { MappingNode, SourceNode } from './source-tree.js';
import { substitute } from './substitution.js';

/** A transport by the name of its field in the upstream. */
export type TransportName = 'http' | 'sse' | 'websocket' | 'stdio';

/** What each transport is configured with. */
export const TRANSPORT_SCHEMAS: Readonly<Record<TransportName, DescMessage>> = {
  http: HttpTransportSchema,
  sse: SseTransportSchema,
  websocket: WebSocketTransportSchema,
  stdio: StdioTransportSchema,
};

const TRANSPORT_NAMES = Object.keys(TRANSPORT_SCHEMAS) as TransportName[];

/** Keys that may stand directly in an upstream, without the name of their transport around them. */
export const SHORT_KEYS: readonly string[] = [
  ...new Set(Object.values(TRANSPORT_SCHEMAS).flatMap(({ fields }) => fields.map(({ name }) => name))),
];

/** The transports that an upstream has settings of, in the order of the schema. */
export function transportsOf(upstream: MessageJson): TransportName[] {
  return TRANSPORT_NAMES.filter((name) => name in upstream);
}

/** The transport that an address is of by itself: HTTP+SSE has no scheme of its own and has to be named. */
export function transportOfUrl(url: string): 'http' | 'websocket' {
  return /^\s*wss?:/i.test(url) ? 'websocket' : 'http';
}

/**
 * The transport that `url` and `headers` directly in an upstream belong to: the one that is named beside them,
 * else the one that the scheme of the url means.
 */
export function addressedTransport(decoding: Decoding, { entries }: MappingNode): TransportName {
  const named = entries.find(({ key }) => key !== 'stdio' && Object.hasOwn(TRANSPORT_SCHEMAS, key));
  if (named !== undefined) return named.key as TransportName;
  const url = entries.find(({ key }) => key === 'url')?.value;
  return url === undefined ? 'http' : writtenUrlTransport(decoding, url);
}

/** As {@link transportOfUrl}, for what stands in a file; what is wrong with it is reported where it is read. */
export function writtenUrlTransport({ environment }: Decoding, url: SourceNode): 'http' | 'websocket' {
  if (url.kind !== 'scalar' || typeof url.value !== 'string') return 'http';
  if (environment === undefined) return transportOfUrl(url.value);
  const substituted = substitute(url.value, environment);
  return 'text' in substituted ? transportOfUrl(substituted.text) : 'http';
}

/** The setting of a transport that a short key means; the subprocess shares no key with the others. */
export function findShortKey(
  key: string,
  addressed: TransportName,
): { readonly transport: TransportName; readonly field: DescField } | undefined {
  for (const transport of [addressed, 'stdio'] as const) {
    const field = findField(TRANSPORT_SCHEMAS[transport].fields, key);
    if (field !== undefined) return { transport, field };
  }
  return undefined;
}
