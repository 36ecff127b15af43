/** One process that runs a plugin, or has the threads that do, from its start to its end. */
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import type { PluginHost } from '@sluice/sdk';
import {
  type FromPlugin,
  type LoadedFacts,
  type RunOrder,
  readFacts,
  type ToPlugin,
} from '@sluice/sdk/isolation';
import { ProcessGroup } from '../../upstream/transport/process-group.js';
import { StderrTail } from '../../upstream/transport/stderr-tail.js';
import { Conversation, tooLarge, tooMuch } from './conversation.js';
import { FrameReader, frame } from './frames.js';
import type { RunSide } from './runner.js';
import { maxResidentBytes, type ProgramOptions, spawnProgram } from './spawn-program.js';

const MEMORY_CHECK_MS = 100;
/** Time for a plugin to shut down in order. */
const SHUTDOWN_LIMIT_MS = 1_000;
/** Time for a process that is not stuck to say so. */
const PING_LIMIT_MS = 500;
const KEPT_LINE_COUNT = 20;
const KIB = 1024;
export interface ChildOptions extends ProgramOptions {
  readonly host: Promise<PluginHost>;
  /** Told of the lines that it writes to stdout and stderr. */
  readonly onLine: (line: string) => void;
}

export class PluginChild {
  /** Rejects with a sentence when the plugin cannot be loaded. */
  readonly loaded: Promise<LoadedFacts>;
  /** Resolves with the reason when it can do no more. */
  readonly failed: Promise<string>;
  /** Resolves when the process is gone. */
  readonly ended: Promise<void>;
  private readonly child: ChildProcess;
  private readonly channel: Duplex;
  private readonly conversation: Conversation;
  private readonly group: ProcessGroup | undefined;
  private readonly written: StderrTail;
  private readonly memoryCheck: NodeJS.Timeout;
  private settleLoad: ((facts: LoadedFacts | Error) => void) | undefined;
  private settleShutdown: (() => void) | undefined;
  private pingTimer: NodeJS.Timeout | undefined;
  private answered: Promise<void> | undefined;
  private tellAnswered: () => void = () => {};
  private reason: string | undefined;
  private tellFailed: (reason: string) => void = () => {};

  constructor(private readonly options: ChildOptions) {
    const { limits, host, onLine } = options;
    this.child = spawnProgram(options);
    this.channel = this.child.stdio[3] as Duplex;
    this.group = this.child.pid === undefined ? undefined : new ProcessGroup(this.child.pid);
    this.conversation = new Conversation(limits, host, (reason, run) => this.overdue(reason, run));
    this.written = new StderrTail(KEPT_LINE_COUNT, onLine);
    this.child.stdout?.on('data', (chunk: Buffer) => this.written.push(chunk));
    this.child.stderr?.on('data', (chunk: Buffer) => this.written.push(chunk));
    const reader = new FrameReader(limits.maxMessageBytes, (message) => this.receive(message as FromPlugin));
    this.channel.on('data', (chunk: Buffer) => this.read(reader, chunk));
    this.channel.on('error', () => undefined);
    this.memoryCheck = setInterval(() => this.checkMemory(), MEMORY_CHECK_MS).unref();
    this.failed = new Promise((resolve) => {
      this.tellFailed = resolve;
    });
    this.loaded = this.load();
    this.loaded.catch(() => undefined);
    this.ended = this.end();
  }

  get pid(): number | undefined {
    return this.child.pid;
  }

  /** Rejects when the plugin fails, when the process ends, or with a Refusal when too much waits for it. */
  async run(order: RunOrder, side: RunSide): Promise<unknown> {
    const bytes = frame({ type: 'run', order } satisfies ToPlugin);
    const { maxMessageBytes, maxWaitingBytes } = this.options.limits;
    const { binding } = this.options.order;
    if (bytes.byteLength > maxMessageBytes) throw tooLarge(binding, maxMessageBytes);
    if (this.channel.writableLength > maxWaitingBytes) throw tooMuch(binding);
    if (this.reason !== undefined) throw new Error(this.reason);
    const answer = this.conversation.begin(order.run, side);
    this.channel.write(bytes);
    return answer;
  }

  /** Present while it is not known whether it is stuck; resolves when that is known. */
  get inDoubt(): Promise<void> | undefined {
    return this.reason === undefined ? this.answered : undefined;
  }

  /** Ends it at once. */
  kill(reason: string): void {
    this.fail(reason);
    this.group?.kill('SIGKILL');
  }

  /** Lets the plugin shut down in order, then ends it. */
  async close(): Promise<void> {
    if (this.reason === undefined) {
      const told = new Promise<void>((resolve) => {
        this.settleShutdown = resolve;
        setTimeout(resolve, SHUTDOWN_LIMIT_MS).unref();
      });
      this.post({ type: 'shutdown' });
      await Promise.race([told, this.ended]);
    }
    this.kill('it was shut down');
    await this.ended;
  }

  private load(): Promise<LoadedFacts> {
    const { order, limits } = this.options;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => this.kill(`it was not loaded within ${limits.loadTimeMs} ms`),
        limits.loadTimeMs,
      );
      this.settleLoad = (facts) => {
        clearTimeout(timer);
        this.settleLoad = undefined;
        if (facts instanceof Error) reject(facts);
        else resolve(facts);
      };
      this.post({ type: 'load', order });
    });
  }

  private fail(reason: string): void {
    if (this.reason !== undefined) return;
    this.reason = reason;
    this.tellFailed(reason);
    this.tellAnswered();
    this.settleLoad?.(new Error([reason, this.written.quote()].filter((part) => part !== '').join(': ')));
    this.conversation.fail(reason);
  }

  private async end(): Promise<void> {
    const how = await new Promise<string>((resolve) => {
      this.child.once('error', (thrown) => resolve(`its process could not be started: ${thrown.message}`));
      this.child.once('exit', (code, signal) =>
        resolve(`its process ended with ${signal ?? `exit code ${code}`}`),
      );
    });
    clearInterval(this.memoryCheck);
    clearTimeout(this.pingTimer);
    // What it left behind in its group, should there be anything.
    this.group?.kill('SIGKILL');
    this.group?.release();
    this.channel.destroy();
    this.written.flush();
    this.fail(how);
  }

  private readonly post = (message: ToPlugin): void => {
    const bytes = frame(message);
    if (bytes.byteLength > this.options.limits.maxMessageBytes) throw tooMuch(this.options.order.binding);
    this.channel.write(bytes);
  };

  /** Whether it waits for something or is stuck in a loop is seen by whether it answers; in a pool, a thread ends. */
  private overdue(reason: string, run: number): void {
    this.conversation.failRun(run, reason);
    if (this.reason === undefined && this.options.place === 'pool') this.post({ type: 'stop', run });
    if (this.pingTimer !== undefined || this.reason !== undefined) return;
    this.pingTimer = setTimeout(() => this.kill(reason), PING_LIMIT_MS);
    this.answered = new Promise((resolve) => {
      this.tellAnswered = resolve;
    });
    this.post({ type: 'ping' });
  }

  private read(reader: FrameReader, chunk: Buffer): void {
    if (this.reason !== undefined) return;
    try {
      reader.push(chunk);
    } catch (thrown) {
      this.kill(`it said what cannot be taken: ${thrown instanceof Error ? thrown.message : thrown}`);
    }
  }

  private receive(message: FromPlugin): void {
    switch (message.type) {
      case 'loaded':
        this.settleLoad?.(readFacts(message.facts));
        return;
      case 'notLoaded':
        this.settleLoad?.(new Error(String(message.message)));
        return;
      case 'pong':
        clearTimeout(this.pingTimer);
        this.pingTimer = undefined;
        this.answered = undefined;
        this.tellAnswered();
        return;
      case 'ended':
        this.settleShutdown?.();
        return;
      default:
        this.conversation.receive(message, this.post);
    }
  }

  private checkMemory(): void {
    const maxBytes = maxResidentBytes(this.options.place, this.options.limits);
    if (residentBytes(this.child.pid) > maxBytes) this.kill(`it used more than ${maxBytes} bytes`);
  }
}

/** 0 where it cannot be found out. */
function residentBytes(pid: number | undefined): number {
  if (process.platform !== 'linux') return 0;
  try {
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * KIB;
  } catch {
    return 0;
  }
}
