/**
 * The rollouts of a cluster as all replicas of the control plane know them. That a revision comes in steps stands in the
 * revision itself, so no replica gives it to everybody by mistake; how far it has come stands in a record beside the
 * revisions, which is written only by whoever has seen it as it is.
 */
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  type Revision,
  type Rollout,
  type RolloutEvent,
  RolloutEventKind,
  RolloutSchema,
  RolloutState,
} from '@sluice/proto/cluster';
import type { Gate, GatedTrial } from '../delivery/gate.js';
import type { ConfigurationHead } from '../revisions/head.js';
import type { Records, RecordWatch } from '../store/records.js';
import { NOTHING } from './evidence.js';
import { planOf, principalsPercentAt } from './plan.js';
import { begun, type Happening, isOver, promoted, rolledBack, rollingBack } from './record.js';

const BUCKET = 'rollouts';

/** Rollouts that are remembered. */
const KEPT_COUNT = 100;

/** Writers that are overtaken this often in a row give up. */
const MAX_ATTEMPTS_COUNT = 8;

/** Who makes the revision that brings back what held before, when nobody asked for it. */
const OWN_NAME = 'rollout';

export interface RolloutsOptions {
  readonly head: ConfigurationHead;
  readonly records: Records;
  /** Milliseconds since 1970. */
  readonly nowMs: () => number;
  /** Told of what this replica has done. */
  readonly happened?: (rollout: Rollout, event: RolloutEvent) => void;
}

interface Known {
  readonly rollout: Rollout;
  readonly version: string;
  readonly nodes: ReadonlySet<string>;
}

/** There is no such rollout. */
export class NoRolloutError extends Error {
  override readonly name = 'NoRolloutError';
}

/** It has ended, or is being rolled back. */
export class RolloutOverError extends Error {
  override readonly name = 'RolloutOverError';
}

export class Rollouts implements Gate {
  /** By revision. */
  private known = new Map<number, Known>();
  private isRead = false;
  private readonly watch: RecordWatch;
  private readonly listeners = new Set<() => void>();

  constructor(private readonly options: RolloutsOptions) {
    this.watch = options.records.watch(BUCKET, {
      records: (all) => {
        this.isRead = true;
        this.take(all.map(decoded), false);
      },
    });
  }

  close(): void {
    this.watch.close();
  }

  /** The newest revision, when not all nodes are given it yet. */
  get held(): Revision | undefined {
    const { newest } = this.options.head;
    if (newest?.rollout === undefined) return undefined;
    return this.recordOf(newest)?.rollout.state === RolloutState.PROMOTED ? undefined : newest;
  }

  get heldRevision(): number | undefined {
    const { held } = this;
    return held && Number(held.number);
  }

  includes(node: string): boolean {
    const { held } = this;
    const known = held && this.recordOf(held);
    return known?.nodes.has(node) === true && principalsPercentOf(known.rollout) === undefined;
  }

  get isByCallers(): boolean {
    const { held } = this;
    return held?.rollout !== undefined && principalsPercentAt(held.rollout, 1) !== undefined;
  }

  trialAt(node: string): GatedTrial | undefined {
    const { held } = this;
    const known = held && this.recordOf(held);
    if (known?.rollout.state !== RolloutState.IN_PROGRESS || !known.nodes.has(node)) return undefined;
    const principalsPercent = principalsPercentOf(known.rollout);
    return principalsPercent === undefined ? undefined : { rollout: known.rollout.id, principalsPercent };
  }

  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** That of the newest revision, while it is under way; undefined also when nobody watches it yet. */
  get current(): Rollout | undefined {
    const { held } = this;
    return held && this.recordOf(held)?.rollout;
  }

  /** All that are remembered, newest first. */
  all(): readonly Rollout[] {
    const kept = [...this.known.values()].map(({ rollout }) => rollout);
    const { held, current } = this;
    const isUnkept = held !== undefined && current === undefined;
    return [
      ...kept.filter(({ revision }) => !isUnkept || revision !== held.number),
      ...(isUnkept ? [this.unwatched(held)] : []),
    ].sort((a, b) => Number(b.revision - a.revision));
  }

  /** Those that are to be taken back, or in whose place another revision came. */
  unfinished(): readonly Rollout[] {
    const { revision: newest, newest: made } = this.options.head;
    return this.all().filter(({ revision, state, id }) => {
      // A store that was restored may have lost what took its place, and nobody could steer it any more.
      if (state === RolloutState.ROLLED_BACK) return made?.id === id;
      if (state === RolloutState.PROMOTED || Number(revision) > newest) return false;
      return Number(revision) < newest || state === RolloutState.ROLLING_BACK;
    });
  }

  /** Why nobody may change anything now; undefined when they may. */
  get obstacle(): string | undefined {
    const { heldRevision, current } = this;
    if (heldRevision === undefined) return undefined;
    const step = current === undefined ? '' : `, in step ${current.step} of ${current.plan?.steps.length}`;
    const how =
      current?.state === RolloutState.ROLLING_BACK ? 'is being rolled back' : `is being rolled out${step}`;
    return `revision ${heldRevision} ${how}: wait for its end, or promote or abort it first`;
  }

  /** Begins to keep one; does nothing when somebody did already. */
  async begin(make: (revision: Revision) => Rollout): Promise<void> {
    const { held } = this;
    if (held === undefined || !this.isRead || this.recordOf(held) !== undefined) return;
    // A record of another revision with this number is one of a store that was begun anew.
    const expected = this.known.get(Number(held.number))?.version ?? 'absent';
    if (await this.put(make(held), expected)) await this.forgetOldest();
    else await this.refresh();
  }

  /**
   * Writes what becomes of one, and again when others were first.
   *
   * @param edit undefined: it stays as it is
   * @throws NoRolloutError when there is none of this revision
   */
  async change(revision: number, edit: (rollout: Rollout) => Rollout | undefined): Promise<Rollout> {
    for (let attempt = 1; attempt <= MAX_ATTEMPTS_COUNT; attempt++) {
      if (attempt > 1 || !this.known.has(revision)) await this.refresh();
      if (this.heldRevision === revision) await this.begin((held) => this.unwatched(held));
      const known = this.known.get(revision);
      if (known === undefined) throw new NoRolloutError(`there is no rollout of revision ${revision}`);
      const next = edit(known.rollout);
      if (next === undefined) return known.rollout;
      if (await this.put(next, known.version)) return next;
    }
    throw new Error(`the rollout of revision ${revision} is written by others again and again`);
  }

  /** Gives the revision to all nodes. @throws NoRolloutError, RolloutOverError, StoreUnavailableError */
  promote(revision: number, reason: string, author: string): Promise<Rollout> {
    return this.change(revision, (rollout) => {
      requireInProgress(rollout);
      return promoted(rollout, this.happening(reason, author));
    });
  }

  /** Brings back what held before. @throws NoRolloutError, RolloutOverError, StoreUnavailableError */
  async abort(revision: number, reason: string, author: string): Promise<Rollout> {
    const rollout = await this.change(revision, (now) => {
      if (now.state === RolloutState.ROLLING_BACK) return undefined;
      requireInProgress(now);
      return rollingBack(now, this.happening(reason, author));
    });
    return this.bringBack(rollout);
  }

  /** Makes the revision that takes the place of one, once, whoever else does so too, and says that it is over. */
  async bringBack(rollout: Rollout): Promise<Rollout> {
    const { head } = this.options;
    const revision = Number(rollout.revision);
    let restoredBy = revision + 1;
    if (head.newest?.id === rollout.id) {
      const stable = head.stateAt(revision - 1);
      const started = rollout.events.findLast(({ kind }) => kind === RolloutEventKind.ROLLBACK_STARTED);
      const made = await head.commit({
        author: started?.author || OWN_NAME,
        message: `takes back revision ${revision}: ${started?.reason ?? ''}`,
        expected: revision,
        id: `rollback:${rollout.id}`,
        restores: revision - 1,
        isExact: true,
        plan: async (state) => ({
          changed: [...stable.entries()].map(({ resource }) => resource),
          removed: [...state.entries()].map(({ key }) => key).filter((key) => stable.get(key) === undefined),
        }),
      });
      restoredBy = Number(made?.number ?? restoredBy);
    }
    return this.change(revision, (now) =>
      isOver(now)
        ? undefined
        : rolledBack(now, restoredBy, this.happening(`revision ${restoredBy} took its place`)),
    );
  }

  /** One that was asked for, and that nobody has looked at yet. */
  private unwatched(held: Revision): Rollout {
    const plan = planOf(held.rollout as NonNullable<Revision['rollout']>);
    const nobody = { driver: '', nodes: [], before: NOTHING };
    return begun(held, plan, nobody, this.happening('no node was chosen yet'));
  }

  happening(reason: string, author = ''): Happening {
    return { nowMs: this.options.nowMs(), reason, author };
  }

  private recordOf({ number, id }: Revision): Known | undefined {
    const known = this.known.get(Number(number));
    return known?.rollout.id === id ? known : undefined;
  }

  private async put(rollout: Rollout, expected: string): Promise<boolean> {
    const newest = this.known.get(Number(rollout.revision))?.rollout.events.at(-1);
    const value = toBinary(RolloutSchema, rollout);
    const version = await this.options.records.put(BUCKET, keyOf(rollout), value, { expected });
    if (version === undefined) return false;
    this.take([knownOf(rollout, version)], true);
    const event = rollout.events.at(-1);
    if (event !== undefined && event !== newest) this.options.happened?.(rollout, event);
    return true;
  }

  private async refresh(): Promise<void> {
    const all = await this.options.records.list(BUCKET);
    this.isRead = true;
    this.known = new Map();
    this.take(all.map(decoded), true);
  }

  /** @param isCertain else it may have been read before something that is known already */
  private take(all: readonly Known[], isCertain: boolean): void {
    for (const known of all) {
      const { revision, id, writesCount } = known.rollout;
      const before = this.known.get(Number(revision))?.rollout;
      if (isCertain || before?.id !== id || before.writesCount < writesCount)
        this.known.set(Number(revision), known);
    }
    for (const listener of this.listeners) listener();
  }

  private async forgetOldest(): Promise<void> {
    for (const rollout of this.all().slice(KEPT_COUNT)) {
      const version = this.known.get(Number(rollout.revision))?.version ?? '';
      if (isOver(rollout)) await this.options.records.delete(BUCKET, keyOf(rollout), version);
      this.known.delete(Number(rollout.revision));
    }
  }
}

function requireInProgress({ state, revision }: Rollout): void {
  if (state === RolloutState.IN_PROGRESS) return;
  const how = {
    [RolloutState.UNSPECIFIED]: 'not known',
    [RolloutState.IN_PROGRESS]: '',
    [RolloutState.PROMOTED]: 'promoted already',
    [RolloutState.ROLLING_BACK]: 'being rolled back',
    [RolloutState.ROLLED_BACK]: 'rolled back already',
  }[state];
  throw new RolloutOverError(`the rollout of revision ${revision} is ${how}`);
}

function principalsPercentOf({ plan, step }: Rollout): number | undefined {
  return principalsPercentAt(plan, step);
}

/** So that they are in the order of their numbers. */
function keyOf({ revision }: Rollout): string {
  return String(revision).padStart(16, '0');
}

function decoded({ value, version }: { value: Uint8Array; version: string }): Known {
  return knownOf(fromBinary(RolloutSchema, value), version);
}

function knownOf(rollout: Rollout, version: string): Known {
  return { rollout, version, nodes: new Set(rollout.nodes) };
}
