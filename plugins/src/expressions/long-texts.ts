/** Patterns against texts that are too long to be matched while an expression is computed. */
import { TextPatterns } from '../matching/index.js';

/** Texts that are matched for one computation. */
const MAX_TEXT_COUNT = 64;

/**
 * Answers for one computation, which is tried again as long as it meets texts for which there is none yet:
 *
 * an expression that finds none throws Waiting, and `settled()` resolves when there is one.
 */
export class LongTexts {
  private readonly known = new Map<string, Map<string, boolean>>();
  private readonly wanted: { readonly text: string; readonly pattern: string }[] = [];
  private count = 0;

  /** Undefined: it is not known yet, and will be looked for. */
  answer(text: string, pattern: string): boolean | undefined {
    const known = this.known.get(pattern)?.get(text);
    if (known === undefined) this.wanted.push({ text, pattern });
    return known;
  }

  /** Rejects when there are too many, or when they cannot be matched. */
  async settled(): Promise<void> {
    const wanted = this.wanted.splice(0);
    this.count += wanted.length;
    if (this.count > MAX_TEXT_COUNT)
      throw new Error(`one request has more than ${MAX_TEXT_COUNT} long texts to hold against patterns`);
    await Promise.all(
      wanted.map(async ({ text, pattern }) => {
        const found = await new TextPatterns([{ id: 'it', pattern }]).found(text);
        const answers = this.known.get(pattern) ?? new Map<string, boolean>();
        this.known.set(pattern, answers.set(text, found.length > 0));
      }),
    );
  }
}
