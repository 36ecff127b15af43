/** The views that nodes have, each followed once, however many nodes have it. */
import type { StateChange, View } from '@sluice/proto/cluster';
import { viewId } from '@sluice/proto/cluster';
import type { ConfigurationHead } from '../revisions/head.js';
import { DeliveredView } from './delivered-view.js';

/** A view that no node has is followed this long: a node that lost its connection is back soon. */
const KEPT_UNUSED_MS = 10 * 60_000;

/** Each view is a table of everything in it. Nodes that may choose their region could make any number. */
const MAX_VIEWS_COUNT = 1_000;

/** More views than there may be. */
export class TooManyViewsError extends Error {
  override readonly name = 'TooManyViewsError';
}

/** Hears that a view is another, or that its number is. */
export type ViewListener = (view: DeliveredView) => void;

interface FollowedView {
  readonly view: DeliveredView;
  usersCount: number;
  unusedSinceMs: number;
}

export class Views {
  private readonly followed = new Map<string, FollowedView>();
  private readonly listeners = new Set<ViewListener>();
  private readonly endFollowing: () => void;

  /** @param nowMs milliseconds that only grow */
  constructor(
    private readonly head: ConfigurationHead,
    private readonly nowMs: () => number,
  ) {
    this.endFollowing = head.onChange({
      revision: (revision, change) => this.follow(Number(revision.number), change),
      renewed: () => this.each((view) => view.renew(head)),
      reachable: () => {},
    });
  }

  /**
   * The view, followed until `release` and for some time after.
   *
   * @throws TooManyViewsError
   */
  use(view: View): DeliveredView {
    const id = viewId(view);
    let followed = this.followed.get(id);
    if (followed === undefined) {
      this.dropUnused();
      if (this.followed.size >= MAX_VIEWS_COUNT)
        throw new TooManyViewsError(`nodes have ${MAX_VIEWS_COUNT} views of regions and tenants already`);
      followed = { view: new DeliveredView(view, this.head), usersCount: 0, unusedSinceMs: 0 };
      this.followed.set(id, followed);
    }
    followed.usersCount += 1;
    return followed.view;
  }

  release({ id }: DeliveredView): void {
    const followed = this.followed.get(id);
    if (followed === undefined) return;
    followed.usersCount -= 1;
    if (followed.usersCount === 0) followed.unusedSinceMs = this.nowMs();
  }

  all(): DeliveredView[] {
    return [...this.followed.values()].map(({ view }) => view);
  }

  /** Returns how to end it. */
  onChange(listener: ViewListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  close(): void {
    this.endFollowing();
    this.followed.clear();
  }

  private follow(revision: number, change: StateChange): void {
    this.dropUnused();
    this.each((view) => view.follow(revision, change));
  }

  private each(update: (view: DeliveredView) => void): void {
    for (const { view } of this.followed.values()) {
      update(view);
      for (const listener of this.listeners) listener(view);
    }
  }

  private dropUnused(): void {
    const before = this.nowMs() - KEPT_UNUSED_MS;
    for (const [id, { usersCount, unusedSinceMs }] of this.followed)
      if (usersCount === 0 && unusedSinceMs <= before) this.followed.delete(id);
  }
}
