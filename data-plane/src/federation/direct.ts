/** `/mcp/{upstream}`: one upstream, relayed transparently, names untouched. */
import type { Exchange, Outcome } from '../exchange/exchange.js';
import type { Endpoint, HeldBefore, LegacyBacking, LegHost } from '../front/endpoint.js';
import { ErrorCode, RpcError, resultMessage } from '../protocol/errors.js';
import { inWordsOf } from '../protocol/older-content.js';
import { SUPPORTED_REVISIONS } from '../protocol/revisions.js';
import type { Span } from '../protocol/scan.js';
import { binaryToBytes, jsonBinary, parsed, replace, stringOf } from '../protocol/text.js';
import { type Message, rewritten } from '../protocol/translate.js';
import type { JsonObject } from '../routing/json-object.js';
import { encodeHeaderValue, paramHeaderLines, paramHeadersOf } from '../routing/param-headers.js';
import { BecameLegacy, EraMismatch, type UpstreamCall, type UpstreamReply } from '../upstream/call.js';
import type { Upstream } from '../upstream/upstream.js';
import { ClientAsks } from './client-asks.js';
import type { Discovery, Known } from './discovery.js';
import { discoverResult, initializeResult, routableCapabilities } from './facts.js';
import { HeldHere } from './held-here.js';
import { listChanged, OwnLeg, sessionEnded, tellListsChanged } from './own-leg.js';
import { subscribe } from './subscription.js';
import { readLogLevel, WatchedResources } from './watched-resources.js';

/** Header fields of a modern client that go on to a modern upstream, beside `Mcp-Param-*`. */
const PASSED_HEADERS = ['mcp-name', 'traceparent', 'tracestate', 'baggage'];

export class DirectEndpoint implements Endpoint {
  readonly path: string;
  readonly label: string;

  constructor(
    readonly upstream: Upstream,
    private readonly discovery: Discovery,
  ) {
    this.path = `/mcp/${upstream.name}`;
    this.label = upstream.name;
  }

  get known(): Known {
    return this.discovery.of(this.upstream);
  }

  async modern(exchange: Exchange): Promise<Outcome> {
    const { upstream } = this;
    if (upstream.era === undefined) await upstream.open();
    if (upstream.era === 'legacy') {
      const { method } = exchange.envelope;
      if (method === 'server/discover') return this.discover(exchange);
      if (method === 'subscriptions/listen') return this.listen(exchange);
      if (exchange.row !== undefined && !exchange.row.eras.includes('modern')) {
        throw new RpcError(
          ErrorCode.MethodNotFound,
          `Method not found: ${method} is not a method of ${exchange.caller.revision}`,
        );
      }
    }
    const passed = passedHeaders(exchange.headers);
    const reply =
      exchange.bodyOnly === true
        ? await this.repeating(exchange, (lines) =>
            upstream.call(relayed(exchange, passed + lines), exchange.caller),
          )
        : await upstream.call(relayed(exchange, passed), exchange.caller);
    return outcomeOf(exchange.envelope.method === 'server/discover' ? withAllRevisions(reply) : reply);
  }

  modernNotification(_message: Message): void {
    // No notification of the core protocol goes from client to server over HTTP in this era.
  }

  openLegacy(host: LegHost): LegacyBacking {
    return new DirectLegacy(this, host, this.discovery);
  }

  /**
   * Sends a request with what HTTP repeats of its body in header fields. What that is stands in the list of tools; a
   * server that takes it for wrong has another list by now, and has not run the request (2026-07-28, streamable HTTP,
   * "Client Behavior").
   */
  async repeating(
    exchange: Exchange,
    send: (headerLines: string) => Promise<UpstreamReply>,
  ): Promise<UpstreamReply> {
    const lines = await this.repeatedLines(exchange);
    const reply = await send(lines);
    if (reply.envelope.errorCode !== ErrorCode.HeaderMismatch) return reply;
    await this.discovery.renew(this.upstream);
    const renewed = await this.repeatedLines(exchange);
    return renewed === lines ? reply : send(renewed);
  }

  /** What HTTP repeats of the body in header fields, for a client that sent none. */
  private async repeatedLines(exchange: Exchange): Promise<string> {
    const { upstream, known } = this;
    const { bytes, envelope } = exchange;
    const name = envelope.method === 'tools/call' ? stringOf(bytes, envelope.name) : undefined;
    // What of a call is repeated is said in the list of tools; a call may come before it.
    if (name !== undefined && known.state === 'starting')
      await Promise.race([known.round, this.discovery.settled]);
    const tool = known.offer.tools.find((each) => (each as { name?: unknown }).name === name) as
      | JsonObject
      | undefined;
    return (
      nameHeader(exchange) +
      (name === undefined || tool === undefined ? '' : paramLines(upstream, exchange, tool))
    );
  }

  private async discover({ bytes, envelope }: Exchange): Promise<Outcome> {
    const facts = await this.upstream.open();
    const id = envelope.id as Span;
    const result = discoverResult(
      routableCapabilities(facts.capabilities),
      facts.serverInfo,
      facts.instructions,
    );
    return { bytes: binaryToBytes(resultMessage(bytes.latin1Slice(id.start, id.end), result)), errorCode: 0 };
  }

  private listen(exchange: Exchange): Promise<Outcome> {
    const { upstream, known, discovery } = this;
    return subscribe(exchange, {
      upstreams: [known],
      resolve: (uri) => (watchable(upstream) ? { exposed: uri, uri, upstream } : undefined),
      expose: (_, uri) => uri,
      has: (kind) => upstream.facts?.capabilities[kind] !== undefined,
      onListChanged: (listener) =>
        discovery.onListChanged((kind, changed) => {
          if (changed === upstream) listener(kind);
        }),
    });
  }
}

/** What this URL speaks is what the gateway speaks: the same list as in its errors. */
function withAllRevisions(reply: UpstreamReply): UpstreamReply {
  const { bytes, envelope } = reply;
  if (envelope.result === undefined) return reply;
  const result = { ...(parsed(bytes, envelope.result) as object), supportedVersions: SUPPORTED_REVISIONS };
  return rewritten(bytes, envelope, [replace(envelope.result, jsonBinary(result))]);
}

/** True when the upstream tells of changed resources. */
export function watchable(upstream: Upstream): boolean {
  const { resources } = (upstream.facts?.capabilities ?? {}) as { resources?: { subscribe?: unknown } };
  return resources?.subscribe === true;
}

/** The exchange as a call that goes to an upstream as it came. */
export function relayed(exchange: Exchange, headerLines: string): UpstreamCall {
  return {
    method: exchange.envelope.method,
    row: exchange.row,
    bytes: exchange.bytes,
    envelope: exchange.envelope,
    edits: [],
    headerLines,
    cancellation: exchange.cancellation,
    onNotification: (bytes) => exchange.notify(bytes),
  };
}

export function outcomeOf(reply: UpstreamReply): Outcome {
  const { bytes, envelope } = reply;
  const whole = envelope.start === 0 && envelope.end === bytes.length;
  return {
    bytes: whole ? bytes : bytes.subarray(envelope.start, envelope.end),
    errorCode: envelope.error === undefined ? 0 : envelope.errorCode || ErrorCode.InternalError,
  };
}

export function passedHeaders(headers: Exchange['headers']): string {
  let lines = '';
  for (const name of PASSED_HEADERS) {
    const value = headers[name];
    if (value !== undefined) lines += `${name}: ${value}\r\n`;
  }
  for (const name in headers) if (name.startsWith('mcp-param-')) lines += `${name}: ${headers[name]}\r\n`;
  return lines;
}

/** A legacy client's session at one upstream: a session of its own there where that is possible, else shared. */
class DirectLegacy implements LegacyBacking {
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
  private readonly asks: ClientAsks;

  constructor(
    private readonly endpoint: DirectEndpoint,
    private readonly host: LegHost,
    private readonly discovery: Discovery,
  ) {
    this.watched = new WatchedResources(host, (_, uri) => uri);
    this.held = new HeldHere(host);
    this.asks = new ClientAsks(host);
  }

  async initialize(params: string, revision: string, before?: HeldBefore): Promise<string> {
    const { upstream } = this.endpoint;
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
        return result;
      } catch (thrown) {
        leg.close();
        if (!(await upstream.refusesInitialize(thrown))) throw thrown;
      }
    }
    const facts = await upstream.open();
    if (this.closed) throw sessionEnded();
    this.share();
    void this.held.restore(before, (exchange) => this.request(exchange));
    return initializeResult(
      revision,
      routableCapabilities(facts.capabilities),
      facts.serverInfo,
      facts.instructions,
    );
  }

  async request(exchange: Exchange): Promise<Outcome> {
    const leg = this.leg ?? (await this.openLeg());
    if (leg !== undefined) {
      try {
        return outcomeOf(await leg.request(exchange, []));
      } catch (thrown) {
        if (!(thrown instanceof EraMismatch)) throw thrown;
        // The upstream has come to speak the other era: this client goes on by translation.
        leg.close();
        if (this.leg === leg && !this.closed) this.share();
      }
    }
    try {
      return await this.translated(exchange);
    } catch (thrown) {
      const own = thrown instanceof BecameLegacy ? await this.openLeg() : undefined;
      if (own === undefined) throw thrown;
      return outcomeOf(await own.request(exchange, []));
    }
  }

  /** A session of the client's own, when the upstream has come to speak the legacy era since the last one was tried. */
  private async openLeg(): Promise<OwnLeg | undefined> {
    const { upstream } = this.endpoint;
    if (upstream.era !== 'legacy' || !(await upstream.offersOwnSessions())) return undefined;
    this.reopening ??= this.reopen().finally(() => {
      this.reopening = undefined;
    });
    return this.reopening;
  }

  private async reopen(): Promise<OwnLeg> {
    const { upstream, known } = this.endpoint;
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
    this.offChanged?.();
    this.offChanged = undefined;
    // What the client said before goes for this session too.
    if (this.listens) leg.session.listen();
    if (this.logLevel !== undefined && leg.session.result?.capabilities.logging !== undefined)
      leg.tell('logging/setLevel', { level: this.logLevel });
    for (const { uri } of this.watched.handOver(known.subscriptions))
      leg.tell('resources/subscribe', { uri });
    leg.resync();
    return leg;
  }

  /** Over the connection that is shared with others, in whatever era the upstream speaks. */
  private async translated(exchange: Exchange): Promise<Outcome> {
    const { upstream, known } = this.endpoint;
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
          await this.watched.add(uri, uri, upstream, known.subscriptions);
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
    const caller = { ...exchange.caller, logLevel: this.logLevel };
    const reply = await this.endpoint.repeating(exchange, (lines) =>
      upstream.call({ ...relayed(exchange, lines), asks: this.asks }, caller),
    );
    return outcomeOf(inWordsOf(exchange.caller.revision, envelope.method, reply));
  }

  /** Over the connection that is shared with others. */
  private share(): void {
    const { upstream } = this.endpoint;
    this.leg = undefined;
    this.offChanged?.();
    this.offChanged = this.discovery.onListChanged((kind, changed) => {
      if (changed === upstream) this.host.toClient(listChanged(kind), undefined);
    });
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
    else tellListsChanged(this.host, routableCapabilities(this.endpoint.upstream.facts?.capabilities ?? {}));
  }

  close(): void {
    this.closed = true;
    this.opening?.close();
    this.asks.close();
    this.offChanged?.();
    this.watched.close();
  }
}

/** An outcome made here; `result` is JSON as binary text. */
export function answered({ bytes, envelope }: Exchange, result: string): Outcome {
  const id = envelope.id as Span;
  return { bytes: binaryToBytes(resultMessage(bytes.latin1Slice(id.start, id.end), result)), errorCode: 0 };
}

/** `Mcp-Name` for a request of a client that did not send one. */
export function nameHeader({ row, bytes, envelope }: Exchange): string {
  const field = row?.nameHeader;
  if (field === undefined) return '';
  const name = stringOf(bytes, field === 'name' ? envelope.name : envelope.uri);
  return name === undefined ? '' : `mcp-name: ${encodeHeaderValue(name)}\r\n`;
}

/** `Mcp-Param-*` of a call by a client that did not send them, where the upstream's tool wants them; made from the body. */
export function paramLines(upstream: Upstream, { bytes, envelope }: Exchange, tool: JsonObject): string {
  if (upstream.era !== 'modern' || !upstream.traits.mirrorsHeaders) return '';
  const params = paramHeadersOf(tool);
  if (!params.ok || params.params.length === 0) return '';
  const values = envelope.arguments === undefined ? {} : parsed(bytes, envelope.arguments);
  return paramHeaderLines(params.params, values)
    .map(([header, value]) => `${header}: ${value}\r\n`)
    .join('');
}
