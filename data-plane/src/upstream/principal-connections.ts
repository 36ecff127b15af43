/**
 * The connections to one legacy server that are shared, but never beyond one principal: a session there may hold state
 * that belongs to whoever uses it. They are made when somebody needs them, and end when nobody has for a while. What
 * the gateway itself asks goes over a connection of its own.
 */
import type { Logger } from 'pino';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import type { Era } from '../protocol/revisions.js';
import type { Envelope } from '../protocol/scan.js';
import { cancelledError, type UpstreamCall, type UpstreamReply } from './call.js';
import { KeptConnection } from './kept-connection.js';
import { LowestLevel } from './legacy/lowest-level.js';
import { changedList, LIST_KINDS, type ListKind, type UpstreamFacts } from './offers.js';
import { ownCall } from './own-request.js';
import type { Shared, SharedEvents } from './shared-connection.js';
import { type SubscribedUpstream, UpstreamSubscriptions, updatedUri } from './subscriptions.js';

/** Principals that one worker may have connections for at one upstream. */
export const MAX_PRINCIPAL_CONNECTION_COUNT = 500;
/** How long one stays that nobody uses. */
export const PRINCIPAL_IDLE_MS = 5 * 60_000;
const TICK_MS = 5_000;
/** Wait before what a principal watches is asked for anew, doubled up to the maximum. */
const REJOIN_MIN_MS = 500;
const REJOIN_MAX_MS = 30_000;

type ListListener = (kind: ListKind) => void;

/** The upstream as these connections see it. */
export interface PrincipalConnectionsHost {
  readonly name: string;
  readonly log: Logger;
  readonly facts: UpstreamFacts | undefined;
  /** See {@link KeptConnection}. */
  readonly backoffMaxMs: number | undefined;
  /** Begins a legacy session. Rejects with an RpcError, also when there may be no more connections. */
  connect(events: SharedEvents): Promise<Shared>;
  /** Asks over the gateway's own connection. */
  ask: SubscribedUpstream['ask'];
  /** What a principal is shown in its own session has changed. */
  ownListsChanged(kind: ListKind): void;
  /** A principal was told in its own session that a resource has changed. */
  resourceUpdated(uri: string): void;
}

export class PrincipalConnections {
  private readonly byPrincipal = new Map<string, PrincipalConnection>();
  /** Most calls are made for the same one as the call before. */
  private last: PrincipalConnection | undefined;
  /** Who wants to hear of a principal's own lists. */
  private readonly listeners = new Map<string, Set<ListListener>>();
  private timer: NodeJS.Timeout | undefined;
  private era: Era = 'legacy';

  constructor(private readonly host: PrincipalConnectionsHost) {}

  /** Sends a call of the legacy era. `level` is from where on it wants log messages, where that was said. */
  async call(principal: string, call: UpstreamCall, level: string | undefined): Promise<UpstreamReply> {
    return this.of(principal).call(call, level);
  }

  /** What the upstream tells this principal outside of calls. Throws an RpcError when there are too many connections. */
  subscriptionsOf(principal: string): UpstreamSubscriptions {
    return this.of(principal).subscriptions;
  }

  /** True when this principal has heard in its own session that a list has changed: it may be another than everybody's. */
  hasOwnLists(principal: string): boolean {
    return this.byPrincipal.get(principal)?.hasOwnLists === true;
  }

  /** Called back when a list changes in this principal's own session, while there is one. Returns how to stop that. */
  onListChanged(principal: string, listener: ListListener): () => void {
    const listeners = this.listeners.get(principal) ?? new Set();
    this.listeners.set(principal, listeners.add(listener));
    this.byPrincipal.get(principal)?.listen();
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.listeners.get(principal) === listeners)
        this.listeners.delete(principal);
    };
  }

  /** @internal */
  isListening(principal: string): boolean {
    return this.listeners.has(principal);
  }

  /** @internal */
  listChanged(principal: string, kind: ListKind): void {
    this.host.ownListsChanged(kind);
    for (const listener of [...(this.listeners.get(principal) ?? [])]) listener(kind);
  }

  /**
   * The upstream was found to speak an era. If that is another one than before, sessions are over, and what is watched
   * is asked for in the new one.
   */
  eraIs(era: Era): void {
    if (era === this.era) return;
    this.era = era;
    for (const connection of [...this.byPrincipal.values()]) connection.eraChanged(era);
  }

  /** Ends the one that nobody has used for longest; false when all are in use. */
  closeIdle(): boolean {
    return this.discardIdlest([...this.byPrincipal.values()].filter(({ isOpen }) => isOpen));
  }

  async close(): Promise<void> {
    clearInterval(this.timer);
    await Promise.all([...this.byPrincipal.values()].map((connection) => this.discard(connection)));
  }

  private of(principal: string): PrincipalConnection {
    if (this.last?.principal === principal) return this.last;
    let connection = this.byPrincipal.get(principal);
    if (connection === undefined) {
      if (this.byPrincipal.size >= MAX_PRINCIPAL_CONNECTION_COUNT) this.makeRoom();
      connection = new PrincipalConnection(principal, this.era, this.host, this);
      this.byPrincipal.set(principal, connection);
      this.timer ??= setInterval(() => this.tick(Date.now()), TICK_MS).unref();
    }
    this.last = connection;
    return connection;
  }

  private makeRoom(): void {
    if (this.discardIdlest([...this.byPrincipal.values()])) return;
    throw new RpcError(
      ErrorCode.Overloaded,
      `${MAX_PRINCIPAL_CONNECTION_COUNT} principals use upstream ${JSON.stringify(this.host.name)} on this worker, as many as may; the request was not sent`,
    );
  }

  /** False when all are in use. */
  private discardIdlest(connections: readonly PrincipalConnection[]): boolean {
    const idle = connections.filter(({ busy }) => !busy);
    const [first, ...others] = idle;
    if (first === undefined) return false;
    void this.discard(
      others.reduce((oldest, each) => (each.idleSince < oldest.idleSince ? each : oldest), first),
    );
    return true;
  }

  private tick(now: number): void {
    for (const connection of [...this.byPrincipal.values()])
      if (!connection.busy && now - connection.idleSince >= PRINCIPAL_IDLE_MS) void this.discard(connection);
    if (this.byPrincipal.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private discard(connection: PrincipalConnection): Promise<void> {
    this.byPrincipal.delete(connection.principal);
    if (this.last === connection) this.last = undefined;
    return connection.close();
  }
}

class PrincipalConnection implements SubscribedUpstream {
  private kept: KeptConnection;
  private readonly level = new LowestLevel((level) =>
    this.send(ownCall('logging/setLevel', { level }, false)),
  );
  private watching: UpstreamSubscriptions | undefined;
  private callCount = 0;
  private rejoining: NodeJS.Timeout | undefined;
  private rejoinCount = 0;
  private rejoinedAt = 0;
  private closed = false;
  /** The server has said in this session that a list has changed. */
  hasOwnLists = false;
  idleSince = Date.now();

  constructor(
    readonly principal: string,
    public era: Era,
    private readonly host: PrincipalConnectionsHost,
    private readonly all: PrincipalConnections,
  ) {
    this.kept = this.keep();
  }

  get busy(): boolean {
    return this.callCount > 0 || this.watching?.isWatching === true;
  }

  get isOpen(): boolean {
    return this.kept.current !== undefined;
  }

  async call(call: UpstreamCall, level: string | undefined): Promise<UpstreamReply> {
    this.callCount++;
    try {
      const shared = this.kept.current ?? (await this.kept.ensure());
      const hasLevels = level !== undefined && shared.facts.capabilities.logging !== undefined;
      const telling = hasLevels ? this.level.want(level) : undefined;
      if (telling !== undefined) await telling;
      // It may have taken long to get here; what was not sent yet need not be cancelled.
      if (call.cancellation.cancelled) throw cancelledError();
      return await shared.call(call);
    } finally {
      this.callCount--;
      this.idleSince = Date.now();
    }
  }

  get subscriptions(): UpstreamSubscriptions {
    this.watching ??= new UpstreamSubscriptions(this, this.host.log, () => {});
    return this.watching;
  }

  eraChanged(era: Era): void {
    this.era = era;
    const before = this.kept;
    this.kept = this.keep();
    void before.close();
    this.level.forget();
    this.forgetLists();
    if (this.watching?.isWatching === true) this.watching.start();
  }

  close(): Promise<void> {
    this.closed = true;
    this.forgetLists();
    clearTimeout(this.rejoining);
    this.watching?.stop();
    return this.kept.close();
  }

  // What its subscriptions need.

  get name(): string {
    return this.host.name;
  }

  get facts(): UpstreamFacts | undefined {
    return this.host.facts;
  }

  listen(): void {
    void this.kept.current?.listen();
  }

  async ask(...asked: Parameters<SubscribedUpstream['ask']>): Promise<UpstreamReply> {
    const [method, params] = asked;
    if (this.era === 'modern') return this.host.ask(...asked);
    // What a server tells before it is listened to is lost.
    await (await this.kept.ensure()).listen();
    return this.call(ownCall(method, params, false), undefined);
  }

  private async send(call: UpstreamCall): Promise<UpstreamReply> {
    return (await this.kept.ensure()).call(call);
  }

  private keep(): KeptConnection {
    const kept: KeptConnection = new KeptConnection({
      name: this.host.name,
      backoffMaxMs: this.host.backoffMaxMs,
      connect: async () => {
        const shared = await this.host.connect({
          notification: (bytes, envelope) => this.heard(bytes, envelope),
          stale: () => this.stale(),
          lost: (reason) => {
            kept.lost(reason);
            this.stale();
          },
        });
        if (this.all.isListening(this.principal)) await shared.listen();
        return shared;
      },
    });
    return kept;
  }

  private heard(bytes: Buffer, envelope: Envelope): void {
    const kind = changedList(envelope.method);
    if (kind === undefined) {
      const uri = updatedUri({ bytes, envelope });
      if (uri !== undefined) this.host.resourceUpdated(uri);
      this.watching?.heard(bytes, envelope);
      return;
    }
    this.hasOwnLists = true;
    this.all.listChanged(this.principal, kind);
  }

  /** A new session begins with the lists that everybody is shown. */
  private forgetLists(): void {
    if (!this.hasOwnLists) return;
    this.hasOwnLists = false;
    for (const kind of LIST_KINDS) this.all.listChanged(this.principal, kind);
  }

  private stale(): void {
    this.level.forget();
    this.forgetLists();
    this.rejoinLater();
  }

  /** What is watched has to be asked for anew, and may have changed meanwhile. */
  private rejoinLater(): void {
    if (this.closed || this.rejoining !== undefined || this.watching?.isWatching !== true) return;
    if (Date.now() - this.rejoinedAt > REJOIN_MAX_MS) this.rejoinCount = 0;
    const waitMs = Math.min(REJOIN_MIN_MS * 2 ** this.rejoinCount++, REJOIN_MAX_MS);
    this.rejoining = setTimeout(() => void this.rejoin(), Math.max(waitMs, this.kept.restartDelayMs));
    this.rejoining.unref();
  }

  private async rejoin(): Promise<void> {
    this.rejoinedAt = Date.now();
    // Whether there is a session again tells any request; it is made anew on the way, which is no news here.
    const reached = await this.send(ownCall('ping', {}, false)).then(
      () => true,
      () => false,
    );
    this.rejoining = undefined;
    if (!reached) this.rejoinLater();
    else if (!this.closed) this.watching?.start();
  }
}
