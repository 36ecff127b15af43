/** What two workers say to each other of upstreams: mostly of a subprocess that one of them has and the other one uses. */
import type { Era } from '../../protocol/revisions.js';
import type { ListKind, UpstreamFacts } from '../offers.js';

interface Failure {
  readonly code: number;
  readonly message: string;
  readonly data?: unknown;
}

/** From the worker that uses it. */
export type ToLender =
  | { type: 'connect'; id: number; upstreamId: string }
  | { type: 'call'; id: number; upstreamId: string; method: string; bytes: Uint8Array }
  | { type: 'cancel'; id: number }
  | { type: 'listen'; upstreamId: string };

/** From the worker that has it. */
export type ToBorrower =
  | { type: 'connected'; id: number; era: Era; facts: UpstreamFacts }
  | { type: 'note'; id: number; bytes: Uint8Array }
  | { type: 'reply'; id: number; bytes: Uint8Array }
  | { type: 'failed'; id: number; failure: Failure }
  /** What the process said outside of calls. */
  | { type: 'heard'; upstreamId: string; bytes: Uint8Array }
  /** The connection is of no use any more. */
  | { type: 'stale'; upstreamId: string; reason: string };

/** What sessions of a principal heard of an upstream, wherever its process is; without a kind: any list. */
export type OfferChanged = {
  type: 'offerChanged';
  upstreamId: string;
  principal: string;
  kind: ListKind | undefined;
};

/** Each of two workers may have processes that the other one uses. */
export type UpstreamMessage = ToLender | ToBorrower | OfferChanged;

export function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
