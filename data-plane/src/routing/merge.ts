import type { Sealer } from '../sessions/seal.js';
import type { Catalogue, ListSection } from './catalogue.js';
import { isJsonObject, type JsonObject } from './json-object.js';
import type { CacheScope, ListKind } from './offer.js';

/** One page of a merged list. */
export interface ListPage {
  /** On a list of one page, the very array of {@link Catalogue.listed}. */
  readonly entries: readonly JsonObject[];
  /** Absent on the last page. */
  readonly nextCursor?: string;
  /** The least of all upstreams, of each page. */
  readonly ttlMs: number;
  /** Private unless every upstream says public; the same for all pages of a list, as the specification asks. */
  readonly cacheScope: CacheScope;
}

export interface Paging {
  /** Entries of one page; at least 1. */
  readonly pageSize: number;
  readonly sealer: Pick<Sealer, 'seal' | 'open'>;
  /** To whom a cursor is bound: principal and virtual server. */
  readonly context: string;
}

/**
 * One page of a merged list; undefined for a cursor that was not given out for this list and this context
 * (error -32602). Without a cursor, or with an empty one, the page is the first.
 *
 * A cursor stays meaningful when the catalogue changes between two pages: it goes on after as many entries of
 * its upstream, and with the upstream that has taken its place when it is gone.
 */
export function listPage(
  catalogue: Catalogue,
  kind: ListKind,
  cursor: string | undefined,
  paging: Paging,
): ListPage | undefined {
  if (paging.pageSize < 1) throw new RangeError(`page size: ${paging.pageSize}; at least 1 is needed`);
  const sections = catalogue.sections(kind);
  const freshness = mergeFreshness(sections);
  if (cursor === undefined || cursor === '') {
    const all = catalogue.listed(kind);
    if (all.length <= paging.pageSize) return { entries: all, ...freshness };
  }
  const start =
    cursor === undefined || cursor === '' ? { at: 0, offset: 0 } : startOf(cursor, kind, sections, paging);
  if (!start) return undefined;

  const entries: JsonObject[] = [];
  let { at, offset } = start;
  for (; at < sections.length; at++, offset = 0) {
    const section = sections[at] as ListSection;
    const taken = section.entries.slice(offset, offset + paging.pageSize - entries.length);
    entries.push(...taken);
    if (offset + taken.length < section.entries.length) {
      const position: Position = { kind, upstreamId: section.upstreamId, at, offset: offset + taken.length };
      return {
        entries,
        nextCursor: paging.sealer.seal('cursor', JSON.stringify(position), paging.context),
        ...freshness,
      };
    }
  }
  return { entries, ...freshness };
}

/** What a cursor holds: the first entry of the next page. */
interface Position {
  readonly kind: ListKind;
  readonly upstreamId: string;
  /** Place of the upstream in the order of the configuration. */
  readonly at: number;
  /** Entries of the upstream that earlier pages held. */
  readonly offset: number;
}

function startOf(
  cursor: string,
  kind: ListKind,
  sections: readonly ListSection[],
  paging: Paging,
): { at: number; offset: number } | undefined {
  const payload = paging.sealer.open('cursor', cursor, paging.context);
  const position = payload && readPosition(payload.toString());
  if (position?.kind !== kind) return undefined;
  const at = sections.findIndex((section) => section.upstreamId === position.upstreamId);
  return at < 0 ? { at: position.at, offset: 0 } : { at, offset: position.offset };
}

/** Undefined for what another release sealed in another form. */
function readPosition(text: string): Position | undefined {
  try {
    const read: unknown = JSON.parse(text);
    if (!isJsonObject(read) || typeof read.upstreamId !== 'string') return undefined;
    if (!isIndex(read.at) || !isIndex(read.offset)) return undefined;
    return { kind: read.kind as ListKind, upstreamId: read.upstreamId, at: read.at, offset: read.offset };
  } catch {
    return undefined;
  }
}

function isIndex(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** A negative or absent `ttlMs` counts as 0, and an absent `cacheScope` as private (2026-07-28, caching). */
function mergeFreshness(sections: readonly ListSection[]): { ttlMs: number; cacheScope: CacheScope } {
  const ttls = sections.map(({ ttlMs = 0 }) => (Number.isFinite(ttlMs) ? Math.max(0, Math.floor(ttlMs)) : 0));
  const isPublic = sections.length > 0 && sections.every((section) => section.cacheScope === 'public');
  return {
    ttlMs: ttls.length > 0 ? Math.min(...ttls) : 0,
    cacheScope: isPublic ? 'public' : 'private',
  };
}
