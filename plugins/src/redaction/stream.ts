/**
 * A text that comes in pieces. What may be the beginning of a secret is held back until the next piece says whether it
 * is one, so that no two pieces tell what one of them would not have.
 */
import { DETECTORS } from './detectors.js';
import type { Found, Redactor } from './redactor.js';

/** Of what has been handed on so much is remembered: the first characters of a secret may be in it. */
const MAX_TAIL_LENGTH = 256;
/** Longer ones are no beginning of anything; a private key is. */
const MAX_HELD_LENGTH = 4_096;
/** A card or an account that is not whole. Fewer characters of one tell nothing. */
const NUMBER_BEGIN = /^(?:[2-6]|[A-Za-z]{2}[0-9]{2})[A-Z0-9 .-]{6,48}$/;
const MAX_NUMBER_LENGTH = 52;
/** Behind `://`: a name, and a password that is no port. */
const PASSWORD_BEGIN = /^[^\s/:@]{0,256}:[^\s/@]{0,256}$/;
const PORT = /:[0-9]{0,5}$/;
const BREAKS_WORD = /[\s"'<>,;(){}]/;
/** By these an unfinished secret is known. Addresses are known by more than how they begin. */
const ANCHORS = DETECTORS.flatMap(({ anchors }) => anchors).filter((each) => each !== '://' && each !== '+');

export class StreamRedactor {
  /** What was handed on last, as it came, and what was not yet. */
  private tail = '';
  private held = '';

  constructor(
    private readonly redactor: Redactor,
    private readonly found: Found,
  ) {}

  /** What can be handed on now. */
  feed(piece: string): string {
    const from = this.tail.length;
    const text = this.tail + this.held + piece;
    const findings = this.redactor.find(text);
    const holdFrom = Math.max(from, heldFrom(text, findings.at(-1)?.end ?? 0));
    const out = this.written(text, from, holdFrom, findings);
    this.tail = text.slice(Math.max(0, holdFrom - MAX_TAIL_LENGTH), holdFrom);
    this.held = text.slice(holdFrom);
    return out;
  }

  /** What was held back, which nothing follows any more. */
  end(): string {
    const own = this.held;
    this.held = '';
    return own;
  }

  private written(text: string, from: number, to: number, findings: ReturnType<Redactor['find']>): string {
    let out = '';
    let done = from;
    for (const { id, start, end, secret } of findings) {
      if (end <= from) continue;
      if (start >= to) break;
      this.found(id);
      out += text.slice(done, Math.max(done, start)) + this.redactor.token(id, secret);
      done = end;
    }
    return out + text.slice(done, Math.max(done, to));
  }
}

/** Where something begins that may become a secret with what follows; the length of the text when nothing does. */
function heldFrom(text: string, foundTo: number): number {
  const end = text.slice(Math.max(foundTo, text.length - MAX_HELD_LENGTH));
  const offset = text.length - end.length;
  const word = wordStart(end);
  const places = [unfinishedKey(end), unfinishedNumber(end), unfinishedWord(end.slice(word), word)].filter(
    (place) => place !== -1,
  );
  return places.length === 0 ? text.length : offset + Math.min(...places);
}

/** Where the last word begins. */
function wordStart(text: string): number {
  let start = text.length;
  while (start > 0 && !BREAKS_WORD.test(text[start - 1] as string)) start -= 1;
  return start;
}

function unfinishedNumber(end: string): number {
  for (let start = Math.max(0, end.length - MAX_NUMBER_LENGTH); start < end.length; start += 1) {
    if (start > 0 && /[A-Za-z0-9]/.test(end[start - 1] as string)) continue;
    if (NUMBER_BEGIN.test(end.slice(start))) return start;
  }
  return -1;
}

function unfinishedKey(end: string): number {
  const begin = end.lastIndexOf('-----BEGIN');
  return begin !== -1 && !end.includes('-----END', begin) ? begin : -1;
}

/** @param at where the word stands. */
function unfinishedWord(word: string, at: number): number {
  if (word.includes('@')) return at;
  const address = word.lastIndexOf('://');
  const behind = address === -1 ? '' : word.slice(address + 3);
  if (PASSWORD_BEGIN.test(behind) && !PORT.test(behind)) return at;
  let first = -1;
  for (const anchor of ANCHORS) {
    const place = word.indexOf(anchor);
    const isInWord = place > 0 && anchor.length < 4 && /[A-Za-z]/.test(word[place - 1] as string);
    if (place !== -1 && !isInWord && (first === -1 || place < first)) first = place;
  }
  return first === -1 ? -1 : at + first;
}
