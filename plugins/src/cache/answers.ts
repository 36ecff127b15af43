/**
 * Answers from what is kept, and asks once for what many want: the one who asks first leads, the others wait for what
 * it gets.
 */
import type { Clock, JsonObject, MaybePromise, Outcome, PluginMetrics } from '@sluice/sdk';
import type { Changes, Subject } from './changes.js';
import type { Rule } from './config.js';
import { type KeptAnswer, keepable, mayBePublic } from './kept-answer.js';
import type { KeptAnswers } from './kept-answers.js';
import type { CacheRequest } from './request-key.js';
import type { Generations } from './sealed-answer.js';
import type { SecondLevel } from './second-level.js';

/** How long requests that got what may not be kept do not wait for each other. */
const PASS_MS = 10_000;

/** What whoever waits is told: the answer; to ask again, since the leader gave up; or to ask by itself. */
type Ended = KeptAnswer | 'again' | 'alone';

type Next = () => MaybePromise<Outcome>;

/** A request that may be answered from what is kept, with all that is known about it. */
export interface Asked {
  readonly request: CacheRequest;
  readonly subject: Subject;
  readonly rule: Rule;
  readonly signal: AbortSignal;
  /** Called with a result that another worker has asked for. */
  learn(result: JsonObject | undefined): void;
}

/** One call for all who want the same. Nearly always that is one, and then nobody waits for its end. */
class Flight {
  private waited: Promise<Ended> | undefined;
  private resolve: ((ended: Ended) => void) | undefined;

  constructor(
    readonly key: string,
    readonly asOf: number,
  ) {}

  get isAwaited(): boolean {
    return this.waited !== undefined;
  }

  ended(): Promise<Ended> {
    this.waited ??= new Promise((resolve) => {
      this.resolve = resolve;
    });
    return this.waited;
  }

  end(ended: Ended): void {
    this.resolve?.(ended);
  }
}

export interface AnswersOptions {
  readonly kept: KeptAnswers;
  readonly changes: Changes;
  readonly clock: Clock;
  readonly metrics: PluginMetrics;
  readonly maxEntryBytes: number;
  /** What all workers keep together. */
  readonly second: SecondLevel | undefined;
}

export class Answers {
  private readonly flights = new Map<string, Flight>();

  constructor(private readonly options: AnswersOptions) {}

  answer(asked: Asked, next: Next): MaybePromise<Outcome> {
    const { kept, clock } = this.options;
    const { request, rule } = asked;
    const { privateKey } = request;
    const nowMs = clock.now();
    const found =
      (privateKey === undefined ? undefined : kept.find(privateKey)) ??
      (mayBePublic(request, rule) ? kept.find(request.publicKey) : undefined);
    if (found === undefined) return this.missed(asked, next);
    if (found.isFresh(nowMs)) {
      this.count('hit');
      return found.outcome(nowMs);
    }
    // Somebody asks anew already, or this request can do so when its client has its answer.
    const isAsking = this.flights.has(this.flightKey(asked) ?? '');
    if (!isAsking && !request.standsAlone) return this.missed(asked, next);
    // Nobody waits for it; what goes wrong is told to whoever asks when this one's time is over.
    if (!isAsking) this.leadUnheard(asked, next);
    this.count('stale');
    return found.outcome(nowMs);
  }

  private missed(asked: Asked, next: Next): MaybePromise<Outcome> {
    const key = this.flightKey(asked);
    const flight = key === undefined ? undefined : this.flights.get(key);
    const { changes, kept, clock } = this.options;
    // What is asked for since before a change may be what was before it.
    const isUsable = flight !== undefined && !changes.outdated(asked.subject, flight.asOf);
    if (isUsable && !asked.request.wantsProgress) return this.follow(flight, asked, next);
    const isAlone = key === undefined || isUsable || kept.passes(key, clock.now());
    return isAlone ? this.alone(asked, next) : this.lead(key, asked, next);
  }

  private async follow(flight: Flight, asked: Asked, next: Next): Promise<Outcome> {
    const ended = await flight.ended();
    if (ended === 'again') return this.missed(asked, next);
    if (ended === 'alone') return this.alone(asked, next);
    this.count('joined');
    return ended.outcome(this.options.clock.now());
  }

  /** Asks, and nobody waits for it. */
  private alone(asked: Asked, next: Next): MaybePromise<Outcome> {
    this.count('miss');
    const asOf = this.options.changes.now;
    const came = next();
    if (came instanceof Promise) {
      return came.then((outcome) => {
        if (this.isAdmitted(asked)) this.keep(asked, outcome, asOf);
        return outcome;
      });
    }
    if (this.isAdmitted(asked)) this.keep(asked, came, asOf);
    return came;
  }

  /** Asks anew for what is stale; nobody waits for it, and whoever asks when its time is over is told what goes wrong. */
  private leadUnheard(asked: Asked, next: Next): void {
    const key = this.flightKey(asked);
    if (key === undefined) return;
    try {
      const led = this.lead(key, asked, next);
      if (led instanceof Promise) led.catch(() => undefined);
    } catch {
      // As for a promise.
    }
  }

  /** Asks for all who want the same meanwhile. */
  private lead(key: string, asked: Asked, next: Next): MaybePromise<Outcome> {
    const flight = new Flight(key, this.options.changes.now);
    this.flights.set(key, flight);
    if (this.options.second !== undefined) return this.leadThere(this.options.second, flight, asked, next);
    this.count('miss');
    let came: MaybePromise<Outcome>;
    try {
      came = next();
    } catch (thrown) {
      this.landed(flight, 'alone');
      throw thrown;
    }
    if (!(came instanceof Promise)) return this.arrived(flight, asked, came);
    return came.then(
      (outcome) => this.arrived(flight, asked, outcome),
      (thrown: unknown) => {
        this.landed(flight, 'alone');
        throw thrown;
      },
    );
  }

  /** The same where somebody else may have the answer. */
  private async leadThere(second: SecondLevel, flight: Flight, asked: Asked, next: Next): Promise<Outcome> {
    let isOver = false;
    try {
      const { request, rule, subject } = asked;
      const found = await second.read(request, mayBePublic(request, rule), subject, flight.asOf);
      if (found.answer === undefined) {
        this.count('miss');
        const came = await next();
        isOver = true;
        return this.arrived(flight, asked, came, found.generations);
      }
      isOver = true;
      this.count('redis');
      this.landed(flight, forAll(asked, flight.key, this.take(asked, found.answer)));
      return found.answer.outcome(this.options.clock.now());
    } finally {
      if (!isOver) this.landed(flight, 'alone');
    }
  }

  private arrived(flight: Flight, asked: Asked, came: Outcome, generations?: Generations): Outcome {
    let ended: Ended = 'alone';
    try {
      const isGivenUp = came.errorCode !== 0 && asked.signal.aborted;
      ended = isGivenUp ? 'again' : forAll(asked, flight.key, this.kept(flight, asked, came, generations));
    } finally {
      this.landed(flight, ended);
    }
    return came;
  }

  private landed(flight: Flight, ended: Ended): void {
    if (this.flights.get(flight.key) === flight) this.flights.delete(flight.key);
    flight.end(ended);
  }

  /** Keeps here too what another worker has asked for. */
  private take(asked: Asked, answer: KeptAnswer): KeptAnswer | undefined {
    const { request, subject } = asked;
    const { kept, changes, clock } = this.options;
    const key = answer.isPublic ? request.publicKey : request.privateKey;
    if (key === undefined || changes.outdated(subject, answer.asOf)) return undefined;
    if (request.method === 'tools/list') asked.learn(answer.outcome(clock.now()).result);
    kept.put(key, answer);
    return answer;
  }

  /** Keeps an answer that others wait for, and any that there is room for. */
  private kept(
    flight: Flight,
    asked: Asked,
    came: Outcome,
    generations?: Generations,
  ): KeptAnswer | undefined {
    const isWanted = flight.isAwaited || generations !== undefined || this.isAdmitted(asked);
    return isWanted ? this.keep(asked, came, flight.asOf, generations) : undefined;
  }

  private isAdmitted({ request, rule }: Asked): boolean {
    const key = mayBePublic(request, rule) ? request.publicKey : request.privateKey;
    return key !== undefined && this.options.kept.admits(key);
  }

  private keep(
    { request, subject, rule }: Asked,
    came: Outcome,
    asOf: number,
    generations?: Generations,
  ): KeptAnswer | undefined {
    const { kept, changes, clock, maxEntryBytes, second } = this.options;
    const nowMs = clock.now();
    const own = keepable(request, subject, rule, came, { nowMs, asOf, maxBytes: maxEntryBytes });
    if (own === undefined) return undefined;
    if (own === 'pass') {
      const key = this.flightKey({ request, rule });
      if (key !== undefined) kept.pass(key, nowMs + PASS_MS);
      return undefined;
    }
    if (changes.outdated(subject, asOf)) return undefined;
    const key = own.isPublic ? request.publicKey : request.privateKey;
    if (key === undefined) return undefined;
    kept.put(key, own);
    if (generations !== undefined) second?.write(key, own, generations);
    return own;
  }

  /** Before an answer is there nobody knows whether it is for everybody, unless the operator says so. */
  private flightKey({ request, rule }: Pick<Asked, 'request' | 'rule'>): string | undefined {
    return rule.isShared && !request.isPage ? request.publicKey : request.privateKey;
  }

  private count(result: 'hit' | 'stale' | 'miss' | 'joined' | 'redis'): void {
    this.options.metrics.count(
      'requests_total',
      'Requests whose answers may be kept, by what became of them.',
      {
        result,
      },
    );
  }
}

/** What those who wait by a key are told: an answer for one caller is only for those who are the same caller. */
function forAll({ request }: Asked, key: string, own: KeptAnswer | undefined): Ended {
  return own !== undefined && (own.isPublic || key === request.privateKey) ? own : 'alone';
}
