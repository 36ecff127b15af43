import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { type ConfigurationWatch, watchConfiguration } from '@sluice/control-plane/watch';
import { hasLostTerminal } from './controlling-terminal.js';
import { EndedSessions } from './ended-sessions.js';
import { EXIT } from './exit-codes.js';
import { whenNpmShellEnds } from './npm-shell.js';
import { OrphanedProcesses } from './orphaned-processes.js';
import { ParentLog } from './parent-log.js';
import { PINS_GONE } from './pins-gone.js';
import type {
  DataPlaneOrder,
  DataPlaneReport,
  LoadReport,
  RunningReport,
  StartOrder,
} from './process-messages.js';
import { restartDelayMs, STABLE_AFTER_MS } from './restart-delay.js';

/*
 * The parent process of `sluice serve` and `sluice data-plane`. For the first it has the configuration loaded by one child, which ends at once, runs
 * the data plane in another, and starts that again when it ends unexpectedly: a native crash or an exhausted
 * heap cannot be caught inside. This file and what it imports use nothing but Node.js itself, because the
 * parent stays resident for as long as the gateway runs.
 */

const GATEWAY_KEY_BYTES = 32;
/** Beyond the time that requests under way may take: what closing and flushing needs. */
const GRACE_MARGIN_MS = 2_000;
/** A file that is no configuration at all can hold a thousand errors; the first ones tell enough. */
const MAX_LOGGED_PROBLEMS = 20;

/** What is run. A node gets its configuration by itself, and reads its command line by itself. */
type Supervised = 'serve' | 'data-plane';

/**
 * Runs `sluice serve` or `sluice data-plane` until it is told to stop.
 *
 * @param argv the command line after that; the process that loads the configuration reads it, or the node
 * @returns the exit code
 */
export function supervise(argv: readonly string[], what: Supervised = 'serve'): Promise<number> {
  return new Promise((resolve) => new Supervisor(argv, what, resolve).start());
}

class Supervisor {
  readonly #argv: readonly string[];
  readonly #finish: (exitCode: number) => void;
  readonly #keyHex = randomBytes(GATEWAY_KEY_BYTES).toString('hex');
  readonly #log = new ParentLog();
  #loader: ChildProcess | undefined;
  #loadAgain = false;
  #watch: ConfigurationWatch | undefined;
  #dataPlane: ChildProcess | undefined;
  #startedAtMs = 0;
  #crashes = 0;
  #restartTimer: NodeJS.Timeout | undefined;
  /** What runs, and what to start with again. */
  #running: RunningReport | undefined;
  /** Whether this data plane has reported that it serves: before that it takes no changes. */
  #serving = false;
  /** A newer configuration that no data plane has been given yet. */
  #pendingSnapshot: string | undefined;
  /** Whether the data plane has been given a newer configuration and has not said what became of it. */
  #applying = false;
  readonly #orphans = new OrphanedProcesses();
  readonly #endedSessions = new EndedSessions();
  #stopping = false;
  /** Whether the data plane has said that it ends because it was told to. */
  #leaving = false;
  #killTimer: NodeJS.Timeout | undefined;

  constructor(
    argv: readonly string[],
    private readonly what: Supervised,
    finish: (exitCode: number) => void,
  ) {
    this.#argv = argv;
    this.#finish = finish;
  }

  start(): void {
    process.on('SIGINT', () => this.#stop());
    process.on('SIGTERM', () => this.#stop());
    process.on('SIGHUP', () => this.#hangup());
    // Whoever told the shell to end may have told this process too: being told twice would hurry it.
    whenNpmShellEnds(() => this.#stopping || this.#stop());
    // A log that nobody reads any more must not take the gateway down.
    process.stderr.on('error', () => {});
    // Both at once: the data plane loads its code while the configuration is being read.
    this.#forkDataPlane();
    if (this.what === 'data-plane') this.#order(this.#startOrder('', false));
    else this.#load('first', (report, exitCode) => this.#begin(report, exitCode));
  }

  // The configuration.

  #load(occasion: 'first' | 'again', done: (report: LoadReport | undefined, exitCode: number) => void): void {
    const loader = forkScript('configuration-process.js', [occasion, ...this.#argv]);
    let report: LoadReport | undefined;
    this.#loader = loader;
    loader.on('message', (message) => {
      report = message as LoadReport;
    });
    onceEnded(loader, (code) => {
      this.#loader = undefined;
      if (!this.#stopping) done(report, code ?? EXIT.unexpected);
    });
  }

  #begin(report: LoadReport | undefined, exitCode: number): void {
    if (report?.snapshot === undefined) {
      // What is wrong has been printed.
      this.#end(exitCode);
      return;
    }
    if (report.file)
      this.#watch = watchConfiguration(
        report.file,
        () => this.#reload(),
        (file) => this.#log.write('warn', PINS_GONE, { file }),
      );
    this.#order(this.#startOrder(report.snapshot, report.screen));
  }

  #reload(): void {
    if (this.#stopping || this.what === 'data-plane') return;
    if (this.#loader) {
      this.#loadAgain = true;
      return;
    }
    this.#load('again', (report) => {
      this.#take(report);
      if (this.#loadAgain) {
        this.#loadAgain = false;
        this.#reload();
      }
    });
  }

  #take(report: LoadReport | undefined): void {
    if (!report) {
      this.#log.write('error', 'the configuration could not be read; the last good one stays');
      return;
    }
    const { problems, file, snapshot } = report;
    for (const { severity, message, ...place } of problems.slice(0, MAX_LOGGED_PROBLEMS)) {
      this.#log.write(severity === 'error' ? 'error' : 'warn', `configuration: ${message}`, place);
    }
    if (snapshot === undefined) {
      this.#log.write('error', 'configuration refused; the last good one stays', {
        file,
        problems: problems.length,
      });
      return;
    }
    this.#pendingSnapshot = snapshot;
    this.#deliver();
  }

  #deliver(): void {
    if (!this.#serving || this.#pendingSnapshot === undefined) return;
    this.#applying = true;
    this.#order({ type: 'apply', snapshot: this.#pendingSnapshot });
    this.#pendingSnapshot = undefined;
  }

  // The data plane.

  #forkDataPlane(): void {
    this.#startedAtMs = Date.now();
    const dataPlane =
      this.what === 'serve'
        ? forkScript('data-plane-process.js', [])
        : forkScript('node-process.js', this.#argv);
    this.#dataPlane = dataPlane;
    dataPlane.on('message', (message) => this.#hear(message as DataPlaneReport));
    onceEnded(dataPlane, (code, signal) => this.#dataPlaneEnded(code, signal));
  }

  #hear(report: DataPlaneReport): void {
    if (report.type === 'processGroup') {
      this.#orphans.note(report.leaderPid, report.lives);
      return;
    }
    if (report.type === 'sessionEnd') {
      this.#endedSessions.note(report.id, Date.now());
      return;
    }
    if (report.type === 'leaving') {
      this.#leaving = true;
      return;
    }
    this.#running = report;
    this.#serving = true;
    this.#applying = false;
    this.#log.settings = report.settings;
    this.#deliver();
  }

  #startOrder(snapshot: string, screen: boolean): StartOrder {
    return {
      type: 'start',
      snapshot,
      keyHex: this.#keyHex,
      endedSessions: this.#endedSessions.ids(Date.now()),
      restarted: this.#running !== undefined,
      screen,
    };
  }

  #order(order: DataPlaneOrder): void {
    // Fails when the process has just ended; its end is then on the way here.
    if (this.#dataPlane?.connected) this.#dataPlane.send(order, () => {});
  }

  #dataPlaneEnded(code: number | null, signal: NodeJS.Signals | null): void {
    this.#dataPlane = undefined;
    this.#serving = false;
    if (this.#stopping || (this.#leaving && code !== null)) {
      this.#end(code ?? EXIT.unexpected);
      return;
    }
    if (this.#running === undefined) {
      // It has said why, unless something ended it from outside.
      if (signal) process.stderr.write(`sluice: the data plane was ended by ${signal} while it started\n`);
      this.#end(code || EXIT.unexpected);
      return;
    }
    this.#orphans.dataPlaneEnded();
    const livedMs = Date.now() - this.#startedAtMs;
    this.#crashes = livedMs >= STABLE_AFTER_MS ? 1 : this.#crashes + 1;
    const delayMs = restartDelayMs(this.#crashes);
    const how = signal ? { signal } : { exitCode: code };
    this.#log.write('error', 'the data plane ended unexpectedly; starting it again', { ...how, delayMs });
    if (this.#applying) {
      // It may have been the change that ended it, so it is not tried again by itself.
      this.#applying = false;
      this.#log.write('error', 'it ended while it took a changed configuration; the last good one stays');
    }
    if (delayMs === 0) this.#restart();
    else this.#restartTimer = setTimeout(() => this.#restart(), delayMs);
  }

  #restart(): void {
    if (!this.#running) return;
    this.#forkDataPlane();
    this.#order(this.#startOrder(this.#running.snapshot, false));
  }

  // The end.

  #stop(): void {
    if (this.#stopping) {
      // Asked twice: whoever asks does not want to wait.
      this.#dataPlane?.kill('SIGKILL');
      return;
    }
    this.#stopping = true;
    this.#loader?.kill('SIGKILL');
    if (!this.#dataPlane) {
      this.#end(EXIT.ok);
      return;
    }
    this.#order({ type: 'stop' });
    const shutdownGraceMs = this.#running?.settings.shutdownGraceMs ?? 0;
    this.#killTimer = setTimeout(() => {
      this.#log.write('error', 'the data plane did not end in time; it is killed', { shutdownGraceMs });
      this.#dataPlane?.kill('SIGKILL');
    }, shutdownGraceMs + GRACE_MARGIN_MS);
  }

  /** SIGHUP asks a service to read its configuration again, but also says that the terminal was closed. */
  #hangup(): void {
    if (hasLostTerminal()) this.#stop();
    else this.#reload();
  }

  #end(exitCode: number): void {
    this.#stopping = true;
    clearTimeout(this.#restartTimer);
    clearTimeout(this.#killTimer);
    this.#watch?.close();
    this.#dataPlane?.kill('SIGKILL');
    this.#orphans.kill();
    this.#finish(exitCode);
  }
}

function forkScript(name: string, args: readonly string[]): ChildProcess {
  const script = fileURLToPath(new URL(name, import.meta.url));
  return fork(script, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
}

/** Calls back once, whether the process ended or never began, after everything that it has sent was received. */
function onceEnded(
  child: ChildProcess,
  ended: (code: number | null, signal: NodeJS.Signals | null) => void,
): void {
  child.once('exit', (code, signal) => {
    // What it sent last may still be on the way.
    if (child.connected) child.once('disconnect', () => ended(code, signal));
    else ended(code, signal);
  });
  child.on('error', (error) => {
    if (child.pid !== undefined) return;
    process.stderr.write(`sluice: a process could not be started: ${error.message}\n`);
    ended(null, null);
  });
}
