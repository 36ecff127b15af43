/** What threads do for {@link TextPatterns}. */
import { CompiledTextPatterns, type Match, type TextPattern } from './text-patterns.js';

/** Sets of patterns that a thread keeps compiled; with one more it begins anew. */
const MAX_KEPT_COUNT = 64;

/** Something to be looked through. */
export interface Task {
  readonly patterns: readonly TextPattern[];
  readonly text: string;
}

const kept = new Map<string, CompiledTextPatterns>();

export function found({ patterns, text }: Task): readonly string[] {
  return compiled(patterns).found(text);
}

export function scan({ patterns, text }: Task): readonly Match[] {
  return compiled(patterns).scan(text);
}

function compiled(patterns: readonly TextPattern[]): CompiledTextPatterns {
  const key = JSON.stringify(patterns);
  const known = kept.get(key);
  if (known !== undefined) return known;
  if (kept.size >= MAX_KEPT_COUNT) kept.clear();
  const made = new CompiledTextPatterns(patterns);
  kept.set(key, made);
  return made;
}
