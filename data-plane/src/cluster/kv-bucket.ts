/**
 * A bucket of NATS key-value that is there whenever NATS is: opened, or made, with each connection, and followed from
 * where it was left off.
 */
import {
  JetStreamApiError,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
  StorageType,
} from '@nats-io/jetstream';
import { type KV, type KvEntry, Kvm } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import { within } from '../within.js';
import type { NatsLink } from './nats-link.js';

/** For each answer of JetStream. */
const TIMEOUT_MS = 2_000;
/** Between two tries to open it, where NATS is there and JetStream is not. */
const RETRY_MS = 1_000;
/** JetStream: somebody else wrote the key meanwhile. */
const WRONG_LAST_SEQUENCE = [10_071, 10_164];

export interface BucketOptions {
  readonly link: NatsLink;
  /** Letters, digits, underscores and hyphens. */
  readonly name: string;
  readonly replicas: number;
  /** What was not written for so long is deleted by the server; 0 for never. */
  readonly maxAgeMs: number;
  readonly log: Logger;
}

export interface BucketEvents {
  /** It can be asked from now on. @param isOther what was in it before is not there any more. */
  opened(isOther: boolean): void;
  /** Each entry when it is opened, and each that is written from then on, our own too. Deleted ones are told as such. */
  entry(entry: KvEntry): void;
}

export class KvBucket {
  private kv: KV | undefined;
  private manager: JetStreamManager | undefined;
  private opening = 0;
  private createdAt: string | undefined;
  private lastRevision = 0;
  private hasFailed = false;
  private isClosed = false;
  private stopWatch = () => {};
  private waiting: (() => void)[] = [];

  /** @param events where the bucket is followed */
  constructor(
    private readonly options: BucketOptions,
    private readonly events?: BucketEvents,
  ) {
    const { link } = options;
    link.onUp((connection) => void this.begin(connection));
    link.onDown(() => this.leave());
  }

  get isOpen(): boolean {
    return this.kv !== undefined;
  }

  /** Undefined when nobody has written it, or it was deleted. */
  async get(key: string): Promise<KvEntry | undefined> {
    const entry = await (await this.open()).get(key);
    return entry?.operation === 'PUT' ? entry : undefined;
  }

  async put(key: string, value: Uint8Array): Promise<void> {
    await (await this.open()).put(key, value, { timeout: TIMEOUT_MS });
  }

  /**
   * Writes a key that is as it was read; revision 0 stands for one that nobody has written. Resolves with its new
   * revision, and with undefined when somebody else was quicker.
   */
  async replace(key: string, value: Uint8Array, revision: number): Promise<number | undefined> {
    const kv = await this.open();
    try {
      if (revision === 0) return await kv.create(key, value);
      return await kv.update(key, value, revision, TIMEOUT_MS);
    } catch (thrown) {
      if (thrown instanceof JetStreamApiError && WRONG_LAST_SEQUENCE.includes(thrown.code)) return undefined;
      throw thrown;
    }
  }

  /** Deletes a key without a trace, unless it was written after this revision. */
  async erase(key: string, revision?: number): Promise<void> {
    await this.whenOpen();
    if (this.manager === undefined) throw away();
    const filter = `$KV.${this.options.name}.${key}`;
    const until = revision === undefined ? {} : { seq: revision + 1 };
    await this.manager.streams.purge(this.streamName, { filter, ...until });
  }

  /** The keys that a filter such as `a.>` names. */
  async keys(filter: string): Promise<string[]> {
    const keys: string[] = [];
    for await (const key of await (await this.open()).keys(filter)) keys.push(key);
    return keys;
  }

  close(): void {
    this.isClosed = true;
    this.leave();
  }

  /** @throws Error when it cannot be had. */
  private async open(): Promise<KV> {
    if (this.kv === undefined) await this.whenOpen();
    if (this.kv === undefined) throw away();
    return this.kv;
  }

  /** Waits a moment where NATS is there and the bucket is being opened. */
  private async whenOpen(): Promise<void> {
    if (this.kv !== undefined || this.isClosed || this.options.link.live === undefined) return;
    await within(TIMEOUT_MS, new Promise<void>((resolve) => this.waiting.push(resolve)));
  }

  private get streamName(): string {
    return `KV_${this.options.name}`;
  }

  private leave(): void {
    this.opening++;
    this.kv = undefined;
    this.manager = undefined;
    this.wake();
    this.stopWatch();
    this.stopWatch = () => {};
  }

  private wake(): void {
    for (const go of this.waiting.splice(0)) go();
  }

  private async begin(connection: NatsConnection): Promise<void> {
    this.leave();
    const { opening } = this;
    const { name, replicas, maxAgeMs, log } = this.options;
    while (this.opening === opening && !this.isClosed) {
      try {
        const client = jetstream(connection, { timeout: TIMEOUT_MS });
        const kv = await new Kvm(client).create(name, {
          replicas,
          ttl: maxAgeMs,
          history: 1,
          storage: StorageType.File,
        });
        const manager = await jetstreamManager(connection, { timeout: TIMEOUT_MS });
        const { created, state } = await manager.streams.info(this.streamName);
        if (this.opening !== opening) return;
        const isOther = this.createdAt !== undefined && String(created) !== this.createdAt;
        // A server that was put back from a backup has not seen all that this node has.
        if (isOther || state.last_seq < this.lastRevision) this.lastRevision = 0;
        this.createdAt = String(created);
        if (this.events !== undefined) await this.follow(kv, opening, this.events);
        if (this.opening !== opening) return;
        this.kv = kv;
        this.manager = manager;
        this.wake();
        if (this.hasFailed) log.info({ bucket: name }, 'NATS key-value is there again');
        this.hasFailed = false;
        this.events?.opened(isOther);
        return;
      } catch (thrown) {
        if (this.opening !== opening) return;
        if (!this.hasFailed)
          log.warn({ err: thrown, bucket: name }, 'NATS key-value cannot be opened; it is tried again');
        this.hasFailed = true;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS).unref());
      }
    }
  }

  private async follow(kv: KV, opening: number, events: BucketEvents): Promise<void> {
    const resume = this.lastRevision > 0 ? { resumeFromRevision: this.lastRevision + 1 } : {};
    const watch = await kv.watch(resume);
    this.stopWatch = () => watch.stop();
    void (async () => {
      try {
        for await (const entry of watch) {
          if (this.opening !== opening) return;
          this.lastRevision = Math.max(this.lastRevision, entry.revision);
          events.entry(entry);
        }
      } catch (thrown) {
        this.options.log.warn({ err: thrown }, 'NATS key-value is not followed any more');
      }
      // Ended by somebody else than this node: the bucket was deleted, or its server has forgotten who follows it.
      const connection = this.options.link.live;
      if (this.opening === opening && connection !== undefined) {
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS).unref());
        if (this.opening === opening) void this.begin(connection);
      }
    })();
  }
}

function away(): Error {
  return new Error('NATS key-value is away');
}
