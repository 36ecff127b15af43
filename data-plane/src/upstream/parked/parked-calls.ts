/**
 * The parked calls of one upstream: which there are, the sealed states that lead back to them, and the sessions that
 * they run over, one for each principal and set of client capabilities.
 */
import { createHash } from 'node:crypto';
import type { Caller, Cancellable } from '../../exchange/exchange.js';
import { ErrorCode, RpcError } from '../../protocol/errors.js';
import { LATEST_LEGACY_REVISION } from '../../protocol/revisions.js';
import { type Span, scanMessage } from '../../protocol/scan.js';
import { binaryToBytes, jsonBinary, parsed, replace, splice, stringOf } from '../../protocol/text.js';
import { legacyRequest, type Message, rewritten, withId } from '../../protocol/translate.js';
import type { WorkerAddress } from '../../sessions/node-bus.js';
import type { Sealer } from '../../sessions/seal.js';
import { cancelledError, idOf, type UpstreamCall, type UpstreamReply } from '../call.js';
import type { Channel, ChannelEvents, ChannelRequest } from '../channel.js';
import { LegacySession } from '../legacy/session.js';
import { ParkedCall, type Standing } from './parked-call.js';

/** The only methods that may answer `input_required` (2026-07-28, basic/patterns/mrtr). */
const ASKING_METHODS = new Set(['tools/call', 'prompts/get', 'resources/read']);
const ASKABLE = ['elicitation', 'sampling', 'roots'] as const;
/** A parked call waits this long for its client. */
export const PARKED_TTL_MS = 10 * 60_000;
/** Calls of one upstream on one worker that are under way, parked or remembered; the last make room. */
const MAX_PARKED_COUNT = 1_000;
/** How long an ended call is remembered for the same retry sent twice. */
const REMEMBERED_MS = 60_000;
/** Sessions of one upstream, by principal and capabilities, and how long one stays without a call. */
const MAX_SESSION_COUNT = 64;
const SESSION_IDLE_MS = 5 * 60_000;
const TICK_MS = 5_000;

/** The call is parked on another worker; the request belongs there. */
export class ParkedElsewhere extends RpcError {
  constructor(readonly worker: WorkerAddress) {
    super(ErrorCode.InvalidParams, 'Invalid `requestState`: the call that it belongs to is gone');
  }
}

export interface ParkedCallsOptions {
  readonly upstreamId: string;
  readonly upstreamName: string;
  readonly sealer: Sealer;
  readonly worker: WorkerAddress;
  openChannel(events: ChannelEvents): Channel;
}

/** What a sealed state holds: worker, call, round, expiry. */
interface State {
  readonly w: WorkerAddress;
  readonly c: number;
  readonly r: number;
  readonly e: number;
}

interface Parked {
  readonly call: ParkedCall;
  readonly session: AskingSession;
  readonly binding: string;
  /** Until when it waits, or is remembered. */
  until: number;
  /** Its session is not in use for it any more. */
  over: boolean;
  /** Answers that were given, by round, so that the same retry twice has one outcome. */
  readonly retries: Map<number, { digest: string; standing: Promise<Standing> }>;
}

interface AskingSession {
  readonly session: LegacySession;
  callCount: number;
  idleSince: number;
}

export class ParkedCalls {
  private readonly parked = new Map<number, Parked>();
  private readonly sessions = new Map<string, AskingSession>();
  private count = 0;
  private requestCount = 0;
  private readonly timer: NodeJS.Timeout;

  constructor(private readonly options: ParkedCallsOptions) {
    this.timer = setInterval(() => this.tick(Date.now()), TICK_MS);
    this.timer.unref();
  }

  /** True for a call in which the upstream could ask this client something. */
  takes(call: UpstreamCall, caller: Caller): boolean {
    return (
      ASKING_METHODS.has(call.method) &&
      (call.envelope.requestState !== undefined ||
        ASKABLE.some((name) => caller.capabilities.includes(`"${name}"`)))
    );
  }

  /** Begins a call, or goes on with one that was parked. Resolves with a legacy response or an `input_required` result. */
  async run(asCame: UpstreamCall, caller: Caller): Promise<UpstreamReply> {
    const call: UpstreamCall = {
      ...asCame,
      ...rewritten(asCame.bytes, asCame.envelope, asCame.edits),
      edits: [],
    };
    const binding = bindingOf(this.options.upstreamId, call, caller);
    const token = stringOf(call.bytes, call.envelope.requestState);
    if (call.envelope.requestState === undefined) return this.begin(call, caller, binding);
    return this.resume(call, binding, token ?? '');
  }

  close(): void {
    clearInterval(this.timer);
    for (const { call } of this.parked.values())
      call.end(
        new RpcError(
          ErrorCode.UpstreamUnavailable,
          'the gateway or the upstream went away while the call waited',
        ),
      );
    this.parked.clear();
    for (const { session } of this.sessions.values()) void session.close();
    this.sessions.clear();
  }

  private begin(call: UpstreamCall, caller: Caller, binding: string): Promise<UpstreamReply> {
    if (this.parked.size >= MAX_PARKED_COUNT && !this.forgetOne()) {
      return Promise.reject(
        new RpcError(
          ErrorCode.Overloaded,
          `${MAX_PARKED_COUNT} calls of this upstream are under way or wait for their clients, as many as may`,
        ),
      );
    }
    const capabilities = askableCapabilities(caller);
    const session = this.session(caller, capabilities);
    session.callCount++;
    let wire: ChannelRequest | undefined;
    const parkedCall = new ParkedCall(
      {
        post: (text) => session.session.post(text),
        abort: () => wire?.abort(),
        patient: () => wire?.waitPatiently(),
      },
      new Set(Object.keys(capabilities)),
    );
    const id = String(++this.requestCount);
    const { text, token } = this.requestText(call, id);
    const number = ++this.count;
    const parked: Parked = {
      call: parkedCall,
      session,
      binding,
      until: Number.POSITIVE_INFINITY,
      over: false,
      retries: new Map(),
    };
    this.parked.set(number, parked);
    wire = session.session.request(text, id, token, parkedCall);
    return this.wait(number, parked, call, this.stand(parked, call));
  }

  private async resume(call: UpstreamCall, binding: string, token: string): Promise<UpstreamReply> {
    const gone = () =>
      new RpcError(
        ErrorCode.InvalidParams,
        'Invalid `requestState`: it was not given out for this request, or has expired',
      );
    const sealed = this.options.sealer.open('request-state', token, binding);
    if (sealed === undefined) throw gone();
    const state = JSON.parse(sealed.toString()) as State;
    if (state.w !== this.options.worker) throw new ParkedElsewhere(state.w);
    const parked = this.parked.get(state.c);
    if (parked === undefined || state.e < Date.now()) throw gone();
    const { inputResponses } = call.envelope;
    const answers = inputResponses === undefined ? {} : parsed(call.bytes, inputResponses);
    if (typeof answers !== 'object' || answers === null || Array.isArray(answers)) {
      throw new RpcError(ErrorCode.InvalidParams, '`params.inputResponses` is not an object');
    }
    const digest = createHash('sha256').update(JSON.stringify(answers)).digest('base64');
    const before = parked.retries.get(state.r);
    if (before !== undefined) {
      // The same retry again joins its outcome; another one would be a replay.
      if (before.digest !== digest)
        throw new RpcError(ErrorCode.InvalidParams, 'Invalid `requestState`: it has been used already');
      return this.reply(state.c, parked, call, await before.standing);
    }
    if (state.r !== parked.call.round) throw gone();
    parked.call.answer(answers as Record<string, unknown>);
    parked.until = Number.POSITIVE_INFINITY;
    const standing = this.stand(parked, call);
    parked.retries.set(state.r, { digest, standing });
    return this.wait(state.c, parked, call, standing);
  }

  /** A client that goes away while it waits has cancelled; one whose call is parked has not. */
  private async wait(
    number: number,
    parked: Parked,
    call: UpstreamCall,
    standing: Promise<Standing>,
  ): Promise<UpstreamReply> {
    const leaving: Cancellable & { over: boolean } = {
      over: false,
      cancel() {
        if (!this.over) parked.call.end(cancelledError());
      },
    };
    call.cancellation.onCancel(leaving);
    try {
      return this.reply(number, parked, call, await standing);
    } finally {
      leaving.over = true;
      if (parked.call.ended) this.ended(number, parked);
    }
  }

  private stand(parked: Parked, call: UpstreamCall): Promise<Standing> {
    const token = call.envelope.metaProgressToken;
    const own = token === undefined ? undefined : call.bytes.latin1Slice(token.start, token.end);
    const standing = parked.call.stand((bytes, envelope) => {
      if (envelope.progressToken === undefined) call.onNotification(bytes, envelope);
      else if (own !== undefined) {
        const mapped = rewritten(bytes, envelope, [replace(envelope.progressToken, own)]);
        call.onNotification(mapped.bytes, mapped.envelope);
      }
    });
    // Whoever joins later hears of a failure too; nobody may have joined.
    standing.catch(() => undefined);
    return standing;
  }

  private reply(number: number, parked: Parked, call: UpstreamCall, standing: Standing): UpstreamReply {
    if (standing.kind === 'ended') return withId(standing.reply, idOf(call));
    parked.until = Date.now() + PARKED_TTL_MS;
    const state: State = { w: this.options.worker, c: number, r: standing.round, e: parked.until };
    const requestState = this.options.sealer.seal('request-state', JSON.stringify(state), parked.binding);
    const result = { resultType: 'input_required', inputRequests: standing.inputRequests, requestState };
    const bytes = binaryToBytes(`{"jsonrpc":"2.0","id":${idOf(call)},"result":${jsonBinary(result)}}`);
    return { bytes, envelope: scanMessage(bytes) };
  }

  /** A call that asked nothing has nothing to remember: nobody can retry it. */
  private ended(number: number, parked: Parked): void {
    if (parked.over) return;
    this.leaveSession(parked, Date.now());
    if (parked.retries.size === 0) this.parked.delete(number);
    else parked.until = Date.now() + REMEMBERED_MS;
  }

  private leaveSession(parked: Parked, now: number): void {
    if (parked.over) return;
    parked.over = true;
    parked.session.callCount--;
    parked.session.idleSince = now;
  }

  /** The call that ended longest ago; false when none has. */
  private forgetOne(): boolean {
    for (const [number, { over }] of this.parked) if (over) return this.parked.delete(number);
    return false;
  }

  /** The request in the names of this connection: an id and a progress token of its own, without what only 2026-07-28 knows. */
  private requestText(call: UpstreamCall, id: string): { text: string; token: string | undefined } {
    const message: Message = legacyRequest(call);
    const edits = [replace(message.envelope.id as Span, id)];
    const token = message.envelope.metaProgressToken;
    if (token !== undefined) edits.push(replace(token, id));
    return {
      text: splice(message.bytes, message.envelope, edits),
      token: token === undefined ? undefined : id,
    };
  }

  private session(caller: Caller, capabilities: Readonly<Record<string, unknown>>): AskingSession {
    const key = `${caller.principal} ${JSON.stringify(capabilities)}`;
    let asking = this.sessions.get(key);
    if (asking === undefined) {
      this.makeRoom();
      const info = caller.clientInfo ?? '{"name":"sluice","version":"0.1.0"}';
      const hello = `{"protocolVersion":"${LATEST_LEGACY_REVISION}","capabilities":${jsonBinary(capabilities)},"clientInfo":${info}}`;
      const session: LegacySession = new LegacySession({
        name: this.options.upstreamName,
        openChannel: (events) => this.options.openChannel(events),
        hello,
        ownerSaysInitialized: false,
        events: {
          message: (bytes, { kind, id, method }) => {
            // Outside any call there is nobody who could be asked.
            if (kind !== 'request' || id === undefined) return;
            const own = bytes.latin1Slice(id.start, id.end);
            const answer =
              method === 'ping'
                ? '"result":{}'
                : `"error":{"code":${ErrorCode.MethodNotFound},"message":"asked outside of any call"}`;
            session.post(`{"jsonrpc":"2.0","id":${own},${answer}}`);
          },
          renewed() {},
          gap() {},
          lost() {},
        },
      });
      asking = { session, callCount: 0, idleSince: Date.now() };
      this.sessions.set(key, asking);
    }
    return asking;
  }

  private makeRoom(): void {
    if (this.sessions.size < MAX_SESSION_COUNT) return;
    for (const [key, { session, callCount }] of this.sessions) {
      if (callCount > 0) continue;
      this.sessions.delete(key);
      void session.close();
      return;
    }
    throw new RpcError(
      ErrorCode.Overloaded,
      `${MAX_SESSION_COUNT} sets of client capabilities are in use at this upstream, as many as may`,
    );
  }

  private tick(now: number): void {
    for (const [number, parked] of this.parked) {
      if (parked.until > now) continue;
      this.parked.delete(number);
      parked.call.end(new RpcError(ErrorCode.UpstreamUnavailable, 'nobody answered in time'));
      this.leaveSession(parked, now);
    }
    for (const [key, { session, callCount, idleSince }] of this.sessions) {
      if (callCount > 0 || now - idleSince < SESSION_IDLE_MS) continue;
      this.sessions.delete(key);
      void session.close();
    }
  }
}

function askableCapabilities(caller: Caller): Record<string, unknown> {
  const offered = JSON.parse(Buffer.from(caller.capabilities, 'latin1').toString()) as Record<
    string,
    unknown
  >;
  const kept: Record<string, unknown> = {};
  for (const name of ASKABLE) {
    if (offered[name] === undefined || offered[name] === null) continue;
    // Changes of roots cannot be told across eras.
    kept[name] = name === 'roots' ? {} : offered[name];
  }
  return kept;
}

/** Principal, upstream and what was asked for, without `_meta`, answers and state: a state opens for nothing else. */
function bindingOf(upstreamId: string, call: UpstreamCall, caller: Caller): string {
  const { _meta, inputResponses, requestState, ...salient } = (
    call.envelope.params === undefined ? {} : parsed(call.bytes, call.envelope.params)
  ) as Record<string, unknown>;
  const digest = createHash('sha256').update(JSON.stringify(salient)).digest('base64');
  return JSON.stringify([upstreamId, caller.principal, call.method, digest]);
}
