/**
 * Patterns in RE2's syntax held against texts that strangers wrote. RE2 never goes back in a text, so one pass takes
 * time in proportion to its length, whatever the pattern. To place all matches takes a pass for each of them, so that
 * is done in windows, and a window that is full of matches is taken as one.
 */
import { RE2JS, RE2JSException, RE2Set } from 're2js';

/** A pattern for something inside of a text. */
export interface TextPattern {
  /** Names it in matches. */
  readonly id: string;
  /** RE2's syntax. */
  readonly pattern: string;
  /** True when capital and small letters are the same. */
  readonly ignoresCase?: boolean | undefined;
}

/** Where a pattern was found: places in the text as UTF-16 code units, the end behind the last. */
export interface Match {
  readonly id: string;
  readonly start: number;
  readonly end: number;
}

const MAX_PATTERN_LENGTH = 4_096;
/** What a counted repetition becomes is not seen in its text: `(?:a{1000}){1000}` is short. */
const MAX_PROGRAM_SIZE = 20_000;
/** A match is found as a whole up to this length; of a longer one that is the only one, all of the text is taken. */
export const MAX_MATCH_LENGTH = 1_024;
export const WINDOW_LENGTH = 4_096;
/** Matches of one pattern in a window, before the rest of the window is taken for one. */
const MAX_WINDOW_MATCH_COUNT = 256;

/** Why a text is no pattern; undefined when it is one. The message never repeats it. */
export function textPatternProblem(pattern: string): string | undefined {
  if (pattern.length > MAX_PATTERN_LENGTH) return `is longer than ${MAX_PATTERN_LENGTH} characters`;
  let compiled: RE2JS;
  try {
    compiled = RE2JS.compile(pattern);
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error;
    return "is no pattern in RE2's syntax, which has neither backreferences nor lookaround";
  }
  if (compiled.matcher('').programSize() > MAX_PROGRAM_SIZE) return 'repeats too much; use smaller counts';
  if (compiled.test('')) return 'is found in an empty text, so in every text';
  return undefined;
}

interface Compiled {
  readonly id: string;
  readonly expression: RE2JS;
}

/** Several patterns as one machine. */
export class CompiledTextPatterns {
  private readonly together = new RE2Set();
  private readonly each: readonly Compiled[];

  /** @throws RE2JSException for what {@link textPatternProblem} refuses */
  constructor(patterns: readonly TextPattern[]) {
    this.each = patterns.map(({ id, pattern, ignoresCase = false }) => {
      const source = ignoresCase ? `(?i)${pattern}` : pattern;
      this.together.add(source);
      return { id, expression: RE2JS.compile(source) };
    });
    if (patterns.length > 0) this.together.compile();
  }

  /** Ids of those that are found anywhere in the text. One pass for all of them. */
  found(text: string): readonly string[] {
    return this.foundIn(text).map(({ id }) => id);
  }

  /** All matches, by pattern and then by place. */
  scan(text: string): readonly Match[] {
    return this.foundIn(text).flatMap((each) => placed(each, text));
  }

  private foundIn(text: string): readonly Compiled[] {
    if (this.each.length === 0) return [];
    return this.together.match(text).map((index) => this.each[index] as Compiled);
  }
}

function placed({ id, expression }: Compiled, text: string): readonly Match[] {
  const matches: Match[] = [];
  const stride = WINDOW_LENGTH - MAX_MATCH_LENGTH;
  for (let from = 0; ; from += stride) {
    // One character more on the left, by which `\b` and `^` see that the text does not begin here.
    const begin = Math.max(0, from - 1);
    const isLast = from + WINDOW_LENGTH >= text.length;
    const until = isLast ? text.length : from + stride;
    placeWithin(expression, text.slice(begin, from + WINDOW_LENGTH), (start, end) => {
      const own = { id, start: begin + start, end: begin + end };
      // What begins before this window's own part, or behind it, is for its neighbours to find.
      if (own.start < from || own.start >= until) return;
      const before = matches.at(-1);
      if (before === undefined || own.start >= before.end) matches.push(own);
      else if (own.end > before.end) matches[matches.length - 1] = { ...before, end: own.end };
    });
    if (isLast) break;
  }
  return matches.length > 0 ? matches : [{ id, start: 0, end: text.length }];
}

function placeWithin(expression: RE2JS, window: string, found: (start: number, end: number) => void): void {
  const matcher = expression.matcher(window);
  for (let count = 0; matcher.find(); count += 1) {
    const start = matcher.start();
    if (count === MAX_WINDOW_MATCH_COUNT) return found(start, window.length);
    if (matcher.end() > start) found(start, matcher.end());
  }
}
