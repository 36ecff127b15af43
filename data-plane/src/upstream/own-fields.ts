/** Header fields of a request to an upstream that plugins set or take away. */

/** By lower-case name; undefined takes a field away. */
export type OwnFields = Readonly<Record<string, string | undefined>>;

/** What no plugin changes: framing, what names the other side, and what speaks for the inside of a gateway. */
const RESERVED =
  /^(?:accept|connection|content-length|content-type|host|keep-alive|last-event-id|mcp-.*|proxy-.*|sluice-internal-.*|te|trailer|transfer-encoding|upgrade)$/;
const NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/**
 * Header lines, each ended by CRLF, with these fields in place of those of the same name: no field comes twice. One
 * that would be read as something else is left out.
 */
export function withOwnFields(lines: string, own: OwnFields | undefined): string {
  if (own === undefined) return lines;
  let kept = holdsOne(lines, own) ? without(lines, own) : lines;
  for (const name in own) {
    const value = own[name];
    if (value !== undefined && isChangeable(name) && VALUE.test(value)) kept += `${name}: ${value}\r\n`;
  }
  return kept;
}

/** Most fields that plugins set come from nobody else, and the lines stay as they are. */
function holdsOne(lines: string, own: OwnFields): boolean {
  const lower = `\r\n${lines.toLowerCase()}`;
  for (const name in own) if (lower.includes(`\r\n${name}:`)) return true;
  return false;
}

function without(lines: string, own: OwnFields): string {
  let kept = '';
  for (const line of lines.split('\r\n')) {
    const name = line.slice(0, line.indexOf(':')).toLowerCase();
    if (line !== '' && !(Object.hasOwn(own, name) && isChangeable(name))) kept += `${line}\r\n`;
  }
  return kept;
}

function isChangeable(name: string): boolean {
  return NAME.test(name) && !RESERVED.test(name);
}
