/**
 * What plugins of nodes record, in a stream of NATS JetStream, where it stays until somebody has collected it. A full
 * stream takes nothing more, so that nothing is lost unseen.
 */
import { createHash } from 'node:crypto';
import {
  DiscardPolicy,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
} from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { SharedRecords } from '../chain/plugin-sharing.js';
import { FrameSeal } from './frame-seal.js';
import type { NatsLink } from './nats-link.js';

/** For each answer of JetStream. */
const TIMEOUT_MS = 5_000;
/** Below what a NATS server takes as one message, with room for what is around it. */
const MAX_BATCH_BYTES = 512 * 1024;
const MAX_STREAM_BYTES = 1024 * 1024 * 1024;
/** JetStream: there is such a stream, with other limits than these. */
const STREAM_IN_USE = 10_058;

export interface RecordsOptions {
  readonly link: NatsLink;
  readonly cluster: string;
  readonly node: string;
  /** See `key` of a cluster. */
  readonly key: Uint8Array | undefined;
  readonly replicas: number;
}

/** A batch on its way. */
export interface RecordsMessage {
  readonly node: string;
  readonly binding: string;
  readonly batch: string;
}

export class NatsRecords implements SharedRecords {
  private readonly seal: FrameSeal;
  /** The connection over which the stream is known to be there. */
  private ready: NatsConnection | undefined;

  constructor(private readonly options: RecordsOptions) {
    this.seal = new FrameSeal(options.key);
  }

  async send(binding: string, batch: string): Promise<void> {
    const { link, cluster, node, replicas } = this.options;
    const connection = link.live;
    if (connection === undefined) throw new Error('NATS cannot be reached');
    if (Buffer.byteLength(batch) > MAX_BATCH_BYTES)
      throw new RangeError(`a batch of records is larger than ${MAX_BATCH_BYTES} bytes`);
    if (this.ready !== connection) {
      await openStream(await jetstreamManager(connection, { timeout: TIMEOUT_MS }), cluster, replicas);
      this.ready = connection;
    }
    const subject = recordsSubject(cluster, node);
    const message: RecordsMessage = { node, binding, batch };
    const bytes = this.seal.sealed(Buffer.from(JSON.stringify(message)), subject);
    const msgID = createHash('sha256').update(bytes).digest('base64url');
    await jetstream(connection, { timeout: TIMEOUT_MS }).publish(subject, bytes, {
      msgID,
      timeout: TIMEOUT_MS,
    });
  }
}

export function recordsStream(cluster: string): string {
  return `sluice_${cluster}_records`;
}

function recordsSubject(cluster: string, node: string): string {
  return `sluice.${cluster}.records.${node}`;
}

/** Makes the stream where there is none. */
export async function openStream(
  manager: JetStreamManager,
  cluster: string,
  replicas: number,
): Promise<void> {
  try {
    await manager.streams.add({
      name: recordsStream(cluster),
      subjects: [recordsSubject(cluster, '*')],
      storage: StorageType.File,
      retention: RetentionPolicy.Workqueue,
      discard: DiscardPolicy.New,
      max_bytes: MAX_STREAM_BYTES,
      num_replicas: replicas,
    });
  } catch (thrown) {
    if ((thrown as { code?: unknown }).code !== STREAM_IN_USE) throw thrown;
  }
}
