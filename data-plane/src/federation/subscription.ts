/**
 * `subscriptions/listen` of a modern client (2026-07-28, basic/patterns/subscriptions), answered by the gateway
 * from what it hears of its upstreams. A subscription is a set of (upstream, filter), each acknowledged by itself.
 */
import type { Exchange, Outcome } from '../exchange/exchange.js';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import { META } from '../protocol/revisions.js';
import { binaryOf, parsed } from '../protocol/text.js';
import { cancelledError } from '../upstream/call.js';
import { type UpstreamSubscriptions, updatedUri } from '../upstream/subscriptions.js';
import type { Upstream } from '../upstream/upstream.js';

/** URIs that one subscription may watch. */
const MAX_WATCHED_URI_COUNT = 1_000;

/** One resource that a client watches, as the upstream knows it. */
export interface Watched {
  readonly exposed: string;
  readonly uri: string;
  readonly upstream: Upstream;
}

export interface SubscriptionSource {
  readonly upstreams: readonly { upstream: Upstream; subscriptions: UpstreamSubscriptions }[];
  /** Where a URI leads; undefined when nobody offers it or nobody there tells of changes. */
  resolve(uri: string): Watched | undefined;
  /** The client's form of an upstream's URI. */
  expose(upstream: Upstream, uri: string): string;
  /** Called back when a list of the endpoint changed. Returns how to stop that. */
  onListChanged(listener: (kind: 'tools' | 'prompts' | 'resources') => void): () => void;
}

const KINDS = ['tools', 'prompts', 'resources'] as const;

/** Lives until the client closes its stream; never resolves by itself. */
export function subscribe(exchange: Exchange, source: SubscriptionSource): Promise<Outcome> {
  const { bytes, envelope } = exchange;
  const params = (envelope.params === undefined ? {} : parsed(bytes, envelope.params)) as {
    notifications?: unknown;
  };
  const filter = params.notifications;
  if (typeof filter !== 'object' || filter === null || Array.isArray(filter)) {
    return Promise.reject(
      new RpcError(ErrorCode.InvalidParams, '`params.notifications` is missing or not an object'),
    );
  }
  const wanted = filter as Record<string, unknown>;
  const uris = Array.isArray(wanted.resourceSubscriptions)
    ? wanted.resourceSubscriptions.filter((uri): uri is string => typeof uri === 'string')
    : [];
  if (uris.length > MAX_WATCHED_URI_COUNT) {
    return Promise.reject(
      new RpcError(
        ErrorCode.InvalidParams,
        `\`resourceSubscriptions\` holds more than ${MAX_WATCHED_URI_COUNT} URIs`,
      ),
    );
  }
  const id = JSON.parse(
    Buffer.from(binaryOf(bytes, envelope.id as { start: number; end: number }), 'latin1').toString(),
  ) as string | number;
  const meta = { [META.subscriptionId]: id };
  const tell = (method: string, body: Record<string, unknown>) =>
    exchange.notify(
      Buffer.from(JSON.stringify({ jsonrpc: '2.0', method, params: { ...body, _meta: meta } })),
    );

  const kinds = KINDS.filter((kind) => wanted[`${kind}ListChanged`] === true);
  const watched = uris
    .map((uri) => source.resolve(uri))
    .filter((each): each is Watched => each !== undefined);
  const accepted: Record<string, unknown> = {};
  for (const kind of kinds) accepted[`${kind}ListChanged`] = true;
  if (watched.length > 0) accepted.resourceSubscriptions = watched.map(({ exposed }) => exposed);
  tell('notifications/subscriptions/acknowledged', { notifications: accepted });

  const stops: (() => void)[] = [];
  if (kinds.length > 0) {
    stops.push(
      source.onListChanged((kind) => {
        if (kinds.includes(kind)) tell(`notifications/${kind}/list_changed`, {});
      }),
    );
  }
  for (const { upstream, subscriptions } of source.upstreams) {
    const mine = watched.filter((each) => each.upstream === upstream);
    if (mine.length === 0) continue;
    for (const { uri } of mine) subscriptions.watch(uri);
    const off = subscriptions.on((_, message) => {
      // An update may name a sub-resource of what is watched, so everything this upstream updates is told.
      const uri = updatedUri(message);
      if (uri !== undefined) tell('notifications/resources/updated', { uri: source.expose(upstream, uri) });
    });
    stops.push(() => {
      off();
      for (const { uri } of mine) subscriptions.unwatch(uri);
    });
  }
  return new Promise((_, reject) => {
    exchange.cancellation.onCancel({
      cancel() {
        for (const stop of stops) stop();
        reject(cancelledError());
      },
    });
  });
}
