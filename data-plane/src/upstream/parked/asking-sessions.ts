/**
 * The upstream sessions of one upstream in which a client may be asked: made with that client's capabilities, and
 * shared only within one principal and one set of capabilities.
 *
 * Where the transport says with which request a message came, calls share a session; what comes outside of requests
 * is the only call's, if there is only one. Where the transport does not say it (pipes, a WebSocket, legacy SSE),
 * nobody could tell which of several calls asks, and nobody guesses: there each session carries one call at a time,
 * and waits for the next one when the call has ended properly.
 */

import type { Caller } from '../../exchange/exchange.js';
import { ErrorCode, errorMessage, RpcError, resultMessage } from '../../protocol/errors.js';
import { idKey } from '../../protocol/ids.js';
import { LATEST_LEGACY_REVISION, MODERN_REVISION } from '../../protocol/revisions.js';
import type { Envelope, Span } from '../../protocol/scan.js';
import { jsonBinary } from '../../protocol/text.js';
import { notTranslatable, questionOutsideCall } from '../../protocol/untranslatable.js';
import type { Channel, ChannelEvents, ChannelRequest, ChannelSink } from '../channel.js';
import { LowestLevel } from '../legacy/lowest-level.js';
import { LegacySession } from '../legacy/session.js';
import { changedList, type ListKind } from '../offers.js';
import type { OwnFields } from '../own-fields.js';
import { GATEWAY_INFO } from '../own-request.js';

/** Sessions that are shared, of one upstream: one for each principal and set of capabilities. */
const MAX_SHARED_SESSION_COUNT = 500;
/** Of these, those of one principal, who may declare as many sets as it likes. */
export const MAX_SHARED_SESSION_PER_PRINCIPAL_COUNT = 64;
/** How long a session stays without a call. */
export const SESSION_IDLE_MS = 5 * 60_000;

const ASKED_BY_ANYBODY = new RpcError(
  ErrorCode.InvalidRequest,
  'several calls are under way or were given up, and nobody can tell which one asks; ask on the stream of the call',
);

export interface AskingSessionsOptions {
  readonly upstreamName: string;
  /** True when the transport says with which request a message came. */
  readonly tiesMessagesToRequests: boolean;
  /** Throws an RpcError when there may be no more connections. */
  openChannel(events: ChannelEvents): Channel;
  /** A list may have changed that the upstream shows in sessions of a principal; undefined: any of its lists. */
  offerChanged(principal: string, kind: ListKind | undefined): void;
}

export class AskingSessions {
  /** By principal and capabilities; what was used last stands last. */
  private readonly byKey = new Map<string, AskingSession[]>();
  private count = 0;

  constructor(private readonly options: AskingSessionsOptions) {}

  /**
   * A session for one call more. Throws an RpcError when there are too many.
   *
   * @param mayAsk whether the call may be answered by a question. Those that may not (lists, completions) share a
   *   session, apart from those that may, so that a question outside of requests is still that of the only call.
   */
  take(caller: Caller, capabilities: Readonly<Record<string, unknown>>, mayAsk: boolean): AskingSession {
    const shared = this.options.tiesMessagesToRequests;
    const apart = shared && !mayAsk ? ' lists' : '';
    const key = `${caller.principal} ${JSON.stringify(capabilities)}${apart}`;
    const sessions = this.byKey.get(key) ?? [];
    let session =
      sessions.findLast((each) => each.callCount > 0 && (shared || (!mayAsk && each.asksNothing))) ??
      sessions.findLast((each) => each.callCount === 0);
    if (session === undefined) {
      if (shared) this.makeRoom(caller.principal);
      session = new AskingSession(this.options, key, caller, capabilities, (lost) => {
        if (lost.callCount === 0) this.discard(lost);
      });
      sessions.push(session);
      this.byKey.set(key, sessions);
      this.count++;
    }
    session.callCount++;
    session.asksNothing = !mayAsk;
    return session;
  }

  /**
   * @param call what `request` of the session was given
   * @param clean the upstream has nothing more to say about the call
   */
  release(session: AskingSession, call: ChannelSink, clean: boolean): void {
    session.ended(call, clean);
    if (this.options.tiesMessagesToRequests) return;
    if (!clean) session.asksNothing = false;
    if (session.isHaunted) {
      // Others may still wait for their lists.
      if (session.callCount === 0) this.discard(session);
      return;
    }
    const sessions = this.byKey.get(session.key);
    const index = sessions?.indexOf(session) ?? -1;
    if (index >= 0) sessions?.push(...sessions.splice(index, 1));
  }

  /** Throws an RpcError when as many sessions are in use as may be. */
  private makeRoom(principal: string): void {
    const own = this.all().filter((session) => session.principal === principal);
    if (own.length >= MAX_SHARED_SESSION_PER_PRINCIPAL_COUNT && !this.closeIdle(own)) {
      throw new RpcError(
        ErrorCode.Overloaded,
        `${own.length} sets of client capabilities of one principal are in use at this upstream, as many as may`,
      );
    }
    if (this.count < MAX_SHARED_SESSION_COUNT || this.closeIdle()) return;
    throw new RpcError(
      ErrorCode.Overloaded,
      `${this.count} principals and their sets of client capabilities are in use at this upstream, as many as may`,
    );
  }

  /** Closes the session that has been without a call for longest; false when all are in use. */
  closeIdle(sessions: readonly AskingSession[] = this.all()): boolean {
    let oldest: AskingSession | undefined;
    for (const session of sessions)
      if (session.callCount === 0 && (oldest === undefined || session.idleSince < oldest.idleSince))
        oldest = session;
    if (oldest === undefined) return false;
    this.discard(oldest);
    return true;
  }

  tick(now: number): void {
    for (const session of this.all())
      if (session.callCount === 0 && now - session.idleSince >= SESSION_IDLE_MS) this.discard(session);
  }

  close(): void {
    for (const session of this.all()) this.discard(session);
  }

  private all(): AskingSession[] {
    return [...this.byKey.values()].flat();
  }

  private discard(session: AskingSession): void {
    const sessions = this.byKey.get(session.key);
    const index = sessions?.indexOf(session) ?? -1;
    if (sessions === undefined || index < 0) return;
    sessions.splice(index, 1);
    if (sessions.length === 0) this.byKey.delete(session.key);
    this.count--;
    session.close();
  }
}

export class AskingSession {
  private readonly session: LegacySession;
  readonly principal: string;
  private readonly level = new LowestLevel((level) => this.tellLevel(level));
  callCount = 0;
  /** Its calls may not be answered by a question. */
  asksNothing = false;
  idleSince = Date.now();
  private readonly running: { readonly sink: ChannelSink; readonly token: string | undefined }[] = [];
  /** The upstream may still be at work on a call that was given up, and ask on its behalf. */
  isHaunted = false;

  constructor(
    private readonly options: AskingSessionsOptions,
    readonly key: string,
    caller: Caller,
    capabilities: Readonly<Record<string, unknown>>,
    onLost: (session: AskingSession) => void,
  ) {
    this.principal = caller.principal;
    this.session = new LegacySession({
      name: options.upstreamName,
      openChannel: (events) => options.openChannel(events),
      hello: helloOf(caller, capabilities),
      ownerSaysInitialized: false,
      events: {
        message: (bytes, envelope) => this.untied(bytes, envelope),
        renewed: () => {
          this.level.forget();
          options.offerChanged(this.principal, undefined);
        },
        gap: () => options.offerChanged(this.principal, undefined),
        lost: () => onLost(this),
      },
    });
    // Servers ask on the stream of the call, or on the one for what belongs to no call.
    this.session.listen();
  }

  /** The next call wants log messages from this level on. */
  wantLevel(level: string): void {
    void this.level.want(level);
  }

  request(
    text: string,
    id: string,
    token: string | undefined,
    sink: ChannelSink,
    own?: OwnFields,
  ): ChannelRequest {
    this.running.push({ sink, token });
    return this.session.request(text, id, token, sink, own);
  }

  ended(call: ChannelSink, clean: boolean): void {
    this.callCount--;
    this.idleSince = Date.now();
    this.isHaunted ||= !clean;
    const index = this.running.findIndex(({ sink }) => sink === call);
    if (index >= 0) this.running.splice(index, 1);
  }

  /** A server that knows no levels says so, and that is all. */
  private tellLevel(level: string): Promise<unknown> {
    return new Promise((resolve) => {
      const id = `"sluice-level-${level}"`;
      const text = `{"jsonrpc":"2.0","id":${id},"method":"logging/setLevel","params":{"level":"${level}"}}`;
      this.session.request(text, id, undefined, { message: resolve, failed: resolve });
    });
  }

  post(text: string): void {
    this.session.post(text);
  }

  close(): void {
    void this.session.close();
  }

  /** A message that the transport tied to no request. */
  private untied(bytes: Buffer, envelope: Envelope): void {
    const only = this.running.length === 1 && !this.isHaunted ? this.running[0] : undefined;
    const { kind, method, progressToken } = envelope;
    if (kind === 'request') {
      if (only !== undefined) only.sink.message(bytes, envelope);
      else this.refuse(bytes, envelope);
    } else if (progressToken !== undefined) {
      // Late progress is that of a call before.
      const token = idKey(bytes, progressToken);
      this.running.find((call) => call.token === token)?.sink.message(bytes, envelope);
    } else if (method === 'notifications/cancelled') {
      // Each call knows what it was asked.
      for (const { sink } of [...this.running]) sink.message(bytes, envelope);
    } else if (method === 'notifications/message') only?.sink.message(bytes, envelope);
    else {
      const kind = changedList(method);
      if (kind !== undefined) this.options.offerChanged(this.principal, kind);
    }
    // What is told of resources is not told to a call.
  }

  private refuse(bytes: Buffer, { id, method }: Envelope): void {
    const { start, end } = id as Span;
    const text = bytes.latin1Slice(start, end);
    const ends = {
      client: MODERN_REVISION,
      server: this.session.result?.protocolVersion ?? LATEST_LEGACY_REVISION,
    };
    if (method === 'ping') this.session.post(resultMessage(text, '{}'));
    else {
      const isOutside = this.running.length === 0;
      const error = isOutside ? notTranslatable(questionOutsideCall(method), ends) : ASKED_BY_ANYBODY;
      this.session.post(errorMessage(text, error));
    }
  }
}

/** `params` of `initialize` with what the client can be asked for. */
function helloOf(caller: Caller, capabilities: Readonly<Record<string, unknown>>): string {
  const info = caller.clientInfo ?? jsonBinary(GATEWAY_INFO);
  return `{"protocolVersion":"${LATEST_LEGACY_REVISION}","capabilities":${jsonBinary(capabilities)},"clientInfo":${info}}`;
}
