/** What every rule says of one request, and why: for those who write rules. */
import { type Identity, type JsonObject, Refusal, type Target } from '@sluice/sdk';
import { ANYTHING, ERROR, FALSE, type Part, TRUE } from '../expressions/condition.js';
import type { Scope } from '../expressions/scope.js';
import { compileAgent } from './agent.js';
import type { Config } from './config.js';
import type { Question } from './decision-point.js';
import type { OpaHost } from './opa/point.js';
import { Policy } from './policy.js';
import { questionsOf } from './question.js';
import { type CompiledRule, holds } from './rule.js';
import type { Uses } from './session-uses.js';

/** A request as a plugin would be given it. */
export interface ExplainedRequest {
  readonly method: string;
  readonly target?: Target | undefined;
  readonly arguments?: JsonObject | undefined;
  readonly principal: Identity;
  readonly client: JsonObject;
  readonly headers: Readonly<Record<string, string>>;
  readonly session?: string | undefined;
  readonly endpoint: string;
  readonly revision: string;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  /** What was used in the session before. */
  readonly uses: Omit<Uses, 'rules'> & { readonly rules?: Uses['rules'] };
}

/** What is not computed has no value, which is neither of them. */
export type Said = 'true' | 'false' | 'no value' | 'not known yet';

export interface ExplainedPart {
  readonly text: string;
  readonly said: Said;
  /** What it read, by its name; undefined where there is nothing. */
  readonly values: readonly (readonly [path: string, value: unknown])[];
}

export interface ExplainedRule {
  readonly id: string;
  readonly outcome: 'allow' | 'deny' | 'ask';
  readonly isEnforced: boolean;
  /** Whether it is for this method and target at all. */
  readonly isFor: boolean;
  readonly said: Said;
  /** Those that mattered, in their order. */
  readonly parts: readonly ExplainedPart[];
  readonly reason: string | undefined;
  readonly decides: boolean;
}

/** One reading of the request; a URI may have two. */
export interface ExplainedReading {
  readonly method: string;
  readonly target: Target | undefined;
  readonly rules: readonly ExplainedRule[];
  readonly outcome: 'allow' | 'deny' | 'ask';
  readonly rule: string;
}

export interface Explanation {
  readonly readings: readonly ExplainedReading[];
  /** Whether lists show it. */
  readonly isListed: boolean;
}

/**
 * @param config checked, with its defaults.
 * @param host by which OPA is asked, where the configuration says so.
 */
export async function explainPolicy(
  config: Config,
  request: ExplainedRequest,
  host: OpaHost,
): Promise<Explanation | Refusal> {
  const policy = new Policy(config);
  policy.opa?.start(host);
  try {
    return await explainedBy(policy, config, request);
  } finally {
    await policy.opa?.close();
  }
}

async function explainedBy(
  policy: Policy,
  config: Config,
  request: ExplainedRequest,
): Promise<Explanation | Refusal> {
  const { method, target, arguments: args = {}, atMs, uses, ...rest } = request;
  const ctx: Scope = {
    ...rest,
    arguments: args,
    method,
    target,
    address: '127.0.0.1',
    transport: 'http',
    repeatedHeaders: [],
  };
  const agent = await compileAgent(config.agent, () => atMs)(ctx);
  if (agent instanceof Refusal) return agent;
  const counted = Object.fromEntries(config.rules.map(({ id }) => [id, uses.rules?.[id] ?? 0]));
  const facts = { agent, now: new Date(atMs), session: { ...uses, rules: counted } };
  const readings = await Promise.all(
    questionsOf(ctx, method, target, true, facts).map((question) => explained(policy, question)),
  );
  const { outcome } = await policy.foresee(questionsOf(ctx, method, target, false, facts));
  return { readings, isListed: outcome === 'allow' };
}

async function explained(policy: Policy, question: Question): Promise<ExplainedReading> {
  const { outcome, rule } = await decided(policy, question);
  const scope = policy.cel.scope(question);
  const rules: ExplainedRule[] = [];
  for (const each of policy.cel.rules) {
    const explainedRule = ruleOf(each, question, scope, each.id === rule);
    rules.push(explainedRule);
    if (explainedRule.decides) break;
  }
  return { method: question.method, target: question.target, rules, outcome, rule };
}

async function decided(policy: Policy, question: Question) {
  return question.isLater ? policy.foresee([question]) : policy.decide([question], () => undefined);
}

function ruleOf(rule: CompiledRule, question: Question, scope: Scope, decides: boolean): ExplainedRule {
  const parts: ExplainedPart[] = [];
  const isFor = rule.matches(question) !== FALSE;
  let said: number;
  try {
    said = holds(rule, question, scope, (part, set) => parts.push(partOf(part, set, scope)));
  } catch {
    // A long text, which is matched elsewhere; the decision has waited for that.
    said = decides ? TRUE : FALSE;
  }
  const { id, outcome, isEnforced } = rule;
  const reason = said === TRUE ? rule.reason(question) : undefined;
  return { id, outcome, isEnforced, isFor, said: wordOf(said), parts, reason, decides };
}

function partOf({ text, expression }: Part, set: number, scope: Scope): ExplainedPart {
  return {
    text,
    said: wordOf(set),
    values: set === ANYTHING ? [] : expression.paths.map((path) => [path, valueAt(scope, path)] as const),
  };
}

/** The names of claims and headers may have dots of their own. */
function valueAt(scope: Scope, path: string): unknown {
  let value: unknown = scope;
  let rest: string | undefined = path;
  while (rest !== undefined && typeof value === 'object' && value !== null) {
    if (Object.hasOwn(value, rest)) return (value as Scope)[rest];
    const dot: number = rest.indexOf('.');
    if (dot === -1) return undefined;
    const head = rest.slice(0, dot);
    value = Object.hasOwn(value, head) ? (value as Scope)[head] : undefined;
    rest = rest.slice(dot + 1);
  }
  return undefined;
}

function wordOf(set: number): Said {
  if (set === TRUE) return 'true';
  if (set === FALSE) return 'false';
  return set === ERROR ? 'no value' : 'not known yet';
}
