/** `sluice nodes`: the nodes of a cluster. */
import type { Command } from 'commander';
import type { Example } from '../command-line.js';
import type { AdminCommand } from './commands.js';
import { countOption } from './config-command-line.js';
import { addOutputOptions, addServerOptions } from './options.js';

export const NODES_EXAMPLES: Readonly<Record<string, readonly Example[]>> = {
  nodes: [
    ['sluice nodes', 'what each node runs, and how it is'],
    ['sluice nodes drain eu-2', 'take a node out of service'],
  ],
  'nodes list': [
    ['sluice nodes', 'what each node runs, and how it is'],
    ['sluice nodes list --region eu -o json', 'those of a region, for a script'],
  ],
  'nodes drain': [
    ['sluice nodes drain eu-2 --reason "new kernel"', 'take a node out of service, and stop it'],
  ],
  'nodes events': [
    ['sluice nodes events', 'what happened to the nodes'],
    ['sluice nodes events eu-2 -n 100', 'what happened to one of them'],
  ],
};

export function addNodesCommand(program: Command, run: (command: AdminCommand) => Promise<void>): void {
  const nodes = program
    .command('nodes')
    .summary('look at the nodes of a cluster')
    .description('Looks at the nodes of a cluster, and takes them out of service.');
  const list = nodes
    .command('list', { isDefault: true })
    .summary('show the nodes')
    .description('Shows the nodes of a cluster: what each runs, and how it is. The command may be left out.')
    .option('--region <name>', 'of this region; default all');
  addServerOptions(addOutputOptions(list, ['table', 'json', 'yaml', 'name'])).action((flags) =>
    run({ name: 'nodes', flags }),
  );
  const drain = nodes
    .command('drain')
    .summary('take a node out of service')
    .description('Tells a node to take nothing new, to end what is under way, and to stop.')
    .argument('<node>', 'its name')
    .option('--reason <text>', 'why, for its log');
  addServerOptions(addOutputOptions(drain, ['table', 'json', 'yaml'])).action((node, flags) =>
    run({ name: 'drain', node, flags }),
  );
  const events = nodes
    .command('events')
    .summary('show what happened to nodes')
    .description('Shows what happened to nodes, the newest first.')
    .argument('[node]', 'to this node; default all')
    .addOption(countOption('events'));
  addServerOptions(addOutputOptions(events, ['table', 'json', 'yaml'])).action((node, flags) =>
    run({ name: 'events', node, flags }),
  );
}
