/**
 * Questions of plugins to a modern client, which comes again with the answers (2026-07-28, basic/patterns/mrtr). All that
 * has to be known then travels with the client, sealed: what was asked, what was answered in earlier rounds, and what the
 * upstream itself wants back. So any worker of any node can go on.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { Changes, JsonObject, Target } from '@sluice/sdk';
import {
  type Answered,
  answerTo,
  type Outcome as ChainOutcome,
  elicitationOf,
  type Question,
  questionDigest,
  questionOutcome,
  Refusal,
} from '@sluice/sdk/engine';
import type { Exchange, Outcome } from '../exchange/exchange.js';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import { membersOf, objectOf } from '../protocol/members.js';
import { type Span, scanMessage } from '../protocol/scan.js';
import { binaryOf, jsonBinary, parsed, replace, stringOf } from '../protocol/text.js';
import { rewritten } from '../protocol/translate.js';
import type { Sealer } from '../sessions/seal.js';
import { invalidState, STATE_HAS_EXPIRED, STATE_IS_FOREIGN } from '../upstream/parked/request-state.js';
import type { ClientQuestions } from './plugin-call.js';

/** How long a client may take to come again, and how long an answer counts. */
export const ANSWER_LIFETIME_MS = 10 * 60_000;

/** Tells states of plugins from those of upstreams, which are anything. */
const STATE_MARK = 'sluice-ask.';
/** In front of the keys of questions, followed by the binding. */
const KEY_MARK = 'sluice/';
const ID_BYTES = 12;
const INPUT_REQUIRED = 'input_required';

/** A question that waits for its answer, by its key on the wire. */
interface Asked {
  readonly id: string;
  /** Of what was asked: the answer counts for nothing else. */
  readonly digest: string;
}

interface Given extends Asked {
  readonly said: Answered;
  /** Milliseconds of the clock. */
  readonly at: number;
}

/** What a sealed state holds. */
interface State {
  /** Of no other one: what answers are told apart by that come again. */
  readonly id: string;
  readonly until: number;
  readonly asked: Readonly<Record<string, Asked>>;
  readonly given: Readonly<Record<string, Given>>;
  /** The upstream's own state, and answers to it that came before this round (JSON as binary text). */
  readonly upstreamState?: string | undefined;
  readonly upstreamAnswers?: string | undefined;
}

/** Whose request it is, and where. */
export interface RoundsPlace {
  readonly sealer: Sealer;
  readonly path: string;
  readonly principal: string;
  readonly targets: readonly Target[];
  /** Names of the bindings that may ask. */
  readonly askers: readonly string[];
}

export class Rounds implements ClientQuestions {
  /** The request without what is not for the upstream. */
  readonly exchange: Exchange;
  /** Why the client's state is refused. */
  readonly fault: RpcError | undefined;
  private readonly given: Record<string, Given> = {};
  private readonly asked: Record<string, Asked> = {};
  private readonly inputRequests: Record<string, JsonObject> = {};
  private readonly upstreamState: string | undefined;
  private readonly upstreamAnswers: string | undefined;
  private binding: string | undefined;
  /** Of the state that came. */
  private stateId = '';

  constructor(
    private readonly place: RoundsPlace,
    private readonly asCame: Exchange,
  ) {
    const { bytes, envelope } = asCame;
    const token = stringOf(bytes, envelope.requestState);
    const answers = envelope.inputResponses;
    this.exchange = asCame;
    if (token === undefined || !token.startsWith(STATE_MARK)) {
      this.upstreamState = token;
      if (answers === undefined) return;
      this.upstreamAnswers = token === undefined ? this.withoutForged(answers) : binaryOf(bytes, answers);
      if (this.upstreamAnswers !== binaryOf(bytes, answers)) this.exchange = this.forUpstream();
      return;
    }
    const state = this.open(token);
    if (state instanceof RpcError) {
      this.fault = state;
      return;
    }
    this.stateId = state.id;
    this.upstreamState = state.upstreamState;
    this.given = { ...state.given };
    const isOwnRound = Object.keys(state.asked).length > 0;
    if (isOwnRound) {
      this.upstreamAnswers = state.upstreamAnswers;
      this.take(state.asked);
    } else if (answers !== undefined) this.upstreamAnswers = binaryOf(bytes, answers);
    this.exchange = this.forUpstream();
  }

  async ask(_: Exchange, by: string, question: Question, changes: Changes): Promise<Answered | ChainOutcome> {
    if (this.fault !== undefined) throw new Refusal('invalid', this.fault.message);
    const key = `${KEY_MARK}${by}/${question.key}`;
    const digest = questionDigest(question, changes);
    const given = this.given[key];
    if (given?.digest === digest && given.at + ANSWER_LIFETIME_MS > Date.now())
      return { ...given.said, id: `${given.id}.${this.stateId}` };
    delete this.given[key];
    this.asked[key] = { id: newId(), digest };
    this.inputRequests[key] = { method: 'elicitation/create', params: elicitationOf(question) };
    try {
      return questionOutcome({ ...this.inputRequests }, this.sealed(this.upstreamState));
    } catch (thrown) {
      if (!(thrown instanceof RangeError)) throw thrown;
      throw new Refusal('tooLarge', 'what was asked and answered in this call is too long to be kept');
    }
  }

  /** The upstream asks too: what plugins were told goes along, and comes back with the answers. */
  carried(outcome: Outcome): Outcome {
    if (outcome.errorCode !== 0 || !outcome.bytes.includes(INPUT_REQUIRED)) return outcome;
    const { bytes } = outcome;
    const envelope = scanMessage(bytes);
    const type = stringOf(bytes, envelope.resultType);
    if (type !== INPUT_REQUIRED || envelope.result === undefined) return outcome;
    const state = stringOf(bytes, envelope.resultState);
    if (state === undefined && Object.keys(this.given).length === 0) return outcome;
    const text = `"requestState":${jsonBinary(this.sealedForUpstream(state))}`;
    const others = membersOf(bytes, envelope.result).filter(({ key }) => key !== 'requestState');
    const own = rewritten(bytes, envelope, [replace(envelope.result, objectOf(bytes, text, others))]);
    return { ...outcome, bytes: own.bytes, result: own.envelope.result };
  }

  isOwnKey(key: string): boolean {
    return Object.hasOwn(this.inputRequests, key);
  }

  private sealedForUpstream(state: string | undefined): string {
    try {
      return this.sealed(state);
    } catch (thrown) {
      if (!(thrown instanceof RangeError)) throw thrown;
      throw new RpcError(
        ErrorCode.UpstreamBadAnswer,
        'the upstream gave a `requestState` that is too long to pass on with the answers to plugins',
      );
    }
  }

  private sealed(upstreamState: string | undefined): string {
    const { asked, given, upstreamAnswers } = this;
    const isOwnRound = Object.keys(asked).length > 0;
    const state: State = {
      id: newId(),
      until: Date.now() + ANSWER_LIFETIME_MS,
      asked,
      given,
      upstreamState,
      upstreamAnswers: isOwnRound ? upstreamAnswers : undefined,
    };
    return STATE_MARK + this.place.sealer.seal('ask', JSON.stringify(state), this.boundTo);
  }

  private open(token: string): State | RpcError {
    const payload = this.place.sealer.open('ask', token.slice(STATE_MARK.length), this.boundTo);
    if (payload === undefined) return invalidState(STATE_IS_FOREIGN);
    const state = JSON.parse(payload.toString()) as State;
    return state.until < Date.now() ? invalidState(STATE_HAS_EXPIRED) : state;
  }

  /** Takes the answers to what was asked. What is missing or no answer is asked again. */
  private take(asked: State['asked']): void {
    const { bytes, envelope } = this.asCame;
    if (envelope.inputResponses === undefined) return;
    const answers = (parsed(bytes, envelope.inputResponses) ?? {}) as Record<string, unknown>;
    for (const [key, { id, digest }] of Object.entries(asked)) {
      const said = Object.hasOwn(answers, key) ? answerTo(id, answers[key]) : undefined;
      if (said !== undefined) this.given[key] = { id, digest, said, at: Date.now() };
    }
  }

  /**
   * Who asked what of whom: a state opens for nothing else. The arguments count as they were written, since two numbers
   * that differ on the wire can be one in JavaScript.
   */
  private get boundTo(): string {
    this.binding ??= this.bound();
    return this.binding;
  }

  private bound(): string {
    const { path, principal, targets } = this.place;
    const { bytes, envelope } = this.asCame;
    const hash = createHash('sha256');
    const members = envelope.params === undefined ? [] : membersOf(bytes, envelope.params);
    const salient = members.filter(({ key }) => !UNBOUND.has(key));
    for (const { key, value } of salient.sort((a, b) => (a.key < b.key ? -1 : 1))) {
      const text = binaryOf(bytes, value);
      hash.update(JSON.stringify([key, text.length]));
      hash.update(text, 'latin1');
    }
    const names = targets.map(({ kind, upstream, name }) => [kind, upstream, name]);
    return JSON.stringify([path, principal, envelope.method, names, hash.digest('base64')]);
  }

  /** Answers that nobody can have asked for in the name of a plugin. */
  private withoutForged(span: Span): string {
    const { bytes } = this.asCame;
    if (bytes[span.start] !== OPEN_BRACE) return binaryOf(bytes, span);
    const marks = this.place.askers.map((name) => `${KEY_MARK}${name}/`);
    const members = membersOf(bytes, span);
    const own = members.filter(({ key }) => !marks.some((mark) => key.startsWith(mark)));
    return own.length === members.length ? binaryOf(bytes, span) : objectOf(bytes, '', own);
  }

  private forUpstream(): Exchange {
    const { asCame, upstreamState, upstreamAnswers } = this;
    const { bytes, envelope } = asCame;
    const said: string[] = [];
    if (upstreamAnswers !== undefined && upstreamAnswers !== '{}')
      said.push(`"inputResponses":${upstreamAnswers}`);
    if (upstreamState !== undefined) said.push(`"requestState":${jsonBinary(upstreamState)}`);
    const params = envelope.params as Span;
    const others = membersOf(bytes, params).filter(
      ({ key }) => key !== 'inputResponses' && key !== 'requestState',
    );
    const text = objectOf(bytes, said.join(), others);
    return { ...asCame, ...rewritten(bytes, envelope, [replace(params, text)]) };
  }
}

function newId(): string {
  return randomBytes(ID_BYTES).toString('base64url');
}

/** What differs between a request and its retry. */
const UNBOUND: ReadonlySet<string> = new Set(['_meta', 'inputResponses', 'requestState']);
const OPEN_BRACE = 0x7b;
