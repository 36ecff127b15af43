/**
 * A text as it reads when what is written in another way is taken for what it means: percent-encoding, HTML's
 * character references, escapes of JSON, letters that Unicode has twice, and characters that nobody sees. Places in it
 * lead back to the text that it was made of.
 */

/** A reading of a text. */
export interface View {
  readonly text: string;
  /** Where in the original the piece of `start` and `end` stands. */
  origin(start: number, end: number): { readonly start: number; readonly end: number };
}

/** Something written in a way inside of something written in a way: so often it is taken for what it means. */
const MAX_LAYER_COUNT = 4;

/** Letters, digits and signs that NFKC makes ASCII, and characters that nobody sees. */
const COMPATIBLE =
  '\\u00a0\\u00ad\\u00aa\\u00b2\\u00b3\\u00b9\\u00ba\\u02b0-\\u02b8\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u1d2c-\\u1d6a' +
  '\\u2000-\\u206f\\u2070-\\u209c\\u2100-\\u214f\\u2160-\\u217f\\u2460-\\u24ff\\u3000\\u3164\\ufb00-\\ufb06\\ufe00-\\ufe0f\\ufe13-\\ufe19\\ufe30-\\ufe6b' +
  '\\u0300-\\u036f\\u0660-\\u0669\\u06f0-\\u06f9\\u07c0-\\u07c9\\u0966-\\u096f\\u09e6-\\u09ef\\u0e50-\\u0e59\\u0ed0-\\u0ed9' +
  '\\ufeff\\uff01-\\uff5e\\uffa0\\ufff9-\\ufffb\\u{1d400}-\\u{1d7ff}\\u{1f100}-\\u{1f1ff}\\u{1fbf0}-\\u{1fbf9}\\u{e0000}-\\u{e0fff}';
const WRITTEN_SOURCE =
  '(?:%[89A-Fa-f][0-9A-Fa-f])+|%[0-7][0-9A-Fa-f]|%u[0-9A-Fa-f]{4}' +
  '|&(?:#[0-9]{1,8}|#[xX][0-9A-Fa-f]{1,7}|[A-Za-z]{2,12});?' +
  '|\\\\(?:u[0-9A-Fa-f]{4}|u\\{[0-9A-Fa-f]{1,6}\\}|U[0-9A-Fa-f]{8}|x[0-9A-Fa-f]{2}|[0-3][0-7]{2}|["\\\\/bfnrt])' +
  `|[${COMPATIBLE}]`;
const WRITTEN = new RegExp(WRITTEN_SOURCE, 'gu');
const IS_WRITTEN = new RegExp(WRITTEN_SOURCE, 'u');
const UNSEEN = new RegExp(
  '^[\\u00ad\\u0300-\\u036f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f' +
    '\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff9-\\ufffb\\u{e0000}-\\u{e0fff}]$',
  'u',
);
/** Where other scripts have the ten digits, which NFKC leaves as they are. */
const ZEROS: readonly number[] = [0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0e50, 0x0ed0];
const NAMED: ReadonlyMap<string, string> = new Map([
  ...([
    ['amp', '&'],
    ['lt', '<'],
    ['gt', '>'],
    ['quot', '"'],
    ['apos', "'"],
    ['nbsp', ' '],
  ] as const),
  ...([
    ['commat', '@'],
    ['period', '.'],
    ['colon', ':'],
    ['sol', '/'],
    ['bsol', '\\'],
    ['lowbar', '_'],
  ] as const),
  ...([
    ['UnderBar', '_'],
    ['hyphen', '-'],
    ['dash', '-'],
    ['plus', '+'],
    ['equals', '='],
    ['num', '#'],
  ] as const),
  ...([
    ['shy', ''],
    ['zwnj', ''],
    ['zwj', ''],
    ['lrm', ''],
    ['rlm', ''],
    ['Tab', '\t'],
    ['NewLine', '\n'],
  ] as const),
  ...([
    ['lpar', '('],
    ['rpar', ')'],
    ['semi', ';'],
    ['comma', ','],
    ['percnt', '%'],
    ['dollar', '$'],
  ] as const),
  ...([
    ['verbar', '|'],
    ['grave', '`'],
    ['excl', '!'],
    ['quest', '?'],
    ['ast', '*'],
    ['tilde', '~'],
  ] as const),
]);
const ESCAPED: Readonly<Record<string, string>> = {
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  '"': '"',
  '\\': '\\',
  '/': '/',
};

/** The text, and its readings, as long as one says something else than that before it. */
export function* viewsOf(text: string): Generator<View> {
  let view: View = { text, origin: (start, end) => ({ start, end }) };
  yield view;
  for (let layer = 0; layer < MAX_LAYER_COUNT; layer += 1) {
    const next = readingOf(view);
    if (next === undefined) return;
    view = next;
    yield view;
  }
}

/** The last of the readings: the text as it is meant. */
export function meant(text: string): string {
  let last = text;
  for (const view of viewsOf(text)) last = view.text;
  return last;
}

function readingOf(inner: View): View | undefined {
  if (!IS_WRITTEN.test(inner.text)) return undefined;
  const pieces = new Pieces();
  let done = 0;
  let out = '';
  WRITTEN.lastIndex = 0;
  for (let match = WRITTEN.exec(inner.text); match !== null; match = WRITTEN.exec(inner.text)) {
    const own = match[0];
    const means = meaningOf(own);
    if (means === own) continue;
    out += inner.text.slice(done, match.index);
    pieces.add(out.length, match.index, means.length, own.length);
    out += means;
    done = match.index + own.length;
  }
  if (done === 0) return undefined;
  out += inner.text.slice(done);
  return {
    text: out,
    origin: (start, end) => inner.origin(pieces.startOf(start), pieces.endOf(end)),
  };
}

function meaningOf(own: string): string {
  const first = own.charCodeAt(0);
  if (first === 37) return percentMeaning(own);
  if (first === 38) return referenceMeaning(own);
  if (first === 92) {
    const kind = own[1] as string;
    if (/[0-3]/.test(kind)) return String.fromCharCode(Number.parseInt(own.slice(1), 8));
    return /[uUx]/.test(kind) ? characterOf(own.slice(2).replace(/[{}]/g, '')) : (ESCAPED[kind] ?? own);
  }
  if (UNSEEN.test(own)) return '';
  const zero = ZEROS.find((each) => first >= each && first < each + 10);
  return zero === undefined ? own.normalize('NFKC') : String(first - zero);
}

/** The character of a code that is written in hexadecimal digits. */
function characterOf(digits: string): string {
  const code = Number.parseInt(digits, 16);
  return code <= 0x10ffff ? String.fromCodePoint(code) : '\ufffd';
}

function percentMeaning(own: string): string {
  if (own[1] === 'u') return characterOf(own.slice(2));
  try {
    return decodeURIComponent(own);
  } catch {
    return own;
  }
}

function referenceMeaning(own: string): string {
  const name = own.slice(1, own.endsWith(';') ? -1 : undefined);
  if (name[0] !== '#') return (own.endsWith(';') ? NAMED.get(name) : undefined) ?? own;
  const isHex = name[1] === 'x' || name[1] === 'X';
  const code = isHex ? Number.parseInt(name.slice(2), 16) : Number(name.slice(1));
  return code <= 0x10ffff ? String.fromCodePoint(code) : own;
}

/** Which pieces of a text stand for which of another; all between them is the same. */
class Pieces {
  private readonly out: number[] = [];
  private readonly from: number[] = [];
  private readonly outLength: number[] = [];
  private readonly fromLength: number[] = [];

  add(out: number, from: number, outLength: number, fromLength: number): void {
    this.out.push(out);
    this.from.push(from);
    this.outLength.push(outLength);
    this.fromLength.push(fromLength);
  }

  /** Where what stands at a place begins. */
  startOf(place: number): number {
    const index = this.before(place);
    if (index === -1) return place;
    const inside = place - (this.out[index] as number);
    if (inside < (this.outLength[index] as number)) return this.from[index] as number;
    return this.behind(index, inside);
  }

  /** Where what stands before a place ends. */
  endOf(place: number): number {
    const index = this.before(place - 1);
    if (index === -1) return place;
    const inside = place - (this.out[index] as number);
    if (inside <= (this.outLength[index] as number))
      return (this.from[index] as number) + (this.fromLength[index] as number);
    return this.behind(index, inside);
  }

  private behind(index: number, inside: number): number {
    return (
      (this.from[index] as number) +
      (this.fromLength[index] as number) +
      inside -
      (this.outLength[index] as number)
    );
  }

  /** The last piece that begins at a place or before it; -1 when none does. */
  private before(place: number): number {
    let low = 0;
    let high = this.out.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.out[middle] as number) <= place) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}
