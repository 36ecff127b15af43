/**
 * One MCP server behind the gateway: which era it speaks, what it offers, and the connections to it that are
 * shared. Whoever calls speaks its own era; the translation to the upstream's happens here.
 */
import type { ResolvedUpstream } from '@sluice/proto';
import type { Logger } from 'pino';
import type { Caller, Cancellation } from '../exchange/exchange.js';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import {
  type Era,
  isLegacyRevision,
  LATEST_LEGACY_REVISION,
  MODERN_REVISION,
} from '../protocol/revisions.js';
import type { Envelope, Span } from '../protocol/scan.js';
import { jsonBinary, parsed, stringOf } from '../protocol/text.js';
import {
  legacyRequest,
  legacyResponse,
  modernRequest,
  modernResponse,
  retryRequest,
  rewritten,
  withId,
} from '../protocol/translate.js';
import type { Sealer } from '../sessions/seal.js';
import { cancelledError, EraMismatch, idOf, type UpstreamCall, type UpstreamReply } from './call.js';
import type { Channel, ChannelEvents } from './channel.js';
import { type Connections, makeConnections } from './connection.js';
import { LegacySession, type LegacySessionEvents } from './legacy/session.js';
import { Multiplexer } from './multiplexer.js';
import type { UpstreamFacts } from './offers.js';
import { GATEWAY_INFO, ownCall, resultOf } from './own-request.js';
import { ParkedCalls } from './parked/parked-calls.js';
import type { EgressPolicy } from './transport/egress-policy.js';

/** Time that a subprocess has to answer the first probe; a legacy server may say nothing at all. */
const STDIO_PROBE_TIMEOUT_MS = 3_000;
/** Wait before a shared subprocess is started again: at once the first time, then doubled. */
const RESTART_MIN_MS = 500;
const RESTART_MAX_MS = 30_000;
/** Rounds of questions in one call; an upstream that asks for ever is stopped there. */
const MAX_ROUND_COUNT = 32;
/** Pause before a retry that brings no answers but only the upstream's state. */
const STATE_ONLY_PAUSE_MS = 200;
let retryCount = 0;
/** A process that lived this long counts as healthy again. */
const HEALTHY_AFTER_MS = 60_000;

/** `params` of the gateway's own `initialize`: it has nobody to ask, so it declares no capability. */
const OWN_HELLO = jsonBinary({
  protocolVersion: LATEST_LEGACY_REVISION,
  capabilities: {},
  clientInfo: GATEWAY_INFO,
});
const UNHEARD: LegacySessionEvents = { message() {}, renewed() {}, gap() {}, lost() {} };

export interface UpstreamEvents {
  /** A notification that belongs to no call: `list_changed`, `resources/updated`. */
  notification(upstream: Upstream, bytes: Buffer, envelope: Envelope): void;
  /** The shared connection was lost or may have missed something: what was known may be stale. */
  stale(upstream: Upstream, reason: string): void;
}

/** How the one shared connection works, once the era is known. */
export interface Shared {
  readonly era: Era;
  readonly facts: UpstreamFacts;
  call(call: UpstreamCall): Promise<UpstreamReply>;
  /** Asks for notifications outside calls; a modern upstream takes a subscription instead. */
  listen(): void;
  close(): Promise<void>;
}

/** What an upstream needs of the worker that it belongs to. */
export interface UpstreamHost {
  readonly egress: EgressPolicy;
  /** The egress settings as text, to tell whether they changed. */
  readonly egressText: string;
  readonly events: UpstreamEvents;
  readonly log: Logger;
  readonly sealer: Sealer;
  /** Number of the worker, from 0. */
  readonly worker: number;
  /** Connects to the worker that has the shared process, where that is another one. */
  readonly elsewhere: ((lost: (reason: string) => void) => Promise<Shared>) | undefined;
}

export class Upstream {
  readonly id: string;
  readonly name: string;
  /** The egress settings that its connections obey, as text. */
  readonly egressText: string;
  private readonly events: UpstreamEvents;
  private readonly log: Logger;
  private readonly connections: Connections;
  private readonly parked: ParkedCalls | undefined;
  private shared: Shared | undefined;
  private opening: Promise<Shared> | undefined;
  private restartCount = 0;
  private notBefore = 0;
  private startedAt = 0;
  private closed = false;
  /** False once `initialize` was refused: then legacy clients are served by translation. */
  private legacyRefused = false;
  private dedicatedCount = 0;

  constructor(
    readonly config: ResolvedUpstream,
    private readonly host: UpstreamHost,
  ) {
    this.id = config.id;
    this.name = config.name;
    this.events = host.events;
    this.log = host.log;
    this.egressText = host.egressText;
    this.connections = makeConnections(config, host.egress, (line) =>
      this.log.debug({ upstream: this.name, stderr: line }, 'upstream wrote to stderr'),
    );
    // Over the pipe of a subprocess that many share nobody can tell which call asks.
    if (config.transport.kind === 'http') {
      this.parked = new ParkedCalls({
        upstreamId: config.id,
        upstreamName: config.name,
        sealer: host.sealer,
        worker: host.worker,
        openChannel: (events) => this.connections.openChannel(events),
      });
    }
  }

  /** What the upstream said of itself, when it has been reached. */
  get facts(): UpstreamFacts | undefined {
    return this.shared?.facts;
  }

  get era(): Era | undefined {
    return this.shared?.era;
  }

  /** Probes and connects when that has not happened. */
  async open(): Promise<UpstreamFacts> {
    return (await this.ensure()).facts;
  }

  /**
   * Sends a client's call over the shared connection, in whatever era the upstream speaks, and resolves with the
   * response in the caller's era. Rejects with an RpcError.
   */
  async call(call: UpstreamCall, caller: Caller): Promise<UpstreamReply> {
    const shared = this.shared ?? (await this.ensure());
    // It may have taken long to get here; what was not sent yet need not be cancelled.
    if (call.cancellation.cancelled) throw cancelledError();
    try {
      return await this.callIn(shared, call, caller);
    } catch (thrown) {
      if (!(thrown instanceof EraMismatch)) throw thrown;
      // The era that was found once is not true any more: probe anew, and send what did not run again.
      const again = await this.probeAnew(shared);
      if (again.era === shared.era) throw thrown;
      return this.callIn(again, call, caller);
    }
  }

  /** A request of the gateway's own. */
  async ask(
    method: string,
    params: Record<string, unknown>,
    onNotification?: (bytes: Buffer, envelope: Envelope) => void,
    cancellation?: Cancellation,
  ): Promise<UpstreamReply> {
    const shared = this.shared ?? (await this.ensure());
    return shared.call(ownCall(method, params, shared.era === 'modern', onNotification, cancellation));
  }

  listen(): void {
    this.shared?.listen();
  }

  /** Sends a call in the upstream's own era, for a worker that has no connection of its own. */
  async callAsItIs(call: UpstreamCall): Promise<UpstreamReply> {
    return (await this.ensure()).call(call);
  }

  /** True when a legacy client can have a session of its own with this upstream. */
  async offersOwnSessions(): Promise<boolean> {
    const { transport, era } = this.config;
    if (era === 'modern' || this.legacyRefused) return false;
    if (transport.kind === 'stdio') {
      return transport.sharing === 'per_session' && (await this.ensure()).era === 'legacy';
    }
    return true;
  }

  /**
   * A session of one client's own, not opened yet.
   *
   * @param hello `params` of its `initialize` as JSON (binary text).
   */
  ownSession(hello: string, events: LegacySessionEvents, ownerSaysInitialized: boolean): LegacySession {
    const { transport, name } = this.config;
    return new LegacySession({
      name,
      hello,
      ownerSaysInitialized,
      events,
      openChannel: (channelEvents) => {
        if (transport.kind === 'stdio' && this.dedicatedCount >= transport.maxProcessCount) {
          throw new RpcError(
            ErrorCode.Overloaded,
            `upstream ${JSON.stringify(name)} has ${this.dedicatedCount} processes already, as many as it may`,
          );
        }
        return this.counted(channelEvents);
      },
    });
  }

  /**
   * A client's `initialize` failed. True when the upstream refuses every `initialize`: then legacy clients are served
   * by translation from now on. What one client says in its own must not decide that for the others, so the gateway
   * asks with words of its own.
   */
  async refusesInitialize(thrown: unknown): Promise<boolean> {
    if (!isRefusal(thrown) || (await this.ensure()).era !== 'modern') return false;
    if (this.legacyRefused) return true;
    const session = this.ownSession(OWN_HELLO, UNHEARD, false);
    try {
      await session.open();
    } catch (refused) {
      this.legacyRefused ||= isRefusal(refused);
    } finally {
      void session.close();
    }
    return this.legacyRefused;
  }

  /** Ends the connections. One that is being made ends as soon as it is there. */
  async close(): Promise<void> {
    this.closed = true;
    const { shared } = this;
    this.shared = undefined;
    this.opening?.then(
      (opened) => opened.close(),
      () => undefined,
    );
    this.parked?.close();
    await shared?.close();
    this.connections.close();
  }

  private counted(events: ChannelEvents): Channel {
    let counted = true;
    const release = () => {
      if (counted) this.dedicatedCount--;
      counted = false;
    };
    this.dedicatedCount++;
    const channel = this.connections.openChannel({
      message: (bytes, envelope) => events.message(bytes, envelope),
      gap: () => events.gap(),
      lost: (reason) => {
        release();
        events.lost(reason);
      },
    });
    const close = channel.close.bind(channel);
    channel.close = () => {
      release();
      return close();
    };
    return channel;
  }

  private async callIn(shared: Shared, call: UpstreamCall, caller: Caller): Promise<UpstreamReply> {
    if (shared.era === caller.era) return shared.call(call);
    return shared.era === 'modern'
      ? this.legacyToModern(shared, call, caller)
      : this.modernToLegacy(shared, call, caller);
  }

  /** Each round of questions (2026-07-28, basic/patterns/mrtr) goes to the client, and its answers into a retry. */
  private async legacyToModern(shared: Shared, call: UpstreamCall, caller: Caller): Promise<UpstreamReply> {
    const { asks } = call;
    const client = {
      capabilities: asks?.capabilities() ?? '{}',
      clientInfo: caller.clientInfo,
      logLevel: caller.logLevel,
    };
    const first = modernRequest(edited(call), client);
    const id = idOf(call);
    try {
      let message = first;
      for (let round = 1; ; round++) {
        const reply = await shared.call({ ...call, ...message, edits: [] });
        const translated = legacyResponse(withId(reply, id), call.method);
        if (translated !== 'not complete') return translated;
        const asked = readInputRequired(reply);
        if (asked === undefined || asks === undefined || round > MAX_ROUND_COUNT) break;
        const wait = asked.inputs === undefined ? STATE_ONLY_PAUSE_MS : 0;
        if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
        const answers = asked.inputs === undefined ? undefined : await asks.round(id, asked.inputs);
        if (call.cancellation.cancelled) throw cancelledError();
        message = retryRequest(first, `sluice-retry-${++retryCount}`, answers, asked.state);
      }
    } finally {
      asks?.drop(id);
    }
    throw new RpcError(
      ErrorCode.NotTranslatable,
      `upstream ${JSON.stringify(this.name)} answered with a result that a client of ${caller.revision} does not know (${MODERN_REVISION}, basic, "ResultType")`,
    );
  }

  private async modernToLegacy(shared: Shared, call: UpstreamCall, caller: Caller): Promise<UpstreamReply> {
    const wanted = logLevelOf(call);
    const own: UpstreamCall = {
      ...call,
      onNotification: (bytes, envelope) => {
        // 2026-07-28, server/utilities/logging: nothing without `logLevel`, and nothing below it.
        if (envelope.method === 'notifications/message' && !passesLevel(bytes, envelope, wanted)) return;
        call.onNotification(bytes, envelope);
      },
    };
    const reply = this.parked?.takes(call, caller)
      ? await this.parked.run(own, caller)
      : await shared.call({ ...own, ...legacyRequest(edited(call)), edits: [] });
    if (isInputRequired(reply)) return reply;
    return modernResponse(reply, call.method, shared.facts.serverInfo);
  }

  private ensure(): Promise<Shared> {
    if (this.shared !== undefined) return Promise.resolve(this.shared);
    if (this.closed)
      return Promise.reject(
        new RpcError(
          ErrorCode.UpstreamUnavailable,
          `upstream ${JSON.stringify(this.name)} was removed from the configuration`,
        ),
      );
    if (this.opening === undefined) {
      const wait = this.notBefore - Date.now();
      if (wait > 0) {
        return Promise.reject(
          new RpcError(
            ErrorCode.UpstreamUnavailable,
            `the process of upstream ${JSON.stringify(this.name)} has ended and is started again in ${Math.ceil(wait / 1000)} s; the request was not sent`,
          ),
        );
      }
      this.opening = this.connect()
        .then((shared) => {
          this.shared = shared;
          this.startedAt = Date.now();
          return shared;
        })
        .catch((thrown: unknown) => {
          if (this.connections.kind === 'stdio') this.backOff();
          throw thrown;
        })
        .finally(() => {
          this.opening = undefined;
        });
    }
    return this.opening;
  }

  private async probeAnew(stale: Shared): Promise<Shared> {
    if (this.shared === stale) {
      this.shared = undefined;
      this.legacyRefused = false;
      await stale.close();
      this.log.info(
        { upstream: this.name, era: stale.era },
        'upstream does not speak the era that it spoke; probing anew',
      );
    }
    return this.ensure();
  }

  private backOff(): void {
    if (Date.now() - this.startedAt > HEALTHY_AFTER_MS) this.restartCount = 0;
    const wait =
      this.restartCount === 0 ? 0 : Math.min(RESTART_MIN_MS * 2 ** (this.restartCount - 1), RESTART_MAX_MS);
    this.restartCount++;
    this.notBefore = Date.now() + wait;
  }

  /** Time until a shared process may be started again, in milliseconds. */
  get restartDelayMs(): number {
    return Math.max(0, this.notBefore - Date.now());
  }

  private lost(reason: string): void {
    this.shared = undefined;
    if (this.connections.kind === 'stdio') this.backOff();
    this.events.stale(this, reason);
  }

  private async connect(): Promise<Shared> {
    const { era } = this.config;
    if (this.host.elsewhere !== undefined) return this.host.elsewhere((reason) => this.lost(reason));
    if (this.connections.kind === 'http') return this.connectHttp(era);
    return this.connectStdio(era);
  }

  /** Probing over HTTP (streamable HTTP, "Backward Compatibility"): a modern request first, then the body decides. */
  private async connectHttp(era: ResolvedUpstream['era']): Promise<Shared> {
    const modern = this.connections.modern as NonNullable<Connections['modern']>;
    if (era !== 'legacy') {
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
          listen() {},
          close: () => Promise.resolve(),
        };
      }
      if (era === 'modern')
        throw new EraMismatch(
          `upstream ${JSON.stringify(this.name)} does not speak ${MODERN_REVISION}, which its configuration says`,
        );
    }
    return this.connectLegacy((events) => this.connections.openChannel(events));
  }

  /** Probing over stdio (basic/transports/stdio, "Backward Compatibility"): `server/discover` first, on the process that then serves. */
  private async connectStdio(era: ResolvedUpstream['era']): Promise<Shared> {
    if (era === 'legacy') return this.connectLegacy((events) => this.connections.openChannel(events));
    let events: ChannelEvents | undefined;
    let gone: string | undefined;
    const channel = this.connections.openChannel({
      message: (bytes, envelope) => events?.message(bytes, envelope),
      gap: () => events?.gap(),
      lost: (reason) => {
        gone = reason;
        events?.lost(reason);
      },
    });
    const multiplexer = new Multiplexer(channel);
    const probe = ownCall('server/discover', {}, true);
    const timer = setTimeout(
      () => probe.cancellation.cancel(),
      era === 'auto'
        ? Math.min(STDIO_PROBE_TIMEOUT_MS, this.config.connectTimeoutMs)
        : this.config.connectTimeoutMs,
    );
    const reply = await multiplexer.call(probe).catch(() => undefined);
    clearTimeout(timer);
    let facts: UpstreamFacts | undefined;
    try {
      facts = reply === undefined ? undefined : judge(reply);
    } catch (thrown) {
      // Nobody else knows of this process.
      await channel.close();
      throw thrown;
    }
    if (facts !== undefined) {
      events = this.modernEvents(multiplexer);
      return {
        era: 'modern',
        facts,
        call: (call) => multiplexer.call(call),
        listen() {},
        close: () => channel.close(),
      };
    }
    if (era === 'modern') {
      await channel.close();
      throw new EraMismatch(
        `upstream ${JSON.stringify(this.name)} does not speak ${MODERN_REVISION}, which its configuration says${gone === undefined ? '' : `: ${gone}`}`,
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
      lost: (reason) => this.lost(reason),
    };
  }

  private async connectLegacy(openChannel: (events: ChannelEvents) => Channel): Promise<Shared> {
    let multiplexer: Multiplexer | undefined;
    const session: LegacySession = new LegacySession({
      name: this.name,
      openChannel,
      hello: OWN_HELLO,
      ownerSaysInitialized: false,
      events: {
        message: (bytes, envelope) => {
          if (envelope.kind === 'request') session.post(refusedAsk(bytes, envelope));
          else if (multiplexer?.deliver(bytes, envelope) !== true)
            this.events.notification(this, bytes, envelope);
        },
        renewed: () => this.events.stale(this, 'the upstream was initialised anew'),
        gap: () => this.events.stale(this, 'the stream of notifications was interrupted'),
        lost: (reason) => {
          // Over HTTP the session is made anew by the next request; a process is started again with backoff.
          if (this.connections.kind === 'stdio') {
            this.lost(reason);
            void session.close();
          } else this.events.stale(this, reason);
        },
      },
    });
    const timer = setTimeout(
      () => void session.close(),
      this.config.connectTimeoutMs + this.config.timeoutMs,
    );
    await session.open().finally(() => clearTimeout(timer));
    const result = session.result as NonNullable<LegacySession['result']>;
    multiplexer = new Multiplexer(session);
    const over = multiplexer;
    return {
      era: 'legacy',
      facts: {
        revision: result.protocolVersion,
        capabilities: result.capabilities,
        serverInfo: result.serverInfo,
        instructions: result.instructions,
      },
      call: (call) => over.call(call),
      listen: () => session.listen(),
      close: () => session.close(),
    };
  }
}

function isInputRequired({ bytes, envelope }: UpstreamReply): boolean {
  const type = envelope.resultType;
  return type !== undefined && bytes.latin1Slice(type.start, type.end) === '"input_required"';
}

/** An `input_required` result; undefined for other results that are not complete. */
function readInputRequired({
  bytes,
  envelope,
}: UpstreamReply): { inputs: Record<string, unknown> | undefined; state: string | undefined } | undefined {
  const result = parsed(bytes, envelope.result as Span) as {
    resultType?: unknown;
    inputRequests?: unknown;
    requestState?: unknown;
  };
  if (result.resultType !== 'input_required') return undefined;
  const inputs = result.inputRequests;
  return {
    inputs: typeof inputs === 'object' && inputs !== null ? (inputs as Record<string, unknown>) : undefined,
    state: typeof result.requestState === 'string' ? result.requestState : undefined,
  };
}

/** What an upstream says to a request of an era that it does not speak, as far as that can be told. */
function isRefusal(thrown: unknown): boolean {
  return thrown instanceof RpcError && thrown.code === ErrorCode.UpstreamBadAnswer;
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

/** On a shared connection nobody can tell whom an ask is for, so it is refused and never guessed. */
function refusedAsk(bytes: Buffer, envelope: Envelope): string {
  const id = envelope.id as Span;
  const idText = bytes.latin1Slice(id.start, id.end);
  if (envelope.method === 'ping') return `{"jsonrpc":"2.0","id":${idText},"result":{}}`;
  return `{"jsonrpc":"2.0","id":${idText},"error":{"code":${ErrorCode.MethodNotFound},"message":"this connection is shared by many clients and was initialised without client capabilities"}}`;
}

function edited(call: UpstreamCall): { bytes: Buffer; envelope: Envelope } {
  return call.edits.length === 0 ? call : rewritten(call.bytes, call.envelope, call.edits);
}

const LEVELS = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'];

function logLevelOf(call: UpstreamCall): string | undefined {
  return stringOf(call.bytes, call.envelope.metaLogLevel);
}

function passesLevel(bytes: Buffer, envelope: Envelope, wanted: string | undefined): boolean {
  if (wanted === undefined) return false;
  return LEVELS.indexOf(stringOf(bytes, envelope.level) ?? 'info') >= LEVELS.indexOf(wanted);
}
