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
export async function inspect(url: string, ...args: string[]): Promise<any> {
  const { stdout } = await promisify(execFile)(process.execPath, [
    INSPECTOR,
    '--cli',
    url,
    '--transport',
    'http',
    ...args,
  ]);
  return JSON.parse(stdout);
}
