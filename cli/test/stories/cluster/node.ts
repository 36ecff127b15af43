import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { descendants } from '../processes.js';

const COMMAND = fileURLToPath(new URL('../../../bin/sluice.js', import.meta.url));
const STOP_LIMIT_MS = 20_000;

/** What all nodes of a cluster seal with. */
export const KEY = 'one key for all nodes of this cluster, 32 bytes or more';

/** A command that stays, as a user runs it, in processes of its own. */
export interface RunningNode {
  /** The process that was started; it has the data plane as a child. */
  readonly pid: number;
  /** All that it has written so far. */
  logs(): string;
  /** What of that went to standard output. */
  printed(): string;
  /** Resolves with how it ended. */
  readonly ended: Promise<number | null>;
  kill(signal: NodeJS.Signals): void;
  /** Sends SIGTERM and waits for the end. Resolves with the exit code, or null when a signal had to end it. */
  stop(): Promise<number | null>;
}

/**
 * `sluice data-plane`.
 *
 * @param fileBlockCount how large its files may become (`ulimit -f`)
 */
export function startNode(
  args: readonly string[],
  env: Record<string, string> = {},
  fileBlockCount?: number,
): RunningNode {
  return startCommand(['data-plane', '--log-format', 'json', ...args], env, fileBlockCount);
}

export function startCommand(
  args: readonly string[],
  env: Record<string, string> = {},
  fileBlockCount?: number,
): RunningNode {
  const command = [process.execPath, COMMAND, ...args];
  const limited = ['/bin/sh', '-c', `ulimit -S -f ${fileBlockCount}; exec "$@"`, 'sh', ...command];
  const [program = '', ...rest] = fileBlockCount === undefined ? command : limited;
  const child = spawn(program, rest, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  // A test run that is broken off must not leave nodes behind.
  const endWithTests = () => child.kill('SIGTERM');
  process.once('exit', endWithTests);
  let logs = '';
  let printed = '';
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on('line', (line) => {
      logs += `${line}\n`;
      if (stream === child.stdout) printed += `${line}\n`;
    });
  const ended = once(child, 'close').then(([code]) => {
    process.off('exit', endWithTests);
    return code as number | null;
  });
  return {
    pid: child.pid as number,
    logs: () => logs,
    printed: () => printed,
    ended,
    kill: (signal) => void child.kill(signal),
    async stop() {
      child.kill('SIGTERM');
      const limit = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
      const code = await ended;
      clearTimeout(limit);
      return code;
    },
  };
}

/**
 * Nobody of it gets another moment: its parent would start it again, and without its parent it would say goodbye. Not
 * what it serves either: subprocesses are gone with it.
 */
export async function murder(node: RunningNode): Promise<void> {
  const all = [node.pid, ...descendants(node.pid).map(({ pid }) => pid)];
  for (const pid of all) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It ended with its parent.
    }
  }
  await node.ended;
}
