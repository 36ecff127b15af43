import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import type { AdminCommand } from './admin/commands.js';
import { addConfigCommand, CONFIG_EXAMPLES } from './admin/config-command-line.js';
import { addConnectionsCommand, CONNECTIONS_EXAMPLES } from './admin/connections-command-line.js';
import { addNodesCommand, NODES_EXAMPLES } from './admin/nodes-command-line.js';
import { addRolloutCommand, ROLLOUT_EXAMPLES } from './admin/rollout-command-line.js';
import { AUDIT_EXAMPLES, type AuditActions, addAuditCommand } from './audit/audit-command-line.js';
import {
  addCompletionCommand,
  COMPLETION_EXAMPLES,
  type CompletionActions,
} from './completion-command-line.js';
import {
  addControlPlaneCommand,
  CONTROL_PLANE_EXAMPLES,
  type ControlPlaneActions,
} from './control-plane-command-line.js';
import { EXIT, EXIT_MEANINGS } from './exit-codes.js';
import { addKeysCommand, KEYS_EXAMPLES, type KeysActions } from './keys-command-line.js';
import { addDataPlaneCommand, NODE_EXAMPLES, type NodeActions } from './node-command-line.js';
import { collected } from './option-values.js';
import { addPinCommand, PIN_EXAMPLES, type PinActions } from './pin/pin-command-line.js';
import { addPluginCommand, PLUGIN_EXAMPLES, type PluginActions } from './plugin-command-line.js';
import { addPolicyCommand, POLICY_EXAMPLES, type PolicyActions } from './policy/policy-command-line.js';
import type { ServeFlags } from './serve-flags.js';
import type { StdioFlags } from './stdio-flags.js';
import { packageVersion } from './version.js';

/** Worker threads beyond this are a typing error: each takes memory and a share of the port. */
const MAX_WORKERS = 256;
const MAX_PORT = 65_535;

/** What each command does; every function resolves to the exit code. */
export interface CommandActions
  extends AuditActions,
    CompletionActions,
    ControlPlaneActions,
    KeysActions,
    NodeActions,
    PinActions,
    PluginActions,
    PolicyActions {
  serve(flags: ServeFlags): Promise<number>;
  stdio(flags: StdioFlags): Promise<number>;
  /** `file` undefined: what `serve` would read. */
  validate(file: string | undefined): Promise<number>;
  health(url: string): Promise<number>;
  /** A command that asks the control plane of a cluster. */
  admin(command: AdminCommand): Promise<number>;
  version(): Promise<number>;
}

/** The actions of a process that runs one command and no other. */
export function onlyAction<Name extends keyof CommandActions>(
  name: Name,
  action: CommandActions[Name],
): CommandActions {
  const notHere = () => Promise.resolve(EXIT.unexpected);
  return new Proxy({} as CommandActions, { get: (_, asked) => (asked === name ? action : notHere) });
}

/** A command line to show, and what it does. */
export type Example = readonly [commandLine: string, meaning: string];

const EXAMPLES: Readonly<Record<string, readonly Example[]>> = {
  serve: [
    ['sluice serve', 'serve what sluice.yaml in this folder describes'],
    ['sluice serve --config gateway.yaml --port 9000', 'another file, another port'],
    ['sluice serve --config claude_desktop_config.json', 'the servers of a desktop client, behind one URL'],
    ['sluice serve --workers 4 --log-format json', 'four worker threads, a log for machines'],
    ['sluice serve --host 0.0.0.0 --insecure', 'let other machines in, without authentication'],
  ],
  stdio: [
    ['sluice stdio --config sluice.yaml', 'what a desktop client starts: all servers of a file as one'],
    ['sluice stdio --config sluice.yaml --upstream files', 'one of them, with its own names'],
    [
      "sluice stdio --config sluice.yaml --header 'X-API-Key: ${KEY}'",
      'where plugins ask who calls: with a secret from the environment; the quotes leave ${KEY} to sluice',
    ],
    [
      'sluice stdio --connect https://mcp.example.com/mcp',
      'bring a remote server to a client that only starts commands',
    ],
    [
      "sluice stdio --connect https://mcp.example.com/mcp --header 'Authorization: Bearer ${TOKEN}'",
      'with a secret from the environment',
    ],
  ],
  validate: [
    ['sluice validate', 'say what is wrong with sluice.yaml, where, and what would be right'],
    ['sluice validate sluice.yaml && systemctl reload sluice', 'apply only what is valid'],
  ],
  health: [
    ['sluice health', 'ask the gateway on this machine'],
    ['sluice health http://10.0.0.5:9090', 'ask another one, at its health address'],
  ],
  ...NODE_EXAMPLES,
  ...CONTROL_PLANE_EXAMPLES,
  ...CONFIG_EXAMPLES,
  ...NODES_EXAMPLES,
  ...CONNECTIONS_EXAMPLES,
  ...ROLLOUT_EXAMPLES,
  ...KEYS_EXAMPLES,
  ...PIN_EXAMPLES,
  ...AUDIT_EXAMPLES,
  ...PLUGIN_EXAMPLES,
  ...POLICY_EXAMPLES,
  ...COMPLETION_EXAMPLES,
  version: [['sluice version', 'what is installed, and what it runs on']],
};

/** How a command is called, without `sluice`: `keys create`. */
export function pathOf(command: Command): string {
  const above = command.parent?.parent ? `${pathOf(command.parent)} ` : '';
  return above + command.name();
}

/** The examples of a command, for `--help` and the reference page. */
export function examplesOf(command: string): readonly Example[] {
  return EXAMPLES[command] ?? [];
}

/** The definition of the whole command line. Nothing runs until it parses. */
export function createCommandLine(actions: CommandActions, finish: (exitCode: number) => void): Command {
  const program = new Command('sluice')
    .description('An MCP gateway: one address in front of many MCP servers.')
    .version(packageVersion(), '-V, --version', 'print the version number')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .showHelpAfterError('Run with --help to see what there is.')
    .exitOverride();

  program
    .command('serve')
    .summary('run the gateway')
    .description(
      'Runs the gateway until it is told to stop. A changed configuration file is applied while it runs; a ' +
        'broken one is refused with the reason, and the last good one stays. Options win over SLUICE_ ' +
        'variables, and those over the file.',
    )
    .addOption(configOption())
    .addOption(
      new Option('-p, --port <number>', 'TCP port; 0 lets the system choose').argParser(
        wholeNumber('a port', 0, MAX_PORT),
      ),
    )
    .option('--host <address>', 'address to listen on')
    .addOption(
      new Option('--workers <number>', 'worker threads that serve').argParser(
        wholeNumber('a number of workers', 1, MAX_WORKERS),
      ),
    )
    .addOption(
      new Option('--listener <kind>', 'what listens: uws is faster, node runs everywhere').choices([
        'auto',
        'uws',
        'node',
      ]),
    )
    .option('--insecure', 'listen beyond this machine although nothing authenticates clients')
    .addOption(logLevelOption())
    .addOption(logFormatOption())
    .option('--dev', 'for working on a configuration: same as --log-level debug --log-format text --screen')
    .option('--screen', 'print the start-up screen even when the output is not a terminal')
    .allowExcessArguments()
    .action(async (flags: ServeFlags, command: Command) => {
      refuseArguments(command);
      finish(await actions.serve(flags));
    });

  const shared = {
    wholeNumber,
    logLevel: logLevelOption,
    logFormat: logFormatOption,
    maxPort: MAX_PORT,
    maxWorkers: MAX_WORKERS,
  };
  addDataPlaneCommand(program, actions, finish, shared);
  addControlPlaneCommand(program, actions, finish, shared);

  program
    .command('stdio')
    .summary('serve one client over stdin and stdout')
    .description(
      'Speaks MCP on stdin and stdout, for clients that start commands, and listens nowhere. It reads the same ' +
        'configuration as serve and follows its changes, or relays to the one server named by --connect. The log ' +
        'goes to stderr. It ends when stdin ends.',
    )
    .addOption(configOption())
    .option(
      '-u, --upstream <name>',
      'serve this upstream alone, with its own names; default all as one server',
    )
    .addOption(
      new Option(
        '--connect <url>',
        'relay to this server (http, https, ws, wss, unix), and read no configuration',
      ).conflicts('upstream'),
    )
    .addOption(
      new Option(
        '--header <line>',
        "what every request carries, to the server of --connect or else for the plugins that know callers, as 'Name: value'; ${VARIABLE} is taken from the environment",
      ).argParser(collected),
    )
    .addOption(logLevelOption())
    .addOption(logFormatOption())
    .allowExcessArguments()
    .action(async (flags: StdioFlags, command: Command) => {
      refuseArguments(command);
      // A variable that names a file is no wish, a flag is.
      const namesFile = command.getOptionValueSource('config') === 'cli';
      if (flags.connect !== undefined && namesFile)
        command.error("error: option '--connect <url>' cannot be used with option '-c, --config <file>'");
      finish(await actions.stdio(flags));
    });

  program
    .command('validate')
    .summary('check a configuration file')
    .description('Checks a configuration file as the gateway would, and starts nothing.')
    .argument('[file]', 'the file to check; default $SLUICE_CONFIG, or sluice.yaml in this folder')
    .action(async (file: string | undefined) => finish(await actions.validate(file)));

  program
    .command('health')
    .summary('ask a running gateway and its upstreams how they are')
    .description('Asks a running gateway for its health and prints the state of each upstream.')
    .argument('[url]', 'its address, or its health address where it has one', 'http://127.0.0.1:8080')
    .action(async (url: string) => finish(await actions.health(url)));

  const runAdmin = async (command: AdminCommand) => finish(await actions.admin(command));
  addConfigCommand(program, runAdmin);
  addNodesCommand(program, runAdmin);
  addConnectionsCommand(program, runAdmin);
  addRolloutCommand(program, runAdmin);
  addKeysCommand(program, actions, finish);
  addPinCommand(program, actions, finish, configOption);
  addPluginCommand(program, actions, finish);
  addPolicyCommand(program, actions, finish);
  addAuditCommand(program, actions, finish, wholeNumber);
  addCompletionCommand(program, actions, finish);

  program
    .command('version')
    .summary('print the versions of sluice and Node.js')
    .description('Prints the versions of sluice and Node.js.')
    .action(async () => finish(await actions.version()));

  program.addHelpText(
    'after',
    `\n${exampleHelp(program.commands.flatMap((command) => examplesOf(command.name()).slice(0, 2)))}`,
  );
  for (const command of program.commands.flatMap((each) => [each, ...each.commands])) {
    command.addHelpText('after', `\n${exampleHelp(examplesOf(pathOf(command)))}`);
    // Help of a command lists its own options; how to print this very text need not be among them.
    command.helpOption('-h, --help', 'print this help');
  }
  program.addHelpText('afterAll', `\n${exitCodeHelp()}`);
  return program;
}

/**
 * Parses and runs a command line.
 *
 * @param argv what was typed after `sluice`
 * @returns the exit code; what is wrong with the command line has been printed
 */
export async function runCommandLine(argv: readonly string[], actions: CommandActions): Promise<number> {
  let exitCode: number = EXIT.ok;
  const program = createCommandLine(actions, (code) => {
    exitCode = code;
  });
  try {
    if (argv.length === 0) program.help({ error: true });
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Help and version that were asked for end with 0; everything else that commander reports is bad usage.
    return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  }
  return exitCode;
}

function configOption(): Option {
  const meaning = 'configuration: YAML, JSON or TOML; default ./sluice.yaml';
  return new Option('-c, --config <file>', meaning).env('SLUICE_CONFIG');
}

/** A file without its option is what people forget, and `npm start` without `--` keeps options to itself. */
function refuseArguments(command: Command): void {
  const [first] = command.args;
  if (first === undefined) return;
  const through = process.env.npm_lifecycle_event === 'start' ? 'npm start -- ' : '';
  command.error(
    `error: '${first}' stands without an option; for a configuration file write ${through}--config ${first}`,
  );
}

function logLevelOption(): Option {
  return new Option('--log-level <level>', 'least severe level that is logged').choices([
    'trace',
    'debug',
    'info',
    'warn',
    'error',
    'fatal',
    'silent',
  ]);
}

function logFormatOption(): Option {
  return new Option('--log-format <format>', 'default text on a terminal, else json').choices([
    'json',
    'text',
  ]);
}

function wholeNumber(what: string, min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Give ${what} from ${min} to ${max}.`);
  };
}

function exampleHelp(examples: readonly Example[]): string {
  const lines = examples.flatMap(([commandLine, meaning]) => [`  $ ${commandLine}`, `      ${meaning}`]);
  return ['Examples:', ...lines].join('\n');
}

function exitCodeHelp(): string {
  return ['Exit codes:', ...EXIT_MEANINGS.map(([code, meaning]) => `  ${code}  ${meaning}`)].join('\n');
}
