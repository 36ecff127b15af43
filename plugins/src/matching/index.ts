/** Patterns against texts of any length: at once where that is quick, in a thread where it is not. */
import type { MaybePromise } from '@sluice/sdk';
import { offLoop } from './pool.js';
import { CompiledTextPatterns, type Match, type TextPattern, WINDOW_LENGTH } from './text-patterns.js';
import type { Task } from './thread.js';

export { offLoop } from './pool.js';
export { MAX_MATCH_LENGTH, type Match, type TextPattern, textPatternProblem } from './text-patterns.js';

/** Longer texts are handed to a thread: one pass of RE2 over this many characters takes 3 ms at worst. */
export const MAX_AT_ONCE_LENGTH = 32_768;
/** Threads run what was built, also where this is run from its source. */
const PROGRAM = new URL('../../dist/matching/thread.js', import.meta.url);

/** Patterns that are held against texts together. */
export class TextPatterns {
  private readonly compiled: CompiledTextPatterns;

  /** @param patterns none with a {@link textPatternProblem} */
  constructor(private readonly patterns: readonly TextPattern[]) {
    this.compiled = new CompiledTextPatterns(patterns);
  }

  /** Ids of those that are found anywhere in the text, in one pass for all. */
  found(text: string): MaybePromise<readonly string[]> {
    if (this.isAtOnce(text)) return this.compiled.found(text);
    return offLoop(PROGRAM, 'found', { patterns: this.patterns, text } satisfies Task);
  }

  /** All matches, by pattern and then by place. */
  scan(text: string): MaybePromise<readonly Match[]> {
    if (text.length <= WINDOW_LENGTH) return this.compiled.scan(text);
    // To see that there is none takes one pass; to place them takes a pass over a window for each.
    if (this.isAtOnce(text) && this.compiled.found(text).length === 0) return [];
    return offLoop(PROGRAM, 'scan', { patterns: this.patterns, text } satisfies Task);
  }

  /** The same for who is off the event loop already. */
  scanHere(text: string): readonly Match[] {
    return this.compiled.scan(text);
  }

  private isAtOnce({ length }: string): boolean {
    return length <= MAX_AT_ONCE_LENGTH || this.patterns.length === 0;
  }
}
