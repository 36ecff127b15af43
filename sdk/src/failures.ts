/** What a failing plugin costs: its own exchanges, and after a few of them in a row not even the time to ask it. */
import type { Clock } from './plugin.js';

/** Failures in a row after which a plugin is left alone for a while. */
const MAX_FAILURES_IN_A_ROW_COUNT = 5;
const FIRST_BACKOFF_MS = 1_000;
const LONGEST_BACKOFF_MS = 60_000;

const BRAND = Symbol.for('dev.sluice.request-failure');

/**
 * Thrown by a hook that could not do its duty for this one request, where that may be the request's own doing. It is a
 * failure like others: `on_failure` says what it means. But the plugin is not left alone for it, so nobody switches it
 * off for all others, and it is counted without a line in the log, which the plugin writes when there is something to
 * say.
 */
export class RequestFailure extends Error {
  static {
    Object.defineProperty(RequestFailure.prototype, BRAND, { value: true });
  }

  /** A plugin may bring a copy of this module of its own. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === 'object' && value !== null && BRAND in value;
  }
}

export interface FailureEvents {
  /** A hook threw. */
  failed(hook: string, thrown: unknown): void;
  switchedOff(forMs: number): void;
  switchedOn(): void;
}

export class Failures {
  private inARow = 0;
  private backoffMs = FIRST_BACKOFF_MS;
  private offUntilMs = 0;

  constructor(
    private readonly clock: Clock,
    private readonly events: FailureEvents,
  ) {}

  /** True while the plugin is left alone. */
  get isOff(): boolean {
    if (this.offUntilMs === 0) return false;
    if (this.clock.now() < this.offUntilMs) return true;
    // One try: the next failure switches it off again at once.
    this.offUntilMs = 0;
    this.inARow = MAX_FAILURES_IN_A_ROW_COUNT - 1;
    this.events.switchedOn();
    return false;
  }

  worked(): void {
    if (this.inARow === 0) return;
    this.inARow = 0;
    this.backoffMs = FIRST_BACKOFF_MS;
  }

  failed(hook: string, thrown: unknown): void {
    this.events.failed(hook, thrown);
    if (thrown instanceof RequestFailure) return;
    this.inARow++;
    if (this.inARow < MAX_FAILURES_IN_A_ROW_COUNT || this.offUntilMs !== 0) return;
    this.offUntilMs = this.clock.now() + this.backoffMs;
    this.events.switchedOff(this.backoffMs);
    this.backoffMs = Math.min(this.backoffMs * 2, LONGEST_BACKOFF_MS);
  }
}
