/**
 * What a node holds of the configuration, and how it takes what it is told. Nothing here does anything but compute:
 * who decides whether a change can be run, and who fetches what is missing, stands around it.
 */
import {
  type Announcement,
  type Entry,
  entryOfBytes,
  type KeyText,
  keyText,
  type Position,
  type PullResponse,
  ResourceState,
  type StateChange,
} from '@sluice/proto/cluster';

/** Something whole that the node may run next. */
export interface Candidate {
  readonly position: Position;
  /** From what the node holds to what it would hold. */
  readonly change: StateChange;
  /** Everything that would hold, where that was built anyway. */
  readonly state: ResourceState | undefined;
  /** What the node held when this was made for it. */
  readonly base: Position | undefined;
}

/** What comes of an announcement: the next thing to run, nothing new, or that it does not fit and has to be fetched. */
export type Judgement = Candidate | 'nothing' | 'pull';

/** What comes of the pieces of a pull: `again` when they do not give what they say, so that all has to be fetched. */
export type Pulled = Candidate | 'nothing' | 'again';

export class Replica {
  private positionNow: Position | undefined;
  private stateNow: ResourceState;

  /** @param held what was kept from before, if anything */
  constructor(held?: { readonly position: Position; readonly state: ResourceState }) {
    this.positionNow = held?.position;
    this.stateNow = held?.state ?? ResourceState.empty();
  }

  /** Undefined while there is nothing. */
  get position(): Position | undefined {
    return this.positionNow;
  }

  /** Read it in one go: the next `take` changes it. */
  get state(): ResourceState {
    return this.stateNow;
  }

  /** True when a position is the very one that is held. */
  isAt(position: Position | undefined): boolean {
    return position !== undefined && samePosition(position, this.positionNow);
  }

  /**
   * What to do about an announcement. It may be late, come twice, or be of a store that was wiped: none of that takes
   * the node back.
   *
   * @throws UnknownResourceError when it holds a resource that this version does not know
   */
  judge({ position, before, hasDelta, changed, removed }: Announcement): Judgement {
    const held = this.positionNow;
    if (position === undefined) return 'pull';
    if (samePosition(position, held)) return 'nothing';
    if (held !== undefined && position.storeId === held.storeId && position.revision <= held.revision)
      return position.revision < held.revision ? 'nothing' : 'pull';
    if (!hasDelta || !samePosition(before, held) || before?.storeId !== position.storeId) return 'pull';
    const change = { changed: changed.map(entryOfBytes), removed: removed.map(keyText) };
    if (!sameBytes(this.stateNow.digestWith(change), position.digest)) return 'pull';
    return { position, change, state: undefined, base: held };
  }

  /** Begins to take the pieces of a pull. */
  pulling(): PullAssembly {
    return new PullAssembly(this.positionNow, this.stateNow);
  }

  /** Holds a candidate from now on. Throws when it was made for something else than what is held. */
  take({ position, change, state, base }: Candidate): void {
    if (base !== this.positionNow)
      throw new Error('the candidate was made for something else than what is held');
    this.stateNow = state ?? this.stateNow.with(change);
    this.positionNow = position;
  }
}

/** The pieces of one pull on their way to something whole. */
export class PullAssembly {
  private position: Position | undefined;
  private isSnapshot = false;
  private isWhole = false;
  private isFirst = true;
  private next = ResourceState.empty();
  private readonly changed: Entry[] = [];
  private readonly removed: KeyText[] = [];

  constructor(
    private readonly base: Position | undefined,
    private readonly held: ResourceState,
  ) {}

  /**
   * Takes a piece. Yields after each resource, so that whoever runs it can do something else in between.
   *
   * @throws UnknownResourceError when it holds a resource that this version does not know
   */
  *add({ position, snapshot, changed, removed, last }: PullResponse): Generator<void, void, void> {
    if (this.isFirst) {
      this.position = position;
      this.isSnapshot = snapshot;
      this.isFirst = false;
    }
    for (const bytes of changed) {
      this.one(entryOfBytes(bytes));
      yield;
    }
    for (const key of removed) this.removed.push(keyText(key));
    if (last) this.isWhole = true;
  }

  private one(entry: Entry): void {
    if (!this.isSnapshot) {
      this.changed.push(entry);
      return;
    }
    const before = this.held.get(entry.key);
    // What did not change stays the very same object, so that nobody compares or compiles it again.
    const isSame = before !== undefined && sameBytes(before.bytes, entry.bytes);
    if (!isSame) this.changed.push(entry);
    this.next = this.next.with({ changed: [isSame ? before : entry], removed: [] });
  }

  /** What has come together, when the answer has ended. */
  end(): Pulled {
    const { position, base, held } = this;
    if (!this.isWhole || position === undefined) return 'again';
    if (samePosition(position, base)) return 'nothing';
    // A store that is new, or was wiped: what was held is served on until there is something in it.
    if (position.revision === 0n) return 'nothing';
    const state = this.isSnapshot ? this.next : undefined;
    const change = { changed: this.changed, removed: this.isSnapshot ? this.missing() : this.removed };
    const digest = state === undefined ? held.digestWith(change) : state.digest;
    return sameBytes(digest, position.digest) ? { position, change, state, base } : 'again';
  }

  /** What is held and not in the snapshot. */
  private missing(): KeyText[] {
    const keys: KeyText[] = [];
    for (const { key } of this.held.entries()) if (this.next.get(key) === undefined) keys.push(key);
    return keys;
  }
}

export function samePosition(a: Position | undefined, b: Position | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.storeId === b.storeId && a.revision === b.revision && sameBytes(a.digest, b.digest);
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}
