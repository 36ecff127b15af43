import { isJsonObject } from './json-object.js';

/**
 * Resource URIs at the merged endpoint: each carries the upstream it came from, and maps back exactly.
 *
 * - most schemes: `demo://resource/1` of `everything` is `everything+demo://resource/1`; text without a scheme
 *   (a template such as `{+uri}`) is `everything+:{+uri}`;
 * - schemes that mean something to a client keep their scheme: `ui://panel/main` is `ui://everything/panel/main`.
 *
 * Templates take the same way: expanding the exposed template gives the exposed form of the expanded URI.
 */

/** Schemes that clients recognise by name; the upstream becomes the first segment after `//`. */
const KEPT_SCHEME = /^(ui|skill):\/\//i;

const SCHEME = /^[a-z][a-z0-9+.-]*:/i;

/** The URI (or URI template) under which the merged endpoint offers `uri` of the upstream. */
export function exposeUri(upstreamName: string, uri: string): string {
  const segment = encodeUpstream(upstreamName);
  const kept = KEPT_SCHEME.exec(uri);
  if (kept) return `${kept[0]}${segment}/${uri.slice(kept[0].length)}`;
  return SCHEME.test(uri) ? `${segment}+${uri}` : `${segment}+:${uri}`;
}

/** Reads what {@link exposeUri} (or the expansion of an exposed template) made; undefined for other text. */
export function readExposedUri(exposed: string): { upstreamName: string; uri: string } | undefined {
  const kept = KEPT_SCHEME.exec(exposed);
  const segmentStart = kept ? kept[0].length : 0;
  const segmentEnd = exposed.indexOf(kept ? '/' : '+', segmentStart);
  if (segmentEnd < 0) return undefined;
  const upstreamName = decodeUpstream(exposed.slice(segmentStart, segmentEnd));
  if (upstreamName === undefined) return undefined;
  const rest = exposed.slice(segmentEnd + 1);
  if (kept) return { upstreamName, uri: kept[0] + rest };
  if (rest.startsWith(':')) return { upstreamName, uri: rest.slice(1) };
  return SCHEME.test(rest) ? { upstreamName, uri: rest } : undefined;
}

/**
 * In front of a name that would not begin with a letter, as a scheme has to (RFC 3986 section 3.1). No other
 * encoded name holds `.-`.
 */
const LETTER_FIRST = 'x.-';

/**
 * Writes an upstream's name in the characters of a URI scheme, without letter case because clients fold it:
 * lower-case letters, digits and `-` stand for themselves, `.m` for `M`, `..` for `_`, and `.0` with four
 * hexadecimal digits for any other UTF-16 unit.
 */
function encodeUpstream(name: string): string {
  const body = name.replace(/[^a-z0-9-]/g, (unit) => {
    if (unit === '_') return '..';
    if (unit >= 'A' && unit <= 'Z') return `.${unit.toLowerCase()}`;
    return `.0${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
  return /^[a-z]/.test(body) ? body : LETTER_FIRST + body;
}

function decodeUpstream(segment: string): string | undefined {
  const folded = segment.toLowerCase();
  const body = folded.startsWith(LETTER_FIRST) ? folded.slice(LETTER_FIRST.length) : folded;
  const name = body.replace(/\.(?:0([0-9a-f]{4})|([a-z])|\.)/g, (_, hex?: string, letter?: string) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    return letter === undefined ? '_' : letter.toUpperCase();
  });
  // Only what encoding makes is a name: one upstream has one segment.
  return encodeUpstream(name) === folded ? name : undefined;
}

/** Where messages of upstreams hold resource URIs; `[]` stands for every element of an array. */
const URI_PLACES = {
  'tools/call result': ['content[].uri', 'content[].resource.uri'],
  'prompts/get result': ['messages[].content.uri', 'messages[].content.resource.uri'],
  'resources/read result': ['contents[].uri'],
  'resources/read error': ['data.uri'],
  'notifications/resources/updated params': ['uri'],
  // MCP Apps: the page that shows the tool's result; the second form is that of its first draft.
  'tool definition': ['_meta.ui.resourceUri', '_meta.ui/resourceUri'],
} as const;

export type UriPlace = keyof typeof URI_PLACES;

const EACH = Symbol('each element');
type Step = string | typeof EACH;

const STEPS = new Map<string, Step[][]>(
  Object.entries(URI_PLACES).map(([place, paths]) => [place, paths.map(stepsOf)]),
);

function stepsOf(path: string): Step[] {
  return path.split('.').flatMap((key) => (key.endsWith('[]') ? [key.slice(0, -2), EACH] : [key]));
}

/**
 * Passes each URI of a message through `map`. The message is not changed: what holds a rewritten URI is copied,
 * and when nothing is rewritten the very same value comes back, so that its bytes can be relayed.
 */
export function rewriteUris<Value>(place: UriPlace, value: Value, map: (uri: string) => string): Value {
  let rewritten: unknown = value;
  for (const steps of STEPS.get(place) ?? []) rewritten = rewriteAt(rewritten, steps, 0, map);
  return rewritten as Value;
}

function rewriteAt(
  value: unknown,
  steps: readonly Step[],
  index: number,
  map: (uri: string) => string,
): unknown {
  const step = steps[index];
  if (step === undefined) return typeof value === 'string' ? map(value) : value;
  if (step === EACH) {
    if (!Array.isArray(value)) return value;
    const elements = value.map((element) => rewriteAt(element, steps, index + 1, map));
    return elements.some((element, at) => element !== value[at]) ? elements : value;
  }
  if (!isJsonObject(value) || !Object.hasOwn(value, step)) return value;
  const member = rewriteAt(value[step], steps, index + 1, map);
  return member === value[step] ? value : { ...value, [step]: member };
}
