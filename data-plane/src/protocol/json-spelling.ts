/** Spells JSON values in the many ways that RFC 8259 allows; for property tests. */
import fc from 'fast-check';

/** A number from 0 up to, but not including, the bound. */
export type Pick = (bound: number) => number;

/** A source of choices: the same seed makes the same ones. */
export function picker(seed: number): Pick {
  let state = seed | 0;
  return (bound) => {
    // mulberry32
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound;
  };
}

/** Choices for {@link spell}. */
export const picks = fc.integer().map(picker);

const SPACES = ['', '', '', ' ', '\n', '\t\r\n '];
const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '/': '\\/',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

/** The value as JSON, its members in any order, with white space and escapes anywhere. */
export function spell(value: unknown, pick: Pick): string {
  const space = () => SPACES[pick(SPACES.length)];
  const listed = (parts: string[]) => space() + parts.join(`${space()},${space()}`) + space();
  if (typeof value === 'string') return spellString(value, pick);
  if (Array.isArray(value)) return `[${listed(value.map((each) => spell(each, pick)))}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = shuffled(Object.entries(value), pick).map(
    ([key, each]) => `${spellString(key, pick)}${space()}:${space()}${spell(each, pick)}`,
  );
  return `{${listed(members)}}`;
}

/** The text as a JSON string, with escapes where one is due and where none is. */
export function spellString(text: string, pick: Pick): string {
  let spelled = '"';
  for (const character of text) {
    const short = SHORT_ESCAPES[character];
    const isLoneSurrogate = character.length === 1 && /[\ud800-\udfff]/.test(character);
    const needsEscape = isLoneSurrogate || character < ' ' || character === '"' || character === '\\';
    const way = pick(8);
    if (short !== undefined && way > 3 && (needsEscape || way === 7)) spelled += short;
    else if (needsEscape || way === 0) spelled += escaped(character, pick);
    else spelled += character;
  }
  return `${spelled}"`;
}

function escaped(character: string, pick: Pick): string {
  let spelled = '';
  for (let i = 0; i < character.length; i++) {
    const hex = character.charCodeAt(i).toString(16).padStart(4, '0');
    spelled += `\\u${pick(2) === 0 ? hex : hex.toUpperCase()}`;
  }
  return spelled;
}

function shuffled<T>(list: readonly T[], pick: Pick): T[] {
  const out = [...list];
  for (let i = out.length - 1; i > 0; i--) {
    const other = pick(i + 1);
    [out[i], out[other]] = [out[other] as T, out[i] as T];
  }
  return out;
}
