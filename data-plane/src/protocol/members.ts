/**
 * The members of one object of a message that was scanned already, found without building anything: what nobody
 * changes keeps its bytes, and with them numbers that JavaScript cannot hold.
 */
import type { Span } from './scan.js';
import { stringOf } from './text.js';

export interface Member {
  readonly key: string;
  /** Where the key begins, its quotation mark included; the member ends with its value. */
  readonly start: number;
  readonly value: Span;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** The members of the object at `span`, in order. Not for bytes that nobody has scanned. */
export function membersOf(bytes: Buffer, span: Span): Member[] {
  const members: Member[] = [];
  let at = behindSpace(bytes, span.start + 1);
  while (bytes[at] !== CLOSE_BRACE) {
    const keyEnd = behindString(bytes, at);
    const start = behindSpace(bytes, behindSpace(bytes, keyEnd) + 1);
    const end = behindValue(bytes, start);
    const key = stringOf(bytes, { start: at, end: keyEnd }) as string;
    members.push({ key, start: at, value: { start, end } });
    at = behindSpace(bytes, end);
    if (bytes[at] === COMMA) at = behindSpace(bytes, at + 1);
  }
  return members;
}

/** One member's value; scanned messages have none twice. */
export function memberOf(bytes: Buffer, object: Span, key: string): Span | undefined {
  return membersOf(bytes, object).find((member) => member.key === key)?.value;
}

/**
 * Binary text of an object: `added` (members as binary text, or empty) in front of those members that stay.
 */
export function objectOf(bytes: Buffer, added: string, staying: readonly Member[]): string {
  let text = added;
  for (const { start, value } of staying) {
    if (text !== '') text += ',';
    text += bytes.latin1Slice(start, value.end);
  }
  return `{${text}}`;
}

function behindSpace(bytes: Buffer, from: number): number {
  let at = from;
  for (;;) {
    const c = bytes[at];
    if (c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09) at++;
    else return at;
  }
}

function behindString(bytes: Buffer, from: number): number {
  let at = from + 1;
  while (bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1;
  return at + 1;
}

function behindValue(bytes: Buffer, from: number): number {
  let open = 0;
  let at = from;
  do {
    const c = bytes[at];
    if (c === QUOTE) at = behindString(bytes, at);
    else if (c === OPEN_BRACE || c === OPEN_BRACKET) {
      open++;
      at++;
    } else if (c === CLOSE_BRACE || c === CLOSE_BRACKET) {
      open--;
      at++;
    } else if (open > 0) at++;
    else at = behindScalar(bytes, at);
  } while (open > 0);
  return at;
}

/** Behind a number, `true`, `false` or `null`. */
function behindScalar(bytes: Buffer, from: number): number {
  let at = from;
  for (;;) {
    const c = bytes[at] as number;
    if (c <= 0x20 || c === COMMA || c === CLOSE_BRACE || c === CLOSE_BRACKET) return at;
    at++;
  }
}
