/** Texts that are written in base64 or in hexadecimal digits inside of a text (RFC 4648, sections 4, 5 and 8). */

/** Shorter ones hold no secret. */
const MIN_RUN_LENGTH = 16;
/** Of a longer one only so much is decoded; files are larger, and are no text. */
const MAX_DECODED_LENGTH = 262_144;
/** So many bytes at its beginning say whether it is a text. */
const PROBE_BYTES = 18;
const MIN_HEX_LENGTH = 24;
const HEX = /^(?:[0-9A-Fa-f]{2})+$/;

/** 1 for characters of base64 and base64url, 2 for those between its lines. */
const KIND = new Uint8Array(128);
for (const character of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-')
  KIND[character.charCodeAt(0)] = 1;
for (const character of '\r\n') KIND[character.charCodeAt(0)] = 2;

/** A run that is text when it is decoded. */
export interface Base64Run {
  readonly start: number;
  readonly end: number;
  readonly decoded: string;
}

/** All of them, by place. */
export function base64Runs(text: string): readonly Base64Run[] {
  const runs: Base64Run[] = [];
  let start = 0;
  let count = 0;
  // By hand: an expression for it takes five times as long as all others together.
  for (let place = 0; place <= text.length; place += 1) {
    const code = text.charCodeAt(place);
    const kind = code < 128 ? KIND[code] : 0;
    if (kind === 1) {
      if (count === 0) start = place;
      count += 1;
      continue;
    }
    if (kind === 2) continue;
    if (count >= MIN_RUN_LENGTH) addRun(text, start, place, runs);
    count = 0;
  }
  return runs;
}

function addRun(text: string, start: number, behind: number, runs: Base64Run[]): void {
  const own = text.slice(start, behind).trimEnd();
  let end = start + own.length;
  while (text[end] === '=') end += 1;
  const plain = own.replace(/[\r\n]/g, '').slice(0, MAX_DECODED_LENGTH);
  // Its letters are those of base64 too.
  if (plain.length >= MIN_HEX_LENGTH && HEX.test(plain)) {
    const bytes = Buffer.from(plain, 'hex');
    if (isText(bytes.subarray(0, PROBE_BYTES))) runs.push({ start, end, decoded: bytes.toString('utf8') });
  }
  // What stands directly before it may shift it; each of the four ways to read it is looked at.
  for (let shift = 0; shift < 4; shift += 1) {
    const probe = Buffer.from(plain.slice(shift, shift + (PROBE_BYTES / 3) * 4), 'base64');
    if (!isText(probe)) continue;
    runs.push({ start, end, decoded: Buffer.from(plain.slice(shift), 'base64').toString('utf8') });
  }
}

/** True for bytes that a text begins with; one character may be cut. */
function isText(bytes: Uint8Array): boolean {
  let strange = 0;
  for (const byte of bytes)
    if (byte === 127 || (byte < 32 && byte !== 9 && byte !== 10 && byte !== 13)) strange += 1;
  // One may be there to hide the rest.
  if (strange > 1) return false;
  const text = Buffer.from(bytes).toString('utf8');
  return !text.slice(0, -1).includes('\ufffd');
}
