/**
 * Binary text: a string with one character for each byte (latin-1). It is how spliced messages travel, because
 * V8 slices and joins such strings without copying and a socket writes them in one call.
 */
import type { Envelope, Span } from './scan.js';

declare global {
  // Node's own slicing methods, which skip the checks of `toString` and which its type package does not list.
  interface Buffer<TArrayBuffer extends ArrayBufferLike = ArrayBufferLike> {
    latin1Slice(start?: number, end?: number): string;
    utf8Slice(start?: number, end?: number): string;
  }
}

/** The bytes of a span as binary text. */
export function binaryOf(bytes: Buffer, span: Span): string {
  return bytes.latin1Slice(span.start, span.end);
}

/** Binary text of a JavaScript string. */
export function toBinary(text: string): string {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 0x7f) return Buffer.from(text).latin1Slice();
  }
  return text;
}

/** Binary text of a value as JSON. */
export function jsonBinary(value: unknown): string {
  return toBinary(JSON.stringify(value));
}

/** The bytes behind binary text. */
export function binaryToBytes(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

/** The value of a span, parsed. */
export function parsed(bytes: Buffer, span: Span): unknown {
  return JSON.parse(bytes.utf8Slice(span.start, span.end));
}

/** The value of a span when it is a string, else undefined. */
export function stringOf(bytes: Buffer, span: Span | undefined): string | undefined {
  if (span === undefined || bytes[span.start] !== 0x22) return undefined;
  const text = bytes.utf8Slice(span.start + 1, span.end - 1);
  return text.includes('\\') ? (JSON.parse(`"${text}"`) as string) : text;
}

/** One replacement in a message; an empty span inserts. */
export interface Edit {
  readonly start: number;
  readonly end: number;
  /** Binary text. */
  readonly text: string;
}

/** The message as binary text with the edits made; everything else stays byte for byte. */
export function splice(bytes: Buffer, envelope: Envelope, edits: readonly Edit[]): string {
  if (edits.length === 0) return bytes.latin1Slice(envelope.start, envelope.end);
  const ordered = edits.length === 1 ? edits : [...edits].sort((a, b) => a.start - b.start || a.end - b.end);
  let out = '';
  let at = envelope.start;
  for (const edit of ordered) {
    out += bytes.latin1Slice(at, edit.start) + edit.text;
    at = edit.end;
  }
  return out + bytes.latin1Slice(at, envelope.end);
}

/** An edit that replaces a span's value. */
export function replace(span: Span, text: string): Edit {
  return { start: span.start, end: span.end, text };
}

/** An edit that adds `"key":value` as the first member of the object at `span`. `value` is JSON as binary text. */
export function addMember(bytes: Buffer, span: Span, key: string, value: string): Edit {
  let at = span.start + 1;
  for (;;) {
    const c = bytes[at];
    if (c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09) at++;
    else break;
  }
  const comma = bytes[at] === 0x7d ? '' : ',';
  return { start: span.start + 1, end: span.start + 1, text: `${jsonBinary(key)}:${value}${comma}` };
}
