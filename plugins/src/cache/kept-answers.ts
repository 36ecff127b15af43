/** What is kept in the memory of a worker, within its bounds; what was used longest ago goes first. */
import type { PluginHost } from '@sluice/sdk';
import { LRUCache } from 'lru-cache';
import { AskedBefore } from './asked-before.js';
import type { Changes } from './changes.js';
import type { KeptAnswer } from './kept-answer.js';

/** Memory that an entry takes beside its key and text. */
const ENTRY_BYTES = 512;
/** What of the bytes is full: the next answer may well be larger than the rest. */
const FULL_SHARE = 0.9;
/** Keys that are remembered without an answer; four bytes each. */
const MAX_ASKED_COUNT = 65_536;

/** Something that was seen not to be kept, until when requests do not wait for each other because of it. */
interface Pass {
  readonly passUntilMs: number;
}

interface Kept {
  readonly answer: KeptAnswer;
  /** Ends watching the resource. */
  readonly unwatch: (() => void) | undefined;
}

export interface KeptAnswersOptions {
  readonly maxBytes: number;
  readonly maxEntryCount: number;
  readonly maxWatchedCount: number;
  /** How long something counts beyond its time. */
  readonly staleMs: number;
}

export class KeptAnswers {
  private readonly entries: LRUCache<string, Kept | Pass>;
  /** Of what was not kept. */
  private readonly asked: AskedBefore;
  private watchedCount = 0;

  constructor(
    private readonly options: KeptAnswersOptions,
    private readonly changes: Changes,
    private readonly host: Pick<PluginHost, 'clock' | 'metrics' | 'watch'>,
  ) {
    this.asked = new AskedBefore(Math.min(2 * options.maxEntryCount, MAX_ASKED_COUNT));
    this.entries = new LRUCache<string, Kept | Pass>({
      max: options.maxEntryCount,
      maxSize: options.maxBytes,
      sizeCalculation: (entry, key) =>
        ENTRY_BYTES + 2 * key.length + ('answer' in entry ? entry.answer.bytes : 0),
      dispose: (entry, _, reason) => {
        if (!('answer' in entry)) return;
        entry.unwatch?.();
        if (reason === 'evict')
          this.host.metrics.count('evictions_total', 'Answers that went before their time, to make room.');
      },
    });
  }

  /** What is kept and counts, be it stale. */
  find(key: string): KeptAnswer | undefined {
    const entry = this.entries.get(key);
    if (entry === undefined || !('answer' in entry)) return undefined;
    const { answer } = entry;
    const isOver = this.host.clock.now() >= answer.freshUntilMs + this.options.staleMs;
    if (!isOver && !this.changes.outdated(answer.subject, answer.asOf)) return answer;
    this.entries.delete(key);
    this.measure();
    return undefined;
  }

  /**
   * Whether an answer to this may be kept. Where others have to go for it that is so when it is asked for again: what
   * nobody wants twice puts nothing out that somebody does.
   */
  admits(key: string): boolean {
    const { maxBytes, maxEntryCount } = this.options;
    const { size, calculatedSize } = this.entries;
    const isFull = size >= maxEntryCount || calculatedSize > FULL_SHARE * maxBytes;
    if (!isFull || this.asked.note(key)) return true;
    this.host.metrics.count(
      'passed_over_total',
      'Answers that were not kept, since nobody had asked before.',
    );
    return false;
  }

  put(key: string, answer: KeptAnswer): void {
    // What was kept before is let go first, and with it what was watched.
    this.entries.delete(key);
    const entry = { answer, unwatch: this.watch(answer) };
    this.entries.set(key, entry);
    // With its key it may be larger than everything may be together.
    if (this.entries.peek(key) !== entry) entry.unwatch?.();
    this.measure();
  }

  pass(key: string, passUntilMs: number): void {
    this.entries.set(key, { passUntilMs });
  }

  /** True when an answer to it was not kept a short while ago. */
  passes(key: string, nowMs: number): boolean {
    const entry = this.entries.peek(key);
    return entry !== undefined && 'passUntilMs' in entry && nowMs < entry.passUntilMs;
  }

  clear(): void {
    this.entries.clear();
    this.measure();
  }

  private watch({ subject: { upstream, uri } }: KeptAnswer): (() => void) | undefined {
    if (upstream === undefined || uri === undefined || this.watchedCount >= this.options.maxWatchedCount)
      return undefined;
    this.watchedCount++;
    const unwatch = this.host.watch(upstream, uri);
    return () => {
      this.watchedCount--;
      unwatch();
    };
  }

  private measure(): void {
    const { metrics } = this.host;
    metrics.gauge('bytes', 'Memory that kept answers take.', this.entries.calculatedSize);
    metrics.gauge('entries', 'Answers that are kept.', this.entries.size);
  }
}
