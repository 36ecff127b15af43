import { stripVTControlCharacters } from 'node:util';

/**
 * Whether to write colours to a stream. `NO_COLOR` (https://no-color.org) wins over `FORCE_COLOR`, as it does
 * in the help texts; without either, a terminal gets colours and a pipe does not.
 */
export function usesColour(
  stream: { readonly isTTY?: boolean },
  env: Readonly<Record<string, string | undefined>> = process.env,
): boolean {
  if (env.NO_COLOR) return false;
  if (env.FORCE_COLOR !== undefined) return env.FORCE_COLOR !== '0' && env.FORCE_COLOR !== 'false';
  return stream.isTTY === true && env.TERM !== 'dumb';
}

/** Whether what stands on a line can be drawn over: on a terminal, where nobody asked for text without escape codes. */
export function movesCursor(
  stream: { readonly isTTY?: boolean },
  env: Readonly<Record<string, string | undefined>> = process.env,
): boolean {
  return stream.isTTY === true && env.TERM !== 'dumb' && !env.NO_COLOR;
}

/** Functions that dress a text for the terminal, or leave it alone. */
export interface Palette {
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  cyan(text: string): string;
}

/** Select Graphic Rendition codes (ECMA-48, 8.3.117): what begins a style, and what ends it. */
const SGR = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
} as const;

export function palette(colour: boolean): Palette {
  const paint = (style: keyof typeof SGR) => (text: string) =>
    colour ? `\u001b[${SGR[style][0]}m${text}\u001b[${SGR[style][1]}m` : text;
  return {
    bold: paint('bold'),
    dim: paint('dim'),
    red: paint('red'),
    green: paint('green'),
    yellow: paint('yellow'),
    cyan: paint('cyan'),
  };
}

/** One cell of a table: text, or a number, which stands at the right of its column. */
export type Cell = string | number;

const COLUMN_GAP = '   ';

/**
 * Rows as lines with aligned columns: text to the left, numbers to the right. Colours do not count as width,
 * and no line ends in spaces.
 */
export function alignColumns(rows: readonly (readonly Cell[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, visibleWidth(cell));
    });
  }
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const padding = ' '.repeat((widths[column] ?? 0) - visibleWidth(cell));
        return typeof cell === 'number' ? padding + cell : cell + padding;
      })
      .join(COLUMN_GAP)
      .trimEnd(),
  );
}

function visibleWidth(cell: Cell): number {
  return stripVTControlCharacters(String(cell)).length;
}

/**
 * Makes text from outside safe to print: control characters, which could move the cursor or rewrite what
 * stands above, and those that turn the direction of what follows, become visible escapes.
 */
export function printable(text: string): string {
  return text.replace(CONTROL_CHARACTERS, (character) => {
    const code = character.charCodeAt(0);
    return code > 0xff ? `\\u${code.toString(16)}` : `\\x${code.toString(16).padStart(2, '0')}`;
  });
}

/** ISO 6429, line and paragraph separators, and the explicit directional formatting of Unicode (UAX #9, 2). */
const CONTROL_CHARACTERS =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;
