/** `sluice completion`: what shells complete. */
import { Argument, type Command } from 'commander';
import type { Example } from './command-line.js';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

export interface CompletionActions {
  /** @param program whose commands and options are completed */
  completion(shell: Shell, program: Command): Promise<number>;
}

export const COMPLETION_EXAMPLES: Readonly<Record<string, readonly Example[]>> = {
  completion: [
    ['source <(sluice completion bash)', 'for this shell; for all, in ~/.bashrc'],
    ['sluice completion zsh > "${fpath[1]}/_sluice"', 'for zsh'],
    ['sluice completion fish > ~/.config/fish/completions/sluice.fish', 'for fish'],
  ],
};

export function addCompletionCommand(
  program: Command,
  actions: CompletionActions,
  finish: (exitCode: number) => void,
): void {
  program
    .command('completion')
    .summary('print what a shell completes commands with')
    .description(
      'Prints a script with which a shell completes commands, options and their values. Names of resources and nodes ' +
        'are asked of the control plane that SLUICE_ADMIN_SERVER names, when it answers.',
    )
    .addArgument(new Argument('<shell>', 'the shell').choices(SHELLS))
    .action(async (shell: Shell) => finish(await actions.completion(shell, program)));
}
