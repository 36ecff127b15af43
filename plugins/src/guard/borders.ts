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

/** What takes the place of a part of a block. */
interface Edit {
  readonly from: number;
  readonly to: number;
  readonly token: string;
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
  const edits = new Map<number, Edit[]>();
  // Both are in order, so each piece is passed once however many there are.
  let first = 0;
  for (const { id, start, end, secret } of redactor.find(all)) {
    while (first < pieces.length - 1 && start >= endOf(pieces[first] as Piece)) first += 1;
    if (end <= endOf(pieces[first] as Piece) && isFoundAlone(pieces[first] as Piece, start)) continue;
    report.redacted[id] = (report.redacted[id] ?? 0) + 1;
    for (let index = first; index < pieces.length; index += 1) {
      const piece = pieces[index] as Piece;
      if (piece.at >= end) break;
      const shift = piece.offset - piece.at;
      // The token stands where it begins; of the rest nothing is left.
      const token = start >= piece.at ? redactor.token(id, secret) : '';
      const edit = {
        from: Math.max(start, piece.at) + shift,
        to: Math.min(end, endOf(piece)) + shift,
        token,
      };
      const others = edits.get(piece.index);
      if (others === undefined) edits.set(piece.index, [edit]);
      else others.push(edit);
    }
  }
  if (edits.size === 0) return blocks;
  const own = texts.map((text, index) => edited(text, edits.get(index) ?? []));

  /** What is found in a block without the others is for the block itself. */
  function isFoundAlone(piece: Piece, start: number): boolean {
    const found = alone.get(piece.index) ?? redactor.find(texts[piece.index] as string);
    alone.set(piece.index, found);
    const place = start - piece.at + piece.offset;
    return found.some((each) => each.start <= place && place < each.end);
  }
  let next = 0;
  return changed(blocks ?? null, {
    text: (text, name) => (name === 'text' ? (own[next++] as string) : text),
  });
}

function edited(text: string, edits: readonly Edit[]): string {
  let out = '';
  let done = 0;
  for (const { from, to, token } of edits) {
    out += text.slice(done, from) + token;
    done = to;
  }
  return out + text.slice(done);
}

function endOf({ at, text }: Piece): number {
  return at + text.length;
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
