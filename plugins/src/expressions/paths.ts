/**
 * Paths of files as servers may read them. What a caller writes is taken apart as generously as any server might:
 * percent-encoding, backslashes, `.` and `..`, double slashes, `file:` URIs, compatibility forms of Unicode.
 */

/** Longer than any system takes. Nothing is said of longer ones. */
const MAX_PATH_LENGTH = 8_192;
/** What was encoded more often than this is taken for what it says after so many. */
const MAX_DECODED_COUNT = 4;
const ESCAPES = /(?:%[0-9a-f]{2})+/gi;
const FILE_URI = /^file:(?:\/\/[^/\\]*)?/i;
/** Characters that nobody sees, and NUL, where C ends a text. */
const UNSEEN = /[\0-\x1f\x7f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]/g;

/** True when a server may take the path for the folder itself or for something in it, in any reading of it. */
export function mayBeBelow(path: string, folder: string): boolean {
  if (path.length > MAX_PATH_LENGTH) return true;
  const within = partsOf(folder.toLowerCase());
  for (const reading of readingsOf(path)) {
    const parts = partsOf(reading.toLowerCase());
    // One that climbs out of where it begins, or begins at a place that the caller chooses, may lead anywhere.
    if (startsWith(parts, within) || (isHome(parts) && within.length > 0)) return true;
  }
  return false;
}

/** True when the path is the folder itself or in it, in every reading of it. One that is not absolute is not. */
export function isBelow(path: string, folder: string): boolean {
  if (path.length > MAX_PATH_LENGTH) return false;
  const within = partsOf(folder);
  for (const reading of readingsOf(path)) {
    const plain = reading.replaceAll('\\', '/');
    if (!plain.startsWith('/') || !startsWith(partsOf(plain), within)) return false;
  }
  return true;
}

/** As it is written, and after each step of decoding, with a NUL and what is behind it, and without. */
function readingsOf(path: string): Set<string> {
  const readings = new Set<string>();
  let reading = path;
  for (let count = 0; count <= MAX_DECODED_COUNT; count++) {
    const folded = reading.normalize('NFKC');
    for (const each of [reading, folded]) {
      const bare = each.replace(FILE_URI, '');
      readings.add(each.startsWith('/') ? each : bare);
      readings.add(bare.replace(UNSEEN, ''));
      const nul = bare.indexOf('\0');
      if (nul !== -1) readings.add(bare.slice(0, nul));
      // A question mark or a hash ends the path of a URI.
      if (bare !== each) readings.add(bare.replace(/[?#].*$/s, ''));
    }
    const decoded = decodedOnce(folded);
    if (decoded === reading) break;
    reading = decoded;
  }
  return readings;
}

/** What percent-encoding stands for, also where that is encoded again. */
export function decodedWholly(text: string): string {
  let decoded = text;
  for (let count = 0; count < MAX_DECODED_COUNT; count++) {
    const next = decodedOnce(decoded);
    if (next === decoded) break;
    decoded = next;
  }
  return decoded;
}

function decodedOnce(text: string): string {
  return text.replace(ESCAPES, (escapes) =>
    Buffer.from(escapes.replaceAll('%', ''), 'hex').toString(isUtf8(escapes) ? 'utf8' : 'latin1'),
  );
}

function isUtf8(escapes: string): boolean {
  try {
    decodeURIComponent(escapes);
    return true;
  } catch {
    return false;
  }
}

/** From the root on; `..` at the root stays there, and a path that is not absolute is taken to begin there. */
function partsOf(path: string): string[] {
  const parts: string[] = [];
  for (const part of path.split(/[/\\]/)) {
    if (part === '..') parts.pop();
    else if (part !== '.' && part !== '' && !/^[a-z]:$/i.test(part)) parts.push(part);
  }
  return parts;
}

/** `~`, `~root`, `$HOME`, `%SYSTEMROOT%`: a shell puts something in its place. */
function isHome([first = '']: readonly string[]): boolean {
  return first.startsWith('~') || first.includes('$') || /^%[^%]+%$/.test(first);
}

function startsWith(parts: readonly string[], beginning: readonly string[]): boolean {
  return beginning.every((part, index) => parts[index] === part);
}
