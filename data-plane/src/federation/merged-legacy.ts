/**
 * A legacy client's session at `/mcp`: with upstreams that can, a session of its own, opened when it is first
 * needed, so that asks reach this client; with the others, the shared connection.
 */
import type { Target as ChainTarget, JsonObject, MaybePromise } from '@sluice/sdk';
import type { Caller, Exchange, Outcome } from '../exchange/exchange.js';
import { SparseMap, SparseSet } from '../exchange/sparse-map.js';
import type { HeldBefore, LegacyBacking, LegHost } from '../front/endpoint.js';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import { inWordsOf } from '../protocol/older-content.js';
import { jsonBinary, replace, stringOf } from '../protocol/text.js';
import { type Message, rewritten } from '../protocol/translate.js';
import type { Catalogue } from '../routing/catalogue.js';
import type { UpstreamOffer } from '../routing/offer.js';
import { encodeHeaderValue } from '../routing/param-headers.js';
import { exposeUri } from '../routing/uris.js';
import type { HeldAtUpstream } from '../sessions/store.js';
import { BecameLegacy, EraMismatch, type UpstreamReply } from '../upstream/call.js';
import { type ListKind, OFFER_KINDS, readList } from '../upstream/offers.js';
import { ownCall } from '../upstream/own-request.js';
import type { Upstream } from '../upstream/upstream.js';
import { ClientAsks } from './client-asks.js';
import { notTold } from './definitions.js';
import { type Known, ROUND_PAUSE_MS, upstreamRemoved } from './discovery.js';
import { initializeResult } from './facts.js';
import { HeldHere } from './held-here.js';
import type { MergedEndpoint } from './merged.js';
import { listChanged, OwnLeg, sessionEnded, tellListsChanged } from './own-leg.js';
import { answered, outcomeOf, relayed, watchable } from './relay.js';
import type { Target } from './targets.js';
import { readLogLevel, WatchedResources } from './watched-resources.js';

export class MergedLegacy implements LegacyBacking {
  private readonly legs = new SparseMap<Upstream, Promise<OwnLeg | undefined>>();
  private readonly opened = new SparseMap<Upstream, OwnLeg>();
  /** Legs whose handshake is being made. */
  private readonly opening = new SparseSet<OwnLeg>();
  /** Legs to upstreams that are gone from the configuration, until their requests have ended. */
  private readonly leaving = new SparseSet<OwnLeg>();
  private readonly watched: WatchedResources;
  private readonly asks: ClientAsks;
  private readonly held: HeldHere;
  /** Resources that the client watches under a URI that is not the exposed one. */
  private readonly watchedAs = new SparseMap<string, string>();
  private offChanged: (() => void) | undefined;
  private logLevel: string | undefined;
  private hello = '{}';
  /** What the session held at upstreams when another worker had it, until it is taken up again. */
  private before: Record<string, HeldAtUpstream> = {};
  private listens = false;
  private closed = false;
  /** What this client sees, when its own capabilities may make upstreams offer more; built when first asked for. */
  private view: Promise<Catalogue> | undefined;
  private viewBegunAt = 0;
  /** A view that has been built. */
  private seen: { readonly of: Promise<Catalogue>; readonly catalogue: Catalogue } | undefined;
  private hasCapabilities = false;

  constructor(
    private readonly endpoint: MergedEndpoint,
    private readonly host: LegHost,
  ) {
    this.watched = new WatchedResources(host, (upstream, uri) => exposeUri(upstream.name, uri));
    this.asks = new ClientAsks(host);
    this.held = new HeldHere(host);
  }

  async initialize(params: string, revision: string, before?: HeldBefore): Promise<string> {
    const { discovery, offers } = this.endpoint;
    this.before = { ...before };
    const asked = JSON.parse(Buffer.from(params, 'latin1').toString()) as Record<string, unknown>;
    this.hello = jsonBinary({ ...asked, protocolVersion: revision });
    this.hasCapabilities = Object.keys(asked.capabilities as object).length > 0;
    await offers.settled;
    if (this.closed) throw sessionEnded();
    const offChanged = discovery.onListChanged((kind, upstream, audience) => {
      if (discovery.concerns(offers, upstream) && audience(this.host.caller)) this.changed(kind);
    });
    const offRemoved = discovery.onRemoved((upstream) => this.drop(upstream));
    this.offChanged = () => {
      offChanged();
      offRemoved();
    };
    void this.held.restore(before, (exchange) => this.request(exchange));
    return initializeResult(
      revision,
      this.endpoint.capabilities(),
      this.endpoint.info,
      this.endpoint.instructions(),
    );
  }

  async request(exchange: Exchange): Promise<Outcome> {
    const { row } = exchange;
    const { method } = exchange.envelope;
    if (method === 'ping') return answered(exchange, '{}');
    if (method === 'logging/setLevel') return this.setLevel(exchange);
    if (row === undefined || !row.eras.includes('legacy')) {
      throw new RpcError(ErrorCode.MethodNotFound, `Method not found: ${method}`);
    }
    const view = await this.ownView();
    if (row.goes === 'merge') return this.endpoint.list(exchange, view);
    const target = await this.endpoint.targets.find(exchange, view ?? this.endpoint.catalogue);
    const leg = await this.leg(target.upstream);
    try {
      const outcome = await this.send(exchange, target, leg);
      return outcome.errorCode === ErrorCode.HeaderMismatch
        ? this.sendRenewed(exchange, target, leg, outcome)
        : outcome;
    } catch (thrown) {
      if (thrown instanceof BecameLegacy) {
        this.view = undefined;
        return this.send(exchange, target, await this.leg(target.upstream));
      }
      if (leg === undefined || !(thrown instanceof EraMismatch)) throw thrown;
      // The upstream has come to speak the other era: this client goes on by translation.
      this.drop(target.upstream);
      this.legs.set(target.upstream, Promise.resolve(undefined));
      this.view = undefined;
      return this.send(exchange, target, undefined);
    }
  }

  /** Once more, when the server has another list of tools by now, by which other arguments go into header fields. */
  private async sendRenewed(
    exchange: Exchange,
    target: Target,
    leg: OwnLeg | undefined,
    refused: Outcome,
  ): Promise<Outcome> {
    const { discovery } = this.endpoint;
    await discovery.renew(target.upstream);
    if (Date.now() - this.viewBegunAt > ROUND_PAUSE_MS) this.view = undefined;
    const renewed = await this.endpoint.targets.find(
      exchange,
      (await this.ownView()) ?? this.endpoint.catalogue,
    );
    return renewed.paramLines === target.paramLines ? refused : this.send(exchange, renewed, leg);
  }

  private async send(exchange: Exchange, target: Target, leg: OwnLeg | undefined): Promise<Outcome> {
    const { method } = exchange.envelope;
    if (method === 'resources/subscribe' || method === 'resources/unsubscribe')
      return this.subscription(exchange, target, leg);
    let reply: UpstreamReply;
    if (leg !== undefined) reply = await leg.request(exchange, target.edits);
    else {
      const name =
        exchange.row?.nameHeader === undefined ? '' : `mcp-name: ${encodeHeaderValue(target.name)}\r\n`;
      reply = await target.upstream.call(
        { ...relayed(exchange, name + target.paramLines), edits: target.edits, asks: this.asks },
        { ...exchange.caller, logLevel: this.logLevel },
      );
    }
    const answer = this.endpoint.answer(exchange, target, reply);
    return outcomeOf(inWordsOf(exchange.caller.revision, method, answer));
  }

  definition(target: ChainTarget, caller: Caller): MaybePromise<JsonObject | undefined> {
    const known = this.endpoint.member(target.upstream);
    if (!this.hasCapabilities || known === undefined) return this.endpoint.definition(target, caller);
    const { seen, endpoint } = this;
    if (seen !== undefined && seen.of === this.view && endpoint.discovery.isUpToDate(known))
      return endpoint.toolsIn(seen.catalogue, known).get(target.name);
    return this.definitionLater(target, known);
  }

  private async definitionLater({ name }: ChainTarget, known: Known): Promise<JsonObject | undefined> {
    try {
      await this.endpoint.discovery.upToDate(known);
      const catalogue = await this.ownView();
      return catalogue === undefined ? undefined : this.endpoint.toolsIn(catalogue, known).get(name);
    } catch (thrown) {
      throw notTold(known.upstream.name, thrown);
    }
  }

  notification(message: Message): void {
    // The legs made their own handshake; everything else (roots, progress) is for each of them.
    if (message.envelope.method === 'notifications/initialized') return;
    for (const leg of this.opened.values()) leg.notification(message);
  }

  response(message: Message): void {
    if (this.asks.response(message)) return;
    for (const leg of [...this.opened.values(), ...this.leaving]) if (leg.response(message)) return;
  }

  listen(): void {
    this.listens = true;
    for (const leg of this.opened.values()) leg.session.listen();
    // A session that was revived hears again what it heard before.
    for (const { upstream } of this.endpoint.members)
      if (this.before[upstream.id] !== undefined) this.leg(upstream).catch(() => undefined);
  }

  resync(): void {
    tellListsChanged(this.host, this.endpoint.capabilities());
  }

  close(): void {
    this.closed = true;
    this.asks.close();
    this.offChanged?.();
    this.watched.close();
    for (const leg of [...this.opened.values(), ...this.opening, ...this.leaving]) leg.close();
    this.opened.clear();
    this.legs.clear();
  }

  /** This client's own session with an upstream; undefined where only the shared connection serves. */
  private async leg(upstream: Upstream): Promise<OwnLeg | undefined> {
    const opened = this.legOrNone(upstream);
    const leg = await opened;
    if (leg !== undefined || upstream.era !== 'legacy' || !upstream.traits.canHaveOwnSessions) return leg;
    // The upstream was modern when this was found out, and is not any more.
    if (this.legs.get(upstream) === opened) this.legs.delete(upstream);
    return this.legOrNone(upstream);
  }

  private legOrNone(upstream: Upstream): Promise<OwnLeg | undefined> {
    let leg = this.legs.get(upstream);
    if (leg === undefined) {
      leg = this.openLeg(upstream);
      this.legs.set(upstream, leg);
      leg.catch(() => this.legs.delete(upstream));
    }
    return leg;
  }

  private async openLeg(upstream: Upstream): Promise<OwnLeg | undefined> {
    if (!(await upstream.offersOwnSessions())) return undefined;
    if (this.closed) throw sessionEnded();
    const leg = new OwnLeg({
      upstream,
      hello: this.hello,
      host: this.host,
      askPrefix: `${upstream.name}/`,
      ownerSaysInitialized: false,
      before: this.before[upstream.id],
      toClient: (message) => this.mapped(upstream, message),
    });
    delete this.before[upstream.id];
    this.opening.add(leg);
    try {
      await leg.open();
    } catch (thrown) {
      leg.close();
      if (!(await upstream.refusesInitialize(thrown))) throw thrown;
      return undefined;
    } finally {
      this.opening.delete(leg);
    }
    if (this.closed) {
      leg.close();
      throw sessionEnded();
    }
    // Who has gone from the configuration meanwhile is not opened: nobody would close it.
    if (!this.endpoint.discovery.knows(upstream)) {
      leg.close();
      throw upstreamRemoved(upstream);
    }
    this.opened.set(upstream, leg);
    if (this.listens) leg.session.listen();
    if (this.logLevel !== undefined) this.tellLevel(leg, this.logLevel);
    // What the client watches by translation it watches here from now on.
    for (const { exposed, uri } of this.watched.handOver(
      this.endpoint.discovery.of(upstream).subscriptions,
    )) {
      leg.tell('resources/subscribe', { uri });
      this.watchedAs.set(`${upstream.id} ${uri}`, exposed);
    }
    return leg;
  }

  private mapped(upstream: Upstream, message: Message): Message | undefined {
    const { bytes, envelope } = message;
    if (envelope.method.endsWith('/list_changed') && envelope.kind === 'notification') {
      this.view = undefined;
      return message;
    }
    if (envelope.method !== 'notifications/resources/updated' || envelope.uri === undefined) return message;
    const uri = stringOf(bytes, envelope.uri) ?? '';
    const exposed = this.watchedAs.get(`${upstream.id} ${uri}`) ?? exposeUri(upstream.name, uri);
    return rewritten(bytes, envelope, [replace(envelope.uri, jsonBinary(exposed))]);
  }

  private drop(upstream: Upstream): void {
    this.legs.delete(upstream);
    const leg = this.opened.get(upstream);
    if (leg === undefined) return;
    this.opened.delete(upstream);
    // Requests under way end as they began.
    this.leaving.add(leg);
    void leg.retire().then(() => this.leaving.delete(leg));
  }

  private changed(kind: ListKind): void {
    this.view = undefined;
    this.host.toClient(listChanged(kind), undefined);
  }

  private async setLevel(exchange: Exchange): Promise<Outcome> {
    this.logLevel = readLogLevel(exchange);
    this.held.logLevel(this.logLevel);
    for (const leg of this.opened.values()) this.tellLevel(leg, this.logLevel);
    return answered(exchange, '{}');
  }

  private tellLevel(leg: OwnLeg, level: string): void {
    if (leg.session.result?.capabilities.logging === undefined) return;
    leg.tell('logging/setLevel', { level });
  }

  private async subscription(exchange: Exchange, target: Target, leg: OwnLeg | undefined): Promise<Outcome> {
    const { upstream, name: uri } = target;
    const asked = stringOf(exchange.bytes, exchange.envelope.uri) as string;
    const adds = exchange.envelope.method === 'resources/subscribe';
    if (leg !== undefined) {
      const reply = await leg.request(exchange, target.edits);
      if (!adds) this.watchedAs.delete(`${upstream.id} ${uri}`);
      else if (reply.envelope.error === undefined) this.watchedAs.set(`${upstream.id} ${uri}`, asked);
      return outcomeOf(reply);
    }
    if (!watchable(upstream))
      throw new RpcError(
        ErrorCode.MethodNotFound,
        `upstream ${JSON.stringify(upstream.name)} does not tell of changed resources`,
      );
    if (adds) {
      await this.watched.add(asked, uri, upstream, this.endpoint.discovery.of(upstream).subscriptions);
      this.held.watches(asked);
    } else {
      this.watched.remove(asked);
      this.held.watchesNoMore(asked);
    }
    return answered(exchange, '{}');
  }

  /**
   * The catalogue as this client sees it. Upstreams may offer more to a client with capabilities, so they are asked
   * over the client's own sessions, in parallel and each within the deadline; who is late counts as offering what
   * everybody is offered.
   */
  private ownView(): Promise<Catalogue | undefined> {
    if (!this.hasCapabilities) return Promise.resolve(undefined);
    if (this.view === undefined) {
      const view = this.buildView();
      this.viewBegunAt = Date.now();
      this.view = view;
      view.then(
        (catalogue) => {
          this.seen = { of: view, catalogue };
        },
        () => {
          if (this.view === view) this.view = undefined;
        },
      );
    }
    return this.view;
  }

  private async buildView(): Promise<Catalogue> {
    const { discovery, offers: shared } = this.endpoint;
    await shared.settled;
    const offers = await Promise.all(
      this.endpoint.members.map(async ({ upstream, offer, state }) => {
        if (state !== 'ready') return offer;
        const late = new Promise<undefined>((resolve) =>
          setTimeout(() => resolve(undefined), discovery.deadlineMs).unref(),
        );
        const own = this.ownOffer(upstream, offer).catch(() => undefined);
        return (await Promise.race([own, late])) ?? offer;
      }),
    );
    return this.endpoint.shownAs(offers);
  }

  private async ownOffer(upstream: Upstream, shared: UpstreamOffer): Promise<UpstreamOffer | undefined> {
    const leg = await this.leg(upstream);
    // A modern upstream may show more to a client that can be asked, too, and is told on each request who it is.
    if (leg === undefined && upstream.era !== 'modern') return undefined;
    const { caller } = this.host;
    const ask = (method: string, params: Record<string, unknown>) => {
      const call = ownCall(method, params, false);
      return leg === undefined
        ? upstream.call({ ...call, asks: this.asks }, caller)
        : leg.request({ ...call, caller, headers: {}, notify() {} }, []);
    };
    const capabilities = (leg?.session.result ?? upstream.facts)?.capabilities ?? {};
    const [tools, prompts, resources, templates] = await Promise.all(
      OFFER_KINDS.map((kind) => readList(kind, capabilities, ask)),
    );
    return {
      ...shared,
      tools: tools?.entries ?? [],
      prompts: prompts?.entries ?? [],
      resources: resources?.entries ?? [],
      templates: templates?.entries ?? [],
    };
  }
}
