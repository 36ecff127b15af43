/** Patterns against texts that are too long to be matched while an expression is computed. */
import { TextPatterns } from '../matching/index.js';
import { NoValue } from './functions.js';

/** Texts that are matched for one computation. */
const MAX_TEXT_COUNT = 64;

/**
 * Answers for one computation. An expression that finds none throws TooLong; it is computed anew when `settled()` has
 * resolved.
 */
export class LongTexts {
  private readonly known = new Map<string, Map<string, boolean>>();
  private readonly wanted: { readonly text: string; readonly pattern: string }[] = [];
  private count = 0;

  /**
   * Undefined: it is not known yet, and will be looked for.
   *
   * @throws NoValue when there are too many
   */
  answer(text: string, pattern: string): boolean | undefined {
    const known = this.known.get(pattern)?.get(text);
    if (known !== undefined) return known;
    if (++this.count > MAX_TEXT_COUNT)
      throw new NoValue(`more than ${MAX_TEXT_COUNT} long texts are held against patterns`);
    this.wanted.push({ text, pattern });
    return undefined;
  }

  /** Rejects when texts cannot be matched. */
  async settled(): Promise<void> {
    const wanted = this.wanted.splice(0);
    await Promise.all(
      wanted.map(async ({ text, pattern }) => {
        const found = await new TextPatterns([{ id: 'it', pattern }]).found(text);
        const answers = this.known.get(pattern) ?? new Map<string, boolean>();
        this.known.set(pattern, answers.set(text, found.length > 0));
      }),
    );
  }
}
