import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach } from 'vitest';

export const SLUICE = fileURLToPath(new URL('../../bin/sluice.js', import.meta.url));
const POLL_MS = 20;
/** A little below the limit of a test, so that the failure says what was waited for. */
const PATIENCE_MS = 20_000;

/** One JSON line of the log. */
export type LogLine = Record<string, unknown> & { msg: string; pid: number };

/** The `sluice` command as a process of its own, as a user starts it. */
export class SluiceProcess {
  readonly child: ChildProcess;
  stdout = '';
  stderr = '';
  readonly ended: Promise<number | null>;

  constructor(args: readonly string[], env: Readonly<Record<string, string>> = {}, cwd = tmpdir()) {
    const { NO_COLOR: _, FORCE_COLOR: __, ...inherited } = process.env;
    this.child = spawn(process.execPath, [SLUICE, ...args], { cwd, env: { ...inherited, ...env } });
    this.child.stdout?.on('data', (chunk) => {
      this.stdout += chunk;
    });
    this.child.stderr?.on('data', (chunk) => {
      this.stderr += chunk;
    });
    this.ended = once(this.child, 'close').then(([code]) => code as number | null);
    started.push(this);
  }

  /** Log lines so far. */
  get log(): LogLine[] {
    const lines = this.stderr.slice(0, this.stderr.lastIndexOf('\n') + 1).split('\n');
    return lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as LogLine);
  }

  /** Waits for a log line with this message, beginning after the first `skip` lines of the log. */
  async logged(msg: string, skip = 0): Promise<LogLine> {
    return this.until(`the log line "${msg}"`, () => this.log.slice(skip).find((line) => line.msg === msg));
  }

  async until<T>(what: string, look: () => T | undefined | Promise<T | undefined>): Promise<T> {
    for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await sleep(POLL_MS)) {
      const found = await look();
      if (found !== undefined) return found;
    }
    throw new Error(`no sign of ${what}; stdout:\n${this.stdout}\nstderr:\n${this.stderr}`);
  }
}

/** Runs a command to its end. */
export async function run(args: readonly string[], env: Readonly<Record<string, string>> = {}, cwd?: string) {
  const sluice = new SluiceProcess(args, env, cwd);
  const code = await sluice.ended;
  return { code, stdout: sluice.stdout, stderr: sluice.stderr };
}

/** Starts a gateway on a port of the system's choice, and waits until it listens. */
export function serve(configuration: string, ...flags: string[]) {
  return serveWith({}, configuration, ...flags);
}

/** The same with variables of its environment. */
export async function serveWith(
  env: Readonly<Record<string, string>>,
  configuration: string,
  ...flags: string[]
) {
  const file = writeFile('sluice.yaml', configuration);
  const sluice = new SluiceProcess(['serve', '--config', file, '--port', '0', ...flags], env);
  const listening = await sluice.until('a gateway that listens', async () => {
    if (sluice.child.exitCode !== null) throw new Error(`it ended: ${sluice.stderr}`);
    return sluice.log.find(({ msg }) => msg === 'listening');
  });
  return { sluice, file, url: String(listening.url), dataPlanePid: listening.pid };
}

/** Writes a file into a folder of its own. Returns its path. */
export function writeFile(name: string, content: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-cli-'));
  folders.push(folder);
  const file = join(folder, name);
  writeFileSync(file, content);
  return file;
}

/** A configuration with upstreams that nobody answers for: enough to serve, and nothing to wait for. */
export function upstreamsNamed(...names: string[]): string {
  return `upstreams:\n${names.map((name) => `  - { name: ${name}, url: "http://127.0.0.1:9/mcp" }\n`).join('')}`;
}

const started: SluiceProcess[] = [];
const folders: string[] = [];

afterEach(async () => {
  for (const sluice of started.splice(0)) {
    // The data plane ends with its parent.
    sluice.child.kill('SIGKILL');
    await sluice.ended;
  }
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});
