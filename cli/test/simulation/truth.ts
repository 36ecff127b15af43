/**
 * What was committed, kept apart from everything that is tested. Each time somebody puts something else in the place
 * of the store, another line of revisions begins.
 */
import {
  type Entry,
  entryOf,
  type KeyText,
  type Position,
  type Resource,
  type Revision,
  sees,
  type View,
  viewId,
} from '@sluice/proto/cluster';
import type { LogContent } from '../../../control-plane/src/store/revision-log.js';
import { GivenByRollouts } from './given.js';
import type { StoreWitness } from './simulated-store.js';
import type { Verdict } from './verdict.js';

export type Content = ReadonlyMap<KeyText, Entry>;

/** A revision that was committed, as one view sees it. */
export interface Committed {
  readonly storeId: string;
  readonly number: number;
  readonly content: Content;
  /** Lines that it is part of. */
  firstLine: number;
  lastLine: number;
}

export class Truth implements StoreWitness {
  private line = 0;
  private all = new Map<KeyText, Entry>();
  private readonly committed = new Map<string, Committed>();
  /** Of the line that is the store now. */
  private readonly current = new Map<string, Committed>();
  /** Ids of all that was appended to what is the store now. */
  readonly ids = new Map<string, number>();
  /** Ids of revisions that came in steps, of what is the store now. */
  private readonly rollouts = new Map<number, string>();
  readonly given = new GivenByRollouts();
  /** Stores that were another state of themselves. */
  private readonly wentBack = new Set<string>();
  private storeId = '';
  private number = 0;

  constructor(
    private readonly views: readonly View[],
    private readonly verdict: Verdict,
  ) {}

  begunAnew({ checkpoint, revisions }: LogContent): void {
    this.line += 1;
    this.ids.clear();
    this.rollouts.clear();
    this.current.clear();
    if (checkpoint.storeId === this.storeId) this.wentBack.add(this.storeId);
    this.storeId = checkpoint.storeId;
    this.number = Number(checkpoint.revision);
    this.all = new Map(checkpoint.resources.map(entryOf).map((entry) => [entry.key, entry]));
    this.write();
    for (const revision of revisions) {
      this.ids.set(revision.id, Number(revision.number));
      this.follow(revision);
    }
  }

  recorded(bucket: string, value: Uint8Array): void {
    if (bucket === 'rollouts') this.given.written(value);
  }

  /**
   * The id of a revision that came in steps; undefined when it is none, or is not of the store as it is now. Of a store
   * that went back nothing is said: who has not noticed may compact away that it was to come in steps.
   */
  rolloutAt({ storeId, revision }: Position): string | undefined {
    const isSure = storeId === this.storeId && !this.wentBack.has(storeId);
    return isSure ? this.rollouts.get(Number(revision)) : undefined;
  }

  appended(storeId: string, revision: Revision, oldestKept: number): void {
    if (storeId !== this.storeId) this.verdict.fail(`revision ${revision.number} went to ${storeId}`);
    // What was forgotten cannot be found again.
    if ((this.ids.get(revision.id) ?? 0) > oldestKept)
      this.verdict.fail(
        `the commit ${revision.id} was made twice: ${this.ids.get(revision.id)} and ${revision.number}`,
      );
    this.ids.set(revision.id, Number(revision.number));
    this.follow(revision);
  }

  /** What holds now, to a view. */
  head(view: View): Committed | undefined {
    return this.at(view, this.storeId, this.number);
  }

  /** A revision of the store as it is now; undefined when there is none of this number. */
  at(view: View, storeId: string, number: number): Committed | undefined {
    if (storeId !== this.storeId) return undefined;
    return this.current.get(`${viewId(view)} ${number}`);
  }

  /** Undefined when it was never committed, or is only a part of it. */
  revisionOf(view: View, { storeId, revision }: Position, content: Content): Committed | undefined {
    return this.committed.get(nameOf(view, storeId, Number(revision), content));
  }

  private follow({ number, changes, id, rollout }: Revision): void {
    this.number = Number(number);
    if (rollout !== undefined) this.rollouts.set(this.number, id);
    for (const { before, after } of changes) {
      const entry = entryOf((after ?? before) as Resource);
      if (after === undefined) this.all.delete(entry.key);
      else this.all.set(entry.key, entry);
    }
    this.write();
  }

  private write(): void {
    const { storeId, number, line } = this;
    for (const view of this.views) {
      const content = this.seen(view);
      const name = nameOf(view, storeId, number, content);
      const known = this.committed.get(name);
      const committed = known ?? { storeId, number, content, firstLine: line, lastLine: line };
      committed.lastLine = line;
      this.committed.set(name, committed);
      this.current.set(`${viewId(view)} ${number}`, committed);
    }
  }

  private seen(view: View): Content {
    return new Map([...this.all].filter(([, { resource }]) => sees(view, resource)));
  }
}

/** True when going from one to the other goes back. */
export function isBefore(a: Committed, b: Committed): boolean {
  if (a.firstLine > b.lastLine) return false;
  if (b.firstLine > a.lastLine) return true;
  // The store went back to it, and the other one is lost.
  if (a.lastLine > b.lastLine) return false;
  return a.storeId === b.storeId && a.number < b.number;
}

export function sameContent(a: Content, b: Content): boolean {
  if (a.size !== b.size) return false;
  for (const [key, entry] of a) if (b.get(key)?.part !== entry.part) return false;
  return true;
}

function nameOf(view: View, storeId: string, number: number, content: Content): string {
  let sum = 0n;
  for (const { part } of content.values()) sum += part;
  return `${viewId(view)} ${storeId} ${number} ${content.size} ${sum.toString(36)}`;
}
