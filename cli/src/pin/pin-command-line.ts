/** `sluice pin`. */
import { type Command, Option } from 'commander';
import type { Example } from '../command-line.js';

export interface PinFlags {
  readonly config?: string;
  readonly output?: 'table' | 'json';
  readonly all?: boolean;
}

export interface PinCommand {
  readonly name: 'status' | 'diff' | 'accept';
  /** `upstream:name`; none for all. */
  readonly tools: readonly string[];
  readonly flags: PinFlags;
}

export interface PinActions {
  pin(command: PinCommand): Promise<number>;
}

export const PIN_EXAMPLES: Readonly<Record<string, readonly Example[]>> = {
  pin: [
    ['sluice pin status', 'which tools wait to be accepted'],
    ['sluice pin diff files:read', 'what is another in one of them'],
    ['sluice pin accept files:read', 'it is as it should be'],
  ],
  'pin status': [
    ['sluice pin status', 'of the servers in sluice.yaml, as they answer now'],
    ['sluice pin status -o json', 'the same with the definitions, for programs'],
  ],
  'pin diff': [
    ['sluice pin diff', 'all that has changed'],
    ['sluice pin diff files:read', 'one tool'],
  ],
  'pin accept': [
    ['sluice pin accept files:read files:write', 'writes these two into sluice.pins.json'],
    ['sluice pin accept files:read@9f86d081884c7d65', 'only if it is still what was looked at'],
    ['sluice pin accept --all', 'all that wait, as at the beginning'],
  ],
};

export function addPinCommand(
  program: Command,
  actions: PinActions,
  finish: (exitCode: number) => void,
  configOption: () => Option,
): void {
  const pin = program
    .command('pin')
    .summary('look at and accept tools that have changed')
    .description(
      'Asks the servers of a configuration for their tools, and holds them against those that were accepted, which ' +
        'stand in sluice.pins.json beside the configuration file.',
    );
  const outputOption = () =>
    new Option('-o, --output <format>', 'how it is printed: for people, or for programs').choices([
      'table',
      'json',
    ]);
  const run =
    (name: PinCommand['name']) =>
    async (tools: readonly string[], flags: PinFlags): Promise<void> =>
      finish(await actions.pin({ name, tools, flags }));

  pin
    .command('status')
    .summary('show which tools wait')
    .description('Shows which tools are new or have changed, and what that means for calls.')
    .argument('[tools...]', 'upstream:name; default all that wait')
    .addOption(configOption())
    .addOption(outputOption())
    .action(run('status'));
  pin
    .command('diff')
    .summary('show what is another in them')
    .description('Shows the accepted and the present definition of tools that wait, line by line.')
    .argument('[tools...]', 'upstream:name; default all that wait')
    .addOption(configOption())
    .addOption(outputOption())
    .action(run('diff'));
  pin
    .command('accept')
    .summary('accept tools as they are now')
    .description(
      'Writes the present definitions of tools into sluice.pins.json. A gateway that runs takes them in at once; a ' +
        'cluster is given them with sluice config apply. A tool that is not listed any more is removed.',
    )
    .argument(
      '[tools...]',
      'upstream:name, or upstream:name@digest for exactly what status or diff has shown',
    )
    .option('--all', 'all that wait')
    .addOption(configOption())
    .addOption(outputOption())
    .action(run('accept'));
}
