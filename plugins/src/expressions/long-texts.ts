/** Patterns against texts that are too long to be matched while an expression is computed. */
import type { TextPatterns } from '../matching/index.js';
import { NoValue } from './functions.js';

/** Texts that are matched for one computation. */
const MAX_TEXT_COUNT = 64;

/**
 * Answers for one computation. An expression that finds none throws TooLong; it is computed anew when `settled()` has
 * resolved.
 */
export class LongTexts {
  /** Patterns that are found in a text; undefined where that could not be found out. */
  private readonly known = new Map<string, ReadonlySet<string> | undefined>();
  private wanted = new Set<string>();

  /** @param patterns all that may be asked for, each with itself as its id. */
  constructor(private readonly patterns: TextPatterns) {}

  /**
   * Undefined: it is not known yet, and will be looked for.
   *
   * @throws NoValue when there are too many, or it could not be found out
   */
  answer(text: string, pattern: string): boolean | undefined {
    if (this.known.has(text)) {
      const found = this.known.get(text);
      if (found === undefined) throw new NoValue('a long text could not be held against a pattern');
      return found.has(pattern);
    }
    if (this.known.size + this.wanted.size >= MAX_TEXT_COUNT && !this.wanted.has(text))
      throw new NoValue(`more than ${MAX_TEXT_COUNT} long texts are held against patterns`);
    this.wanted.add(text);
    return undefined;
  }

  /** Never rejects: what goes wrong with a text of a caller is no failure of whoever asks. */
  async settled(): Promise<void> {
    const texts = [...this.wanted];
    this.wanted = new Set();
    const found = await Promise.all(texts.map((text) => this.foundIn(text)));
    texts.forEach((text, index) => void this.known.set(text, found[index]));
  }

  /** One pass for all patterns. */
  private async foundIn(text: string): Promise<ReadonlySet<string> | undefined> {
    try {
      return new Set(await this.patterns.found(text));
    } catch {
      return undefined;
    }
  }
}
