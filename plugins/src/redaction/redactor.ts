/**
 * Puts tokens in the place of secrets and personal data. The same secret has the same token, another has another, and
 * nobody can compute which: they are keyed.
 */
import { createHmac } from 'node:crypto';
import type { Json } from '@sluice/sdk';
import type { TextPattern } from '../matching/index.js';
import { Detection, type Finding } from './detection.js';
import type { Detector } from './detectors.js';
import { changed, type Visitor } from './walk.js';

export interface RedactorOptions {
  readonly detectors: readonly Detector[];
  /** Own ones beside them; none that `textPatternProblem` refuses. */
  readonly patterns?: readonly TextPattern[];
  /** Keys the tokens. */
  readonly secret: string | Uint8Array;
}

/** Tells how often each detector found something. */
export type Found = (id: string) => void;

const BEGIN = '[redacted:';
/** A part of the digest that tells some ten thousand secrets apart, and says nothing about any. */
const DIGEST_LENGTH = 12;
/** What is left beside tokens is looked through again: it may now begin or end where it did not. */
const MAX_ROUND_COUNT = 8;
/** Shorter numbers are no card and no account. */
const MIN_NUMBER_LENGTH = 12;
const MAX_JSON_DEPTH = 4;
const ignored: Found = () => undefined;

export class Redactor {
  private readonly detection: Detection;
  private readonly tokens: RegExp;

  constructor(private readonly options: RedactorOptions) {
    const { detectors, patterns = [] } = options;
    this.detection = new Detection(detectors, patterns);
    const ids = [...detectors, ...patterns].map(({ id }) => id);
    this.tokens = new RegExp(
      `\\[redacted:(?:${['text', ...ids].join('|')}):[0-9a-f]{${DIGEST_LENGTH}}\\]`,
      'g',
    );
  }

  /** The text with tokens; the same when there is nothing to be replaced. What has been redacted stays as it is. */
  text(text: string, found: Found = ignored): string {
    return this.within(text, found, 0);
  }

  /** The value with tokens, also for numbers and names of members; the same object when there is nothing. */
  json(value: Json, found: Found = ignored): Json {
    return changed(value, this.visitor(found));
  }

  /** For who goes through JSON and does more to it. */
  visitor(found: Found, depth = 0): Visitor & { number(number: number): Json; name(name: string): string } {
    return {
      text: (text) => this.within(text, found, depth),
      name: (name) => this.within(name, found, depth),
      number: (number) => {
        const text = String(number);
        if (text.length < MIN_NUMBER_LENGTH) return number;
        const own = this.within(text, found, depth);
        return own === text ? number : own;
      },
    };
  }

  /** All that is found and is not inside of a token. */
  find(text: string): readonly Finding[] {
    if (!text.includes(BEGIN)) return this.detection.find(text);
    const places: Place[] = [];
    // As long as before, and nothing that any detector knows.
    const masked = text.replace(this.tokens, (token, start: number) => {
      places.push({ start, end: start + token.length });
      return '\0'.repeat(token.length);
    });
    // Both are in order, so each token is passed once.
    let first = 0;
    return this.detection.find(masked).flatMap((each) => {
      while (first < places.length && (places[first] as Place).end <= each.start) first += 1;
      return outside(each, places, first, text);
    });
  }

  token(id: string, secret: string): string {
    const digest = createHmac('sha256', this.options.secret)
      .update(id)
      .update('\0')
      .update(secret)
      .digest('hex');
    return `${BEGIN}${id}:${digest.slice(0, DIGEST_LENGTH)}]`;
  }

  /** The text with each of the findings replaced. */
  replaced(text: string, findings: readonly Finding[], found: Found): string {
    let out = '';
    let done = 0;
    for (const { id, start, end, secret } of findings) {
      found(id);
      out += text.slice(done, start) + this.token(id, secret);
      done = end;
    }
    return out + text.slice(done);
  }

  private within(text: string, found: Found, depth: number): string {
    let current = text;
    for (let round = 0; round < MAX_ROUND_COUNT; round += 1) {
      const next = this.once(current, found, depth);
      if (next === current) return current;
      current = next;
    }
    return this.token('text', text);
  }

  private once(text: string, found: Found, depth: number): string {
    const findings = this.find(text);
    if (findings.length === 0) return text;
    const parsed = depth < MAX_JSON_DEPTH ? parsedJson(text) : undefined;
    const own = this.replaced(text, findings, found);
    // A number without quotes cannot become a token: JSON inside of a text stays JSON.
    if (parsed === undefined || parsedJson(own) !== undefined) return own;
    try {
      return JSON.stringify(changed(parsed, this.visitor(found, depth + 1)));
    } catch (error) {
      // What is nested deeper than can be written is nested to hide something.
      if (error instanceof RangeError) return this.token('text', text);
      throw error;
    }
  }
}

interface Place {
  readonly start: number;
  readonly end: number;
}

/**
 * The parts of a finding that are not in a token.
 *
 * @param first of the tokens that may be in it.
 */
function outside(
  { id, start, end, secret }: Finding,
  places: readonly Place[],
  first: number,
  text: string,
): Finding[] {
  const parts: Finding[] = [];
  let from = start;
  for (let index = first; index < places.length; index += 1) {
    const place = places[index] as Place;
    if (place.start >= end) break;
    if (place.start > from)
      parts.push({ id, start: from, end: place.start, secret: text.slice(from, place.start) });
    from = place.end;
  }
  if (from < end)
    parts.push({ id, start: from, end, secret: from === start ? secret : text.slice(from, end) });
  return parts;
}

/** An object or a list; undefined for a text that is neither. */
function parsedJson(text: string): Json | undefined {
  if (!/^\s*[[{]/.test(text)) return undefined;
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}
