import { execFileSync } from 'node:child_process';

/**
 * The Node.js that runs what is measured: the one that runs npm, else this process's own. They can differ, because
 * npm looks for `node` in node_modules/.bin first, and there is one when a package brings another version for tests.
 */
export const NODE_PROGRAM = process.env.npm_node_execpath ?? process.execPath;

/** Its version, such as `20.19.0`. */
export function nodeProgramVersion(): string {
  return execFileSync(NODE_PROGRAM, ['--version'], { encoding: 'utf8' }).trim().replace(/^v/, '');
}
