/** What threads do for {@link TextPatterns}. */
import { kept } from './kept.js';
import { CompiledTextPatterns, type Match, type TextPattern } from './text-patterns.js';

/** Sets of patterns that a thread keeps compiled; with one more it begins anew. */
const MAX_KEPT_COUNT = 64;

/** Something to be looked through. */
export interface Task {
  readonly patterns: readonly TextPattern[];
  readonly text: string;
}

const sets = new Map<string, CompiledTextPatterns>();

export function found({ patterns, text }: Task): readonly string[] {
  return compiled(patterns).found(text);
}

export function scan({ patterns, text }: Task): readonly Match[] {
  return compiled(patterns).scan(text);
}

function compiled(patterns: readonly TextPattern[]): CompiledTextPatterns {
  return kept(sets, JSON.stringify(patterns), MAX_KEPT_COUNT, () => new CompiledTextPatterns(patterns));
}
