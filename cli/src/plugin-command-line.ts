import type { Command } from 'commander';
import type { Example } from './command-line.js';

export interface PluginActions {
  newPlugin(name: string): Promise<number>;
  testPlugin(folder: string): Promise<number>;
  packPlugin(folder: string): Promise<number>;
}

export const PLUGIN_EXAMPLES: Readonly<Record<string, readonly Example[]>> = {
  plugin: [
    ['sluice plugin new redact-names', 'a plugin that works, with its test, in a folder of that name'],
    [
      'sluice plugin test redact-names && sluice plugin pack redact-names',
      'what a configuration needs of it',
    ],
  ],
  'plugin new': [['sluice plugin new redact-names', 'makes the folder redact-names']],
  'plugin test': [
    ['sluice plugin test', 'the tests in this folder'],
    ['sluice plugin test plugins/redact-names', 'those in another one'],
  ],
  'plugin pack': [
    ['sluice plugin pack', 'writes plugin.json into this folder, and prints its hash'],
    ['sluice plugin pack plugins/redact-names', 'into another one'],
  ],
};

export function addPluginCommand(
  program: Command,
  actions: PluginActions,
  finish: (exitCode: number) => void,
): void {
  const plugin = program
    .command('plugin')
    .summary('write plugins')
    .description('Helps to write a plugin: a skeleton, its tests, and the manifest that a gateway wants.');

  plugin
    .command('new')
    .summary('make the skeleton of a plugin')
    .description('Makes a folder with a plugin that works and a test that runs it in the real chain.')
    .argument('<name>', 'lower-case letters, digits and hyphens')
    .action(async (name: string) => finish(await actions.newPlugin(name)));

  plugin
    .command('test')
    .summary('run the tests of a plugin')
    .description(
      'Runs the *.test.js files of a folder with the test runner of Node.js. Ends with 1 when one fails.',
    )
    .argument('[folder]', 'folder of the plugin', '.')
    .action(async (folder: string) => finish(await actions.testPlugin(folder)));

  plugin
    .command('pack')
    .summary('write the manifest of a plugin')
    .description(
      'Loads a plugin and writes plugin.json: what it is, the schema of its configuration, and a digest of every ' +
        'file. Prints what the configuration of a gateway says to use exactly this plugin.',
    )
    .argument('[folder]', 'folder of the plugin', '.')
    .action(async (folder: string) => finish(await actions.packPlugin(folder)));
}
