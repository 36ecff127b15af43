import { isJsonObject, type JsonObject } from './json-object.js';
import { paramHeadersOf } from './param-headers.js';

/** The lists that are merged. */
export type ListKind = 'tools' | 'prompts' | 'resources' | 'templates';

export type CacheScope = 'public' | 'private';

/** What one upstream offers: the elements of its lists as it sent them, all pages together. */
export interface UpstreamOffer {
  /** Never changes, whatever the name. */
  readonly upstreamId: string;
  readonly upstreamName: string;
  /** Not part of the merged endpoint. */
  readonly hidden: boolean;
  readonly tools: readonly unknown[];
  readonly prompts: readonly unknown[];
  readonly resources: readonly unknown[];
  readonly templates: readonly unknown[];
  /** The least of its lists; absent for a server that gives none. */
  readonly ttlMs?: number;
  /** Private if one of its lists is; absent for a server that gives none. */
  readonly cacheScope?: CacheScope;
  /** It is reached over streamable HTTP of 2026-07-28, where an invalid `x-mcp-header` invalidates a tool. */
  readonly mirrorsParams: boolean;
  /** Names under which some are to be shown, by their names at the upstream. */
  readonly renames?: Readonly<Record<'tools' | 'prompts', ReadonlyMap<string, string>>>;
}

/** One element of a list that can be used. */
export interface Offered {
  readonly upstreamId: string;
  readonly upstreamName: string;
  /** Its name, URI or URI template at the upstream. */
  readonly name: string;
  /** The name that it was given, which nothing else takes from it. */
  readonly rename?: string;
  readonly entry: JsonObject;
}

/** One element of a list that is left out, to be logged. */
export interface Dropped {
  readonly upstreamId: string;
  readonly kind: ListKind;
  /** Position in the upstream's list. */
  readonly index: number;
  /** Its name, URI or URI template, where it has one. */
  readonly name?: string;
  readonly reason: string;
}

/** The member of an entry by which it is asked for. */
export const KEY_MEMBER = {
  tools: 'name',
  prompts: 'name',
  resources: 'uri',
  templates: 'uriTemplate',
} as const satisfies Record<ListKind, string>;

/** Takes what can be used of one list of one upstream, and adds the rest to `dropped`. */
export function acceptEntries(offer: UpstreamOffer, kind: ListKind, dropped: Dropped[]): Offered[] {
  const { upstreamId, upstreamName } = offer;
  const accepted = new Map<string, Offered>();
  for (const [index, entry] of offer[kind].entries()) {
    const name = isJsonObject(entry) ? entry[KEY_MEMBER[kind]] : undefined;
    if (!isJsonObject(entry) || typeof name !== 'string') {
      dropped.push({
        upstreamId,
        kind,
        index,
        reason: `needs an object with a string "${KEY_MEMBER[kind]}"`,
      });
      continue;
    }
    const reason = accepted.has(name)
      ? 'is listed twice; the first one counts'
      : toolFault(offer, kind, entry);
    const rename = kind === 'tools' || kind === 'prompts' ? offer.renames?.[kind].get(name) : undefined;
    if (reason === undefined)
      accepted.set(name, { upstreamId, upstreamName, name, entry, ...(rename !== undefined && { rename }) });
    else dropped.push({ upstreamId, kind, index, name, reason });
  }
  return [...accepted.values()];
}

function toolFault(offer: UpstreamOffer, kind: ListKind, entry: JsonObject): string | undefined {
  if (kind !== 'tools' || !offer.mirrorsParams) return undefined;
  const params = paramHeadersOf(entry);
  return params.ok ? undefined : params.reason;
}
