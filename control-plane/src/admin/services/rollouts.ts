/** The methods of RolloutService, and what a change has to do with rollouts. */
import { create } from '@bufbuild/protobuf';
import {
  type AbortRolloutRequest,
  type AbortRolloutResponse,
  AbortRolloutResponseSchema,
  type GetRolloutRequest,
  type GetRolloutResponse,
  GetRolloutResponseSchema,
  type ListRolloutsRequest,
  type ListRolloutsResponse,
  ListRolloutsResponseSchema,
  type PromoteRolloutRequest,
  type PromoteRolloutResponse,
  PromoteRolloutResponseSchema,
} from '@sluice/proto/admin';
import type { Rollout, RolloutPlan } from '@sluice/proto/cluster';
import type { FleetView } from '../../fleet/fleet-view.js';
import type { ConfigurationHead } from '../../revisions/head.js';
import { problemOf } from '../../rollout/plan.js';
import { NoRolloutError, RolloutOverError, type Rollouts } from '../../rollout/rollouts.js';
import { AdminError } from '../admin-error.js';
import type { Call } from '../bound-method.js';
import type { Caller } from '../caller.js';
import { revisionNumber } from './numbers.js';
import { pageCount } from './page.js';

/** Characters of the reason of an order. */
const MAX_REASON_LENGTH = 1_000;

/** What of rollouts is seen and steered. */
export type RolloutControl = Pick<Rollouts, 'obstacle' | 'heldRevision' | 'all' | 'promote' | 'abort'>;

export function getRollout(
  rollouts: RolloutControl,
  request: GetRolloutRequest,
  { caller }: Call,
): GetRolloutResponse {
  requireWholeCluster(caller);
  const revision = revisionNumber('revision', request.revision);
  const all = rollouts.all();
  const rollout = revision === 0 ? all[0] : all.find((each) => Number(each.revision) === revision);
  if (rollout !== undefined) return create(GetRolloutResponseSchema, { rollout });
  throw new AdminError(
    'NOT_FOUND',
    revision === 0 ? 'there has been no rollout' : `there is no rollout of revision ${revision}`,
  );
}

export function listRollouts(
  rollouts: RolloutControl,
  { pageSize }: ListRolloutsRequest,
  { caller }: Call,
): ListRolloutsResponse {
  requireWholeCluster(caller);
  return create(ListRolloutsResponseSchema, { rollouts: rollouts.all().slice(0, pageCount(pageSize)) });
}

export async function promoteRollout(
  rollouts: RolloutControl,
  request: PromoteRolloutRequest,
  call: Call,
): Promise<PromoteRolloutResponse> {
  const rollout = await steered(rollouts, request, call, 'promote');
  return create(PromoteRolloutResponseSchema, { rollout });
}

export async function abortRollout(
  rollouts: RolloutControl,
  request: AbortRolloutRequest,
  call: Call,
): Promise<AbortRolloutResponse> {
  const rollout = await steered(rollouts, request, call, 'abort');
  return create(AbortRolloutResponseSchema, { rollout });
}

/**
 * The plan of a change, looked at.
 *
 * @throws AdminError when it cannot be
 */
export function rolloutOf(
  plan: RolloutPlan | undefined,
  caller: Caller,
  { state }: ConfigurationHead,
  fleet: FleetView,
): RolloutPlan | undefined {
  if (plan === undefined) return undefined;
  requireWholeCluster(caller);
  const problem = problemOf(plan);
  if (problem !== undefined) throw AdminError.field(`options.rollout.${problem.field}`, problem.description);
  const regions = new Set(fleet.nodes().map(({ hello }) => hello?.region));
  for (const { resource } of state.entries())
    if (resource.spec.case === 'region') regions.add(resource.spec.value.name);
  for (const [index, step] of plan.steps.entries())
    for (const region of step.regions)
      if (!regions.has(region))
        throw AdminError.field(
          `options.rollout.steps[${index}].regions`,
          `no node and no resource is called after the region ${region}`,
        );
  return plan;
}

/** @throws AdminError when a revision is being rolled out, or there is nothing that one could go back to */
export function requireNoRollout(
  { obstacle, heldRevision }: RolloutControl,
  revision: number,
  wanted: RolloutPlan | undefined,
): void {
  if (obstacle !== undefined)
    throw new AdminError('ROLLOUT_ACTIVE', obstacle, { metadata: { revision: String(heldRevision) } });
  if (wanted !== undefined && revision === 0)
    throw AdminError.field(
      'options.rollout',
      'the first revision goes to all nodes: there is nothing that they could go back to',
    );
}

async function steered(
  rollouts: RolloutControl,
  { revision: asked, reason }: PromoteRolloutRequest | AbortRolloutRequest,
  { caller }: Call,
  how: 'promote' | 'abort',
): Promise<Rollout> {
  requireWholeCluster(caller);
  if (reason.length > MAX_REASON_LENGTH)
    throw AdminError.field('reason', `has more than ${MAX_REASON_LENGTH} characters`);
  const revision = revisionNumber('revision', asked) || rollouts.heldRevision;
  if (revision === undefined) throw new AdminError('NOT_FOUND', 'no rollout is under way');
  try {
    return await rollouts[how](revision, reason, caller.name);
  } catch (thrown) {
    if (thrown instanceof NoRolloutError) throw new AdminError('NOT_FOUND', thrown.message);
    if (thrown instanceof RolloutOverError) throw new AdminError('ROLLOUT_OVER', thrown.message);
    throw thrown;
  }
}

/** A rollout concerns everybody: it names resources of all tenants, and nobody changes anything until it ends. */
function requireWholeCluster({ name, tenants }: Caller): void {
  if (tenants === undefined) return;
  const message = `rollouts concern everybody, and ${name} is limited to some tenants: ask an operator of the cluster`;
  throw new AdminError('CLUSTER_RESOURCE', message);
}
