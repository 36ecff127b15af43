/** Rules whose conditions are written in CEL, in the order of the configuration: the first that holds decides. */
import type { ConfigProblem, MaybePromise } from '@sluice/sdk';
import { ERROR, FALSE, TRUE } from '../expressions/condition.js';
import { NoValue, TooLong, withLongTexts } from '../expressions/functions.js';
import { LongTexts } from '../expressions/long-texts.js';
import { compileScope, type Scope } from '../expressions/scope.js';
import { TextPatterns } from '../matching/index.js';
import { after } from './after.js';
import type { RuleConfig } from './config.js';
import type { DecisionPoint, Prospect, Question, Verdict } from './decision-point.js';
import { type CompiledRule, compileRule, holds } from './rule.js';

type Note = (verdict: Verdict) => void;

export class CelRules implements DecisionPoint {
  readonly reads: readonly string[];
  readonly paths: readonly string[];
  readonly asks: boolean;
  readonly rules: readonly CompiledRule[];
  private readonly patterns: readonly string[];
  /** All patterns as one; made when a text is first too long for each by itself. */
  private together: TextPatterns | undefined;
  private readonly scopeOf: (ctx: Scope, facts: Scope) => Scope;

  /** @param problems is given what is wrong with the rules, by their path. */
  constructor(rules: readonly RuleConfig[], problems: ConfigProblem[]) {
    const ids = new Set(rules.map(({ id }) => id));
    this.rules = rules.map((rule, index) => compileRule(rule, `rules[${index}]`, problems, ids));
    const conditions = this.rules.flatMap(({ condition }) => condition ?? []);
    this.reads = [...new Set(this.rules.flatMap(({ reads }) => reads))];
    this.paths = [...new Set(this.rules.flatMap(({ paths }) => paths))];
    this.patterns = [...new Set(this.rules.flatMap(({ patterns }) => patterns))];
    this.asks = this.rules.some(({ outcome, isEnforced }) => outcome === 'ask' && isEnforced);
    this.scopeOf = compileScope(outermost(conditions.flatMap(({ reads }) => reads)));
  }

  get waits(): boolean {
    return this.asks;
  }

  decide(question: Question, note: Note): MaybePromise<Verdict | undefined> {
    if (!this.matchesTexts) return this.first(question, note);
    let notes: Verdict[] = [];
    const decided = this.computed(() => {
      notes = [];
      return this.first(question, (verdict) => notes.push(verdict));
    });
    return after(decided, (verdict) => {
      for (const each of notes) note(each);
      return verdict;
    });
  }

  foresee(question: Question): MaybePromise<Prospect> {
    return this.matchesTexts ? this.computed(() => this.prospect(question)) : this.prospect(question);
  }

  /** What a rule's condition is held against. */
  scope({ ctx, facts }: Question): Scope {
    return this.scopeOf(ctx, facts);
  }

  private get matchesTexts(): boolean {
    return this.patterns.length > 0;
  }

  /** Anew with what has been found out about long texts, until nothing is missing. */
  private computed<T>(compute: () => T): MaybePromise<T> {
    try {
      return withLongTexts(undefined, compute);
    } catch (error) {
      if (!(error instanceof TooLong)) throw error;
    }
    this.together ??= new TextPatterns(this.patterns.map((pattern) => ({ id: pattern, pattern })));
    return untilKnown(new LongTexts(this.together), compute);
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

async function untilKnown<T>(texts: LongTexts, compute: () => T): Promise<T> {
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
