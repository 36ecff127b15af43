import { onlyAction, runCommandLine } from './command-line.js';
import { endProcess } from './controlling-terminal.js';
import { EXIT } from './exit-codes.js';
import type { NodeFlags } from './node-flags.js';
import type { DataPlaneOrder } from './process-messages.js';
import { ServingNode } from './serving-node.js';

/*
 * Entry point of the process of a node. Its arguments are the command line after `data-plane`; it takes its orders from
 * the parent, and signals that a terminal sends to every process in the foreground are the parent's business.
 */
process.on('SIGINT', () => {});
process.on('SIGHUP', () => {});

const flags = await parse(process.argv.slice(2));
if (typeof flags === 'number') endProcess(flags);
else serve(flags);

async function parse(argv: readonly string[]): Promise<NodeFlags | number> {
  let flags: NodeFlags | undefined;
  const take = async (given: NodeFlags) => {
    flags = given;
    return EXIT.ok;
  };
  const exitCode = await runCommandLine(['data-plane', ...argv], onlyAction('dataPlane', take));
  return flags ?? exitCode;
}

function serve(flags: NodeFlags): void {
  const serving = new ServingNode(flags, (report) => {
    if (process.connected) process.send?.(report);
  });
  process.on('message', (order: DataPlaneOrder) => {
    if (order.type === 'start') void serving.start(order);
    else if (order.type === 'stop') void serving.stop();
  });
  // Whoever ends this process alone gets a new one from the parent, once requests under way are finished.
  process.on('SIGTERM', () => void serving.stop());
  // The parent is gone: nobody would start this process again, so it must not stay either.
  process.on('disconnect', () => void serving.stop());
  if (!process.connected) void serving.stop();
}
