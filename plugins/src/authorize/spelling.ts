/** URIs of resources that a server may read as another one than is written. */

const ESCAPE = /%([0-7][0-9a-f])/gi;
const START = /^[a-z][a-z0-9+.-]*:(?:\/\/[^/\\?#]*)?/i;

/**
 * The URI without what servers take away before they look: percent-encoding, backslashes, `.` and `..`, double
 * slashes, case of scheme and host (RFC 3986, section 6.2.2). `file:///public/%2e%2e/secret` is `file:///secret` to
 * most of them.
 */
export function plainUri(uri: string): string {
  const start = START.exec(uri)?.[0] ?? '';
  const end = uri.slice(start.length).search(/[?#]/);
  const path = end === -1 ? uri.slice(start.length) : uri.slice(start.length, start.length + end);
  return start.toLowerCase() + plainPath(path) + uri.slice(start.length + path.length);
}

function plainPath(path: string): string {
  const parts = path
    .replace(ESCAPE, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    .split(/[/\\]/);
  const kept: string[] = [];
  for (const part of parts) {
    if (part === '..') kept.pop();
    else if (part !== '.' && part !== '') kept.push(part);
  }
  if (['', '.', '..'].includes(parts.at(-1) as string)) kept.push('');
  return (parts.length > 1 && parts[0] === '' ? '/' : '') + kept.join('/');
}
