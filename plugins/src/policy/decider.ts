/** Decides requests and entries of lists by a policy, counts what was let through, and has people asked. */
import { hash } from 'node:crypto';
import {
  type Clock,
  type Decision,
  durationMs,
  type MaybePromise,
  type Outcome,
  type PluginHost,
  Refusal,
  type Remark,
  RequestFailure,
  type Target,
} from '@sluice/sdk';
import type { Scope } from '../expressions/scope.js';
import { after } from './after.js';
import { compileAgent, type ReadAgent } from './agent.js';
import { type ApprovalCtx, approved } from './approval.js';
import { type Config, DEFAULT_WINDOW } from './config.js';
import type { Verdict } from './decision-point.js';
import { type Policy, PROTOCOL_RULE } from './policy.js';
import { questionsOf } from './question.js';
import { type Reserved, SessionUses, TooManyTools, type Uses } from './session-uses.js';

/** Longest part of a method that a refusal repeats. */
const MAX_TOLD_LENGTH = 100;
/** What counts as a use of a session. */
const COUNTED: ReadonlySet<string> = new Set(['prompts/get', 'resources/read', 'tools/call']);
/** How often rules are asked anew because others have come through meanwhile. */
const MAX_CLAIM_COUNT = 4;
const NO_TARGETS = [undefined];

export interface Ctx extends Scope {
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

/** What is said of a request, one verdict for each of its targets, and what is only noted. Nothing has come of it yet. */
interface Judged {
  readonly verdicts: readonly Verdict[];
  readonly notes: readonly Verdict[];
}

type Next = () => MaybePromise<Outcome>;

export class Decider {
  private readonly isAudit: boolean;
  private readonly byPrincipal: boolean;
  private readonly waits: boolean;
  private readonly reads: { readonly now: boolean; readonly session: boolean; readonly counts: boolean };
  private readonly agentOf: ReadAgent | undefined;
  private readonly uses: SessionUses;
  private readonly clock: Clock;

  constructor(
    private readonly policy: Policy,
    private readonly host: PluginHost,
    config: Config,
  ) {
    const { clock, log, store } = host;
    this.clock = clock;
    this.isAudit = config.mode === 'audit';
    this.byPrincipal = config.session?.by === 'principal';
    this.waits = policy.waits;
    this.reads = {
      now: policy.readsFact('now'),
      session: policy.readsFact('session'),
      counts: policy.readsCounts,
    };
    this.agentOf = policy.readsFact('agent') ? compileAgent(config.agent, () => clock.now()) : undefined;
    this.uses = new SessionUses({
      store,
      clock,
      windowMs: durationMs(config.session?.window ?? DEFAULT_WINDOW),
      rules: config.rules.map(({ id }) => id),
      failed: (error) => log.warn({ err: error }, 'what was used in a session could not be stored'),
    });
  }

  decide(ctx: Ctx): MaybePromise<Decision> {
    const { target, targets } = ctx;
    // An entry of a list is none of what the request is about.
    const isRequest = target === undefined || targets.some((each) => isSame(each, target));
    if (isRequest && this.waits) return 'permit';
    return after(this.factsOf(ctx), (facts) => {
      if (facts instanceof Refusal) return this.isAudit ? 'permit' : facts;
      const note = (verdict: Verdict) => this.noted(ctx, verdict);
      return after(
        this.verdictOf(ctx, target, isRequest, facts, note),
        (verdict) => this.concluded(ctx, verdict, isRequest) ?? 'permit',
      );
    });
  }

  exchange(ctx: Ctx, next: Next): MaybePromise<Outcome | Refusal> {
    if (this.reads.session) return this.exchangeCounted(ctx, next);
    return after(this.judge(ctx, undefined), (judged) => this.act(ctx, judged, next));
  }

  private async exchangeCounted(ctx: Ctx, next: Next): Promise<Outcome | Refusal> {
    const { name, ends } = this.sessionOf(ctx as unknown as SessionCtx);
    if (!COUNTED.has(ctx.method))
      return this.act(ctx, await this.judge(ctx, await this.uses.before(name, ends)), next);
    const reserved = await this.reserve(ctx, name, ends);
    if (reserved instanceof Refusal) return reserved;
    let isConfirmed = false;
    try {
      const judged = await this.judgeCounted(ctx, reserved);
      return await this.act(ctx, judged, () => {
        isConfirmed = true;
        reserved.confirm(judged instanceof Refusal ? [] : judged.verdicts.map(({ rule }) => rule));
        return next();
      });
    } finally {
      if (!isConfirmed) reserved.release();
    }
  }

  /** Which rule counts it is known only afterwards; where that matters, others are told, and the rules asked again. */
  private async judgeCounted(ctx: Ctx, reserved: Reserved): Promise<Judged | Refusal> {
    let judged = await this.judge(ctx, reserved.before);
    if (!this.reads.counts) return judged;
    for (let count = 0; count < MAX_CLAIM_COUNT; count++) {
      if (judged instanceof Refusal || judged.verdicts.some(({ outcome }) => outcome === 'deny'))
        return judged;
      const rules = judged.verdicts.map(({ rule }) => rule);
      judged = await this.judge(ctx, await reserved.claim(rules));
      if (!(judged instanceof Refusal) && judged.verdicts.every(({ rule }, index) => rule === rules[index]))
        return judged;
    }
    return new Refusal('limited', 'too much happens in this session at once; try again');
  }

  private async reserve(ctx: Ctx, name: string, ends: boolean): Promise<Reserved | Refusal> {
    const { target } = ctx;
    const tool = target?.kind === 'tool' ? `${target.upstream}:${target.name}` : undefined;
    try {
      return await this.uses.reserve(name, ends, tool);
    } catch (error) {
      // A failure would count against the plugin, and callers can cause this one.
      if (!(error instanceof TooManyTools)) throw error;
      return new Refusal('limited', error.message);
    }
  }

  private sessionOf(ctx: SessionCtx): { name: string; ends: boolean } {
    // What is not declared to be read must not be read: by principal, neither the session nor the client is.
    if (this.byPrincipal) return { name: JSON.stringify([ctx.principal.id]), ends: false };
    const { session, principal, client } = ctx;
    if (session !== undefined) return { name: sessionName(session), ends: true };
    return { name: JSON.stringify([principal.id, clientGroup(client.name ?? '')]), ends: false };
  }

  sessionEnd(session: string): void {
    if (this.reads.session) this.uses.forget(sessionName(session));
  }

  /** What rules are given beside attributes; a Refusal where the agent shows a token that does not count. */
  private factsOf(ctx: Ctx, session?: Uses): MaybePromise<Scope | Refusal> {
    const facts: Record<string, unknown> = {};
    if (this.reads.now) facts.now = new Date(this.clock.now());
    if (session !== undefined) facts.session = session;
    if (this.agentOf === undefined) return facts;
    return after(this.agentOf(ctx), (found) =>
      found instanceof Refusal ? found : Object.assign(facts, { agent: found }),
    );
  }

  private judge(ctx: Ctx, session: Uses | undefined): MaybePromise<Judged | Refusal> {
    return after(this.factsOf(ctx, session), (facts) => {
      if (facts instanceof Refusal) return this.isAudit ? { verdicts: [], notes: [] } : facts;
      const targets = ctx.targets.length === 0 ? NO_TARGETS : ctx.targets;
      const verdicts: Verdict[] = [];
      const notes: Verdict[] = [];
      const note = (verdict: Verdict) => void notes.push(verdict);
      const from = (index: number): MaybePromise<Judged> => {
        if (index === targets.length) return { verdicts, notes };
        return after(this.verdictOf(ctx, targets[index], true, facts, note), (verdict) => {
          verdicts.push(verdict);
          return from(index + 1);
        });
      };
      return from(0);
    });
  }

  /** What is said of one thing that a request is about. */
  private verdictOf(
    ctx: Ctx,
    target: Target | undefined,
    isRequest: boolean,
    facts: Scope,
    note: (verdict: Verdict) => void,
  ): MaybePromise<Verdict> {
    const questions = questionsOf(ctx, ctx.method, target, isRequest, facts);
    if (questions[0]?.isLater !== true) return this.policy.decide(questions, note);
    return this.policy.foresee(questions);
  }

  /** Refuses, has people asked, or goes on. */
  private act(ctx: Ctx, judged: Judged | Refusal, next: Next): MaybePromise<Outcome | Refusal> {
    if (judged instanceof Refusal) return judged;
    for (const verdict of judged.notes) this.noted(ctx, verdict);
    const verdicts = failuresLast(judged.verdicts);
    const from = (index: number): MaybePromise<Outcome | Refusal> => {
      const verdict = verdicts[index];
      if (verdict === undefined) return next();
      const refusal = this.concluded(ctx, verdict, true);
      if (refusal !== undefined) return refusal;
      if (verdict.outcome !== 'ask' || this.isAudit) return from(index + 1);
      this.count(verdict);
      return approved(ctx as unknown as ApprovalCtx, verdict, this.host).then(
        (said) => said ?? from(index + 1),
      );
    };
    return from(0);
  }

  /**
   * What becomes of a verdict; undefined: it goes on, or a person is asked.
   *
   * @throws RequestFailure where nobody could decide: then the binding does.
   */
  private concluded(ctx: Ctx, verdict: Verdict, isRequest: boolean): Refusal | undefined {
    const { outcome, rule } = verdict;
    if (this.isAudit && outcome !== 'allow') {
      if (isRequest) this.noted(ctx, verdict);
      return undefined;
    }
    if (verdict.failure !== undefined) throw this.failed(ctx, verdict, isRequest);
    if (isRequest && rule !== PROTOCOL_RULE && outcome !== 'ask') {
      this.count(verdict);
      ctx.remark({ kind: outcome, rule, ...whyOf(verdict) });
    }
    return outcome === 'deny' ? refusalOf(ctx, verdict) : undefined;
  }

  private failed(ctx: Ctx, { rule, failure }: Verdict, isRequest: boolean): RequestFailure {
    if (isRequest) ctx.remark({ kind: 'flagged', rule, reason: 'nobody could be asked for a decision' });
    return new RequestFailure('nobody could be asked for a decision', { cause: failure });
  }

  private noted(ctx: Ctx, verdict: Verdict): void {
    const { outcome, rule } = verdict;
    const help = 'What would have been decided, were it enforced.';
    this.host.metrics.count('noted_total', help, { rule, outcome });
    ctx.remark({ kind: outcome, rule, isEnforced: false, ...whyOf(verdict) });
  }

  private count({ rule, outcome }: Verdict): void {
    this.host.metrics.count('decided_total', 'What was decided, by rule.', { rule, outcome });
  }
}

/** Not by identity, which is lost on the way to another process. */
function isSame(one: Target, other: Target): boolean {
  return (
    one === other || (one.name === other.name && one.upstream === other.upstream && one.kind === other.kind)
  );
}

/** Of no form that the name of a principal has. */
function sessionName(session: string): string {
  return JSON.stringify({ session });
}

/** Callers can make up names of clients: those of one principal fall into so many groups, and no more is kept. */
const CLIENT_GROUP_COUNT = 256;

function clientGroup(name: string): number {
  return hash('sha256', name, 'buffer').readUInt16BE(0) % CLIENT_GROUP_COUNT;
}

/** Where the binding lets pass what failed, it does not do so for what is denied beside it. */
function failuresLast(verdicts: readonly Verdict[]): readonly Verdict[] {
  const isFailure = ({ failure }: Verdict) => failure !== undefined;
  if (!verdicts.some(isFailure)) return verdicts;
  return [...verdicts.filter((each) => !isFailure(each)), ...verdicts.filter(isFailure)];
}

function whyOf({ isError }: Verdict): Pick<Remark, 'reason'> {
  return isError === true ? { reason: 'the rule could not be computed' } : {};
}

function refusalOf({ method }: Ctx, { rule, reason, isError }: Verdict): Refusal {
  const told = method.slice(0, MAX_TOLD_LENGTH);
  const plain =
    isError === true
      ? `the policy cannot say whether this ${told} is allowed`
      : `the policy does not allow this ${told}`;
  return new Refusal('forbidden', reason ?? plain, { data: { error: 'policy_denied', rule } });
}
