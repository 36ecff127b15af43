import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { type ProcessUsage, readProcessTree, stillRuns } from './process-usage.js';

/** Lines of output that are kept to say why a process ended. */
const MAX_KEPT_LINES = 30;
/** How long a process may take to end by itself before it is killed. */
const END_GRACE_MS = 8_000;
const END_POLL_MS = 25;

export interface ProcessSpec {
  /** What messages call it. */
  name: string;
  command: string;
  args: string[];
  env?: NodeJS.ProcessEnv;
  /** With a channel for messages, for processes of this package. */
  ipc?: boolean;
}

/** A process that the benchmark started and will end. */
export class RunningProcess {
  readonly name: string;
  readonly child: ChildProcess;
  readonly #lastLines: string[] = [];
  readonly #lineListeners = new Set<(line: string) => void>();
  /** The last reading, so that descendants are still known when their ancestor is gone. */
  #lastTree: ProcessUsage[] = [];
  /** Resolves with the way in which it ended, never rejects. */
  readonly ended: Promise<string>;

  constructor({ name, command, args, env, ipc }: ProcessSpec) {
    this.name = name;
    const stdio: StdioOptions = ipc ? ['ignore', 'pipe', 'pipe', 'ipc'] : ['ignore', 'pipe', 'pipe'];
    this.child = spawn(command, args, { env: env ?? process.env, stdio });
    this.ended = new Promise((resolve) => {
      this.child.on('error', (error) => resolve(error.message));
      this.child.on('exit', (code, signal) =>
        resolve(signal ? `ended by ${signal}` : `ended with code ${code}`),
      );
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      if (stream) createInterface({ input: stream }).on('line', (line) => this.#line(line));
    }
  }

  #line(line: string): void {
    this.#lastLines.push(line);
    if (this.#lastLines.length > MAX_KEPT_LINES) this.#lastLines.shift();
    for (const listener of this.#lineListeners) listener(line);
  }

  /** The process id; 0 when it could not be started. */
  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** The last lines that it wrote, for a message. */
  get lastOutput(): string {
    return this.#lastLines.join('\n');
  }

  /** What it and its descendants have used; empty when it is gone. */
  usage(): ProcessUsage[] {
    const tree = this.pid === 0 ? [] : readProcessTree(this.pid);
    if (tree.length > 0) this.#lastTree = tree;
    return tree;
  }

  /**
   * Waits for a line of output in which `find` finds something.
   * @throws Error when the process ends or `timeoutMs` pass before, with its last output.
   */
  async waitForLine<T>(find: (line: string) => T | undefined, timeoutMs: number): Promise<T> {
    let listener: (line: string) => void = () => {};
    let timer: NodeJS.Timeout | undefined;
    const found = new Promise<T>((resolve) => {
      listener = (line) => {
        const value = find(line);
        if (value !== undefined) resolve(value);
      };
      this.#lineListeners.add(listener);
    });
    const failed = new Promise<never>((_, reject) => {
      const fail = (why: string) => reject(new Error(`${this.name} ${why}${this.#quotedOutput()}`));
      timer = setTimeout(() => fail(`was not ready after ${timeoutMs / 1000} s`), timeoutMs);
      void this.ended.then(fail);
    });
    try {
      return await Promise.race([found, failed]);
    } finally {
      clearTimeout(timer);
      this.#lineListeners.delete(listener);
    }
  }

  #quotedOutput(): string {
    return this.#lastLines.length > 0 ? `; its last output:\n${this.lastOutput}` : '';
  }

  /** Asks it to end, waits, and kills what is left of it and of its descendants. */
  async end(): Promise<void> {
    this.usage();
    const tree = this.#lastTree;
    if (tree.length === 0) return;
    this.child.kill('SIGTERM');
    const deadline = Date.now() + END_GRACE_MS;
    while (tree.some(stillRuns) && Date.now() < deadline) await pause(END_POLL_MS);
    for (const usage of tree) {
      if (stillRuns(usage)) process.kill(usage.pid, 'SIGKILL');
    }
    await this.ended;
  }
}

/** Everything that was started, so that nothing outlives the benchmark. */
export class StartedProcesses {
  readonly #running: RunningProcess[] = [];
  #closed = false;

  /** @throws Error when the benchmark is ending already. */
  start(spec: ProcessSpec): RunningProcess {
    if (this.#closed) throw new Error(`${spec.name} was not started: the benchmark is ending`);
    const running = new RunningProcess(spec);
    this.#running.push(running);
    return running;
  }

  /** Ends everything, the last started first; nothing can be started after it. */
  async endAll(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#running.reverse().map((running) => running.end()));
  }
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
