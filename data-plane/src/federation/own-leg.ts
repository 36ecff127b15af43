/**
 * One upstream's part of a legacy client's session, when that client has an upstream session of its own: requests
 * go through with their ids and tokens untouched, and whatever the upstream sends, asks included, reaches the
 * client. This is the link between two legacy ends.
 */
import type { Cancellable, Exchange } from '../exchange/exchange.js';
import { SparseMap, SparseSet } from '../exchange/sparse-map.js';
import type { LegHost } from '../front/endpoint.js';
import { ErrorCode, errorMessage, RpcError } from '../protocol/errors.js';
import { idKey } from '../protocol/ids.js';
import { type Envelope, type Span, scanMessage } from '../protocol/scan.js';
import { binaryOf, type Edit, splice } from '../protocol/text.js';
import { type Message, rewritten } from '../protocol/translate.js';
import type { HeldAtUpstream } from '../sessions/store.js';
import { cancelledError, type UpstreamReply } from '../upstream/call.js';
import type { ChannelRequest, ChannelSink } from '../upstream/channel.js';
import type { LegacySession, LegacySessionEvents } from '../upstream/legacy/session.js';
import { changedList, LIST_KINDS, type ListKind } from '../upstream/offers.js';
import { ownCall } from '../upstream/own-request.js';
import { resourceUpdated } from '../upstream/subscriptions.js';
import type { Upstream } from '../upstream/upstream.js';
import { MAX_OPEN_ASK_COUNT, OpenAsks } from './open-asks.js';

/** Resources that one session may watch at one upstream. */
const MAX_WATCHED_COUNT = 1_000;

export interface OwnLegOptions {
  readonly upstream: Upstream;
  /** `params` of `initialize` (binary text). */
  readonly hello: string;
  readonly host: LegHost;
  /** Stands in front of the ids of asks, when several upstreams ask one client; undefined leaves ids alone. */
  readonly askPrefix: string | undefined;
  readonly ownerSaysInitialized: boolean;
  /** What the session held here when another worker had it. */
  readonly before?: HeldAtUpstream | undefined;
  /** Changes a message for the client: names and URIs of a merged endpoint. Undefined swallows it. */
  readonly toClient: (message: Message) => Message | undefined;
}

export class OwnLeg implements LegacySessionEvents {
  readonly session: LegacySession;
  private readonly asks: OpenAsks;
  private readonly running = new SparseMap<string, LegRequest>();
  private logLevel: string | undefined;
  /** URIs (JSON text) in the upstream's own names. */
  private readonly subscribed = new SparseSet<string>();
  private renewCount = 0;
  /** Counts how often the tools may have changed that this session is shown. */
  toolsChangeCount = 0;
  /** Set when nothing new is sent any more: called when the last request has ended. */
  private retired: (() => void) | undefined;

  constructor(private readonly options: OwnLegOptions) {
    this.asks = new OpenAsks(options.askPrefix);
    this.session = options.upstream.ownSession(
      options.hello,
      this,
      options.ownerSaysInitialized,
      options.before?.session,
    );
    this.logLevel = options.before?.logLevel;
    for (const uri of options.before?.subscribed ?? []) this.subscribed.add(uri);
  }

  /** Connects. Resolves with what the upstream answered (binary text); rejects as the handshake does. */
  async open(): Promise<string> {
    const { before } = this.options;
    const isResumed = before?.session !== undefined;
    if (before !== undefined && !isResumed && this.options.upstream.config.onSessionLoss === 'end')
      throw sessionEnded();
    await this.session.open();
    // What a subprocess held, or a server that names no sessions, is made again as far as it is known.
    if (before !== undefined && !isResumed) this.sayAgain();
    this.tellHeld();
    return this.session.takeResultText();
  }

  request(exchange: Exchange, edits: readonly Edit[]): Promise<UpstreamReply> {
    return new Promise((resolve, reject) => {
      const { bytes, envelope } = exchange;
      const span = envelope.id as Span;
      const id = bytes.latin1Slice(span.start, span.end);
      const token =
        envelope.metaProgressToken === undefined ? undefined : idKey(bytes, envelope.metaProgressToken);
      // It may have taken long to get here; what was not sent yet need not be cancelled.
      if (exchange.cancellation.cancelled) throw cancelledError();
      this.remember(exchange, edits);
      const request = new LegRequest(this, id, token, resolve, reject);
      this.running.set(id, request);
      request.wire = this.session.request(
        splice(bytes, envelope, edits),
        id,
        token,
        request,
        exchange.ownHeaders,
      );
      exchange.cancellation.onCancel(request);
    });
  }

  /** Says something in the client's place; nobody waits for the answer. */
  tell(method: string, params: Record<string, unknown>): void {
    const call = ownCall(method, params, false);
    const { caller } = this.options.host;
    this.request({ ...call, caller, headers: {}, notify() {} }, []).catch(() => undefined);
  }

  notification(message: Message): void {
    const text =
      message.envelope.method === 'notifications/progress'
        ? this.asks.progress(message)
        : splice(message.bytes, message.envelope, []);
    if (text !== undefined) this.session.post(text);
  }

  /** The client's answer to an ask; false when the ask is not this upstream's. */
  response(message: Message): boolean {
    const text = this.asks.answer(message);
    if (text !== undefined) this.session.post(text);
    return text !== undefined;
  }

  close(): void {
    for (const request of [...this.running.values()]) request.failed(cancelledError());
    void this.session.close();
    this.retired?.();
  }

  /** Closes it when the requests under way have ended; nothing new is sent. */
  retire(): Promise<void> {
    return new Promise((resolve) => {
      this.retired = resolve;
      if (this.running.size === 0) this.close();
    });
  }

  /** @internal */
  message(bytes: Buffer, envelope: Envelope): void {
    this.fromUpstream({ bytes, envelope }, undefined);
  }

  /** @internal */
  fromUpstream(message: Message, requestId: string | undefined): void {
    const { envelope } = message;
    if (envelope.kind === 'request') {
      this.ask(message, requestId);
      return;
    }
    if (envelope.kind !== 'notification') return;
    if (changedList(envelope.method) === 'tools') this.toolsChangeCount++;
    const own =
      envelope.method === 'notifications/cancelled' && envelope.requestId !== undefined
        ? this.asks.cancel(message, envelope.requestId)
        : message;
    const mapped = own === undefined ? undefined : this.options.toClient(own);
    if (mapped !== undefined) this.options.host.toClient(mapped, requestId ?? this.requestOf(message));
  }

  /** @internal */
  done(id: string): void {
    this.running.delete(id);
    this.asks.requestEnded(id);
    if (this.retired !== undefined && this.running.size === 0) this.close();
  }

  private ask(message: Message, requestId: string | undefined): void {
    const mapped = this.asks.open(message, requestId, (id) => this.refuseAsk(id));
    if (mapped === undefined) this.refuseAsk(binaryOf(message.bytes, message.envelope.id as Span));
    else this.options.host.toClient(mapped, requestId ?? this.requestOf(message));
  }

  private refuseAsk(id: string): void {
    const message = `${MAX_OPEN_ASK_COUNT} requests wait for this client already`;
    this.session.post(errorMessage(id, new RpcError(ErrorCode.Overloaded, message)));
  }

  /** A message names its request by progress token; over one pipe there may be only one that it can belong to. */
  private requestOf({ bytes, envelope }: Message): string | undefined {
    const token = envelope.progressToken;
    if (token !== undefined) {
      const text = idKey(bytes, token);
      for (const request of this.running.values()) if (request.token === text) return request.id;
      return undefined;
    }
    if (
      this.options.upstream.traits.hasOwnStreams ||
      this.running.size !== 1 ||
      envelope.method.endsWith('/list_changed') ||
      envelope.method === 'notifications/resources/updated'
    )
      return undefined;
    for (const id of this.running.keys()) return id;
    return undefined;
  }

  /** What the upstream has to hear again when its session was made anew. */
  private remember({ row, bytes, envelope }: Exchange, edits: readonly Edit[]): void {
    const method = row?.method;
    if (
      method !== 'logging/setLevel' &&
      method !== 'resources/subscribe' &&
      method !== 'resources/unsubscribe'
    )
      return;
    // In the upstream's own names, as it was told the first time.
    const told = rewritten(bytes, envelope, edits);
    const { level, uri } = told.envelope;
    if (method === 'logging/setLevel') {
      if (level !== undefined) this.logLevel = binaryOf(told.bytes, level);
      this.tellHeld();
      return;
    }
    if (uri === undefined) return;
    const key = idKey(told.bytes, uri);
    if (method === 'resources/unsubscribe') this.subscribed.delete(key);
    else if (this.subscribed.size < MAX_WATCHED_COUNT) this.subscribed.add(key);
    else
      throw new RpcError(
        ErrorCode.InvalidParams,
        `this session watches ${MAX_WATCHED_COUNT} resources already`,
      );
    this.tellHeld();
  }

  /** Whoever goes on with the session when this worker is gone needs to know. */
  private tellHeld(): void {
    const { upstream, host } = this.options;
    host.holds(upstream.id, {
      session: this.session.held,
      logLevel: this.logLevel,
      subscribed: this.subscribed.size === 0 ? undefined : [...this.subscribed],
    });
  }

  /** @internal */
  lost(): void {
    this.asks.renew();
    const { upstream, host } = this.options;
    if (upstream.config.onSessionLoss === 'end')
      host.end(`upstream ${JSON.stringify(upstream.name)} lost what it held`);
  }

  /** @internal */
  gap(): void {
    this.resync();
  }

  /** @internal */
  renewed(): void {
    this.sayAgain();
    this.tellHeld();
    this.resync();
  }

  private sayAgain(): void {
    const again = (method: string, params: string) => {
      const id = `"sluice-renew-${++this.renewCount}"`;
      const sink: ChannelSink = { message() {}, failed() {} };
      this.session.request(
        `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":${params}}`,
        id,
        undefined,
        sink,
      );
    };
    if (this.logLevel !== undefined) again('logging/setLevel', `{"level":${this.logLevel}}`);
    for (const uri of this.subscribed) again('resources/subscribe', `{"uri":${uri}}`);
  }

  /** The client may have missed changes, so it is told to look again. */
  resync(): void {
    this.toolsChangeCount++;
    const { host, toClient } = this.options;
    tellListsChanged(host, this.session.result?.capabilities ?? {});
    for (const uri of this.subscribed) {
      const mapped = toClient(resourceUpdated(JSON.parse(Buffer.from(uri, 'latin1').toString()) as string));
      if (mapped !== undefined) host.toClient(mapped, undefined);
    }
  }
}

/** What waited for something else while its session was closed. */
export function sessionEnded(): RpcError {
  return new RpcError(ErrorCode.SessionNotFound, 'the session has ended');
}

/** Tells a client to look again at every list whose changes it was told to expect. */
export function tellListsChanged(host: LegHost, capabilities: Readonly<Record<string, unknown>>): void {
  for (const kind of LIST_KINDS)
    if (hasListChanged(capabilities, kind)) host.toClient(listChanged(kind), undefined);
}

/** Whether these capabilities promise to tell of changes of a list. */
export function hasListChanged(capabilities: Readonly<Record<string, unknown>>, kind: ListKind): boolean {
  const capability = capabilities[kind] as { listChanged?: unknown } | undefined;
  return capability?.listChanged === true;
}

/** `notifications/{kind}/list_changed`. */
export function listChanged(kind: ListKind): Message {
  return LIST_CHANGED[kind];
}

function notification(method: string): Message {
  const bytes = Buffer.from(JSON.stringify({ jsonrpc: '2.0', method }));
  return { bytes, envelope: scanMessage(bytes) };
}

const LIST_CHANGED = {
  tools: notification('notifications/tools/list_changed'),
  prompts: notification('notifications/prompts/list_changed'),
  resources: notification('notifications/resources/list_changed'),
};

class LegRequest implements ChannelSink, Cancellable {
  wire: ChannelRequest | undefined;
  private settled = false;

  constructor(
    private readonly leg: OwnLeg,
    readonly id: string,
    readonly token: string | undefined,
    private readonly resolve: (reply: UpstreamReply) => void,
    private readonly reject: (error: RpcError) => void,
  ) {}

  message(bytes: Buffer, envelope: Envelope): void {
    if (envelope.kind === 'request' || envelope.kind === 'notification') {
      this.leg.fromUpstream({ bytes, envelope }, this.id);
      return;
    }
    if (this.settled) return;
    this.finish();
    this.resolve({ bytes, envelope });
  }

  failed(error: RpcError): void {
    if (this.settled) return;
    this.finish();
    this.reject(error);
  }

  cancel(): void {
    if (this.settled) return;
    this.finish();
    this.wire?.abort();
    this.reject(cancelledError());
  }

  private finish(): void {
    this.settled = true;
    this.leg.done(this.id);
  }
}
