/**
 * What a legacy session asked of the gateway itself, rather than of a server that knows the session: its log level,
 * and what it watches over shared connections. Another worker that goes on with the session asks for it again.
 */
import type { Exchange } from '../exchange/exchange.js';
import { SparseSet } from '../exchange/sparse-map.js';
import type { HeldBefore, LegHost } from '../front/endpoint.js';
import { ownCall } from '../upstream/own-request.js';

/** Stands among the ids of upstreams, none of which is empty. */
const HERE = '';

export class HeldHere {
  private level: string | undefined;
  private readonly uris = new SparseSet<string>();

  constructor(private readonly host: LegHost) {}

  logLevel(level: string): void {
    this.level = level;
    this.tell();
  }

  watches(uri: string): void {
    if (this.uris.has(uri)) return;
    this.uris.add(uri);
    this.tell();
  }

  watchesNoMore(uri: string): void {
    if (this.uris.delete(uri)) this.tell();
  }

  /** Asks again for what was held before; what cannot be had any more is left out. */
  async restore(
    before: HeldBefore | undefined,
    request: (exchange: Exchange) => Promise<unknown>,
  ): Promise<void> {
    const { logLevel, subscribed = [] } = before?.[HERE] ?? {};
    const own = { caller: this.host.caller, headers: {}, notify() {} };
    const ask = (method: string, params: Record<string, unknown>) =>
      request({ ...ownCall(method, params, false), ...own });
    await Promise.allSettled([
      ...(logLevel === undefined ? [] : [ask('logging/setLevel', { level: logLevel })]),
      ...subscribed.map((uri) => ask('resources/subscribe', { uri })),
    ]);
  }

  private tell(): void {
    this.host.holds(HERE, {
      logLevel: this.level,
      subscribed: this.uris.size === 0 ? undefined : [...this.uris],
    });
  }
}
