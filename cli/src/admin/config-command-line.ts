/** `sluice config`: the configuration of a cluster. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Example } from '../command-line.js';
import { collected } from '../option-values.js';
import type { AdminCommand } from './commands.js';
import {
  addFileOptions,
  addOutputOptions,
  addServerOptions,
  addWriteOptions,
  deadlineOption,
  revisionNumber,
  waitFor,
} from './options.js';
import { addRolloutOptions } from './rollout-command-line.js';

const MAX_COUNT = 10_000;

export const CONFIG_EXAMPLES: Readonly<Record<string, readonly Example[]>> = {
  config: [
    ['sluice config apply -f sluice.yaml --wait all', 'give the cluster the file of a laptop'],
    ['sluice config history', 'who changed what, and when'],
  ],
  'config get': [
    ['sluice config get', 'everything'],
    ['sluice config get upstream --tenant acme', 'the upstreams of a tenant'],
    ['sluice config get upstream/files -o yaml > files.yaml', 'one of them, as apply takes it'],
  ],
  'config apply': [
    ['sluice config apply -f sluice.yaml --dry-run', 'what it would change'],
    [
      'sluice config apply -f sluice.yaml --prune --wait all -m "New search"',
      'the cluster has what the file has',
    ],
    ['sluice config apply -f sluice.yaml --rollout region:eu,100% --pause 5m', 'a region first, then all'],
    ['cat resources/*.yaml | sluice config apply -f -', 'from another program'],
    ['sluice config apply -f team.yaml --tenant acme --expect-revision 17', 'only if nobody was first'],
  ],
  'config delete': [
    ['sluice config delete upstream/files --dry-run', 'what removing one would change'],
    ['sluice config delete upstream/acme/files policy/acme/all', 'two of a tenant, in one revision'],
    ['sluice config delete -f team.yaml --wait all', 'what a file holds'],
  ],
  'config diff': [
    ['sluice config diff', 'what the last change was'],
    ['sluice config diff 12 17', 'what differs between two revisions'],
    ['sluice config diff -f sluice.yaml --prune', 'what applying a file would change'],
  ],
  'config history': [
    ['sluice config history', 'the last changes'],
    ['sluice config history 17', 'one of them, field by field'],
    ['sluice config history --kind upstream --name files', 'those of one upstream'],
  ],
  'config rollback': [
    ['sluice config rollback 16 --wait all', 'everything is again what it was at revision 16'],
    ['sluice config rollback 16 --dry-run', 'what that would change'],
  ],
  'config wait': [
    ['sluice config wait', 'until every node runs what holds'],
    ['sluice config wait 17 --for region:eu --deadline 1m', 'until a region runs revision 17'],
  ],
  'config export': [['sluice config export > backup.json', 'a backup; it holds secrets']],
  'config import': [
    ['sluice config import backup.json --dry-run', 'what bringing it back would change'],
    ['sluice config import backup.json --wait all', 'everything is again what it was then'],
  ],
};

type Run = (command: AdminCommand) => Promise<void>;

export function addConfigCommand(program: Command, run: Run): void {
  const config = program
    .command('config')
    .summary('look at and change the configuration of a cluster')
    .description('Looks at and changes the configuration of a cluster, through its control plane.');
  addGet(config, run);
  addApply(config, run);
  addDelete(config, run);
  addDiff(config, run);
  addHistory(config, run);
  addRollback(config, run);
  addWait(config, run);
  addExport(config, run);
  addImport(config, run);
}

function addGet(config: Command, run: Run): void {
  const get = config
    .command('get')
    .summary('show resources')
    .description('Shows the resources of a cluster: all, those of a kind, or one.')
    .argument('[kind/name]', 'a kind, such as upstream, or one resource, such as upstream/files')
    .option('-t, --tenant <name>', 'of this tenant; without it, of any')
    .option('--filter <conditions>', 'such as label.team=search,name=files*')
    .addOption(revisionOption('as they were at this revision'));
  addServerOptions(addOutputOptions(get, ['table', 'yaml', 'json', 'name'])).action((what, flags) =>
    run({ name: 'get', what, flags }),
  );
}

function addApply(config: Command, run: Run): void {
  const apply = config
    .command('apply')
    .summary('make resources what files say')
    .description(
      'Makes the resources of a cluster what files say, in one revision. A file holds documents of one resource each, ' +
        'or a configuration such as sluice serve takes. What is so already is left alone; what is not in the files ' +
        'stays, or goes with --prune.',
    );
  addFileOptions(apply, 'a file, a folder of them, or - for stdin; may be given several times');
  addServerOptions(
    addOutputOptions(addRolloutOptions(addWriteOptions(apply)), ['table', 'json', 'yaml']),
  ).action((flags, command: Command) => {
    if (flags.file === undefined) command.error("error: required option '-f, --file <path>' not specified");
    return run({ name: 'apply', flags });
  });
}

function addDelete(config: Command, run: Run): void {
  const remove = config
    .command('delete')
    .summary('remove resources')
    .description(
      'Removes resources of a cluster, in one revision: those that are named, and those that files hold. What is not ' +
        'there is an error, and then nothing is removed.',
    )
    .argument('[kind/name...]', 'resources, such as upstream/files, or upstream/acme/files of a tenant')
    .addOption(
      new Option('-f, --file <path>', 'what a file, a folder of them, or - for stdin holds').argParser(
        collected,
      ),
    )
    .option('-t, --tenant <name>', 'the tenant of what names none');
  addServerOptions(
    addOutputOptions(addRolloutOptions(addWriteOptions(remove)), ['table', 'json', 'yaml']),
  ).action((resources: string[], flags, command: Command) => {
    if (resources.length === 0 && flags.file === undefined)
      command.error('error: name resources, such as upstream/files, or files with -f');
    return run({ name: 'delete', resources, flags });
  });
}

function addDiff(config: Command, run: Run): void {
  const diff = config
    .command('diff')
    .summary('show what differs')
    .description(
      'Shows field by field what differs between two revisions, or what applying files would change. Secrets are not ' +
        'shown.',
    )
    .argument('[from]', 'the older revision; default the one before', revisionNumber)
    .argument('[to]', 'the newer revision; default the newest', revisionNumber);
  addFileOptions(diff, 'instead of revisions: a file, a folder of them, or - for stdin');
  addServerOptions(addOutputOptions(diff, ['table', 'json', 'yaml'])).action(
    (from, to, flags, command: Command) => {
      if (from !== undefined && flags.file !== undefined)
        command.error('error: give revisions, or files with -f, and not both');
      return run({ name: 'diff', from, to, flags });
    },
  );
}

function addHistory(config: Command, run: Run): void {
  const history = config
    .command('history')
    .summary('show who changed what')
    .description(
      'Shows the revisions of the configuration, the newest first, or one of them with its changes.',
    )
    .argument('[revision]', 'one revision, with what it changed', revisionNumber)
    .addOption(countOption('revisions'))
    .option('--kind <kind>', 'that changed this kind of resource')
    .option('--name <name>', 'that changed a resource of this name')
    .option('--author <name>', 'of this author');
  addServerOptions(addOutputOptions(history, ['table', 'json', 'yaml'])).action((revision, flags) =>
    run({ name: 'history', revision, flags }),
  );
}

function addRollback(config: Command, run: Run): void {
  const rollback = config
    .command('rollback')
    .summary('go back to a revision')
    .description('Makes everything what it was at a revision, as a new revision.')
    .argument('<revision>', 'what shall hold again', revisionNumber);
  addServerOptions(
    addOutputOptions(addRolloutOptions(addWriteOptions(rollback)), ['table', 'json', 'yaml']),
  ).action((revision, flags) => run({ name: 'rollback', revision, flags }));
}

function addWait(config: Command, run: Run): void {
  const wait = config
    .command('wait')
    .summary('wait until nodes run a revision')
    .description('Waits until nodes run a revision, and says which do not.')
    .argument('[revision]', 'default the newest', revisionNumber)
    .addOption(
      new Option('--for <who>', 'any, all, region:NAME, or a share such as 50%')
        .argParser(waitFor)
        .default('all'),
    )
    .addOption(deadlineOption());
  addServerOptions(addOutputOptions(wait, ['table', 'json', 'yaml'])).action((revision, flags) =>
    run({ name: 'wait', revision, flags }),
  );
}

function addExport(config: Command, run: Run): void {
  const backup = config
    .command('export')
    .summary('write a backup')
    .description('Writes everything that holds to stdout, secrets included, for sluice config import.')
    .addOption(revisionOption('what held at this revision'));
  addServerOptions(addOutputOptions(backup, ['json', 'yaml'])).action((flags) =>
    run({ name: 'export', flags }),
  );
}

function addImport(config: Command, run: Run): void {
  const restore = config
    .command('import')
    .summary('bring a backup back')
    .description('Makes everything what a backup says, as a new revision.')
    .argument('<file>', 'what sluice config export wrote, or - for stdin');
  addServerOptions(
    addOutputOptions(addRolloutOptions(addWriteOptions(restore)), ['table', 'json', 'yaml']),
  ).action((file, flags) => run({ name: 'import', file, flags }));
}

function revisionOption(meaning: string): Option {
  return new Option('--revision <number>', meaning).argParser(revisionNumber).default(0n, 'the newest');
}

/** How many of a list. */
export function countOption(what: string, byDefault = 20): Option {
  return new Option('-n, --count <number>', `at most so many ${what}`)
    .argParser((text) => {
      const count = Number(text);
      if (/^\d+$/.test(text) && count >= 1 && count <= MAX_COUNT) return count;
      throw new InvalidArgumentError(`Give a number from 1 to ${MAX_COUNT}.`);
    })
    .default(byDefault);
}
