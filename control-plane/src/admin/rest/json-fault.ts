/** Where a text stops being JSON (RFC 8259); the parser of the platform says so for some faults only. */

/** What may come next. */
type Expected = 'value' | 'value or ]' | 'name' | 'name or }' | ':' | ', or end' | 'nothing';

const BLANK = /[ \t\r\n]*/y;
const LITERAL = /(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.+-])/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;

/** Line and column of the fault, both from 1; undefined when there is none. */
export function jsonFault(text: string): { line: number; column: number } | undefined {
  const offset = faultOffset(text);
  if (offset === undefined) return undefined;
  const before = text.slice(0, offset);
  return { line: before.split('\n').length, column: offset - before.lastIndexOf('\n') };
}

function faultOffset(text: string): number | undefined {
  const open: string[] = [];
  let expected: Expected = 'value';
  let at = 0;
  const closed = (): Expected => (open.length === 0 ? 'nothing' : ', or end');
  for (;;) {
    at = matchEnd(BLANK, text, at) ?? at;
    const character = text[at];
    if (character === undefined) return expected === 'nothing' ? undefined : at;
    if (expected === 'nothing') return at;
    const innermost = open.at(-1);
    const isEnd =
      (character === '}' && innermost === '{' && (expected === 'name or }' || expected === ', or end')) ||
      (character === ']' && innermost === '[' && (expected === 'value or ]' || expected === ', or end'));
    if (isEnd) {
      open.pop();
      expected = closed();
      at += 1;
    } else if (expected === ', or end') {
      if (character !== ',') return at;
      expected = innermost === '{' ? 'name' : 'value';
      at += 1;
    } else if (expected === ':') {
      if (character !== ':') return at;
      expected = 'value';
      at += 1;
    } else if (expected === 'name' || expected === 'name or }') {
      const end = character === '"' ? stringEnd(text, at) : { fault: at };
      if (typeof end !== 'number') return end.fault;
      expected = ':';
      at = end;
    } else if (character === '{' || character === '[') {
      open.push(character);
      expected = character === '{' ? 'name or }' : 'value or ]';
      at += 1;
    } else {
      const end = character === '"' ? stringEnd(text, at) : (matchEnd(LITERAL, text, at) ?? { fault: at });
      if (typeof end !== 'number') return end.fault;
      expected = closed();
      at = end;
    }
  }
}

/** Behind the quote that ends it, or where it is none. */
function stringEnd(text: string, start: number): number | { readonly fault: number } {
  let at = start + 1;
  for (;;) {
    const character = text[at];
    if (character === '"') return at + 1;
    if (character === undefined || character < ' ') return { fault: at };
    const end = character === '\\' ? matchEnd(ESCAPE, text, at) : at + 1;
    if (end === undefined) return { fault: at };
    at = end;
  }
}

function matchEnd(pattern: RegExp, text: string, at: number): number | undefined {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : undefined;
}
