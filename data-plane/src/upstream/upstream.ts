/**
 * One MCP server behind the gateway: which era it speaks, what it offers, and the connections to it that are
 * shared. Whoever calls speaks its own era; the translation to the upstream's happens here.
 */
import type { ResolvedUpstream } from '@sluice/proto';
import type { Logger } from 'pino';
import { ANONYMOUS, type Caller, type Cancellation } from '../exchange/exchange.js';
import { ErrorCode, RpcError, resultMessage } from '../protocol/errors.js';
import type { Era } from '../protocol/revisions.js';
import { type Envelope, scanMessage } from '../protocol/scan.js';
import { binaryToBytes, stringOf } from '../protocol/text.js';
import type { WorkerAddress } from '../sessions/node-bus.js';
import type { Sealer } from '../sessions/seal.js';
import {
  BecameLegacy,
  cancelledError,
  EraMismatch,
  idOf,
  type UpstreamCall,
  type UpstreamReply,
} from './call.js';
import { type Connections, makeConnections } from './connection.js';
import { type LegacyServer, legacyToModern, modernToLegacy, withLogLevel } from './crossing.js';
import { DedicatedChannels } from './dedicated-channel.js';
import { KeptConnection } from './kept-connection.js';
import { LowestLevel } from './legacy/lowest-level.js';
import { type HeldSession, LegacySession, type LegacySessionEvents } from './legacy/session.js';
import { changedList, type ListKind, type UpstreamFacts } from './offers.js';
import { ownCall } from './own-request.js';
import type { ParkedAccount } from './parked/parked-account.js';
import { ParkedCalls } from './parked/parked-calls.js';
import { PrincipalConnections, type PrincipalConnectionsHost } from './principal-connections.js';
import { OWN_HELLO, type Shared, SharedConnector } from './shared-connection.js';
import { type UpstreamSubscriptions, updatedUri } from './subscriptions.js';
import type { EgressPolicy } from './transport/egress-policy.js';
import { type TransportTraits, traitsOf } from './transport-traits.js';

const UNHEARD: LegacySessionEvents = { message() {}, renewed() {}, gap() {}, lost() {} };

export interface UpstreamEvents {
  /** A notification that belongs to no call: `list_changed`, `resources/updated`. */
  notification(upstream: Upstream, bytes: Buffer, envelope: Envelope): void;
  /** A list may have changed that it shows to clients of a principal that can be asked; undefined: any of its lists. */
  offerChanged(upstream: Upstream, principal: string, kind: ListKind | undefined): void;
  /** A session that is not the gateway's own has heard that a list has changed, or the one resource. */
  heardApart(upstream: Upstream, kind: ListKind, uri?: string): void;
  /** The shared connection was lost or may have missed something: what was known may be stale. */
  stale(upstream: Upstream, reason: string): void;
}

/** What an upstream needs of the worker that it belongs to. */
export interface UpstreamHost {
  readonly egress: EgressPolicy;
  /** The egress settings as text, to tell whether they changed. */
  readonly egressText: string;
  readonly events: UpstreamEvents;
  readonly log: Logger;
  readonly sealer: Sealer;
  /** The worker that it belongs to. */
  readonly worker: WorkerAddress;
  /** What the parked calls of the worker may take together. */
  readonly parked: ParkedAccount;
  /** Connects to the worker that has the shared process; resolves with undefined when it is this one. */
  readonly elsewhere: ((lost: (reason: string) => void) => Promise<Shared | undefined>) | undefined;
}

export class Upstream {
  readonly id: string;
  readonly name: string;
  /** What its transport can do. */
  readonly traits: TransportTraits;
  /** The egress settings that its connections obey, as text. */
  readonly egressText: string;
  private readonly events: UpstreamEvents;
  private readonly log: Logger;
  /** Counts how often a list has changed in a session of one principal. */
  ownListChangeCount = 0;
  private readonly connections: Connections;
  private readonly parked: ParkedCalls | undefined;
  /** The gateway's own, and that of all where there can be no others. */
  private readonly shared: KeptConnection;
  /** Those to a legacy server that keeps its callers apart; undefined where one connection is everybody's. */
  private readonly principals: PrincipalConnections | undefined;
  /** Of the shared connection to a legacy server. */
  private readonly level = new LowestLevel((level) => this.ask('logging/setLevel', { level }));
  /** True once every `initialize` was refused: then legacy clients are served by translation. */
  private legacyRefused = false;
  private readonly dedicated: DedicatedChannels;

  constructor(
    readonly config: ResolvedUpstream,
    host: UpstreamHost,
  ) {
    this.id = config.id;
    this.name = config.name;
    this.events = host.events;
    this.log = host.log;
    this.egressText = host.egressText;
    this.traits = traitsOf(config.transport);
    this.connections = makeConnections(config, host.egress, {
      stderr: (line) => this.log.debug({ upstream: this.name, stderr: line }, 'upstream wrote to stderr'),
      badMessage: (fault) =>
        this.log.debug({ upstream: this.name, fault }, 'upstream sent a message that is not JSON-RPC'),
    });
    this.dedicated = new DedicatedChannels(
      this.name,
      this.connections,
      () => this.parked?.closeIdle() === true || this.principals?.closeIdle() === true,
    );
    const connector = new SharedConnector(config, this.connections, {
      notification: (bytes, envelope) => this.events.notification(this, bytes, envelope),
      stale: (reason) => {
        this.level.forget();
        this.events.stale(this, reason);
      },
      lost: (reason) => this.lost(reason),
    });
    const { elsewhere } = host;
    this.shared = new KeptConnection({
      name: this.name,
      backoffMaxMs: this.connections.backoffMaxMs,
      connect: async () => {
        const lost = (reason: string) => this.lost(reason);
        const shared = (await elsewhere?.(lost)) ?? (await connector.connect());
        this.principals?.eraIs(shared.era);
        return shared;
      },
    });
    // Where many share the only connection nobody can tell which call asks.
    if (this.traits.canHaveOwnSessions) {
      this.parked = new ParkedCalls({
        upstreamId: config.id,
        upstreamName: config.name,
        sealer: host.sealer,
        worker: host.worker,
        account: host.parked,
        tiesMessagesToRequests: this.traits.hasOwnStreams,
        openChannel: this.dedicated.open,
        offerChanged: (principal, kind) => this.events.offerChanged(this, principal, kind),
      });
      this.principals = new PrincipalConnections(this.ofPrincipals());
    }
  }

  /** True when this principal may be shown other lists than everybody, in a session of its own. */
  hasOwnLists(principal: string): boolean {
    return this.principals?.hasOwnLists(principal) === true;
  }

  /** Called back when a list changes in a session of this principal's own. Returns how to stop that. */
  onOwnListChanged(principal: string, listener: (kind: ListKind) => void): () => void {
    return this.principals?.onListChanged(principal, listener) ?? (() => {});
  }

  private ofPrincipals(): PrincipalConnectionsHost {
    const upstream = this;
    return {
      name: this.name,
      log: this.log,
      backoffMaxMs: this.connections.backoffMaxMs,
      get facts() {
        return upstream.facts;
      },
      connect: (events) =>
        new SharedConnector(this.config, this.connections, events).connectLegacy(this.dedicated.open),
      ask: (...asked) => this.ask(...asked),
      ownListsChanged: (kind) => {
        this.ownListChangeCount++;
        this.events.heardApart(this, kind);
      },
      resourceUpdated: (uri) => this.events.heardApart(this, 'resources', uri),
    };
  }

  /** What the upstream said of itself, when it has been reached. */
  get facts(): UpstreamFacts | undefined {
    return this.shared.current?.facts;
  }

  get era(): Era | undefined {
    return this.shared.current?.era;
  }

  /** Probes and connects when that has not happened. */
  async open(): Promise<UpstreamFacts> {
    return (await this.shared.ensure()).facts;
  }

  /**
   * Sends a client's call over the shared connection, in whatever era the upstream speaks, and resolves with the
   * response in the caller's era. Rejects with an RpcError, and with {@link BecameLegacy} when a legacy client had better
   * have a session of its own.
   */
  async call(call: UpstreamCall, caller: Caller): Promise<UpstreamReply> {
    const shared = this.shared.current ?? (await this.shared.ensure());
    // It may have taken long to get here; what was not sent yet need not be cancelled.
    if (call.cancellation.cancelled) throw cancelledError();
    const telling = this.wantLevel(shared, call, caller);
    if (telling !== undefined) await telling;
    try {
      return await this.callIn(shared, call, caller);
    } catch (thrown) {
      // A server that does not speak the era has not run the request, so that it may be sent again.
      const again = await this.connectAnew(shared, thrown);
      if (again.era === 'legacy' && caller.era === 'legacy' && this.traits.canHaveOwnSessions)
        throw new BecameLegacy(this.name);
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
    const own = ({ era }: Shared) => ownCall(method, params, era === 'modern', onNotification, cancellation);
    const shared = this.shared.current ?? (await this.shared.ensure());
    try {
      return await shared.call(own(shared));
    } catch (thrown) {
      const again = await this.connectAnew(shared, thrown);
      return again.call(own(again));
    }
  }

  listen(): void {
    void this.shared.current?.listen();
  }

  /**
   * What this principal is told outside of calls, where that may be something else than what others are told. Throws
   * an RpcError when there are too many of them.
   */
  subscriptionsOf(principal: string): UpstreamSubscriptions | undefined {
    return this.era === 'legacy' ? this.apart(principal)?.subscriptionsOf(principal) : undefined;
  }

  /**
   * The connections among which this principal has its own; undefined when it uses the gateway's. A process of the
   * gateway's own runs once, where those of principals run on each worker: whoever has not said who it is has one
   * process to itself and the gateway, whatever worker it comes to.
   */
  private apart(principal: string): PrincipalConnections | undefined {
    return this.traits.sharedAcrossWorkers && principal === ANONYMOUS ? undefined : this.principals;
  }

  /** Sends a call in the upstream's own era, for a worker that has no connection of its own. */
  async callAsItIs(call: UpstreamCall): Promise<UpstreamReply> {
    const shared = await this.shared.ensure();
    if (call.method !== 'logging/setLevel') return shared.call(call);
    // The level of another worker's clients counts with that of ours.
    await this.level.want(stringOf(call.bytes, call.envelope.level) ?? '');
    const bytes = binaryToBytes(resultMessage(idOf(call), '{}'));
    return { bytes, envelope: scanMessage(bytes) };
  }

  /** Has a legacy server told which messages this call is for; undefined when it knows, or has no levels. */
  private wantLevel(shared: Shared, call: UpstreamCall, caller: Caller): Promise<unknown> | undefined {
    if (shared.era !== 'legacy' || this.apart(caller.principal) !== undefined) return undefined;
    const level = levelOf(call, caller);
    return level === undefined || shared.facts.capabilities.logging === undefined
      ? undefined
      : this.level.want(level);
  }

  /** True when a legacy client can have a session of its own with this upstream. */
  async offersOwnSessions(): Promise<boolean> {
    const { canHaveOwnSessions, sharedAcrossWorkers } = this.traits;
    if (!canHaveOwnSessions || this.config.era === 'modern' || this.legacyRefused) return false;
    // Where a connection is dear none is made to find out that the upstream has no legacy sessions.
    return !sharedAcrossWorkers || (await this.shared.ensure()).era === 'legacy';
  }

  /**
   * A session of one client's own, not opened yet.
   *
   * @param hello `params` of its `initialize` as JSON (binary text).
   */
  ownSession(
    hello: string,
    events: LegacySessionEvents,
    ownerSaysInitialized: boolean,
    before?: HeldSession,
  ): LegacySession {
    return new LegacySession({
      name: this.config.name,
      hello,
      ownerSaysInitialized,
      before,
      events: {
        message: (bytes, envelope) => {
          const uri = updatedUri({ bytes, envelope });
          const kind = uri === undefined ? changedList(envelope.method) : 'resources';
          if (kind !== undefined) this.events.heardApart(this, kind, uri);
          events.message(bytes, envelope);
        },
        renewed: () => events.renewed(),
        gap: () => events.gap(),
        lost: (reason) => events.lost(reason),
      },
      openChannel: this.dedicated.open,
    });
  }

  /**
   * A client's `initialize` failed. True when the upstream refuses every `initialize`: then legacy clients are served
   * by translation from now on. What one client says in its own must not decide that for the others, so the gateway
   * asks with words of its own.
   */
  async refusesInitialize(thrown: unknown): Promise<boolean> {
    if (!isRefusal(thrown) || (await this.shared.ensure()).era !== 'modern') return false;
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
    const closing = this.shared.close();
    this.parked?.close();
    await Promise.all([closing, this.principals?.close(), this.dedicated.close()]);
    this.connections.close();
  }

  private callIn(shared: Shared, call: UpstreamCall, caller: Caller): Promise<UpstreamReply> {
    if (shared.era === 'modern')
      return caller.era === 'modern' ? shared.call(call) : legacyToModern(shared, call, caller, this.name);
    const principals = this.apart(caller.principal);
    const over: LegacyServer =
      principals === undefined
        ? shared
        : {
            facts: shared.facts,
            call: (each) => principals.call(caller.principal, each, levelOf(call, caller)),
          };
    if (caller.era === 'modern') return modernToLegacy(over, call, caller, this.parked);
    // Of the clients that share a legacy connection each has set its own level, and none of them at the server.
    return over.call(caller.logLevel === undefined ? call : withLogLevel(call, caller.logLevel));
  }

  /** The connection after an upstream has come to speak the other era. Rejects with what was thrown when it has not. */
  private async connectAnew(stale: Shared, thrown: unknown): Promise<Shared> {
    if (!(thrown instanceof EraMismatch)) throw thrown;
    const again = await this.probeAnew(stale);
    if (again.era === stale.era) throw thrown;
    this.events.stale(this, `the upstream has come to speak the ${again.era} era`);
    return again;
  }

  private async probeAnew(stale: Shared): Promise<Shared> {
    if (this.shared.forget(stale)) {
      this.legacyRefused = false;
      await stale.close();
      this.log.info(
        { upstream: this.name, era: stale.era },
        'upstream does not speak the era that it spoke; probing anew',
      );
    }
    return this.shared.ensure();
  }

  /** Time until the shared connection may be made again, in milliseconds. */
  get restartDelayMs(): number {
    return this.shared.restartDelayMs;
  }

  /** Ends the shared connection; the next one may be another node's. */
  letGo(reason: string): void {
    const { current } = this.shared;
    if (current === undefined) return;
    this.lost(reason);
    void current.close();
  }

  private lost(reason: string): void {
    this.level.forget();
    this.shared.lost(reason);
    this.events.stale(this, reason);
  }
}

/** From where on a client wants log messages, where it has said so. */
function levelOf(call: UpstreamCall, caller: Caller): string | undefined {
  return caller.era === 'legacy' ? caller.logLevel : stringOf(call.bytes, call.envelope.metaLogLevel);
}

function isRefusal(thrown: unknown): boolean {
  return (
    thrown instanceof EraMismatch ||
    (thrown instanceof RpcError && thrown.code === ErrorCode.UpstreamBadAnswer)
  );
}
