// `npm run simulate`: compiles the simulation of a cluster with what it runs, and starts it. See
// docs/internals/simulation.md.
import './check-node.mjs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from './workspace.mjs';

const options = { cwd: ROOT, stdio: 'inherit' };
const compiler = join(ROOT, 'node_modules/typescript/bin/tsc');
for (const args of [
  ['-b', 'proto'],
  ['-p', 'cli/test/simulation/tsconfig.json'],
]) {
  const { status } = spawnSync(process.execPath, [compiler, ...args], options);
  if (status !== 0) process.exit(status ?? 1);
}
const simulation = join(ROOT, 'cli/dist/simulation/cli/test/simulation/simulate.js');
process.exitCode = spawnSync(process.execPath, [simulation, ...process.argv.slice(2)], options).status ?? 1;
