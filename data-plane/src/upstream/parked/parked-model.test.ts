import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Cancellation } from '../../exchange/exchange.js';
import { RpcError } from '../../protocol/errors.js';
import type { UpstreamReply } from '../call.js';
import { ownCall } from '../own-request.js';
import type { ScriptedRequest } from '../scripted-channel.js';
import { CALLER, type GreetingChannel, ScriptedParking, turns, UNLIMITED } from './scripted-parking.js';

/*
 * Any interleaving of what upstreams say, what clients answer, cancellations, disconnects, breaks, deadlines and new
 * limits, against a model that says after each step which requests of clients have ended, and how.
 */

const QUIET_MS = 50;
/** Idle sessions and remembered outcomes are over after one of these, parked calls after two. */
const LONG_MS = 7 * 60_000;
const LIFETIME_MS = UNLIMITED.parkedCallLifetimeMs;
const REMEMBERED_MS = 60_000;
const MAX_CHANNEL_COUNT = 3;
const LIMITS = { ...UNLIMITED, maxParkedCallCount: 3, maxParkedCallPerPrincipalCount: 2 };
const PRINCIPALS = ['ada', 'ben'] as const;

/** How a request of a client ends. */
type End = 'result' | 'asks' | 'error';

/** One request of a client. */
interface Sent {
  readonly call: Call;
  readonly cancellation: Cancellation;
  cancelled: boolean;
  /** As the model says. */
  expected: End | undefined;
  /** As it was. */
  end: End | undefined;
  endCount: number;
  reply:
    | { requestState?: string; inputRequests?: Record<string, { params: { message: string } }> }
    | undefined;
}

/** A round of questions that a client was asked. */
interface Round {
  readonly state: string;
  readonly answers: Record<string, unknown>;
  readonly expiresAt: number;
  /** The requests that brought the answers; undefined until one does. */
  retry: Sent | undefined;
}

interface Call {
  readonly number: number;
  readonly principal: (typeof PRINCIPALS)[number];
  readonly channel: GreetingChannel | undefined;
  readonly request: ScriptedRequest | undefined;
  /** The upstream works on it. */
  running: boolean;
  /** Its outcome, when it ended while nobody waited. */
  kept: End | undefined;
  /** Asks that the upstream waits for an answer to; true: in a round that the client knows. */
  readonly asks: Map<string, boolean>;
  readonly rounds: Round[];
  /** Requests of clients that wait for it. */
  readonly waiting: Set<Sent>;
  askCount: number;
  /** It counts among the parked calls. */
  hasPlace: boolean;
  parkedAt: number | undefined;
  rememberedUntil: number | undefined;
  /** Nothing is known of it any more. */
  gone: boolean;
  /** Orders the quiet windows. */
  quietSince: number;
}

class Model {
  readonly calls: Call[] = [];
  readonly sent: Sent[] = [];
  maxCount = LIMITS.maxParkedCallCount;
  steps = 0;

  constructor(readonly pooled: boolean) {}

  get placeCount(): number {
    return this.calls.filter(({ hasPlace }) => hasPlace).length;
  }

  get rounds(): { call: Call; round: Round }[] {
    return this.calls.flatMap((call) => call.rounds.map((round) => ({ call, round })));
  }

  settle(call: Call, end: End): void {
    for (const sent of call.waiting) sent.expected = end;
    call.waiting.clear();
  }

  /** The call has ended at the upstream, or was ended here. */
  over(call: Call, end: 'result' | 'error'): void {
    if (!call.running) return;
    call.running = false;
    call.asks.clear();
    if (call.waiting.size === 0) call.kept = end;
    else {
      this.settle(call, end);
      this.delivered(call, end);
    }
  }

  /** Somebody has heard how the call ended. */
  delivered(call: Call, end: 'result' | 'error'): void {
    call.kept = end;
    call.hasPlace = false;
    if (call.rounds.some(({ retry }) => retry !== undefined))
      call.rememberedUntil ??= Date.now() + REMEMBERED_MS;
    else call.gone = true;
  }

  /** Quiet windows close, in the order in which they began. */
  quiet(): void {
    const asking = this.calls
      .filter(({ asks, waiting }) => asks.size > 0 && waiting.size > 0)
      .sort((a, b) => a.quietSince - b.quietSince);
    for (const call of asking) {
      const ofPrincipal = this.calls.filter(
        (each) => each.hasPlace && each.principal === call.principal,
      ).length;
      if (
        !call.hasPlace &&
        (this.placeCount >= this.maxCount || ofPrincipal >= LIMITS.maxParkedCallPerPrincipalCount)
      ) {
        this.over(call, 'error');
        continue;
      }
      call.hasPlace = true;
      call.parkedAt = Date.now();
      for (const id of call.asks.keys()) call.asks.set(id, true);
      this.settle(call, 'asks');
    }
  }

  /** Who nobody came back to in time, and what is remembered no longer. */
  expire(): void {
    const now = Date.now();
    for (const call of this.calls) {
      const until =
        call.rememberedUntil ?? (call.parkedAt === undefined ? undefined : call.parkedAt + LIFETIME_MS);
      if (call.gone || until === undefined || until > now) continue;
      this.over(call, 'error');
      call.hasPlace = false;
      call.gone = true;
    }
  }
}

class Real {
  readonly parking: ScriptedParking;

  constructor(pooled: boolean) {
    this.parking = new ScriptedParking({ limits: LIMITS, tiesMessagesToRequests: !pooled });
    if (pooled) this.parking.maxChannelCount = MAX_CHANNEL_COUNT;
  }

  send(call: Call, params: object): Sent {
    const sent: Sent = {
      call,
      cancellation: new Cancellation(),
      cancelled: false,
      expected: undefined,
      end: undefined,
      endCount: 0,
      reply: undefined,
    };
    const request = ownCall('tools/call', { name: `call-${call.number}`, ...params }, true);
    this.parking.calls
      .run({ ...request, cancellation: sent.cancellation }, { ...CALLER, principal: call.principal })
      .then(
        (reply) => this.ended(sent, reply),
        () => this.ended(sent, undefined),
      );
    return sent;
  }

  private ended(sent: Sent, reply: UpstreamReply | undefined): void {
    sent.endCount++;
    sent.reply = reply === undefined ? undefined : JSON.parse(reply.bytes.toString()).result;
    sent.end = reply === undefined ? 'error' : sent.reply?.requestState === undefined ? 'result' : 'asks';
  }

  says(call: Call, message: object): void {
    if (call.channel === undefined || call.request === undefined) return;
    if (this.parking.channels.includes(call.channel) && isPooled(this)) call.channel.say(message);
    else call.request.send(message);
  }
}

const pooledRigs = new WeakSet<Real>();
const isPooled = (real: Real) => pooledRigs.has(real);

/** After each step: every request has ended if and as the model says, and nothing is counted twice or left behind. */
async function agree(model: Model, real: Real): Promise<void> {
  await turns();
  for (const sent of model.sent) {
    expect([sent.call.number, sent.end, sent.endCount]).toEqual([
      sent.call.number,
      sent.expected,
      sent.expected === undefined ? 0 : 1,
    ]);
  }
  // What a round asks is what this very call's upstream asked.
  for (const { end, reply, call } of model.sent) {
    if (end !== 'asks') continue;
    for (const { params } of Object.values(reply?.inputRequests ?? {}))
      expect(params.message).toContain(`call-${call.number} `);
    if (call.rounds.every(({ state }) => state !== reply?.requestState)) learn(call, reply ?? {});
  }
  expect(real.parking.account.callCount).toBe(model.placeCount);
  for (const { request, running } of model.calls)
    if (request !== undefined) expect(request.aborted && running).toBe(false);
  for (const channel of real.parking.channels) {
    const ids = channel.posts.map((text) => JSON.parse(text).id).filter((id) => id !== undefined);
    expect(new Set(ids).size).toBe(ids.length);
  }
  if (!model.pooled) return;
  expect(real.parking.openChannels.length).toBeLessThanOrEqual(MAX_CHANNEL_COUNT);
  for (const channel of real.parking.openChannels)
    expect(model.calls.filter((call) => call.running && call.channel === channel).length).toBeLessThan(2);
}

/** A joined retry is told of the same round again, with a state of its own that leads to the same. */
function learn(call: Call, reply: NonNullable<Sent['reply']>): void {
  const answers = Object.fromEntries(
    Object.keys(reply.inputRequests ?? {}).map((key) => [key, { action: 'accept', content: {} }]),
  );
  const same = call.rounds.find((round) => JSON.stringify(round.answers) === JSON.stringify(answers));
  if (same === undefined)
    call.rounds.push({
      state: reply.requestState as string,
      answers,
      expiresAt: (call.parkedAt ?? 0) + LIFETIME_MS,
      retry: undefined,
    });
}

type Step = fc.AsyncCommand<Model, Real>;

/** A step on one of those that there are; `pick` says which. */
abstract class Picking<T> implements Step {
  constructor(private readonly pick: number) {}

  abstract choices(model: Model): T[];
  abstract on(chosen: T, model: Model, real: Real): Promise<void> | void;

  check(model: Readonly<Model>): boolean {
    return this.choices(model).length > 0;
  }

  async run(model: Model, real: Real): Promise<void> {
    model.steps++;
    const choices = this.choices(model);
    await this.on(choices[this.pick % choices.length] as T, model, real);
    await agree(model, real);
  }

  toString(): string {
    return `${this.constructor.name}(${this.pick})`;
  }
}

class Begin extends Picking<(typeof PRINCIPALS)[number]> {
  choices = () => [...PRINCIPALS];

  async on(principal: (typeof PRINCIPALS)[number], model: Model, real: Real): Promise<void> {
    const full = model.pooled && model.calls.filter(({ running }) => running).length >= MAX_CHANNEL_COUNT;
    const number = model.calls.length;
    const blank = {
      number,
      principal,
      kept: undefined,
      asks: new Map(),
      rounds: [],
      waiting: new Set<Sent>(),
      askCount: 0,
      hasPlace: false,
      parkedAt: undefined,
      rememberedUntil: undefined,
      quietSince: 0,
    };
    const sent = real.send(
      { ...blank, channel: undefined, request: undefined, running: false, gone: true },
      {},
    );
    await turns();
    const isOurs = (request: ScriptedRequest) => request.message.params.name === `call-${number}`;
    const channel = real.parking.channels.find(({ requests }) => requests.some(isOurs));
    const call: Call = {
      ...blank,
      channel,
      request: channel?.requests.find(isOurs),
      running: !full,
      gone: full,
    };
    Object.assign(sent, { call, expected: full ? 'error' : undefined });
    expect(channel === undefined).toBe(full);
    model.calls.push(call);
    model.sent.push(sent);
    if (!full) call.waiting.add(sent);
  }
}

class Ask extends Picking<Call> {
  choices = ({ calls }: Model) => calls.filter(({ running }) => running);

  on(call: Call, model: Model, real: Real): void {
    const id = `call-${call.number} ask-${++call.askCount}`;
    call.asks.set(id, false);
    call.quietSince = model.steps;
    real.says(call, { id, method: 'elicitation/create', params: { message: id } });
  }
}

class Notify extends Picking<Call> {
  choices = ({ calls }: Model) => calls.filter(({ running }) => running);

  on(call: Call, _: Model, real: Real): void {
    real.says(call, { method: 'notifications/message', params: { level: 'info', data: 'x' } });
  }
}

class TakeBack extends Picking<{ call: Call; id: string }> {
  choices = ({ calls }: Model) => calls.flatMap((call) => [...call.asks.keys()].map((id) => ({ call, id })));

  on({ call, id }: { call: Call; id: string }, _: Model, real: Real): void {
    call.asks.delete(id);
    real.says(call, { method: 'notifications/cancelled', params: { requestId: id } });
  }
}

class Finish extends Picking<Call> {
  choices = ({ calls }: Model) => calls.filter(({ running }) => running);

  on(call: Call, model: Model): void {
    call.request?.answer({ result: { content: [] } });
    model.over(call, 'result');
  }
}

class Break extends Picking<Call> {
  choices = ({ calls }: Model) => calls.filter(({ running }) => running);

  on(call: Call, model: Model): void {
    if (model.pooled) call.channel?.break();
    else call.request?.fail(new RpcError(-1, 'broken'));
    model.over(call, 'error');
  }
}

class Leave extends Picking<Sent> {
  choices = ({ sent }: Model) => sent.filter((each) => each.expected === undefined && !each.cancelled);

  on(sent: Sent, model: Model): void {
    sent.cancelled = true;
    sent.cancellation.cancel();
    if ([...sent.call.waiting].every(({ cancelled }) => cancelled)) model.over(sent.call, 'error');
  }
}

/** The answers of a round, the first time or again. */
class Answer extends Picking<{ call: Call; round: Round }> {
  choices = ({ rounds }: Model) => rounds;

  on({ call, round }: { call: Call; round: Round }, model: Model, real: Real): void {
    const sent = real.send(call, { requestState: round.state, inputResponses: round.answers });
    model.sent.push(sent);
    if (call.gone || round.expiresAt < Date.now()) {
      sent.expected = 'error';
      return;
    }
    if (round.retry !== undefined) {
      // It joins: hears what the first has heard, or will hear it.
      sent.expected = round.retry.expected;
      if (sent.expected === undefined) call.waiting.add(sent);
      return;
    }
    round.retry = sent;
    call.parkedAt = undefined;
    if (!call.running) {
      sent.expected = call.kept;
      model.delivered(call, call.kept as 'result' | 'error');
      return;
    }
    const keys = Object.keys(round.answers).map((key) => key.replace('elicitation-', ' ask-'));
    for (const id of call.asks.keys()) if (keys.some((key) => id.endsWith(key))) call.asks.delete(id);
    call.quietSince = model.steps;
    call.waiting.add(sent);
  }
}

/** Other answers to a round that was answered. */
class Replay extends Picking<{ call: Call; round: Round }> {
  choices = ({ rounds }: Model) => rounds.filter(({ round }) => round.retry !== undefined);

  on({ call, round }: { call: Call; round: Round }, model: Model, real: Real): void {
    const sent = real.send(call, { requestState: round.state, inputResponses: { other: true } });
    sent.expected = 'error';
    model.sent.push(sent);
  }
}

class Wait implements Step {
  constructor(private readonly ms: number) {}

  check = () => true;

  async run(model: Model, real: Real): Promise<void> {
    model.steps++;
    // Everything that happens at once, before anything that takes longer.
    await vi.advanceTimersByTimeAsync(Math.min(this.ms, 20));
    model.quiet();
    await agree(model, real);
    await vi.advanceTimersByTimeAsync(this.ms - 20);
    model.expire();
    await agree(model, real);
  }

  toString(): string {
    return `Wait(${this.ms})`;
  }
}

class Limit implements Step {
  constructor(private readonly count: number) {}

  check = () => true;

  async run(model: Model, real: Real): Promise<void> {
    model.maxCount = this.count;
    real.parking.account.apply({ ...LIMITS, maxParkedCallCount: this.count });
    await agree(model, real);
  }

  toString(): string {
    return `Limit(${this.count})`;
  }
}

const pick = fc.nat(20);
const begin = pick.map((n) => new Begin(n));
const ask = pick.map((n) => new Ask(n));
const answer = pick.map((n) => new Answer(n));
const quiet = fc.constant(new Wait(QUIET_MS));
/** What makes conversations long is said more than once. */
const STEPS = [
  ...[begin, begin, ask, ask, ask, ask, answer, answer, answer, answer, quiet, quiet, quiet, quiet],
  pick.map((n) => new Notify(n)),
  pick.map((n) => new TakeBack(n)),
  pick.map((n) => new Finish(n)),
  pick.map((n) => new Break(n)),
  pick.map((n) => new Leave(n)),
  pick.map((n) => new Replay(n)),
  fc.constant(new Wait(LONG_MS)),
  fc.integer({ min: 1, max: 3 }).map((n) => new Limit(n)),
];

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] });
});
afterEach(() => vi.useRealTimers());

describe.each([
  ['over streams that tie messages to requests', false],
  ['over connections of one call each', true],
])('parked calls %s', (_, pooled) => {
  it('end every request of a client exactly once, as the model says', async () => {
    await fc.assert(
      fc.asyncProperty(fc.commands(STEPS, { maxCommands: 60, size: 'max' }), async (commands) => {
        const real = new Real(pooled);
        if (pooled) pooledRigs.add(real);
        const model = new Model(pooled);
        try {
          await fc.asyncModelRun(() => ({ model, real }), commands);
        } finally {
          real.parking.calls.close();
        }
        for (const call of model.calls) {
          model.over(call, 'error');
          call.hasPlace = false;
        }
        await agree(model, real);
        expect(real.parking.account.heldBytes).toBe(0);
        expect(real.parking.openChannels).toEqual([]);
        expect(vi.getTimerCount()).toBe(0);
      }),
      { numRuns: 200 },
    );
  }, 120_000);
});
