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
  /** By pattern and text; undefined where it could not be found out. */
  private readonly known = new Map<string, Map<string, boolean | undefined>>();
  private readonly wanted: { readonly text: string; readonly pattern: string }[] = [];
  private count = 0;

  /**
   * Undefined: it is not known yet, and will be looked for.
   *
   * @throws NoValue when there are too many, or it could not be found out
   */
  answer(text: string, pattern: string): boolean | undefined {
    const answers = this.known.get(pattern);
    const known = answers?.get(text);
    if (known !== undefined) return known;
    if (answers?.has(text) === true) throw new NoValue('a long text could not be held against a pattern');
    if (++this.count > MAX_TEXT_COUNT)
      throw new NoValue(`more than ${MAX_TEXT_COUNT} long texts are held against patterns`);
    this.wanted.push({ text, pattern });
    return undefined;
  }

  /** Never rejects: what goes wrong with a text of a caller is no failure of whoever asks. */
  async settled(): Promise<void> {
    const wanted = this.wanted.splice(0);
    await Promise.all(
      wanted.map(async ({ text, pattern }) => {
        const answer = await isFound(text, pattern);
        const answers = this.known.get(pattern) ?? new Map<string, boolean | undefined>();
        this.known.set(pattern, answers.set(text, answer));
      }),
    );
  }
}

async function isFound(text: string, pattern: string): Promise<boolean | undefined> {
  try {
    return (await new TextPatterns([{ id: 'it', pattern }]).found(text)).length > 0;
  } catch {
    return undefined;
  }
}
