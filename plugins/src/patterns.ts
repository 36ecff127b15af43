/**
 * Patterns `upstream:name`, as configurations of plugins use them: `files:read_file`, `n8n:*`, `*:delete_*`. They are
 * held against what a request resolved to, upstream and name each by itself, so no name of a tool can look like
 * another upstream, and whatever separator or alias a client sees makes no difference.
 */
import type { ConfigProblem, Target } from '@sluice/sdk';

/** Longer than any name and most URIs; bounds what matching one request costs. */
const MAX_PATTERN_LENGTH = 2_048;

/** True when the target is one of those that the pattern means. */
export type Matches = (target: Pick<Target, 'upstream' | 'name'>) => boolean;

/**
 * Why a text is no pattern; undefined when it is one. Everything up to the first colon is the upstream (no upstream
 * has a colon in its name), all behind it is the name of the tool or prompt or the URI of the resource.
 */
export function patternProblem(pattern: string): string | undefined {
  if (pattern.length > MAX_PATTERN_LENGTH) return `is longer than ${MAX_PATTERN_LENGTH} characters`;
  const colon = pattern.indexOf(':');
  if (colon === -1) return 'has no colon; a pattern is upstream:name, for example files:read_* or *:*';
  if (colon === 0) return 'names no upstream before the colon; write * for any';
  if (colon === pattern.length - 1) return 'names nothing behind the colon; write * for anything';
  return undefined;
}

/** The same for several that stand together. @param path of the list in the configuration. */
export function patternProblems(patterns: readonly string[], path: string): ConfigProblem[] {
  return patterns.flatMap((pattern, index) => {
    const message = patternProblem(pattern);
    return message === undefined ? [] : [{ path: `${path}[${index}]`, message }];
  });
}

/**
 * Exact characters, and `*` for any number of any characters, also none. Case counts, nothing is normalised: what
 * only looks the same is not the same.
 *
 * @throws TypeError for a text with a {@link patternProblem}.
 */
export function compilePattern(pattern: string): Matches {
  const problem = patternProblem(pattern);
  if (problem !== undefined) throw new TypeError(`the pattern ${JSON.stringify(pattern)} ${problem}`);
  const colon = pattern.indexOf(':');
  const isUpstream = compileText(pattern.slice(0, colon));
  const isName = compileText(pattern.slice(colon + 1));
  return ({ upstream, name }) => isUpstream(upstream) && isName(name);
}

/** True for what any of the patterns means; without patterns for nothing. Exact ones are looked up, however many. */
export function compilePatterns(patterns: readonly string[]): Matches {
  const exact = new Map<string, Set<string>>();
  const others: Matches[] = [];
  for (const pattern of patterns) {
    const matches = compilePattern(pattern);
    if (pattern.includes('*')) {
      others.push(matches);
      continue;
    }
    const colon = pattern.indexOf(':');
    const upstream = pattern.slice(0, colon);
    const names = exact.get(upstream) ?? new Set();
    exact.set(upstream, names.add(pattern.slice(colon + 1)));
  }
  return function matchesAny(target) {
    if (exact.get(target.upstream)?.has(target.name) === true) return true;
    for (const matches of others) if (matches(target)) return true;
    return false;
  };
}

/** One text with wildcards. Each piece is taken at its first place: that needs no going back, whatever the text. */
function compileText(pattern: string): (text: string) => boolean {
  const pieces = pattern.split('*');
  const first = pieces[0] as string;
  const last = pieces[pieces.length - 1] as string;
  if (pieces.length === 1) return (text) => text === first;
  const between = pieces.slice(1, -1).filter((piece) => piece !== '');
  const shortest = pattern.length - (pieces.length - 1);
  if (shortest === 0) return () => true;
  return (text) => {
    if (text.length < shortest || !text.startsWith(first) || !text.endsWith(last)) return false;
    const end = text.length - last.length;
    let from = first.length;
    for (const piece of between) {
      const found = text.indexOf(piece, from);
      if (found === -1 || found + piece.length > end) return false;
      from = found + piece.length;
    }
    return true;
  };
}
