/** The record of a rollout, and what becomes of it with everything that happens. */
import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import {
  type Revision,
  type Rollout,
  type RolloutEvent,
  RolloutEventKind,
  RolloutEventSchema,
  type RolloutFigures,
  RolloutFiguresSchema,
  RolloutSchema,
  RolloutState,
} from '@sluice/proto/cluster';
import type { Figures } from './evidence.js';
import { type Plan, planMessage } from './plan.js';

/** Events that are kept: the first ones go. */
const MAX_EVENTS_COUNT = 100;
const MAX_REASON_LENGTH = 1_000;

/** What happened. */
export interface Happening {
  readonly nowMs: number;
  readonly reason: string;
  /** Empty: the control plane itself. */
  readonly author?: string;
}

export function begun(
  { number, id }: Revision,
  plan: Plan,
  { driver, nodes, before }: { driver: string; nodes: readonly string[]; before: Figures },
  happening: Happening,
): Rollout {
  const time = timestampFromMs(happening.nowMs);
  const rollout = create(RolloutSchema, {
    revision: number,
    stableRevision: number - 1n,
    id,
    plan: planMessage(plan),
    state: RolloutState.IN_PROGRESS,
    step: 1,
    stepStarted: time,
    nodes: [...nodes],
    before: figuresMessage(before),
    started: time,
    driver,
    writesCount: 1n,
  });
  return { ...rollout, events: [eventOf(rollout, RolloutEventKind.STEP_STARTED, happening)] };
}

/** The driver says that it is there, and what it sees. */
export function seen(
  rollout: Rollout,
  waitingFor: string,
  canary: Figures,
  reference: Figures | undefined,
): Rollout {
  const { reference: _before, ...rest } = written(rollout);
  return {
    ...rest,
    waitingFor: cut(waitingFor),
    canary: figuresMessage(canary),
    ...(reference && { reference: figuresMessage(reference) }),
  };
}

export function takenOver(rollout: Rollout, driver: string, happening: Happening): Rollout {
  return { ...withEvent(rollout, RolloutEventKind.TAKEN_OVER, happening), driver };
}

/** Whoever drives it goes; another one may begin at once. */
export function left(rollout: Rollout): Rollout {
  return { ...written(rollout), driver: '' };
}

export function grown(rollout: Rollout, nodes: readonly string[], happening: Happening): Rollout {
  const next = withEvent(rollout, RolloutEventKind.NODES_ADDED, happening);
  return { ...next, nodes: [...rollout.nodes, ...nodes] };
}

export function advanced(rollout: Rollout, nodes: readonly string[], happening: Happening): Rollout {
  const { canary: _canary, reference: _reference, ...rest } = rollout;
  const next = { ...rest, step: rollout.step + 1, stepStarted: timestampFromMs(happening.nowMs) };
  return {
    ...withEvent(next, RolloutEventKind.STEP_STARTED, happening),
    nodes: [...rollout.nodes, ...nodes],
    waitingFor: '',
  };
}

export function promoted(rollout: Rollout, happening: Happening): Rollout {
  return {
    ...withEvent(rollout, RolloutEventKind.PROMOTED, happening),
    state: RolloutState.PROMOTED,
    ended: timestampFromMs(happening.nowMs),
    waitingFor: '',
  };
}

export function rollingBack(rollout: Rollout, happening: Happening): Rollout {
  return {
    ...withEvent(rollout, RolloutEventKind.ROLLBACK_STARTED, happening),
    state: RolloutState.ROLLING_BACK,
    waitingFor: `revision ${rollout.stableRevision} to be brought back`,
  };
}

export function rolledBack(rollout: Rollout, restoredBy: number, happening: Happening): Rollout {
  return {
    ...withEvent(rollout, RolloutEventKind.ROLLED_BACK, happening),
    state: RolloutState.ROLLED_BACK,
    ended: timestampFromMs(happening.nowMs),
    restoredBy: BigInt(restoredBy),
    waitingFor: '',
  };
}

export function isOver({ state }: Rollout): boolean {
  return state === RolloutState.PROMOTED || state === RolloutState.ROLLED_BACK;
}

export function figuresOf(message: RolloutFigures | undefined): Figures {
  return {
    nodes: message?.nodesCount ?? 0,
    failedUpstreams: message?.upstreamsFailedCount ?? 0,
    requests: Number(message?.requestsCount ?? 0n),
    errors: Number(message?.errorsCount ?? 0n),
    durationUs: Number(message?.durationUs ?? 0n),
  };
}

function withEvent(rollout: Rollout, kind: RolloutEventKind, happening: Happening): Rollout {
  const events = [...rollout.events, eventOf(rollout, kind, happening)].slice(-MAX_EVENTS_COUNT);
  return { ...written(rollout), events };
}

function written(rollout: Rollout): Rollout {
  return { ...rollout, writesCount: rollout.writesCount + 1n };
}

function eventOf(
  { step }: Rollout,
  kind: RolloutEventKind,
  { nowMs, reason, author = '' }: Happening,
): RolloutEvent {
  const time = timestampFromMs(nowMs);
  return create(RolloutEventSchema, { time, kind, reason: cut(reason), step, author });
}

function figuresMessage({ nodes, failedUpstreams, requests, errors, durationUs }: Figures): RolloutFigures {
  return create(RolloutFiguresSchema, {
    nodesCount: nodes,
    upstreamsFailedCount: failedUpstreams,
    requestsCount: BigInt(requests),
    errorsCount: BigInt(errors),
    durationUs: BigInt(Math.round(durationUs)),
  });
}

function cut(text: string): string {
  return text.length > MAX_REASON_LENGTH ? `${text.slice(0, MAX_REASON_LENGTH)}…` : text;
}
