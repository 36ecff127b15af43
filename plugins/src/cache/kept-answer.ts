/** An answer that is kept, and what may be kept at all. */
import { type JsonObject, Outcome } from '@sluice/sdk';
import { placeOf } from './canonical-json.js';
import type { Subject } from './changes.js';
import { MAX_LIFETIME_MS, type Rule } from './config.js';
import type { CacheRequest } from './request-key.js';

/** `_meta` key under which the gateway says that a list lacks those of some upstreams (docs/concepts/merging.md). */
const UNAVAILABLE_META = 'dev.sluice/unavailable';

/** A result with the time for which it counts. */
export class KeptAnswer {
  private readonly ttlPlace: { readonly start: number; readonly end: number } | undefined;
  private readonly ttlMs: number;

  constructor(
    /** JSON of the result, as it came. */
    readonly text: string,
    /** When it came, and until when it is fresh; milliseconds since the epoch. */
    readonly fromMs: number,
    readonly freshUntilMs: number,
    readonly isPublic: boolean,
    readonly subject: Subject,
    /** State of {@link Changes} when it was asked for. */
    readonly asOf: number,
  ) {
    this.ttlPlace = placeOf(text, 'ttlMs');
    const { start, end } = this.ttlPlace ?? { start: 0, end: 0 };
    this.ttlMs = Number(text.slice(start, end));
  }

  isFresh(nowMs: number): boolean {
    return nowMs < this.freshUntilMs;
  }

  /** Bytes in memory. A text with one character beyond Latin-1 takes two bytes for each. */
  get bytes(): number {
    const { text } = this;
    return Buffer.byteLength(text) === text.length ? text.length : 2 * text.length;
  }

  /** As it is given to a client: what is left of its time, not what it began with. */
  outcome(nowMs: number): Outcome {
    const { text, ttlPlace } = this;
    if (ttlPlace === undefined || !(this.ttlMs > 0)) return Outcome.ofResultJson(text);
    const left = Math.max(0, Math.floor(this.ttlMs - Math.max(0, nowMs - this.fromMs)));
    return Outcome.ofResultJson(text.slice(0, ttlPlace.start) + left + text.slice(ttlPlace.end));
  }
}

/** What came back, as it may be kept; `pass` when it was a result that may not. Errors are neither. */
export function keepable(
  { method, isPage }: CacheRequest,
  subject: Subject,
  rule: Rule,
  came: Outcome,
  when: { readonly nowMs: number; readonly asOf: number; readonly maxBytes: number },
): KeptAnswer | 'pass' | undefined {
  const { result } = came;
  if (came.errorCode !== 0 || result === undefined) return undefined;
  if (came.kind !== 'complete' || 'task' in result) return 'pass';
  if (result.isError === true && !rule.keepsErrors) return 'pass';
  if (isPartial(result)) return 'pass';
  const lifetimeMs = Math.min(MAX_LIFETIME_MS, lifetimeOf(result, rule));
  if (lifetimeMs <= 0) return 'pass';
  const text = came.resultJson as string;
  const hasHints = method !== 'tools/call' && method !== 'prompts/get';
  const isOnePage = isPage || result.nextCursor !== undefined;
  const isPublic = rule.isShared || (hasHints && result.cacheScope === 'public');
  const freshUntilMs = when.nowMs + lifetimeMs;
  const kept = new KeptAnswer(text, when.nowMs, freshUntilMs, isPublic && !isOnePage, subject, when.asOf);
  return kept.bytes > when.maxBytes ? 'pass' : kept;
}

function isPartial({ _meta: meta }: JsonObject): boolean {
  return typeof meta === 'object' && meta !== null && UNAVAILABLE_META in meta;
}

/** A negative `ttlMs` is none (2026-07-28, server/utilities/caching, "Time-to-Live (TTL) Field"). */
function lifetimeOf({ ttlMs }: JsonObject, { ttlMs: own, maxTtlMs }: Rule): number {
  if (maxTtlMs === undefined || typeof ttlMs !== 'number' || !(ttlMs > 0)) return own;
  return Math.min(ttlMs, maxTtlMs);
}
