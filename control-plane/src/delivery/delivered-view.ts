/**
 * What the nodes of one view see, kept in step with the configuration, and how each of them comes from what it has to
 * that. A revision that does not touch the view changes nothing here but the number.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import {
  AnnouncementSchema,
  type Entry,
  entryOf,
  type KeyText,
  keyText,
  type Position,
  PositionSchema,
  type Resource,
  ResourceState,
  type Revision,
  type StateChange,
  sees,
  type View,
  viewId,
} from '@sluice/proto/cluster';
import { encodePieces, keysOf } from './pieces.js';

/** Changes that are kept of a view, so that a node that comes late gets them and not everything. */
const KEPT_STEPS_COUNT = 1024;
const KEPT_STEPS_BYTES = 8 * 1024 * 1024;

/** Announcements above this size go out without the change: nodes pull it. A message of NATS may have 1 MiB. */
const MAX_ANNOUNCEMENT_BYTES = 64 * 1024;

/** What is read of the configuration. */
export interface Configuration {
  readonly storeId: string;
  readonly revision: number;
  readonly state: ResourceState;
  readonly oldest: number;
  between(from: number, to: number): readonly Revision[] | undefined;
}

/** A revision that touched the view. */
interface Step {
  readonly revision: number;
  /** What the view was before it. */
  readonly digestBefore: string;
  readonly change: StateChange;
  readonly bytes: number;
}

export class DeliveredView {
  readonly id: string;
  private positionNow: Position;
  private stateNow: ResourceState;
  private stateBytes = 0;
  /** Oldest first. */
  private steps: Step[] = [];
  /** The oldest revision of which it is known what the view was. */
  private knownSince = 0;
  private stepsBytes = 0;
  private newest: Buffer;
  /** What was answered at this position, by how many steps back it begins. */
  private readonly answers = new Map<number, readonly Buffer[]>();

  constructor(
    readonly view: View,
    configuration: Configuration,
  ) {
    this.id = viewId(view);
    this.stateNow = this.stateIn(configuration);
    this.positionNow = this.positionAt(configuration);
    this.newest = this.announce(undefined, undefined);
    this.recall(configuration);
  }

  /** What a node of this view should have. */
  get position(): Position {
    return this.positionNow;
  }

  /** What became of the view last, as an encoded `Announcement`. */
  get announcement(): Buffer {
    return this.newest;
  }

  /** What holds, without how it came to be, as an encoded `Announcement`: for those who may have missed some. */
  get bareAnnouncement(): Buffer {
    return this.announce(undefined, undefined);
  }

  /** True when this is exactly where it stands. */
  isAt({ storeId, revision, digest }: Position): boolean {
    const now = this.positionNow;
    return storeId === now.storeId && revision === now.revision && hex(digest) === hex(now.digest);
  }

  /** True when whoever has exactly this has what the view was at a revision, or later. */
  holds(revision: number, have: Position): boolean {
    if (have.storeId !== this.positionNow.storeId) return false;
    if (Number(have.revision) >= revision) return true;
    return hex(have.digest) === this.digestAt(revision);
  }

  /** True when the view was something else at the revision that somebody has: it is of another line of revisions. */
  contradicts(have: Position): boolean {
    if (have.storeId !== this.positionNow.storeId) return false;
    const known = this.digestAt(Number(have.revision));
    return known !== undefined && known !== hex(have.digest);
  }

  /** Follows the next revision. */
  follow(revision: number, { changed, removed }: StateChange): void {
    const before = this.positionNow;
    const seen = changed.filter(({ resource }) => sees(this.view, resource));
    const left = changed.filter(({ resource }) => !sees(this.view, resource)).map(({ key }) => key);
    this.move(before, revision, {
      changed: seen,
      removed: [...removed, ...left].filter((key) => this.has(key)),
    });
  }

  /** Takes in a configuration that may differ in anything. */
  renew(configuration: Configuration): void {
    const before = this.positionNow;
    const state = this.stateIn(configuration);
    const { storeId, revision } = configuration;
    if (storeId === before.storeId && revision > Number(before.revision)) {
      this.move(before, revision, differenceOf(this.stateNow, state));
      return;
    }
    const digest = hex(before.digest);
    this.stateNow = state;
    this.stateBytes = bytesOf(state);
    this.positionNow = this.positionAt(configuration);
    this.answers.clear();
    const isSame = storeId === before.storeId && digest === hex(this.positionNow.digest);
    if (!isSame) {
      this.forgetSteps(this.steps.length);
      this.knownSince = revision;
    }
    this.newest = this.announce(undefined, undefined);
  }

  /** The answer to Pull: encoded `PullResponse` messages. */
  pull(have: Position | undefined): readonly Buffer[] {
    const from = have === undefined ? undefined : this.stepsSince(have);
    // Nothing tells a snapshot from steps when there are as many as this.
    const key = from ?? -1;
    const known = this.answers.get(key);
    if (known !== undefined) return known;
    const answer = encodePieces(this.delta(from) ?? this.snapshot());
    this.answers.set(key, answer);
    return answer;
  }

  private has(key: KeyText): boolean {
    return this.stateNow.get(key) !== undefined;
  }

  private move(before: Position, revision: number, change: StateChange): void {
    const isTouched = change.changed.length > 0 || change.removed.length > 0;
    if (isTouched) {
      const sizeBefore = sizeIn(this.stateNow, change);
      this.stateNow = this.stateNow.with(change);
      this.stateBytes += sizeIn(this.stateNow, change) - sizeBefore;
      this.remember({ revision, digestBefore: hex(before.digest), change, bytes: changeBytes(change) });
    }
    this.positionNow = create(PositionSchema, {
      storeId: before.storeId,
      revision: BigInt(revision),
      digest: isTouched ? this.stateNow.digest : before.digest,
    });
    this.answers.clear();
    this.newest = this.announce(before, change);
  }

  private remember(step: Step): void {
    this.steps.push(step);
    this.stepsBytes += step.bytes;
    let count = Math.max(0, this.steps.length - KEPT_STEPS_COUNT);
    let bytes = this.steps.slice(0, count).reduce((sum, each) => sum + each.bytes, 0);
    while (count < this.steps.length && this.stepsBytes - bytes > KEPT_STEPS_BYTES)
      bytes += this.steps[count++]?.bytes ?? 0;
    this.forgetSteps(count);
  }

  private forgetSteps(count: number): void {
    for (const { bytes, revision } of this.steps.splice(0, count)) {
      this.stepsBytes -= bytes;
      this.knownSince = revision;
    }
  }

  /** Makes the steps that led here from what the configuration knows, as if the view had been there all the time. */
  private recall(configuration: Configuration): void {
    const { oldest, revision } = configuration;
    let to = revision;
    let state = this.stateNow.fork();
    const steps: Step[] = [];
    let bytes = 0;
    this.knownSince = revision;
    while (to > oldest && steps.length < KEPT_STEPS_COUNT) {
      const [made] = configuration.between(to - 1, to) ?? [];
      if (made === undefined) break;
      const { change, undone } = this.changeBy(made);
      to -= 1;
      const isTouched = change.changed.length > 0 || change.removed.length > 0;
      if (isTouched) bytes += changeBytes(change);
      if (bytes > KEPT_STEPS_BYTES) break;
      this.knownSince = to;
      if (!isTouched) continue;
      state = state.with(undone);
      steps.push({ revision: to + 1, digestBefore: hex(state.digest), change, bytes: changeBytes(change) });
    }
    this.steps = steps.reverse();
    this.stepsBytes = steps.reduce((sum, each) => sum + each.bytes, 0);
  }

  /** What a revision changed in the view, and what takes it back. */
  private changeBy({ changes }: Revision): { change: StateChange; undone: StateChange } {
    const change = { changed: [] as Entry[], removed: [] as KeyText[] };
    const undone = { changed: [] as Entry[], removed: [] as KeyText[] };
    for (const { key, before, after } of changes) {
      const was = this.entrySeen(before);
      const is = this.entrySeen(after);
      if (key === undefined || (was === undefined && is === undefined)) continue;
      if (is === undefined) change.removed.push(keyText(key));
      else change.changed.push(is);
      if (was === undefined) undone.removed.push(keyText(key));
      else undone.changed.push(was);
    }
    return { change, undone };
  }

  private entrySeen(resource: Resource | undefined): Entry | undefined {
    return resource !== undefined && sees(this.view, resource) ? entryOf(resource) : undefined;
  }

  private stateIn(configuration: Configuration): ResourceState {
    const seen = [...configuration.state.entries()].filter(({ resource }) => sees(this.view, resource));
    const state = ResourceState.of(seen);
    this.stateBytes = bytesOf(state);
    return state;
  }

  private positionAt({ storeId, revision }: Configuration): Position {
    return create(PositionSchema, { storeId, revision: BigInt(revision), digest: this.stateNow.digest });
  }

  /** The digest of the view at a revision; undefined when that is forgotten, or not there yet. */
  private digestAt(revision: number): string | undefined {
    if (revision > Number(this.positionNow.revision) || revision < this.knownSince) return undefined;
    // From the newest on: what is asked for is seldom old.
    const place = this.steps.findLastIndex((step) => step.revision <= revision);
    return this.steps[place + 1]?.digestBefore ?? hex(this.positionNow.digest);
  }

  /** How many of the newest steps lead from what a node has to here; undefined when it cannot be known. */
  private stepsSince({ storeId, digest }: Position): number | undefined {
    if (storeId !== this.positionNow.storeId) return undefined;
    // The same digest is the same content, whatever its number is.
    const have = hex(digest);
    if (have === hex(this.positionNow.digest)) return 0;
    const first = this.steps.findLastIndex((step) => step.digestBefore === have);
    return first === -1 ? undefined : this.steps.length - first;
  }

  private delta(stepsBack: number | undefined) {
    if (stepsBack === undefined) return undefined;
    const merged = new Map<KeyText, Entry | undefined>();
    for (const { change } of this.steps.slice(this.steps.length - stepsBack)) {
      for (const key of change.removed) merged.set(key, undefined);
      for (const entry of change.changed) merged.set(entry.key, entry);
    }
    const changed = [...merged.values()].filter((entry) => entry !== undefined);
    const bytes = changed.reduce((sum, entry) => sum + entry.bytes.byteLength, 0);
    if (bytes > this.stateBytes) return undefined;
    const removed = [...merged].flatMap(([key, entry]) => (entry === undefined ? [key] : []));
    return { position: this.positionNow, snapshot: false, changed, removed };
  }

  private snapshot() {
    return { position: this.positionNow, snapshot: true, changed: this.stateNow.entries(), removed: [] };
  }

  private announce(before: Position | undefined, change: StateChange | undefined): Buffer {
    const hasDelta = change !== undefined && changeBytes(change) <= MAX_ANNOUNCEMENT_BYTES;
    return Buffer.from(
      toBinary(
        AnnouncementSchema,
        create(AnnouncementSchema, {
          position: this.positionNow,
          ...(before && { before }),
          hasDelta,
          changed: hasDelta ? change.changed.map(({ bytes }) => bytes) : [],
          removed: hasDelta ? keysOf(change.removed) : [],
        }),
      ),
    );
  }
}

function differenceOf(from: ResourceState, to: ResourceState): StateChange {
  return {
    changed: [...to.entries()].filter(({ key, part }) => from.get(key)?.part !== part),
    removed: [...from.entries()].filter(({ key }) => to.get(key) === undefined).map(({ key }) => key),
  };
}

/** What the resources that a change speaks of take in a state. */
function sizeIn(state: ResourceState, { changed, removed }: StateChange): number {
  let sum = 0;
  for (const key of removed) sum += state.get(key)?.bytes.byteLength ?? 0;
  for (const { key } of changed) sum += state.get(key)?.bytes.byteLength ?? 0;
  return sum;
}

function bytesOf(state: ResourceState): number {
  let sum = 0;
  for (const { bytes } of state.entries()) sum += bytes.byteLength;
  return sum;
}

/** What an encoded change takes at most, as near as is needed. */
function changeBytes({ changed, removed }: StateChange): number {
  const members = changed.length + removed.length;
  const bytes = changed.reduce((sum, entry) => sum + entry.bytes.byteLength, 0);
  return bytes + removed.reduce((sum, key) => sum + key.length, 0) + members * 16;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}
