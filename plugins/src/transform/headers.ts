/** Header fields of the request to the upstream: which can be changed, and what they can hold. */

const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** Visible ASCII, blanks only between: no line break, so nothing that begins another field (RFC 9110, section 5.5). */
const VALUE = /^(?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?$/;
const MAX_VALUE_LENGTH = 8_192;

/** What HTTP says about the message or the connection (RFC 9110, section 7.6.1), and what MCP does. */
const OF_THE_MESSAGE: ReadonlySet<string> = new Set([
  'accept',
  'accept-encoding',
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'expect',
  'host',
  'keep-alive',
  'last-event-id',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
const PREFIXES_OF_THE_MESSAGE = ['mcp-', 'sluice-'];

/** Can be set, and not made of what a caller sent: a caller's token is for the gateway alone. */
const OF_CREDENTIALS: ReadonlySet<string> = new Set(['authorization', 'cookie', 'x-api-key']);

/** Why no rule can set or take away a field of this name; undefined when one can. */
export function nameProblem(name: string): string | undefined {
  if (!NAME.test(name)) return `${JSON.stringify(name)} is no name of a header field`;
  const lower = name.toLowerCase();
  if (OF_THE_MESSAGE.has(lower) || PREFIXES_OF_THE_MESSAGE.some((prefix) => lower.startsWith(prefix)))
    return `${name} is for the gateway to write, and no rule changes it`;
  return undefined;
}

/** Why a field cannot be renamed from or to this name. */
export function renameProblem(name: string): string | undefined {
  if (OF_CREDENTIALS.has(name.toLowerCase())) return `${name} of a caller is never handed on; set another`;
  return nameProblem(name);
}

/** Why a field cannot hold this value; undefined when it can. Never holds the value. */
export function valueProblem(value: string): string | undefined {
  if (value.length > MAX_VALUE_LENGTH) return `is longer than ${MAX_VALUE_LENGTH} characters`;
  return VALUE.test(value) ? undefined : 'holds a line break, a blank at an end, or what is no ASCII';
}
