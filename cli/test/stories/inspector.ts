import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const INSPECTOR = fileURLToPath(
  new URL('../../../node_modules/@modelcontextprotocol/inspector/cli/build/cli.js', import.meta.url),
);

/**
 * Runs the official inspector without its web page and returns what it prints, parsed.
 *
 * @param args for example `--method tools/list`
 * @throws when it ends with an error; the message holds what it wrote
 */
export function inspect(url: string, ...args: string[]): Promise<any> {
  return run(url, '--transport', 'http', ...args);
}

/** The same with the server `sluice` of a configuration file. */
export function inspectConfigured(file: string, ...args: string[]): Promise<any> {
  return run('--config', file, '--server', 'sluice', ...args);
}

async function run(...args: string[]): Promise<any> {
  const { stdout } = await promisify(execFile)(process.execPath, [INSPECTOR, '--cli', ...args]);
  return JSON.parse(stdout);
}
