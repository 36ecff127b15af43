/** Announcements over the connection to NATS that a node has. */
import type { NatsConnection } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import type { AnnouncementBus } from '../snapshot/delivery-port.js';
import type { NatsLink } from './nats-link.js';

interface Subscribed {
  readonly subject: string;
  readonly heard: (bytes: Uint8Array) => void;
  end: (() => void) | undefined;
}

export class NatsAnnouncements implements AnnouncementBus {
  private readonly listeners: ((isUp: boolean) => void)[] = [];
  private readonly subscriptions = new Set<Subscribed>();

  constructor(
    private readonly link: NatsLink,
    private readonly log: Logger,
  ) {
    link.onUp((connection, isNew) => {
      if (isNew) for (const each of this.subscriptions) this.attach(connection, each);
      for (const listener of this.listeners) listener(true);
    });
    link.onDown(() => {
      for (const listener of this.listeners) listener(false);
    });
  }

  get isUp(): boolean {
    return this.link.live !== undefined;
  }

  onChange(listener: (isUp: boolean) => void): void {
    this.listeners.push(listener);
  }

  async subscribe(subject: string, heard: (bytes: Uint8Array) => void): Promise<() => void> {
    const subscribed: Subscribed = { subject, heard, end: undefined };
    this.subscriptions.add(subscribed);
    const connection = this.link.live;
    if (connection !== undefined) {
      this.attach(connection, subscribed);
      await connection.flush();
    }
    return () => {
      this.subscriptions.delete(subscribed);
      subscribed.end?.();
    };
  }

  publish(subject: string, bytes: Uint8Array): void {
    this.link.live?.publish(subject, bytes);
  }

  private attach(connection: NatsConnection, subscribed: Subscribed): void {
    const subscription = connection.subscribe(subscribed.subject, {
      callback: (error, message) => {
        if (error === null) subscribed.heard(message.data);
        else this.log.warn({ err: error, subject: subscribed.subject }, 'NATS does not let this node listen');
      },
    });
    subscribed.end = () => subscription.unsubscribe();
  }
}
