/** An answer that is kept, and what may be kept at all. */
import { Outcome } from '@sluice/sdk';
import { type Place, placesOf } from '../canonical-json.js';
import type { Subject } from './changes.js';
import { MAX_LIFETIME_MS, type Rule } from './config.js';
import type { CacheRequest } from './request-key.js';

/** `_meta` key under which the gateway says that a list lacks those of some upstreams (docs/concepts/merging.md). */
const UNAVAILABLE_META = 'dev.sluice/unavailable';

/** A result with the time for which it counts. */
export class KeptAnswer {
  /** In memory. A text with one character beyond Latin-1 takes two bytes for each. */
  readonly bytes: number;

  constructor(
    /** JSON of the result, as it came. */
    readonly text: string,
    /** Where it says its time. */
    private readonly ttlPlace: Place | undefined,
    /** When it came, and until when it is fresh; milliseconds since the epoch. */
    readonly fromMs: number,
    readonly freshUntilMs: number,
    readonly isPublic: boolean,
    readonly subject: Subject,
    /** State of {@link Changes} when it was asked for. */
    readonly asOf: number,
  ) {
    const { length } = text;
    this.bytes = Buffer.byteLength(text) === length ? length : 2 * length;
  }

  /** A result that was kept before. */
  static again(
    text: string,
    fromMs: number,
    freshUntilMs: number,
    isPublic: boolean,
    subject: Subject,
    asOf: number,
  ): KeptAnswer {
    const ttlPlace = text.includes('ttlMs') ? placesOf(text, ['ttlMs'])[0] : undefined;
    return new KeptAnswer(text, ttlPlace, fromMs, freshUntilMs, isPublic, subject, asOf);
  }

  isFresh(nowMs: number): boolean {
    return nowMs < this.freshUntilMs;
  }

  /** As it is given to a client: what is left of its time, not what it began with. */
  outcome(nowMs: number): Outcome {
    const { text, ttlPlace } = this;
    const ttlMs = ttlPlace === undefined ? 0 : Number(text.slice(ttlPlace.start, ttlPlace.end));
    if (ttlPlace === undefined || !(ttlMs > 0)) return Outcome.ofResultJson(text);
    const left = Math.max(0, Math.floor(ttlMs - Math.max(0, nowMs - this.fromMs)));
    return Outcome.ofResultJson(text.slice(0, ttlPlace.start) + left + text.slice(ttlPlace.end));
  }
}

/** What decides whether a result is kept, in the order of {@link readResult}. */
const TOLD = ['resultType', 'task', 'isError', '_meta', 'nextCursor', 'cacheScope', 'ttlMs'] as const;

/** True when an answer may be kept for everybody. */
export function mayBePublic({ hasHints, isPage }: CacheRequest, { isShared }: Rule): boolean {
  return (isShared || hasHints) && !isPage;
}

/** What came back, as it may be kept; `pass` when it was a result that may not. Errors are neither. */
export function keepable(
  request: CacheRequest,
  subject: Subject,
  rule: Rule,
  came: Outcome,
  when: { readonly nowMs: number; readonly asOf: number; readonly maxBytes: number },
): KeptAnswer | 'pass' | undefined {
  const text = came.errorCode === 0 ? came.resultJson : undefined;
  if (text === undefined) return undefined;
  if (!text.startsWith('{')) return 'pass';
  // Found in the text, since parsing all of it would cost more than everything else that is done to keep it.
  const [resultType, task, isError, meta, nextCursor, cacheScope, ttlMs] = placesOf(text, TOLD);
  if (!isComplete(text, resultType) || task !== undefined) return 'pass';
  if (isError !== undefined && text.startsWith('true', isError.start) && !rule.keepsErrors) return 'pass';
  if (isPartial(text, meta)) return 'pass';
  const lifetimeMs = Math.min(MAX_LIFETIME_MS, lifetimeOf(valueAt(text, ttlMs), rule));
  if (lifetimeMs <= 0) return 'pass';
  const isForAll = rule.isShared || valueAt(text, cacheScope) === 'public';
  const isPublic = mayBePublic(request, rule) && isForAll && nextCursor === undefined;
  const { nowMs, asOf, maxBytes } = when;
  const kept = new KeptAnswer(text, ttlMs, nowMs, nowMs + lifetimeMs, isPublic, subject, asOf);
  return kept.bytes > maxBytes ? 'pass' : kept;
}

function valueAt(text: string, place: Place | undefined): unknown {
  return place === undefined ? undefined : JSON.parse(text.slice(place.start, place.end));
}

/** What is no text is no other type of result either. */
function isComplete(text: string, place: Place | undefined): boolean {
  if (place === undefined || text.startsWith('"complete"', place.start)) return true;
  const type = valueAt(text, place);
  return typeof type !== 'string' || type === 'complete';
}

function isPartial(text: string, place: Place | undefined): boolean {
  if (place === undefined) return false;
  const written = text.slice(place.start, place.end);
  // Nearly none says it, in any spelling.
  if (!written.includes(UNAVAILABLE_META) && !written.includes('\\')) return false;
  const meta: unknown = JSON.parse(written);
  return typeof meta === 'object' && meta !== null && UNAVAILABLE_META in meta;
}

/** A negative `ttlMs` is none (2026-07-28, server/utilities/caching, "Time-to-Live (TTL) Field"). */
function lifetimeOf(ttlMs: unknown, { ttlMs: own, maxTtlMs }: Rule): number {
  if (maxTtlMs === undefined || typeof ttlMs !== 'number' || !(ttlMs > 0)) return own;
  return Math.min(ttlMs, maxTtlMs);
}
