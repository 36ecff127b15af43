import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import process from 'node:process';
import { LineSplitter } from '../../protocol/line-splitter.js';
import { subprocessEnvironment } from './inherited-environment.js';
import { ProcessGroup } from './process-group.js';
import { StderrTail } from './stderr-tail.js';
import type { SpawnStdio, StdioCommand, StdioEvents, StdioLimits, StdioProcess } from './stdio.js';

/** How often a group that was told to end is looked at. */
const GROUP_POLL_MS = 20;
/** After the end of the group: time for the kernel to clear up, and for the last output to be read. */
const DRAIN_MS = 250;
/** A raw line end within a JSON text stands between its tokens; here it would end the message. */
const LINE_ENDS = /[\r\n]/g;

/** Starts a subprocess that speaks newline-delimited JSON-RPC. It never throws: a failed start is an exit. */
export const spawnStdio: SpawnStdio = (command, limits, events) => new Subprocess(command, limits, events);

/**
 * From its start to its end: running, (told to end), first process gone, whole group gone, output read, exit said.
 * The first process is often only a wrapper, so its end is not the end: what it leaves behind is ended too.
 */
class Subprocess implements StdioProcess {
  readonly pid: number | undefined;
  private readonly child: ChildProcess | undefined;
  private readonly group: ProcessGroup | undefined;
  private readonly stderr: StderrTail;
  private readonly lines: LineSplitter;
  private readonly gone: Promise<void>;
  private resolveGone: () => void = () => {};
  /** Why it ends, once the gateway has a reason; the first one counts. */
  private reason: string | undefined = undefined;
  /** How the first process ended. */
  private ending = '';
  private leaderGone = false;
  private groupGone = false;
  private outputClosed = false;
  private finished = false;
  /** The next step on the way to the end. */
  private nextStep: NodeJS.Timeout | undefined = undefined;

  constructor(
    private readonly command: StdioCommand,
    private readonly limits: StdioLimits,
    private readonly events: StdioEvents,
  ) {
    this.gone = new Promise((resolve) => {
      this.resolveGone = resolve;
    });
    this.stderr = new StderrTail(limits.maxStderrLineCount, (line) => this.guard(() => events.stderr(line)));
    this.lines = new LineSplitter(limits.maxLineBytes, 'fail', (line) => this.guard(() => events.line(line)));
    try {
      this.child = this.start();
      this.pid = this.child.pid;
    } catch (error) {
      // An argument with a NUL in it, or an environment that is too large.
      this.reason = this.startFailure(error as Error);
      process.nextTick(() => this.finish());
    }
    if (this.pid !== undefined) this.group = new ProcessGroup(this.pid);
  }

  write(message: string): boolean {
    const stdin = this.child?.stdin;
    if (!stdin?.writable || this.reason !== undefined || this.leaderGone) return false;
    if (stdin.writableLength + message.length + 1 > this.limits.maxPendingWriteBytes) return false;
    stdin.write(`${message.replace(LINE_ENDS, ' ')}\n`, 'latin1');
    return true;
  }

  stop(): Promise<void> {
    if (this.reason === undefined && !this.leaderGone) {
      this.reason = `${this.command.command} was stopped by the gateway`;
      this.child?.stdin?.end();
      this.nextStep = setTimeout(() => this.terminate(), this.limits.terminateGraceMs);
    }
    return this.gone;
  }

  private start(): ChildProcess {
    const { command, args, cwd, env } = this.command;
    const child = spawn(command, args, {
      cwd,
      env: subprocessEnvironment(env),
      stdio: 'pipe',
      // The first process of a session and group of its own.
      detached: ProcessGroup.supported,
      windowsHide: true,
    });
    child.once('error', (error) => {
      if (child.pid !== undefined) return;
      this.reason = this.startFailure(error);
      this.finish();
    });
    child.once('exit', (code, signal) => this.leaderExited(code, signal));
    child.once('close', () => {
      this.outputClosed = true;
      this.finishIfGone();
    });
    // There are no pipes when the gateway is out of descriptors.
    child.stdout?.on('data', (chunk: Buffer) => this.receive(chunk));
    child.stderr?.on('data', (chunk: Buffer) => this.stderr.push(chunk));
    // A pipe breaks when the child ends, which is told by `exit`.
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.on('error', () => {});
    return child;
  }

  private receive(chunk: Buffer): void {
    if (this.lines.push(chunk)) return;
    this.condemn(
      `${this.command.command} wrote a line of more than ${this.limits.maxLineBytes} bytes, which is the limit`,
    );
  }

  /** Keeps what the callee throws to this child: its bug must not end the process. */
  private guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.condemn(
        `the gateway could not handle the output of ${this.command.command}: ${(error as Error).message}`,
      );
    }
  }

  /** Ends a child that cannot be talked to: without the time to do so by itself. */
  private condemn(reason: string): void {
    if (this.reason !== undefined) return;
    this.reason = reason;
    this.child?.stdin?.destroy();
    this.terminate();
  }

  private terminate(): void {
    clearTimeout(this.nextStep);
    if (this.leaderGone) return;
    this.group?.kill('SIGTERM');
    this.nextStep = setTimeout(() => this.group?.kill('SIGKILL'), this.limits.terminateGraceMs);
  }

  private leaderExited(code: number | null, signal: NodeJS.Signals | null): void {
    this.leaderGone = true;
    this.ending = signal === null ? `exited with code ${code}` : `was ended by ${signal}`;
    clearTimeout(this.nextStep);
    this.child?.stdin?.destroy();
    if (!ProcessGroup.supported) {
      this.groupEnded();
      return;
    }
    this.group?.kill('SIGTERM');
    this.awaitGroup(performance.now() + this.limits.terminateGraceMs, () => {
      this.group?.kill('SIGKILL');
      // Not for long: in a container without an init, dead processes stay in their group for good.
      this.awaitGroup(performance.now() + DRAIN_MS, () => this.groupEnded());
    });
  }

  /** Looks until nobody is left in the group, or until it is too late. */
  private awaitGroup(untilMs: number, late: () => void): void {
    if (!this.group?.exists) this.groupEnded();
    else if (performance.now() >= untilMs) late();
    else this.nextStep = setTimeout(() => this.awaitGroup(untilMs, late), GROUP_POLL_MS);
  }

  private groupEnded(): void {
    this.groupGone = true;
    this.group?.release();
    this.nextStep = setTimeout(() => this.finish(), DRAIN_MS);
    this.finishIfGone();
  }

  private finishIfGone(): void {
    if (this.groupGone && this.outputClosed) this.finish();
  }

  private finish(): void {
    if (this.finished) return;
    this.finished = true;
    clearTimeout(this.nextStep);
    this.group?.release();
    for (const stream of [this.child?.stdin, this.child?.stdout, this.child?.stderr]) stream?.destroy();
    this.stderr.flush();
    try {
      this.events.exit(this.reason ?? this.describeEnding());
    } catch (error) {
      // The child is gone, so there is nobody left whose failure this could be.
      process.emitWarning(error as Error);
    }
    this.resolveGone();
  }

  private describeEnding(): string {
    const quoted = this.stderr.quote();
    const end = quoted === '' ? 'it wrote nothing to stderr' : `stderr ended with: ${quoted}`;
    return `${this.command.command} ${this.ending}; ${end}`;
  }

  private startFailure(error: Error): string {
    const { command, cwd } = this.command;
    switch ((error as NodeJS.ErrnoException).code) {
      case 'ENOENT':
        // The same error stands for both.
        return cwd === undefined || existsSync(cwd)
          ? `command not found: ${command}`
          : `working folder not found: ${cwd}`;
      case 'EACCES':
        return `not allowed to execute ${command}; is it a file with the permission to be executed?`;
      default:
        return `cannot start ${command}: ${error.message}`;
    }
  }
}
