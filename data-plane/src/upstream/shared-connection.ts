/**
 * Makes the connection to an upstream that all share, and finds out on the way which era the upstream speaks, as the
 * specification says for each transport (2026-07-28, "Backward Compatibility").
 */
import type { ResolvedUpstream } from '@sluice/proto';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import {
  type Era,
  isLegacyRevision,
  LATEST_LEGACY_REVISION,
  MODERN_REVISION,
} from '../protocol/revisions.js';
import type { Envelope, Span } from '../protocol/scan.js';
import { binaryToBytes, jsonBinary, parsed } from '../protocol/text.js';
import { EraMismatch, type UpstreamCall, type UpstreamReply } from './call.js';
import type { Channel, ChannelEvents } from './channel.js';
import type { Connections } from './connection.js';
import { LegacySession } from './legacy/session.js';
import { Multiplexer, refusedAsk } from './multiplexer.js';
import type { UpstreamFacts } from './offers.js';
import { GATEWAY_INFO, ownCall, resultOf } from './own-request.js';

/** Time to answer the first probe over a pipe; a legacy server may say nothing at all. */
const PIPE_PROBE_TIMEOUT_MS = 3_000;

/** `params` of the gateway's own `initialize`: it has nobody to ask, so it declares no capability. */
export const OWN_HELLO = jsonBinary({
  protocolVersion: LATEST_LEGACY_REVISION,
  capabilities: {},
  clientInfo: GATEWAY_INFO,
});

/** How the one shared connection works, once the era is known. */
export interface Shared {
  readonly era: Era;
  readonly facts: UpstreamFacts;
  call(call: UpstreamCall): Promise<UpstreamReply>;
  /** Asks for notifications outside calls; a modern upstream takes a subscription instead. */
  listen(): Promise<void> | undefined;
  close(): Promise<void>;
}

/** What happens on a shared connection outside of calls. */
export interface SharedEvents {
  notification(bytes: Buffer, envelope: Envelope): void;
  /** Something may have been missed. */
  stale(reason: string): void;
  /** The connection is gone, and has to be made again. */
  lost(reason: string): void;
}

export class SharedConnector {
  constructor(
    private readonly config: ResolvedUpstream,
    private readonly connections: Connections,
    private readonly events: SharedEvents,
  ) {}

  connect(): Promise<Shared> {
    const { era } = this.config;
    const { probe } = this.connections;
    if (probe === 'none' || era === 'legacy')
      return this.connectLegacy((events) => this.connections.openChannel(events));
    return probe === 'http' ? this.connectHttp(era) : this.connectPipe(era);
  }

  /** Probing over HTTP (streamable HTTP, "Backward Compatibility"): a modern request first, then the body decides. */
  private async connectHttp(era: 'auto' | 'modern'): Promise<Shared> {
    const modern = this.connections.modern as NonNullable<Connections['modern']>;
    const verdict = await modern.call(ownCall('server/discover', {}, true)).then(
      (reply) => judge(reply),
      (thrown: unknown) => {
        if (thrown instanceof EraMismatch && era === 'auto') return undefined;
        // A server that breaks over a request of the other era is given the chance to speak its own.
        if (era === 'auto' && thrown instanceof RpcError && thrown.code === ErrorCode.UpstreamBadAnswer)
          return undefined;
        throw thrown;
      },
    );
    if (verdict !== undefined) {
      return {
        era: 'modern',
        facts: verdict,
        call: (call) => modern.call(call),
        listen: () => undefined,
        close: () => Promise.resolve(),
      };
    }
    if (era === 'modern')
      throw new EraMismatch(
        `upstream ${JSON.stringify(this.config.name)} does not speak ${MODERN_REVISION}, which its configuration says`,
      );
    return this.connectLegacy((events) => this.connections.openChannel(events));
  }

  /**
   * Probing over a pipe (basic/transports/stdio, "Backward Compatibility"): `server/discover` first, on the connection
   * that then serves.
   */
  private async connectPipe(era: 'auto' | 'modern'): Promise<Shared> {
    let events: ChannelEvents | undefined;
    let gone: string | undefined;
    const probe = ownCall('server/discover', {}, true);
    const probeTimeoutMs =
      era === 'auto'
        ? Math.min(PIPE_PROBE_TIMEOUT_MS, this.config.connectTimeoutMs)
        : this.config.connectTimeoutMs;
    let timer: NodeJS.Timeout | undefined;
    const channel = this.connections.openChannel({
      opened: () => {
        timer = setTimeout(() => probe.cancellation.cancel(), probeTimeoutMs);
      },
      message: (bytes, envelope) => events?.message(bytes, envelope),
      gap: () => events?.gap(),
      lost: (reason) => {
        gone = reason;
        events?.lost(reason);
      },
    });
    const multiplexer = new Multiplexer(channel);
    let facts: UpstreamFacts | undefined;
    try {
      const reply = await multiplexer.call(probe).catch(silenceOf);
      facts = reply === undefined ? undefined : judge(reply);
    } catch (thrown) {
      // Nobody else knows of this connection.
      await channel.close();
      throw thrown;
    } finally {
      clearTimeout(timer);
    }
    if (facts !== undefined) {
      events = this.modernEvents(multiplexer);
      return {
        era: 'modern',
        facts,
        call: (call) => multiplexer.call(call),
        listen: () => undefined,
        close: () => channel.close(),
      };
    }
    if (era === 'modern') {
      await channel.close();
      throw new EraMismatch(
        `upstream ${JSON.stringify(this.config.name)} does not speak ${MODERN_REVISION}, which its configuration says${gone === undefined ? '' : `: ${gone}`}`,
      );
    }
    let first: Channel | undefined = gone === undefined ? channel : undefined;
    return this.connectLegacy((legacyEvents) => {
      if (first === undefined) return this.connections.openChannel(legacyEvents);
      first = undefined;
      events = legacyEvents;
      return channel;
    });
  }

  private modernEvents(multiplexer: Multiplexer): ChannelEvents {
    return {
      message: (bytes, envelope) => {
        if (envelope.kind === 'notification') multiplexer.deliver(bytes, envelope);
      },
      gap() {},
      lost: (reason) => this.events.lost(reason),
    };
  }

  /** Begins a legacy session, without asking which era the upstream speaks. */
  async connectLegacy(openChannel: (events: ChannelEvents) => Channel): Promise<Shared> {
    let multiplexer: Multiplexer | undefined;
    const session: LegacySession = new LegacySession({
      name: this.config.name,
      openChannel,
      hello: OWN_HELLO,
      ownerSaysInitialized: false,
      events: {
        message: (bytes, envelope) => {
          if (envelope.kind === 'request')
            session.post(refusedAsk(bytes, envelope.id as Span, envelope.method));
          else if (multiplexer?.deliver(bytes, envelope) !== true) this.events.notification(bytes, envelope);
        },
        renewed: () => this.events.stale('the upstream was initialised anew'),
        gap: () => this.events.stale('the stream of notifications was interrupted'),
        lost: (reason) => {
          // Without backoff the session makes a new connection by itself, with the next request.
          if (this.connections.backoffMaxMs !== undefined) {
            this.events.lost(reason);
            void session.close();
          } else this.events.stale(reason);
        },
      },
    });
    const timer = setTimeout(
      () => void session.close(),
      this.config.connectTimeoutMs + this.config.timeoutMs,
    );
    await session.open().finally(() => clearTimeout(timer));
    const result = session.result as NonNullable<LegacySession['result']>;
    const { serverInfo, instructions } = JSON.parse(
      binaryToBytes(session.takeResultText()).toString(),
    ) as Pick<UpstreamFacts, 'serverInfo' | 'instructions'>;
    multiplexer = new Multiplexer(session);
    const over = multiplexer;
    return {
      era: 'legacy',
      facts: {
        revision: result.protocolVersion,
        capabilities: result.capabilities,
        serverInfo,
        instructions,
      },
      call: (call) => over.call(call),
      listen: () => session.listen(),
      close: () => session.close(),
    };
  }
}

/** A probe without an answer says legacy. One that was not sent says nothing: there is nobody to speak to. */
function silenceOf(thrown: unknown): undefined {
  if (thrown instanceof RpcError && thrown.code === ErrorCode.UpstreamUnavailable) throw thrown;
}

/** Modern facts from the answer to a probe; undefined says legacy. Throws when it is modern and of no use. */
function judge(reply: UpstreamReply): UpstreamFacts | undefined {
  const { envelope } = reply;
  if (envelope.error !== undefined) {
    if (envelope.errorCode === ErrorCode.UnsupportedProtocolVersion) {
      const { data } = parsed(reply.bytes, envelope.error) as { data?: { supported?: unknown } };
      const supported = Array.isArray(data?.supported) ? data.supported : [];
      if (supported.some((revision) => typeof revision === 'string' && isLegacyRevision(revision)))
        return undefined;
      throw new RpcError(
        ErrorCode.UpstreamUnavailable,
        `the upstream speaks ${supported.join(', ') || 'no known revision'}; the gateway speaks ${MODERN_REVISION} and older`,
      );
    }
    if (
      envelope.errorCode === ErrorCode.HeaderMismatch ||
      envelope.errorCode === ErrorCode.MissingClientCapability
    ) {
      throw new RpcError(ErrorCode.UpstreamUnavailable, 'the upstream refused server/discover');
    }
    return undefined;
  }
  const result = resultOf(reply);
  if (!Array.isArray(result.supportedVersions)) return undefined;
  if (!result.supportedVersions.includes(MODERN_REVISION)) return undefined;
  const meta = (typeof result._meta === 'object' && result._meta !== null ? result._meta : {}) as Record<
    string,
    unknown
  >;
  return {
    revision: MODERN_REVISION,
    capabilities: (result.capabilities ?? {}) as Record<string, unknown>,
    serverInfo: meta['io.modelcontextprotocol/serverInfo'],
    instructions: typeof result.instructions === 'string' ? result.instructions : undefined,
  };
}
