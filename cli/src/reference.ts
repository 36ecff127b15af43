import type { Argument, Command, Option } from 'commander';
import { createCommandLine, examplesOf, pathOf } from './command-line.js';
import { EXIT_MEANINGS } from './exit-codes.js';

/** The page docs/reference/cli.md, made from the definitions that also make `--help`. */
export function renderReference(): string {
  const nothing = () => Promise.resolve(0);
  const program = createCommandLine(
    {
      serve: nothing,
      dataPlane: nothing,
      controlPlane: nothing,
      stdio: nothing,
      validate: nothing,
      health: nothing,
      admin: nothing,
      audit: nothing,
      completion: nothing,
      createKey: nothing,
      createToken: nothing,
      hashPassword: nothing,
      pin: nothing,
      newPlugin: nothing,
      testPlugin: nothing,
      packPlugin: nothing,
      testPolicy: nothing,
      explainPolicy: nothing,
      replayPolicy: nothing,
      version: nothing,
    },
    () => {},
  );
  const sections = [
    '# Command line',
    '<!-- Made from cli/src/command-line.ts by `node cli/scripts/reference.mjs`; a test compares the two. -->',
    `${program.description()} After \`npm ci && npm run build\` the command is \`npx sluice\` in the workspace.`,
    ...program.commands.flatMap(renderCommand),
    '## Exit codes',
    table([['code', 'meaning'], ...EXIT_MEANINGS.map(([code, meaning]) => [String(code), meaning])]),
    '## Signals',
    table(SIGNALS),
    '## Environment variables',
    table(VARIABLES),
    '## Two processes',
    PROCESSES,
  ];
  return `${sections.join('\n\n')}\n`;
}

const SIGNALS = [
  ['signal to `sluice serve`, `data-plane`, `stdio` or `control-plane`', 'what happens'],
  [
    '`SIGTERM`, `SIGINT`',
    'takes no new connections or requests, finishes requests under way for at most `gateway.shutdown_grace`, ' +
      'ends with 0; a second one ends it at once. A control plane sends its nodes to another one',
  ],
  ['`SIGHUP`', 'reads the configuration file again; when its terminal was closed, stops like `SIGTERM`'],
];

const VARIABLES = [
  ['variable', 'meaning'],
  ['`SLUICE_CONFIG`', 'the configuration file, when `--config` is not given'],
  [
    '`SLUICE_KEY_SECRET`',
    'what `sluice keys create` hashes keys under; what the file refers to as `hash_key`',
  ],
  [
    '`SLUICE_ADMIN_TOKEN`',
    'the token of commands that change a cluster; for `sluice serve` it is the setting `gateway.admin.token`',
  ],
  ['`SLUICE_NODE_…`, `SLUICE_CP_…`', 'options of `sluice data-plane` and of `sluice control-plane`'],
  ['`SLUICE_CP_ETCD_PASSWORD`', 'the password of `--etcd-user`, when no file holds it'],
  [
    '`SLUICE_CP_NATS_USER`, `SLUICE_CP_NATS_PASSWORD`, `SLUICE_CP_NATS_TOKEN`',
    'who the control plane is at NATS, when neither the address nor a file says it',
  ],
  ['`SLUICE_…`', 'every setting of the configuration; see the configuration reference'],
  ['`SLUICE_AUDIT_FILE`', 'the file of `sluice audit`, when `--file` is not given'],
  ['`NO_COLOR`', 'no colours, whatever the output is'],
  ['`FORCE_COLOR`', 'colours even when the output is not a terminal; `0` for none'],
];

const PROCESSES = [
  '`sluice serve` is a small parent process and the data plane, its child. When the data plane ends unexpectedly',
  '(a native crash, an exhausted heap, `kill -9`), the parent starts it again from the last good configuration,',
  'whatever the file says meanwhile: at once the first three times, then after 0.5 s, 1 s, 2 s and so on up to',
  '10 s, until it has lived for a minute. Ports that the system chose stay the same, and so does the key that',
  'sealed tokens are made with. When the parent dies, the data plane finishes what is under way and ends.',
].join('\n');

/** A command, or those that stand below it. */
function renderCommand(command: Command): string[] {
  if (command.commands.length > 0) return command.commands.flatMap(renderCommand);
  const path = pathOf(command);
  const { options, args } = { options: command.options, args: command.registeredArguments };
  return [
    `## sluice ${path}`,
    command.description(),
    ['```', `sluice ${path} ${command.usage()}`, '```'].join('\n'),
    ...(args.length ? [table([['argument', 'meaning'], ...args.map(argumentRow)])] : []),
    ...(options.length ? [table([['option', 'meaning'], ...options.map(optionRow)])] : []),
    ['```sh', ...examplesOf(path).map(([line, meaning]) => `${line}   # ${meaning}`), '```'].join('\n'),
  ];
}

function argumentRow(argument: Argument): string[] {
  const { required, description, defaultValue } = argument;
  const name = required ? `<${argument.name()}>` : `[${argument.name()}]`;
  return [
    `\`${name}\``,
    withNotes(description, defaultValue === undefined ? [] : [`default \`${defaultValue}\``]),
  ];
}

function optionRow({
  flags,
  description,
  argChoices,
  envVar,
  defaultValue,
  defaultValueDescription,
}: Option): string[] {
  return [
    `\`${flags}\``,
    withNotes(description, [
      ...(argChoices ? [argChoices.map((choice) => `\`${choice}\``).join(', ')] : []),
      ...(envVar ? [`or \`${envVar}\``] : []),
      ...(defaultValue === undefined || defaultValue === ''
        ? []
        : [defaultValueDescription ? `default ${defaultValueDescription}` : `default \`${defaultValue}\``]),
    ]),
  ];
}

function withNotes(description: string, notes: readonly string[]): string {
  return notes.length ? `${description} (${notes.join('; ')})` : description;
}

/** A table whose columns are aligned in the source too, which is how the formatter of this project wants it. */
function table(rows: readonly (readonly string[])[]): string {
  const escaped = rows.map((row) => row.map((cell) => cell.replaceAll('|', '\\|')));
  const widths = (escaped[0] ?? []).map((_, column) =>
    Math.max(...escaped.map((row) => (row[column] ?? '').length)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  const [head = [], ...body] = escaped;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)].join('\n');
}
