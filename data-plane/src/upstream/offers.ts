/** What an upstream offers: its capabilities and its lists, read whole. */
import type { UpstreamReply } from './call.js';
import { resultOf } from './own-request.js';

export const OFFER_KINDS = ['tools', 'prompts', 'resources', 'resourceTemplates'] as const;
export type OfferKind = (typeof OFFER_KINDS)[number];

/** The lists of whose changes a server tells; templates change with the resources. */
export const LIST_KINDS = ['tools', 'prompts', 'resources'] as const;
export type ListKind = (typeof LIST_KINDS)[number];

/** The list that a notification says has changed; undefined for other notifications. */
export function changedList(method: string): ListKind | undefined {
  return LIST_KINDS.find((kind) => method === `notifications/${kind}/list_changed`);
}

/** Who the upstream says it is. */
export interface UpstreamFacts {
  readonly revision: string;
  readonly capabilities: Readonly<Record<string, unknown>>;
  readonly serverInfo: unknown;
  readonly instructions: string | undefined;
}

/** One of its lists, all pages. */
export interface OfferList {
  readonly entries: readonly Record<string, unknown>[];
  /** Smallest `ttlMs` of the pages; 0 where a page had none. */
  readonly ttlMs: number;
  /** Public only when every page said so. */
  readonly cacheScope: 'public' | 'private';
}

/** Pages and entries of one list; an upstream that never ends its list is cut there. */
const MAX_PAGE_COUNT = 200;
const MAX_ENTRY_COUNT = 20_000;

export const LIST_METHODS: Readonly<Record<OfferKind, string>> = {
  tools: 'tools/list',
  prompts: 'prompts/list',
  resources: 'resources/list',
  resourceTemplates: 'resources/templates/list',
};

/** The capability under which a list stands. */
export function capabilityOf(kind: OfferKind): ListKind {
  return kind === 'resourceTemplates' ? 'resources' : kind;
}

const NOTHING: OfferList = { entries: [], ttlMs: Number.MAX_SAFE_INTEGER, cacheScope: 'public' };

/** Reads one list to its end through `ask`. A server that has the capability but not the method offers nothing there. */
export async function readList(
  kind: OfferKind,
  capabilities: Readonly<Record<string, unknown>>,
  ask: (method: string, params: Record<string, unknown>) => Promise<UpstreamReply>,
): Promise<OfferList> {
  if (capabilities[capabilityOf(kind)] === undefined) return NOTHING;
  const entries: Record<string, unknown>[] = [];
  let ttlMs = Number.MAX_SAFE_INTEGER;
  let cacheScope: 'public' | 'private' = 'public';
  let cursor: string | undefined;
  for (let page = 0; page < MAX_PAGE_COUNT && entries.length < MAX_ENTRY_COUNT; page++) {
    const reply = await ask(LIST_METHODS[kind], cursor === undefined ? {} : { cursor });
    if (reply.envelope.errorCode === -32601) return NOTHING;
    const result = resultOf(reply);
    const list = result[kind];
    for (const entry of Array.isArray(list) ? list : []) {
      if (typeof entry === 'object' && entry !== null) entries.push(entry as Record<string, unknown>);
      if (entries.length === MAX_ENTRY_COUNT) break;
    }
    ttlMs = Math.min(ttlMs, typeof result.ttlMs === 'number' && result.ttlMs > 0 ? result.ttlMs : 0);
    if (result.cacheScope !== 'public') cacheScope = 'private';
    if (typeof result.nextCursor !== 'string') break;
    cursor = result.nextCursor;
  }
  return { entries, ttlMs, cacheScope };
}
