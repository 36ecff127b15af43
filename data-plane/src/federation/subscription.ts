/**
 * `subscriptions/listen` of a modern client (2026-07-28, basic/patterns/subscriptions), answered by the gateway
 * from what it hears of its upstreams. A subscription is a set of (upstream, filter), each acknowledged by itself.
 */
import type { Cancellable, Exchange, Outcome } from '../exchange/exchange.js';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import { META } from '../protocol/revisions.js';
import type { Span } from '../protocol/scan.js';
import { binaryOf, binaryToBytes, jsonBinary, parsed } from '../protocol/text.js';
import { cancelledError } from '../upstream/call.js';
import { LIST_KINDS, type ListKind } from '../upstream/offers.js';
import { type UpstreamSubscriptions, updatedUri } from '../upstream/subscriptions.js';
import type { Upstream } from '../upstream/upstream.js';

/** URIs that one subscription may watch. */
const MAX_WATCHED_URI_COUNT = 1_000;
/** Upstreams that have not agreed until then are not acknowledged; what they tell later is passed on all the same. */
const ACKNOWLEDGE_TIMEOUT_MS = 2_000;
/** What may happen before the acknowledgement, which has to come first. */
const MAX_EARLY_COUNT = 1_000;

/** One resource that a client watches, as the upstream knows it. */
export interface Watched {
  readonly exposed: string;
  readonly uri: string;
  readonly upstream: Upstream;
}

export interface SubscriptionSource {
  readonly upstreams: readonly Upstream[];
  /** What an upstream tells whoever subscribes here. Throws an RpcError when it cannot tell one more. */
  subscriptionsOf(upstream: Upstream): UpstreamSubscriptions;
  /** Where a URI leads; undefined when nobody offers it or nobody there tells of changes. */
  resolve(uri: string): Watched | undefined;
  /** The client's form of an upstream's URI. */
  expose(upstream: Upstream, uri: string): string;
  /** False for a kind of list that nobody there has. */
  has(kind: ListKind): boolean;
  /** Called back when a list changed that this client sees of the endpoint. Returns how to stop that. */
  onListChanged(listener: (kind: ListKind) => void): () => void;
}

/** Lives until the client closes its stream; never resolves by itself. */
export async function subscribe(exchange: Exchange, source: SubscriptionSource): Promise<Outcome> {
  const { kinds: wanted, uris } = readFilter(exchange);
  // "Notification types the server does not support are omitted" ("Acknowledgment").
  const kinds = wanted.filter((kind) => source.has(kind));
  const watched = uris
    .map((uri) => source.resolve(uri))
    .filter((each): each is Watched => each !== undefined);
  return new Promise((_, reject) => {
    const subscription = new Subscription(exchange, reject);
    subscription.listen(source, kinds, watched);
    exchange.cancellation.onCancel(subscription);
  });
}

function readFilter({ bytes, envelope }: Exchange): { kinds: readonly ListKind[]; uris: readonly string[] } {
  const params = (envelope.params === undefined ? {} : parsed(bytes, envelope.params)) as {
    notifications?: unknown;
  };
  const filter = params.notifications;
  if (typeof filter !== 'object' || filter === null || Array.isArray(filter))
    throw new RpcError(ErrorCode.InvalidParams, '`params.notifications` is missing or not an object');
  const wanted = filter as Record<string, unknown>;
  const listed = Array.isArray(wanted.resourceSubscriptions) ? wanted.resourceSubscriptions : [];
  const uris = new Set(listed.filter((uri): uri is string => typeof uri === 'string'));
  if (uris.size > MAX_WATCHED_URI_COUNT) {
    throw new RpcError(
      ErrorCode.InvalidParams,
      `\`resourceSubscriptions\` holds more than ${MAX_WATCHED_URI_COUNT} URIs`,
    );
  }
  return { kinds: listKindsOf(filter), uris: [...uris] };
}

/** The kinds of lists that a filter names, of a request or of its acknowledgement; none for what is no filter. */
export function listKindsOf(filter: unknown): readonly ListKind[] {
  const named = (filter ?? {}) as Record<string, unknown>;
  return LIST_KINDS.filter((kind) => named[`${kind}ListChanged`] === true);
}

/** `_meta` of everything that is told in a subscription (binary text): its id is that of the request. */
export function subscriptionMeta({ bytes, envelope }: Exchange): string {
  return `{"${META.subscriptionId}":${binaryOf(bytes, envelope.id as Span)}}`;
}

/** @param meta see {@link subscriptionMeta} */
export function subscriptionNotice(
  method: string,
  body: Readonly<Record<string, unknown>>,
  meta: string,
): Buffer {
  const members = jsonBinary(body).slice(1, -1);
  const params = `{${members}${members === '' ? '' : ','}"_meta":${meta}}`;
  return binaryToBytes(`{"jsonrpc":"2.0","method":"${method}","params":${params}}`);
}

class Subscription implements Cancellable {
  private readonly meta: string;
  private readonly stops: (() => void)[] = [];
  /** What waits for the acknowledgement; undefined after it. */
  private early: Buffer[] | undefined = [];
  private over = false;

  constructor(
    private readonly exchange: Exchange,
    private readonly reject: (error: RpcError) => void,
  ) {
    this.meta = subscriptionMeta(exchange);
  }

  listen(source: SubscriptionSource, kinds: readonly ListKind[], watched: readonly Watched[]): void {
    if (kinds.length > 0) {
      this.stops.push(
        source.onListChanged((kind) => {
          if (kinds.includes(kind)) this.tell(`notifications/${kind}/list_changed`, {});
        }),
      );
      for (const upstream of source.upstreams) {
        const off = upstream.onOwnListChanged(this.exchange.caller.principal, (kind) => {
          if (kinds.includes(kind)) this.tell(`notifications/${kind}/list_changed`, {});
        });
        this.stops.push(off);
      }
    }
    const accepted = new Set<string>();
    const answers: Promise<void>[] = [];
    for (const upstream of source.upstreams) {
      const mine = watched.filter((each) => each.upstream === upstream);
      const subscriptions = mine.length === 0 ? undefined : toldOrNot(() => source.subscriptionsOf(upstream));
      if (subscriptions === undefined) continue;
      const uris = mine.map(({ uri }) => uri);
      const off = subscriptions.on((message) => {
        const updated = updatedUri(message);
        if (updated !== undefined && subscriptions.concerns(updated, uris))
          this.tell('notifications/resources/updated', { uri: source.expose(upstream, updated) });
      });
      for (const { uri, exposed } of mine) {
        answers.push(
          subscriptions.watch(uri).then((refusal) => {
            if (refusal === undefined) accepted.add(exposed);
          }),
        );
      }
      this.stops.push(() => {
        off();
        for (const uri of uris) subscriptions.unwatch(uri);
      });
    }
    if (answers.length === 0) this.acknowledge(kinds, []);
    else {
      void withinTime(answers).then(() =>
        this.acknowledge(
          kinds,
          watched.map(({ exposed }) => exposed).filter((uri) => accepted.has(uri)),
        ),
      );
    }
  }

  cancel(): void {
    this.over = true;
    for (const stop of this.stops) stop();
    this.reject(cancelledError());
  }

  private acknowledge(kinds: readonly ListKind[], uris: readonly string[]): void {
    if (this.over) return;
    const notifications: Record<string, unknown> = {};
    for (const kind of kinds) notifications[`${kind}ListChanged`] = true;
    if (uris.length > 0) notifications.resourceSubscriptions = uris;
    const early = this.early ?? [];
    this.early = undefined;
    this.tell('notifications/subscriptions/acknowledged', { notifications });
    for (const message of early) this.exchange.notify(message);
  }

  private tell(method: string, body: Readonly<Record<string, unknown>>): void {
    const message = subscriptionNotice(method, body, this.meta);
    if (this.early === undefined) this.exchange.notify(message);
    else if (this.early.length < MAX_EARLY_COUNT) this.early.push(message);
  }
}

/** Who cannot be told is not acknowledged. */
function toldOrNot(of: () => UpstreamSubscriptions): UpstreamSubscriptions | undefined {
  try {
    return of();
  } catch (thrown) {
    if (thrown instanceof RpcError) return undefined;
    throw thrown;
  }
}

/** Resolves when all have answered, or it is too late. */
async function withinTime(answers: readonly Promise<void>[]): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, ACKNOWLEDGE_TIMEOUT_MS);
  });
  await Promise.race([Promise.all(answers), late]);
  clearTimeout(timer);
}
