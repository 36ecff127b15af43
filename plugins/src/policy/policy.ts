/** All rules of a configuration as one: what they say of a request, and what is said where they say nothing. */
import type { ConfigProblem, MaybePromise } from '@sluice/sdk';
import { WITHOUT_TARGET } from '../method-targets.js';
import { after } from './after.js';
import { CelRules } from './cel-rules.js';
import type { Config } from './config.js';
import type { DecisionPoint, Question, Verdict } from './decision-point.js';
import { OpaRules } from './opa/point.js';

type Note = (verdict: Verdict) => void;

/** The id that stands for `default` where a rule's would. */
export const DEFAULT_RULE = 'default';

/** The same for what belongs to the protocol. */
export const PROTOCOL_RULE = 'protocol';

/** What is said of methods that belong to the protocol and use nothing. */
const PROTOCOL: Verdict = { outcome: 'allow', rule: PROTOCOL_RULE, isEnforced: true };

export class Policy {
  readonly cel: CelRules;
  readonly opa: OpaRules | undefined;
  /** In the order in which they are asked. */
  readonly points: readonly DecisionPoint[];
  private readonly byDefault: Verdict;

  /** @param problems is given what is wrong with the rules. */
  constructor(config: Config, problems: ConfigProblem[] = []) {
    this.cel = new CelRules(config.rules, problems);
    this.opa = config.opa && new OpaRules(config.opa);
    this.points = this.opa === undefined ? [this.cel] : [this.cel, this.opa];
    this.byDefault = { outcome: config.default, rule: DEFAULT_RULE, isEnforced: true };
  }

  get reads(): readonly string[] {
    return this.points.flatMap(({ reads }) => reads);
  }

  /** What is read of what the plugin finds out: `session`, `agent`, `now`. */
  readsFact(name: string): boolean {
    return this.points.some(({ paths }) =>
      paths.some((path) => path === name || path.startsWith(`${name}.`)),
    );
  }

  /** True where it matters to rules which of them let something through before. */
  get readsCounts(): boolean {
    const isRead = (path: string) => path === 'session' || /^session\.rules(?:\.|$)/.test(path);
    return this.points.some(({ paths }) => paths.some(isRead));
  }

  /** True where calls are decided in `exchange`. */
  get waits(): boolean {
    return this.readsFact('session') || this.points.some(({ waits }) => waits);
  }

  /** True where a person may be asked. */
  get asks(): boolean {
    return this.points.some(({ asks }) => asks);
  }

  /** The strictest of what is said of the readings of one request. */
  decide(questions: readonly Question[], note: Note): MaybePromise<Verdict> {
    const [only] = questions;
    if (questions.length === 1 && only !== undefined) return this.decideOne(only, note);
    return afterAll(
      questions.map((question) => this.decideOne(question, note)),
      strictest,
    );
  }

  /** Whether a use may pass that is still to come: then it is allowed, else denied. */
  foresee(questions: readonly Question[]): MaybePromise<Verdict> {
    return afterAll(
      questions.map((question) => this.foreseeOne(question)),
      strictest,
    );
  }

  private decideOne(question: Question, note: Note): MaybePromise<Verdict> {
    const from = (index: number): MaybePromise<Verdict> => {
      const point = this.points[index];
      if (point === undefined) return this.otherwise(question);
      return after(point.decide(question, note), (verdict) => verdict ?? from(index + 1));
    };
    return from(0);
  }

  /** What is about nothing is there for all who were let in, where no rule names it. */
  private otherwise({ method, target }: Question): Verdict {
    return target === undefined && WITHOUT_TARGET.has(method) ? PROTOCOL : this.byDefault;
  }

  /** Of a name that nobody has it is told only to those who may use any name: to others it looks like a denied one. */
  private foreseeOne(question: Question): MaybePromise<Verdict> {
    const isUnknown = question.target === undefined;
    const from = (index: number): MaybePromise<Verdict> => {
      const point = this.points[index];
      if (point === undefined) return foreseen(this.byDefault.outcome === 'allow');
      return after(point.foresee(question), ({ mayPass, mayFail, mayGoOn, failure }) => {
        if (failure !== undefined) return { ...foreseen(false), failure };
        if (isUnknown ? mayFail : mayPass) return foreseen(!isUnknown);
        return mayGoOn ? from(index + 1) : foreseen(isUnknown);
      });
    };
    return from(0);
  }
}

function foreseen(mayPass: boolean): Verdict {
  return { outcome: mayPass ? 'allow' : 'deny', rule: DEFAULT_RULE, isEnforced: true };
}

function afterAll<T, U>(all: readonly MaybePromise<T>[], use: (all: readonly T[]) => U): MaybePromise<U> {
  return all.some((each) => each instanceof Promise) ? Promise.all(all).then(use) : use(all as readonly T[]);
}

const STRICTNESS = { allow: 0, ask: 1, deny: 3 } as const;
/** What cannot be said of one reading may be a permit by the binding, and what is denied of another one is not. */
const STRICTNESS_OF_FAILURE = 2;

function strictnessOf({ outcome, failure }: Verdict): number {
  return failure === undefined ? STRICTNESS[outcome] : STRICTNESS_OF_FAILURE;
}

function strictest(verdicts: readonly Verdict[]): Verdict {
  return verdicts.reduce((most, each) => (strictnessOf(each) > strictnessOf(most) ? each : most));
}
