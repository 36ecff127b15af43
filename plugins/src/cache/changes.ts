/**
 * What has changed at upstreams, and in what order: an answer counts as long as nothing that it hangs on has changed
 * since it was asked for. Time is a number that grows with each change, so that an upstream which tells of changes all
 * the time costs no more than one which does not.
 */
import type { UpstreamChange } from '@sluice/sdk';
import { LRUCache } from 'lru-cache';

type Kind = UpstreamChange['kind'];

/** What an answer hangs on. */
export interface Subject {
  readonly kind: Kind;
  /** Undefined: those of all upstreams, of which a list may be made. */
  readonly upstream?: string | undefined;
  /** The one resource that it is the content of. */
  readonly uri?: string | undefined;
}

/** Resources whose last change is remembered one by one; of the others it is only known that something changed. */
const MAX_REMEMBERED_COUNT = 10_000;
/** Parts of a URI that are taken for what may contain it. */
const MAX_CONTAINER_COUNT = 32;

export class Changes {
  private clock = 0;
  private readonly lists = new Map<string, number>();
  private readonly resources = new LRUCache<string, { readonly upstream: string; readonly at: number }>({
    max: MAX_REMEMBERED_COUNT,
    dispose: ({ upstream, at }, _, reason) => {
      if (reason === 'evict') this.forgotten(upstream, at);
    },
  });

  /** The present. */
  get now(): number {
    return this.clock;
  }

  happened({ upstream, kind, uri }: UpstreamChange): void {
    const at = ++this.clock;
    if (uri === undefined) {
      this.lists.set(listKey(kind, upstream), at);
      this.lists.set(listKey(kind, undefined), at);
      return;
    }
    for (const each of concerned(uri)) this.resources.set(resourceKey(upstream, each), { upstream, at });
  }

  /** True when something has changed since then that the answer hangs on. */
  outdated({ kind, upstream, uri }: Subject, since: number): boolean {
    if (since === this.clock) return false;
    if ((this.lists.get(listKey(kind, upstream)) ?? 0) > since) return true;
    if (uri === undefined || upstream === undefined) return false;
    return (this.resources.peek(resourceKey(upstream, uri))?.at ?? 0) > since;
  }

  /** When it is not known any more which resource it was, it may have been any of that upstream. */
  private forgotten(upstream: string, at: number): void {
    const key = listKey('resources', upstream);
    this.lists.set(key, Math.max(at, this.lists.get(key) ?? 0));
  }
}

/**
 * A resource and what may contain it: an update may name a part of what was read (2025-11-25, server/resources,
 * "Subscriptions").
 */
export function concerned(uri: string): readonly string[] {
  const all = [uri];
  for (let end = uri.length - 1; end > 0 && all.length < MAX_CONTAINER_COUNT; end--) {
    if (!'/?#'.includes(uri.charAt(end))) continue;
    all.push(uri.slice(0, end), uri.slice(0, end + 1));
  }
  return all;
}

function listKey(kind: Kind, upstream: string | undefined): string {
  return upstream === undefined ? kind : `${kind} ${upstream}`;
}

function resourceKey(upstream: string, uri: string): string {
  return `${upstream} ${uri}`;
}
