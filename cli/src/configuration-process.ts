import { formatProblem, type Problem } from '@sluice/control-plane';
import { onlyAction, runCommandLine } from './command-line.js';
import { loadConfiguration } from './configuration.js';
import { EXIT } from './exit-codes.js';
import { parentSettings } from './parent-settings.js';
import type { LoadReport } from './process-messages.js';
import type { ServeFlags } from './serve-flags.js';
import { usesColour } from './terminal.js';

/*
 * Entry point of the process that loads the configuration and ends. Parsers, schema and validation take as much
 * memory as the data plane itself, and are needed for a fraction of a second.
 *
 * Arguments: `first` or `again`, then the command line after `serve`. At the first load somebody sits in front
 * of it: what is wrong is printed. Later it goes to the log, which is the parent's.
 */
const [occasion, ...argv] = process.argv.slice(2);
process.on('SIGINT', () => {});
process.on('SIGHUP', () => {});

const flags = await parse(argv);
if (typeof flags === 'number') process.exitCode = flags;
else await load(flags);
process.disconnect?.();

async function parse(argv: readonly string[]): Promise<ServeFlags | number> {
  let flags: ServeFlags | undefined;
  const take = async (given: ServeFlags) => {
    flags = given;
    return EXIT.ok;
  };
  const exitCode = await runCommandLine(['serve', ...argv], onlyAction('serve', take));
  return flags ?? exitCode;
}

async function load(flags: ServeFlags): Promise<void> {
  const { configuration, problems, file } = await loadConfiguration(flags, process.cwd());
  if (occasion === 'first') print(problems);
  if (!configuration) process.exitCode = EXIT.configuration;
  await report({
    ...(configuration && {
      snapshot: JSON.stringify(configuration),
      settings: parentSettings(configuration),
    }),
    problems: problems.map(({ path, ...problem }) => ({ ...problem, ...(path && { path }) })),
    ...(file && { file }),
    screen: Boolean(flags.screen || flags.dev),
  });
}

function print(problems: readonly Problem[]): void {
  const colour = usesColour(process.stderr);
  for (const problem of problems) process.stderr.write(`${formatProblem(problem, { colour })}\n`);
}

function report(message: LoadReport): Promise<void> {
  return new Promise((resolve) => {
    if (process.send) process.send(message, () => resolve());
    else resolve();
  });
}
