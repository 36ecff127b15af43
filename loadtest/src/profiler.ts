import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CpuProfile, topSelfTimes } from './cpu-profile.js';
import { COMMAND_FILE, PROFILE_FOLDER_VARIABLE, profileFileName } from './profiler-files.js';
import type { RowProfile } from './result.js';
import { pause, type RunningProcess } from './running-process.js';

/** Threads look for a command every 50 ms. */
const COMMAND_SEEN_MS = 200;
/** A profile of some seconds is a few MB of JSON to write. */
const WRITTEN_DEADLINE_MS = 20_000;
const WRITTEN_POLL_MS = 50;
const TOP_FUNCTIONS = 20;
/** A thread with less to do than this has no part in relaying. */
const MIN_BUSY_SHARE = 0.02;

/** Takes CPU profiles of all threads of a gateway while something happens. */
export class Profiler {
  readonly #folder: string;

  /** @param folder where the profiles stay. */
  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  /** Variables with which a gateway must be started to be profiled. */
  environment(): NodeJS.ProcessEnv {
    const preload = new URL('./profiler-preload.js', import.meta.url).href;
    const options = [process.env.NODE_OPTIONS, `--import=${preload}`].filter(Boolean).join(' ');
    return { NODE_OPTIONS: options, [PROFILE_FOLDER_VARIABLE]: this.#folder };
  }

  /**
   * Profiles the threads of a gateway while `work` runs.
   * @throws Error when no thread of it listens for commands, or one does not write its profile.
   */
  async profile(row: string, gateway: RunningProcess, work: () => Promise<unknown>): Promise<RowProfile[]> {
    const pids = new Set(gateway.usage().map(({ pid }) => pid));
    const threads = readdirSync(this.#folder)
      .map((name) => /^thread\.([0-9]+)\.([0-9]+)$/.exec(name))
      .flatMap((match) => (match ? [{ pid: Number(match[1]), threadId: Number(match[2]) }] : []))
      .filter(({ pid }) => pids.has(pid));
    if (threads.length === 0) throw new Error(`${gateway.name} has no thread that can be profiled`);
    this.#command('start', row, pids);
    await pause(COMMAND_SEEN_MS);
    await work();
    this.#command('stop', row, pids);
    const profiles: RowProfile[] = [];
    for (const { pid, threadId } of threads) {
      const file = join(this.#folder, profileFileName(row, pid, threadId));
      const figures = topSelfTimes(await readWhenWritten(file), TOP_FUNCTIONS);
      if (1 - figures.idleShare < MIN_BUSY_SHARE) rmSync(file);
      else profiles.push({ row, thread: `${pid}.${threadId}`, file, ...figures });
    }
    return profiles;
  }

  /** Removes what is not a profile. */
  clean(): void {
    for (const name of readdirSync(this.#folder)) {
      if (!name.endsWith('.cpuprofile')) rmSync(join(this.#folder, name));
    }
  }

  /** A thread must never read half a command. */
  #command(action: 'start' | 'stop', label: string, pids: Iterable<number>): void {
    const file = join(this.#folder, COMMAND_FILE);
    writeFileSync(`${file}.new`, [action, label, ...pids].join(' '));
    renameSync(`${file}.new`, file);
  }
}

async function readWhenWritten(file: string): Promise<CpuProfile> {
  const deadline = Date.now() + WRITTEN_DEADLINE_MS;
  for (;;) {
    if (existsSync(file)) {
      try {
        return JSON.parse(readFileSync(file, 'utf8')) as CpuProfile;
      } catch {
        // Half written: look again.
      }
    }
    if (Date.now() > deadline) throw new Error(`${file} was not written`);
    await pause(WRITTEN_POLL_MS);
  }
}
