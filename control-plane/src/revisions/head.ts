/**
 * The newest revision and everything that holds at it, followed as others add to the store, and the way to add one.
 * Every replica of the control plane has one of these over the same store.
 */
import { create } from '@bufbuild/protobuf';
import {
  type Checkpoint,
  CheckpointSchema,
  type Entry,
  ResourceState,
  type Revision,
  type StateChange,
} from '@sluice/proto/cluster';
import {
  type AppendOutcome,
  type LogContent,
  type LogWatch,
  type RevisionLog,
  StoreDamagedError,
  StoreReplacedError,
  StoreUnavailableError,
} from '../store/revision-log.js';
import { SYSTEM_TIMING, type Timing } from '../timing.js';
import { changeIn, contentAt, newestOf, undone, whyNotCovering } from './applied.js';
import { ConflictError } from './conflict.js';
import { changeOf, exactChangeOf, type Proposal, revisionOf } from './draft.js';

export type { Wanted } from './draft.js';

/** Writers that are overtaken this often in a row are told so. */
const MAX_COMMIT_ATTEMPTS = 8;

/** A watch that is this late has missed something. */
const REREAD_AFTER_MS = 1_000;

/** A revision that is in the store and is not heard of for so long will not be soon. */
const ARRIVAL_DEADLINE_MS = 5_000;

/** How long to wait before the store is read again after that failed; doubled each time, up to the longest. */
const SHORTEST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 10_000;

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
  readonly timing?: Timing | undefined;
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
  /** Stores that this one took the place of. */
  private replaces: readonly string[] = [];
  private isReachable = true;
  /** Why the watch cannot reach the store. */
  private away: string | undefined;
  /** Why what is known here may not be what the store holds: nothing is written then. */
  private doubt: string | undefined;
  /** Why the store added nothing when it was last asked to, though it can be read. */
  private unwritten: string | undefined;
  private closed = false;
  private rereading: Promise<void> | undefined;
  private endRetry: (() => void) | undefined;
  private retryMs = SHORTEST_RETRY_MS;
  /** Ends when all commits have that were begun here before. */
  private lastCommit: Promise<unknown> = Promise.resolve();

  private readonly timing: Timing;

  private constructor(private readonly options: HeadOptions) {
    this.timing = options.timing ?? SYSTEM_TIMING;
  }

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

  /** True for a store that this one took the place of. */
  isAfter(storeId: string): boolean {
    return this.replaces.includes(storeId);
  }

  /** The newest revision itself; undefined when there is none, or what it changed is forgotten. */
  get newest(): Revision | undefined {
    return this.revisions.at(-1);
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
   * Adds a revision, after those that were asked for here before: a plan must not commit, or wait for a commit.
   * Resolves with undefined when the plan wants nothing that is not so already.
   *
   * @throws ConflictError when another revision holds than the one expected, or others are faster again and again
   * @throws StoreUnavailableError when it is not known whether the revision was added, or the store does not hold what
   *   is known here
   */
  async commit(proposal: Proposal): Promise<Revision | undefined> {
    if (proposal.expected !== undefined && proposal.expected > this.revisionNow)
      await this.catchUp(proposal.expected);
    const made = this.lastCommit.then(() => this.commitInTurn(proposal));
    this.lastCommit = made.catch(() => {});
    return made;
  }

  private async commitInTurn(proposal: Proposal): Promise<Revision | undefined> {
    const id = proposal.id ?? this.timing.newId();
    let base = this.revisionNow;
    let hasFailed = false;
    for (let attempt = 1; attempt <= MAX_COMMIT_ATTEMPTS; attempt++) {
      const made = this.revisions.find((each) => each.id === id);
      if (made !== undefined) return made;
      this.assertWritable();
      base = this.revisionNow;
      if (proposal.expected !== undefined && proposal.expected !== base)
        throw this.conflict(proposal.expected);
      const state = this.stateNow;
      const wanted = await proposal.plan(state, base);
      // Somebody was first while the plan was made.
      if (this.stateNow !== state) continue;
      const number = base + 1;
      const change = proposal.isExact ? exactChangeOf(state, wanted) : changeOf(state, wanted, number);
      if (change.changed.length === 0 && change.removed.length === 0) return undefined;
      const stored = await this.append(
        revisionOf({ proposal, id, number, timeMs: this.options.nowMs(), state, change }),
      );
      if (stored instanceof StoreUnavailableError) {
        // Once may be an answer that was lost; twice is a store that cannot write, such as one whose disk is full.
        if (hasFailed) throw this.notWritten(stored);
        hasFailed = true;
      } else if (stored !== undefined) return stored;
    }
    throw this.conflict(proposal.expected ?? base);
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
      replaces: [...this.replaces],
    });
  }

  /**
   * Forgets all but the newest revisions. A revision that comes to the nodes in steps stays, and what held before it:
   * nodes may run either.
   *
   * @throws StoreUnavailableError
   */
  async compact(keepCount: number): Promise<void> {
    const isInSteps = this.newest?.rollout !== undefined;
    const until = this.revisionNow - Math.max(keepCount, isInSteps ? 1 : 0);
    if (until <= this.oldestNow) return;
    this.assertWritable();
    const { storeIdNow } = this;
    await this.options.log.compact(this.checkpoint(until));
    // The store was read anew meanwhile, or somebody else here has compacted it further.
    if (this.storeIdNow !== storeIdNow || until <= this.oldestNow) return;
    this.revisions = this.revisions.slice(until - this.oldestNow);
    this.oldestNow = until;
  }

  /**
   * Asks the store for its newest revision, for whoever knows of another one than this. It holds here afterwards.
   *
   * @throws StoreUnavailableError also when the store does not hold what is known here
   */
  async refresh(): Promise<void> {
    const [newest] = await this.options.log.history(Number.MAX_SAFE_INTEGER, 1);
    // Where all are forgotten, only what took their place tells one store from another.
    const isSame = newest !== undefined && newest.id === this.revisions.at(-1)?.id;
    if (isSame && this.doubt === undefined) return;
    // What is being read may have been asked for before this was.
    await this.rereading;
    await this.readAgain();
    await this.until(Number(newest?.number ?? 0));
  }

  close(): void {
    this.closed = true;
    this.endRetry?.();
    this.watch?.close();
    this.wake();
  }

  private take(content: LogContent): void {
    const { checkpoint, revisions } = content;
    this.stateNow = contentAt(content);
    this.storeIdNow = checkpoint.storeId;
    this.replaces = checkpoint.replaces;
    this.oldestNow = Number(checkpoint.revision);
    this.revisionNow = newestOf(content);
    this.revisions = [...revisions];
  }

  private follow(): void {
    this.watch?.close();
    this.watch = this.options.log.watch(
      this.revisionNow,
      {
        revision: (revision) => this.heard(revision),
        lost: () => void this.readAgain(),
        reachable: (isReachable, reason) => {
          this.away = isReachable ? undefined : (reason ?? 'the store cannot be reached');
          this.tellReachable();
          if (isReachable) void this.lookBack().catch(() => {});
        },
      },
      this.storeIdNow,
    );
  }

  /** A store that was away may be an older state, and the watch need not have heard of what was added from here. */
  private async lookBack(): Promise<void> {
    const [newest] = await this.options.log.history(Number.MAX_SAFE_INTEGER, 1);
    if (!this.closed && Number(newest?.number ?? 0) < this.revisionNow) await this.readAgain();
  }

  private heard(revision: Revision): void {
    const number = Number(revision.number);
    if (number <= this.revisionNow) return;
    if (number !== this.revisionNow + 1) {
      void this.readAgain();
      return;
    }
    let change: StateChange;
    try {
      change = changeIn(revision);
      if (Buffer.compare(this.stateNow.digestWith(change), revision.digest) !== 0)
        throw new StoreDamagedError(`revision ${number} is not what its digest says`);
    } catch (error) {
      void this.readAgain();
      this.options.onTrouble(error);
      return;
    }
    this.stateNow = this.stateNow.with(change);
    this.revisionNow = number;
    this.revisions.push(revision);
    for (const listener of this.listeners) listener.revision(revision, change);
    this.wake();
  }

  /** Reads the store anew, and again until that succeeds; resolves after the first time. */
  private readAgain(): Promise<void> {
    this.rereading ??= this.reread();
    return this.rereading;
  }

  private async reread(): Promise<void> {
    this.endRetry?.();
    try {
      const content = await this.coveringContent();
      if (this.closed) return;
      this.take(content);
    } catch (error) {
      this.rereading = undefined;
      if (!this.closed) this.doubtStore(error);
      return;
    }
    // Before anything is told: the new watch may find at once that everything has to be read again.
    this.rereading = undefined;
    this.retryMs = SHORTEST_RETRY_MS;
    this.doubt = undefined;
    this.away = undefined;
    this.follow();
    for (const listener of this.listeners) listener.renewed();
    this.tellReachable();
    this.wake();
  }

  /** @throws StoreUnavailableError when the store does not hold what was known when it was asked */
  private async coveringContent(): Promise<LogContent> {
    for (;;) {
      const known = { storeId: this.storeIdNow, revision: this.revisionNow };
      const content = await this.options.log.read();
      const why = whyNotCovering(content, known);
      if (why !== undefined) throw new StoreUnavailableError(why);
      // Else a revision was heard of while the store was read.
      if (this.closed || newestOf(content) >= this.revisionNow) return content;
    }
  }

  /** What is known here stays, for those who read, until the store can be read and holds it. */
  private doubtStore(error: unknown): void {
    const isNew = this.doubt === undefined;
    const { message } = error as Error;
    // A store that was away may come back as another one: that is more to know.
    const known = this.doubt ?? this.away;
    const isOther = known !== undefined && known !== message;
    this.doubt = message;
    this.watch?.close();
    this.endRetry = this.timing.after(this.retryMs, () => void this.readAgain());
    this.retryMs = Math.min(this.retryMs * 2, LONGEST_RETRY_MS);
    this.tellReachable(isOther);
    this.wake();
    if (isNew) this.options.onTrouble(error);
  }

  private tellReachable(isOtherReason = false): void {
    const reason = this.doubt ?? this.away ?? this.unwritten;
    const isReachable = reason === undefined;
    if (this.isReachable === isReachable && !isOtherReason) return;
    this.isReachable = isReachable;
    for (const listener of this.listeners) listener.reachable(isReachable, reason);
  }

  private assertWritable(): void {
    if (this.closed) throw new StoreUnavailableError('nothing can be written: the control plane ends');
    if (this.doubt !== undefined) throw new StoreUnavailableError(`nothing can be written: ${this.doubt}`);
  }

  private notWritten(error: StoreUnavailableError): StoreUnavailableError {
    const isOther = this.unwritten !== undefined && this.unwritten !== error.message;
    this.unwritten = error.message;
    this.tellReachable(isOther);
    return error;
  }

  /**
   * Resolves to what is in the store, which holds here then too; to undefined when others were faster; to why the store
   * has added nothing.
   */
  private async append(revision: Revision): Promise<Revision | StoreUnavailableError | undefined> {
    let outcome: AppendOutcome;
    try {
      outcome = await this.options.log.append(revision, this.storeIdNow, this.revisions.at(-1)?.id);
    } catch (error) {
      if (error instanceof StoreReplacedError) {
        await this.readAgain();
        return undefined;
      }
      if (error instanceof StoreUnavailableError) return this.appendedAllTheSame(revision, error);
      throw error;
    }
    if (outcome.appended) {
      this.unwritten = undefined;
      this.tellReachable();
      this.heard(revision);
      return revision;
    }
    // A store that is behind what is known here went back.
    if (outcome.head < Number(revision.number) - 1) await this.readAgain();
    else await this.until(outcome.head);
    return undefined;
  }

  /** It may have been added and only the answer was lost. */
  private async appendedAllTheSame(
    { number, id }: Revision,
    error: StoreUnavailableError,
  ): Promise<Revision | StoreUnavailableError | undefined> {
    const found = await this.options.log.history(Number(number) + 1, 1).catch(() => undefined);
    if (found === undefined) throw error;
    const [newest] = found;
    // All revisions were forgotten since, maybe this one among them.
    if (newest === undefined && this.revisions.length > 0) throw error;
    if (newest === undefined || newest.number < number) return error;
    if (newest.id !== id) return undefined;
    this.heard(newest);
    return newest;
  }

  /** Waits for a revision that somebody has seen, if the store has it. */
  private async catchUp(expected: number): Promise<void> {
    const [newest] = await this.options.log.history(Number.MAX_SAFE_INTEGER, 1);
    if (newest === undefined) await this.readAgain();
    else if (Number(newest.number) >= expected) await this.until(expected);
  }

  /**
   * Resolves when a revision holds here.
   *
   * @throws StoreUnavailableError when it does not in time, or what is known here is in doubt
   */
  private until(number: number): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const end = (why?: string) => {
        endLate();
        endDeadline();
        this.arrivals.delete(look);
        if (why === undefined) resolve();
        else reject(new StoreUnavailableError(`revision ${number} has not come here from the store: ${why}`));
      };
      const look = () => {
        if (this.doubt !== undefined) end(this.doubt);
        else if (this.revisionNow >= number) end();
        else if (this.closed) end('the control plane ends');
      };
      const endLate = this.timing.after(REREAD_AFTER_MS, () => void this.readAgain());
      const endDeadline = this.timing.after(ARRIVAL_DEADLINE_MS, () =>
        end(`not within ${ARRIVAL_DEADLINE_MS} ms`),
      );
      this.arrivals.add(look);
      look();
    });
  }

  private wake(): void {
    for (const look of [...this.arrivals]) look();
  }

  private conflict(expected: number): ConflictError {
    return new ConflictError(expected, this.revisionNow, this.between(expected, this.revisionNow) ?? []);
  }
}

function byKey(a: Entry, b: Entry): number {
  return a.key < b.key ? -1 : 1;
}
