/**
 * The legacy front: streamable HTTP of the revisions 2025-03-26 to 2025-11-25 (and of clients that speak
 * 2024-11-05 over it), with sessions, GET streams, DELETE, resumption and batches.
 */
import type { Caller } from '../../exchange/exchange.js';
import type { Reply, RequestHead } from '../../listener/listener.js';
import { ErrorCode, errorMessage, RpcError, resultMessage } from '../../protocol/errors.js';
import { isLegacyRevision, LATEST_LEGACY_REVISION } from '../../protocol/revisions.js';
import { binaryOf, binaryToBytes, jsonBinary, parsed } from '../../protocol/text.js';
import type { Message } from '../../protocol/translate.js';
import type { Endpoint } from '../endpoint.js';
import { accepts, JSON_HEADERS, refuse } from '../http-answers.js';
import { LegacySession } from './session.js';
import type { StreamLimits } from './stream.js';

export interface LegacyFrontSettings extends StreamLimits {
  readonly idleTimeoutMs: number;
  readonly maxSessionCount: number;
  readonly keepAliveMs: number;
}

export interface LegacyFrontOptions {
  readonly principal: string;
  /** The settings as they are now: they may change while the gateway runs. */
  readonly settings: () => LegacyFrontSettings;
  /** Makes the token that a client holds for a session. */
  readonly mintToken: (endpoint: Endpoint) => string;
  readonly onSessionEnd: (reason: string) => void;
  /** A request was answered with an error. */
  readonly onError: (endpoint: Endpoint, method: string, code: number) => void;
}

/** How often idle sessions and streams are looked after. */
const TICK_MS = 1_000;

export class LegacyFront {
  private readonly sessions = new Map<string, LegacySession>();
  /** Sessions whose `initialize` has not been answered. */
  private readonly opening = new Set<LegacySession>();
  /** Sessions of endpoints that are not there any more, until their requests have ended. */
  private readonly leaving = new Set<LegacySession>();
  private readonly streamLimits: StreamLimits;
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

  close(reason: string): void {
    clearTimeout(this.timer);
    for (const session of this.all()) this.end(session, reason);
  }

  /** Ends the sessions of an endpoint that is not there any more; requests under way end as they began. */
  closeEndpoint(endpoint: Endpoint, reason: string): void {
    for (const session of this.all()) {
      if (session.endpoint !== endpoint) continue;
      if (this.sessions.delete(session.token)) {
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
    const session = this.find(endpoint, head, reply, id);
    if (session === undefined) return;
    if (batch && session.caller.revision !== '2025-03-26') {
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
    const session = this.find(endpoint, head, reply, undefined);
    const fault = session?.listen(reply, head.headers['last-event-id']);
    if (fault !== undefined) refuse(reply, fault.status, ErrorCode.InvalidRequest, fault.reason);
  }

  delete(endpoint: Endpoint, head: RequestHead, reply: Reply): void {
    const session = this.find(endpoint, head, reply, undefined);
    if (session === undefined) return;
    this.end(session, 'ended by the client');
    reply.send(200, [], '');
  }

  /** The session that a request names. Answers by itself when there is none. */
  private find(
    endpoint: Endpoint,
    head: RequestHead,
    reply: Reply,
    id: string | undefined,
  ): LegacySession | undefined {
    const said = head.headers['mcp-protocol-version'];
    if (said !== undefined && !isLegacyRevision(said)) {
      refuse(
        reply,
        400,
        ErrorCode.InvalidRequest,
        `Bad Request: the header MCP-Protocol-Version says ${JSON.stringify(said.slice(0, 40))}, which a session does not speak`,
        id,
      );
      return undefined;
    }
    const token = head.headers['mcp-session-id'];
    if (token === undefined) {
      refuse(
        reply,
        400,
        ErrorCode.InvalidRequest,
        'Bad Request: the header Mcp-Session-Id is missing; a session begins with initialize',
        id,
      );
      return undefined;
    }
    const session = this.sessions.get(token);
    if (
      session === undefined ||
      session.endpoint !== endpoint ||
      session.caller.principal !== this.options.principal
    ) {
      refuse(
        reply,
        404,
        ErrorCode.SessionNotFound,
        'Session not found: it has ended or never was; begin a new one with initialize',
        id,
      );
      return undefined;
    }
    return session;
  }

  private initialize(endpoint: Endpoint, { bytes, envelope }: Message, id: string, reply: Reply): void {
    const params = (envelope.params === undefined ? {} : parsed(bytes, envelope.params)) as Record<
      string,
      unknown
    >;
    const requested = params.protocolVersion;
    if (
      typeof requested !== 'string' ||
      typeof params.capabilities !== 'object' ||
      params.capabilities === null
    ) {
      refuse(
        reply,
        400,
        ErrorCode.InvalidParams,
        'initialize needs `params.protocolVersion` (a string such as "2025-11-25") and `params.capabilities` (an object)',
        id,
      );
      return;
    }
    const revision = isLegacyRevision(requested) ? requested : LATEST_LEGACY_REVISION;
    const caller: Caller = {
      era: 'legacy',
      revision,
      principal: this.options.principal,
      capabilities: jsonBinary(params.capabilities),
      clientInfo: params.clientInfo === undefined ? undefined : jsonBinary(params.clientInfo),
      logLevel: undefined,
    };
    const session = new LegacySession(
      this.options.mintToken(endpoint),
      endpoint,
      caller,
      this.streamLimits,
      (ended, reason) => this.end(ended, reason),
      (method, code) => this.options.onError(endpoint, method, code),
    );
    this.opening.add(session);
    const paramsText = envelope.params === undefined ? '{}' : binaryOf(bytes, envelope.params);
    session.initialize(paramsText, revision).then(
      (result) => {
        this.opening.delete(session);
        const settled = readRevision(result) ?? revision;
        session.settle({ ...session.caller, revision: settled });
        this.makeRoom();
        this.sessions.set(session.token, session);
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

  /** The longest idle session makes room for a new one. */
  private makeRoom(): void {
    if (this.sessions.size < this.options.settings().maxSessionCount) return;
    let oldest: LegacySession | undefined;
    for (const session of this.sessions.values()) {
      if (
        oldest === undefined ||
        (oldest.busy && !session.busy) ||
        (oldest.busy === session.busy && session.lastUsedAt < oldest.lastUsedAt)
      ) {
        oldest = session;
      }
    }
    if (oldest !== undefined) this.end(oldest, 'made room for a new session');
  }

  private end(session: LegacySession, reason: string): void {
    if (this.sessions.get(session.token) === session) {
      this.sessions.delete(session.token);
      this.options.onSessionEnd(reason);
    }
    session.close();
  }

  private tick(): void {
    this.waitForTick();
    const now = Date.now();
    const { keepAliveMs, idleTimeoutMs } = this.options.settings();
    for (const session of this.sessions.values()) {
      session.tick(now, keepAliveMs);
      if (!session.busy && now - session.lastUsedAt > idleTimeoutMs) this.end(session, 'idle');
    }
  }
}

function readRevision(result: string): string | undefined {
  const { protocolVersion } = JSON.parse(Buffer.from(result, 'latin1').toString()) as {
    protocolVersion?: unknown;
  };
  return typeof protocolVersion === 'string' ? protocolVersion : undefined;
}
