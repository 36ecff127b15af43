/**
 * A store of revisions that can be away, slow, wiped and put back, whose answers are lost, and whose watches are late.
 * Each replica of the control plane uses it over a connection of its own.
 */
import {
  type Checkpoint,
  CheckpointSchema,
  create,
  fromBinary,
  type Revision,
  RevisionSchema,
  toBinary,
} from '@sluice/proto/cluster';
import type { KeptRecord } from '../../../control-plane/src/store/records.js';
import {
  type AppendOutcome,
  type LogContent,
  type LogListener,
  type LogWatch,
  type RevisionLog,
  StoreReplacedError,
  StoreUnavailableError,
} from '../../../control-plane/src/store/revision-log.js';
import type { SimulatedProcess, Surroundings } from './simulated-process.js';

/** As the client of etcd has it; milliseconds. */
const ANSWER_WITHIN_MS = 3_000;
/** As the watch of etcd has it. */
const LOOK_INTERVAL_MS = 1_000;

/** What it tells whoever judges the run. */
export interface StoreWitness {
  /** @param oldestKept revisions up to this one are forgotten */
  appended(storeId: string, revision: Revision, oldestKept: number): void;
  recorded(bucket: string, value: Uint8Array): void;
  /** What it holds is not what it held and something more. */
  begunAnew(content: LogContent): void;
}

/** What can be kept and put back, as files of a backup. */
export interface StoreFiles {
  readonly checkpoint: Uint8Array;
  readonly revisions: readonly Uint8Array[];
  /** Absent: those that are there stay. */
  readonly records?: Buckets;
}

type Buckets = ReadonlyMap<string, ReadonlyMap<string, KeptRecord>>;

export class SimulatedStore {
  private checkpoint: Uint8Array;
  private revisions: Uint8Array[] = [];
  private storeId: string;
  private oldest = 0;
  private ids: string[] = [];
  private buckets: Buckets = new Map();
  private recordCount = 0;
  private madeCount = 0;
  private readonly bells = new Set<() => void>();
  /** Counts how often it became an older state of itself, under the same name. */
  wentBackCount = 0;
  /** Nobody gets an answer. */
  isAway = false;
  /** What each answer takes longer; milliseconds. */
  slownessMs = 0;
  /** One in so many answers is lost after what was asked for was done; 0 for none. */
  losesOneAnswerIn = 0;
  /** Replicas that cannot reach it. */
  readonly cutOff = new Set<string>();

  constructor(
    readonly surroundings: Surroundings,
    private readonly witness: StoreWitness,
  ) {
    this.storeId = this.nextName();
    this.checkpoint = toBinary(CheckpointSchema, create(CheckpointSchema, { storeId: this.storeId }));
    this.witness.begunAnew(this.content());
  }

  nextName(): string {
    return `store-${++this.madeCount}`;
  }

  get name(): string {
    return this.storeId;
  }

  /** Revisions up to this one are forgotten. */
  get oldestKept(): number {
    return this.oldest;
  }

  get newest(): number {
    return this.oldest + this.revisions.length;
  }

  content(): LogContent {
    return {
      checkpoint: fromBinary(CheckpointSchema, this.checkpoint),
      revisions: this.revisions.map((bytes) => fromBinary(RevisionSchema, bytes)),
    };
  }

  files(): StoreFiles {
    return { checkpoint: this.checkpoint, revisions: [...this.revisions], records: this.buckets };
  }

  /** An operator puts these files in the place of what is there. */
  putBack({ checkpoint, revisions, records }: StoreFiles): void {
    this.checkpoint = checkpoint;
    this.buckets = records ?? this.buckets;
    this.revisions = [...revisions];
    this.taken();
  }

  /** The same with files of its own that were copied earlier: what was added since is lost, and nobody is told. */
  goBack(files: StoreFiles): void {
    this.wentBackCount += 1;
    this.putBack(files);
  }

  wipe(): void {
    const fresh = create(CheckpointSchema, { storeId: this.nextName() });
    this.putBack({ checkpoint: toBinary(CheckpointSchema, fresh), revisions: [], records: new Map() });
  }

  records(bucket: string): KeptRecord[] {
    return [...(this.buckets.get(bucket)?.values() ?? [])].sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  /** Returns the version; undefined when the record is not what is expected. */
  put(bucket: string, key: string, value: Uint8Array, expected: string): string | undefined {
    const known = this.buckets.get(bucket)?.get(key);
    if (expected !== 'any' && expected !== (known?.version ?? 'absent')) return undefined;
    const version = `${++this.recordCount}`;
    this.setRecord(bucket, key, { key, value, version });
    this.witness.recorded(bucket, value);
    return version;
  }

  forget(bucket: string, key: string, version: string): boolean {
    if (this.buckets.get(bucket)?.get(key)?.version !== version) return false;
    this.setRecord(bucket, key, undefined);
    return true;
  }

  /** Copies of the files are not written to. */
  private setRecord(bucket: string, key: string, record: KeptRecord | undefined): void {
    const records = new Map(this.buckets.get(bucket));
    if (record === undefined) records.delete(key);
    else records.set(key, record);
    this.buckets = new Map(this.buckets).set(bucket, records);
  }

  append(revision: Revision, storeId: string, afterId: string | undefined): AppendOutcome {
    if (storeId !== this.storeId) throw new StoreReplacedError('the store has another name');
    if (Number(revision.number) !== this.newest + 1) return { appended: false, head: this.newest };
    if (afterId !== undefined && afterId !== this.ids.at(-1))
      throw new StoreReplacedError('the store went back, and on from there');
    const bytes = toBinary(RevisionSchema, revision);
    this.revisions.push(bytes);
    this.ids.push(revision.id);
    this.witness.appended(storeId, fromBinary(RevisionSchema, bytes), this.oldest);
    this.ring();
    return { appended: true };
  }

  history(before: number, limitCount: number): Revision[] {
    const end = Math.max(0, Math.min(this.revisions.length, before - 1 - this.oldest));
    return this.revisions
      .slice(Math.max(0, end - limitCount), end)
      .reverse()
      .map((bytes) => fromBinary(RevisionSchema, bytes));
  }

  compact(checkpoint: Checkpoint): void {
    const until = Number(checkpoint.revision);
    if (checkpoint.storeId !== this.storeId || until <= this.oldest || until > this.newest) return;
    this.checkpoint = toBinary(CheckpointSchema, checkpoint);
    this.revisions.splice(0, until - this.oldest);
    this.ids.splice(0, until - this.oldest);
    this.oldest = until;
  }

  replace(checkpoint: Checkpoint, instead: string): boolean {
    if (this.storeId !== instead) return false;
    this.putBack({ checkpoint: toBinary(CheckpointSchema, checkpoint), revisions: [] });
    return true;
  }

  /** Revisions after one and the id of the newest, or why they are not known. */
  since(
    last: number,
    known: string | undefined,
    storeId: string,
  ): string | { head: string; news: Revision[] } {
    if (storeId !== this.storeId) return 'the store has another name than it had';
    const head = `${this.newest}/${this.ids.at(-1) ?? this.storeId}`;
    if (head === known) return { head, news: [] };
    if (this.newest < last) return `the store is at revision ${this.newest} and was at ${last}`;
    const lastId = this.ids[last - this.oldest - 1];
    if (
      known !== undefined &&
      (this.newest === last || (lastId !== undefined && `${last}/${lastId}` !== known))
    )
      return `revision ${last} is another than it was`;
    if (last < this.oldest) return `revisions after ${last} are forgotten`;
    return { head, news: this.history(Number.MAX_SAFE_INTEGER, this.newest - last).reverse() };
  }

  onBell(bell: () => void): () => void {
    this.bells.add(bell);
    return () => this.bells.delete(bell);
  }

  private ring(): void {
    for (const bell of this.bells) bell();
  }

  private taken(): void {
    const { checkpoint, revisions } = this.content();
    this.storeId = checkpoint.storeId;
    this.oldest = Number(checkpoint.revision);
    this.ids = revisions.map(({ id }) => id);
    this.witness.begunAnew({ checkpoint, revisions });
    this.ring();
  }
}

/** One replica's connection. */
export class SimulatedLog implements RevisionLog {
  private isClosed = false;

  constructor(
    private readonly store: SimulatedStore,
    private readonly process: SimulatedProcess,
    private readonly replica: string,
  ) {}

  read(): Promise<LogContent> {
    return this.ask('read', () => this.store.content());
  }

  append(revision: Revision, storeId: string, afterId: string | undefined): Promise<AppendOutcome> {
    return this.ask(`append ${revision.number}`, () => this.store.append(revision, storeId, afterId));
  }

  history(before: number, limitCount: number): Promise<readonly Revision[]> {
    return this.ask('history', () => this.store.history(before, limitCount));
  }

  compact(checkpoint: Checkpoint): Promise<void> {
    return this.ask(`compact ${checkpoint.revision}`, () => this.store.compact(checkpoint));
  }

  replace(checkpoint: Checkpoint, instead: string): Promise<boolean> {
    return this.ask('replace', () => this.store.replace(checkpoint, instead));
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }

  /** The bell may be late or silent; what is told was read, in order, after the last that was told. */
  watch(after: number, listener: LogListener, storeId: string): LogWatch {
    const { random } = this.store.surroundings;
    let last = after;
    let head: string | undefined;
    let isOver = false;
    let isReachable = true;
    let isLooking = false;
    let hasRung = false;
    let endPause = () => {};
    const look = async (): Promise<void> => {
      isLooking = true;
      endPause();
      do {
        hasRung = false;
        try {
          const since = await this.ask('watch', () => this.store.since(last, head, storeId));
          if (isOver) return;
          if (!isReachable) listener.reachable(true);
          isReachable = true;
          if (typeof since === 'string') {
            close();
            listener.lost(since);
            return;
          }
          head = since.head;
          for (const revision of since.news) {
            if (isOver) return;
            last = Number(revision.number);
            listener.revision(revision);
          }
        } catch (thrown) {
          if (isOver) return;
          if (isReachable) listener.reachable(false, (thrown as Error).message);
          isReachable = false;
        }
      } while (hasRung && !isOver);
      isLooking = false;
      if (!isOver) endPause = this.process.after(LOOK_INTERVAL_MS, () => void look());
    };
    const endBell = this.store.onBell(() => {
      if (random.oneIn(12)) return;
      this.process.after(latencyMs(random), () => {
        if (isOver || this.isAway()) return;
        if (isLooking) hasRung = true;
        else void look();
      });
    });
    const close = () => {
      isOver = true;
      endPause();
      endBell();
    };
    this.process.whenKilled(close);
    void look();
    return { close };
  }

  private isAway(): boolean {
    return this.isClosed || this.store.isAway || this.store.cutOff.has(this.replica);
  }

  /** What is on its way is done, even when nobody waits for the answer any more. */
  ask<T>(what: string, done: () => T): Promise<T> {
    const { surroundings, slownessMs, losesOneAnswerIn } = this.store;
    const { random, schedule } = surroundings;
    // The dead ask nothing.
    if (!this.process.isAlive) return new Promise(() => {});
    const slowness = slownessMs === 0 ? 0 : random.below(slownessMs);
    return new Promise<T>((resolve, reject) => {
      let isAnswered = false;
      const answer = (ms: number, settle: () => void) =>
        this.process.after(ms, () => {
          if (isAnswered) return;
          isAnswered = true;
          settle();
        });
      const unavailable = (why: string) => () => {
        this.process.trace(`${what}: ${why}`);
        reject(new StoreUnavailableError(`${what}: ${why}`));
      };
      answer(ANSWER_WITHIN_MS, unavailable('no answer in time'));
      schedule.after(latencyMs(random) + slowness, () => {
        if (this.isAway()) {
          answer(latencyMs(random), unavailable('the store cannot be reached'));
          return;
        }
        let settle: () => void;
        try {
          const result = done();
          settle = () => resolve(result);
        } catch (thrown) {
          settle = () => reject(thrown);
        }
        if (losesOneAnswerIn > 0 && random.oneIn(losesOneAnswerIn))
          answer(latencyMs(random), unavailable('the answer was lost'));
        else answer(latencyMs(random), settle);
      });
    });
  }
}

/** Mostly short, sometimes not. */
export function latencyMs(random: Surroundings['random']): number {
  const short = random.below(2_000) / 1_000;
  return random.oneIn(20) ? short + random.below(100) : short;
}
