/**
 * Characters that nobody sees and a model reads: zero-width and filler characters, marks of direction, tags, variation
 * selectors, control characters and escape sequences of terminals. Those that emoji and scripts need stay where they
 * need them.
 */

const SOURCE = [
  // Escape sequences of terminals (ECMA-48), first: their first character alone would leave the rest.
  '\\u001b\\[[0-?]{0,64}[ -/]{0,8}[@-~]|\\u001b\\][^\\u0007\\u001b]{0,256}(?:\\u0007|\\u001b\\\\)|\\u001b[@-_]?',
  '[\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f-\\u009f]',
  '[\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f]',
  '[\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\ufffb]',
  '[\\u{1d173}-\\u{1d17a}\\u{e0000}-\\u{e0fff}]',
].join('|');
const INVISIBLE = new RegExp(SOURCE, 'gu');
const IS_INVISIBLE = new RegExp(SOURCE, 'u');
/** Emoji, and what stands in for one in a sequence: `1️⃣`, `👩‍💻`. */
const BEFORE_SELECTOR = /[\p{Extended_Pictographic}\p{Emoji_Modifier}0-9#*]$/u;
const BEFORE_JOINER = /(?:\p{Extended_Pictographic}|\p{Emoji_Modifier})\ufe0f?$/u;
const BEHIND_JOINER = /^\p{Extended_Pictographic}/u;
/** Flags of England, Scotland and Wales are a black flag and tags (Unicode Technical Standard 51, annex C). */
const FLAG_TAGS = /\u{1f3f4}[\u{e0030}-\u{e0039}\u{e0061}-\u{e007a}]{3,6}\u{e007f}/gu;
/** Scripts whose letters are joined or kept apart by a character without width. */
const JOINING =
  /[\p{Script=Arabic}\p{Script=Syriac}\p{Script=Devanagari}\p{Script=Bengali}\p{Script=Gurmukhi}\p{Script=Gujarati}\p{Script=Tamil}\p{Script=Telugu}\p{Script=Kannada}\p{Script=Malayalam}\p{Script=Sinhala}\p{Script=Mongolian}\p{Script=Khmer}]/u;

/** Tags stand for ASCII that is seen by programs alone. */
const TAGS = /[\u{e0020}-\u{e007e}]{2,}/gu;

/** True when there is one that has no reason to be there. */
export function hasInvisible(text: string): boolean {
  return IS_INVISIBLE.test(text) && withoutInvisible(text) !== text;
}

/** The text without them; the same when there is none. */
export function withoutInvisible(text: string): string {
  if (!IS_INVISIBLE.test(text)) return text;
  const flags: number[] = [];
  for (const { index, 0: own } of text.matchAll(FLAG_TAGS)) flags.push(index, index + own.length);
  // Both are in order, so each flag is passed once.
  let flag = 0;
  return text.replace(INVISIBLE, (own: string, ...rest: unknown[]) => {
    const place = rest.find((each) => typeof each === 'number') as number;
    while (flag < flags.length && place >= (flags[flag + 1] as number)) flag += 2;
    if (flag < flags.length && place >= (flags[flag] as number)) return own;
    return isNeeded(text, own, place) ? own : '';
  });
}

function isNeeded(text: string, own: string, place: number): boolean {
  const code = own.charCodeAt(0);
  const before = text.slice(Math.max(0, place - 4), place);
  if (code === 0xfe0f || code === 0xfe0e) return BEFORE_SELECTOR.test(before);
  const behind = text.slice(place + 1, place + 4);
  if (code === 0x200d && BEFORE_JOINER.test(before)) return BEHIND_JOINER.test(behind);
  if (code === 0x200c || code === 0x200d)
    return JOINING.test(before.slice(-1)) && JOINING.test(behind.slice(0, 1));
  // Marks of direction belong between letters of scripts that go the other way.
  return false;
}

/** What is written in tags, as the ASCII that it stands for; empty when nothing is. */
export function writtenInTags(text: string): string {
  if (!text.includes('\udb40')) return '';
  return [...text.replace(FLAG_TAGS, '').matchAll(TAGS)]
    .map(([own]) =>
      [...own].map((each) => String.fromCodePoint((each.codePointAt(0) as number) - 0xe0000)).join(''),
    )
    .join(' ');
}
