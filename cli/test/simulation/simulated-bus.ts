/**
 * NATS as its clients see it: in order on one connection and at most once. A connection may be gone before anybody
 * notices; what is published then is lost, or sent once more on the next connection.
 */
import type { AnnouncementBus } from '../../../data-plane/src/snapshot/delivery-port.js';
import { Pipe } from './pipe.js';
import type { SimulatedProcess, Surroundings } from './simulated-process.js';

/** As nats-announcements.ts has it; milliseconds. */
const RECONNECT_WAIT_MS = 200;
/** Three pings without an answer. */
const NOTICED_WITHIN_MS = 6_000;

export class SimulatedBus {
  readonly connections = new Set<BusConnection>();
  private up = true;
  /** Changes a message on its way; undefined leaves all as they are. */
  damage: ((subject: string, bytes: Uint8Array) => Uint8Array) | undefined;

  constructor(readonly surroundings: Surroundings) {}

  get isUp(): boolean {
    return this.up;
  }

  stop(): void {
    this.up = false;
    for (const connection of this.connections) connection.cut();
  }

  start(): void {
    this.up = true;
  }

  /** A message has come to the server. */
  route(subject: string, bytes: Uint8Array): void {
    if (!this.up) return;
    const sent = this.damage?.(subject, bytes) ?? bytes;
    for (const connection of this.connections) connection.deliver(subject, sent);
  }
}

interface Subscription {
  readonly subject: string;
  readonly heard: (bytes: Uint8Array, subject: string) => void;
}

/** Of one process. */
export class BusConnection implements AnnouncementBus {
  private upNow = false;
  private toServer: Pipe | undefined;
  private fromServer: Pipe | undefined;
  private readonly listeners: ((isUp: boolean) => void)[] = [];
  private readonly subscriptions = new Set<Subscription>();
  /** What the server knows of these. */
  private readonly served = new Set<Subscription>();
  /** Sent on a connection that may have been gone already. */
  private unsure: { subject: string; bytes: Uint8Array }[] = [];
  private readonly flushes = new Set<() => void>();
  /** The way to the server is open. */
  isRoutable = true;

  constructor(
    private readonly bus: SimulatedBus,
    private readonly process: SimulatedProcess,
  ) {
    bus.connections.add(this);
    process.whenKilled(() => {
      this.drop();
      bus.connections.delete(this);
    });
    this.reconnectSoon();
  }

  get isUp(): boolean {
    return this.upNow;
  }

  onChange(listener: (isUp: boolean) => void): void {
    this.listeners.push(listener);
  }

  async subscribe(subject: string, heard: Subscription['heard']): Promise<() => void> {
    const subscription = { subject, heard };
    this.subscriptions.add(subscription);
    await this.flush(subscription);
    return () => {
      this.subscriptions.delete(subscription);
      this.served.delete(subscription);
    };
  }

  publish(subject: string, bytes: Uint8Array): void {
    if (!this.upNow) return;
    if (this.toServer === undefined) this.unsure.push({ subject, bytes });
    else this.toServer.send(() => this.bus.route(subject, bytes));
  }

  /** From the server. */
  deliver(subject: string, bytes: Uint8Array): void {
    for (const subscription of this.served)
      if (isOf(subscription.subject, subject))
        this.fromServer?.send(() => {
          if (this.subscriptions.has(subscription)) subscription.heard(bytes, subject);
        });
  }

  /** The connection is gone; whoever has it notices later. */
  cut(): void {
    if (this.toServer === undefined) return;
    this.drop();
    const { random } = this.bus.surroundings;
    const noticedMs = random.oneIn(3) ? random.below(NOTICED_WITHIN_MS) : random.below(20);
    this.process.after(noticedMs, () => {
      this.upNow = false;
      this.process.trace('bus: away');
      for (const listener of this.listeners) listener(false);
      this.reconnectSoon();
    });
  }

  private drop(): void {
    this.toServer?.cut();
    this.fromServer?.cut();
    this.toServer = undefined;
    this.fromServer = undefined;
    this.served.clear();
  }

  private reconnectSoon(): void {
    const { random } = this.bus.surroundings;
    this.process.after(RECONNECT_WAIT_MS + random.below(RECONNECT_WAIT_MS), () => {
      if (!this.bus.isUp || !this.isRoutable) {
        this.reconnectSoon();
        return;
      }
      this.toServer = new Pipe(this.bus.surroundings, { isAlive: true });
      this.fromServer = new Pipe(this.bus.surroundings, this.process);
      for (const each of this.subscriptions) this.served.add(each);
      for (const flush of [...this.flushes]) flush();
      this.upNow = true;
      this.process.trace('bus: up');
      const again = this.unsure.filter(() => random.oneIn(2));
      this.unsure = [];
      for (const { subject, bytes } of again) this.publish(subject, bytes);
      for (const listener of this.listeners) listener(true);
    });
  }

  /** The server knows of the subscription, and says so. */
  private flush(subscription: Subscription): Promise<void> {
    return new Promise((resolve) => {
      const attempt = () => {
        this.toServer?.send(() => {
          if (this.subscriptions.has(subscription)) this.served.add(subscription);
          this.fromServer?.send(() => {
            this.flushes.delete(attempt);
            resolve();
          });
        });
      };
      this.flushes.add(attempt);
      attempt();
    });
  }
}

function isOf(subscribed: string, subject: string): boolean {
  return subscribed.endsWith('>') ? subject.startsWith(subscribed.slice(0, -1)) : subject === subscribed;
}
