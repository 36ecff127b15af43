/** Takes what nodes of a cluster have recorded out of NATS, for whoever keeps it. */
import { AckPolicy, type JsMsg, jetstream, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import { ClusterMetrics } from './cluster-metrics.js';
import { FrameSeal } from './frame-seal.js';
import type { NatsSettings } from './index.js';
import { NatsLink } from './nats-link.js';
import { openStream, type RecordsMessage, recordsStream } from './nats-records.js';

const CONSUMER = 'collector';
const TIMEOUT_MS = 5_000;
/** Batches that are handed out and not yet taken. */
const MAX_WAITING_COUNT = 16;
/** A batch that was not taken is handed out again, also to another collector. */
const ACK_WAIT_MS = 30_000;
const RETRY_MS = 1_000;

export interface CollectedBatch {
  /** The node that sent it. */
  readonly node: string;
  readonly binding: string;
  readonly batch: string;
}

export interface CollectorOptions {
  readonly nats: NatsSettings;
  readonly cluster: string;
  /** What all nodes of the cluster have: batches of others are left out. */
  readonly key?: Uint8Array | undefined;
  readonly log: Logger;
  /** Keeps a batch. It is out of NATS when this returns; when it throws, it comes again. */
  readonly take: (batch: CollectedBatch) => void;
}

export interface Collecting {
  /** Ends it with the batch that is at hand. */
  close(): Promise<void>;
}

/** Goes on until it is closed, also when NATS goes away and comes back. */
export async function collectRecords(options: CollectorOptions): Promise<Collecting> {
  const { nats, cluster, log } = options;
  const link = new NatsLink({
    nats,
    name: `sluice ${cluster} records`,
    inboxPrefix: `sluice.${cluster}.inbox.collector`,
    log,
    metrics: new ClusterMetrics(),
  });
  const collector = new Collector(options, link);
  link.onUp((connection) => void collector.follow(connection));
  await link.open();
  return {
    async close() {
      await collector.close();
      await link.close();
    },
  };
}

class Collector {
  private readonly seal: FrameSeal;
  private isClosed = false;
  private following: NatsConnection | undefined;
  private stop: (() => Promise<unknown>) | undefined;

  constructor(
    private readonly options: CollectorOptions,
    private readonly link: NatsLink,
  ) {
    this.seal = new FrameSeal(options.key);
  }

  async follow(connection: NatsConnection): Promise<void> {
    if (this.following === connection) return;
    this.following = connection;
    while (!this.isClosed && this.link.live === connection) {
      try {
        await this.consume(connection);
      } catch (thrown) {
        this.options.log.warn({ err: thrown }, 'records cannot be collected for now');
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS).unref());
    }
    if (this.following === connection) this.following = undefined;
  }

  async close(): Promise<void> {
    this.isClosed = true;
    await this.stop?.();
  }

  private async consume(connection: NatsConnection): Promise<void> {
    const { cluster, nats } = this.options;
    const manager = await jetstreamManager(connection, { timeout: TIMEOUT_MS });
    await openStream(manager, cluster, nats.replicas ?? 1);
    await manager.consumers.add(recordsStream(cluster), {
      durable_name: CONSUMER,
      ack_policy: AckPolicy.Explicit,
      ack_wait: ACK_WAIT_MS * 1_000_000,
      max_ack_pending: MAX_WAITING_COUNT,
    });
    const consumer = await jetstream(connection, { timeout: TIMEOUT_MS }).consumers.get(
      recordsStream(cluster),
      CONSUMER,
    );
    const messages = await consumer.consume({ max_messages: MAX_WAITING_COUNT });
    this.stop = () => messages.close();
    if (this.isClosed) await messages.close();
    for await (const message of messages) if (!this.isClosed) this.handle(message);
  }

  private handle(message: JsMsg): void {
    const { log, take } = this.options;
    const batch = this.opened(message);
    if (batch === undefined) {
      log.error(
        { subject: message.subject },
        'a batch of records was left out: no node of this cluster sent it',
      );
      message.term();
      return;
    }
    try {
      take(batch);
    } catch (thrown) {
      log.error({ err: thrown, node: batch.node }, 'a batch of records could not be kept, and comes again');
      message.nak(RETRY_MS);
      return;
    }
    message.ack();
  }

  private opened({ data, subject }: JsMsg): CollectedBatch | undefined {
    const bytes = this.seal.opened(Buffer.from(data), subject);
    if (bytes === undefined) return undefined;
    try {
      const { node, binding, batch } = JSON.parse(bytes.toString()) as Partial<RecordsMessage>;
      const isWhole = typeof node === 'string' && typeof binding === 'string' && typeof batch === 'string';
      // Nobody speaks for another node.
      return isWhole && subject.endsWith(`.records.${node}`) ? { node, binding, batch } : undefined;
    } catch {
      return undefined;
    }
  }
}
