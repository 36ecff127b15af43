/** What waits to be accepted, for whoever accepts it. */
import { createHash } from 'node:crypto';
import type { JsonObject } from '@sluice/sdk';
import { compilePatterns } from '../patterns.js';
import { canonicalText } from './canonical-text.js';
import { changesBetween, type DefinitionChange } from './compatibility.js';

/** Definitions by upstream and name. */
export type Definitions = Readonly<Record<string, Readonly<Record<string, JsonObject>>>>;

export interface PinnedTool {
  readonly upstream: string;
  readonly name: string;
  /** `gone`: accepted, and not listed any more. */
  readonly state: 'accepted' | 'changed' | 'gone' | 'new';
  readonly isBreaking: boolean;
  readonly changes: readonly DefinitionChange[];
  /** Names the definition that is listed; empty for one that is gone. */
  readonly digest: string;
  readonly before?: JsonObject;
  readonly after?: JsonObject;
}

/**
 * All tools that are accepted or listed, in the order of their names.
 *
 * @param listed of the upstreams that have answered
 * @param targets patterns of what is pinned
 */
export function pinnedTools(
  accepted: Definitions,
  listed: ReadonlyMap<string, readonly JsonObject[]>,
  targets: readonly string[],
): readonly PinnedTool[] {
  const isMeant = compilePatterns(targets);
  return [...listed].flatMap(([upstream, tools]) => {
    const known = accepted[upstream] ?? {};
    const now = new Map<string, JsonObject>();
    // Of two with one name the first counts.
    for (const tool of tools)
      if (typeof tool.name === 'string' && !now.has(tool.name)) now.set(tool.name, tool);
    return [...new Set([...Object.keys(known), ...now.keys()])]
      .filter((name) => isMeant({ upstream, name }))
      .sort()
      .map((name) => {
        const before = Object.hasOwn(known, name) ? known[name] : undefined;
        return { upstream, name, ...compared(before, now.get(name)) };
      });
  });
}

function compared(
  before: JsonObject | undefined,
  after: JsonObject | undefined,
): Omit<PinnedTool, 'upstream' | 'name'> {
  const digest = after === undefined ? '' : digestOf(after);
  const both = { digest, ...(before && { before }), ...(after && { after }) };
  if (before === undefined) return { state: 'new', isBreaking: false, changes: [], ...both };
  if (after === undefined) return { state: 'gone', isBreaking: false, changes: [], ...both };
  if (canonicalText(before) === canonicalText(after))
    return { state: 'accepted', isBreaking: false, changes: [], ...both };
  const changes = changesBetween(before, after);
  return { state: 'changed', isBreaking: changes.some((each) => each.isBreaking), changes, ...both };
}

/** Long enough that nobody finds another definition with the same. */
const DIGEST_LENGTH = 16;

function digestOf(definition: JsonObject): string {
  return createHash('sha256').update(canonicalText(definition)).digest('hex').slice(0, DIGEST_LENGTH);
}
