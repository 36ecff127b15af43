/** Two definitions of a tool, line by line, with what nobody would see made visible. */
import type { Palette } from '../terminal.js';

/** Lines around a difference. */
const CONTEXT_COUNT = 2;
/** Beyond it all lines of one are shown, and then all of the other. */
const MAX_COMPARED_COUNT = 2_000;

type Line = { readonly mark: ' ' | '+' | '-'; readonly text: string };

export function differenceText(before: unknown, after: unknown, paint: Palette): string {
  const lines = compared(linesOf(before), linesOf(after));
  const near = (index: number) =>
    lines
      .slice(Math.max(0, index - CONTEXT_COUNT), index + CONTEXT_COUNT + 1)
      .some(({ mark }) => mark !== ' ');
  let text = '';
  let isCut = false;
  for (const [index, { mark, text: line }] of lines.entries()) {
    if (!near(index)) {
      isCut = true;
      continue;
    }
    if (isCut) text += `${paint.dim('  …')}\n`;
    isCut = false;
    const own = `${mark} ${visible(line)}`;
    text += `${mark === '+' ? paint.green(own) : mark === '-' ? paint.red(own) : own}\n`;
  }
  return isCut ? `${text}${paint.dim('  …')}\n` : text;
}

function linesOf(value: unknown): string[] {
  return value === undefined ? [] : JSON.stringify(sorted(value), undefined, 2).split('\n');
}

/** Members in the order of their names: another order says nothing else. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const names = Object.keys(value).sort();
  return Object.fromEntries(names.map((name) => [name, sorted((value as Record<string, unknown>)[name])]));
}

/** The longest lines in common stay. */
function compared(before: readonly string[], after: readonly string[]): Line[] {
  const [m, n] = [before.length, after.length];
  if (m > MAX_COMPARED_COUNT || n > MAX_COMPARED_COUNT)
    return [
      ...before.map((text) => ({ mark: '-', text }) as const),
      ...after.map((text) => ({ mark: '+', text }) as const),
    ];
  const width = n + 1;
  const common = new Uint32Array((m + 1) * width);
  const at = (i: number, j: number) => common[i * width + j] as number;
  for (let i = m - 1; i >= 0; i--)
    for (let j = n - 1; j >= 0; j--)
      common[i * width + j] =
        before[i] === after[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
  const lines: Line[] = [];
  let [i, j] = [0, 0];
  while (i < m || j < n) {
    if (i < m && j < n && before[i] === after[j]) {
      lines.push({ mark: ' ', text: before[i] as string });
      i++;
      j++;
    } else if (i < m && (j === n || at(i + 1, j) >= at(i, j + 1))) {
      lines.push({ mark: '-', text: before[i++] as string });
    } else lines.push({ mark: '+', text: after[j++] as string });
  }
  return lines;
}

/** Control and format characters, what fonts leave empty, and spaces that are none of ASCII. */
const UNSEEN = /\p{C}|\p{Zl}|\p{Zp}|\p{Default_Ignorable_Code_Point}|(?! )\p{Zs}|\u2800/gu;
/** Letters that look like those of another script, where both stand in one line. */
const LOOK_ALIKE = /[\p{Script=Cyrillic}\p{Script=Greek}\u{ff01}-\u{ff5e}\u{1d400}-\u{1d7ff}]/gu;

/** A text as it is, for somebody who decides by it. */
export function visible(text: string): string {
  const seen = text.replace(UNSEEN, escaped);
  return /[a-z]/i.test(text.replace(/"[^"]*":/, '')) ? seen.replace(LOOK_ALIKE, escaped) : seen;
}

function escaped(character: string): string {
  return `\\u{${(character.codePointAt(0) as number).toString(16)}}`;
}
