/** What a rollout does, with every default, and what is wrong with one that somebody wants. */
import { create } from '@bufbuild/protobuf';
import {
  type RolloutPlan,
  RolloutPlanSchema,
  type RolloutStep,
  RolloutStepSchema,
} from '@sluice/proto/cluster';

const DEFAULT_STEPS_PERCENT = [10, 50, 100];
const DEFAULT_PAUSE_MS = 60_000;
const DEFAULT_LIMITS = {
  maxNacksCount: 0,
  maxErrorIncreasePercentagePoints: 5,
  maxLatencyRatio: 2,
  minRequestsCount: 50,
  maxArrivalMs: 120_000,
};

const MAX_STEPS_COUNT = 20;
const MAX_REGIONS_COUNT = 100;
const DAY_MS = 24 * 60 * 60_000;

export interface Limits {
  readonly maxNacksCount: number;
  readonly maxErrorIncreasePercentagePoints: number;
  readonly maxLatencyRatio: number;
  readonly minRequestsCount: number;
  readonly maxArrivalMs: number;
}

export interface Step {
  readonly percent: number;
  /** Empty: nodes of any. */
  readonly regions: readonly string[];
  /** Of their callers; undefined: of all, and these nodes have nothing else. */
  readonly principalsPercent: number | undefined;
  readonly pauseMs: number;
}

export interface Plan {
  /** At least one. */
  readonly steps: readonly Step[];
  readonly limits: Limits;
}

/** The plan with every default. */
export function planOf({ steps, pauseMs = DEFAULT_PAUSE_MS, limits }: RolloutPlan): Plan {
  const asked = steps.length > 0 ? steps : DEFAULT_STEPS_PERCENT.map(stepOfPercent);
  const { $typeName: _type, $unknown: _unknown, ...said } = limits ?? { $typeName: '', $unknown: [] };
  return {
    steps: asked.map((step) => ({
      percent: step.nodesPercent ?? 100,
      regions: step.regions,
      principalsPercent: step.principalsPercent,
      pauseMs: step.pauseMs ?? pauseMs,
    })),
    limits: { ...DEFAULT_LIMITS, ...said },
  };
}

/** The same as a message, for whoever looks. */
export function planMessage({ steps, limits }: Plan): RolloutPlan {
  return create(RolloutPlanSchema, {
    steps: steps.map(({ percent, regions, principalsPercent, pauseMs }) => ({
      nodesPercent: percent,
      regions: [...regions],
      ...(principalsPercent !== undefined && { principalsPercent }),
      pauseMs,
    })),
    limits,
  });
}

/** How many of the callers are given the revision in a step; undefined when whole nodes are. */
export function principalsPercentAt(plan: RolloutPlan | undefined, step: number): number | undefined {
  return plan?.steps[step - 1]?.principalsPercent;
}

/** Something that cannot be, and where, in the spelling of the schema. */
export interface PlanProblem {
  readonly field: string;
  readonly description: string;
}

/** The first thing that is wrong with a plan. */
export function problemOf(plan: RolloutPlan): PlanProblem | undefined {
  if (plan.steps.length > MAX_STEPS_COUNT)
    return { field: 'steps', description: `are ${plan.steps.length}, and may be ${MAX_STEPS_COUNT}` };
  for (const [index, step] of plan.steps.entries()) {
    const problem = problemOfStep(step, plan.steps[index - 1]);
    if (problem !== undefined) return { ...problem, field: `steps[${index}].${problem.field}` };
  }
  return (
    longerThanADay('pause_ms', plan.pauseMs) ??
    longerThanADay('limits.max_arrival_ms', plan.limits?.maxArrivalMs) ??
    outside(
      'limits.max_error_increase_percentage_points',
      plan.limits?.maxErrorIncreasePercentagePoints,
      0,
      100,
    ) ??
    outside('limits.max_latency_ratio', plan.limits?.maxLatencyRatio, 1, 1_000)
  );
}

function problemOfStep(step: RolloutStep, before: RolloutStep | undefined): PlanProblem | undefined {
  const { nodesPercent, principalsPercent, regions, pauseMs } = step;
  if (nodesPercent === undefined && principalsPercent === undefined && regions.length === 0)
    return { field: 'nodes_percent', description: 'say a share of the nodes or of the callers, or regions' };
  if (nodesPercent !== undefined && (nodesPercent < 1 || nodesPercent > 100))
    return { field: 'nodes_percent', description: `is ${nodesPercent}, and has to be 1 to 100` };
  if (regions.length > MAX_REGIONS_COUNT)
    return { field: 'regions', description: `are ${regions.length}, and may be ${MAX_REGIONS_COUNT}` };
  if (before !== undefined && isNarrower(step, before))
    return {
      field: 'nodes_percent',
      description: `is ${nodesPercent ?? 100}, less than ${before.nodesPercent ?? 100} of the step before: a node that has the revision keeps it`,
    };
  return problemOfPrincipals(principalsPercent, before) ?? longerThanADay('pause_ms', pauseMs);
}

function problemOfPrincipals(
  percent: number | undefined,
  before: RolloutStep | undefined,
): PlanProblem | undefined {
  const field = 'principals_percent';
  const earlier = before?.principalsPercent;
  if (before !== undefined && (percent === undefined) !== (earlier === undefined))
    return {
      field,
      description: 'stands in all steps or in none: a rollout is by callers, or by whole nodes',
    };
  if (percent !== undefined && earlier !== undefined && percent < earlier)
    return {
      field,
      description: `is ${percent}, less than ${earlier} of the step before: a caller who is given the revision keeps it`,
    };
  return outside(field, percent, 1, 100);
}

/** A smaller share of the same nodes. */
function isNarrower(step: RolloutStep, before: RolloutStep): boolean {
  const regionsOf = ({ regions }: RolloutStep) => JSON.stringify([...regions].sort());
  return regionsOf(step) === regionsOf(before) && (step.nodesPercent ?? 100) < (before.nodesPercent ?? 100);
}

function longerThanADay(field: string, ms: number | undefined): PlanProblem | undefined {
  return outside(field, ms, 0, DAY_MS);
}

function outside(
  field: string,
  value: number | undefined,
  least: number,
  most: number,
): PlanProblem | undefined {
  if (value === undefined || (value >= least && value <= most)) return undefined;
  return { field, description: `is ${value}, and has to be ${least} to ${most}` };
}

function stepOfPercent(nodesPercent: number): RolloutStep {
  return create(RolloutStepSchema, { nodesPercent });
}
