import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const COMMAND = fileURLToPath(new URL('../bin/sluice.js', import.meta.url));

/** Longer than starting takes on a busy machine, shorter than a test may take. */
const START_LIMIT_MS = 20_000;

/** Longer than the gateway's own grace for requests under way. */
const STOP_LIMIT_MS = 20_000;

/** The gateway as a user runs it: the built command, in processes of its own. */
export interface RunningGateway {
  /** Where it listens, without a path: `http://127.0.0.1:PORT`. */
  url: string;
  /** Its configuration file; writing to it changes the running gateway. */
  configFile: string;
  /** The process that was started; it has the data plane as a child. */
  pid: number;
  /** All it has written to stdout and stderr so far. */
  logs(): string;
  /** Sends SIGTERM and waits for the end. Resolves with the exit code, or null when a signal had to end it. */
  stop(): Promise<number | null>;
}

/**
 * Starts `sluice serve` on a free port and waits until it listens.
 *
 * @param options.config an object becomes a JSON file, a text a YAML file
 * @param options.args more arguments for `serve`
 * @param options.env more environment variables
 * @param options.workers worker threads; the default of the gateway without it
 * @throws when it ends instead, or does not listen in time; the message holds what it wrote
 */
export async function startGateway(options: {
  config: object | string;
  args?: string[];
  env?: Record<string, string>;
  workers?: number;
}): Promise<RunningGateway> {
  const { SLUICE_TEST_NODES } = process.env;
  if (SLUICE_TEST_NODES !== undefined) return startNodes(options.config, Number(SLUICE_TEST_NODES));
  const folder = await mkdtemp(join(tmpdir(), 'sluice-test-'));
  const isText = typeof options.config === 'string';
  const configFile = join(folder, isText ? 'sluice.yaml' : 'sluice.json');
  await writeFile(configFile, isText ? String(options.config) : JSON.stringify(options.config, null, 2));

  const args = [COMMAND, 'serve', '--config', configFile, '--port', '0', '--log-format', 'json'];
  if (options.workers) args.push('--workers', String(options.workers));
  const child = spawn(process.execPath, [...args, ...(options.args ?? [])], {
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  // A test run that is broken off must not leave gateways behind.
  const endWithTests = () => child.kill('SIGTERM');
  process.once('exit', endWithTests);
  const ended = once(child, 'close').finally(async () => {
    process.off('exit', endWithTests);
    await rm(folder, { recursive: true, force: true });
  });

  let logs = '';
  const url = await new Promise<string>((resolve, reject) => {
    const failed = (what: string) => reject(new Error(`The gateway ${what}. It wrote:\n${logs}`));
    const limit = setTimeout(() => {
      child.kill('SIGKILL');
      failed(`did not listen within ${START_LIMIT_MS} ms`);
    }, START_LIMIT_MS);
    child.once('close', (code, signal) => {
      clearTimeout(limit);
      failed(`ended with ${signal ?? code} before it listened`);
    });
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        logs += `${line}\n`;
        const listening = urlOf(line);
        if (listening === undefined) return;
        clearTimeout(limit);
        resolve(listening);
      });
    }
  });

  return {
    url,
    configFile,
    pid: child.pid as number,
    logs: () => logs,
    async stop() {
      child.kill('SIGTERM');
      const limit = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
      const [code] = await ended;
      clearTimeout(limit);
      return code as number | null;
    },
  };
}

/** Several nodes in place of one gateway, for stories that a cluster has to hold too. */
async function startNodes(config: object | string, count: number): Promise<RunningGateway> {
  const { startCluster } = await import('./cluster/cluster.js');
  const { url, stop } = await startCluster(config as object, count);
  return { url, configFile: '', pid: process.pid, logs: () => '', stop: () => stop().then(() => 0) };
}

/** The address in the log line that says where the gateway listens; undefined for every other line. */
function urlOf(line: string): string | undefined {
  if (!line.includes('"listening"')) return undefined;
  const record: { msg?: unknown; url?: unknown } = JSON.parse(line);
  return record.msg === 'listening' && typeof record.url === 'string' ? record.url : undefined;
}
