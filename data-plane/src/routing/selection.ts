/** What an endpoint or a virtual server takes from what upstreams offer, under which names. Pure. */
import type { ResolvedSelectedItem, ResolvedSelectedResource, ResolvedSelection } from '@sluice/proto';
import { isJsonObject } from './json-object.js';
import { KEY_MEMBER, type ListKind, type UpstreamOffer } from './offer.js';

/** A compiled selection. */
export interface Selection {
  takes(upstreamName: string, hidden: boolean): boolean;
  /** The part of an upstream's offer that is selected, with the names and descriptions of the selection. */
  of(offer: UpstreamOffer): UpstreamOffer;
  /** Whether a resource of an upstream is selected by its own URI, listed or not. */
  takesUri(upstreamName: string, uri: string): boolean;
  /** Whether it can offer such a thing at all. */
  has(list: 'tools' | 'prompts' | 'resources'): boolean;
}

/** All upstreams that are not hidden, with everything. */
export const EVERYTHING: Selection = {
  takes: (_, hidden) => !hidden,
  of: (offer) => offer,
  takesUri: () => true,
  has: () => true,
};

export function compileSelection(selection: ResolvedSelection): Selection {
  return selection.kind === 'upstreams' ? ofUpstreams(selection.upstreams) : ofItems(selection);
}

function ofUpstreams(upstreams: readonly string[]): Selection {
  if (upstreams.length === 0) return EVERYTHING;
  const names = new Set(upstreams);
  return {
    ...EVERYTHING,
    takes: (name) => names.has(name),
    of: (offer) => (offer.hidden ? { ...offer, hidden: false } : offer),
  };
}

/** One selected thing, by its name at the upstream. */
interface Pick {
  readonly matches: (name: string) => boolean;
  readonly isExact: boolean;
  readonly rename?: string | undefined;
  readonly description?: string | undefined;
}

interface Picks {
  readonly tools: readonly Pick[];
  readonly prompts: readonly Pick[];
  readonly resources: readonly Pick[];
}

const NOTHING: Picks = { tools: [], prompts: [], resources: [] };

function ofItems({ tools, prompts, resources }: ResolvedSelection & { kind: 'items' }): Selection {
  const byUpstream = new Map<string, { tools: Pick[]; prompts: Pick[]; resources: Pick[] }>();
  const picksOf = (upstream: string) => {
    let picks = byUpstream.get(upstream);
    if (picks === undefined) {
      picks = { tools: [], prompts: [], resources: [] };
      byUpstream.set(upstream, picks);
    }
    return picks;
  };
  for (const item of tools) picksOf(item.upstream).tools.push(pickOf(item, item.name));
  for (const item of prompts) picksOf(item.upstream).prompts.push(pickOf(item, item.name));
  for (const item of resources) picksOf(item.upstream).resources.push(pickOf(item, item.uri));
  return {
    takes: (name) => byUpstream.has(name),
    of(offer) {
      const picks = byUpstream.get(offer.upstreamName) ?? NOTHING;
      return {
        ...offer,
        hidden: false,
        tools: select('tools', offer.tools, picks.tools),
        prompts: select('prompts', offer.prompts, picks.prompts),
        resources: select('resources', offer.resources, picks.resources),
        templates: select('templates', offer.templates, picks.resources),
        renames: {
          tools: renamesOf(picks.tools, tools, offer),
          prompts: renamesOf(picks.prompts, prompts, offer),
        },
      };
    },
    takesUri: (upstreamName, uri) =>
      byUpstream.get(upstreamName)?.resources.some(({ matches }) => matches(uri)) ?? false,
    has: (list) => ({ tools, prompts, resources })[list].length > 0,
  };
}

function pickOf(item: ResolvedSelectedItem | ResolvedSelectedResource, name: string): Pick {
  return {
    ...nameMatcher(name),
    rename: 'rename' in item ? item.rename : undefined,
    description: item.description,
  };
}

/** `*` stands for any characters, none of them too. */
function nameMatcher(name: string): Omit<Pick, 'rename' | 'description'> {
  if (!name.includes('*')) return { matches: (other) => other === name, isExact: true };
  const pieces = name.split('*');
  const first = pieces.shift() ?? '';
  const last = pieces.pop() ?? '';
  return {
    isExact: false,
    matches(other) {
      if (other.length < first.length + last.length || !other.startsWith(first) || !other.endsWith(last))
        return false;
      // Each piece at the first place where it fits: what remains is then as long as it can be.
      let at = first.length;
      const end = other.length - last.length;
      for (const piece of pieces) {
        const found = other.indexOf(piece, at);
        if (found < 0 || found + piece.length > end) return false;
        at = found + piece.length;
      }
      return true;
    },
  };
}

/** Whole names win over patterns, and earlier selections over later ones. */
function pickFor(name: string, picks: readonly Pick[]): Pick | undefined {
  return (
    picks.find(({ isExact, matches }) => isExact && matches(name)) ??
    picks.find(({ matches }) => matches(name))
  );
}

function select(kind: ListKind, entries: readonly unknown[], picks: readonly Pick[]): unknown[] {
  if (picks.length === 0) return [];
  return entries.flatMap((entry) => {
    const name = isJsonObject(entry) ? entry[KEY_MEMBER[kind]] : undefined;
    const pick = typeof name === 'string' ? pickFor(name, picks) : undefined;
    if (pick === undefined) return [];
    return pick.description === undefined
      ? [entry]
      : [{ ...(entry as object), description: pick.description }];
  });
}

function renamesOf(
  picks: readonly Pick[],
  items: readonly ResolvedSelectedItem[],
  { upstreamName }: UpstreamOffer,
): ReadonlyMap<string, string> {
  if (!picks.some(({ rename }) => rename !== undefined)) return new Map();
  return new Map(
    items.flatMap(({ upstream, name, rename }) =>
      upstream === upstreamName && rename !== undefined ? [[name, rename] as const] : [],
    ),
  );
}
