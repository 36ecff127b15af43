/** `sluice rollout`, and the options with which a change is given out in steps. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Example } from '../command-line.js';
import type { AdminCommand, RolloutLimitFlags, RolloutStepFlags } from './commands.js';
import { countOption } from './config-command-line.js';
import {
  addOutputOptions,
  addServerOptions,
  deadlineOption,
  milliseconds,
  revisionNumber,
} from './options.js';

/** As the server takes it. */
const MAX_PAUSE_MS = 86_400_000;

export const ROLLOUT_EXAMPLES: Readonly<Record<string, readonly Example[]>> = {
  rollout: [
    ['sluice config apply -f sluice.yaml --rollout', 'give a change to some nodes first'],
    ['sluice config apply -f sluice.yaml --rollout callers:5%,callers:50%', 'to some callers first'],
    ['sluice rollout status --follow', 'see how it goes on'],
  ],
  'rollout status': [
    ['sluice rollout status', 'how the newest rollout stands, and what it waits for'],
    ['sluice rollout status 17 --follow', 'until it has ended'],
  ],
  'rollout list': [['sluice rollout list', 'the last rollouts']],
  'rollout promote': [['sluice rollout promote', 'all nodes get it now']],
  'rollout abort': [['sluice rollout abort --reason "too slow"', 'take it back, on all nodes']],
};

type Run = (command: AdminCommand) => Promise<void>;

export function addRolloutCommand(program: Command, run: Run): void {
  const rollout = program
    .command('rollout')
    .summary('look at and steer changes that come to nodes in steps')
    .description('Looks at and steers changes of a cluster that come to its nodes in steps.');
  const status = rollout
    .command('status')
    .summary('show how a rollout stands')
    .description('Shows how a rollout stands, what it waits for, and what happened in it.')
    .argument('[revision]', 'its revision; default the newest rollout', revisionNumber)
    .option('--follow', 'until it has ended, or the deadline')
    .addOption(deadlineOption(MAX_PAUSE_MS));
  addServerOptions(addOutputOptions(status, ['table', 'json', 'yaml'])).action((revision, flags) =>
    run({ name: 'rolloutStatus', revision, flags }),
  );
  const list = rollout
    .command('list')
    .summary('show the last rollouts')
    .description('Shows the last rollouts, the newest first.')
    .addOption(countOption('rollouts'));
  addServerOptions(addOutputOptions(list, ['table', 'json', 'yaml'])).action((flags) =>
    run({ name: 'rollouts', flags }),
  );
  addOrder(
    rollout,
    run,
    'promote',
    'give the revision to all nodes',
    'Gives a revision to all nodes at once, and ends its rollout.',
  );
  addOrder(
    rollout,
    run,
    'abort',
    'take the revision back',
    'Takes a revision back: what held before it comes to all nodes again, as a new revision.',
  );
}

function addOrder(
  rollout: Command,
  run: Run,
  order: 'promote' | 'abort',
  summary: string,
  description: string,
): void {
  const command = rollout
    .command(order)
    .summary(summary)
    .description(description)
    .argument('[revision]', 'its revision; default the rollout that is under way', revisionNumber)
    .option('--reason <text>', 'why, for the history');
  addServerOptions(addOutputOptions(command, ['table', 'json', 'yaml'])).action((revision, flags) =>
    run({ name: order, revision, flags }),
  );
}

/** For commands that change the configuration. */
export function addRolloutOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--rollout [steps]',
        'give it to some nodes or callers first, and go on or back by what they do: shares and regions in order, such as region:eu,50%,100% or callers:5%,callers:50%; default 10%,50%,100%',
      )
        .argParser(steps)
        .preset(''),
    )
    .addOption(
      new Option('--pause <time>', 'how long each step is watched; default 1m').argParser((text) =>
        milliseconds(text, MAX_PAUSE_MS),
      ),
    )
    .addOption(
      new Option(
        '--limit <name=value>',
        'when it goes back by itself: refusals (nodes, default 0), errors (percentage points more, 5), latency (times the mean, 2), requests (before judging, 50; 0: not by requests), arrival (2m)',
      ).argParser(limit),
    );
}

function steps(text: string): readonly RolloutStepFlags[] {
  // The option alone.
  if (text === '') return [];
  return text.split(',').map((step) => {
    const [, region, nodes, callers] = STEP.exec(step.trim()) ?? [];
    const percent = nodes === undefined ? undefined : Number(nodes);
    const callersPercent = callers === undefined ? undefined : Number(callers);
    const isNothing = region === undefined && percent === undefined && callersPercent === undefined;
    if (isNothing || !isShare(percent) || !isShare(callersPercent))
      throw new InvalidArgumentError(
        'Give shares and regions with commas between: 10%, region:eu, region:eu:50% for a share of a region; callers:5% for a share of the callers, region:eu:callers:5% for one of those of a region.',
      );
    return {
      ...(region !== undefined && { region }),
      ...(percent !== undefined && { percent }),
      ...(callersPercent !== undefined && { callersPercent }),
    };
  });
}

/** A region, a share of nodes, and a share of callers: each may be absent. */
const STEP = /^(?:region:([^:%]+?)(?:$|:))?(?:(\d{1,3})%(?:$|:))?(?:callers:(\d{1,3})%)?(?<!%:)$/;

function isShare(percent: number | undefined): boolean {
  return percent === undefined || (percent >= 1 && percent <= 100);
}

const LIMITS: Readonly<Record<string, (text: string) => number>> = {
  refusals: Number,
  errors: Number,
  latency: Number,
  requests: Number,
  arrival: (text) => milliseconds(text, MAX_PAUSE_MS),
};

function limit(text: string, earlier: RolloutLimitFlags | undefined): RolloutLimitFlags {
  const [, name = '', value = ''] = /^(\w+)=(.+)$/.exec(text) ?? [];
  const number = LIMITS[name]?.(value);
  if (number === undefined || !(number >= 0))
    throw new InvalidArgumentError(
      `Give one of ${Object.keys(LIMITS).join(', ')} with a number, such as errors=2.`,
    );
  return { ...earlier, [name]: number };
}
