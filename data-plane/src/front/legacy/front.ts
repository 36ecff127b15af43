/**
 * The legacy front: streamable HTTP of the revisions 2025-03-26 to 2025-11-25 (and of clients that speak
 * 2024-11-05 over it), with sessions, GET streams, DELETE, resumption and batches.
 */
import type { Caller } from '../../exchange/exchange.js';
import type { Reply, RequestHead } from '../../listener/listener.js';
import { hasBatches } from '../../protocol/batch.js';
import { ErrorCode, errorMessage, RpcError, resultMessage } from '../../protocol/errors.js';
import { isLegacyRevision } from '../../protocol/revisions.js';
import { binaryOf, binaryToBytes } from '../../protocol/text.js';
import type { Message } from '../../protocol/translate.js';
import type { WorkerAddress } from '../../sessions/node-bus.js';
import type { SessionStore } from '../../sessions/store.js';
import { MAX_SESSION_AGE_MS, type SessionTokens, type TokenContent } from '../../sessions/tokens.js';
import type { Endpoint, HeldBefore } from '../endpoint.js';
import { readHello, settled } from '../handshake.js';
import { accepts, JSON_HEADERS, refuse } from '../http-answers.js';
import type { SessionRoom } from '../session-room.js';
import { LegacySession, type LegacySessionEvents } from './session.js';
import type { StreamLimits } from './stream.js';

export interface LegacyFrontSettings extends StreamLimits {
  readonly idleTimeoutMs: number;
  readonly keepAliveMs: number;
}

export interface LegacyFrontOptions {
  readonly principal: string;
  /** The settings as they are now: they may change while the gateway runs. */
  readonly settings: () => LegacyFrontSettings;
  /** Where sessions have their places. */
  readonly room: SessionRoom;
  readonly tokens: SessionTokens;
  readonly store: SessionStore;
  /** This worker. */
  readonly self: WorkerAddress;
  /** The other workers, of this node and of others. */
  readonly others: OtherWorkers;
  readonly onSessionEnd: (reason: string) => void;
  /** A request was answered with an error. */
  readonly onError: (endpoint: Endpoint, method: string, code: number) => void;
}

export interface OtherWorkers {
  /** False when nobody is there. */
  reaches(worker: WorkerAddress): boolean;
  /** Hands a request over; false when nobody is there. */
  forward(worker: WorkerAddress, head: RequestHead, body: Buffer, reply: Reply): boolean;
}

/** A request for a session, of which nobody knows yet who has it. */
interface Arrival {
  readonly endpoint: Endpoint;
  readonly head: RequestHead;
  readonly body: Buffer;
  /** Of the request, as JSON text. */
  readonly id: string | undefined;
  readonly reply: Reply;
}

type MovableContent = TokenContent & { readonly capabilities: string };

/** A session may move again while it is looked for; who looks so often finds a cluster that falls apart. */
const MAX_CLAIM_COUNT = 4;

const NO_BODY = Buffer.alloc(0);
/** How often idle sessions and streams are looked after. */
const TICK_MS = 1_000;

export class LegacyFront {
  private readonly sessions = new Map<string, LegacySession>();
  /** Sessions whose `initialize` has not been answered. */
  private readonly opening = new Set<LegacySession>();
  /** Sessions that are being revived, by token: all requests for one wait for the same. */
  private readonly reviving = new Map<string, Promise<LegacySession | WorkerAddress | undefined>>();
  /** Sessions of endpoints that are not there any more, until their requests have ended. */
  private readonly leaving = new Set<LegacySession>();
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

  constructor(private readonly options: LegacyFrontOptions) {
    const { settings } = options;
    this.streamLimits = {
      get replayMessageCount() {
        return settings().replayMessageCount;
      },
      get replayBytes() {
        return settings().replayBytes;
      },
    };
    this.waitForTick();
  }

  private waitForTick(): void {
    const { keepAliveMs } = this.options.settings();
    const delayMs = Math.min(TICK_MS, Math.max(50, Math.floor(keepAliveMs / 2)));
    this.timer = setTimeout(() => this.tick(), delayMs).unref();
  }

  get sessionCount(): number {
    return this.sessions.size;
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
        this.leaving.add(session);
        void session.retire().then(() => this.leaving.delete(session));
      } else if (this.opening.has(session)) session.close();
    }
  }

  private all(): LegacySession[] {
    return [...this.sessions.values(), ...this.opening, ...this.leaving];
  }

  post(
    endpoint: Endpoint,
    head: RequestHead,
    messages: readonly Message[],
    batch: boolean,
    reply: Reply,
  ): void {
    const first = messages[0] as Message;
    const id = first.envelope.id === undefined ? undefined : binaryOf(first.bytes, first.envelope.id);
    const accept = head.headers.accept;
    const mayStream = accepts(accept, 'text/event-stream');
    if (!accepts(accept, 'application/json') && !mayStream) {
      refuse(
        reply,
        406,
        ErrorCode.InvalidRequest,
        'the header Accept must take application/json and text/event-stream',
        id,
      );
      return;
    }
    if (messages.some(({ envelope }) => envelope.kind === 'request' && envelope.method === 'initialize')) {
      if (batch)
        refuse(
          reply,
          400,
          ErrorCode.InvalidRequest,
          'initialize is not part of a batch (2025-03-26, basic/lifecycle)',
          id,
        );
      else this.initialize(endpoint, first, id as string, reply);
      return;
    }
    const session = this.known(endpoint, head);
    if (session !== undefined) this.deliver(session, messages, batch, mayStream, head, reply, id);
    else
      this.seek({ endpoint, head, body: first.bytes, id, reply }, (found) =>
        this.deliver(found, messages, batch, mayStream, head, reply, id),
      );
  }

  private deliver(
    session: LegacySession,
    messages: readonly Message[],
    batch: boolean,
    mayStream: boolean,
    head: RequestHead,
    reply: Reply,
    id: string | undefined,
  ): void {
    if (batch && !hasBatches(session.caller.revision)) {
      refuse(
        reply,
        400,
        ErrorCode.InvalidRequest,
        `revision ${session.caller.revision} has no batches; send one message in each POST`,
        id,
      );
      return;
    }
    session.post(messages, batch, mayStream, head.headers, reply);
  }

  get(endpoint: Endpoint, head: RequestHead, reply: Reply): void {
    if (!accepts(head.headers.accept, 'text/event-stream')) {
      refuse(reply, 406, ErrorCode.InvalidRequest, 'the header Accept must take text/event-stream');
      return;
    }
    this.seek({ endpoint, head, body: NO_BODY, id: undefined, reply }, (session) => {
      const fault = session.listen(reply, head.headers['last-event-id']);
      if (fault !== undefined) refuse(reply, fault.status, ErrorCode.InvalidRequest, fault.reason);
    });
  }

  delete(endpoint: Endpoint, head: RequestHead, reply: Reply): void {
    this.seek({ endpoint, head, body: NO_BODY, id: undefined, reply }, (session) => {
      this.end(session, 'ended by the client');
      reply.send(200, [], '');
    });
  }

  /** The session of a request that names one of this worker rightly; undefined for all other requests. */
  private known(endpoint: Endpoint, { headers }: RequestHead): LegacySession | undefined {
    const said = headers['mcp-protocol-version'];
    if (said !== undefined && !isLegacyRevision(said)) return undefined;
    const session = this.sessions.get(headers['mcp-session-id'] ?? '');
    return session?.endpoint === endpoint && session.caller.principal === this.options.principal
      ? session
      : undefined;
  }

  /** Finds the session of a request, here or where it went, and revives it when its worker is gone. */
  private seek(arrival: Arrival, use: (session: LegacySession) => void): void {
    const { endpoint, head, body, id, reply } = arrival;
    const known = this.known(endpoint, head);
    if (known !== undefined) {
      use(known);
      return;
    }
    const said = head.headers['mcp-protocol-version'];
    if (said !== undefined && !isLegacyRevision(said)) {
      const what = `the header MCP-Protocol-Version says ${JSON.stringify(said.slice(0, 40))}, which a session does not speak`;
      refuse(reply, 400, ErrorCode.InvalidRequest, `Bad Request: ${what}`, id);
      return;
    }
    const token = head.headers['mcp-session-id'];
    if (token === undefined) {
      const what = 'the header Mcp-Session-Id is missing; a session begins with initialize';
      refuse(reply, 400, ErrorCode.InvalidRequest, `Bad Request: ${what}`, id);
      return;
    }
    const { tokens, others } = this.options;
    const unknown = () =>
      refuse(
        reply,
        404,
        ErrorCode.SessionNotFound,
        'Session not found: it has ended or never was; begin a new one with initialize',
        id,
      );
    const content = this.movable(endpoint, token);
    if (content === undefined) {
      unknown();
      return;
    }
    this.revive(endpoint, token, content).then(
      (found) => {
        if (!reply.open) return;
        if (found === undefined) unknown();
        else if (typeof found !== 'string') use(found);
        else if (others.forward(found, head, body, reply)) tokens.remember(token, found);
        else unknown();
      },
      (thrown: unknown) => {
        if (reply.open) reply.send(200, JSON_HEADERS, binaryToBytes(errorMessage(id, RpcError.from(thrown))));
      },
    );
  }

  /** A session whose worker is gone, or the worker that has gone on with it already; undefined when it has ended. */
  private revive(
    endpoint: Endpoint,
    token: string,
    content: MovableContent,
  ): Promise<LegacySession | WorkerAddress | undefined> {
    let reviving = this.reviving.get(token);
    if (reviving === undefined) {
      reviving = this.claim(endpoint, token, content).finally(() => this.reviving.delete(token));
      this.reviving.set(token, reviving);
    }
    return reviving;
  }

  /** What a token of a session of another worker holds; undefined when nobody can go on with it. */
  private movable(endpoint: Endpoint, token: string): MovableContent | undefined {
    const { tokens, principal, self } = this.options;
    const content = tokens.open(token);
    if (content === undefined || content.owner === self || this.sessions.has(token)) return undefined;
    const { capabilities } = content;
    if (capabilities === undefined || content.path !== endpoint.path || content.principal !== principal)
      return undefined;
    return { ...content, capabilities };
  }

  private async claim(
    endpoint: Endpoint,
    token: string,
    content: MovableContent,
  ): Promise<LegacySession | WorkerAddress | undefined> {
    const { principal, self, store, others } = this.options;
    const { id, revision, capabilities, clientInfo } = content;
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
        return this.reopen(endpoint, caller, { token, id }, record.held);
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
    named: { token: string; id: string },
    before: HeldBefore,
  ): Promise<LegacySession | undefined> {
    const session = this.make(endpoint, caller, before);
    session.name(caller, named);
    this.opening.add(session);
    const info = caller.clientInfo ?? '{"name":"unknown","version":"0"}';
    const hello = `{"protocolVersion":"${caller.revision}","capabilities":${caller.capabilities},"clientInfo":${info}}`;
    try {
      await session.initialize(hello, caller.revision);
      this.add(session);
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

  private initialize(endpoint: Endpoint, message: Message, id: string, reply: Reply): void {
    const hello = readHello(message, this.options.principal);
    if (hello instanceof RpcError) {
      refuse(reply, 400, hello.code, hello.message, id);
      return;
    }
    const session = this.make(endpoint, hello.caller);
    this.opening.add(session);
    session.initialize(hello.params, hello.caller.revision).then(
      (result) => {
        this.opening.delete(session);
        const caller = settled(session.caller, result);
        session.name(caller, this.options.tokens.mint({ ...caller, path: endpoint.path }));
        this.add(session);
        this.put(session);
        reply.send(
          200,
          [...JSON_HEADERS, ['mcp-session-id', session.token]],
          binaryToBytes(resultMessage(id, result)),
        );
      },
      (thrown: unknown) => {
        this.opening.delete(session);
        session.close();
        reply.send(200, JSON_HEADERS, binaryToBytes(errorMessage(id, RpcError.from(thrown))));
      },
    );
    // A client that leaves before the answer never learns the token: nobody could end the session but its idleness.
    reply.onAborted(() => this.end(session, 'the client left during initialize'));
  }

  private make(endpoint: Endpoint, caller: Caller, before?: HeldBefore): LegacySession {
    return new LegacySession(endpoint, caller, this.streamLimits, this.sessionEvents, before);
  }

  private add(session: LegacySession): void {
    this.options.room.add(session);
    this.sessions.set(session.token, session);
  }

  private put({ id, held }: LegacySession): void {
    this.options.store.put(id, { owner: this.options.self, held });
  }

  private end(session: LegacySession, reason: string): void {
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

  private tick(): void {
    this.waitForTick();
    const now = Date.now();
    const { keepAliveMs, idleTimeoutMs } = this.options.settings();
    for (const session of this.sessions.values()) {
      session.tick(now, keepAliveMs);
      if (!session.busy && now - session.lastUsedAt > idleTimeoutMs) this.end(session, 'idle');
      else if (now - session.beganAt > MAX_SESSION_AGE_MS) this.end(session, 'too old');
    }
  }
}
