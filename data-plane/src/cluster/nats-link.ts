/** The connection to NATS: made as soon as it can be, and made again whenever it is lost. */
import { readFile } from 'node:fs/promises';
import {
  connect,
  credsAuthenticator,
  type NatsConnection,
  type NodeConnectionOptions,
  type Status,
} from '@nats-io/transport-node';
import type { Logger } from 'pino';
import type { ClusterMetrics } from './cluster-metrics.js';
import type { NatsSettings } from './index.js';

/** Time for the first connection before a node begins alone. */
const FIRST_CONNECT_MS = 2_000;
const CONNECT_TIMEOUT_MS = 5_000;
const RECONNECT_WAIT_MS = 200;
const RECONNECT_JITTER_MS = 200;
/** A connection that is cut without a word is noticed after two of them. */
const PING_INTERVAL_MS = 2_000;
const MAX_PINGS_OUT = 2;
/** Between two tries while NATS has never answered. */
const RETRY_MS = 500;
/** What is otherwise meanwhile; see docs/operating/cluster-sharing.md. */
const ALONE =
  'changes come over the control plane, other nodes cannot be reached and calls parked here wait for nobody there, sessions are decided on by what is known here';
/** At the end, time for what has been sent to leave. */
const CLOSE_TIMEOUT_MS = 1_000;

export interface LinkOptions {
  readonly nats: NatsSettings;
  /** Named to the server. */
  readonly name: string;
  /** Where answers come in; begins the subjects that only this node may read. */
  readonly inboxPrefix: string;
  readonly log: Logger;
  readonly metrics: ClusterMetrics;
}

/** @param isNew whether it is another connection than before, on which nothing is subscribed to. */
export type UpListener = (connection: NatsConnection, isNew: boolean) => void;

export class NatsLink {
  private connection: NatsConnection | undefined;
  private up = false;
  private isClosed = false;
  private hasFailed = false;
  private readonly upListeners: UpListener[] = [];
  private readonly downListeners: (() => void)[] = [];

  constructor(private readonly options: LinkOptions) {}

  /** The connection while it stands. */
  get live(): NatsConnection | undefined {
    return this.up ? this.connection : undefined;
  }

  /** Called at once when it stands already. */
  onUp(listener: UpListener): void {
    this.upListeners.push(listener);
    if (this.live !== undefined) listener(this.live, true);
  }

  onDown(listener: () => void): void {
    this.downListeners.push(listener);
  }

  /** Resolves with the first connection, and without one when NATS refuses or does not answer soon. */
  async open(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, FIRST_CONNECT_MS);
    });
    await Promise.race([new Promise<void>((tried) => void this.keep(tried)), late]);
    clearTimeout(timer);
  }

  async close(): Promise<void> {
    this.isClosed = true;
    const { connection, up: wasUp } = this;
    this.up = false;
    if (connection === undefined) return;
    const timer = setTimeout(() => void connection.close(), CLOSE_TIMEOUT_MS);
    await (wasUp ? connection.drain() : connection.close()).catch(() => undefined);
    clearTimeout(timer);
  }

  /** Tries until there is a connection. @param tried called after each try */
  private async keep(tried = () => {}): Promise<void> {
    while (!this.isClosed) {
      try {
        const connection = await connect(await this.connectionOptions());
        if (this.isClosed) return void (await connection.close());
        this.connection = connection;
        this.follow(connection);
        this.rise(connection, true);
        tried();
        return;
      } catch (thrown) {
        if (!this.hasFailed) {
          this.hasFailed = true;
          this.options.log.warn({ err: thrown }, `NATS cannot be reached until further notice: ${ALONE}`);
        }
        tried();
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS).unref());
      }
    }
  }

  private async connectionOptions(): Promise<NodeConnectionOptions> {
    const { nats, name, inboxPrefix } = this.options;
    const { user, password, token, tls, credentialsFile } = nats;
    return {
      servers: [...nats.servers],
      name,
      inboxPrefix,
      timeout: CONNECT_TIMEOUT_MS,
      maxReconnectAttempts: -1,
      reconnectTimeWait: RECONNECT_WAIT_MS,
      reconnectJitter: RECONNECT_JITTER_MS,
      reconnectJitterTLS: RECONNECT_JITTER_MS,
      pingInterval: PING_INTERVAL_MS,
      maxPingOut: MAX_PINGS_OUT,
      // Credentials may be mended at the server while this node waits.
      ignoreAuthErrorAbort: true,
      ...(user !== undefined && { user }),
      ...(password !== undefined && { pass: password }),
      ...(token !== undefined && { token }),
      ...(tls !== undefined && { tls: withoutUndefined({ ...tls }) }),
      ...(credentialsFile !== undefined && {
        authenticator: credsAuthenticator(await readFile(credentialsFile)),
      }),
    };
  }

  private follow(connection: NatsConnection): void {
    void (async () => {
      for await (const status of connection.status()) this.heard(connection, status);
    })();
    void connection.closed().then((error) => {
      this.fall();
      if (this.isClosed) return;
      this.options.log.warn({ err: error }, 'the connection to NATS has ended; another one is made');
      void this.keep();
    });
  }

  private heard(connection: NatsConnection, status: Status): void {
    switch (status.type) {
      case 'disconnect':
      case 'staleConnection':
        this.fall();
        return;
      case 'reconnect':
        this.rise(connection, false);
        return;
      case 'error':
        this.options.log.warn({ err: status.error }, 'NATS refused something');
        return;
      default:
    }
  }

  private rise(connection: NatsConnection, isNew: boolean): void {
    this.up = true;
    this.options.metrics.natsUp.set(1);
    const server = connection.getServer();
    this.options.log.info(
      { server },
      !isNew || this.hasFailed ? 'NATS is reached again' : 'connected to NATS',
    );
    this.hasFailed = false;
    for (const listener of this.upListeners) listener(connection, isNew);
  }

  private fall(): void {
    if (!this.up) return;
    this.up = false;
    this.options.metrics.natsUp.set(0);
    if (!this.isClosed) {
      this.options.metrics.natsLosses.inc();
      this.options.log.warn(`NATS is away: ${ALONE}`);
    }
    for (const listener of this.downListeners) listener();
  }
}

function withoutUndefined<T extends object>(value: T): { [K in keyof T]: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as never;
}
