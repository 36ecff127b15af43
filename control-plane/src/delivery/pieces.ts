/** What Pull answers, cut into messages that a connection takes without waiting for others too long. */
import { create, toBinary } from '@bufbuild/protobuf';
import {
  type Entry,
  type KeyText,
  type Position,
  PullResponseSchema,
  parseKeyText,
  type ResourceKey,
} from '@sluice/proto/cluster';

/** Largest piece, unless a single resource is larger. */
export const MAX_PIECE_BYTES = 1024 * 1024;

/** Room for position and marks in each piece. */
const PIECE_HEAD_BYTES = 512;

/** Tag and length of each member, and the tags inside a key. */
const MEMBER_HEAD_BYTES = 16;

/** What a node has to do to come from what it has to `position`. */
export interface Transfer {
  readonly position: Position;
  /** Everything else that it has is to be forgotten. */
  readonly snapshot: boolean;
  readonly changed: Iterable<Entry>;
  readonly removed: Iterable<KeyText>;
}

/** Encoded `PullResponse` messages; at least one. */
export function encodePieces({ position, snapshot, changed, removed }: Transfer): readonly Buffer[] {
  const pieces: { changed: Uint8Array[]; removed: ResourceKey[] }[] = [];
  let room = 0;
  const pieceFor = (bytes: number) => {
    let piece = pieces.at(-1);
    if (piece === undefined || bytes > room) {
      piece = { changed: [], removed: [] };
      pieces.push(piece);
      room = MAX_PIECE_BYTES - PIECE_HEAD_BYTES;
    }
    room -= bytes;
    return piece;
  };
  for (const key of removed)
    pieceFor(Buffer.byteLength(key) + MEMBER_HEAD_BYTES).removed.push(...keysOf([key]));
  for (const { bytes } of changed) pieceFor(bytes.byteLength + MEMBER_HEAD_BYTES).changed.push(bytes);
  if (pieces.length === 0) pieceFor(0);
  return pieces.map((piece, index) =>
    Buffer.from(
      toBinary(
        PullResponseSchema,
        create(PullResponseSchema, { position, snapshot, ...piece, last: index === pieces.length - 1 }),
      ),
    ),
  );
}

/** Keys as they travel. */
export function keysOf(texts: Iterable<KeyText>): ResourceKey[] {
  return [...texts].flatMap((text) => parseKeyText(text) ?? []);
}
