import { type Command, Option } from 'commander';
import type { Example } from '../command-line.js';

export interface PolicyActions {
  testPolicy(file: string | undefined): Promise<number>;
  explainPolicy(file: string | undefined, flags: ExplainFlags): Promise<number>;
  replayPolicy(file: string | undefined, flags: ReplayFlags): Promise<number>;
}

export interface ReplayFlags {
  /** Of the plugin audit. */
  readonly file: string;
  /** As typed: `1h`, or a time. */
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  /** Name of the binding. */
  readonly plugin?: string | undefined;
  readonly output: 'table' | 'jsonl';
}

export interface ExplainFlags {
  /** A request as YAML or JSON. */
  readonly request?: string | undefined;
  /** Name of a case. */
  readonly case?: string | undefined;
  /** Name of the binding. */
  readonly plugin?: string | undefined;
}

export const POLICY_EXAMPLES: Readonly<Record<string, readonly Example[]>> = {
  policy: [
    ['sluice policy test', 'run the cases of sluice.test.yaml against the rules of sluice.yaml'],
    [
      "sluice policy explain --request '{tool: files:write, arguments: {path: /etc/hosts}}'",
      'which rule decides, and why',
    ],
  ],
  'policy test': [
    ['sluice policy test gateway.yaml', 'the cases of gateway.test.yaml'],
    ['sluice policy test docs/examples/policy.test.yaml', 'those cases, against policy.yaml beside them'],
  ],
  'policy explain': [
    [
      "sluice policy explain --request '{tool: files:write, principal: {scopes: [read]}}'",
      'what each rule says of it',
    ],
    ["sluice policy explain --case 'readers may not write'", 'a case of sluice.test.yaml'],
  ],
  'policy replay': [
    [
      'sluice policy replay gateway.yaml --file /var/lib/sluice/audit.sqlite --since 1h',
      'which decisions of the last hour the rules of this file would change',
    ],
  ],
};

export function addPolicyCommand(
  program: Command,
  actions: PolicyActions,
  finish: (exitCode: number) => void,
): void {
  const policy = program
    .command('policy')
    .summary('test and explain the rules of policies')
    .description(
      'Works on the rules of the plugin policy, as they stand in a configuration. Starts nothing.',
    );

  policy
    .command('test')
    .summary('run the test cases of policies')
    .description(
      'Decides requests as the gateway would, and compares what comes out with what a file expects. Ends with 1 ' +
        'when a case fails.',
    )
    .argument(
      '[file]',
      'a configuration, with its cases in NAME.test.yaml beside it; or the file with the cases',
    )
    .action(async (file: string | undefined) => finish(await actions.testPolicy(file)));

  policy
    .command('explain')
    .summary('say which rule decides a request, and why')
    .description('Shows what each rule says of one request, with the values that its conditions have read.')
    .argument('[file]', 'the configuration; default $SLUICE_CONFIG, or sluice.yaml in this folder')
    .addOption(new Option('--request <yaml>', 'the request, as in a test case').conflicts('case'))
    .option('--case <name>', 'the request of a test case')
    .option('--plugin <name>', 'the policy, where the configuration has several')
    .action(async (file: string | undefined, flags: ExplainFlags) =>
      finish(await actions.explainPolicy(file, flags)),
    );

  policy
    .command('replay')
    .summary('decide recorded requests anew')
    .description(
      'Decides the requests of a file of the plugin audit by the rules of a configuration, and says which decisions would ' +
        'be others. What records do not hold is said; arguments have to be recorded whole or redacted.',
    )
    .argument('[file]', 'the configuration; default $SLUICE_CONFIG, or sluice.yaml in this folder')
    .addOption(
      new Option('--file <file>', 'the file of the plugin audit')
        .env('SLUICE_AUDIT_FILE')
        .makeOptionMandatory(),
    )
    .option('--since <time>', 'from when on: 1h or 7d before now, or a time such as 2027-01-31T08:00Z')
    .option('--until <time>', 'up to when')
    .option('--plugin <name>', 'the policy, where the configuration has several')
    .addOption(
      new Option('-o, --output <format>', 'how changes are printed')
        .choices(['table', 'jsonl'])
        .default('table'),
    )
    .action(async (file: string | undefined, flags: ReplayFlags) =>
      finish(await actions.replayPolicy(file, flags)),
    );
}
