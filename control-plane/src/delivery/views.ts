/** The views that nodes have, each followed once, however many nodes have it. */
import type { Position, StateChange, View } from '@sluice/proto/cluster';
import { viewId } from '@sluice/proto/cluster';
import type { ConfigurationHead } from '../revisions/head.js';
import { type Configuration, DeliveredView } from './delivered-view.js';
import { type Gate, type GatedTrial, OPEN_GATE } from './gate.js';

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

/** What some callers are given beside what all others are. */
export interface TriedView extends GatedTrial {
  readonly view: DeliveredView;
  /** What all others are given. */
  readonly base: Position;
}

interface FollowedView {
  /** What all nodes of it are given. While the newest revision is held back, that is the one before. */
  readonly view: DeliveredView;
  /** With the newest revision, for the nodes that are given it while it is held back. Nobody announces it to all. */
  ahead: DeliveredView | undefined;
  usersCount: number;
  unusedSinceMs: number;
}

export class Views {
  private readonly followed = new Map<string, FollowedView>();
  private readonly listeners = new Set<ViewListener>();
  private readonly assignmentListeners = new Set<() => void>();
  private readonly endFollowing: (() => void)[];
  /** What holds before the revision that is held back. */
  private stable: Configuration | undefined;

  /** @param nowMs milliseconds that only grow */
  constructor(
    private readonly head: ConfigurationHead,
    private readonly nowMs: () => number,
    private readonly gate: Gate = OPEN_GATE,
  ) {
    this.endFollowing = [
      head.onChange({
        revision: (revision, change) => this.follow(Number(revision.number), change),
        renewed: () => {
          // Nodes that were given the revision before it was put back are given something else, too.
          const wasHeld = this.stable !== undefined;
          this.stable = undefined;
          this.settle(true, wasHeld);
        },
        reachable: () => {},
      }),
      gate.onChange(() => this.settle(false)),
    ];
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
      followed = {
        view: new DeliveredView(view, this.configuration()),
        ahead: undefined,
        usersCount: 0,
        unusedSinceMs: 0,
      };
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

  /** The revision that only some nodes are given. */
  get heldRevision(): number | undefined {
    return this.gate.heldRevision;
  }

  /** Which revision a node is given; one that has the newest keeps it. */
  given(view: DeliveredView, node: string, have: Position | undefined): DeliveredView {
    const { head, gate } = this;
    const followed = this.followed.get(view.id);
    if (gate.heldRevision === undefined || followed === undefined) return view;
    const isIncluded = gate.includes(node);
    if (!isIncluded && Number(have?.revision ?? 0n) !== head.revision) return view;
    const ahead = this.aheadOf(followed);
    return isIncluded || (have !== undefined && ahead.isAt(have)) ? ahead : view;
  }

  private aheadOf(followed: FollowedView): DeliveredView {
    if (followed.ahead === undefined || !isAtRevision(followed.ahead, this.head))
      followed.ahead = new DeliveredView(followed.view.view, this.head);
    return followed.ahead;
  }

  /** The newest revision is given to callers, and to no node as a whole. */
  get isTriedByCallers(): boolean {
    return this.gate.heldRevision !== undefined && this.gate.isByCallers;
  }

  /** What some callers of a node are given beside what the node is; undefined for nothing. */
  triedBeside(view: DeliveredView, node: string): TriedView | undefined {
    const { gate } = this;
    const trial = gate.heldRevision === undefined ? undefined : gate.trialAt(node);
    const followed = this.followed.get(view.id);
    if (trial === undefined || followed === undefined) return undefined;
    return { ...trial, view: this.aheadOf(followed), base: followed.view.position };
  }

  /** Returns how to end it. */
  onChange(listener: ViewListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Tells that nodes may be given another view than before. Returns how to end it. */
  onAssignment(listener: () => void): () => void {
    this.assignmentListeners.add(listener);
    return () => this.assignmentListeners.delete(listener);
  }

  close(): void {
    for (const end of this.endFollowing) end();
    this.followed.clear();
  }

  private follow(revision: number, change: StateChange): void {
    this.dropUnused();
    const isPlain = this.stable === undefined && this.gate.heldRevision === undefined;
    if (!isPlain) {
      this.settle(false);
      return;
    }
    for (const { view } of this.followed.values()) {
      view.follow(revision, change);
      this.tell(view);
    }
  }

  /** Brings all views to where they have to be. */
  private settle(isAnew: boolean, wasHeld = this.stable !== undefined): void {
    const configuration = this.configuration();
    const isHeld = this.stable !== undefined;
    for (const followed of this.followed.values()) {
      const { view } = followed;
      if (isAnew || !isHeld) followed.ahead = undefined;
      if (!isAnew && isAtRevision(view, configuration)) continue;
      view.renew(configuration);
      this.tell(view);
    }
    if (wasHeld || isHeld) for (const listener of this.assignmentListeners) listener();
  }

  private tell(view: DeliveredView): void {
    for (const listener of this.listeners) listener(view);
  }

  /** What nodes are given that are not given something else. */
  private configuration(): Configuration {
    const { head, gate } = this;
    const { storeId } = head;
    if (gate.heldRevision === undefined) {
      this.stable = undefined;
      return head;
    }
    const revision = gate.heldRevision - 1;
    if (this.stable?.revision !== revision || this.stable.storeId !== storeId)
      this.stable = {
        storeId,
        revision,
        state: head.stateAt(revision),
        oldest: head.oldest,
        between: (from, to) => head.between(from, to),
      };
    return this.stable;
  }

  private dropUnused(): void {
    const before = this.nowMs() - KEPT_UNUSED_MS;
    for (const [id, { usersCount, unusedSinceMs }] of this.followed)
      if (usersCount === 0 && unusedSinceMs <= before) this.followed.delete(id);
  }
}

function isAtRevision({ position }: DeliveredView, { storeId, revision }: Configuration): boolean {
  return position.storeId === storeId && Number(position.revision) === revision;
}
