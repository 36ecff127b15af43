/** How sessions stand in NATS key-value. */
import type { SessionRecord } from '../sessions/store.js';

/** What watches and claims over and over is small; what is larger is made anew at its next worker. */
const MAX_RECORD_BYTES = 256 * 1_024;

/** Ids of sessions are keys as they are; others, such as those of processes, may have anything in them. */
const PLAIN_ID = /^[A-Za-z0-9_-]+$/;
const PLAIN = 's.';
const ENCODED = 'x.';
/** A node that lives writes this each minute. */
const NODE = 'n.';
/** Who sweeps now. */
export const SWEEPER_KEY = 'sweeper';

/** On the wire; `e` stands for a session that has ended. */
interface Entry {
  readonly o?: string;
  readonly h?: SessionRecord['held'];
  readonly e?: 1;
}

export const ENDED: Uint8Array = Buffer.from('{"e":1}');

export function keyOf(id: string): string {
  return PLAIN_ID.test(id) ? PLAIN + id : ENCODED + Buffer.from(id).toString('base64url');
}

/** The session that a key is of; undefined for one that is of none. */
export function idOfKey(key: string): string | undefined {
  if (key.startsWith(PLAIN)) return key.slice(PLAIN.length);
  return key.startsWith(ENCODED) ? Buffer.from(key.slice(ENCODED.length), 'base64url').toString() : undefined;
}

export function nodeKeyOf(node: string): string {
  return NODE + node;
}

export function nodeOfKey(key: string): string | undefined {
  return key.startsWith(NODE) ? key.slice(NODE.length) : undefined;
}

export function recordToBytes({ owner, held }: SessionRecord): Uint8Array {
  const whole = Buffer.from(JSON.stringify({ o: owner, h: held } satisfies Entry));
  return whole.length <= MAX_RECORD_BYTES
    ? whole
    : Buffer.from(JSON.stringify({ o: owner, h: {} } satisfies Entry));
}

/** Undefined when the session has ended. */
export function recordFromBytes(bytes: Uint8Array): SessionRecord | undefined {
  const { o, h, e } = JSON.parse(Buffer.from(bytes).toString()) as Entry;
  return e === 1 || o === undefined ? undefined : { owner: o, held: h ?? {} };
}
