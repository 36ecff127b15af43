/** The hooks of a plugin that runs elsewhere: the same interface, and every call is a message. */
import type { Hooks, Outcome, Refusal } from '@sluice/sdk';
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
import type { Runner } from './runner.js';

/** Those that the plugin has; the engine does not see a difference. */
export function isolatedHooks(runner: Runner): Hooks {
  const { reads, hooks, challenge } = runner.facts;
  const earlyReads = reads.filter(isEarlyAttribute);
  const view = (ctx: unknown) => ({ attributes: declaredOf(ctx as object, reads) });
  const earlyView = (ctx: unknown) => ({ attributes: declaredOf(ctx as object, earlyReads), early: true });
  const all: Required<Pick<Hooks, IsolableHook>> = {
    identify: (ctx) => runner.run({ hook: 'identify', ...earlyView(ctx) }).then(readIdentity),
    decide: (ctx) => runner.run({ hook: 'decide', ...view(ctx) }).then(readDecision),
    exchange: (ctx, next) => exchange(runner, view(ctx), next),
    outcome: (ctx, outcome) =>
      runner
        .run({ hook: 'outcome', ...view(ctx), outcome: wireOutcome(outcome) })
        .then((own) => readOutcome(own, outcome)),
    entries: (ctx, entries) =>
      runner.run({ hook: 'entries', ...view(ctx), entries }).then((own) => readEntries(own, entries)),
    sessionStart: (ctx) => runner.run({ hook: 'sessionStart', ...view(ctx) }).then(readNothing),
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
  next: Parameters<NonNullable<Hooks['exchange']>>[1],
): Promise<Outcome | Refusal> {
  let came: Outcome | undefined;
  const answer = await runner.run({ hook: 'exchange', ...view }, async (changes) => {
    came = await next(changes);
    return came;
  });
  return readOutcome(answer, came);
}
