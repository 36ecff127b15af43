/**
 * The mind of a rollout: from what the nodes do and what time it is to what is to be done, without doing any of it.
 * What was counted is in memory alone: whoever takes over counts anew, and so never promotes on less than was asked for.
 */
import { Evidence, type Figures } from './evidence.js';
import { complaintAbout, referenceOf } from './judgement.js';
import { missingMembers } from './members.js';
import type { Plan, Step } from './plan.js';
import type { WatchedNode } from './watched-node.js';

/** How far a rollout has come. */
export interface Course {
  readonly id: string;
  readonly revision: number;
  /** Counts from 1. */
  readonly step: number;
  /** Who is given the revision. */
  readonly members: ReadonlySet<string>;
  /** What all nodes had served before it began. */
  readonly before: Figures;
}

/** What is to be done, and why. */
export type Decision =
  | { readonly kind: 'wait'; readonly reason: string }
  /** These are given the revision as well, in the step that is under way. */
  | { readonly kind: 'add'; readonly nodes: readonly string[]; readonly reason: string }
  /** The next step begins, with these as well. */
  | { readonly kind: 'advance'; readonly nodes: readonly string[]; readonly reason: string }
  | { readonly kind: 'promote'; readonly reason: string }
  | { readonly kind: 'roll back'; readonly reason: string };

/** Names in a reason. */
const MAX_NAMED_COUNT = 5;

export class RolloutWatch {
  private step = 0;
  private evidence = new Evidence();
  private reference: Figures | undefined;
  /** Since when all nodes of the step run the revision, or did so for the first time. */
  private completeSinceMs: number | undefined;
  /** Since when one of them does not. */
  private incompleteSinceMs: number | undefined;

  constructor(private readonly plan: Plan) {}

  /** What the nodes with the revision served in this step. */
  get canary(): Figures {
    return this.evidence.canary();
  }

  /** What they are compared with; undefined while nothing served enough. */
  get comparedWith(): Figures | undefined {
    return this.reference;
  }

  /** @param nowMs by a clock that only grows */
  look(course: Course, nodes: readonly WatchedNode[], nowMs: number): Decision {
    if (course.step !== this.step) this.begin(course.step);
    this.evidence.take(nodes);
    const { limits } = this.plan;
    this.reference = referenceOf(this.evidence.others(), course.before, limits);
    const bearable = Math.max(course.before.failedUpstreams, this.evidence.others().failedUpstreams);
    const absent = absentOf(course.members, nodes, bearable);
    const isRun = nodes.some(({ presence, runs }) => presence === 'present' && runs);
    this.follow(absent.length > 0, isRun, nowMs);
    return (
      this.refused(course, nodes) ??
      this.tooBad() ??
      this.tooLate(course, absent, nowMs) ??
      this.grown(course, nodes) ??
      this.unfinished(absent, isRun, nowMs) ??
      this.next(course, nodes)
    );
  }

  private begin(step: number): void {
    this.step = step;
    this.evidence = new Evidence();
    this.completeSinceMs = undefined;
    this.incompleteSinceMs = undefined;
  }

  /** Without any node there is nobody to be late, and nobody to watch. */
  private follow(isIncomplete: boolean, isRun: boolean, nowMs: number): void {
    if (isIncomplete) this.incompleteSinceMs ??= nowMs;
    else this.incompleteSinceMs = undefined;
    if (isRun && !isIncomplete) this.completeSinceMs ??= nowMs;
  }

  private refused({ revision }: Course, nodes: readonly WatchedNode[]): Decision | undefined {
    const { maxNacksCount } = this.plan.limits;
    const refusals = nodes.flatMap(({ name, refusal }) =>
      refusal === undefined ? [] : [`${name}: ${refusal}`],
    );
    if (refusals.length <= maxNacksCount) return undefined;
    const who = refusals.length === 1 ? '1 node' : `${refusals.length} nodes`;
    const reason = `${who} refused revision ${revision}, and ${maxNacksCount} may; ${named(refusals, '; ')}`;
    return { kind: 'roll back', reason };
  }

  private tooBad(): Decision | undefined {
    const reason = complaintAbout(this.canary, this.reference, this.plan.limits);
    return reason === undefined ? undefined : { kind: 'roll back', reason };
  }

  private tooLate({ revision }: Course, absent: readonly string[], nowMs: number): Decision | undefined {
    const { maxArrivalMs } = this.plan.limits;
    if (this.incompleteSinceMs === undefined || nowMs - this.incompleteSinceMs <= maxArrivalMs)
      return undefined;
    const reason = `not all nodes of step ${this.step} run revision ${revision} as they should within ${seconds(maxArrivalMs)}; ${named(absent)}`;
    return { kind: 'roll back', reason };
  }

  /** Nodes that came after the step began, and those that take the place of ones that left. */
  private grown({ id, members }: Course, nodes: readonly WatchedNode[]): Decision | undefined {
    const missing = missingMembers(id, this.stepAt(this.step), nodes, members);
    if (missing.length === 0) return undefined;
    return { kind: 'add', nodes: missing, reason: `so that the step has its share: ${named(missing)}` };
  }

  private unfinished(absent: readonly string[], isRun: boolean, nowMs: number): Decision | undefined {
    const wait = (reason: string): Decision => ({ kind: 'wait', reason });
    if (absent.length > 0)
      return wait(`not all nodes of the step run the revision as they should; ${named(absent)}`);
    if (this.completeSinceMs === undefined || !isRun)
      return wait('no node that the step is for is connected');
    const { pauseMs } = this.stepAt(this.step);
    const watchedMs = nowMs - this.completeSinceMs;
    if (watchedMs < pauseMs) return wait(`watched for ${seconds(watchedMs)} of ${seconds(pauseMs)}`);
    const { minRequestsCount } = this.plan.limits;
    const { requests } = this.canary;
    if (requests >= minRequestsCount) return undefined;
    return wait(
      `the nodes of the step have served ${requests} of the ${minRequestsCount} requests that it takes to judge; promote it by hand when there is no traffic`,
    );
  }

  private next({ id, members }: Course, nodes: readonly WatchedNode[]): Decision {
    const { pauseMs } = this.stepAt(this.step);
    const reason = `${this.canary.requests} requests in ${seconds(pauseMs)} or longer, and nothing wrong`;
    if (this.step >= this.plan.steps.length) return { kind: 'promote', reason };
    const added = missingMembers(id, this.stepAt(this.step + 1), nodes, members);
    return { kind: 'advance', nodes: added, reason };
  }

  private stepAt(step: number): Step {
    return this.plan.steps[Math.min(step, this.plan.steps.length) - 1] as Step;
  }
}

/**
 * The members that do not run the revision as the others run theirs, with what is known of each. Those that left are
 * nobody's any more.
 *
 * @param bearable so many upstreams do not answer without the revision either
 */
function absentOf(members: ReadonlySet<string>, nodes: readonly WatchedNode[], bearable: number): string[] {
  const absent = new Map([...members].map((name) => [name, `${name} is not heard of`]));
  for (const node of nodes) {
    if (!absent.has(node.name) || node.presence === 'lost') continue;
    const why = node.presence === 'gone' ? undefined : shortcomingOf(node, bearable);
    if (why === undefined) absent.delete(node.name);
    else absent.set(node.name, why);
  }
  return [...absent.values()];
}

function shortcomingOf({ name, runs, refusal, report }: WatchedNode, bearable: number): string | undefined {
  if (refusal !== undefined) return `${name} refused it`;
  if (!runs) return `${name} does not run it`;
  const failed = report?.ran ? report.failedUpstreams : 0;
  if (failed <= bearable) return undefined;
  const what = failed === 1 ? '1 upstream does' : `${failed} upstreams do`;
  return `${what} not answer ${name}, and ${bearable} without the revision`;
}

function named(names: readonly string[], separator = ', '): string {
  const more = names.length - MAX_NAMED_COUNT;
  return names.slice(0, MAX_NAMED_COUNT).join(separator) + (more > 0 ? `${separator}and ${more} more` : '');
}

function seconds(ms: number): string {
  return `${Math.round(ms / 100) / 10} s`;
}
