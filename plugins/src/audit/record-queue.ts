/**
 * Records of one worker on their way to the thread that writes them: gathered, handed over one batch after another, and
 * held while they cannot be written, within limits.
 */
import type { Clock, PluginLog, PluginMetrics } from '@sluice/sdk';
import type { NotedText } from './noted.js';

/** Where batches go. Calls back for each in their order. */
export interface RecordSink {
  write(batch: Batch): void;
  /** Writes what it has, and ends. */
  end(): Promise<void>;
}

export interface Batch {
  readonly notes: readonly NotedText[];
  /** How many were lost before these. */
  readonly lostCount: number;
}

/** What the sink has to say. */
export interface SinkEvents {
  /** The batch that it was given is where it belongs. */
  written(): void;
  /** It cannot be written now, and is tried again. */
  failing(reason: string): void;
}

export interface QueueOptions {
  readonly open: (events: SinkEvents) => RecordSink;
  readonly clock: Clock;
  readonly log: PluginLog;
  readonly metrics: PluginMetrics;
  readonly flushMs: number;
  readonly maxRecordCount: number;
  /** Whether every record is waited for, and so handed over as soon as the one before is written. */
  readonly isWaitedFor: boolean;
}

/** More are handed over without waiting for the interval. */
const BATCH_COUNT = 1_000;
/** Of what is held, in characters. */
const MAX_HELD_LENGTH = 64 * 1024 * 1024;
/** Records are told of as lost once in this time. */
const LOST_LOG_INTERVAL_MS = 10_000;
const WAIT_AT_END_MS = 5_000;

export class RecordQueue {
  private readonly sink: RecordSink;
  private notes: NotedText[] = [];
  private heldLength = 0;
  private inFlight: { readonly batch: Batch; readonly length: number } | undefined;
  private lostCount = 0;
  private unsaidCount = 0;
  private isSaying = false;
  private stopTimer: (() => void) | undefined;
  private failure: string | undefined;
  private waiting: (() => void)[] = [];
  private waitingInFlight: (() => void)[] = [];
  private idle: (() => void) | undefined;

  constructor(private readonly options: QueueOptions) {
    this.sink = options.open({
      written: () => this.written(),
      failing: (reason) => this.failing(reason),
    });
  }

  /** Why nothing can be written now; undefined when it can. */
  get trouble(): string | undefined {
    return this.failure;
  }

  /** Takes one in, or counts it as lost when there is no room; false then. */
  add(note: NotedText): boolean {
    const { notes, inFlight, options } = this;
    const length = note[0].length + note[1].length;
    const heldCount = notes.length + (inFlight?.batch.notes.length ?? 0);
    if (heldCount >= options.maxRecordCount || this.heldLength + length > MAX_HELD_LENGTH) {
      this.lose();
      return false;
    }
    notes.push(note);
    this.heldLength += length;
    if (inFlight !== undefined) return true;
    if (notes.length >= BATCH_COUNT) this.flush();
    else this.stopTimer ??= this.soon();
    return true;
  }

  /** Resolves when all that was added so far has been written. */
  settled(): Promise<void> {
    if (this.notes.length === 0 && this.inFlight === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      (this.notes.length === 0 ? this.waitingInFlight : this.waiting).push(resolve);
    });
  }

  /** Hands over what there is, and ends; what cannot be written in time is lost. */
  async end(): Promise<void> {
    this.flush();
    if (this.inFlight !== undefined) {
      let timer: NodeJS.Timeout | undefined;
      await Promise.race([
        new Promise<void>((resolve) => {
          this.idle = resolve;
        }),
        new Promise<void>((resolve) => {
          timer = setTimeout(resolve, WAIT_AT_END_MS);
        }),
      ]);
      clearTimeout(timer);
    }
    this.stopTimer?.();
    const left = this.notes.length + (this.inFlight?.batch.notes.length ?? 0);
    if (left > 0)
      this.options.log.error({ left }, `${left} audit records could not be written before the end`);
    await this.sink.end();
  }

  private readonly flush = (): void => {
    this.stopTimer?.();
    this.stopTimer = undefined;
    if (this.inFlight !== undefined || (this.notes.length === 0 && this.lostCount === 0)) return;
    const batch = { notes: this.notes, lostCount: this.lostCount };
    this.inFlight = { batch, length: this.heldLength };
    this.notes = [];
    this.lostCount = 0;
    this.waitingInFlight = this.waiting;
    this.waiting = [];
    this.sink.write(batch);
  };

  /** What is waited for goes with all that comes in the same turn of the event loop. */
  private soon(): () => void {
    const { clock, flushMs, isWaitedFor } = this.options;
    if (!isWaitedFor) return clock.after(flushMs, this.flush);
    const immediate = setImmediate(this.flush);
    return () => clearImmediate(immediate);
  }

  private written(): void {
    const { inFlight, options } = this;
    if (inFlight === undefined) return;
    const { notes } = inFlight.batch;
    if (this.failure !== undefined) options.log.info({}, 'audit records are written again');
    this.failure = undefined;
    this.heldLength -= inFlight.length;
    this.inFlight = undefined;
    options.metrics.count('records_total', 'Records that were written.', {}, notes.length);
    const done = this.waitingInFlight;
    this.waitingInFlight = [];
    for (const resolve of done) resolve();
    if (this.notes.length > 0 || this.lostCount > 0) {
      const isDue = options.isWaitedFor || this.notes.length >= BATCH_COUNT || this.idle !== undefined;
      if (isDue) this.flush();
      else this.stopTimer ??= this.soon();
    } else this.idle?.();
  }

  private failing(reason: string): void {
    const { log, metrics } = this.options;
    metrics.count('write_failures_total', 'Times that a batch of records could not be written.');
    if (this.failure === undefined) log.error({ reason }, `audit records cannot be written: ${reason}`);
    this.failure = reason;
  }

  private lose(): void {
    const { clock, log, metrics } = this.options;
    this.lostCount++;
    this.unsaidCount++;
    metrics.count('lost_records_total', 'Records that were lost because they could not be held any longer.');
    if (this.isSaying) return;
    this.isSaying = true;
    clock.after(LOST_LOG_INTERVAL_MS, () => {
      this.isSaying = false;
      const lost = this.unsaidCount;
      this.unsaidCount = 0;
      log.error({ lost }, `${lost} audit records were lost: more are held than may be`);
    });
  }
}
