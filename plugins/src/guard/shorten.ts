/** A result that is too large, with less of its texts. */
import type { Json, JsonObject } from '@sluice/sdk';
import { changed } from '../redaction/index.js';

/** What is put behind a text of which something was left out, and how many bytes it takes at most. */
const note = (count: number) => `\n[${count} bytes left out]`;
const NOTE_BYTES = 40;
/** Escapes of JSON make a text longer; this often is measured again. */
const MAX_TRY_COUNT = 6;

/**
 * Undefined when that cannot be done: what programs read is not cut.
 *
 * @param bytes what it has, and what it may have.
 */
export function shortened(result: JsonObject, bytes: number, maxBytes: number): JsonObject | undefined {
  const lengths: number[] = [];
  visit(result, (text) => {
    lengths.push(Buffer.byteLength(text));
    return text;
  });
  let tooMany = bytes - maxBytes;
  for (let count = 0; count < MAX_TRY_COUNT; count += 1) {
    const limit = limitFor(lengths, tooMany);
    if (limit === undefined) return undefined;
    const own = visit(result, (text) => cut(text, limit)) as JsonObject;
    const now = Buffer.byteLength(JSON.stringify(own));
    if (now <= maxBytes) return own;
    tooMany += now - maxBytes;
  }
  return undefined;
}

/** How long a text may be so that all together are shorter by so much; undefined when they are too short for that. */
function limitFor(lengths: readonly number[], tooMany: number): number | undefined {
  const sorted = [...lengths].sort((a, b) => b - a);
  for (let count = 1, sum = 0; count <= sorted.length; count += 1) {
    sum += sorted[count - 1] as number;
    const limit = Math.floor((sum - tooMany) / count) - NOTE_BYTES;
    const next = sorted[count] ?? 0;
    if (limit >= Math.max(0, next - NOTE_BYTES) || (count === sorted.length && limit >= 0)) return limit;
  }
  return undefined;
}

function cut(text: string, limit: number): string {
  const bytes = Buffer.byteLength(text);
  if (bytes <= limit + NOTE_BYTES) return text;
  // A character of several bytes is left out as a whole.
  const own = Buffer.from(text)
    .subarray(0, limit)
    .toString('utf8')
    .replace(/\ufffd$/, '');
  return own + note(bytes - Buffer.byteLength(own));
}

/** Texts that models read; members beside them that programs read stay. */
function visit(result: JsonObject, text: (text: string) => string): Json {
  return changed(result, {
    text: (own, name) => (name === 'text' ? text(own) : own),
    isKept: (name, depth) => depth === 0 && !['content', 'contents', 'messages'].includes(name),
  });
}
