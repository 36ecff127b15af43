import { KIND_WORDS, kindOfWord, type ResourceKind } from '@sluice/proto/cluster';
import { UsageError } from './surroundings.js';

/** @throws UsageError for a word that names no kind */
export function kindNamed(word: string): ResourceKind {
  const kind = kindOfWord(word.toLowerCase().replaceAll('_', '-')) ?? kindOfWord(word.replace(/s$/, ''));
  if (kind === undefined)
    throw new UsageError(`there is no kind ${word}; there are ${KIND_WORDS.join(', ')}`);
  return kind;
}
