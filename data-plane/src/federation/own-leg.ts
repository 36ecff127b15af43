/**
 * One upstream's part of a legacy client's session, when that client has an upstream session of its own: requests
 * go through with their ids and tokens untouched, and whatever the upstream sends, asks included, reaches the
 * client. This is the link between two legacy ends.
 */
import type { Cancellable, Exchange } from '../exchange/exchange.js';
import type { LegHost } from '../front/endpoint.js';
import { ErrorCode, type RpcError } from '../protocol/errors.js';
import { type Envelope, type Span, scanMessage } from '../protocol/scan.js';
import { type Edit, replace, splice } from '../protocol/text.js';
import { type Message, rewritten } from '../protocol/translate.js';
import { cancelledError, type UpstreamReply } from '../upstream/call.js';
import type { ChannelRequest, ChannelSink } from '../upstream/channel.js';
import type { LegacySession } from '../upstream/legacy/session.js';
import type { Upstream } from '../upstream/upstream.js';

/** Asks of one upstream that wait for the client; one more is refused. */
const MAX_OPEN_ASK_COUNT = 256;

export interface OwnLegOptions {
  readonly upstream: Upstream;
  /** `params` of `initialize` (binary text). */
  readonly hello: string;
  readonly host: LegHost;
  /** Stands in front of the ids of asks, when several upstreams ask one client; undefined leaves ids alone. */
  readonly askPrefix: string | undefined;
  readonly ownerSaysInitialized: boolean;
  /** Changes a message for the client: names and URIs of a merged endpoint. Undefined swallows it. */
  readonly toClient: (message: Message) => Message | undefined;
}

export class OwnLeg {
  readonly session: LegacySession;
  private readonly asks = new Map<string, string>();
  private readonly running = new Map<string, LegRequest>();
  private askCount = 0;
  private logLevel: string | undefined;
  private readonly subscribed = new Set<string>();
  private renewCount = 0;

  constructor(private readonly options: OwnLegOptions) {
    this.session = options.upstream.ownSession(
      options.hello,
      {
        message: (bytes, envelope) => this.fromUpstream({ bytes, envelope }, undefined),
        renewed: () => this.renewed(),
        gap: () => this.resync(),
        lost: () => this.asks.clear(),
      },
      options.ownerSaysInitialized,
    );
  }

  request(exchange: Exchange, edits: readonly Edit[]): Promise<UpstreamReply> {
    return new Promise((resolve, reject) => {
      const { bytes, envelope } = exchange;
      const span = envelope.id as Span;
      const id = bytes.latin1Slice(span.start, span.end);
      const token =
        envelope.metaProgressToken === undefined
          ? undefined
          : bytes.latin1Slice(envelope.metaProgressToken.start, envelope.metaProgressToken.end);
      const request = new LegRequest(this, id, token, resolve, reject);
      this.running.set(id, request);
      this.remember(exchange, edits);
      request.wire = this.session.request(splice(bytes, envelope, edits), id, token, request);
      exchange.cancellation.onCancel(request);
    });
  }

  notification(message: Message): void {
    this.session.post(splice(message.bytes, message.envelope, []));
  }

  /** The client's answer to an ask; false when the ask is not this upstream's. */
  response({ bytes, envelope }: Message): boolean {
    const span = envelope.id;
    if (span === undefined) return false;
    const exposed = bytes.latin1Slice(span.start, span.end);
    const own = this.asks.get(exposed);
    if (own === undefined) return false;
    this.asks.delete(exposed);
    this.session.post(splice(bytes, envelope, own === exposed ? [] : [replace(span, own)]));
    return true;
  }

  close(): void {
    for (const request of [...this.running.values()]) request.failed(cancelledError());
    void this.session.close();
  }

  /** @internal */
  fromUpstream(message: Message, requestId: string | undefined): void {
    const { envelope } = message;
    if (envelope.kind === 'request') {
      this.ask(message, requestId);
      return;
    }
    if (envelope.kind !== 'notification') return;
    let own = message;
    if (envelope.method === 'notifications/cancelled' && envelope.requestId !== undefined) {
      const cancelled = this.exposedAsk(message, envelope.requestId);
      if (cancelled === undefined) return;
      this.asks.delete(cancelled);
      own = rewritten(message.bytes, envelope, [replace(envelope.requestId, cancelled)]);
    }
    const mapped = this.options.toClient(own);
    if (mapped !== undefined) this.options.host.toClient(mapped, requestId ?? this.requestOf(message));
  }

  /** @internal */
  done(id: string): void {
    this.running.delete(id);
  }

  private ask(message: Message, requestId: string | undefined): void {
    const { bytes, envelope } = message;
    const span = envelope.id as Span;
    const own = bytes.latin1Slice(span.start, span.end);
    if (this.asks.size >= MAX_OPEN_ASK_COUNT) {
      this.session.post(
        `{"jsonrpc":"2.0","id":${own},"error":{"code":${ErrorCode.Overloaded},"message":"${MAX_OPEN_ASK_COUNT} requests wait for this client already"}}`,
      );
      return;
    }
    const { askPrefix } = this.options;
    const exposed = askPrefix === undefined ? own : JSON.stringify(`${askPrefix}${++this.askCount}`);
    this.asks.set(exposed, own);
    const mapped = exposed === own ? message : rewritten(bytes, envelope, [replace(span, exposed)]);
    this.options.host.toClient(mapped, requestId ?? this.requestOf(message));
  }

  private exposedAsk({ bytes }: Message, span: Span): string | undefined {
    const own = bytes.latin1Slice(span.start, span.end);
    for (const [exposed, original] of this.asks) if (original === own) return exposed;
    return undefined;
  }

  /** Over one pipe a message names its request by progress token, or there is only one that it can belong to. */
  private requestOf({ bytes, envelope }: Message): string | undefined {
    const token = envelope.progressToken;
    if (token !== undefined) {
      const text = bytes.latin1Slice(token.start, token.end);
      for (const request of this.running.values()) if (request.token === text) return request.id;
      return undefined;
    }
    if (
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
    if (told.envelope.params === undefined) return;
    const params = told.bytes.latin1Slice(told.envelope.params.start, told.envelope.params.end);
    if (method === 'logging/setLevel') this.logLevel = params;
    else if (method === 'resources/subscribe') this.subscribed.add(params);
    else this.subscribed.delete(params);
  }

  private renewed(): void {
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
    if (this.logLevel !== undefined) again('logging/setLevel', this.logLevel);
    for (const params of this.subscribed) again('resources/subscribe', params);
    this.resync();
  }

  /** The client may have missed changes, so it is told to look again. */
  private resync(): void {
    const capabilities = this.session.result?.capabilities ?? {};
    for (const kind of ['tools', 'prompts', 'resources']) {
      const capability = capabilities[kind] as { listChanged?: unknown } | undefined;
      if (capability?.listChanged !== true) continue;
      this.options.host.toClient(listChanged(kind as 'tools'), undefined);
    }
  }
}

/** `notifications/{kind}/list_changed`. */
export function listChanged(kind: 'tools' | 'prompts' | 'resources'): Message {
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
