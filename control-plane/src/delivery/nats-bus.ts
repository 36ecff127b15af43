/** NATS as the control plane uses it: a connection that is made anew whenever it is lost, and nothing that is kept. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, credsAuthenticator, type NatsConnection } from '@nats-io/transport-node';
import type { Logger } from 'pino';

/** Between two attempts, and as much again by chance. */
const RECONNECT_WAIT_MS = 200;
const CONNECT_TIMEOUT_MS = 3_000;
/** A connection that is cut without a word is noticed after two of them. */
const PING_INTERVAL_MS = 2_000;
const MAX_PINGS_OUT_COUNT = 2;
/** For the last bytes of a connection to be sent. */
const CLOSE_TIMEOUT_MS = 1_000;

export interface NatsOptions {
  /** `nats://host:4222` or `tls://host:4222`, without user and password. */
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

interface Subscription {
  readonly subject: string;
  readonly heard: (bytes: Uint8Array, subject: string) => void;
}

export class NatsBus {
  private connection: NatsConnection | undefined;
  private up = false;
  private hasSaidThatItIsAway = false;
  private readonly ending = new AbortController();
  private readonly subscriptions: Subscription[] = [];
  private readonly listeners: ((isUp: boolean) => void)[] = [];

  constructor(
    private readonly options: NatsOptions,
    private readonly name: string,
    private readonly log: Logger,
  ) {
    void this.keepConnected();
  }

  /** What is published now is heard by those who are connected. */
  get isUp(): boolean {
    return this.up;
  }

  onChange(listener: (isUp: boolean) => void): void {
    this.listeners.push(listener);
  }

  subscribe(subject: string, heard: Subscription['heard']): void {
    const subscription = { subject, heard };
    this.subscriptions.push(subscription);
    if (this.connection) this.attach(this.connection, subscription);
  }

  publish(subject: string, bytes: Uint8Array): void {
    if (this.up) this.connection?.publish(subject, bytes);
  }

  async close(): Promise<void> {
    this.ending.abort();
    const { connection } = this;
    if (connection === undefined) return;
    const timer = setTimeout(() => void connection.close(), CLOSE_TIMEOUT_MS);
    await (this.up ? connection.drain() : connection.close()).catch(() => undefined);
    clearTimeout(timer);
    this.up = false;
  }

  private attach(connection: NatsConnection, { subject, heard }: Subscription): void {
    connection.subscribe(subject, {
      callback: (error, message) => {
        if (error === null) heard(message.data, message.subject);
        else this.log.warn({ subject, reason: error.message }, 'NATS does not let the control plane listen');
      },
    });
  }

  private async keepConnected(): Promise<void> {
    const { signal } = this.ending;
    while (!signal.aborted) {
      try {
        const connection = await connect(this.connectionOptions());
        if (signal.aborted) return void (await connection.close());
        this.connection = connection;
        for (const each of this.subscriptions) this.attach(connection, each);
        await connection.flush();
        this.rise();
        void this.follow(connection);
        await connection.closed();
        this.connection = undefined;
        this.fall('it closed the connection');
      } catch (thrown) {
        this.sayThatItIsAway(thrown instanceof Error ? thrown.message : String(thrown));
      }
      await sleep(RECONNECT_WAIT_MS * (1 + Math.random()), undefined, { signal, ref: false }).catch(() => {});
    }
  }

  private async follow(connection: NatsConnection): Promise<void> {
    for await (const status of connection.status()) {
      if (status.type === 'disconnect' || status.type === 'staleConnection')
        this.fall('the connection is lost');
      else if (status.type === 'reconnect') this.rise();
      else if (status.type === 'error')
        this.log.warn({ reason: status.error.message }, 'NATS refused something');
    }
  }

  private rise(): void {
    if (this.up || this.ending.signal.aborted) return;
    this.up = true;
    this.hasSaidThatItIsAway = false;
    this.log.info({ server: this.connection?.getServer() }, 'connected to NATS');
    for (const listener of this.listeners) listener(true);
  }

  private fall(reason: string): void {
    if (!this.up) return;
    this.up = false;
    this.sayThatItIsAway(reason);
    for (const listener of this.listeners) listener(false);
  }

  private sayThatItIsAway(reason: string): void {
    if (this.hasSaidThatItIsAway || this.ending.signal.aborted) return;
    this.hasSaidThatItIsAway = true;
    this.log.warn({ reason }, `NATS is away, so nodes hear of changes over their streams: ${reason}`);
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
      maxPingOut: MAX_PINGS_OUT_COUNT,
      // Somebody who mends the rights of this user shall not have to start it again.
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
