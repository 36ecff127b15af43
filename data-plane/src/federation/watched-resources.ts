/**
 * The endpoint's side of a legacy session whose upstreams are shared with others: what belongs to a session by
 * itself (ping, log level, watched resources) is kept here, the rest are exchanges.
 */

import type { Exchange } from '../exchange/exchange.js';
import { SparseMap } from '../exchange/sparse-map.js';
import type { LegHost } from '../front/endpoint.js';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import { LOG_LEVELS } from '../protocol/log-levels.js';
import { parsed } from '../protocol/text.js';
import { resourceUpdated, type UpstreamSubscriptions, updatedUri } from '../upstream/subscriptions.js';
import type { Upstream } from '../upstream/upstream.js';

/** An upstream that has not refused until then is taken to have agreed. */
const ANSWER_TIMEOUT_MS = 5_000;
/** Resources that one session may watch. */
const MAX_WATCHED_COUNT = 1_000;

interface Watch {
  readonly uri: string;
  readonly subscriptions: UpstreamSubscriptions;
}

/** The log level that a session asks for. */
export function readLogLevel({ bytes, envelope }: Exchange): string {
  const level = envelope.level === undefined ? undefined : parsed(bytes, envelope.level);
  if (typeof level === 'string' && LOG_LEVELS.includes(level)) return level;
  throw new RpcError(ErrorCode.InvalidParams, `\`params.level\` is one of ${LOG_LEVELS.join(', ')}`);
}

/** Resources that one session watches over shared upstream connections. */
export class WatchedResources {
  private readonly watches = new SparseMap<string, Watch>();
  private readonly listening = new SparseMap<UpstreamSubscriptions, () => void>();
  private closed = false;

  constructor(
    private readonly host: LegHost,
    private readonly expose: (upstream: Upstream, uri: string) => string,
  ) {}

  /** Rejects with the upstream's error when it will not tell of the resource. */
  async add(
    exposed: string,
    uri: string,
    upstream: Upstream,
    subscriptions: UpstreamSubscriptions,
  ): Promise<void> {
    if (this.watches.has(exposed)) return;
    if (this.closed) throw new RpcError(ErrorCode.SessionNotFound, 'the session has ended');
    if (this.watches.size >= MAX_WATCHED_COUNT) {
      throw new RpcError(
        ErrorCode.InvalidParams,
        `this session watches ${MAX_WATCHED_COUNT} resources already`,
      );
    }
    this.watches.set(exposed, { uri, subscriptions });
    const answer = subscriptions.watch(uri);
    this.hear(upstream, subscriptions);
    const refusal = await Promise.race([answer, delay(ANSWER_TIMEOUT_MS)]);
    if (refusal === undefined) return;
    this.remove(exposed);
    throw refusal;
  }

  remove(exposed: string): void {
    const watch = this.watches.get(exposed);
    if (watch === undefined) return;
    this.watches.delete(exposed);
    watch.subscriptions.unwatch(watch.uri);
  }

  /** Gives up what is watched at one upstream: as the client names it, and as the upstream does. */
  handOver(subscriptions: UpstreamSubscriptions): { exposed: string; uri: string }[] {
    const mine = [...this.watches].filter(([, watch]) => watch.subscriptions === subscriptions);
    for (const [exposed] of mine) this.remove(exposed);
    return mine.map(([exposed, { uri }]) => ({ exposed, uri }));
  }

  close(): void {
    this.closed = true;
    for (const exposed of [...this.watches.keys()]) this.remove(exposed);
    for (const off of this.listening.values()) off();
    this.listening.clear();
  }

  private hear(upstream: Upstream, subscriptions: UpstreamSubscriptions): void {
    if (this.listening.has(subscriptions)) return;
    this.listening.set(
      subscriptions,
      subscriptions.on((message) => {
        const updated = updatedUri(message);
        if (updated === undefined) return;
        const mine = [...this.watches].filter(([, watch]) => watch.subscriptions === subscriptions);
        const uris = mine.map(([, { uri }]) => uri);
        if (!subscriptions.concerns(updated, uris)) return;
        const own = mine[uris.indexOf(updated)];
        this.host.toClient(resourceUpdated(own?.[0] ?? this.expose(upstream, updated)), undefined);
      }),
    );
  }
}

function delay(ms: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), ms).unref());
}
