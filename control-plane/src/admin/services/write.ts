/** The way of every change: who may, what it would be, whether that is valid, the revision, and who runs it. */
import { create, type DescMessage, type Message } from '@bufbuild/protobuf';
import {
  type Finding,
  type WriteOptions,
  WriteOptionsSchema,
  type WriteResponse,
  WriteResponseSchema,
} from '@sluice/proto/admin';
import {
  type Change,
  keyName,
  keyText,
  type ResourceKey,
  type ResourceState,
  type Revision,
  type RolloutPlan,
} from '@sluice/proto/cluster';
import type { FleetView, Wait } from '../../fleet/fleet-view.js';
import { ConflictError } from '../../revisions/conflict.js';
import type { ConfigurationHead, Wanted } from '../../revisions/head.js';
import type { Compile } from '../../validation/resources.js';
import { AdminError } from '../admin-error.js';
import type { Call } from '../bound-method.js';
import { mayTell } from '../caller.js';
import { redactedChange } from '../redaction.js';
import { conflictFor } from './conflict.js';
import { type Attempt, attemptOf, requireSameRequest } from './idempotency.js';
import { isError, type Look, look } from './look.js';
import { revisionNumber } from './numbers.js';
import { type RolloutControl, requireNoRollout, rolloutOf } from './rollouts.js';
import { deadlineMsOf, parseWait } from './wait.js';

/** What a change is made with. */
export interface Writing {
  readonly head: ConfigurationHead;
  readonly fleet: FleetView;
  readonly rollouts: RolloutControl;
  readonly compile?: Compile | undefined;
}

/** One change. */
export interface Intention {
  /** Tells two changes with one idempotency key apart. */
  readonly schema: DescMessage;
  readonly request: Message & { readonly options?: WriteOptions | undefined };
  readonly restores?: number;
  /** The resource whose new tag the answer says. */
  readonly etagOf?: ResourceKey;
  /** Called again when somebody else was first. What it throws ends the change. */
  plan(state: ResourceState): Wanted;
}

/** How a change is to be made, understood. */
interface Manner {
  readonly message: string;
  readonly expected: number | undefined;
  readonly attempt: Attempt | undefined;
  readonly wait: Wait | undefined;
  readonly deadlineMs: number;
  readonly rollout: RolloutPlan | undefined;
}

/** Characters of the message of a revision. */
const MAX_MESSAGE_LENGTH = 2_000;

/** @throws AdminError when the change is not made; StoreUnavailableError when that is not known */
export async function write(writing: Writing, call: Call, intention: Intention): Promise<WriteResponse> {
  const options = intention.request.options ?? create(WriteOptionsSchema);
  const manner = mannerOf(writing, options, call, intention);
  try {
    if (options.dryRun) return await tried(writing, call, manner, intention);
    return await made(writing, call, manner, intention);
  } catch (thrown) {
    throw thrown instanceof ConflictError ? conflictFor(call.caller, thrown) : thrown;
  }
}

function mannerOf(
  { fleet, head }: Writing,
  options: WriteOptions,
  { caller }: Call,
  intention: Intention,
): Manner {
  const { message, wait, deadline, idempotencyKey } = options;
  if (message.length > MAX_MESSAGE_LENGTH)
    throw AdminError.field('options.message', `has more than ${MAX_MESSAGE_LENGTH} characters`);
  return {
    message,
    expected: revisionNumber('options.expected_revision', options.expectedRevision) || undefined,
    attempt: attemptOf(caller, idempotencyKey, intention.schema, intention.request),
    wait: parseWait('options.wait', wait || 'none'),
    deadlineMs: deadlineMsOf('options.deadline', deadline),
    rollout: rolloutOf(options.rollout, caller, head, fleet),
  };
}

/** Everything but the revision. */
async function tried(
  { head, compile, rollouts }: Writing,
  call: Call,
  { expected, rollout }: Manner,
  { plan, etagOf }: Intention,
): Promise<WriteResponse> {
  const { state, revision } = head;
  requireNoRollout(rollouts, revision, rollout);
  if (expected !== undefined && expected !== revision)
    throw new ConflictError(expected, revision, head.between(expected, revision) ?? []);
  const { changes, findings } = await look(state, revision, plan(state), call.caller, 'change', compile);
  requireValid(findings);
  return create(WriteResponseSchema, {
    revision: BigInt(revision),
    changes: changes.map(redactedChange),
    warnings: [...findings],
    dryRun: true,
    etag: etagIn(state, [], etagOf),
  });
}

async function made(
  writing: Writing,
  call: Call,
  { message, expected, attempt, wait, deadlineMs, rollout }: Manner,
  { plan, etagOf, restores }: Intention,
): Promise<WriteResponse> {
  const { head, fleet, compile, rollouts } = writing;
  const { caller, signal } = call;
  let last: Look | undefined;
  let found: { readonly revision: number; readonly etag: string } | undefined;
  const stored = await head.commit({
    author: caller.name,
    message,
    expected,
    id: attempt?.id,
    restores,
    rollout,
    async plan(state, revision) {
      requireNoRollout(rollouts, revision, rollout);
      if (attempt !== undefined) requireSameRequest(head, attempt);
      last = await look(state, revision, plan(state), caller, 'change', compile);
      requireValid(last.findings);
      found = { revision, etag: etagIn(state, [], etagOf) };
      return last.wanted;
    },
  });
  const revision = stored === undefined ? (found?.revision ?? head.revision) : Number(stored.number);
  const convergence =
    wait && (await fleet.convergence({ revision, wait, deadlineMs, signal, mayTell: mayTell(caller) }));
  return create(WriteResponseSchema, {
    revision: BigInt(revision),
    changes: (stored?.changes ?? []).map(redactedChange),
    warnings: [...(last?.findings ?? [])],
    ...(convergence && { convergence }),
    etag: stored === undefined ? (found?.etag ?? '') : etagIn(head.state, changesOf(stored), etagOf),
  });
}

function changesOf({ changes }: Revision): readonly Change[] {
  return changes;
}

/** The tag of a resource after changes: by what they made of it, or by what was there. */
function etagIn(state: ResourceState, changes: readonly Change[], key: ResourceKey | undefined): string {
  if (key === undefined) return '';
  const text = keyText(key);
  const change = changes.find((each) => each.key !== undefined && keyText(each.key) === text);
  const resource = change?.after ?? state.get(text)?.resource;
  return resource === undefined ? '' : String(resource.revision);
}

/** @throws AdminError with all findings when one of them is an error */
function requireValid(findings: readonly Finding[]): void {
  const errors = findings.filter(isError);
  const [first] = errors;
  if (first === undefined) return;
  const key = first.resource === undefined ? '' : `${keyName(first.resource)}: `;
  const field = first.field === '' ? '' : `${first.field}: `;
  const more = errors.length === 1 ? '' : `, and ${errors.length - 1} more`;
  throw new AdminError('INVALID_RESOURCES', `${key}${field}${first.message}${more}`, { findings });
}
