/**
 * Follows the configuration: hears that there is something new, fetches what is missing, has it run, and says what
 * became of it. One thing after the other, so that at every moment the node runs one whole revision.
 */
import {
  type Acknowledgement,
  type Announcement,
  type ConnectionList,
  type ConnectRequest,
  ConnectRequestSchema,
  type ConnectResponse,
  create,
  type Health,
  type Hello,
  NodeState,
  type Order,
  type Position,
  PullRequestSchema,
  RejectionSchema,
  type ResourceKey,
  timestampFromMs,
  toBinary,
  type Welcome,
} from '@sluice/proto/cluster';
import type { AnnouncementBus, DeliveryTransport, Standing, Timing } from './delivery-port.js';
import { type Candidate, type Replica, samePosition } from './replica.js';
import { AnnouncementProof } from './signed-announcement.js';

/** The first pause before somebody is asked again, and the longest; milliseconds. */
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 1_000;
/** A control plane that takes the connection and says nothing is left for another one; milliseconds. */
const WELCOME_WITHIN_MS = 3_000;
/** Whatever was not heard is found out by asking; milliseconds, give or take a quarter. */
const POLL_MS = 30_000;
/** The first pause before something is tried again that was refused for a reason that may pass, and the longest; milliseconds. */
const REFUSED_AGAIN_MIN_MS = 1_000;
const REFUSED_AGAIN_MAX_MS = 60_000;
/** So often those are asked again who have less than was announced. */
const MAX_BEHIND_COUNT = 10;
/** Announcements that wait for the one before; with more of them asking is cheaper. */
const MAX_WAITING_COUNT = 64;

export interface NodeIdentity {
  /** Its name, which it keeps over restarts. */
  readonly node: string;
  /** Of this start. */
  readonly incarnation: string;
  readonly version: string;
  readonly region: string;
  /** Where clients reach it; empty while it is not known. */
  readonly clientUrl: string;
}

/** Why a revision cannot be run. */
export interface Refused {
  readonly resource: ResourceKey | undefined;
  readonly reason: string;
  /** The same may be run later: something on this machine is missing, or in the way. */
  readonly mayPass?: boolean | undefined;
}

export interface FollowerLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
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
}

type TimerName = 'connect' | 'welcome' | 'poll' | 'pull' | 'health' | 'refused';

export class Follower {
  private standing: Standing | undefined;
  private welcome: Welcome | undefined;
  private stopped = false;
  private failureCount = 0;
  private pullFailureCount = 0;
  private behindCount = 0;
  private isWorking = false;
  private pullWanted = false;
  private mistrusts = false;
  private waiting: Announcement[] = [];
  /** The newest position that was spoken of. */
  private newest: Position | undefined;
  /** What was refused last, and why. */
  private refused: (Refused & { readonly position: Position }) | undefined;
  /** How often the same was refused. */
  private refusalCount = 0;
  /** What was refused and is to be tried again now. */
  private again: Candidate | undefined;
  /** Why there is nothing to run yet, for whoever waits. */
  private reasonNow = 'no control plane has answered yet';
  private endSubscription: (() => void) | undefined;
  private subscribedTo: string | undefined;
  private proof: AnnouncementProof | undefined;
  /** Announcements were passed over that nobody proved since this stream began. */
  private hasPassedOver = false;
  private hasSaidForged = false;
  private readonly timers = new Map<TimerName, () => void>();

  constructor(private readonly options: FollowerOptions) {}

  start(): void {
    this.options.bus?.onChange((isUp) => this.busChanged(isUp));
    this.connect();
    this.poll();
  }

  /** Why there is nothing to run, as long as that is so. */
  get waitingFor(): string {
    return this.reasonNow;
  }

  /** Says anew who the node is: something of that has changed. */
  introduce(): void {
    if (this.welcome !== undefined) this.sayHello();
  }

  /** Says how the node is now, at once: for what others should not learn late. */
  report(): void {
    this.sayHealth();
  }

  /** Answers an order, over the stream that it came on: who clients are is nobody else's business. */
  answer(list: Omit<ConnectionList, 'node' | 'incarnation'>): void {
    if (this.welcome === undefined) return;
    const { node, incarnation } = this.options.identity();
    const content = { case: 'connections' as const, value: { ...list, node, incarnation } };
    this.standing?.say(create(ConnectRequestSchema, { content }));
  }

  /** Says goodbye and hears nothing any more. */
  stop(): void {
    if (this.stopped) return;
    this.sayHealth(NodeState.STOPPED);
    this.stopped = true;
    for (const cancel of this.timers.values()) cancel();
    this.timers.clear();
    this.endSubscription?.();
    this.standing?.close();
    this.standing = undefined;
  }

  // The standing stream.

  private connect(): void {
    if (this.stopped) return;
    this.welcome = undefined;
    this.hasPassedOver = false;
    let standing: Standing | undefined;
    const mine = (then: () => void) => {
      if (!this.stopped && (standing === undefined || this.standing === standing)) then();
    };
    standing = this.options.transport.connect({
      heard: (response) => mine(() => this.heard(response)),
      ended: (reason) => mine(() => this.lost(reason)),
    });
    this.standing = standing;
    this.later('welcome', WELCOME_WITHIN_MS, () => this.lost(`it said nothing for ${WELCOME_WITHIN_MS} ms`));
    this.sayHello();
  }

  private lost(reason: string): void {
    const { log } = this.options;
    const address = this.standing?.address;
    this.standing?.close();
    this.standing = undefined;
    this.cancel('welcome');
    this.cancel('health');
    if (this.welcome !== undefined || this.failureCount === 0)
      log.warn({ address, reason }, `the control plane at ${address} cannot be reached: ${reason}`);
    this.welcome = undefined;
    this.reasonNow = `no control plane can be reached; ${address}: ${reason}`;
    this.later('connect', this.pauseMs(this.failureCount++), () => this.connect());
  }

  private heard({ content }: ConnectResponse): void {
    switch (content.case) {
      case 'welcome':
        this.welcomed(content.value);
        return;
      case 'announcement':
        this.announced(content.value);
        return;
      case 'order':
        this.options.order(content.value);
        return;
      default:
    }
  }

  private welcomed(welcome: Welcome): void {
    const { log } = this.options;
    this.cancel('welcome');
    if (this.welcome === undefined)
      log.info(
        { address: this.standing?.address, cluster: welcome.cluster },
        'connected to the control plane',
      );
    if (this.welcome === undefined) this.learnKey(welcome.announcementKey);
    this.welcome = welcome;
    this.failureCount = 0;
    if (this.options.replica.position === undefined && this.refused === undefined)
      this.reasonNow = 'the cluster has no configuration yet';
    this.sayHealth();
    this.nextHealth();
    // Whoever is asked now may not have heard of it.
    if (this.refused !== undefined) this.acknowledge(this.refused.position, this.refused);
    void this.subscribe(welcome.announcementSubject);
    this.spokenOf(welcome.position);
    // It may have announced something before its key was known here.
    if (this.hasPassedOver || !this.options.replica.isAt(welcome.position)) this.wantPull();
  }

  // NATS.

  private async subscribe(subject: string): Promise<void> {
    const { bus, log } = this.options;
    if (bus?.isUp !== true || subject === '') return;
    if (this.subscribedTo !== subject) {
      this.endSubscription?.();
      this.endSubscription = undefined;
      this.subscribedTo = subject;
      try {
        const end = await bus.subscribe(subject, (bytes) => this.heardOnBus(subject, bytes));
        if (this.stopped || this.subscribedTo !== subject) end();
        else this.endSubscription = end;
      } catch (thrown) {
        this.subscribedTo = undefined;
        log.warn({ err: thrown }, 'announcements cannot be heard over NATS');
        return;
      }
      // From now on nothing is missed; what was published just before may have been.
      this.sayHello();
      this.wantPull();
    }
  }

  private heardOnBus(subject: string, bytes: Uint8Array): void {
    const heard = this.proof?.opened(subject, bytes) ?? 'unproven';
    if (heard === 'unproven') {
      this.hasPassedOver = true;
      return;
    }
    if (heard !== 'forged') {
      this.announced(heard);
      return;
    }
    if (!this.hasSaidForged)
      this.options.log.warn({ subject }, 'somebody forges announcements over NATS; they are passed over');
    this.hasSaidForged = true;
  }

  /** What the control plane signs with that the node has its stream to. */
  private learnKey(announcementKey: Uint8Array): void {
    try {
      this.proof = announcementKey.length === 0 ? undefined : new AnnouncementProof(announcementKey);
    } catch (thrown) {
      this.proof = undefined;
      this.options.log.warn(
        { err: thrown },
        'announcements over NATS cannot be checked, and are passed over',
      );
    }
  }

  private busChanged(isUp: boolean): void {
    if (this.stopped) return;
    // Announcements come another way from now on.
    if (this.welcome !== undefined) {
      this.sayHello();
      if (isUp) void this.subscribe(this.welcome.announcementSubject);
    }
    // What was announced while it was away was not heard.
    if (isUp) this.wantPull();
  }

  // What is new.

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
    if (judged === 'pull') this.pullWanted = true;
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
    this.cancel('pull');
    if (pulled !== 'nothing') await this.run(pulled);
    this.askOthersIfBehind();
  }

  /** Whoever was asked may be behind somebody else, who spoke of more; or the store was restored from a backup. */
  private askOthersIfBehind(): void {
    if (!this.isBehind()) this.behindCount = 0;
    else if (this.behindCount < MAX_BEHIND_COUNT)
      this.later('pull', this.pauseMs(this.behindCount++), () => this.wantPull());
    else this.newest = this.options.replica.position;
  }

  private isBehind(): boolean {
    const { position } = this.options.replica;
    const { newest, refused } = this;
    if (newest === undefined || newest.storeId !== position?.storeId) return false;
    return newest.revision > position.revision && !samePosition(newest, refused?.position);
  }

  private pullFailed(reason: string): void {
    if (this.pullFailureCount === 0 && this.welcome !== undefined)
      this.options.log.warn({ reason }, `the configuration could not be pulled: ${reason}`);
    if (this.options.replica.position === undefined && this.refused === undefined)
      this.reasonNow = `the configuration could not be pulled: ${reason}`;
    this.pullAgain();
  }

  private pullAgain(): void {
    this.later('pull', this.pauseMs(this.pullFailureCount++), () => this.wantPull());
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
    this.refused = undefined;
    this.cancel('refused');
    this.acknowledge(position);
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
    this.cancel('refused');
    if (refused.mayPass && candidate !== undefined)
      this.later('refused', this.refusedPauseMs(), () => {
        this.again = candidate;
        void this.work();
      });
    if (isKnown) return;
    const revision = Number(position.revision);
    log.error({ revision, reason: refused.reason }, `revision ${revision} was refused: ${refused.reason}`);
    if (replica.position === undefined)
      this.reasonNow = `revision ${revision} was refused: ${refused.reason}`;
    this.acknowledge(position, refused);
  }

  // What is said.

  private acknowledge(position: Position, refused?: Refused): void {
    const { node, incarnation } = this.options.identity();
    const rejection =
      refused === undefined
        ? undefined
        : create(RejectionSchema, {
            reason: refused.reason,
            ...(refused.resource === undefined ? {} : { resource: refused.resource }),
          });
    const value: Partial<Acknowledgement> = { node, incarnation, position, ...(rejection && { rejection }) };
    this.say(
      create(ConnectRequestSchema, { content: { case: 'acknowledgement', value: value as Acknowledgement } }),
    );
  }

  private sayHello(): void {
    const { identity, replica, bus } = this.options;
    const { position } = replica;
    const value: Partial<Hello> = {
      ...identity(),
      ...(position && { position }),
      hearsAnnouncements: bus?.isUp === true && this.endSubscription !== undefined,
    };
    // Who it is belongs to the stream.
    this.standing?.say(create(ConnectRequestSchema, { content: { case: 'hello', value: value as Hello } }));
  }

  private nextHealth(): void {
    const interval = this.welcome?.healthIntervalMs ?? 0;
    if (interval === 0) return;
    this.later('health', interval, () => {
      this.sayHealth();
      this.nextHealth();
    });
  }

  private sayHealth(state?: NodeState): void {
    const { identity, replica, timing, health } = this.options;
    if (this.welcome === undefined) return;
    const { node, incarnation } = identity();
    const { position } = replica;
    const value: Partial<Health> = {
      ...health(),
      node,
      incarnation,
      time: timestampFromMs(timing.nowMs()),
      ...(position && { position }),
      ...(state === undefined ? {} : { state }),
    };
    this.say(create(ConnectRequestSchema, { content: { case: 'health', value: value as Health } }));
  }

  /** Over NATS when it is there, which costs the control plane least. What cannot be said is known from the next Hello. */
  private say(request: ConnectRequest): void {
    const { bus } = this.options;
    const subject = this.welcome?.reportSubject ?? '';
    if (bus?.isUp === true && subject !== '') bus.publish(subject, toBinary(ConnectRequestSchema, request));
    else if (this.welcome !== undefined) this.standing?.say(request);
  }

  // Time.

  private poll(): void {
    const { timing } = this.options;
    this.later('poll', POLL_MS * (0.75 + timing.random() / 2), () => {
      this.wantPull();
      this.poll();
    });
  }

  private refusedPauseMs(): number {
    const longest = REFUSED_AGAIN_MIN_MS * 2 ** Math.min(this.refusalCount, 10);
    return Math.min(REFUSED_AGAIN_MAX_MS, longest) * (0.5 + this.options.timing.random() / 2);
  }

  /** Longer from time to time, and never the same for all nodes. */
  private pauseMs(failures: number): number {
    const longest = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(failures, 10));
    return longest * (0.5 + this.options.timing.random() / 2);
  }

  private later(name: TimerName, ms: number, what: () => void): void {
    this.cancel(name);
    const cancel = this.options.timing.after(ms, () => {
      this.timers.delete(name);
      what();
    });
    this.timers.set(name, cancel);
  }

  private cancel(name: TimerName): void {
    this.timers.get(name)?.();
    this.timers.delete(name);
  }
}

function isUnknownResource(thrown: unknown): boolean {
  return thrown instanceof Error && thrown.name === 'UnknownResourceError';
}

function refusalOf(thrown: unknown): Refused {
  return { resource: undefined, reason: thrown instanceof Error ? thrown.message : String(thrown) };
}
