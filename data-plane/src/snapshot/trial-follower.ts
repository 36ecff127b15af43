/**
 * Follows what some callers are to be given beside what the node runs: fetches it, has it run, and says what became of
 * it. It holds only beside the very revision that it was made for.
 */
import {
  create,
  type Health,
  PullRequestSchema,
  RejectionSchema,
  type Trial,
  TrialHealthSchema,
} from '@sluice/proto/cluster';
import type { NodeIdentity } from './control-plane-connection.js';
import type { DeliveryTransport, FollowerLog, Timing } from './delivery-port.js';
import type { Refused } from './follower.js';
import { type Candidate, type Replica, samePosition } from './replica.js';
import { ASK_AGAIN, pauseMs, Timers } from './timers.js';

/** What some callers are to be given, and how many of them. */
export interface WantedTrial {
  readonly candidate: Candidate;
  readonly rollout: string;
  readonly principalsPercent: number;
}

export interface TrialFollowerOptions {
  readonly identity: () => NodeIdentity;
  readonly replica: Replica;
  readonly transport: Pick<DeliveryTransport, 'pull'>;
  readonly timing: Timing;
  readonly log: FollowerLog;
  /** Has it run beside what runs, all or nothing, or ends what ran so; undefined when that is so. Must not throw. */
  readonly activateTrial: (wanted: WantedTrial | undefined) => Promise<Refused | undefined>;
  /** There may be something to do. */
  readonly wake: () => void;
  /** How it stands is another than before. */
  readonly changed: () => void;
}

/** What was made of a trial. */
interface Made {
  readonly trial: Trial;
  readonly candidate: Candidate | undefined;
  readonly refused: Refused | undefined;
}

export class TrialFollower {
  private told: Trial | undefined;
  private made: Made | undefined;
  private readonly timers: Timers<'pull'>;
  private failureCount = 0;
  private isWaiting = false;

  constructor(private readonly options: TrialFollowerOptions) {
    this.timers = new Timers(options.timing);
  }

  /** What the control plane says that some callers are to be given. */
  tell(trial: Trial): void {
    this.told = trial.position === undefined ? undefined : trial;
    this.failureCount = 0;
    this.stop();
    this.options.wake();
  }

  /** The node runs another revision, and nothing beside it. */
  ended(): void {
    this.made = undefined;
  }

  stop(): void {
    this.isWaiting = false;
    this.timers.cancelAll();
  }

  get isDue(): boolean {
    const { told, made } = this;
    if (told === undefined) return made !== undefined;
    if (this.isWaiting || !this.options.replica.isAt(told.base)) return false;
    if (made === undefined || !samePosition(made.trial.position, told.position)) return true;
    return made.refused === undefined && made.trial.principalsPercent !== told.principalsPercent;
  }

  /** Brings what some callers are given to what they are to be given. */
  async settle(): Promise<void> {
    const { told, made } = this;
    if (told === undefined) {
      // Also when it was refused: a larger share may have been, of what some are given.
      await this.options.activateTrial(undefined);
      this.made = undefined;
      this.options.changed();
      return;
    }
    const isKnown = samePosition(made?.trial.position, told.position);
    const candidate = (isKnown ? made?.candidate : undefined) ?? (await this.pulled(told));
    if (candidate === undefined) {
      this.again();
      return;
    }
    if ('reason' in candidate) this.refuse(told, candidate);
    else await this.activate(told, candidate);
    this.options.changed();
  }

  /** How it stands, with what was counted. */
  health(counted: Health['trial']): Health['trial'] {
    const { made } = this;
    if (made === undefined) return undefined;
    const { position, principalsPercent } = made.trial;
    const { refused } = made;
    const { served, servedBeside, upstreamsFailedCount = 0 } = (refused === undefined && counted) || {};
    return create(TrialHealthSchema, {
      ...(served && { served }),
      ...(servedBeside && { servedBeside }),
      upstreamsFailedCount,
      ...(position && { position }),
      principalsPercent,
      ...(refused && {
        rejection: create(RejectionSchema, {
          reason: refused.reason,
          ...(refused.resource && { resource: refused.resource }),
        }),
      }),
    });
  }

  private async activate(trial: Trial, candidate: Candidate): Promise<void> {
    const { rollout, principalsPercent } = trial;
    const refused = await this.options.activateTrial({ candidate, rollout, principalsPercent });
    if (refused !== undefined) {
      this.refuse(trial, refused);
      return;
    }
    this.made = { trial, candidate, refused };
    const revision = Number(candidate.position.revision);
    this.options.log.info(
      { revision, principalsPercent },
      `revision ${revision} is given to ${principalsPercent} % of the callers`,
    );
  }

  private refuse(trial: Trial, refused: Refused): void {
    this.made = { trial, candidate: undefined, refused };
    const revision = Number(trial.position?.revision ?? 0n);
    this.options.log.error(
      { revision, reason: refused.reason },
      `revision ${revision} was refused, and is given to no caller: ${refused.reason}`,
    );
  }

  /** Undefined when it is to be asked for again. */
  private async pulled(trial: Trial): Promise<Candidate | Refused | undefined> {
    const { replica, transport, timing, identity } = this.options;
    const { node, region } = identity();
    const { base: have } = trial;
    const assembly = replica.pulling();
    const request = create(PullRequestSchema, { ...(have && { have }), node, region, trial: true });
    try {
      for await (const piece of transport.pull(request)) await timing.run(assembly.add(piece));
      const pulled = assembly.end();
      const isIt = typeof pulled === 'object' && samePosition(pulled.position, trial.position);
      return isIt ? pulled : undefined;
    } catch (thrown) {
      const isUnknown = thrown instanceof Error && thrown.name === 'UnknownResourceError';
      return isUnknown ? { resource: undefined, reason: thrown.message } : undefined;
    }
  }

  private again(): void {
    this.isWaiting = true;
    this.timers.later('pull', pauseMs(ASK_AGAIN, this.failureCount++, this.options.timing), () => {
      this.isWaiting = false;
      this.options.wake();
    });
  }
}
