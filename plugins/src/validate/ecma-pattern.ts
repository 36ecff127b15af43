/**
 * Patterns of JSON Schema, which are ECMAScript's (2020-12, core, section 6.4), as RE2 has them: an upstream writes the
 * pattern and a caller the text, and RE2 never goes back in a text. Lookaround and backreferences cannot be had.
 */
import { RE2JS } from 're2js';

/** What `\s` is in ECMAScript beyond ASCII; in RE2's syntax, for the inside of a class. */
const SPACES =
  '\\t\\n\\v\\f\\r \\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}\\x{feff}';
/** What `.` is not. */
const LINE_ENDS = '\\n\\r\\x{2028}\\x{2029}';

/** @throws RE2JSException for what RE2 cannot do. */
export function compileEcmaPattern(pattern: string): RE2JS {
  return RE2JS.compile(RE2JS.translateRegExp(asWritten(pattern)));
}

/** Where both take the same text for different things, what ECMAScript takes it for. */
function asWritten(pattern: string): string {
  let text = '';
  let isInClass = false;
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern[at] as string;
    if (char === '\\') {
      const next = pattern[++at] ?? '';
      if (next === 's') text += isInClass ? SPACES : `[${SPACES}]`;
      else if (next === 'S' && !isInClass) text += `[^${SPACES}]`;
      else text += char + next;
    } else if (isInClass) {
      isInClass = char !== ']';
      // In RE2 `[[:alpha:]]` is a class of its own.
      text += char === '[' ? '\\[' : char;
    } else if (char === '[') {
      isInClass = true;
      text += char;
      if (pattern[at + 1] === '^') text += pattern[++at];
    } else {
      text += char === '.' ? `[^${LINE_ENDS}]` : char;
    }
  }
  return text;
}
