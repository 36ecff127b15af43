import { parseYaml } from './parse-yaml.js';
import type { ParsedSource } from './source-tree.js';

/** What may stand in front of the first bracket. */
const LEADING_COMMENTS = /^\s*(?:\/\/.*\s*|\/\*[^]*?\*\/\s*)*/;

/** Whether a text whose format nobody said is JSON: neither YAML nor TOML begins so in practice. */
export function looksLikeJson(text: string): boolean {
  return text.charAt(LEADING_COMMENTS.exec(text)?.[0].length ?? 0) === '{';
}

/** Reads JSON with what people write by hand in it: comments, and commas behind the last entry. */
export function parseJson(text: string): ParsedSource {
  const content = blankComments(text);
  if (typeof content === 'string') return parseYaml(content, 'json');
  const lines = text.slice(0, content.openComment).split('\n');
  const position = { line: lines.length, column: (lines.at(-1)?.length ?? 0) + 1 };
  return { problems: [{ position, message: 'a comment that does not end', hint: 'close it with `*/`' }] };
}

/** A text, a comment, or the beginning of one that has no end. */
const STRING_OR_COMMENT = /"(?:[^"\\]|\\[^])*"|'[^']*'|\/\/.*|\/\*[^]*?(?:\*\/|$(?![^]))/g;

/** Puts blanks in the place of comments, so that everything else stays where it is. */
function blankComments(text: string): string | { readonly openComment: number } {
  let openComment: number | undefined;
  const content = text.replaceAll(STRING_OR_COMMENT, (match, offset: number) => {
    if (!match.startsWith('/')) return match;
    if (match.startsWith('/*') && (match.length < 4 || !match.endsWith('*/'))) openComment = offset;
    return match.replaceAll(/[^\r\n]/g, ' ');
  });
  return openComment === undefined ? content : { openComment };
}
