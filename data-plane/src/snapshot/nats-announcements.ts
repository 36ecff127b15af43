/** Announcements over NATS, on a connection that is made anew whenever it is lost. */
import { readFileSync } from 'node:fs';
import { connect, credsAuthenticator, type NatsConnection } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import type { AnnouncementBus } from './delivery-port.js';

/** Between two attempts; milliseconds, and as much again by chance. */
const RECONNECT_WAIT_MS = 200;
const CONNECT_TIMEOUT_MS = 3_000;
/** A connection that is cut without a word is noticed after three of them; milliseconds. */
const PING_INTERVAL_MS = 2_000;
const MAX_PINGS_OUT = 2;
/** Bytes for the end of a connection to be sent; milliseconds. */
const CLOSE_TIMEOUT_MS = 1_000;

export interface NatsOptions {
  /** `nats://host:4222` or `tls://host:4222`. */
  readonly servers: readonly string[];
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  readonly token?: string | undefined;
  /** A file with the JWT and the seed of a user (`.creds`). */
  readonly credentialsFile?: string | undefined;
  /** PEM files. */
  readonly tls?:
    | {
        readonly caFile?: string | undefined;
        readonly certFile?: string | undefined;
        readonly keyFile?: string | undefined;
      }
    | undefined;
}

interface Subscribed {
  readonly subject: string;
  readonly heard: (bytes: Uint8Array) => void;
  end: (() => void) | undefined;
}

export class NatsAnnouncements implements AnnouncementBus {
  private connection: NatsConnection | undefined;
  private up = false;
  private isClosed = false;
  private hasSaid = false;
  private readonly listeners: ((isUp: boolean) => void)[] = [];
  private readonly subscriptions = new Set<Subscribed>();

  constructor(
    private readonly options: NatsOptions,
    private readonly name: string,
    private readonly log: Logger,
  ) {
    void this.keep();
  }

  get isUp(): boolean {
    return this.up;
  }

  onChange(listener: (isUp: boolean) => void): void {
    this.listeners.push(listener);
  }

  async subscribe(subject: string, heard: (bytes: Uint8Array) => void): Promise<() => void> {
    const subscribed: Subscribed = { subject, heard, end: undefined };
    this.subscriptions.add(subscribed);
    const { connection } = this;
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
    if (this.up) this.connection?.publish(subject, bytes);
  }

  async close(): Promise<void> {
    this.isClosed = true;
    const { connection } = this;
    if (connection === undefined) return;
    const timer = setTimeout(() => void connection.close(), CLOSE_TIMEOUT_MS);
    await (this.up ? connection.drain() : connection.close()).catch(() => undefined);
    clearTimeout(timer);
    this.up = false;
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

  private async keep(): Promise<void> {
    while (!this.isClosed) {
      try {
        const connection = await connect(this.connectionOptions());
        if (this.isClosed) return void (await connection.close());
        this.connection = connection;
        for (const each of this.subscriptions) this.attach(connection, each);
        this.rise();
        void this.follow(connection);
        await connection.closed();
        this.connection = undefined;
        this.fall('it closed the connection');
      } catch (thrown) {
        const reason = thrown instanceof Error ? thrown.message : String(thrown);
        if (!this.hasSaid)
          this.log.warn({ reason }, `NATS cannot be reached, so changes come later: ${reason}`);
        this.hasSaid = true;
      }
      await new Promise((resolve) => setTimeout(resolve, RECONNECT_WAIT_MS * (1 + Math.random())).unref());
    }
  }

  private async follow(connection: NatsConnection): Promise<void> {
    for await (const status of connection.status()) {
      if (status.type === 'disconnect' || status.type === 'staleConnection')
        this.fall('the connection is lost');
      else if (status.type === 'reconnect') this.rise();
      else if (status.type === 'error') this.log.warn({ err: status.error }, 'NATS refused something');
    }
  }

  private rise(): void {
    if (this.up) return;
    this.up = true;
    this.hasSaid = false;
    this.log.info({ server: this.connection?.getServer() }, 'connected to NATS');
    for (const listener of this.listeners) listener(true);
  }

  private fall(reason: string): void {
    if (!this.up) return;
    this.up = false;
    if (!this.isClosed)
      this.log.warn({ reason }, `NATS is away, so changes come over the control plane: ${reason}`);
    this.hasSaid = true;
    for (const listener of this.listeners) listener(false);
  }

  private connectionOptions(): Parameters<typeof connect>[0] {
    const { servers, user, password, token, tls, credentialsFile } = this.options;
    return {
      servers: [...servers],
      name: this.name,
      timeout: CONNECT_TIMEOUT_MS,
      maxReconnectAttempts: -1,
      reconnectTimeWait: RECONNECT_WAIT_MS,
      reconnectJitter: RECONNECT_WAIT_MS,
      reconnectJitterTLS: RECONNECT_WAIT_MS,
      pingInterval: PING_INTERVAL_MS,
      maxPingOut: MAX_PINGS_OUT,
      ignoreAuthErrorAbort: true,
      ...(user !== undefined && { user }),
      ...(password !== undefined && { pass: password }),
      ...(token !== undefined && { token }),
      ...(tls !== undefined && { tls: { ...tls } as Record<string, string> }),
      ...(credentialsFile !== undefined && {
        authenticator: credsAuthenticator(readFileSync(credentialsFile)),
      }),
    };
  }
}
