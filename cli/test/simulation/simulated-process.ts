/** A process that can be killed: what it waits for never comes then. */
import type { Random } from '../fuzz/random.js';
import type { Schedule } from './schedule.js';
import type { Trace } from './trace.js';
import type { Verdict } from './verdict.js';

/** What all of a run share. */
export interface Surroundings {
  readonly schedule: Schedule;
  readonly random: Random;
  readonly trace: Trace;
  readonly verdict: Verdict;
}

/** 2026-01-01; where virtual time begins by the clocks of the processes. */
const EPOCH_MS = 1_767_225_600_000;

export class KilledError extends Error {
  override readonly name = 'KilledError';
}

export class SimulatedProcess {
  isAlive = true;
  /** What its clock shows too much. */
  clockErrorMs = 0;
  private ids = 0;
  private readonly onDeath: (() => void)[] = [];

  /** @param name of this start of it */
  constructor(
    readonly name: string,
    readonly surroundings: Surroundings,
  ) {}

  kill(): void {
    if (!this.isAlive) return;
    this.isAlive = false;
    for (const each of this.onDeath) each();
  }

  /** What somebody outside waits for, who hears that the process is gone. */
  unlessKilled<T>(promise: Promise<T>): Promise<T> {
    const killed = new Promise<never>((_, reject) =>
      this.whenKilled(() => reject(new KilledError(`${this.name} was killed`))),
    );
    return Promise.race([promise, killed]);
  }

  whenKilled(what: () => void): void {
    this.onDeath.push(what);
  }

  trace(what: string): void {
    this.surroundings.trace.add(this.surroundings.schedule.nowMs, this.name, what);
  }

  // Timing, as both planes have it.

  readonly nowMs = (): number => EPOCH_MS + Math.floor(this.surroundings.schedule.nowMs) + this.clockErrorMs;
  readonly elapsedMs = (): number => this.surroundings.schedule.nowMs;
  readonly random = (): number => this.surroundings.random.below(2 ** 24) / 2 ** 24;
  readonly newId = (): string => `${this.name}:${++this.ids}`;

  readonly after = (ms: number, what: () => void): (() => void) =>
    this.surroundings.schedule.after(ms, () => {
      if (this.isAlive) what();
    });

  readonly every = (ms: number, what: () => void): (() => void) => {
    let end = () => {};
    const next = () => {
      end = this.after(ms, () => {
        next();
        what();
      });
    };
    next();
    return () => end();
  };

  readonly soon = (what: () => void): (() => void) => this.after(0, what);

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve));
  }

  /** Long work, with others in between. */
  async run<T>(work: Generator<void, T, void>): Promise<T> {
    for (;;) {
      const step = work.next();
      if (step.done) return step.value;
      if (this.surroundings.random.oneIn(8)) await this.sleep(this.surroundings.random.below(3));
    }
  }
}
