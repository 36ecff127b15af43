/** The hooks of a plugin that runs elsewhere: the same interface, and every call is a message. */
import type { Hooks, Outcome, Refusal, Remark } from '@sluice/sdk';
import { declaredOf, isEarlyAttribute } from '@sluice/sdk/engine';
import {
  type IsolableHook,
  readDecision,
  readEntries,
  readIdentity,
  readNothing,
  readOutcome,
  readPage,
  wireOutcome,
} from '@sluice/sdk/isolation';
import type { Next, Runner, RunSide } from './runner.js';

interface Remarking {
  readonly remark: (remark: Remark) => void;
}
const NO_SIDE: RunSide = {};

/** Those that the plugin has; the engine does not see a difference. */
export function isolatedHooks(runner: Runner): Hooks {
  const { reads, hooks, challenge } = runner.facts;
  const earlyReads = reads.filter(isEarlyAttribute);
  const sent = reads.filter((name) => name !== 'remark');
  const view = (ctx: unknown) => ({ attributes: declaredOf(ctx as object, sent) });
  const remarks = reads.includes('remark');
  const side = (ctx: unknown): RunSide => (remarks ? { remark: (ctx as Remarking).remark } : NO_SIDE);
  const earlyView = (ctx: unknown) => ({ attributes: declaredOf(ctx as object, earlyReads), early: true });
  const all: Required<Pick<Hooks, IsolableHook>> = {
    identify: (ctx) => runner.run({ hook: 'identify', ...earlyView(ctx) }).then(readIdentity),
    decide: (ctx) => runner.run({ hook: 'decide', ...view(ctx) }, side(ctx)).then(readDecision),
    exchange: (ctx, next) => exchange(runner, view(ctx), side(ctx), next),
    outcome: (ctx, outcome) =>
      runner
        .run({ hook: 'outcome', ...view(ctx), outcome: wireOutcome(outcome) }, side(ctx))
        .then((own) => readOutcome(own, outcome)),
    entries: (ctx, entries) =>
      runner
        .run({ hook: 'entries', ...view(ctx), entries }, side(ctx))
        .then((own) => readEntries(own, entries)),
    sessionStart: (ctx) => runner.run({ hook: 'sessionStart', ...view(ctx) }, side(ctx)).then(readNothing),
    // Whoever calls does not wait, so what it fails with goes nowhere else.
    sessionEnd: (session) => runner.run({ hook: 'sessionEnd', session }) as never,
    page: (request) => runner.run({ hook: 'page', request }).then(readPage),
  };
  return {
    ...Object.fromEntries(hooks.map((name) => [name, all[name]])),
    ...(challenge !== undefined && { challenge: () => challenge }),
    shutdown: () => runner.close(),
  };
}

async function exchange(
  runner: Runner,
  view: { readonly attributes: Readonly<Record<string, unknown>> },
  side: RunSide,
  next: Parameters<NonNullable<Hooks['exchange']>>[1],
): Promise<Outcome | Refusal> {
  let came: Outcome | undefined;
  const passed: Next = async (changes) => {
    came = await next(changes);
    return came;
  };
  const answer = await runner.run({ hook: 'exchange', ...view }, { ...side, next: passed });
  return readOutcome(answer, came);
}
