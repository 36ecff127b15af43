/** Decisions of OPA, kept by exactly what it was told. */
import { createHash } from 'node:crypto';
import type { MaybePromise } from '@sluice/sdk';
import { LRUCache } from 'lru-cache';
import type { Verdict } from '../decision-point.js';

/** Longest question to a person that is kept, in characters of JSON; they may have forms. */
const MAX_KEPT_LENGTH = 8_192;

interface Kept {
  readonly verdict: Verdict;
  readonly untilMs: number;
}

export class KeptDecisions {
  private readonly kept: LRUCache<string, Kept>;
  /** What is being asked right now: the same is not asked twice at a time. */
  private readonly asked = new Map<string, Promise<Verdict>>();

  constructor(
    private readonly ttlMs: number,
    maxCount: number,
  ) {
    this.kept = new LRUCache({ max: maxCount });
  }

  /**
   * The decision for an input; what fails is not kept.
   *
   * @param ask asks for one that is not there.
   */
  get(input: string, now: number, ask: () => Promise<Verdict>): MaybePromise<Verdict> {
    if (this.ttlMs === 0) return ask();
    // Inputs hold arguments, which are long and nobody else's business.
    const key = createHash('sha256').update(input).digest('base64');
    const kept = this.kept.get(key);
    if (kept !== undefined && kept.untilMs > now) return kept.verdict;
    const before = this.asked.get(key);
    if (before !== undefined) return before;
    const asking = ask().then(
      (verdict) => {
        this.asked.delete(key);
        if (isShort(verdict)) this.kept.set(key, { verdict, untilMs: now + this.ttlMs });
        return verdict;
      },
      (thrown: unknown) => {
        this.asked.delete(key);
        throw thrown;
      },
    );
    this.asked.set(key, asking);
    return asking;
  }
}

function isShort({ ask }: Verdict): boolean {
  return ask === undefined || JSON.stringify(ask).length <= MAX_KEPT_LENGTH;
}
