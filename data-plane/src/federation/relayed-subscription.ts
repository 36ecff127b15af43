/**
 * `subscriptions/listen` of a modern client that a modern server answers (2026-07-28, basic/patterns/subscriptions).
 * The server tells what changes there; what changes here it cannot know, so the gateway tells that in the same stream.
 */
import type { Exchange } from '../exchange/exchange.js';
import { scanMessage } from '../protocol/scan.js';
import { parsed } from '../protocol/text.js';
import type { ListKind } from '../upstream/offers.js';
import type { Discovery } from './discovery.js';
import { listKindsOf, subscriptionMeta, subscriptionNotice } from './subscription.js';

/**
 * Relays a subscription, and tells of each kind of list that client and server agreed on whenever what anybody may see
 * has changed.
 *
 * @param relay hands the exchange to the server; ends with the subscription
 */
export async function alsoTelling<T>(
  exchange: Exchange,
  discovery: Discovery,
  relay: (own: Exchange) => Promise<T>,
): Promise<T> {
  const subscription = new RelayedSubscription(exchange);
  const off = discovery.onListChanged((kind, changed, audience) => {
    // The server itself tells of what changed at an upstream.
    if (changed === undefined && audience(exchange.caller)) subscription.changed(kind);
  });
  try {
    return await relay({ ...exchange, notify: (message) => subscription.relayed(message) });
  } finally {
    off();
  }
}

class RelayedSubscription {
  /** The kinds that the server agreed to tell of; undefined before its acknowledgement, which has to come first. */
  private agreed: readonly ListKind[] | undefined;
  private readonly early = new Set<ListKind>();

  constructor(private readonly exchange: Exchange) {}

  relayed(message: Buffer): void {
    const { exchange } = this;
    exchange.notify(message);
    if (this.agreed !== undefined) return;
    const { method, params } = scanMessage(message);
    if (method !== 'notifications/subscriptions/acknowledged') return;
    const asked = filterOf(exchange.bytes, exchange.envelope.params);
    const agreed = filterOf(message, params);
    this.agreed = agreed.filter((kind) => asked.includes(kind));
    for (const kind of this.early) this.changed(kind);
  }

  changed(kind: ListKind): void {
    const { agreed, exchange } = this;
    if (agreed === undefined) this.early.add(kind);
    else if (agreed.includes(kind))
      exchange.notify(
        subscriptionNotice(`notifications/${kind}/list_changed`, {}, subscriptionMeta(exchange)),
      );
  }
}

function filterOf(bytes: Buffer, params: Exchange['envelope']['params']): readonly ListKind[] {
  return params === undefined
    ? []
    : listKindsOf((parsed(bytes, params) as { notifications?: unknown } | null)?.notifications);
}
