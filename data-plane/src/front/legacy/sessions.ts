/**
 * The sessions of one worker over streamable HTTP, from their beginning to their end. One that began at a worker which
 * is gone goes on here.
 */
import type { Admission, Caller } from '../../exchange/exchange.js';
import { ErrorCode, RpcError } from '../../protocol/errors.js';
import type { WorkerAddress } from '../../sessions/node-bus.js';
import type { SessionStore } from '../../sessions/store.js';
import { MAX_SESSION_AGE_MS, type SessionTokens, type TokenContent } from '../../sessions/tokens.js';
import type { Beginning } from '../duplex/connection.js';
import type { Endpoint, HeldBefore } from '../endpoint.js';
import { type Hello, settled } from '../handshake.js';
import type { SessionRoom } from '../session-room.js';
import { LegacySession, type LegacySessionEvents } from './session.js';
import type { StreamLimits } from './stream.js';

export interface LegacySessionSettings extends StreamLimits {
  /** A session in which nothing happens for so long ends. */
  readonly idleTimeoutMs: number;
  /** A stream on which nothing was said for so long gets a comment. */
  readonly keepAliveMs: number;
}

export interface LegacySessionsOptions {
  /** The settings as they are now: they may change while the gateway runs. */
  readonly settings: () => LegacySessionSettings;
  /** Where sessions have their places. */
  readonly room: SessionRoom;
  readonly tokens: SessionTokens;
  readonly store: SessionStore;
  /** This worker. */
  readonly self: WorkerAddress;
  readonly others: {
    /** False when nobody is there. */
    reaches(worker: WorkerAddress): boolean;
  };
  readonly onSessionEnd: (reason: string) => void;
  /** A request was answered with an error. */
  readonly onError: (endpoint: Endpoint, method: string, code: number) => void;
}

type MovableContent = TokenContent & { readonly capabilities: string };

/** A session may move again while it is looked for; who looks so often finds a cluster that falls apart. */
const MAX_CLAIM_COUNT = 4;
/** How often idle sessions and streams are looked after. */
const TICK_MS = 1_000;

export class LegacySessions {
  private readonly sessions = new Map<string, LegacySession>();
  /** Sessions whose `initialize` has not been answered. */
  private readonly opening = new Set<LegacySession>();
  /** Sessions that are being revived, by token: all requests for one wait for the same. */
  private readonly reviving = new Map<string, Promise<LegacySession | WorkerAddress | undefined>>();
  /** Sessions of endpoints that are not there any more, and those that others go on with, until their requests have ended. */
  private readonly leaving = new Set<LegacySession>();
  /** Tokens of sessions that go on here at another endpoint, and since when they wait for a request that says so. */
  private readonly released = new Map<string, number>();
  private readonly streamLimits: StreamLimits;
  /** One for all sessions: what each of them held by itself would be multiplied by their number. */
  private readonly sessionEvents: LegacySessionEvents = {
    ended: (session, reason) => this.end(session, reason),
    error: ({ endpoint }, method, code) => this.options.onError(endpoint, method, code),
    held: (session) => {
      if (this.sessions.get(session.token) === session) this.put(session);
    },
  };
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly options: LegacySessionsOptions) {
    const { settings } = options;
    this.streamLimits = {
      get replayMessageCount() {
        return settings().replayMessageCount;
      },
      get replayBytes() {
        return settings().replayBytes;
      },
    };
    options.store.onMoved((id, owner) => this.moved(id, owner));
    this.waitForTick();
  }

  private waitForTick(): void {
    const { keepAliveMs } = this.options.settings();
    const delayMs = Math.min(TICK_MS, Math.max(50, Math.floor(keepAliveMs / 2)));
    this.timer = setTimeout(() => this.tick(), delayMs).unref();
  }

  /** Ends everything here. In the store the sessions stay: another worker goes on with them. */
  close(reason: string): void {
    clearTimeout(this.timer);
    for (const session of this.all()) {
      if (this.forget(session)) this.options.onSessionEnd(reason);
      session.close();
    }
  }

  /** Ends the sessions of an endpoint that is not there any more; requests under way end as they began. */
  closeEndpoint(endpoint: Endpoint, reason: string): void {
    for (const session of this.all()) {
      if (session.endpoint !== endpoint) continue;
      if (this.forget(session)) {
        this.options.store.end(session.id);
        this.options.onSessionEnd(reason);
        this.retire(session);
      } else if (this.opening.has(session)) session.close();
    }
  }

  /** Sessions of an endpoint go on at another one at the same path, with the next request of each. */
  releaseEndpoint(endpoint: Endpoint, reason: string): void {
    const now = Date.now();
    for (const session of this.all()) {
      if (session.endpoint !== endpoint) continue;
      if (this.forget(session)) {
        this.released.set(session.token, now);
        this.options.onSessionEnd(reason);
        this.retire(session);
      } else if (this.opening.has(session)) session.close();
    }
  }

  private retire(session: LegacySession): void {
    this.leaving.add(session);
    void session.retire().then(() => this.leaving.delete(session));
  }

  private all(): LegacySession[] {
    return [...this.sessions.values(), ...this.opening, ...this.leaving];
  }

  /** Those that clients can reach. */
  get open(): Iterable<LegacySession> {
    return this.sessions.values();
  }

  /** Where the session of a token lives that is open here. */
  endpointOf(token: string): Endpoint | undefined {
    return this.sessions.get(token)?.endpoint;
  }

  /** The session that a token names, when it is of this worker and this principal. */
  get(endpoint: Endpoint, token: string | undefined, principal: string): LegacySession | undefined {
    const session = token === undefined ? undefined : this.sessions.get(token);
    return session?.endpoint === endpoint && session.caller.principal === principal ? session : undefined;
  }

  /** Begins a session. `result` is that of its `initialize` as JSON (binary text), or rejects with an RpcError. */
  begin(
    endpoint: Endpoint,
    hello: Hello,
    admission: Admission | undefined,
  ): { session: LegacySession; result: Promise<string> } {
    const session = this.make(endpoint, hello.caller, admission);
    return { session, result: this.initialize(session, hello) };
  }

  private async initialize(session: LegacySession, { params, caller: { revision } }: Hello): Promise<string> {
    this.opening.add(session);
    try {
      const result = await session.initialize(params, revision);
      const caller = settled(session.caller, result);
      session.name(caller, this.options.tokens.mint({ ...caller, path: session.endpoint.path }));
      this.add(session);
      this.put(session);
      return result;
    } catch (thrown) {
      session.close();
      throw thrown;
    } finally {
      this.opening.delete(session);
    }
  }

  /**
   * A session whose worker is gone, or the worker that has gone on with it already. Undefined when nobody can go on
   * with it for this principal, and resolves with undefined when it turns out to have ended. Rejects with an RpcError.
   */
  revive(
    endpoint: Endpoint,
    token: string,
    { principal, admission }: Pick<Beginning, 'principal' | 'admission'>,
  ): Promise<LegacySession | WorkerAddress | undefined> | undefined {
    const content = this.movable(endpoint, token, principal);
    if (content === undefined) return undefined;
    let reviving = this.reviving.get(token);
    if (reviving === undefined) {
      reviving = this.claim(endpoint, token, content, admission).finally(() => this.reviving.delete(token));
      this.reviving.set(token, reviving);
    }
    return reviving;
  }

  /** What a token of a session of another worker holds; undefined when nobody can go on with it. */
  private movable(endpoint: Endpoint, token: string, principal: string): MovableContent | undefined {
    const { tokens, self } = this.options;
    const content = tokens.open(token);
    // One that this worker has let go of is remembered as another one's.
    const isEndedHere = tokens.owner(token) === self && !this.released.has(token);
    if (content === undefined || isEndedHere || this.sessions.has(token)) return undefined;
    const { capabilities } = content;
    if (capabilities === undefined || content.path !== endpoint.path || content.principal !== principal)
      return undefined;
    return { ...content, capabilities };
  }

  private async claim(
    endpoint: Endpoint,
    token: string,
    content: MovableContent,
    admission: Admission | undefined,
  ): Promise<LegacySession | WorkerAddress | undefined> {
    const { self, store, others } = this.options;
    const { id, principal, revision, capabilities, clientInfo } = content;
    let from = content.owner;
    for (let count = 0; count < MAX_CLAIM_COUNT; count++) {
      const record = await store.claim(id, from, self);
      if (record === undefined) return undefined;
      if (record.owner === self) {
        const caller: Caller = {
          era: 'legacy',
          revision,
          principal,
          capabilities,
          clientInfo,
          logLevel: undefined,
        };
        return this.reopen(endpoint, caller, admission, { token, id }, record.held);
      }
      if (others.reaches(record.owner)) return record.owner;
      from = record.owner;
    }
    return undefined;
  }

  /** The handshake again, with what the client said the first time; it does not hear of it. */
  private async reopen(
    endpoint: Endpoint,
    caller: Caller,
    admission: Admission | undefined,
    named: { token: string; id: string },
    before: HeldBefore,
  ): Promise<LegacySession | undefined> {
    const session = this.make(endpoint, caller, admission, before);
    session.name(caller, named);
    this.opening.add(session);
    const info = caller.clientInfo ?? '{"name":"unknown","version":"0"}';
    const hello = `{"protocolVersion":"${caller.revision}","capabilities":${caller.capabilities},"clientInfo":${info}}`;
    try {
      await session.initialize(hello, caller.revision);
      this.add(session);
      // The worker that had it may be reached again, and knows it as this one's.
      this.options.tokens.remember(named.token, this.options.self);
      return session;
    } catch (thrown) {
      session.close();
      if (RpcError.from(thrown).code !== ErrorCode.SessionNotFound) throw thrown;
      this.options.store.end(named.id);
      return undefined;
    } finally {
      this.opening.delete(session);
    }
  }

  private make(
    endpoint: Endpoint,
    caller: Caller,
    admission: Admission | undefined,
    before?: HeldBefore,
  ): LegacySession {
    return new LegacySession(endpoint, caller, admission, this.streamLimits, this.sessionEvents, before);
  }

  private add(session: LegacySession): void {
    this.options.room.add(session);
    this.released.delete(session.token);
    this.sessions.set(session.token, session);
  }

  private put({ id, held }: LegacySession): void {
    this.options.store.put(id, { owner: this.options.self, held });
  }

  end(session: LegacySession, reason: string): void {
    if (this.forget(session)) {
      this.options.store.end(session.id);
      this.options.onSessionEnd(reason);
    }
    session.close();
  }

  /** False when it was none that a client can reach. */
  private forget(session: LegacySession): boolean {
    if (this.sessions.get(session.token) !== session) return false;
    this.options.room.delete(session);
    return this.sessions.delete(session.token);
  }

  /** Another worker goes on with it: this one stops, or was cut off and taken for gone. */
  private moved(id: string, owner: WorkerAddress | undefined): void {
    if (owner === this.options.self) return;
    for (const session of this.sessions.values()) {
      if (session.id !== id) continue;
      if (owner !== undefined) this.options.tokens.remember(session.token, owner);
      this.forget(session);
      this.options.onSessionEnd('another node has it');
      this.retire(session);
      return;
    }
  }

  private tick(): void {
    this.waitForTick();
    const now = Date.now();
    const { keepAliveMs, idleTimeoutMs } = this.options.settings();
    for (const session of this.sessions.values()) {
      session.tick(now, keepAliveMs);
      if (!session.busy && now - session.lastUsedAt > idleTimeoutMs) this.end(session, 'idle');
      else if (now - session.beganAt > MAX_SESSION_AGE_MS) this.end(session, 'too old');
    }
    for (const [token, releasedAt] of this.released) {
      if (now - releasedAt <= idleTimeoutMs) continue;
      this.released.delete(token);
      const id = this.options.tokens.open(token)?.id;
      if (id !== undefined) this.options.store.end(id);
    }
  }
}
