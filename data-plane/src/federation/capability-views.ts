/**
 * Lists as modern upstreams show them, and legacy ones show them to modern clients, to those who can be asked
 * something. An upstream may offer more to such a client (2026-07-28, basic: capabilities are said on each request),
 * so it is asked for its lists with these capabilities. Clients of one principal that declare the same have one view.
 * So have those who cannot be asked, where a legacy server has changed its lists in that principal's session.
 */
import type { Caller } from '../exchange/exchange.js';
import { META, MODERN_REVISION } from '../protocol/revisions.js';
import type { Catalogue } from '../routing/catalogue.js';
import type { UpstreamOffer } from '../routing/offer.js';
import { type OfferKind, type OfferList, readList } from '../upstream/offers.js';
import { GATEWAY_INFO, ownCall } from '../upstream/own-request.js';
import { canBeAsked } from '../upstream/parked/parked-calls.js';
import { type Discovery, type Known, ROUND_PAUSE_MS } from './discovery.js';
import type { Offers } from './offers.js';

/** Views that are kept; the one that was used longest ago goes first. */
const MAX_VIEW_COUNT = 64;
/** An upstream that was late, or could not say what it offers, is asked again so soon. */
const RETRY_AFTER_FAILURE_MS = 5_000;

interface View<Seen> {
  readonly built: Promise<Seen>;
  /** Undefined until it is built. */
  seen: Seen | undefined;
  readonly begunAt: number;
  usedAt: number;
  /** What everybody saw when it was begun. */
  readonly base: Catalogue;
  readonly changeCount: number;
  freshUntil: number;
}

/** What is looked at, and what is made of it. */
export interface Viewed<Seen> {
  readonly discovery: Discovery;
  readonly offers: Pick<Offers, 'catalogue'>;
  /** Lists that matter; others stay as everybody sees them. */
  readonly kinds: readonly OfferKind[];
  upstreams(): readonly Known[];
  make(offers: readonly UpstreamOffer[]): Seen;
}

export class CapabilityViews<Seen> {
  /** By principal and capabilities. */
  private readonly views = new Map<string, View<Seen>>();

  constructor(private readonly viewed: Viewed<Seen>) {}

  /** True for a client that may see something else than everybody. */
  hasOwn(caller: Caller): boolean {
    return this.viewed.upstreams().some((known) => mayShowOwn(known, caller));
  }

  /** What this client sees; undefined for one that sees what everybody sees. */
  async of(caller: Caller): Promise<Seen | undefined> {
    if (!this.hasOwn(caller)) return undefined;
    const key = keyOf(caller);
    let view = this.fresh(key);
    if (view === undefined) {
      view = this.begin(caller);
      if (this.views.size >= MAX_VIEW_COUNT) this.dropOldest();
      this.views.set(key, view);
    }
    return view.built;
  }

  /** The same, where it is at hand. */
  settled(caller: Caller): Seen | undefined {
    return this.views.size === 0 ? undefined : this.fresh(keyOf(caller))?.seen;
  }

  /** The same, read again because it turned out to be old; unless that has just been done. */
  renewed(caller: Caller): Promise<Seen | undefined> {
    const key = keyOf(caller);
    const begunAt = this.views.get(key)?.begunAt;
    if (begunAt !== undefined && Date.now() - begunAt > ROUND_PAUSE_MS) this.views.delete(key);
    return this.of(caller);
  }

  private fresh(key: string): View<Seen> | undefined {
    const view = this.views.get(key);
    if (view === undefined) return undefined;
    const now = Date.now();
    const isFresh =
      view.base === this.viewed.offers.catalogue &&
      view.changeCount === this.changeCount() &&
      view.freshUntil > now;
    if (isFresh) view.usedAt = now;
    else this.views.delete(key);
    return isFresh ? view : undefined;
  }

  private dropOldest(): void {
    const [first, ...others] = [...this.views];
    if (first === undefined) return;
    const [oldest] = others.reduce((old, each) => (each[1].usedAt < old[1].usedAt ? each : old), first);
    this.views.delete(oldest);
  }

  private changeCount(): number {
    return this.viewed
      .upstreams()
      .reduce(
        (sum, { offerChangeCount, upstream }) => sum + offerChangeCount + upstream.ownListChangeCount,
        0,
      );
  }

  private begin(caller: Caller): View<Seen> {
    const { discovery, offers } = this.viewed;
    const begunAt = Date.now();
    // Until every upstream has answered it is the same for all who ask meanwhile.
    const view: View<Seen> = {
      built: this.build(caller, () => {
        view.freshUntil = Math.min(view.freshUntil, Date.now() + RETRY_AFTER_FAILURE_MS);
      }).then((seen) => {
        view.seen = seen;
        return seen;
      }),
      seen: undefined,
      begunAt,
      usedAt: begunAt,
      base: offers.catalogue,
      changeCount: this.changeCount(),
      freshUntil: begunAt + discovery.intervalMs,
    };
    return view;
  }

  /** In parallel; who is late, or cannot say it, counts as offering what everybody is offered. */
  private async build(caller: Caller, onMissing: () => void): Promise<Seen> {
    const { discovery, kinds } = this.viewed;
    const offers = await Promise.all(
      this.viewed.upstreams().map(async (known) => {
        if (!mayShowOwn(known, caller)) return known.offer;
        const own = ownOffer(known, caller, kinds).catch(() => undefined);
        const offer = await withinTime(own, discovery.deadlineMs);
        if (offer === undefined) onMissing();
        return offer ?? known.offer;
      }),
    );
    return this.viewed.make(offers);
  }
}

function keyOf({ principal, capabilities }: Caller): string {
  return `${principal} ${capabilities}`;
}

/** A legacy upstream whose only connection is everybody's hears no client's capabilities. */
export function mayShowOwn({ upstream, state }: Known, caller: Caller): boolean {
  if (state !== 'ready') return false;
  if (!canBeAsked(caller)) return upstream.hasOwnLists(caller.principal);
  return upstream.era === 'modern' || upstream.traits.canHaveOwnSessions;
}

async function ownOffer(
  { upstream, offer }: Known,
  caller: Caller,
  kinds: readonly OfferKind[],
): Promise<UpstreamOffer> {
  const asking: Caller = { ...caller, era: 'modern', revision: MODERN_REVISION, logLevel: undefined };
  const declared = JSON.parse(Buffer.from(caller.capabilities, 'latin1').toString()) as object;
  // Extensions are not routed here; see `ROUTABLE_EXTENSIONS`.
  const { extensions: _, ...askable } = declared as { extensions?: unknown };
  const _meta = {
    [META.version]: MODERN_REVISION,
    [META.clientInfo]: GATEWAY_INFO,
    [META.capabilities]: askable,
  };
  const capabilities = upstream.facts?.capabilities ?? {};
  const own: Partial<Record<OfferKind, OfferList['entries']>> = {};
  await Promise.all(
    kinds.map(async (kind) => {
      const list = await readList(kind, capabilities, (method, params) =>
        upstream.call(ownCall(method, { ...params, _meta }, false), asking),
      );
      own[kind] = list.entries;
    }),
  );
  return {
    ...offer,
    tools: own.tools ?? offer.tools,
    prompts: own.prompts ?? offer.prompts,
    resources: own.resources ?? offer.resources,
    templates: own.resourceTemplates ?? offer.templates,
    // What was made for one client's capabilities is nobody else's.
    cacheScope: 'private',
  };
}

async function withinTime<T>(answer: Promise<T | undefined>, ms: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms);
    timer.unref();
  });
  const first = await Promise.race([answer, late]);
  clearTimeout(timer);
  return first;
}
