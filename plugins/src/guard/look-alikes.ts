/** Texts that are disguised for programs and not for readers. */

/** Longer texts are read as they are written: this reading is for what is short and disguised. */
const MAX_UNMASKED_LENGTH = 8_192;
const MASKED =
  /[A-Za-z][0134579@$|]{1,2}[A-Za-z]|\b[0134579@$|]{1,2}[A-Za-z]{2}|\b(?:[A-Za-z][ .-]){3}|[A-Za-z](?:<[^<>]{1,80}>|\*\*|__)[A-Za-z]/;
const DIGIT_LETTERS: Readonly<Record<string, string>> = {
  ...{ 0: 'o', 1: 'i', 3: 'e', 4: 'a', 5: 's', 7: 't', 9: 'g', '@': 'a', $: 's', '|': 'l' },
};
/** Letters of other scripts that look like Latin ones (Unicode Technical Standard 39, confusables), in lower case. */
const LOOK_ALIKES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    ...{
      а: 'a',
      в: 'b',
      с: 'c',
      ԁ: 'd',
      е: 'e',
      ё: 'e',
      ғ: 'f',
      һ: 'h',
      і: 'i',
      ї: 'i',
      ј: 'j',
      к: 'k',
      ӏ: 'l',
    },
    ...{
      м: 'm',
      н: 'h',
      п: 'n',
      о: 'o',
      р: 'p',
      ԛ: 'q',
      г: 'r',
      ѕ: 's',
      т: 't',
      ц: 'u',
      ѵ: 'v',
      ԝ: 'w',
      х: 'x',
    },
    ...{
      у: 'y',
      ү: 'y',
      ᴢ: 'z',
      α: 'a',
      β: 'b',
      ϲ: 'c',
      ε: 'e',
      η: 'n',
      ι: 'i',
      κ: 'k',
      ν: 'v',
      ο: 'o',
      ρ: 'p',
    },
    ...{
      σ: 'o',
      τ: 't',
      υ: 'u',
      χ: 'x',
      γ: 'y',
      ω: 'w',
      ı: 'i',
      ȷ: 'j',
      ɑ: 'a',
      ɡ: 'g',
      ɩ: 'i',
      ʋ: 'v',
      ո: 'n',
    },
    ...{ ս: 'u', օ: 'o', հ: 'h', ց: 'g', զ: 'q', ք: 'p', ѡ: 'w', ƅ: 'b', ƽ: 's', '0': '0' },
  }),
);
/** A word of letters that look alike and are of two scripts. */
export const MIXED_WORD =
  /[a-z][\p{Script=Cyrillic}\p{Script=Greek}\p{Script=Armenian}]|[\p{Script=Cyrillic}\p{Script=Greek}\p{Script=Armenian}][a-z]/iu;
const OTHER_LETTER = /[\u0131\u0180-\u024f\u0250-\u02af\u0370-\u058f\u1d00-\u1d7f]/;

/** True for a text that {@link unmasked} may read in another way. */
export function isMasked(text: string): boolean {
  return text.length <= MAX_UNMASKED_LENGTH && MASKED.test(text);
}

/** What a reader does without noticing: letters apart, digits for letters, marks inside of words. */
export function unmasked(text: string): readonly string[] {
  if (!isMasked(text)) return [];
  const own = text
    .replace(/<[^<>]{0,80}>|\*\*|__/g, '')
    .replace(/\b(?:[A-Za-z][ .-]){3,40}[A-Za-z]\b/g, (letters) => letters.replace(/[ .-]/g, ''))
    .replace(/[A-Za-z0-9@$|]{3,40}/g, (word) =>
      /[A-Za-z]/.test(word) ? word.replace(/[0134579@$|]/g, (each) => DIGIT_LETTERS[each] as string) : word,
    );
  return own === text ? [] : [own];
}

/** The text with Latin letters for those that look like them. */
export function foldedText(text: string): string {
  if (!OTHER_LETTER.test(text)) return text;
  return text.replace(/[^\0-\u00ff]/g, (each) => LOOK_ALIKES.get(each.toLowerCase()) ?? each);
}
