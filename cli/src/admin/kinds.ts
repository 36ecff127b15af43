import { KIND_WORDS, kindOfWord, parseOwnedName, type ResourceKind } from '@sluice/proto/cluster';
import { UsageError } from './surroundings.js';

/** @throws UsageError for a word that names no kind */
export function kindNamed(word: string): ResourceKind {
  const kind = kindOfWord(word.toLowerCase().replaceAll('_', '-')) ?? kindOfWord(word.replace(/s$/, ''));
  if (kind === undefined)
    throw new UsageError(`there is no kind ${word}; there are ${KIND_WORDS.join(', ')}`);
  return kind;
}

/** One resource, as it is written on a command line. */
export interface NamedResource {
  readonly kind: ResourceKind;
  readonly name: string;
  /** Undefined where nothing was said of one. */
  readonly tenant: string | undefined;
}

/**
 * `upstream/files`, or `upstream/acme/files` for what belongs to a tenant.
 *
 * @param tenant what `--tenant` says
 * @throws UsageError when it names no resource
 */
export function resourceNamed(text: string, tenant: string | undefined): NamedResource {
  const end = text.indexOf('/');
  if (end < 0) throw new UsageError(`${text} names no resource; write kind/name, such as upstream/files`);
  const kind = kindNamed(text.slice(0, end));
  const owned = parseOwnedName(text.slice(end + 1));
  if (owned.name === '') throw new UsageError(`${text} names nothing behind the stroke`);
  if (owned.tenant === '') return { kind, name: owned.name, tenant };
  if (tenant !== undefined && tenant !== owned.tenant)
    throw new UsageError(`${text} is of the tenant ${owned.tenant}, and --tenant says ${tenant}`);
  return { kind, name: owned.name, tenant: owned.tenant };
}
