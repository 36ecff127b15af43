/** All rules of a configuration as one: what they say of a request, and what is said where they say nothing. */
import type { ConfigProblem, MaybePromise } from '@sluice/sdk';
import { WITHOUT_TARGET } from '../method-targets.js';
import { CelRules } from './cel-rules.js';
import type { Config } from './config.js';
import type { DecisionPoint, Prospect, Question, Verdict } from './decision-point.js';

type Note = (verdict: Verdict) => void;

/** The id that stands for `default` where a rule's would. */
export const DEFAULT_RULE = 'default';

/** What is said of methods that belong to the protocol and use nothing. */
const PROTOCOL: Verdict = { outcome: 'allow', rule: 'protocol', isEnforced: true };

export class Policy {
  readonly cel: CelRules;
  /** In the order in which they are asked. */
  readonly points: readonly DecisionPoint[];
  private readonly byDefault: Verdict;

  /** @param problems is given what is wrong with the rules. */
  constructor(config: Config, problems: ConfigProblem[] = []) {
    this.cel = new CelRules(config.rules, problems);
    this.points = [this.cel];
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

  /** True where calls are decided in `exchange`. */
  get waits(): boolean {
    return this.readsFact('session') || this.points.some(({ waits }) => waits);
  }

  /** The strictest of what is said of the readings of one request. */
  decide(questions: readonly Question[], note: Note): MaybePromise<Verdict> {
    const [only] = questions;
    if (questions.length === 1 && only !== undefined) return this.decideOne(only, note);
    const all = questions.map((question) => this.decideOne(question, note));
    return all.some((each) => each instanceof Promise)
      ? Promise.all(all).then(strictest)
      : strictest(all as Verdict[]);
  }

  /** Whether a use may pass that is still to come. */
  mayPass(questions: readonly Question[]): MaybePromise<boolean> {
    const all = questions.map((question) => this.mayPassOne(question));
    return all.some((each) => each instanceof Promise)
      ? Promise.all(all).then((each) => each.every(Boolean))
      : all.every(Boolean);
  }

  private decideOne(question: Question, note: Note): MaybePromise<Verdict> {
    const from = (index: number): MaybePromise<Verdict> => {
      const point = this.points[index];
      if (point === undefined) return this.otherwise(question);
      const said = point.decide(question, note);
      if (said instanceof Promise) return said.then((verdict) => verdict ?? from(index + 1));
      return said ?? from(index + 1);
    };
    return from(0);
  }

  /** What is about nothing is there for all who were let in, where no rule names it. */
  private otherwise({ method, target }: Question): Verdict {
    return target === undefined && WITHOUT_TARGET.has(method) ? PROTOCOL : this.byDefault;
  }

  private mayPassOne(question: Question): MaybePromise<boolean> {
    const from = (index: number): MaybePromise<boolean> => {
      const point = this.points[index];
      if (point === undefined) return this.byDefault.outcome === 'allow';
      const goOn = ({ mayPass, mayGoOn }: Prospect) => mayPass || (mayGoOn && from(index + 1));
      const said = point.foresee(question);
      return said instanceof Promise ? said.then(goOn) : goOn(said);
    };
    return from(0);
  }
}

const STRICTNESS = { allow: 0, ask: 1, deny: 2 } as const;

function strictest(verdicts: readonly Verdict[]): Verdict {
  return verdicts.reduce((most, each) => (STRICTNESS[each.outcome] > STRICTNESS[most.outcome] ? each : most));
}
