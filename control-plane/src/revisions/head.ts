/**
 * The newest revision and everything that holds at it, followed as others add to the store, and the way to add one.
 * Every replica of the control plane has one of these over the same store.
 */
import { randomUUID } from 'node:crypto';
import { clone, create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import {
  ChangeSchema,
  type Checkpoint,
  CheckpointSchema,
  type Entry,
  entryOf,
  type KeyText,
  parseKeyText,
  type Resource,
  ResourceSchema,
  ResourceState,
  type Revision,
  RevisionSchema,
  type StateChange,
} from '@sluice/proto/cluster';
import {
  type LogContent,
  type LogWatch,
  type RevisionLog,
  StoreDamagedError,
  StoreUnavailableError,
} from '../store/revision-log.js';
import { ConflictError } from './conflict.js';

/** Writers that are overtaken this often in a row are told so. */
const MAX_COMMIT_ATTEMPTS = 8;

/** What somebody wants to write. */
export interface Proposal {
  readonly author: string;
  readonly message: string;
  /** The revision that it was made on; undefined when `plan` itself decides whether what holds now will do. */
  readonly expected?: number | undefined;
  /** Of the attempt; the same one given again finds the revision that it made. Default a new one. */
  readonly id?: string | undefined;
  readonly restores?: number | undefined;
  /**
   * What to change in what holds now. Called again when somebody else was first. What it throws ends the commit.
   */
  plan(state: ResourceState, revision: number): Promise<Wanted>;
}

/** What a plan wants to change. */
export interface Wanted {
  readonly changed: readonly Resource[];
  readonly removed: readonly KeyText[];
}

export interface HeadListener {
  /** A revision holds now; the state of the head is already the one after it. */
  revision(revision: Revision, change: StateChange): void;
  /** Everything may be another than before: the store was read anew. */
  renewed(): void;
  /** Changes can be made and are heard of, or not. */
  reachable(isReachable: boolean, reason?: string): void;
}

export interface HeadOptions {
  readonly log: RevisionLog;
  /** Milliseconds since 1970. */
  readonly nowMs: () => number;
  /** Something is wrong that nobody waits for an answer about. */
  readonly onTrouble: (error: unknown) => void;
}

export class ConfigurationHead {
  private storeIdNow = '';
  private revisionNow = 0;
  private oldestNow = 0;
  private stateNow = ResourceState.empty();
  private revisions: Revision[] = [];
  private watch: LogWatch | undefined;
  private readonly listeners = new Set<HeadListener>();
  private readonly arrivals = new Set<() => void>();
  private isReachable = true;
  private closed = false;
  private rereading: Promise<void> | undefined;

  private constructor(private readonly options: HeadOptions) {}

  /** @throws StoreUnavailableError, StoreDamagedError */
  static async open(options: HeadOptions): Promise<ConfigurationHead> {
    const head = new ConfigurationHead(options);
    head.take(await options.log.read());
    head.follow();
    return head;
  }

  /** Tells one store from another. */
  get storeId(): string {
    return this.storeIdNow;
  }

  /** The newest revision; 0 when there is none. */
  get revision(): number {
    return this.revisionNow;
  }

  /** The revision of the checkpoint: older states are forgotten. */
  get oldest(): number {
    return this.oldestNow;
  }

  /** What holds. Read it in one go: the next revision changes it. `fork` keeps it. */
  get state(): ResourceState {
    return this.stateNow;
  }

  get reachable(): boolean {
    return this.isReachable;
  }

  /** Returns how to end it. */
  onChange(listener: HeadListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /**
   * Adds a revision. Resolves with undefined when the plan wants nothing that is not so already.
   *
   * @throws ConflictError when another revision holds than the one expected, or others are faster again and again
   * @throws StoreUnavailableError when it is not known whether the revision was added
   */
  async commit(proposal: Proposal): Promise<Revision | undefined> {
    const id = proposal.id ?? randomUUID();
    for (let attempt = 1; attempt <= MAX_COMMIT_ATTEMPTS; attempt++) {
      const made = this.revisions.find((each) => each.id === id);
      if (made !== undefined) return made;
      const base = this.revisionNow;
      if (proposal.expected !== undefined && proposal.expected !== base)
        throw this.conflict(proposal.expected);
      const wanted = await proposal.plan(this.stateNow, base);
      // Somebody was first while the plan was made.
      if (this.revisionNow !== base) continue;
      const number = base + 1;
      const change = this.changeOf(wanted, number);
      if (change.changed.length === 0 && change.removed.length === 0) return undefined;
      const revision = this.revisionOf(proposal, id, number, change);
      if (await this.append(revision)) return revision;
    }
    throw this.conflict(proposal.expected ?? this.revisionNow);
  }

  /**
   * What held at a revision.
   *
   * @throws RangeError when there was no such revision, or it is forgotten
   */
  stateAt(revision: number): ResourceState {
    if (revision > this.revisionNow || revision < this.oldestNow)
      throw new RangeError(
        `revision ${revision} is not known: the oldest is ${this.oldestNow}, the newest ${this.revisionNow}`,
      );
    let state = this.stateNow.fork();
    for (const each of this.revisions.slice(revision - this.oldestNow).reverse())
      state = state.with(undone(each));
    return state;
  }

  /** Revisions after `from` up to `to`, in order. Undefined when they are forgotten. */
  between(from: number, to: number): readonly Revision[] | undefined {
    if (from < this.oldestNow || to > this.revisionNow) return undefined;
    return this.revisions.slice(from - this.oldestNow, to - this.oldestNow);
  }

  checkpoint(revision = this.revisionNow): Checkpoint {
    const state = revision === this.revisionNow ? this.stateNow : this.stateAt(revision);
    return create(CheckpointSchema, {
      storeId: this.storeIdNow,
      revision: BigInt(revision),
      digest: state.digest,
      resources: [...state.entries()].sort(byKey).map(({ resource }) => resource),
    });
  }

  /** Forgets all but the newest revisions. */
  async compact(keepCount: number): Promise<void> {
    const until = this.revisionNow - keepCount;
    if (until <= this.oldestNow) return;
    await this.options.log.compact(this.checkpoint(until));
    this.revisions = this.revisions.slice(until - this.oldestNow);
    this.oldestNow = until;
  }

  /**
   * Asks the store for its newest revision, for whoever knows of another one than this.
   *
   * @throws StoreUnavailableError
   */
  async refresh(): Promise<void> {
    const [newest] = await this.options.log.history(Number.MAX_SAFE_INTEGER, 1);
    const known = this.revisions.at(-1);
    if (newest === undefined ? known === undefined : newest.id === known?.id) return;
    await this.readAgain();
  }

  close(): void {
    this.closed = true;
    this.watch?.close();
  }

  private take({ checkpoint, revisions }: LogContent): void {
    let state = ResourceState.of(checkpoint.resources.map(entryOf));
    let number = Number(checkpoint.revision);
    for (const revision of revisions) {
      number += 1;
      if (Number(revision.number) !== number)
        throw new StoreDamagedError(`revision ${number} is missing from the store`);
      state = state.with(changeIn(revision));
      assertDigest(revision, state);
    }
    this.storeIdNow = checkpoint.storeId;
    this.oldestNow = Number(checkpoint.revision);
    this.revisionNow = number;
    this.revisions = [...revisions];
    this.stateNow = state;
  }

  private follow(): void {
    this.watch?.close();
    this.watch = this.options.log.watch(
      this.revisionNow,
      {
        revision: (revision) => this.heard(revision),
        lost: () => void this.readAgain(),
        reachable: (isReachable, reason) => {
          if (this.isReachable === isReachable) return;
          this.isReachable = isReachable;
          for (const listener of this.listeners) listener.reachable(isReachable, reason);
        },
      },
      this.storeIdNow,
    );
  }

  private heard(revision: Revision): void {
    const number = Number(revision.number);
    if (number <= this.revisionNow) return;
    if (number !== this.revisionNow + 1) {
      void this.readAgain();
      return;
    }
    const change = changeIn(revision);
    this.stateNow = this.stateNow.with(change);
    this.revisionNow = number;
    this.revisions.push(revision);
    try {
      assertDigest(revision, this.stateNow);
    } catch (error) {
      this.options.onTrouble(error);
      void this.readAgain();
      return;
    }
    for (const listener of this.listeners) listener.revision(revision, change);
    for (const arrived of this.arrivals) arrived();
  }

  private readAgain(): Promise<void> {
    this.rereading ??= (async () => {
      try {
        const content = await this.options.log.read();
        if (this.closed) return;
        this.take(content);
        this.follow();
        for (const listener of this.listeners) listener.renewed();
        for (const arrived of this.arrivals) arrived();
      } catch (error) {
        this.options.onTrouble(error);
      } finally {
        this.rereading = undefined;
      }
    })();
    return this.rereading;
  }

  /** Only what is another than now: a plan may want what is so already. */
  private changeOf({ changed, removed }: Wanted, number: number): StateChange {
    const entries = changed
      .map((resource) => entryOf({ ...clone(ResourceSchema, resource), revision: BigInt(number) }))
      .filter((entry) => !this.isSo(entry));
    return { changed: entries, removed: [...new Set(removed)].filter((key) => this.stateNow.get(key)) };
  }

  private isSo({ key, resource }: Entry): boolean {
    const now = this.stateNow.get(key);
    if (now === undefined) return false;
    const same = entryOf({ ...resource, revision: now.resource.revision });
    return Buffer.compare(same.bytes, now.bytes) === 0;
  }

  private revisionOf(proposal: Proposal, id: string, number: number, change: StateChange): Revision {
    const after = new Map<KeyText, Resource | undefined>([
      ...change.removed.map((key) => [key, undefined] as const),
      ...change.changed.map(({ key, resource }) => [key, resource] as const),
    ]);
    return create(RevisionSchema, {
      number: BigInt(number),
      id,
      author: proposal.author,
      time: timestampFromMs(this.options.nowMs()),
      message: proposal.message,
      restores: BigInt(proposal.restores ?? 0),
      digest: this.stateNow.digestWith(change),
      changes: [...after]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, resource]) => {
          const before = this.stateNow.get(key)?.resource;
          const parsed = parseKeyText(key);
          return create(ChangeSchema, {
            ...(parsed && { key: parsed }),
            ...(before && { before }),
            ...(resource && { after: resource }),
          });
        }),
    });
  }

  /** Resolves to whether it is in the store; then it holds here too. */
  private async append(revision: Revision): Promise<boolean> {
    try {
      const outcome = await this.options.log.append(revision, this.storeIdNow);
      if (outcome.appended) {
        this.heard(revision);
        return true;
      }
      await this.until(outcome.head);
      return false;
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      // It may have been added and only the answer was lost.
      const added = await this.options.log
        .history(Number(revision.number) + 1, 1)
        .then(([newest]) => newest?.id === revision.id)
        .catch(() => undefined);
      if (added === undefined) throw error;
      if (added) this.heard(revision);
      return added;
    }
  }

  /** Resolves when a revision holds here. */
  private async until(number: number): Promise<void> {
    if (this.revisionNow >= number) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => void this.readAgain().then(look), REREAD_AFTER_MS);
      const look = () => {
        if (this.revisionNow < number && !this.closed) return;
        clearTimeout(timer);
        this.arrivals.delete(look);
        resolve();
      };
      this.arrivals.add(look);
      look();
    });
  }

  private conflict(expected: number): ConflictError {
    return new ConflictError(expected, this.revisionNow, this.between(expected, this.revisionNow) ?? []);
  }
}

/** A watch that is this late has missed something. */
const REREAD_AFTER_MS = 1_000;

function changeIn({ changes }: Revision): StateChange {
  return {
    changed: changes.flatMap(({ after }) => (after === undefined ? [] : [entryOf(after)])),
    removed: changes.flatMap(({ before, after }) =>
      after === undefined && before !== undefined ? [entryOf(before).key] : [],
    ),
  };
}

function undone({ changes }: Revision): StateChange {
  return {
    changed: changes.flatMap(({ before }) => (before === undefined ? [] : [entryOf(before)])),
    removed: changes.flatMap(({ before, after }) =>
      before === undefined && after !== undefined ? [entryOf(after).key] : [],
    ),
  };
}

function assertDigest({ number, digest }: Revision, state: ResourceState): void {
  if (Buffer.compare(state.digest, digest) !== 0)
    throw new StoreDamagedError(`revision ${number} is not what its digest says`);
}

function byKey(a: Entry, b: Entry): number {
  return a.key < b.key ? -1 : 1;
}
