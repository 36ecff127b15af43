/** Rules whose conditions are written in CEL, in the order of the configuration: the first that holds decides. */
import type { ConfigProblem, MaybePromise } from '@sluice/sdk';
import { ERROR, FALSE, TRUE } from '../expressions/condition.js';
import { NoValue, TooLong, withLongTexts } from '../expressions/functions.js';
import { LongTexts } from '../expressions/long-texts.js';
import { compileScope, type Scope } from '../expressions/scope.js';
import type { RuleConfig } from './config.js';
import type { DecisionPoint, Prospect, Question, Verdict } from './decision-point.js';
import { type CompiledRule, compileRule, holds } from './rule.js';

type Note = (verdict: Verdict) => void;

export class CelRules implements DecisionPoint {
  readonly reads: readonly string[];
  readonly paths: readonly string[];
  readonly asks: boolean;
  readonly rules: readonly CompiledRule[];
  private readonly scopeOf: (ctx: Scope, facts: Scope) => Scope;

  /** @param problems is given what is wrong with the rules, by their path. */
  constructor(rules: readonly RuleConfig[], problems: ConfigProblem[]) {
    const ids = new Set(rules.map(({ id }) => id));
    this.rules = rules.map((rule, index) => compileRule(rule, `rules[${index}]`, problems, ids));
    const conditions = this.rules.flatMap(({ condition }) => condition ?? []);
    this.reads = [...new Set(this.rules.flatMap(({ reads }) => reads))];
    this.paths = [...new Set(this.rules.flatMap(({ paths }) => paths))];
    this.asks = this.rules.some(({ outcome, isEnforced }) => outcome === 'ask' && isEnforced);
    this.scopeOf = compileScope(outermost(conditions.flatMap(({ reads }) => reads)));
  }

  get waits(): boolean {
    return this.asks;
  }

  decide(question: Question, note: Note): MaybePromise<Verdict | undefined> {
    try {
      return this.first(question, note);
    } catch (error) {
      if (!(error instanceof TooLong)) throw error;
      return this.decideLong(question, note);
    }
  }

  foresee(question: Question): MaybePromise<Prospect> {
    try {
      return this.prospect(question);
    } catch (error) {
      if (!(error instanceof TooLong)) throw error;
      return untilKnown(() => this.prospect(question));
    }
  }

  /** What a rule's condition is held against. */
  scope({ ctx, facts }: Question): Scope {
    return this.scopeOf(ctx, facts);
  }

  /** Anew with what has been found out about long texts, until nothing is missing. */
  private decideLong(question: Question, note: Note): Promise<Verdict | undefined> {
    return untilKnown(() => {
      const noted: Verdict[] = [];
      const verdict = this.first(question, (each) => noted.push(each));
      for (const each of noted) note(each);
      return verdict;
    });
  }

  private first(question: Question, note: Note): Verdict | undefined {
    const scope = this.scope(question);
    for (const rule of this.rules) {
      const said = holds(rule, question, scope);
      if (said === FALSE) continue;
      const verdict = verdictOf(rule, question, said === ERROR);
      if (verdict === undefined) continue;
      if (verdict.isEnforced) return verdict;
      note(verdict);
    }
    return undefined;
  }

  private prospect(question: Question): Prospect {
    const scope = this.scope(question);
    let [mayPass, mayFail] = [false, false];
    for (const rule of this.rules) {
      if (!rule.isEnforced) continue;
      const said = holds(rule, question, scope);
      if (rule.outcome !== 'deny' && (said & TRUE) !== 0) mayPass = true;
      if (rule.outcome === 'deny' && said !== FALSE) mayFail = true;
      if (rule.outcome === 'ask' && (said & ERROR) !== 0) mayFail = true;
      // A rule to allow that cannot be computed is passed over; the others then refuse.
      const goesOn = rule.outcome === 'allow' ? said & (FALSE | ERROR) : said & FALSE;
      if (goesOn === 0) return { mayPass, mayFail, mayGoOn: false };
    }
    return { mayPass, mayFail, mayGoOn: true };
  }
}

/**
 * What a rule says that holds, or that cannot be computed: then it says nothing where it would allow, and refuses
 * otherwise, so that an error never lets through what would have been refused.
 */
function verdictOf(rule: CompiledRule, question: Question, isError: boolean): Verdict | undefined {
  const { id, outcome, isEnforced } = rule;
  if (!isError) {
    if (outcome !== 'ask') return { outcome, rule: id, reason: rule.reason(question), isEnforced };
    try {
      return { outcome, rule: id, reason: rule.reason(question), ask: rule.asking(question), isEnforced };
    } catch (error) {
      if (!(error instanceof NoValue) || error instanceof TooLong) throw error;
    }
  }
  return outcome === 'allow' ? undefined : { outcome: 'deny', rule: id, isEnforced, isError: true };
}

async function untilKnown<T>(compute: () => T): Promise<T> {
  const texts = new LongTexts();
  for (;;) {
    try {
      return withLongTexts(texts, compute);
    } catch (error) {
      if (!(error instanceof TooLong)) throw error;
    }
    await texts.settled();
  }
}

/** Attributes of which none is a part of another. */
function outermost(reads: readonly string[]): readonly string[] {
  const all = [...new Set(reads)];
  return all.filter((read) => !all.some((other) => read.startsWith(`${other}.`)));
}
