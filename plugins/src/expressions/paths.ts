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
/** Forms of `.`, `/` and `\` that are longer than UTF-8 allows, and that some decode all the same. */
const LONG_FORM_OF: Readonly<Record<string, string>> = {
  '%c0%ae': '.',
  '%c0%af': '/',
  '%c1%9c': '\\',
  '%e0%80%ae': '.',
  '%e0%80%af': '/',
};
const LONG_FORMS = /%(?:c0%a[ef]|c1%9c|e0%80%a[ef])/gi;
/** What a shell runs, and puts what comes out in its place. */
const SUBSTITUTED = /\$[({]|`/;
/** Characters that a shell, or a server that takes patterns, has other names for. */
const WILD = /[*?{]|\[[^\]]*\]/;
/** Characters that nobody sees, and NUL, where C ends a text. */
const UNSEEN = /[\0-\x1f\x7f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]/g;

/** True when a server may take the path for the folder itself or for something in it, in any reading of it. */
export function mayBeBelow(path: string, folder: string): boolean {
  if (path.length > MAX_PATH_LENGTH) return true;
  const within = partsOf(folder.toLowerCase());
  for (const reading of readingsOf(path)) {
    for (const way of waysOf(reading.toLowerCase())) {
      const parts = way.map(bare);
      if (within.every((part, index) => mayBe(parts[index], part))) return true;
      if (within.length > 0 && leadsAnywhere(reading, parts)) return true;
    }
  }
  return false;
}

/** True when the path is the folder itself or in it, in every reading of it. One that is not absolute is not. */
export function isBelow(path: string, folder: string): boolean {
  if (path.length > MAX_PATH_LENGTH) return false;
  const within = partsOf(folder);
  for (const reading of readingsOf(path)) {
    const plain = reading.replaceAll('\\', '/');
    if (!plain.startsWith('/') || SUBSTITUTED.test(plain)) return false;
    const isWithin = (parts: string[]) => within.every((part, index) => parts[index] === part);
    if (!waysOf(plain).every(isWithin)) return false;
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
      // A URI's dots count also where they are encoded, and its slashes do not (WHATWG URL, "double-dot URL path segment").
      readings.add(bare.replaceAll(/%2e/gi, '.'));
      // Windows passes over spaces behind a name.
      readings.add(bare.replace(/ +(?=[/\\]|$)/g, ''));
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
  const plain = text
    .replace(LONG_FORMS, (form) => LONG_FORM_OF[form.toLowerCase()] as string)
    .replace(/%u([0-9a-f]{4})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return plain.replace(ESCAPES, (escapes) =>
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

/** Parts that lead nowhere, and that `..` therefore does not take back: for Windows, for POSIX, and for a URI. */
const PASSED_OVER = [/^(?:\?|[a-z]:)?$/i, /^$/, /^(?!)/];

/** In each way to go on from such a part: from the root on, where `..` stays, and where relative paths begin. */
function waysOf(path: string): string[][] {
  return PASSED_OVER.map((isPassedOver) => {
    const parts: string[] = [];
    for (const part of path.split(/[/\\]/)) {
      if (part === '..') parts.pop();
      else if (part !== '.' && !isPassedOver.test(part)) parts.push(part);
    }
    return parts.filter((part) => !PASSED_OVER[0]?.test(part));
  });
}

function partsOf(path: string): string[] {
  return waysOf(path)[0] as string[];
}

/** Windows passes over dots and spaces behind a name, and takes what is behind a colon for a part of the file. */
function bare(part: string): string {
  return part
    .replace(/^[a-z]:/, '')
    .replace(/:.*$/s, '')
    .replace(/[. ]+$/, '');
}

function mayBe(part: string | undefined, name: string): boolean {
  return part !== undefined && (part === name || WILD.test(part));
}

/**
 * `~`, `$HOME`, `%SYSTEMROOT%`, for which a shell puts something else; the root of a process in `/proc`; a share of a
 * whole drive.
 */
function leadsAnywhere(reading: string, parts: readonly string[]): boolean {
  const [first = ''] = parts;
  if (SUBSTITUTED.test(reading)) return true;
  if (first.startsWith('~') || first.includes('$') || /^%[^%]+%$/.test(first)) return true;
  if (first === 'proc' && parts.some((part) => part === 'root' || part === 'cwd' || part === 'fd'))
    return true;
  return parts.some((part) => /^[a-z]\$$/.test(part)) || (first === 'dev' && parts[1] === 'fd');
}
