/**
 * `/mcp` as modern clients see it that can be asked something. An upstream may offer more to such a client
 * (2026-07-28, basic: capabilities are said on each request), so it is asked for its lists with these capabilities.
 * Clients of one principal that declare the same have one view.
 */
import type { Caller } from '../exchange/exchange.js';
import { META, MODERN_REVISION } from '../protocol/revisions.js';
import { buildCatalogue, type Catalogue } from '../routing/catalogue.js';
import type { UpstreamOffer } from '../routing/offer.js';
import { OFFER_KINDS, readList } from '../upstream/offers.js';
import { GATEWAY_INFO, ownCall } from '../upstream/own-request.js';
import { canBeAsked } from '../upstream/parked/parked-calls.js';
import type { Discovery, Known } from './discovery.js';

/** Views that are kept; the one that was used longest ago goes first. */
const MAX_VIEW_COUNT = 64;
/** An upstream that was late, or could not say what it offers, is asked again so soon. */
const RETRY_AFTER_FAILURE_MS = 5_000;

interface View {
  readonly built: Promise<Catalogue>;
  /** Undefined until it is built. */
  catalogue: Catalogue | undefined;
  /** What everybody saw when it was begun. */
  readonly base: Catalogue;
  readonly changeCount: number;
  freshUntil: number;
}

export class CapabilityViews {
  /** By principal and capabilities; what was used last stands last. */
  private readonly views = new Map<string, View>();

  constructor(private readonly discovery: Discovery) {}

  /** The catalogue as this client sees it; undefined for one that sees what everybody sees. */
  async of(caller: Caller): Promise<Catalogue | undefined> {
    if (!canBeAsked(caller) || !this.discovery.known.some(mayOfferMore)) return undefined;
    const key = keyOf(caller);
    let view = this.fresh(key);
    if (view === undefined) {
      view = this.begin(caller);
      const [oldest] = this.views.size >= MAX_VIEW_COUNT ? this.views.keys() : [];
      if (oldest !== undefined) this.views.delete(oldest);
      this.views.set(key, view);
    }
    return view.built;
  }

  /** The same, where it is at hand. */
  settled(caller: Caller): Catalogue | undefined {
    return canBeAsked(caller) ? this.fresh(keyOf(caller))?.catalogue : undefined;
  }

  private fresh(key: string): View | undefined {
    const view = this.views.get(key);
    if (view === undefined) return undefined;
    this.views.delete(key);
    const isFresh =
      view.base === this.discovery.catalogue &&
      view.changeCount === this.changeCount() &&
      view.freshUntil > Date.now();
    if (!isFresh) return undefined;
    this.views.set(key, view);
    return view;
  }

  private changeCount(): number {
    return this.discovery.known.reduce((sum, { upstream }) => sum + upstream.offerChangeCount, 0);
  }

  private begin(caller: Caller): View {
    const { discovery } = this;
    // Until every upstream has answered it is the same for all who ask meanwhile.
    const view: View = {
      built: this.build(caller, () => {
        view.freshUntil = Math.min(view.freshUntil, Date.now() + RETRY_AFTER_FAILURE_MS);
      }).then((catalogue) => {
        view.catalogue = catalogue;
        return catalogue;
      }),
      catalogue: undefined,
      base: discovery.catalogue,
      changeCount: this.changeCount(),
      freshUntil: Date.now() + discovery.intervalMs,
    };
    return view;
  }

  /** In parallel; who is late, or cannot say it, counts as offering what everybody is offered. */
  private async build(caller: Caller, onMissing: () => void): Promise<Catalogue> {
    const { discovery } = this;
    const offers = await Promise.all(
      discovery.known.map(async (known) => {
        if (!mayOfferMore(known)) return known.offer;
        const own = ownOffer(known, caller).catch(() => undefined);
        const offer = await withinTime(own, discovery.deadlineMs);
        if (offer === undefined) onMissing();
        return offer ?? known.offer;
      }),
    );
    return buildCatalogue(offers, discovery.naming);
  }
}

function keyOf({ principal, capabilities }: Caller): string {
  return `${principal} ${capabilities}`;
}

/** A legacy upstream whose only connection is everybody's hears no client's capabilities. */
function mayOfferMore({ upstream, state }: Known): boolean {
  return (
    state === 'ready' &&
    !upstream.config.hidden &&
    (upstream.era === 'modern' || upstream.traits.canHaveOwnSessions)
  );
}

async function ownOffer({ upstream, offer }: Known, caller: Caller): Promise<UpstreamOffer> {
  const asking: Caller = { ...caller, revision: MODERN_REVISION, logLevel: undefined };
  const declared = JSON.parse(Buffer.from(caller.capabilities, 'latin1').toString()) as object;
  // Extensions are not routed here; see `ROUTABLE_EXTENSIONS`.
  const { extensions: _, ...askable } = declared as { extensions?: unknown };
  const _meta = {
    [META.version]: MODERN_REVISION,
    [META.clientInfo]: GATEWAY_INFO,
    [META.capabilities]: askable,
  };
  const capabilities = upstream.facts?.capabilities ?? {};
  const lists = await Promise.all(
    OFFER_KINDS.map((kind) =>
      readList(kind, capabilities, (method, params) =>
        upstream.call(ownCall(method, { ...params, _meta }, false), asking),
      ),
    ),
  );
  const [tools, prompts, resources, templates] = lists.map(({ entries }) => entries);
  return {
    ...offer,
    tools: tools ?? [],
    prompts: prompts ?? [],
    resources: resources ?? [],
    templates: templates ?? [],
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
