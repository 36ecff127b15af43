/**
 * Ids and progress tokens as JSON text. Whoever echoes one may spell it anew (`"a/b"` as `"a\/b"`, `"é"` as
 * `"\u00e9"`), so that what is looked up by an id has to have one spelling.
 */
import type { Span } from './scan.js';
import { toBinary } from './text.js';

/** The id at `span` in its one spelling (binary text). Numbers stay as they are. */
export function idKey(bytes: Buffer, span: Span): string {
  return idKeyOf(bytes.latin1Slice(span.start, span.end));
}

/** The same for an id that is text already. */
export function idKeyOf(text: string): string {
  return text.includes('\\')
    ? toBinary(JSON.stringify(JSON.parse(Buffer.from(text, 'latin1').toString())))
    : text;
}

/** True when the value at `span` is the id whose text is `id`, however the two are spelled. */
export function isId(bytes: Buffer, span: Span, id: string): boolean {
  const text = bytes.latin1Slice(span.start, span.end);
  return text === id || idKeyOf(text) === idKeyOf(id);
}

/** True for JSON text that can be an id: a string or a whole number. */
export function isIdText(text: string): boolean {
  try {
    const id: unknown = JSON.parse(Buffer.from(text, 'latin1').toString());
    return typeof id === 'string' || Number.isSafeInteger(id);
  } catch {
    return false;
  }
}
