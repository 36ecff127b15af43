import { type Command, Option } from 'commander';
import type { Example } from './command-line.js';

export interface PolicyActions {
  testPolicy(file: string | undefined): Promise<number>;
  explainPolicy(file: string | undefined, flags: ExplainFlags): Promise<number>;
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
}
