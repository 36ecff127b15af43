/** `sluice connections`: the clients of the nodes of a cluster. */
import type { Command } from 'commander';
import type { Example } from '../command-line.js';
import type { AdminCommand } from './commands.js';
import { countOption } from './config-command-line.js';
import { addOutputOptions, addServerOptions } from './options.js';

export const CONNECTIONS_EXAMPLES: Readonly<Record<string, readonly Example[]>> = {
  connections: [
    ['sluice connections', 'who is connected, and to which node'],
    ['sluice connections close eu-1 8f3c…', 'end a session'],
  ],
  'connections list': [
    ['sluice connections', 'who is connected, and to which node'],
    ['sluice connections list eu-1 -o json', 'the clients of one node, for a script'],
  ],
  'connections close': [['sluice connections close eu-1 8f3c…', 'end a session']],
};

export function addConnectionsCommand(program: Command, run: (command: AdminCommand) => Promise<void>): void {
  const connections = program
    .command('connections')
    .summary('look at the clients of a cluster')
    .description('Looks at the clients of the nodes of a cluster, and ends their sessions.');
  const list = connections
    .command('list', { isDefault: true })
    .summary('show clients')
    .description(
      'Shows sessions and connections of clients, the oldest of each node first. The command may be left out.',
    )
    .argument('[node]', 'of this node; default all that are there')
    .addOption(countOption('of them', 1_000));
  addServerOptions(addOutputOptions(list, ['table', 'json', 'yaml', 'name'])).action((node, flags) =>
    run({ name: 'connections', node, flags }),
  );
  const close = connections
    .command('close')
    .summary('end a session')
    .description('Tells a node to end a session or connection of a client. The client may begin another one.')
    .argument('<node>', 'the node that has it')
    .argument('<connection>', 'its id, as the list says it');
  addServerOptions(addOutputOptions(close, ['table', 'json', 'yaml'])).action((node, connection, flags) =>
    run({ name: 'closeConnection', node, connection, flags }),
  );
}
