/** Commands that look at and steer rollouts, and following one until it has ended. */
import { setTimeout as sleep } from 'node:timers/promises';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import {
  AbortRolloutResponseSchema,
  GetRolloutResponseSchema,
  ListRolloutsResponseSchema,
  PromoteRolloutResponseSchema,
} from '@sluice/proto/admin';
import {
  type Rollout,
  type RolloutEvent,
  RolloutEventKind,
  type RolloutFigures,
  type RolloutPlanSchema,
  RolloutState,
} from '@sluice/proto/cluster';
import { EXIT } from '../exit-codes.js';
import { ProgressLine } from '../progress-line.js';
import { type Palette, printable } from '../terminal.js';
import type { CommandNamed, WriteFlags } from './commands.js';
import { printMessage, printTable } from './output.js';
import { age, type Surroundings, shortened, UsageError } from './surroundings.js';

/** How often a rollout is asked after that is followed. */
const LOOK_INTERVAL_MS = 500;
/** The most that the server gives at once. */
const MAX_ROLLOUT_COUNT = 1_000;
const MAX_CELL_LENGTH = 60;
/** Nodes that are named. */
const MAX_NAMED_COUNT = 5;

const STATES: Readonly<Record<RolloutState, string>> = {
  [RolloutState.UNSPECIFIED]: '',
  [RolloutState.IN_PROGRESS]: 'in progress',
  [RolloutState.PROMOTED]: 'promoted',
  [RolloutState.ROLLING_BACK]: 'going back',
  [RolloutState.ROLLED_BACK]: 'taken back',
};

const EVENTS: Readonly<Record<RolloutEventKind, string>> = {
  [RolloutEventKind.UNSPECIFIED]: '',
  [RolloutEventKind.STEP_STARTED]: 'step began',
  [RolloutEventKind.NODES_ADDED]: 'nodes added',
  [RolloutEventKind.TAKEN_OVER]: 'taken over',
  [RolloutEventKind.PROMOTED]: 'promoted',
  [RolloutEventKind.ROLLBACK_STARTED]: 'going back',
  [RolloutEventKind.ROLLED_BACK]: 'taken back',
};

/** The plan that the options of a change ask for; undefined when all nodes get it at once. */
export function rolloutPlan({
  rollout,
  pause,
  limit,
}: WriteFlags): MessageInitShape<typeof RolloutPlanSchema> | undefined {
  if (rollout === undefined) {
    if (pause === undefined && limit === undefined) return undefined;
    throw new UsageError('--pause and --limit say how --rollout goes on; give it too');
  }
  return {
    steps: rollout.map(({ region, percent, callersPercent }) => ({
      ...(region !== undefined && { regions: [region] }),
      ...(percent !== undefined && { nodesPercent: percent }),
      ...(callersPercent !== undefined && { principalsPercent: callersPercent }),
    })),
    ...(pause !== undefined && { pauseMs: pause }),
    ...(limit !== undefined && {
      limits: {
        ...(limit.refusals !== undefined && { maxNacksCount: limit.refusals }),
        ...(limit.errors !== undefined && { maxErrorIncreasePercentagePoints: limit.errors }),
        ...(limit.latency !== undefined && { maxLatencyRatio: limit.latency }),
        ...(limit.requests !== undefined && { minRequestsCount: limit.requests }),
        ...(limit.arrival !== undefined && { maxArrivalMs: limit.arrival }),
      },
    }),
  };
}

export async function rolloutStatus(
  { revision = 0n, flags }: CommandNamed<'rolloutStatus'>,
  surroundings: Surroundings,
): Promise<number> {
  const { output = 'table' } = flags;
  const rollout = flags.follow
    ? await followed(surroundings, revision, flags.deadline)
    : await rolloutOf(surroundings, revision);
  if (output === 'table') printRollout(rollout, surroundings);
  else
    await printMessage(
      surroundings,
      output,
      GetRolloutResponseSchema,
      create(GetRolloutResponseSchema, { rollout }),
    );
  return flags.follow ? exitCodeOf(rollout) : EXIT.ok;
}

async function rolloutOf({ client }: Pick<Surroundings, 'client'>, revision: bigint): Promise<Rollout> {
  const { rollout } = await client.rollout.getRollout({ revision });
  // The server answers with one, or refuses.
  return rollout as Rollout;
}

/** Resolves when it has ended, and at the deadline. A terminal is shown how it goes on. */
export async function followed(
  surroundings: Pick<Surroundings, 'client' | 'err'>,
  revision: bigint,
  deadlineMs: number,
): Promise<Rollout> {
  const { err } = surroundings;
  const until = performance.now() + deadlineMs;
  let rollout = await rolloutOf(surroundings, revision);
  const line = err.isTTY ? new ProgressLine(err, () => progressText(rollout)) : undefined;
  try {
    while (!isOver(rollout) && performance.now() < until) {
      await sleep(Math.min(LOOK_INTERVAL_MS, Math.max(0, until - performance.now())));
      rollout = await rolloutOf(surroundings, rollout.revision);
    }
  } finally {
    line?.end();
  }
  return rollout;
}

function isOver({ state }: Rollout): boolean {
  return state === RolloutState.PROMOTED || state === RolloutState.ROLLED_BACK;
}

/** What became of a rollout that was followed. */
export function exitCodeOf({ state }: Rollout): number {
  if (state === RolloutState.PROMOTED) return EXIT.ok;
  return state === RolloutState.ROLLED_BACK ? EXIT.rolledBack : EXIT.behind;
}

/** Says how a rollout ended that a change began; the exit code. */
export function tellRollout({ out, err, paint }: Surroundings, rollout: Rollout): number {
  const text = `${headText(rollout)}${reasonText(rollout)}`;
  const isPromoted = rollout.state === RolloutState.PROMOTED;
  if (isPromoted) out.write(`${paint.green(text)}\n`);
  else err.write(`sluice: ${text}\n`);
  return exitCodeOf(rollout);
}

/** `revision 18 is in progress · step 1/3 on eu-1 · 30s more`. */
export function progressText(rollout: Rollout): string {
  const { waitingFor } = rollout;
  return `${headText(rollout)} · ${stepText(rollout)}${waitingFor === '' ? '' : ` · ${printable(waitingFor)}`}`;
}

function headText({ revision, state, restoredBy }: Rollout): string {
  const back = restoredBy === 0n ? '' : ` by revision ${restoredBy}`;
  return `the rollout of revision ${revision} is ${STATES[state] ?? 'unknown'}${back}`;
}

function reasonText({ events }: Rollout): string {
  const began = events.findLast(({ kind }) => kind === RolloutEventKind.ROLLBACK_STARTED);
  const reason = (began ?? events.at(-1))?.reason || undefined;
  return reason === undefined ? '' : `: ${printable(reason)}`;
}

function stepText({ step, plan, nodes }: Rollout): string {
  const named = nodes.slice(0, MAX_NAMED_COUNT).map(printable).join(', ');
  const more = nodes.length > MAX_NAMED_COUNT ? ` and ${nodes.length - MAX_NAMED_COUNT} more` : '';
  const percent = plan?.steps[step - 1]?.principalsPercent;
  const callers = percent === undefined ? '' : `for ${percent} % of the callers `;
  return `step ${step}/${plan?.steps.length ?? 0} ${callers}on ${named === '' ? 'no node yet' : `${named}${more}`}`;
}

function printRollout(rollout: Rollout, surroundings: Surroundings): void {
  const { out, paint } = surroundings;
  const { revision, state, waitingFor, canary, reference, events } = rollout;
  out.write(`${paint.yellow(`revision ${revision}`)}  ${stateText(state, paint)}  ${stepText(rollout)}\n`);
  if (waitingFor !== '') out.write(`waits: ${printable(waitingFor)}\n`);
  const figures = [
    ['given it', canary],
    ['others', reference],
  ] as const;
  const known = figures.flatMap(([name, each]) =>
    each === undefined || each.requestsCount === 0n ? [] : [figuresRow(name, each)],
  );
  if (known.length > 0) {
    out.write('\n');
    printTable(surroundings, ['NODES', 'COUNT', 'REQUESTS', 'FAILED', 'MEAN'], known);
  }
  out.write('\n');
  const nowMs = surroundings.nowMs();
  printTable(
    surroundings,
    ['AGE', 'EVENT', 'STEP', 'BY', 'REASON'],
    events.map((event) => eventRow(event, nowMs)),
  );
}

function stateText(state: RolloutState, paint: Palette): string {
  const text = STATES[state] ?? 'unknown';
  if (state === RolloutState.PROMOTED) return paint.green(text);
  return state === RolloutState.IN_PROGRESS ? paint.yellow(text) : paint.red(text);
}

function figuresRow(name: string, { nodesCount, requestsCount, errorsCount, durationUs }: RolloutFigures) {
  const requests = Number(requestsCount);
  const failed = `${((100 * Number(errorsCount)) / requests).toFixed(1)} %`;
  const mean = `${(Number(durationUs) / requests / 1_000).toFixed(1)} ms`;
  return [name, nodesCount, requests, failed, mean];
}

function eventRow({ time, kind, reason, step, author }: RolloutEvent, nowMs: number) {
  return [
    age(time && timestampMs(time), nowMs),
    EVENTS[kind] ?? '',
    step,
    printable(author),
    printable(reason),
  ];
}

export async function rollouts(
  { flags }: CommandNamed<'rollouts'>,
  surroundings: Surroundings,
): Promise<number> {
  const pageSize = Math.min(flags.count, MAX_ROLLOUT_COUNT);
  const response = await surroundings.client.rollout.listRollouts({ pageSize });
  const { output = 'table' } = flags;
  if (output !== 'table') await printMessage(surroundings, output, ListRolloutsResponseSchema, response);
  else {
    const nowMs = surroundings.nowMs();
    printTable(
      surroundings,
      ['REVISION', 'AGE', 'STATE', 'STEP', 'REASON'],
      response.rollouts.map((rollout) => [
        Number(rollout.revision),
        age(rollout.started && timestampMs(rollout.started), nowMs),
        stateText(rollout.state, surroundings.paint),
        `${rollout.step}/${rollout.plan?.steps.length ?? 0}`,
        shortened(reasonText(rollout).replace(/^: /, ''), MAX_CELL_LENGTH),
      ]),
    );
  }
  return EXIT.ok;
}

export async function steer(
  { name, revision = 0n, flags }: CommandNamed<'promote' | 'abort'>,
  surroundings: Surroundings,
): Promise<number> {
  const { client } = surroundings;
  const { reason = '', output = 'table' } = flags;
  const isPromotion = name === 'promote';
  const request = { revision, reason };
  const response = isPromotion
    ? await client.rollout.promoteRollout(request)
    : await client.rollout.abortRollout(request);
  const schema = isPromotion ? PromoteRolloutResponseSchema : AbortRolloutResponseSchema;
  if (output !== 'table') await printMessage(surroundings, output, schema, response as never);
  else if (response.rollout !== undefined) surroundings.out.write(`${headText(response.rollout)}\n`);
  return EXIT.ok;
}
