/**
 * What a node hears from a control plane and says to it: over a standing stream, and over NATS where that is there. When
 * a stream ends, another control plane is asked.
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
  type Rejection,
  RejectionSchema,
  type Trial,
  timestampFromMs,
  toBinary,
  type Welcome,
} from '@sluice/proto/cluster';
import type { AnnouncementBus, DeliveryTransport, FollowerLog, Standing, Timing } from './delivery-port.js';
import type { Replica } from './replica.js';
import { AnnouncementProof } from './signed-announcement.js';
import { ASK_AGAIN, pauseMs, Timers } from './timers.js';

/** A control plane that takes the connection and says nothing is left for another one; milliseconds. */
const WELCOME_WITHIN_MS = 3_000;

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

/** What is heard. */
export interface ControlPlaneEvents {
  welcomed(welcome: Welcome): void;
  announced(announcement: Announcement): void;
  /** Something may have been announced that was not heard. */
  missed(): void;
  /** The stream has ended, or there is none, and why. */
  lost(reason: string): void;
  order(order: Order): void;
  /** Some callers are to be given something else. */
  tried(trial: Trial): void;
}

export interface ControlPlaneConnectionOptions {
  readonly identity: () => NodeIdentity;
  /** Says which position the node holds. */
  readonly replica: Pick<Replica, 'position'>;
  readonly transport: Pick<DeliveryTransport, 'connect'>;
  readonly bus?: AnnouncementBus | undefined;
  readonly timing: Timing;
  readonly log: FollowerLog;
  readonly health: () => Partial<Health>;
  readonly events: ControlPlaneEvents;
}

export class ControlPlaneConnection {
  private standing: Standing | undefined;
  private welcome: Welcome | undefined;
  private stopped = false;
  private failureCount = 0;
  private endSubscription: (() => void) | undefined;
  private subscribedTo: string | undefined;
  private proof: AnnouncementProof | undefined;
  /** Announcements were passed over that nobody proved since this stream began. */
  private hasPassedOver = false;
  private hasSaidForged = false;
  private readonly timers: Timers<'connect' | 'welcome' | 'health'>;

  constructor(private readonly options: ControlPlaneConnectionOptions) {
    this.timers = new Timers(options.timing);
  }

  start(): void {
    this.options.bus?.onChange((isUp) => this.busChanged(isUp));
    this.connect();
  }

  /** A control plane has taken this node. */
  get isWelcome(): boolean {
    return this.welcome !== undefined;
  }

  /** Says anew who the node is: something of that has changed. */
  introduce(): void {
    if (this.welcome !== undefined) this.sayHello();
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
    this.sayHealth(NodeState.STOPPED);
    this.stopped = true;
    this.timers.cancelAll();
    this.endSubscription?.();
    this.standing?.close();
    this.standing = undefined;
  }

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
    this.timers.later('welcome', WELCOME_WITHIN_MS, () =>
      this.lost(`it said nothing for ${WELCOME_WITHIN_MS} ms`),
    );
    this.sayHello();
  }

  private lost(reason: string): void {
    const { log } = this.options;
    const address = this.standing?.address;
    this.standing?.close();
    this.standing = undefined;
    this.timers.cancel('welcome');
    this.timers.cancel('health');
    if (this.welcome !== undefined || this.failureCount === 0)
      log.warn({ address, reason }, `the control plane at ${address} cannot be reached: ${reason}`);
    this.welcome = undefined;
    this.options.events.lost(`${address}: ${reason}`);
    this.timers.later('connect', pauseMs(ASK_AGAIN, this.failureCount++, this.options.timing), () =>
      this.connect(),
    );
  }

  private heard({ content }: ConnectResponse): void {
    switch (content.case) {
      case 'welcome':
        this.welcomed(content.value);
        return;
      case 'announcement':
        this.options.events.announced(content.value);
        return;
      case 'order':
        this.options.events.order(content.value);
        return;
      case 'trial':
        this.options.events.tried(content.value);
        return;
      default:
    }
  }

  private welcomed(welcome: Welcome): void {
    const { log } = this.options;
    this.timers.cancel('welcome');
    if (this.welcome === undefined) {
      const { cluster, announcementKey } = welcome;
      log.info({ address: this.standing?.address, cluster }, 'connected to the control plane');
      this.learnKey(announcementKey);
    }
    this.welcome = welcome;
    this.sayHealth();
    this.nextHealth();
    void this.subscribe(welcome.announcementSubject);
    this.options.events.welcomed(welcome);
    // It may have announced something before its key was known here.
    if (this.hasPassedOver) this.options.events.missed();
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
      this.options.events.missed();
    }
  }

  private heardOnBus(subject: string, bytes: Uint8Array): void {
    const heard = this.proof?.opened(subject, bytes) ?? 'unproven';
    if (heard === 'unproven') {
      this.hasPassedOver = true;
      return;
    }
    if (heard !== 'forged') {
      this.options.events.announced(heard);
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
    if (isUp) this.options.events.missed();
  }

  // What is said.

  /** @param refused why it does not run; undefined when it does */
  acknowledge(position: Position, refused?: Pick<Rejection, 'resource' | 'reason'>): void {
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
    this.timers.later('health', interval, () => {
      // It holds. Two nodes with one name end each other's streams, and must not do so as fast as they can.
      this.failureCount = 0;
      this.sayHealth();
      this.nextHealth();
    });
  }

  /** Says how the node is now. */
  sayHealth(state?: NodeState): void {
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
}
