/**
 * Decides by rules: who may do what, with which arguments, by which agent, how often and when. Rules allow, deny or
 * have a person asked; the first that holds decides.
 */
import {
  type Attribute,
  type ConfigProblem,
  type Decision,
  definePlugin,
  durationMs,
  type MaybePromise,
  type Outcome,
  Refusal,
  type Remark,
  type Target,
} from '@sluice/sdk';
import type { Scope } from '../expressions/scope.js';
import { after } from './after.js';
import { agentProblems, agentReads, compileAgent } from './agent.js';
import { APPROVAL_READS, type ApprovalCtx, approved } from './approval.js';
import { Config } from './config.js';
import type { Verdict } from './decision-point.js';
import { opaProblems } from './opa/config.js';
import { OPA_RULE } from './opa/result.js';
import { DEFAULT_RULE, Policy } from './policy.js';
import { questionsOf } from './question.js';
import { type Reserved, SessionUses, TooManyTools, type Uses } from './session-uses.js';

const MIN_WINDOW_MS = 1_000;
const MAX_WINDOW_MS = 30 * 86_400_000;
const DEFAULT_WINDOW = '1h';
/** Longest part of a method that a refusal repeats. */
const MAX_TOLD_LENGTH = 100;

/** What counts as a use of a session. */
const COUNTED: ReadonlySet<string> = new Set(['prompts/get', 'resources/read', 'tools/call']);

interface Ctx extends Scope {
  readonly method: string;
  readonly target: Target | undefined;
  readonly targets: readonly Target[];
  readonly remark: (remark: Remark) => void;
}

interface SessionCtx {
  readonly session: string | undefined;
  readonly principal: { readonly id: string };
  readonly client: { readonly name?: string };
}

export default definePlugin({
  name: 'policy',
  version: '1.0.0',
  description: 'Decides by rules in CEL: allow, deny, or ask a person.',
  phase: 'decision',
  config: Config,
  reads: (config) => attributesOf(config) as Attribute[],
  changes: [],
  check: problemsOf,

  hooks(config, host) {
    const policy = new Policy(config);
    policy.opa?.start(host);
    const isAudit = config.mode === 'audit';
    const { waits } = policy;
    const { clock, metrics, log } = host;
    const readsNow = policy.readsFact('now');
    const readsSession = policy.readsFact('session');
    const agentOf = policy.readsFact('agent') ? compileAgent(config.agent, () => clock.now()) : undefined;
    const uses = new SessionUses({
      store: host.store,
      clock,
      windowMs: durationMs(config.session?.window ?? DEFAULT_WINDOW),
      rules: config.rules.map(({ id }) => id),
      failed: (error) => log.warn({ err: error }, 'what was used in a session could not be stored'),
    });
    const byPrincipal = config.session?.by === 'principal';

    /** What rules are given beside attributes; a Refusal where the agent shows a token that does not count. */
    function factsOf(ctx: Ctx, session?: Uses): MaybePromise<Scope | Refusal> {
      const facts: Record<string, unknown> = {};
      if (readsNow) facts.now = new Date(clock.now());
      if (session !== undefined) facts.session = session;
      if (agentOf === undefined) return facts;
      return after(agentOf(ctx), (found) =>
        found instanceof Refusal ? found : Object.assign(facts, { agent: found }),
      );
    }

    function decide(ctx: Ctx): MaybePromise<Decision> {
      const { target, targets } = ctx;
      // An entry of a list is none of what the request is about.
      const isRequest = target === undefined || targets.includes(target);
      if (isRequest && waits) return 'permit';
      return after(factsOf(ctx), (facts) => {
        if (facts instanceof Refusal) return isAudit ? 'permit' : facts;
        return after(
          verdictOf(ctx, target, isRequest, facts),
          (verdict) => concluded(ctx, verdict, isRequest) ?? 'permit',
        );
      });
    }

    /** What is said of one thing that a request is about. */
    function verdictOf(
      ctx: Ctx,
      target: Target | undefined,
      isRequest: boolean,
      facts: Scope,
    ): MaybePromise<Verdict> {
      const questions = questionsOf(ctx, ctx.method, target, isRequest, facts);
      if (questions[0]?.isLater !== true) return policy.decide(questions, (verdict) => noted(ctx, verdict));
      return after(policy.mayPass(questions), foreseen);
    }

    function noted(ctx: Ctx, { outcome, rule, isError }: Verdict): void {
      metrics.count('noted_total', 'What would have been decided, were it enforced.', { rule, outcome });
      ctx.remark({
        kind: outcome,
        rule,
        isEnforced: false,
        ...(isError && { reason: 'the rule could not be computed' }),
      });
    }

    /** What becomes of a verdict; undefined: it goes on, or a person is asked. */
    function concluded(ctx: Ctx, verdict: Verdict, isRequest: boolean): Refusal | undefined {
      const { outcome, rule, isError } = verdict;
      if (isAudit && outcome !== 'allow') {
        if (isRequest) noted(ctx, verdict);
        return undefined;
      }
      if (isRequest && rule !== PROTOCOL_RULE && outcome !== 'ask') {
        metrics.count('decided_total', 'What was decided, by rule.', { rule, outcome });
        ctx.remark({ kind: outcome, rule, ...(isError && { reason: 'the rule could not be computed' }) });
      }
      return outcome === 'deny' ? refusalOf(ctx, verdict) : undefined;
    }

    function exchange(ctx: Ctx, next: () => MaybePromise<Outcome>): MaybePromise<Outcome | Refusal> {
      if (readsSession) return exchangeCounted(ctx, next);
      return after(decideAll(ctx, undefined), (said) => (Array.isArray(said) ? next() : (said as Refusal)));
    }

    async function exchangeCounted(ctx: Ctx, next: () => MaybePromise<Outcome>): Promise<Outcome | Refusal> {
      const { name, ends } = sessionOf(ctx as unknown as SessionCtx);
      if (!COUNTED.has(ctx.method)) {
        const said = await decideAll(ctx, await uses.before(name, ends));
        return Array.isArray(said) ? next() : (said as Refusal);
      }
      const reserved = await reserve(ctx, name, ends);
      if (reserved instanceof Refusal) return reserved;
      let said: Decided;
      try {
        said = await decideAll(ctx, reserved.before);
      } catch (error) {
        reserved.release();
        throw error;
      }
      if (!Array.isArray(said)) {
        reserved.release();
        return said as Outcome | Refusal;
      }
      reserved.confirm(said);
      return next();
    }

    async function reserve(ctx: Ctx, name: string, ends: boolean): Promise<Reserved | Refusal> {
      const { target } = ctx;
      const tool = target?.kind === 'tool' ? `${target.upstream}:${target.name}` : undefined;
      try {
        return await uses.reserve(name, ends, tool);
      } catch (error) {
        // A failure would count against the plugin, and callers can cause this one.
        if (!(error instanceof TooManyTools)) throw error;
        return new Refusal('limited', error.message);
      }
    }

    function sessionOf({ session, principal, client }: SessionCtx): { name: string; ends: boolean } {
      if (byPrincipal) return { name: JSON.stringify([principal.id]), ends: false };
      if (session !== undefined)
        return { name: JSON.stringify([principal.id, 'session', session]), ends: true };
      return { name: JSON.stringify([principal.id, 'client', client.name ?? '']), ends: false };
    }

    /** Ids of the rules that let all of it through. */
    function decideAll(ctx: Ctx, session: Uses | undefined): MaybePromise<Decided> {
      return after(factsOf(ctx, session), (facts) => {
        if (facts instanceof Refusal) return isAudit ? [] : facts;
        const targets = ctx.targets.length === 0 ? NO_TARGETS : ctx.targets;
        const rules: string[] = [];
        const from = (index: number): MaybePromise<Decided> => {
          if (index === targets.length) return rules;
          return after(verdictOf(ctx, targets[index], true, facts), (verdict) => {
            const refusal = concluded(ctx, verdict, true);
            if (refusal !== undefined) return refusal;
            rules.push(verdict.rule);
            if (verdict.outcome !== 'ask' || isAudit) return from(index + 1);
            metrics.count('decided_total', 'What was decided, by rule.', {
              rule: verdict.rule,
              outcome: 'ask',
            });
            return approved(ctx as unknown as ApprovalCtx, verdict, host).then(
              (said) => said ?? from(index + 1),
            );
          });
        };
        return from(0);
      });
    }

    return {
      decide,
      ...(waits && { exchange }),
      ...(policy.opa && { shutdown: () => policy.opa?.close() }),
    };
  },
});

const PROTOCOL_RULE = 'protocol';
const NO_TARGETS = [undefined];

/** Ids of rules, or what the request ends with. */
type Decided = readonly string[] | Outcome | Refusal;

function foreseen(mayPass: boolean): Verdict {
  return { outcome: mayPass ? 'allow' : 'deny', rule: DEFAULT_RULE, isEnforced: true };
}

function refusalOf({ method }: Ctx, { rule, reason, isError }: Verdict): Refusal {
  const why = isError === true ? 'the policy cannot say whether' : 'the policy does not allow';
  const message = reason ?? `${why} this ${method.slice(0, MAX_TOLD_LENGTH)}${isError ? ' is allowed' : ''}`;
  return new Refusal('forbidden', message, { data: { error: 'policy_denied', rule } });
}

function attributesOf(config: Config): readonly string[] {
  const policy = new Policy(config);
  const own = ['method', 'remark', 'target', 'targets'];
  if (policy.readsFact('agent')) own.push(...agentReads(config.agent));
  if (policy.readsFact('session')) {
    own.push('principal.id');
    if (config.session?.by !== 'principal') own.push('client', 'session');
  }
  if (policy.asks) own.push(...APPROVAL_READS);
  return [...new Set([...own, ...policy.reads])];
}

function problemsOf(config: Config): readonly ConfigProblem[] {
  const problems: ConfigProblem[] = [...agentProblems(config.agent), ...opaProblems(config.opa)];
  const ids = config.rules.map(({ id }) => id);
  config.rules.forEach(({ id }, index) => {
    const path = `rules[${index}].id`;
    const first = ids.indexOf(id);
    if (first !== index) problems.push({ path, message: `is that of rules[${first}] too` });
    if (id === DEFAULT_RULE || id === PROTOCOL_RULE || id === OPA_RULE)
      problems.push({ path, message: `stands for what no rule decides` });
  });
  new Policy(config, problems);
  const windowMs = durationMs(config.session?.window ?? DEFAULT_WINDOW);
  if (windowMs < MIN_WINDOW_MS || windowMs > MAX_WINDOW_MS)
    problems.push({ path: 'session.window', message: 'is too short or too long', hint: 'from 1s to 30d' });
  if (config.session?.by === 'principal' && !new Policy(config).readsFact('session'))
    problems.push({ path: 'session', message: 'is for nothing: no rule reads `session`' });
  return problems;
}
