/** Secrets that begin in one block of a result and end in another. */
import type { JsonObject } from '@sluice/sdk';
import { changed, type Redactor } from '../redaction/index.js';
import type { Report } from './report.js';

/** A longer one is seen in the block that holds the most of it. */
const WINDOW_LENGTH = 16_384;
/** Members of a result that hold blocks, and those of a block that hold text. */
const BLOCKS = ['content', 'contents', 'messages'] as const;

interface Piece {
  readonly index: number;
  /** Where in the block it begins, and where in all of them together. */
  readonly offset: number;
  readonly at: number;
  readonly text: string;
}

/** The result with tokens for them; the same object when there is none. */
export function acrossBorders(result: JsonObject, redactor: Redactor, report: Report): JsonObject {
  const members = BLOCKS.filter(
    (each) => Array.isArray(result[each]) && (result[each] as readonly unknown[]).length > 1,
  );
  let own = result;
  for (const member of members) own = { ...own, [member]: joined(own[member] as never, redactor, report) };
  return members.every((member) => own[member] === result[member]) ? result : own;
}

function joined(blocks: JsonObject['content'], redactor: Redactor, report: Report): JsonObject['content'] {
  const texts: string[] = [];
  changed(blocks ?? null, {
    text(text, name) {
      if (name === 'text') texts.push(text);
      return text;
    },
  });
  if (texts.length < 2) return blocks;
  const { pieces, all } = together(texts);
  const alone = new Map<number, ReturnType<Redactor['find']>>();
  const spans = redactor.find(all).filter(({ start, end }) => {
    const piece = pieces.find((each) => start < each.at + each.text.length);
    if (piece === undefined || end > piece.at + piece.text.length) return true;
    // In one block: what is found there without the others is for the block itself.
    const own = alone.get(piece.index) ?? redactor.find(texts[piece.index] as string);
    alone.set(piece.index, own);
    const place = start - piece.at + piece.offset;
    return !own.some((each) => each.start <= place && place < each.end);
  });
  if (spans.length === 0) return blocks;
  for (const { id } of spans) report.redacted[id] = (report.redacted[id] ?? 0) + 1;
  const own = texts.map((text, index) => {
    let out = text;
    // From the last, so that places before it stay.
    for (const piece of pieces.filter((each) => each.index === index).reverse())
      for (const { id, start, end, secret } of [...spans].reverse()) {
        const from = Math.max(start, piece.at) - piece.at;
        const to = Math.min(end, piece.at + piece.text.length) - piece.at;
        if (to <= from) continue;
        // The token stands where it begins; of the rest nothing is left.
        const token = start >= piece.at ? redactor.token(id, secret) : '';
        out = out.slice(0, piece.offset + from) + token + out.slice(piece.offset + to);
      }
    return out;
  });
  let next = 0;
  return changed(blocks ?? null, {
    text: (text, name) => (name === 'text' ? (own[next++] as string) : text),
  });
}

/** All blocks as one text; of long ones their two ends, which nothing joins. */
function together(texts: readonly string[]): { pieces: Piece[]; all: string } {
  const pieces: Piece[] = [];
  let all = '';
  for (const [index, text] of texts.entries()) {
    const add = (own: string, offset: number) => {
      pieces.push({ index, offset, at: all.length, text: own });
      all += own;
    };
    if (text.length <= 2 * WINDOW_LENGTH) {
      add(text, 0);
      continue;
    }
    add(text.slice(0, WINDOW_LENGTH), 0);
    all += '\0';
    add(text.slice(-WINDOW_LENGTH), text.length - WINDOW_LENGTH);
  }
  return { pieces, all };
}
