/** A legacy client's session at `/mcp/{upstream}`: a session of its own there where that is possible, else shared. */
import type { JsonObject, Target } from '@sluice/sdk';
import type { RoutedEndpoint } from '../chain/routed-endpoint.js';
import type { Caller, Exchange, Outcome } from '../exchange/exchange.js';
import type { HeldBefore, LegacyBacking, LegHost } from '../front/endpoint.js';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import { inWordsOf } from '../protocol/older-content.js';
import { jsonBinary, stringOf } from '../protocol/text.js';
import type { Message } from '../protocol/translate.js';
import { isTaskMethod } from '../protocol/untranslatable.js';
import { BecameLegacy, EraMismatch } from '../upstream/call.js';
import type { ListKind } from '../upstream/offers.js';
import type { Upstream } from '../upstream/upstream.js';
import { ClientAsks } from './client-asks.js';
import { LegTools } from './definitions.js';
import type { Discovery } from './discovery.js';
import { initializeResult, routableCapabilities } from './facts.js';
import { HeldHere } from './held-here.js';
import type { LegacyTasks } from './legacy-tasks.js';
import type { MirroredHeaders } from './mirrored-headers.js';
import { hasListChanged, listChanged, OwnLeg, sessionEnded, tellListsChanged } from './own-leg.js';
import { answered, outcomeOf, relayed, watchable } from './relay.js';
import { readLogLevel, WatchedResources } from './watched-resources.js';

export class DirectLegacy implements LegacyBacking {
  private leg: OwnLeg | undefined;
  /** The leg from before its handshake on. */
  private opening: OwnLeg | undefined;
  /** A leg that is opened in the middle of the session. */
  private reopening: Promise<OwnLeg> | undefined;
  /** `params` of the client's `initialize` (binary text), and the revision that was agreed on. */
  private hello = '{}';
  private revision = '';
  private listens = false;
  private closed = false;
  private readonly watched: WatchedResources;
  private readonly held: HeldHere;
  private offChanged: (() => void) | undefined;
  private logLevel: string | undefined;
  private legTools: LegTools | undefined;
  private readonly asks: ClientAsks;

  constructor(
    private readonly upstream: Upstream,
    private readonly host: LegHost,
    private readonly discovery: Discovery,
    private readonly mirrored: MirroredHeaders,
    private readonly tasks: LegacyTasks,
    private readonly endpoint: Pick<RoutedEndpoint, 'definition'>,
  ) {
    this.watched = new WatchedResources(host, (_, uri) => uri);
    this.held = new HeldHere(host);
    this.asks = new ClientAsks(host);
  }

  async initialize(params: string, revision: string, before?: HeldBefore): Promise<string> {
    const { upstream } = this;
    this.hello = params;
    this.revision = revision;
    if (await upstream.offersOwnSessions()) {
      if (this.closed) throw sessionEnded();
      const leg = new OwnLeg({
        upstream,
        hello: params,
        host: this.host,
        askPrefix: undefined,
        ownerSaysInitialized: before === undefined,
        before: before === undefined ? undefined : (before[upstream.id] ?? {}),
        toClient: (message) => message,
      });
      this.opening = leg;
      try {
        const result = await leg.open();
        this.leg = leg;
        this.hear();
        return result;
      } catch (thrown) {
        leg.close();
        if (!(await upstream.refusesInitialize(thrown))) throw thrown;
      }
    }
    const facts = await upstream.open();
    if (this.closed) throw sessionEnded();
    this.hear();
    void this.held.restore(before, (exchange) => this.request(exchange));
    return initializeResult(
      revision,
      routableCapabilities(facts.capabilities),
      facts.serverInfo,
      facts.instructions,
    );
  }

  async definition(target: Target, caller: Caller): Promise<JsonObject | undefined> {
    const { leg, upstream, discovery } = this;
    if (leg === undefined || target.upstream !== upstream.name || !discovery.knows(upstream))
      return this.endpoint.definition(target, caller);
    if (this.legTools?.leg !== leg) this.legTools = new LegTools(leg, discovery.of(upstream), discovery);
    return (await this.legTools.tools(caller)).get(target.name);
  }

  async request(exchange: Exchange): Promise<Outcome> {
    const leg = this.leg ?? (await this.openLeg());
    if (leg !== undefined) {
      try {
        return await this.overLeg(leg, exchange);
      } catch (thrown) {
        if (!(thrown instanceof EraMismatch)) throw thrown;
        // The upstream has come to speak the other era: this client goes on by translation.
        leg.close();
        // Over the connection that is shared with others from now on.
        if (this.leg === leg) this.leg = undefined;
      }
    }
    try {
      return await this.translated(exchange);
    } catch (thrown) {
      const own = thrown instanceof BecameLegacy ? await this.openLeg() : undefined;
      if (own === undefined) throw thrown;
      return this.overLeg(own, exchange);
    }
  }

  private async overLeg(leg: OwnLeg, exchange: Exchange): Promise<Outcome> {
    const reply = await leg.request(exchange, []);
    this.tasks.note(exchange, reply);
    return outcomeOf(reply);
  }

  /** A session of the client's own, when the upstream has come to speak the legacy era since the last one was tried. */
  private async openLeg(): Promise<OwnLeg | undefined> {
    const { upstream } = this;
    if (upstream.era !== 'legacy' || !(await upstream.offersOwnSessions())) return undefined;
    this.reopening ??= this.reopen().finally(() => {
      this.reopening = undefined;
    });
    return this.reopening;
  }

  private async reopen(): Promise<OwnLeg> {
    const { upstream, discovery } = this;
    if (this.closed) throw sessionEnded();
    const asked = JSON.parse(Buffer.from(this.hello, 'latin1').toString()) as object;
    const leg = new OwnLeg({
      upstream,
      hello: jsonBinary({ ...asked, protocolVersion: this.revision }),
      host: this.host,
      askPrefix: undefined,
      ownerSaysInitialized: false,
      toClient: (message) => message,
    });
    this.opening = leg;
    try {
      await leg.open();
      if (this.closed) throw sessionEnded();
    } catch (thrown) {
      leg.close();
      throw thrown;
    }
    this.leg = leg;
    // What the client said before goes for this session too.
    if (this.listens) leg.session.listen();
    if (this.logLevel !== undefined && leg.session.result?.capabilities.logging !== undefined)
      leg.tell('logging/setLevel', { level: this.logLevel });
    for (const { uri } of this.watched.handOver(discovery.of(upstream).subscriptions))
      leg.tell('resources/subscribe', { uri });
    leg.resync();
    return leg;
  }

  /** Over the connection that is shared with others, in whatever era the upstream speaks. */
  private async translated(exchange: Exchange): Promise<Outcome> {
    const { upstream, discovery } = this;
    const { bytes, envelope, row } = exchange;
    switch (envelope.method) {
      case 'ping':
        return answered(exchange, '{}');
      case 'logging/setLevel':
        this.logLevel = readLogLevel(exchange);
        this.held.logLevel(this.logLevel);
        return answered(exchange, '{}');
      case 'resources/subscribe':
      case 'resources/unsubscribe': {
        const uri = stringOf(bytes, envelope.uri);
        if (uri === undefined)
          throw new RpcError(ErrorCode.InvalidParams, '`params.uri` is missing or not a string');
        if (!watchable(upstream))
          throw new RpcError(
            ErrorCode.MethodNotFound,
            `upstream ${JSON.stringify(upstream.name)} does not tell of changed resources`,
          );
        if (envelope.method === 'resources/subscribe') {
          await this.watched.add(uri, uri, upstream, discovery.of(upstream).subscriptions);
          this.held.watches(uri);
        } else {
          this.watched.remove(uri);
          this.held.watchesNoMore(uri);
        }
        return answered(exchange, '{}');
      }
      default:
    }
    if (row !== undefined && !row.eras.includes('legacy')) {
      throw new RpcError(
        ErrorCode.MethodNotFound,
        `Method not found: ${envelope.method} is not a method of ${exchange.caller.revision}`,
      );
    }
    // Whose tasks they are nobody knows who has them all on one connection; the session was promised none.
    if (upstream.era === 'legacy' && !upstream.traits.canHaveOwnSessions && isTaskMethod(envelope.method)) {
      throw new RpcError(
        ErrorCode.MethodNotFound,
        `Method not found: ${envelope.method} needs a session of one's own with upstream ${JSON.stringify(upstream.name)}, whose connection all clients share`,
      );
    }
    const caller = { ...exchange.caller, logLevel: this.logLevel };
    const seenAs = { ...caller, capabilities: this.asks.capabilities() };
    const reply = await this.mirrored.send(exchange, seenAs, (lines) =>
      upstream.call({ ...relayed(exchange, lines), asks: this.asks }, caller),
    );
    return outcomeOf(inWordsOf(exchange.caller.revision, envelope.method, reply));
  }

  private hear(): void {
    const { host, upstream } = this;
    this.offChanged = this.discovery.onListChanged((kind, changed, audience) => {
      // With a session of its own it hears there what the server changes.
      const hears =
        changed === undefined ? this.expects(kind) : changed === upstream && this.leg === undefined;
      if (hears && audience(host.caller)) host.toClient(listChanged(kind), undefined);
    });
  }

  /** Whether the client was told to expect changes of a list. */
  private expects(kind: ListKind): boolean {
    const { leg, upstream } = this;
    return hasListChanged(
      leg === undefined
        ? routableCapabilities(upstream.facts?.capabilities ?? {})
        : (leg.session.result?.capabilities ?? {}),
      kind,
    );
  }

  notification(message: Message): void {
    this.leg?.notification(message);
  }

  response(message: Message): void {
    if (this.leg === undefined) this.asks.response(message);
    else this.leg.response(message);
  }

  listen(): void {
    this.listens = true;
    this.leg?.session.listen();
  }

  resync(): void {
    if (this.leg !== undefined) this.leg.resync();
    else tellListsChanged(this.host, routableCapabilities(this.upstream.facts?.capabilities ?? {}));
  }

  close(): void {
    this.closed = true;
    this.opening?.close();
    this.asks.close();
    this.offChanged?.();
    this.watched.close();
  }
}
