/**
 * One legacy session with an upstream, over any channel: the handshake (specification 2025-11-25,
 * basic/lifecycle), and the same handshake again when the upstream restarted or forgot the session, so that
 * whoever uses it does not notice.
 */

import { ErrorCode, RpcError } from '../../protocol/errors.js';
import { isLegacyRevision, LEGACY_REVISIONS } from '../../protocol/revisions.js';
import type { Envelope } from '../../protocol/scan.js';
import { parsed } from '../../protocol/text.js';
import type { HeldAtUpstream } from '../../sessions/store.js';
import { EraMismatch } from '../call.js';
import {
  type Channel,
  type ChannelEvents,
  type ChannelRequest,
  type ChannelSink,
  SessionLost,
} from '../channel.js';
import type { OwnFields } from '../own-fields.js';

/** What `initialize` answered, as far as it is needed all the time: a server may say much of itself beside. */
export interface InitializeResult {
  readonly protocolVersion: string;
  readonly capabilities: Readonly<Record<string, unknown>>;
}

export interface LegacySessionEvents {
  /** A message that belongs to no request. */
  message(bytes: Buffer, envelope: Envelope): void;
  /** The session was initialised anew; what the old one held (log level, subscriptions) must be said again. */
  renewed(): void;
  /** Messages outside requests may have been missed. */
  gap(): void;
  /** The connection is gone; the next request makes a new one. */
  lost(reason: string): void;
}

export interface LegacySessionOptions {
  readonly name: string;
  readonly openChannel: (events: ChannelEvents) => Channel;
  /** `params` of `initialize` as JSON (binary text). */
  readonly hello: string;
  readonly events: LegacySessionEvents;
  /** The first `notifications/initialized` is left to whoever owns the session. */
  readonly ownerSaysInitialized: boolean;
  /** A session that began on a connection of another worker. */
  readonly before?: HeldSession | undefined;
}

export type HeldSession = NonNullable<HeldAtUpstream['session']>;

const INITIALIZED = '{"jsonrpc":"2.0","method":"notifications/initialized"}';
/** How long the first request waits for the stream of what belongs to no request: a server may ask there at once. */
const LISTEN_GRACE_MS = 250;
let initializeCount = 0;

export class LegacySession {
  private channel: Channel | undefined;
  private opening: Promise<Channel> | undefined;
  /** The channel over which the handshake is being made. */
  private unsettled: Channel | undefined;
  private everOpened = false;
  private listening = false;
  private closed = false;
  /** Set by the first handshake. */
  result: InitializeResult | undefined;
  private resultText = '';

  constructor(private readonly options: LegacySessionOptions) {}

  get isOpen(): boolean {
    return this.channel !== undefined;
  }

  /** What another worker needs to go on with it; undefined when the server gave it no name. */
  get held(): HeldSession | undefined {
    const id = this.channel?.sessionId;
    if (id === undefined || this.result === undefined) return undefined;
    return { id, revision: this.result.protocolVersion, capabilities: this.result.capabilities };
  }

  /** The result of the first handshake as the upstream sent it (binary text); it is not kept any longer. */
  takeResultText(): string {
    const text = this.resultText;
    this.resultText = '';
    return text;
  }

  /** Makes the handshake when there is no live connection; several callers share one. */
  open(): Promise<Channel> {
    if (this.channel !== undefined) return Promise.resolve(this.channel);
    if (this.closed)
      return Promise.reject(new RpcError(ErrorCode.UpstreamUnavailable, 'the session has ended'));
    this.opening ??= this.handshake().finally(() => {
      this.opening = undefined;
    });
    return this.opening;
  }

  /** Sends a request; opens, or opens anew once when the upstream has forgotten the session. */
  request(
    text: string,
    id: string,
    token: string | undefined,
    sink: ChannelSink,
    own?: OwnFields,
  ): ChannelRequest {
    const sending = new Sending(this, text, id, token, sink, own);
    sending.start(this.channel);
    return sending;
  }

  /** Sends a notification or response; lost when there is no connection that could want it. */
  post(text: string): void {
    this.channel?.post(text);
  }

  /** Asks for messages outside requests from now on. Resolves when the server has heard of it, or takes its time. */
  listen(): Promise<void> {
    this.listening = true;
    return withinGrace(this.channel?.listen());
  }

  async close(): Promise<void> {
    this.closed = true;
    const { channel, unsettled } = this;
    this.channel = undefined;
    await Promise.all([channel?.close(), unsettled?.close()]);
  }

  /** @internal */
  lost(channel: Channel | undefined, reason: string): void {
    if (this.channel === undefined || this.channel !== channel) return;
    this.channel = undefined;
    this.options.events.lost(reason);
  }

  private async handshake(): Promise<Channel> {
    const { options } = this;
    const heard = new HeardChannel(this, options.events);
    const channel = options.openChannel(heard);
    heard.channel = channel;
    const { before } = options;
    if (before !== undefined && !this.everOpened && channel.resume !== undefined) {
      // The server knows it, or says that it does not: then the next request makes it anew.
      this.everOpened = true;
      this.result = { protocolVersion: before.revision, capabilities: before.capabilities };
      channel.resume(before.id);
      channel.established(before.revision);
      this.channel = channel;
      if (this.listening) channel.listen();
      return channel;
    }
    this.unsettled = channel;
    try {
      const id = `"sluice-initialize-${++initializeCount}"`;
      const { bytes, envelope } = await this.ask(channel, id);
      this.settle(bytes, envelope);
    } catch (thrown) {
      this.unsettled = undefined;
      await channel.close();
      // A connection that was not even made says so itself.
      const unreachable = thrown instanceof RpcError && thrown.code === ErrorCode.UpstreamUnavailable;
      if (heard.lostReason !== undefined && !unreachable) {
        throw new RpcError(
          ErrorCode.UpstreamUnavailable,
          `upstream ${JSON.stringify(options.name)} ended during the handshake: ${heard.lostReason}`,
          undefined,
          { cause: thrown },
        );
      }
      throw thrown;
    }
    channel.established((this.result as InitializeResult).protocolVersion);
    this.unsettled = undefined;
    if (this.closed) {
      await channel.close();
      throw new RpcError(ErrorCode.UpstreamUnavailable, 'the session has ended');
    }
    const again = this.everOpened;
    this.everOpened = true;
    if (again || !options.ownerSaysInitialized) channel.post(INITIALIZED);
    this.channel = channel;
    if (again) options.events.renewed();
    if (this.listening) await withinGrace(channel.listen());
    return channel;
  }

  private ask(channel: Channel, id: string): Promise<{ bytes: Buffer; envelope: Envelope }> {
    return new Promise((resolve, reject) => {
      const text = `{"jsonrpc":"2.0","id":${id},"method":"initialize","params":${this.options.hello}}`;
      channel.request(text, id, undefined, {
        message: (bytes, envelope) => {
          if (envelope.kind === 'result' || envelope.kind === 'error') resolve({ bytes, envelope });
          else this.options.events.message(bytes, envelope);
        },
        failed: reject,
      });
    });
  }

  private settle(bytes: Buffer, envelope: Envelope): void {
    const said = `upstream ${JSON.stringify(this.options.name)}`;
    if (envelope.error !== undefined) {
      const error = parsed(bytes, envelope.error) as { message?: unknown };
      throw new EraMismatch(`${said} refused initialize: ${String(error.message).slice(0, 200)}`);
    }
    const span = envelope.result as { start: number; end: number };
    const result = parsed(bytes, span) as InitializeResult;
    if (typeof result.protocolVersion !== 'string' || !isLegacyRevision(result.protocolVersion)) {
      throw new RpcError(
        ErrorCode.UpstreamUnavailable,
        `${said} answered initialize with revision ${JSON.stringify(result.protocolVersion ?? null)}; known are ${LEGACY_REVISIONS.join(', ')}`,
      );
    }
    this.result = { protocolVersion: result.protocolVersion, capabilities: result.capabilities ?? {} };
    // Whoever opened it has been told what the first handshake said, and is not told again.
    if (!this.everOpened) this.resultText = bytes.latin1Slice(span.start, span.end);
  }
}

/** Waits for a stream, but not for a server that says nothing until it has something to say. */
async function withinGrace(open: Promise<void> | undefined): Promise<void> {
  if (open === undefined) return;
  let timer: NodeJS.Timeout | undefined;
  const grace = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, LISTEN_GRACE_MS);
  });
  await Promise.race([open, grace]);
  clearTimeout(timer);
}

/** What one channel of a session tells. */
class HeardChannel implements ChannelEvents {
  /** Set when it has been made. */
  channel: Channel | undefined;
  lostReason: string | undefined;

  constructor(
    private readonly session: LegacySession,
    private readonly events: LegacySessionEvents,
  ) {}

  message(bytes: Buffer, envelope: Envelope): void {
    this.events.message(bytes, envelope);
  }

  gap(): void {
    this.events.gap();
  }

  lost(reason: string): void {
    this.lostReason = reason;
    this.session.lost(this.channel, reason);
  }
}

/** A request that is sent again, once, when the session turned out to be forgotten. */
class Sending implements ChannelSink, ChannelRequest {
  private current: ChannelRequest | undefined;
  private again = false;
  private aborted = false;

  constructor(
    private readonly session: LegacySession,
    private readonly text: string,
    private readonly id: string,
    private readonly token: string | undefined,
    private readonly sink: ChannelSink,
    private readonly own: OwnFields | undefined,
  ) {}

  start(channel: Channel | undefined): void {
    if (channel !== undefined) {
      this.current = channel.request(this.text, this.id, this.token, this, this.own);
      return;
    }
    this.session.open().then(
      (opened) => {
        if (!this.aborted) this.current = opened.request(this.text, this.id, this.token, this, this.own);
      },
      (thrown: unknown) => {
        if (!this.aborted) this.sink.failed(RpcError.from(thrown));
      },
    );
  }

  message(bytes: Buffer, envelope: Envelope): void {
    this.sink.message(bytes, envelope);
  }

  failed(error: RpcError): void {
    if (error instanceof SessionLost && !this.again && !this.aborted) {
      this.again = true;
      this.start(undefined);
      return;
    }
    this.sink.failed(error);
  }

  abort(): void {
    this.aborted = true;
    this.current?.abort();
  }

  waitPatiently(patiently = true): void {
    this.current?.waitPatiently(patiently);
  }
}
