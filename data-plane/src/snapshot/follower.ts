/**
 * Follows the configuration: hears that there is something new, fetches what is missing, has it run, and says what
 * became of it. One thing after the other, so that at every moment the node runs one whole revision.
 */
import {
  type Announcement,
  type ConnectionList,
  create,
  type Health,
  type Order,
  type Position,
  PullRequestSchema,
  type ResourceKey,
  type Welcome,
} from '@sluice/proto/cluster';
import { ControlPlaneConnection, type NodeIdentity } from './control-plane-connection.js';
import type { AnnouncementBus, DeliveryTransport, FollowerLog, Timing } from './delivery-port.js';
import { type Candidate, type Replica, samePosition } from './replica.js';
import { ASK_AGAIN, type Pauses, pauseMs, Timers } from './timers.js';
import { TrialFollower, type TrialFollowerOptions } from './trial-follower.js';

/** Whatever was not heard is found out by asking; milliseconds, give or take a quarter. */
const POLL_MS = 30_000;
/** Before something is tried again that was refused for a reason that may pass. */
const REFUSED_AGAIN: Pauses = { shortestMs: 1_000, longestMs: 60_000 };
/** So often those are asked again who have less than was announced. */
const MAX_BEHIND_COUNT = 10;
/** Announcements that wait for the one before; with more of them asking is cheaper. */
const MAX_WAITING_COUNT = 64;

/** Why a revision cannot be run. */
export interface Refused {
  readonly resource: ResourceKey | undefined;
  readonly reason: string;
  /** The same may be run later: something on this machine is missing, or in the way. */
  readonly mayPass?: boolean | undefined;
}

export interface FollowerOptions {
  readonly identity: () => NodeIdentity;
  readonly replica: Replica;
  readonly transport: DeliveryTransport;
  readonly bus?: AnnouncementBus | undefined;
  readonly timing: Timing;
  readonly log: FollowerLog;
  /** Has it run, all or nothing; undefined when it runs. Must not throw. */
  readonly activate: (candidate: Candidate) => Promise<Refused | undefined>;
  /** What it runs is another one now, and the replica holds it. */
  readonly activated: (position: Position) => void;
  /** How the node is, beside what the follower knows itself. */
  readonly health: () => Partial<Health>;
  readonly order: (order: Order) => void;
  /** Has it run for some callers, or ends that; see {@link TrialFollower}. */
  readonly activateTrial: TrialFollowerOptions['activateTrial'];
}

export class Follower {
  private readonly controlPlane: ControlPlaneConnection;
  private readonly trials: TrialFollower;
  private readonly timers: Timers<'poll' | 'pull' | 'refused'>;
  private stopped = false;
  private pullFailureCount = 0;
  private behindCount = 0;
  private isWorking = false;
  private pullWanted = false;
  private mistrusts = false;
  private waiting: Announcement[] = [];
  /** The newest position that was spoken of. */
  private newest: Position | undefined;
  /** The store went back behind what runs here, which stays until there is something that can take its place. */
  private isAheadOfStore = false;
  /** What was refused last, and why. */
  private refused: (Refused & { readonly position: Position }) | undefined;
  /** How often the same was refused. */
  private refusalCount = 0;
  /** What was refused and is to be tried again now. */
  private again: Candidate | undefined;
  /** Why there is nothing to run yet, for whoever waits. */
  private reasonNow = 'no control plane has answered yet';

  constructor(private readonly options: FollowerOptions) {
    const { order, timing } = options;
    this.timers = new Timers(timing);
    this.trials = new TrialFollower({
      ...options,
      wake: () => void this.work(),
      changed: () => this.report(),
    });
    this.controlPlane = new ControlPlaneConnection({
      ...options,
      health: () => this.health(),
      events: {
        welcomed: (welcome) => this.welcomed(welcome),
        announced: (announcement) => this.announced(announcement),
        missed: () => this.wantPull(),
        lost: (reason) => {
          this.reasonNow = `no control plane can be reached; ${reason}`;
        },
        order,
        tried: (trial) => this.trials.tell(trial),
      },
    });
  }

  start(): void {
    this.controlPlane.start();
    this.poll();
  }

  /** Why there is nothing to run, as long as that is so. */
  get waitingFor(): string {
    return this.reasonNow;
  }

  /** Says anew who the node is: something of that has changed. */
  introduce(): void {
    this.controlPlane.introduce();
  }

  /** Says how the node is now, at once: for what others should not learn late. */
  report(): void {
    this.controlPlane.sayHealth();
  }

  /** Answers an order. */
  answer(list: Omit<ConnectionList, 'node' | 'incarnation'>): void {
    this.controlPlane.answer(list);
  }

  /** Says goodbye and hears nothing any more. */
  stop(): void {
    if (this.stopped) return;
    this.controlPlane.stop();
    this.stopped = true;
    this.timers.cancelAll();
    this.trials.stop();
  }

  private health(): Partial<Health> {
    const { trial, ...health } = this.options.health();
    const tried = this.trials.health(trial);
    return { ...health, ...(tried && { trial: tried }) };
  }

  // What is new.

  private welcomed({ position }: Welcome): void {
    if (this.options.replica.position === undefined && this.refused === undefined)
      this.reasonNow = 'the cluster has no configuration yet';
    // Whoever is asked now may not have heard of it.
    if (this.refused !== undefined) this.controlPlane.acknowledge(this.refused.position, this.refused);
    this.spokenOf(position);
    if (!this.options.replica.isAt(position)) this.wantPull();
  }

  private announced(announcement: Announcement): void {
    if (this.stopped) return;
    if (this.waiting.length >= MAX_WAITING_COUNT) {
      this.waiting = [];
      this.pullWanted = true;
    } else this.waiting.push(announcement);
    this.spokenOf(announcement.position);
    void this.work();
  }

  private spokenOf(position: Position | undefined): void {
    const { newest } = this;
    if (position === undefined) return;
    if (newest === undefined || newest.storeId !== position.storeId || position.revision > newest.revision)
      this.newest = position;
  }

  private wantPull(): void {
    this.pullWanted = true;
    void this.work();
  }

  /** Does what is to be done, one thing after the other. */
  private async work(): Promise<void> {
    if (this.isWorking) return;
    this.isWorking = true;
    try {
      while (!this.stopped) {
        const next = this.waiting.shift();
        const { again } = this;
        this.again = undefined;
        if (again !== undefined) await this.tryAgain(again);
        if (next !== undefined) await this.take(next);
        else if (this.pullWanted) await this.pull();
        else if (again !== undefined) continue;
        else if (this.trials.isDue) await this.trials.settle();
        else break;
      }
    } finally {
      this.isWorking = false;
    }
  }

  private async take(announcement: Announcement): Promise<void> {
    const { replica } = this.options;
    let judged: ReturnType<Replica['judge']>;
    try {
      judged = replica.judge(announcement);
    } catch (thrown) {
      if (announcement.position !== undefined) this.refuse(announcement.position, refusalOf(thrown));
      return;
    }
    // Numbers of another line of revisions say nothing of what is newer.
    if (judged === 'pull' || (judged === 'nothing' && this.isAheadOfStore)) this.pullWanted = true;
    else if (judged !== 'nothing') await this.run(judged);
  }

  private async pull(): Promise<void> {
    const { replica, transport, timing, identity, log } = this.options;
    this.pullWanted = false;
    const { node, region } = identity();
    const { position: have } = replica;
    const everything = this.mistrusts;
    const request = create(PullRequestSchema, { ...(have && { have }), node, region, everything });
    const assembly = replica.pulling();
    let position: Position | undefined;
    let pulled: ReturnType<typeof assembly.end>;
    try {
      for await (const piece of transport.pull(request)) {
        if (this.stopped) return;
        position = piece.position;
        await timing.run(assembly.add(piece));
      }
      pulled = assembly.end();
    } catch (thrown) {
      if (this.stopped) return;
      // Whatever can be read and not understood is for people to look at; the rest is asked for again.
      if (position !== undefined && isUnknownResource(thrown)) this.refuse(position, refusalOf(thrown));
      else this.pullFailed(thrown instanceof Error ? thrown.message : String(thrown));
      return;
    }
    if (pulled === 'again') {
      log.warn(
        { revision: Number(position?.revision ?? 0) },
        'what was pulled is not what it says; asking for all of it',
      );
      this.mistrusts = true;
      this.pullFailed('what came is not what it says');
      return;
    }
    this.mistrusts = false;
    this.pullFailureCount = 0;
    this.timers.cancel('pull');
    if (pulled !== 'nothing') await this.run(pulled);
    this.isAheadOfStore = position !== undefined && isBehind(position, replica.position);
    this.askOthersIfBehind();
  }

  /** Whoever was asked may be behind somebody else, who spoke of more; or the store was restored from a backup. */
  private askOthersIfBehind(): void {
    if (!this.isBehind()) this.behindCount = 0;
    else if (this.behindCount < MAX_BEHIND_COUNT)
      this.timers.later('pull', pauseMs(ASK_AGAIN, this.behindCount++, this.options.timing), () =>
        this.wantPull(),
      );
    else this.newest = this.options.replica.position;
  }

  private isBehind(): boolean {
    const { position } = this.options.replica;
    const { newest, refused } = this;
    if (newest === undefined || newest.storeId !== position?.storeId) return false;
    return newest.revision > position.revision && !samePosition(newest, refused?.position);
  }

  private pullFailed(reason: string): void {
    if (this.pullFailureCount === 0 && this.controlPlane.isWelcome)
      this.options.log.warn({ reason }, `the configuration could not be pulled: ${reason}`);
    if (this.options.replica.position === undefined && this.refused === undefined)
      this.reasonNow = `the configuration could not be pulled: ${reason}`;
    this.pullAgain();
  }

  private pullAgain(): void {
    this.timers.later('pull', pauseMs(ASK_AGAIN, this.pullFailureCount++, this.options.timing), () =>
      this.wantPull(),
    );
  }

  private async run(candidate: Candidate): Promise<void> {
    // It was refused, and is the same; what makes that different is another revision, another start, or time.
    if (!samePosition(candidate.position, this.refused?.position)) await this.activate(candidate);
  }

  /** Unless something else runs meanwhile. */
  private async tryAgain(candidate: Candidate): Promise<void> {
    const { base, position } = candidate;
    if (base === this.options.replica.position && samePosition(position, this.refused?.position))
      await this.activate(candidate);
  }

  /** Runs what was kept from before, and could not be run yet, when that can be done. */
  begin(candidate: Candidate, refused: Refused): void {
    this.refuse(candidate.position, refused, candidate);
  }

  private async activate(candidate: Candidate): Promise<void> {
    const { replica, activate, activated, log } = this.options;
    const { position } = candidate;
    const refused = await activate(candidate);
    if (refused !== undefined) {
      this.refuse(position, refused, candidate);
      return;
    }
    replica.take(candidate);
    this.trials.ended();
    this.refused = undefined;
    this.timers.cancel('refused');
    this.controlPlane.acknowledge(position);
    const { changed, removed } = candidate.change;
    const fields = { revision: Number(position.revision), changed: changed.length, removed: removed.length };
    log.info(fields, `revision ${position.revision} is active`);
    activated(position);
  }

  private refuse(position: Position, refused: Refused, candidate?: Candidate): void {
    const { log, replica } = this.options;
    const isAgain = samePosition(position, this.refused?.position);
    const isKnown = isAgain && this.refused?.reason === refused.reason;
    this.refusalCount = isAgain ? this.refusalCount + 1 : 0;
    this.refused = { ...refused, position };
    this.timers.cancel('refused');
    if (refused.mayPass && candidate !== undefined)
      this.timers.later('refused', pauseMs(REFUSED_AGAIN, this.refusalCount, this.options.timing), () => {
        this.again = candidate;
        void this.work();
      });
    if (isKnown) return;
    const revision = Number(position.revision);
    log.error({ revision, reason: refused.reason }, `revision ${revision} was refused: ${refused.reason}`);
    if (replica.position === undefined)
      this.reasonNow = `revision ${revision} was refused: ${refused.reason}`;
    this.controlPlane.acknowledge(position, refused);
  }

  // Time.

  private poll(): void {
    const { timing } = this.options;
    this.timers.later('poll', POLL_MS * (0.75 + timing.random() / 2), () => {
      this.wantPull();
      this.poll();
    });
  }
}

function isBehind({ storeId, revision }: Position, held: Position | undefined): boolean {
  return held !== undefined && storeId === held.storeId && revision < held.revision;
}

function isUnknownResource(thrown: unknown): boolean {
  return thrown instanceof Error && thrown.name === 'UnknownResourceError';
}

function refusalOf(thrown: unknown): Refused {
  return { resource: undefined, reason: thrown instanceof Error ? thrown.message : String(thrown) };
}
