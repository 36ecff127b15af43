/**
 * The parked calls of one upstream: which there are, the sealed states that lead back to them, and when each of them
 * is over.
 */
import { randomUUID } from 'node:crypto';
import type { Caller, Cancellable } from '../../exchange/exchange.js';
import { ErrorCode, RpcError } from '../../protocol/errors.js';
import { type Span, scanMessage } from '../../protocol/scan.js';
import { binaryToBytes, jsonBinary, parsed, replace, splice, stringOf } from '../../protocol/text.js';
import { legacyRequest, type Message, rewritten, withId } from '../../protocol/translate.js';
import type { WorkerAddress } from '../../sessions/node-bus.js';
import { ParkedElsewhere } from '../../sessions/parked-elsewhere.js';
import type { Sealer } from '../../sessions/seal.js';
import { cancelledError, idOf, type UpstreamCall, type UpstreamReply } from '../call.js';
import type { ChannelRequest } from '../channel.js';
import { LIST_METHODS } from '../offers.js';
import { type AskingSession, AskingSessions, type AskingSessionsOptions } from './asking-sessions.js';
import { Holding, type ParkedAccount, type Remembered } from './parked-account.js';
import { ParkedCall, type ParkedCallHost, type Standing } from './parked-call.js';
import { bindingOf, digestOf, invalidState, openState, sealState } from './request-state.js';

/** The only methods that may answer `input_required` (2026-07-28, basic/patterns/mrtr). */
export const ASKING_METHODS = new Set(['tools/call', 'prompts/get', 'resources/read']);
/** What a server may answer differently to a client that can be asked, but may not ask about. */
const OFFER_METHODS = new Set([...Object.values(LIST_METHODS), 'completion/complete']);
const ASKABLE = ['elicitation', 'sampling', 'roots'] as const;
/** How long an ended call is remembered for the same retry sent twice, and what one takes beside its outcome. */
const REMEMBERED_MS = 60_000;
const REMEMBERED_BYTES = 1_024;
const TICK_MS = 5_000;
const CALL_IS_GONE = 'the call that it belongs to is gone';

export interface ParkedCallsOptions extends AskingSessionsOptions {
  readonly upstreamId: string;
  readonly sealer: Sealer;
  readonly worker: WorkerAddress;
  /** Of the whole worker, for all upstreams. */
  readonly account: ParkedAccount;
}

export class ParkedCalls {
  private readonly entries = new Map<string, Entry>();
  private readonly sessions: AskingSessions;
  private requestCount = 0;
  private readonly timer: NodeJS.Timeout;

  constructor(private readonly options: ParkedCallsOptions) {
    this.sessions = new AskingSessions(options);
    this.timer = setInterval(() => this.tick(Date.now()), TICK_MS);
    this.timer.unref();
  }

  /** True for a call in which the upstream could ask this client something, or show it more than it shows others. */
  takes(call: UpstreamCall, caller: Caller): boolean {
    if (ASKING_METHODS.has(call.method))
      return call.envelope.requestState !== undefined || canBeAsked(caller);
    return OFFER_METHODS.has(call.method) && canBeAsked(caller);
  }

  /** Begins a call, or goes on with one that was parked. Resolves with a legacy response or an `input_required` result. */
  async run(asCame: UpstreamCall, caller: Caller): Promise<UpstreamReply> {
    const call: UpstreamCall = {
      ...asCame,
      ...rewritten(asCame.bytes, asCame.envelope, asCame.edits),
      edits: [],
    };
    const binding = bindingOf(this.options.upstreamId, call, caller.principal);
    const token = stringOf(call.bytes, call.envelope.requestState);
    if (call.envelope.requestState === undefined) return this.begin(call, caller, binding);
    return this.resume(call, binding, token ?? '');
  }

  /** Closes a connection that no call uses, so that another may be made; false when there is none. */
  closeIdle(): boolean {
    return this.sessions.closeIdle();
  }

  close(): void {
    clearInterval(this.timer);
    for (const entry of this.entries.values()) {
      entry.call.end(
        new RpcError(
          ErrorCode.UpstreamUnavailable,
          'the gateway or the upstream went away while the call waited',
        ),
      );
      this.drop(entry);
    }
    this.sessions.close();
  }

  private begin(call: UpstreamCall, caller: Caller, binding: string): Promise<UpstreamReply> {
    const capabilities = askableCapabilities(caller);
    const mayAsk = ASKING_METHODS.has(call.method);
    const session = this.sessions.take(caller, capabilities, mayAsk);
    const entry = new Entry(
      randomUUID(),
      binding,
      caller.principal,
      mayAsk ? capabilities : undefined,
      session,
      this.sessions,
      this.options.account,
      (forgotten) => this.entries.delete(forgotten.id),
    );
    this.entries.set(entry.id, entry);
    const id = String(++this.requestCount);
    const { text, token } = requestText(call, id);
    const level = stringOf(call.bytes, call.envelope.metaLogLevel);
    if (level !== undefined) session.wantLevel(level);
    entry.wire = session.request(text, id, token, entry.call, call.ownHeaders);
    return this.wait(entry, call, stand(entry, call));
  }

  private async resume(call: UpstreamCall, binding: string, token: string): Promise<UpstreamReply> {
    const state = openState(this.options.sealer, token, binding);
    if (state.worker !== this.options.worker)
      throw new ParkedElsewhere(state.worker, invalidState(CALL_IS_GONE).message);
    const entry = this.entries.get(state.call);
    if (entry === undefined || entry.until <= Date.now()) throw invalidState(CALL_IS_GONE);
    const { inputResponses } = call.envelope;
    const answers = inputResponses === undefined ? {} : parsed(call.bytes, inputResponses);
    if (typeof answers !== 'object' || answers === null || Array.isArray(answers)) {
      throw new RpcError(ErrorCode.InvalidParams, '`params.inputResponses` is not an object');
    }
    const digest = digestOf(answers);
    const before = entry.retries.get(state.round);
    if (before !== undefined) {
      // The same retry again joins its outcome; another one would be a replay.
      if (before.digest !== digest) throw invalidState('it has been used already, with other answers');
      return this.wait(entry, call, before.standing);
    }
    entry.call.answer(answers as Record<string, unknown>);
    entry.parkedAt = undefined;
    const standing = stand(entry, call);
    entry.retries.set(state.round, { digest, standing });
    return this.wait(entry, call, standing);
  }

  /** A client that goes away while it waits has cancelled; one whose call is parked has not. */
  private async wait(entry: Entry, call: UpstreamCall, standing: Promise<Standing>): Promise<UpstreamReply> {
    const waiting = new Waiting(entry);
    call.cancellation.onCancel(waiting);
    try {
      const stands = await standing;
      if (stands.kind === 'asks') return this.inputRequired(entry, call, stands);
      this.ended(entry, stands.reply.bytes.length);
      return withId(stands.reply, idOf(call));
    } catch (thrown) {
      this.ended(entry, 0);
      throw thrown;
    } finally {
      waiting.end();
    }
  }

  private inputRequired(
    entry: Entry,
    call: UpstreamCall,
    { round, inputRequests }: Extract<Standing, { kind: 'asks' }>,
  ): UpstreamReply {
    const expiresAt = (entry.parkedAt ?? Date.now()) + this.options.account.lifetimeMs;
    const { worker, sealer } = this.options;
    const requestState = sealState(sealer, { worker, call: entry.id, round, expiresAt }, entry.binding);
    const result = { resultType: 'input_required', inputRequests, requestState };
    const bytes = binaryToBytes(`{"jsonrpc":"2.0","id":${idOf(call)},"result":${jsonBinary(result)}}`);
    return { bytes, envelope: scanMessage(bytes) };
  }

  /** A client has heard how the call ended. One that asked nothing has nothing to remember: nobody can retry it. */
  private ended(entry: Entry, outcomeBytes: number): void {
    entry.leave();
    if (entry.retries.size === 0) this.drop(entry);
    else entry.remember(REMEMBERED_BYTES + outcomeBytes, Date.now() + REMEMBERED_MS);
  }

  private drop(entry: Entry): void {
    entry.leave();
    this.options.account.forgotten(entry);
    entry.forget();
  }

  private tick(now: number): void {
    for (const entry of this.entries.values()) {
      if (entry.until > now) continue;
      entry.call.end(new RpcError(ErrorCode.UpstreamUnavailable, 'nobody answered in time'));
      this.drop(entry);
    }
    this.sessions.tick(now);
  }
}

/** One call from its beginning until nobody can come back to it. */
class Entry implements ParkedCallHost, Remembered {
  readonly call: ParkedCall;
  readonly holding: Holding;
  /** Answers that were given, by round, so that the same retry twice has one outcome. */
  readonly retries = new Map<number, { digest: string; standing: Promise<Standing> }>();
  wire: ChannelRequest | undefined;
  /** Since when it waits for its client; undefined while the client waits for it. */
  parkedAt: number | undefined;
  /** Requests of the client that wait for it. */
  waitingCount = 0;
  private hasPlace = false;
  private rememberedUntil: number | undefined;
  private isForgotten = false;

  constructor(
    readonly id: string,
    readonly binding: string,
    readonly principal: string,
    capabilities: Readonly<Record<string, unknown>> | undefined,
    private readonly session: AskingSession,
    private readonly sessions: AskingSessions,
    private readonly account: ParkedAccount,
    private readonly onForgotten: (entry: Entry) => void,
  ) {
    this.holding = new Holding(account, principal);
    this.call = new ParkedCall(this, capabilities);
  }

  /** When it is over, whether its client came back or not, in milliseconds of the clock. */
  get until(): number {
    if (this.rememberedUntil !== undefined) return this.rememberedUntil;
    return this.parkedAt === undefined ? Number.POSITIVE_INFINITY : this.parkedAt + this.account.lifetimeMs;
  }

  post(text: string): void {
    this.session.post(text);
  }

  abort(): void {
    this.wire?.abort();
  }

  patient(waits: boolean): void {
    this.wire?.waitPatiently(waits);
  }

  park(): RpcError | undefined {
    if (!this.hasPlace) {
      const refusal = this.account.enter(this.principal);
      if (refusal !== undefined) return refusal;
      this.hasPlace = true;
    }
    this.parkedAt = Date.now();
    return undefined;
  }

  over(answered: boolean): void {
    this.sessions.release(this.session, this.call, answered);
  }

  /** It does not wait for its client any more. */
  leave(): void {
    if (!this.hasPlace) return;
    this.hasPlace = false;
    this.account.leave(this.principal);
  }

  remember(bytes: number, until: number): void {
    if (this.rememberedUntil !== undefined || this.isForgotten) return;
    this.rememberedUntil = until;
    this.holding.giveAll();
    if (this.holding.take(bytes)) this.account.remember(this);
    else this.forget();
  }

  forget(): void {
    this.isForgotten = true;
    this.holding.giveAll();
    this.onForgotten(this);
  }
}

/** One request of the client that waits for a call. */
class Waiting implements Cancellable {
  private over = false;

  constructor(private readonly entry: Entry) {
    entry.waitingCount++;
  }

  /** The client has gone. Where the same retry was sent twice, the other one may still be waited for. */
  cancel(): void {
    if (this.over) return;
    this.end();
    if (this.entry.waitingCount === 0) this.entry.call.end(cancelledError());
  }

  end(): void {
    if (this.over) return;
    this.over = true;
    this.entry.waitingCount--;
  }
}

function stand(entry: Entry, call: UpstreamCall): Promise<Standing> {
  const token = call.envelope.metaProgressToken;
  const own = token === undefined ? undefined : call.bytes.latin1Slice(token.start, token.end);
  const standing = entry.call.stand((bytes, envelope) => {
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

/** The request in the names of its connection: an id and a progress token of its own, without what only 2026-07-28 knows. */
function requestText(call: UpstreamCall, id: string): { text: string; token: string | undefined } {
  const message: Message = legacyRequest(call);
  const edits = [replace(message.envelope.id as Span, id)];
  const token = message.envelope.metaProgressToken;
  if (token !== undefined) edits.push(replace(token, id));
  return {
    text: splice(message.bytes, message.envelope, edits),
    token: token === undefined ? undefined : id,
  };
}

/** True for a client that has declared that it can be asked something. */
export function canBeAsked({ capabilities }: Caller): boolean {
  return ASKABLE.some((name) => capabilities.includes(`"${name}"`));
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
