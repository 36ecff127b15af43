/**
 * Carries a rollout out: looks at the nodes now and then, and writes what the watch decides. Of all replicas one drives;
 * another takes over when that one does not say any more that it is there.
 */
import type { Revision, Rollout } from '@sluice/proto/cluster';
import { RolloutState } from '@sluice/proto/cluster';
import type { ConfigurationHead } from '../revisions/head.js';
import { StoreUnavailableError } from '../store/revision-log.js';
import { SYSTEM_TIMING, type Timing } from '../timing.js';
import { type Figures, NOTHING, servedByAll } from './evidence.js';
import { missingMembers } from './members.js';
import { type Plan, planOf, principalsPercentAt, type Step } from './plan.js';
import {
  advanced,
  begun,
  figuresOf,
  grown,
  isOver,
  left,
  promoted,
  rollingBack,
  seen,
  takenOver,
} from './record.js';
import type { Rollouts } from './rollouts.js';
import { type Decision, RolloutWatch } from './watch.js';
import type { WatchedNode } from './watched-node.js';

/** How often the nodes are looked at. */
const LOOK_INTERVAL_MS = 500;

/** The driver says that it is there with every so manyth look. */
const LOOKS_PER_BEAT = 4;

/** A driver that was silent for so many beats has gone. */
const BEATS_UNTIL_TAKEN_OVER = 5;

export interface RolloutDriverOptions {
  readonly head: ConfigurationHead;
  readonly rollouts: Rollouts;
  readonly fleet: {
    watched(revision: number): readonly WatchedNode[];
    /** When it is given to some callers, and to no node as a whole. */
    watchedTrial(revision: number, principalsPercent: number): readonly WatchedNode[];
  };
  /** Milliseconds that only grow. */
  readonly elapsedMs: () => number;
  readonly onTrouble: (error: unknown) => void;
  readonly timing?: Timing | undefined;
  readonly lookIntervalMs?: number;
}

export class RolloutDriver {
  private readonly id: string;
  private readonly lookIntervalMs: number;
  private readonly stopLooking: () => void;
  private isLooking: Promise<void> | undefined;
  private isClosed = false;
  /** Of the rollout that this one drives. */
  private watch: { readonly id: string; readonly watch: RolloutWatch } | undefined;
  /** What the record of somebody else's was like last, and since when. */
  private heard: { readonly id: string; readonly writes: bigint; readonly sinceMs: number } | undefined;
  private writtenMs = 0;

  constructor(private readonly options: RolloutDriverOptions) {
    const timing = options.timing ?? SYSTEM_TIMING;
    this.id = timing.newId();
    this.lookIntervalMs = options.lookIntervalMs ?? LOOK_INTERVAL_MS;
    this.stopLooking = timing.every(this.lookIntervalMs, () => void this.lookOnce());
  }

  /** Does nothing any more, and leaves it to others to find that out. */
  kill(): void {
    this.isClosed = true;
    this.stopLooking();
  }

  /** Leaves what it drives to others. */
  async close(): Promise<void> {
    this.kill();
    await this.isLooking;
    const { rollouts } = this.options;
    const { current } = rollouts;
    if (current?.driver !== this.id) return;
    await rollouts
      .change(Number(current.revision), (now) =>
        now.driver === this.id && !isOver(now) ? left(now) : undefined,
      )
      .catch((error: unknown) => this.failed(error));
  }

  private lookOnce(): Promise<void> {
    this.isLooking ??= this.look()
      .catch((error: unknown) => this.failed(error))
      .finally(() => {
        this.isLooking = undefined;
      });
    return this.isLooking;
  }

  /** A store that is away is known to everybody, and the next look comes soon. */
  private failed(error: unknown): void {
    if (!(error instanceof StoreUnavailableError)) this.options.onTrouble(error);
  }

  private async look(): Promise<void> {
    const { rollouts } = this.options;
    for (const rollout of rollouts.unfinished()) await rollouts.bringBack(rollout);
    const { held, current } = rollouts;
    if (held === undefined || this.isClosed) {
      this.watch = undefined;
      return;
    }
    if (current === undefined) await rollouts.begin((revision) => this.newRollout(revision));
    else if (current.driver !== this.id) await this.takeOverIfLeft(current);
    else if (current.state === RolloutState.IN_PROGRESS) await this.drive(current);
  }

  private newRollout(revision: Revision): Rollout {
    const { fleet, rollouts } = this.options;
    const plan = planOf(revision.rollout as NonNullable<Revision['rollout']>);
    const all = fleet.watched(Number(revision.number));
    const nodes = missingMembers(revision.id, plan.steps[0] as Step, all, new Set());
    const reason =
      nodes.length === 0 ? 'no node that it is for is connected' : `${nodes.length} of ${all.length} nodes`;
    this.writtenMs = this.options.elapsedMs();
    return begun(
      revision,
      plan,
      { driver: this.id, nodes, before: beforeOf(plan, all) },
      rollouts.happening(reason),
    );
  }

  private async takeOverIfLeft({ id, revision, writesCount, driver }: Rollout): Promise<void> {
    const { rollouts, elapsedMs } = this.options;
    const now = elapsedMs();
    if (this.heard?.id !== id || this.heard.writes !== writesCount)
      this.heard = { id, writes: writesCount, sinceMs: now };
    const silentMs = now - this.heard.sinceMs;
    if (driver !== '' && silentMs < this.lookIntervalMs * LOOKS_PER_BEAT * BEATS_UNTIL_TAKEN_OVER) return;
    const reason = driver === '' ? 'the one before has stopped' : 'nothing was heard of the one before';
    await rollouts.change(Number(revision), (found) =>
      found.writesCount === writesCount && !isOver(found)
        ? takenOver(found, this.id, rollouts.happening(reason))
        : undefined,
    );
    this.writtenMs = now;
  }

  private async drive(rollout: Rollout): Promise<void> {
    const { fleet, elapsedMs } = this.options;
    const { id, step, nodes, plan, before } = rollout;
    const revision = Number(rollout.revision);
    if (this.watch?.id !== id && plan !== undefined)
      this.watch = { id, watch: new RolloutWatch(planOf(plan)) };
    if (this.watch === undefined) return;
    const { watch } = this.watch;
    const course = { id, revision, step, members: new Set(nodes), before: figuresOf(before) };
    const percent = principalsPercentAt(plan, step);
    const watched = percent === undefined ? fleet.watched(revision) : fleet.watchedTrial(revision, percent);
    const decision = watch.look(course, watched, elapsedMs());
    const isBeat = elapsedMs() - this.writtenMs >= this.lookIntervalMs * LOOKS_PER_BEAT;
    if (decision.kind === 'wait' && !isBeat && rollout.waitingFor !== '') return;
    await this.write(rollout, decision, watch);
  }

  private async write(rollout: Rollout, decision: Decision, watch: RolloutWatch): Promise<void> {
    const { rollouts, elapsedMs } = this.options;
    const { canary, comparedWith } = watch;
    await rollouts.change(Number(rollout.revision), (found) => {
      // Somebody has ended it, or took it over, since it was looked at.
      if (found.driver !== this.id || found.state !== RolloutState.IN_PROGRESS || found.step !== rollout.step)
        return undefined;
      return outcomeOf(
        seen(found, decision.reason, canary, comparedWith),
        decision,
        rollouts.happening(decision.reason),
      );
    });
    this.writtenMs = elapsedMs();
  }
}

/**
 * What was served before. Where callers are given the revision they are compared with other callers of the same nodes,
 * by what they asked for where the revisions differ: all that was served before says nothing of that.
 */
function beforeOf({ steps }: Plan, all: readonly WatchedNode[]): Figures {
  const served = servedByAll(all);
  const { failedUpstreams } = served;
  return steps[0]?.principalsPercent === undefined ? served : { ...NOTHING, failedUpstreams };
}

function outcomeOf(
  rollout: Rollout,
  decision: Decision,
  happening: ReturnType<Rollouts['happening']>,
): Rollout {
  switch (decision.kind) {
    case 'wait':
      return rollout;
    case 'add':
      return grown(rollout, decision.nodes, happening);
    case 'advance':
      return advanced(rollout, decision.nodes, happening);
    case 'promote':
      return promoted(rollout, happening);
    case 'roll back':
      return rollingBack(rollout, happening);
  }
}
