/**
 * `/mcp`: all upstreams as one server; or a part of what they offer as one, where an endpoint or a virtual server says
 * so. Names and URIs are those of the catalogue; every call goes to one upstream.
 */
import type { Target as ChainTarget, JsonObject, MaybePromise, TargetKind } from '@sluice/sdk';
import { type Located, namedBy, type RoutedEndpoint, UNAVAILABLE_META } from '../chain/routed-endpoint.js';
import type { Caller, Exchange, Outcome } from '../exchange/exchange.js';
import type { LegacyBacking, LegHost } from '../front/endpoint.js';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import { type Edit, jsonBinary, parsed, replace, stringOf } from '../protocol/text.js';
import { legacyTool, type Message, rewritten } from '../protocol/translate.js';
import { buildCatalogue, type Catalogue } from '../routing/catalogue.js';
import { type ListPage, listPage } from '../routing/merge.js';
import type { Naming } from '../routing/names.js';
import type { ListKind as CatalogueKind, UpstreamOffer } from '../routing/offer.js';
import { encodeHeaderValue } from '../routing/param-headers.js';
import { EVERYTHING, type Selection } from '../routing/selection.js';
import { exposeUri, rewriteUris, type UriPlace } from '../routing/uris.js';
import type { Sealer } from '../sessions/seal.js';
import type { UpstreamReply } from '../upstream/call.js';
import { OFFER_KINDS } from '../upstream/offers.js';
import { GATEWAY_INFO } from '../upstream/own-request.js';
import type { Upstream } from '../upstream/upstream.js';
import { CapabilityViews, mayShowOwn } from './capability-views.js';
import { Definitions, type ShownTools, type ToolsByName, toolsByName } from './definitions.js';
import type { Discovery, Known } from './discovery.js';
import { discoverResult, mergedCapabilities, mergedInstructions } from './facts.js';
import { MergedLegacy } from './merged-legacy.js';
import { NeverAnswered, neverAnswered } from './never-answered.js';
import type { Offers } from './offers.js';
import { answered, outcomeOf, passedHeaders, relayed, watchable } from './relay.js';
import { subscribe } from './subscription.js';
import { type Target, Targets } from './targets.js';
import { openUpstreamState, sealUpstreamState } from './upstream-state.js';

/** First pages of one catalogue that are kept as they are sent; each may hold a thousand entries. */
const MAX_FIRST_PAGE_COUNT = 32;
/** Extensions that the merged endpoint can route; what a client offers beyond is not passed on. */
const ROUTABLE_EXTENSIONS: readonly string[] = [];

export interface MergedOptions {
  readonly discovery: Discovery;
  /** Of the revision that it belongs to. */
  readonly offers: Offers;
  readonly sealer: Sealer;
  readonly pageSize: number;
  /** How long a `requestState` is taken back. */
  stateLifetimeMs(): number;
  /** By default all upstreams that are not hidden, at `/mcp`. */
  readonly server?: MergedServer | undefined;
}

/** What tells one merged endpoint from another. */
export interface MergedServer {
  readonly path: string;
  /** For metrics. */
  readonly label: string;
  readonly selection: Selection;
  readonly naming: (naming: Naming) => Naming;
  readonly title?: string | undefined;
  readonly instructions?: string | undefined;
}

const ALL_UPSTREAMS: MergedServer = {
  path: '/mcp',
  label: '*',
  selection: EVERYTHING,
  naming: (naming) => naming,
};

/** Capabilities that only a server with such a list has. */
const LISTED_CAPABILITIES = ['tools', 'prompts', 'resources'] as const;

const LISTS: Readonly<Record<string, CatalogueKind>> = {
  tools: 'tools',
  prompts: 'prompts',
  resources: 'resources',
  resourceTemplates: 'templates',
};

const RESULT_PLACES: Readonly<Record<string, UriPlace>> = {
  'tools/call': 'tools/call result',
  'prompts/get': 'prompts/get result',
  'resources/read': 'resources/read result',
};

export class MergedEndpoint implements RoutedEndpoint {
  readonly path: string;
  readonly label: string;
  /** What it says it is. */
  readonly info: Readonly<Record<string, string>>;
  private readonly server: MergedServer;
  /** Everybody's, of the catalogue of the gateway that it was made with. */
  private own: { readonly base: Catalogue; readonly catalogue: Catalogue } | undefined;
  private readonly pages = new WeakMap<Catalogue, Map<string, string>>();
  readonly targets: Targets;
  private readonly views: CapabilityViews<Catalogue>;
  private readonly definitions: Definitions;
  /** Tools of which a catalogue for some was made, by the upstreams' ids. */
  private readonly madeOf = new WeakMap<Catalogue, ReadonlyMap<string, UpstreamOffer['tools']>>();
  private membersByName:
    | { readonly of: readonly Known[]; readonly byName: ReadonlyMap<string, Known> }
    | undefined;

  constructor(readonly options: MergedOptions) {
    const { server = ALL_UPSTREAMS } = options;
    this.server = server;
    this.path = server.path;
    this.label = server.label;
    this.info = server.title === undefined ? GATEWAY_INFO : { ...GATEWAY_INFO, title: server.title };
    this.targets = new Targets(
      options.offers,
      () => this.catalogue,
      (list, exposed) =>
        neverAnswered(this.members, list, exposed, this.server.selection, this.offers.naming),
    );
    this.definitions = new Definitions(options.discovery, (known) => this.shownTools(known));
    this.views = new CapabilityViews({
      discovery: options.discovery,
      offers: options.offers,
      kinds: OFFER_KINDS,
      upstreams: () => this.members,
      make: (offers) => this.shownAs(offers),
    });
  }

  /** Everybody's. */
  get catalogue(): Catalogue {
    const base = this.offers.catalogue;
    if (this.server === ALL_UPSTREAMS) return base;
    if (this.own?.base !== base)
      this.own = { base, catalogue: this.catalogueOf(this.offers.known.map(({ offer }) => offer)) };
    return this.own.catalogue;
  }

  catalogueOf(offers: readonly UpstreamOffer[]): Catalogue {
    return buildCatalogue(offers, this.server.naming(this.offers.naming), this.server.selection);
  }

  /** The upstreams behind it. */
  get members(): readonly Known[] {
    return this.offers.known.filter(({ upstream }) =>
      this.server.selection.takes(upstream.name, upstream.config.hidden),
    );
  }

  get discovery(): Discovery {
    return this.options.discovery;
  }

  get offers(): Offers {
    return this.options.offers;
  }

  modern(exchange: Exchange): Promise<Outcome> {
    const { row } = exchange;
    const { method } = exchange.envelope;
    if (row === undefined || !row.eras.includes('modern')) {
      return Promise.reject(new RpcError(ErrorCode.MethodNotFound, `Method not found: ${method}`));
    }
    if (row.goes === 'one') return this.one(exchange);
    if (row.goes === 'merge') return this.ownList(exchange);
    if (method === 'server/discover') return this.discover(exchange);
    return this.listen(exchange);
  }

  modernNotification(_message: Message): void {}

  resolve(exchange: Exchange): MaybePromise<readonly ChainTarget[]> {
    const named = namedBy(exchange);
    if (named.length === 0) return [];
    return this.located(exchange, named) ?? this.locatedLater(exchange, named);
  }

  /** Undefined when one of them is not known, or not yet. */
  private located({ caller }: Exchange, named: ReturnType<typeof namedBy>): ChainTarget[] | undefined {
    const targets: ChainTarget[] = [];
    for (const { kind, exposed } of named) {
      const found = this.locate(exposed, kind, caller);
      if (found === undefined) return undefined;
      targets.push({ kind, ...found });
    }
    return targets;
  }

  private async locatedLater(
    exchange: Exchange,
    named: ReturnType<typeof namedBy>,
  ): Promise<readonly ChainTarget[]> {
    // What a subscription names and nobody has is left out of it, here as there.
    if (exchange.row?.target === undefined) {
      await this.offers.settled;
      return named.flatMap((each) => this.located(exchange, [each]) ?? []);
    }
    try {
      await this.ownTarget(exchange);
    } catch (thrown) {
      // Plugins decide about it as if it were there: whom they let come so far is told that it is away.
      if (thrown instanceof NeverAnswered && named[0] !== undefined)
        return [{ kind: named[0].kind, ...thrown.located }];
      throw thrown;
    }
    const found = this.located(exchange, named);
    if (found === undefined)
      throw new RpcError(ErrorCode.InvalidParams, 'it is not known any more; ask again');
    return found;
  }

  locate(exposed: string, kind: TargetKind, caller: Caller): Located | undefined {
    const catalogue = this.views.settled(caller) ?? this.catalogue;
    if (kind === 'resource') {
      const found = catalogue.resolveResource(exposed);
      const listed = found.kind === 'found' ? found : catalogue.resolveTemplateOrUri(exposed);
      return listed.kind === 'found' ? this.at(listed.upstreamId, listed.uri) : undefined;
    }
    const found = kind === 'tool' ? catalogue.resolveTool(exposed) : catalogue.resolvePrompt(exposed);
    return found.kind === 'found' ? this.at(found.upstreamId, found.name) : undefined;
  }

  private at(upstreamId: string, name: string): Located | undefined {
    const known = this.offers.byId(upstreamId);
    return known === undefined ? undefined : { upstream: known.upstream.name, name };
  }

  definition({ upstream, name }: ChainTarget, caller: Caller): MaybePromise<JsonObject | undefined> {
    const known = this.member(upstream);
    return known === undefined ? undefined : this.definitions.of(known, name, caller);
  }

  /** A catalogue for some, of which {@link toolsIn} knows what it was made of. */
  shownAs(offers: readonly UpstreamOffer[]): Catalogue {
    const catalogue = this.catalogueOf(offers);
    this.madeOf.set(catalogue, new Map(offers.map(({ upstreamId, tools }) => [upstreamId, tools] as const)));
    return catalogue;
  }

  /** The tools of an upstream of which a catalogue for some was made. */
  toolsIn(catalogue: Catalogue, { upstream }: Known): ToolsByName {
    return toolsByName(this.madeOf.get(catalogue)?.get(upstream.id) ?? []);
  }

  private shownTools(known: Known): ShownTools {
    const toolsIn = (catalogue: Catalogue | undefined) =>
      catalogue === undefined ? undefined : this.toolsIn(catalogue, known);
    const { views } = this;
    return {
      hasOwn: (caller) => mayShowOwn(known, caller),
      settled: (caller) => toolsIn(views.settled(caller)),
      of: async (caller) => toolsIn(await views.of(caller)),
    };
  }

  /** One of the upstreams behind it, by its name. */
  member(upstream: string): Known | undefined {
    const { known } = this.offers;
    if (this.membersByName?.of !== known) {
      const byName = new Map(this.members.map((each) => [each.upstream.name, each] as const));
      this.membersByName = { of: known, byName };
    }
    return this.membersByName?.byName.get(upstream);
  }

  openLegacy(host: LegHost): LegacyBacking {
    return new MergedLegacy(this, host);
  }

  private async ownList(exchange: Exchange): Promise<Outcome> {
    await this.offers.settled;
    return this.list(exchange, await this.views.of(exchange.caller));
  }

  /**
   * The merged list as the client's era has it. Waits for upstreams that were never heard of, up to the deadline.
   *
   * @param own the catalogue as this client sees it, when that is not everybody's.
   */
  async list(exchange: Exchange, own: Catalogue | undefined): Promise<Outcome> {
    await this.offers.settled;
    const catalogue = own ?? this.catalogue;
    const { bytes, envelope, caller, row } = exchange;
    const kind = LISTS[row?.list ?? 'tools'] as CatalogueKind;
    const cursor = stringOf(bytes, envelope.cursor);
    let pages = this.pages.get(catalogue);
    if (pages === undefined) {
      pages = new Map();
      this.pages.set(catalogue, pages);
    }
    const unavailable = this.unavailable();
    const member = row?.list as string;
    if (cursor !== undefined) {
      const page = this.page(catalogue, kind, cursor, caller);
      return answered(exchange, this.rendered(page, kind, member, caller, unavailable));
    }
    // A page that has a follower names it in a cursor that is bound to the principal; one that has none is everybody's.
    const key = JSON.stringify([member, caller.era, unavailable]);
    const ownKey = `${key} ${caller.principal}`;
    let text = pages.get(key) ?? pages.get(ownKey);
    if (text === undefined) {
      const page = this.page(catalogue, kind, undefined, caller);
      text = this.rendered(page, kind, member, caller, unavailable);
      if (pages.size >= MAX_FIRST_PAGE_COUNT) pages.clear();
      pages.set(page.nextCursor === undefined ? key : ownKey, text);
    }
    return answered(exchange, text);
  }

  private page(
    catalogue: Catalogue,
    kind: CatalogueKind,
    cursor: string | undefined,
    caller: Caller,
  ): ListPage {
    const page = listPage(catalogue, kind, cursor, {
      pageSize: this.options.pageSize,
      sealer: this.options.sealer,
      context: `${this.path} ${caller.principal}`,
    });
    if (page !== undefined) return page;
    throw new RpcError(
      ErrorCode.InvalidParams,
      'Invalid cursor: it was not given out for this list; begin again without one',
    );
  }

  /** A page as the result of a client's era. */
  private rendered(
    page: ListPage,
    kind: CatalogueKind,
    member: string,
    { era }: Caller,
    unavailable: readonly string[],
  ): string {
    const entries = era === 'legacy' && kind === 'tools' ? page.entries.map(legacyTool) : page.entries;
    const result: Record<string, unknown> = { [member]: entries };
    if (page.nextCursor !== undefined) result.nextCursor = page.nextCursor;
    const meta: Record<string, unknown> = {};
    if (unavailable.length > 0) meta[UNAVAILABLE_META] = unavailable;
    if (era === 'modern') {
      result.resultType = 'complete';
      result.ttlMs = page.ttlMs;
      result.cacheScope = page.cacheScope;
      meta['io.modelcontextprotocol/serverInfo'] = this.info;
    }
    if (Object.keys(meta).length > 0) result._meta = meta;
    return jsonBinary(result);
  }

  private unavailable(): string[] {
    return this.members.filter(({ state }) => state !== 'ready').map(({ upstream }) => upstream.name);
  }

  private async discover(exchange: Exchange): Promise<Outcome> {
    await this.offers.settled;
    return answered(exchange, discoverResult(this.capabilities(), this.info, this.instructions()));
  }

  capabilities(): Record<string, unknown> {
    const merged = mergedCapabilities(this.members.map(({ upstream }) => upstream.facts));
    for (const list of LISTED_CAPABILITIES) if (!this.server.selection.has(list)) delete merged[list];
    return merged;
  }

  instructions(): string | undefined {
    return this.server.instructions ?? mergedInstructions(this.members.map(({ upstream }) => upstream));
  }

  private listen(exchange: Exchange): Promise<Outcome> {
    return subscribe(exchange, {
      upstreams: this.members.map(({ upstream }) => upstream),
      subscriptionsOf: (upstream) => this.discovery.subscriptionsOf(upstream, exchange.caller),
      resolve: (uri) => {
        const catalogue = this.views.settled(exchange.caller) ?? this.catalogue;
        const found = catalogue.resolveResource(uri);
        if (found.kind !== 'found') return undefined;
        const upstream = this.targets.upstreamById(found.upstreamId);
        return watchable(upstream) ? { exposed: uri, uri: found.uri, upstream } : undefined;
      },
      expose: (upstream, uri) => exposeUri(upstream.name, uri),
      // An upstream that comes later may have what none has now.
      has: () => true,
      onListChanged: (listener) =>
        this.discovery.onListChanged((kind, upstream, audience) => {
          if (this.discovery.concerns(this.offers, upstream) && audience(exchange.caller)) listener(kind);
        }),
    });
  }

  private async one(exchange: Exchange): Promise<Outcome> {
    const target = await this.ownTarget(exchange);
    const outcome = await this.send(exchange, target);
    if (exchange.bodyOnly !== true || outcome.errorCode !== ErrorCode.HeaderMismatch) return outcome;
    // The server has another list of tools by now, by which other arguments go into header fields, and has not run it.
    const { caller } = exchange;
    await Promise.all([this.discovery.renew(target.upstream), this.views.renewed(caller)]);
    const renewed = await this.ownTarget(exchange);
    return renewed.paramLines === target.paramLines ? outcome : this.send(exchange, renewed);
  }

  private async send(exchange: Exchange, target: Target): Promise<Outcome> {
    const { upstream } = target;
    const edits = [...target.edits, ...this.modernEdits(exchange, upstream)];
    const { row } = exchange;
    let headerLines = passedHeaders(exchange);
    if (row?.nameHeader !== undefined) {
      headerLines = `${headerLines.replace(/^mcp-name: .*\r\n/m, '')}mcp-name: ${encodeHeaderValue(target.name)}\r\n`;
    }
    headerLines += target.paramLines;
    const call = { ...relayed(exchange, headerLines), edits };
    return outcomeOf(this.answer(exchange, target, await upstream.call(call, exchange.caller)));
  }

  /** What a client that can be asked has not been shown yet may be there for it all the same. */
  private async ownTarget(exchange: Exchange): Promise<Target> {
    const { caller } = exchange;
    try {
      return await this.targets.find(exchange, this.views.settled(caller) ?? this.catalogue);
    } catch (thrown) {
      const view = await this.views.of(caller);
      if (view === undefined) throw thrown;
      return this.targets.resolve(exchange, view);
    }
  }

  /** The upstream's own `requestState` on the way back, and only the extensions that can be routed. */
  private modernEdits(exchange: Exchange, upstream: Upstream): Edit[] {
    const { bytes, envelope } = exchange;
    const edits: Edit[] = [];
    if (envelope.requestState !== undefined) {
      const token = stringOf(bytes, envelope.requestState);
      const state = openUpstreamState(this.options.sealer, token, this.placeOf(upstream), exchange);
      edits.push(replace(envelope.requestState, jsonBinary(state)));
    }
    const capabilities = envelope.metaCapabilities;
    if (
      capabilities !== undefined &&
      bytes.latin1Slice(capabilities.start, capabilities.end).includes('"extensions"')
    ) {
      const offered = { ...(parsed(bytes, capabilities) as Record<string, unknown>) };
      const extensions = Object.entries((offered.extensions ?? {}) as Record<string, unknown>).filter(
        ([name]) => ROUTABLE_EXTENSIONS.includes(name),
      );
      if (extensions.length > 0) offered.extensions = Object.fromEntries(extensions);
      else delete offered.extensions;
      edits.push(replace(capabilities, jsonBinary(offered)));
    }
    return edits;
  }

  private placeOf(upstream: Upstream): string {
    return `${this.path} ${upstream.id}`;
  }

  /** The upstream's answer in the names of this endpoint; untouched bytes when nothing in it is named. */
  answer(exchange: Exchange, target: Target, reply: UpstreamReply): UpstreamReply {
    return this.withUris(exchange, target, this.withState(exchange, target, reply));
  }

  private withState(exchange: Exchange, target: Target, reply: UpstreamReply): UpstreamReply {
    const { bytes, envelope } = reply;
    const span = exchange.caller.era === 'modern' ? envelope.resultState : undefined;
    const state = stringOf(bytes, span);
    if (span === undefined || state === undefined) return reply;
    const { sealer, stateLifetimeMs } = this.options;
    let sealed: string;
    try {
      sealed = sealUpstreamState(sealer, state, stateLifetimeMs(), this.placeOf(target.upstream), exchange);
    } catch (thrown) {
      if (!(thrown instanceof RangeError)) throw thrown;
      throw new RpcError(
        ErrorCode.UpstreamBadAnswer,
        `upstream ${JSON.stringify(target.upstream.name)} gave a \`requestState\` of ${state.length} characters, which is too long to pass on`,
      );
    }
    return rewritten(bytes, envelope, [replace(span, jsonBinary(sealed))]);
  }

  private withUris(exchange: Exchange, target: Target, reply: UpstreamReply): UpstreamReply {
    const { bytes, envelope } = reply;
    const { method } = exchange.envelope;
    const failed = envelope.result === undefined;
    const span = failed ? envelope.error : envelope.result;
    const place = failed
      ? method === 'resources/read'
        ? 'resources/read error'
        : undefined
      : RESULT_PLACES[method];
    if (span === undefined || place === undefined || target.bareUri || !mentionsUri(bytes)) return reply;
    const value = parsed(bytes, span);
    const mapped = rewriteUris(place, value, (uri) => exposeUri(target.upstream.name, uri));
    return mapped === value ? reply : rewritten(bytes, envelope, [replace(span, jsonBinary(mapped))]);
  }
}

/** A quick look before anything is parsed: most results name no resource. */
function mentionsUri(bytes: Buffer): boolean {
  return bytes.includes('"uri"') || bytes.includes('\\u');
}
