/**
 * What is known of sessions, in NATS key-value. What a worker puts down is written behind; who goes on with a session
 * is decided by comparing revisions, so of several that claim one, one gets it, and whoever was cut off meanwhile finds
 * its own revision outdated and lets go. Sessions of all nodes are followed, up to a limit, so that this node can still
 * say something about them when NATS is away.
 */
import type { KvEntry } from '@nats-io/kv';
import type { Logger } from 'pino';
import type { WorkerAddress } from '../sessions/node-bus.js';
import { type Moved, PROCESS_PREFIX, type SessionRecord, type SessionStore } from '../sessions/store.js';
import type { ClusterMetrics } from './cluster-metrics.js';
import type { KvBucket } from './kv-bucket.js';
import { ENDED, idOfKey, keyOf, recordFromBytes, recordToBytes } from './session-entries.js';

/** Sessions of other nodes, and ended ones, that are remembered here; at about 300 bytes each. */
const MAX_KNOWN_COUNT = 100_000;
/** Sessions that wait to be written; when NATS is away for long the oldest are not. */
const MAX_WAITING_COUNT = 100_000;
/** Writes under way at one time. */
const MAX_WRITE_COUNT = 32;
const RETRY_MS = 500;
/** Another node may be quicker again and again; who finds it so often finds a cluster that falls apart. */
const MAX_CLAIM_COUNT = 8;
/** At the start, time for NATS to answer before what is known here decides. */
const FIRST_ANSWER_MS = 2_000;
/** At the end, time for what waits to be written. */
const CLOSE_TIMEOUT_MS = 2_000;

/** A session as it was seen last; without a record it has ended. */
interface Known {
  readonly record: SessionRecord | undefined;
  /** Of the key in NATS; 0 when it was not seen there. */
  readonly revision: number;
  /** When NATS got it, in milliseconds of its clock. */
  readonly writtenAt: number;
}

/** A session of a worker of this node. */
interface Own {
  readonly record: SessionRecord;
  revision: number;
}

export interface NatsSessionStoreOptions {
  readonly log: Logger;
  readonly metrics: ClusterMetrics;
  readonly bucket: KvBucket;
  /** Called with the owner of what is written. */
  readonly onOwner: (owner: WorkerAddress) => void;
}

export class NatsSessionStore implements SessionStore {
  private readonly own = new Map<string, Own>();
  /** Of other nodes, and those that have ended; from the one heard of longest ago. */
  private readonly known = new Map<string, Known>();
  private readonly toWrite = new Set<string>();
  private readonly writing = new Map<string, Promise<void>>();
  private readonly movedListeners: Moved[] = [];
  private hasForgotten = false;
  private isAlone = false;
  /** Resolves when NATS has answered for the first time, or its time for that is over. */
  private readonly begun: Promise<void>;
  private begin = () => {};

  constructor(private readonly options: NatsSessionStoreOptions) {
    this.begun = new Promise((resolve) => {
      this.begin = resolve;
      setTimeout(resolve, FIRST_ANSWER_MS).unref();
    });
  }

  put(id: string, record: SessionRecord): void {
    const { own, known } = this;
    const mine = own.get(id);
    if (mine !== undefined && mine.record.owner !== record.owner) return;
    const before = known.get(id);
    if (before !== undefined) {
      if (before.record === undefined || before.record.owner !== record.owner) return;
      known.delete(id);
    }
    own.set(id, { record, revision: mine?.revision ?? before?.revision ?? 0 });
    this.writeSoon(id);
  }

  end(id: string): void {
    this.own.delete(id);
    this.know(id, { record: undefined, revision: 0, writtenAt: 0 });
    this.writeSoon(id);
  }

  onMoved(listener: Moved): void {
    this.movedListeners.push(listener);
  }

  async claim(id: string, from: WorkerAddress, to: WorkerAddress): Promise<SessionRecord | undefined> {
    await this.writing.get(id);
    await this.begun;
    // An end is an end, whatever NATS knows of it by now.
    if (this.hasEnded(id)) return undefined;
    const isWritten = !this.toWrite.has(id);
    if (this.options.bucket.isOpen && isWritten) {
      try {
        const record = await this.claimInStore(id, from, to);
        this.decided('store');
        return record;
      } catch (thrown) {
        this.options.log.debug({ err: thrown }, 'a session could not be claimed in NATS');
      }
    }
    return this.claimHere(id, from, to);
  }

  /** Sessions of nodes that are not this one, as they are known here. */
  get others(): Iterable<[string, Known]> {
    return this.known;
  }

  /** Nobody needs it any more, and it is in NATS no longer. */
  swept(id: string): void {
    this.known.delete(id);
  }

  /** NATS can be asked from now on. @param isOther what had been written is gone. */
  opened(isOther: boolean): void {
    this.begin();
    this.isAlone = false;
    if (isOther) {
      for (const [id, own] of this.own) {
        own.revision = 0;
        this.toWrite.add(id);
      }
    }
    this.pump();
  }

  /** Something was written to the bucket, here or elsewhere. */
  heard({ key, operation, value, revision, created }: KvEntry): void {
    const id = idOfKey(key);
    if (id === undefined) return;
    if (operation !== 'PUT') {
      this.known.delete(id);
      return;
    }
    const record = recordFromBytes(value);
    const own = this.own.get(id);
    if (own === undefined) {
      if (record === undefined || !this.hasEnded(id))
        this.know(id, { record, revision, writtenAt: created.getTime() });
    } else if (revision > own.revision && record?.owner !== own.record.owner) {
      this.lose(id, { record, revision, writtenAt: created.getTime() });
    }
  }

  /** Writes again what this node has of processes: nothing else does, and the server deletes what is old. */
  refreshProcesses(): void {
    for (const id of this.own.keys()) if (id.startsWith(PROCESS_PREFIX)) this.writeSoon(id);
  }

  /** Resolves when all that was put down is in NATS, or its time is over. */
  async written(): Promise<void> {
    const deadline = Date.now() + CLOSE_TIMEOUT_MS;
    while (this.waitingCount > 0 && this.options.bucket.isOpen && Date.now() < deadline)
      await Promise.race([...this.writing.values(), new Promise((resolve) => setTimeout(resolve, 20))]);
  }

  private get waitingCount(): number {
    return this.toWrite.size + this.writing.size;
  }

  private hasEnded(id: string): boolean {
    const known = this.known.get(id);
    return known !== undefined && known.record === undefined;
  }

  private async claimInStore(
    id: string,
    from: WorkerAddress,
    to: WorkerAddress,
  ): Promise<SessionRecord | undefined> {
    const { bucket, onOwner } = this.options;
    const key = keyOf(id);
    for (let count = 0; count < MAX_CLAIM_COUNT; count++) {
      const entry = await bucket.get(key);
      if (entry !== undefined) {
        const record = recordFromBytes(entry.value);
        if (record?.owner !== from) {
          // Of what this node has itself it hears by following the bucket.
          if (!this.own.has(id))
            this.know(id, { record, revision: entry.revision, writtenAt: entry.created.getTime() });
          return record;
        }
      }
      const held = entry === undefined ? {} : (recordFromBytes(entry.value)?.held ?? {});
      const claimed: SessionRecord = { owner: to, held };
      const revision = await bucket.replace(key, recordToBytes(claimed), entry?.revision ?? 0);
      if (revision === undefined) continue;
      this.known.delete(id);
      const before = this.own.get(id);
      this.own.set(id, { record: claimed, revision });
      if (before !== undefined && before.record.owner !== to) this.tellMoved(id, to);
      onOwner(to);
      return claimed;
    }
    throw new Error('other nodes claimed it again and again');
  }

  /** Without NATS: what is known here decides, and what nobody here knows of begins anew. */
  private claimHere(id: string, from: WorkerAddress, to: WorkerAddress): SessionRecord | undefined {
    const own = this.own.get(id);
    const known = own ?? this.known.get(id);
    const record = known?.record;
    if (!this.isAlone) {
      this.isAlone = true;
      this.options.log.warn(
        'NATS key-value is away: what is known here decides who has a session; one that is not known here begins anew at its servers',
      );
    }
    this.decided(record === undefined ? 'nobody' : 'cache');
    if (record !== undefined && record.owner !== from) return record;
    // A process that another node may well have must not run twice because nobody can be asked.
    if (own === undefined && id.startsWith(PROCESS_PREFIX)) return undefined;
    const claimed: SessionRecord = { owner: to, held: record?.held ?? {} };
    this.known.delete(id);
    this.own.set(id, { record: claimed, revision: known?.revision ?? 0 });
    this.writeSoon(id);
    return claimed;
  }

  private decided(by: 'store' | 'cache' | 'nobody'): void {
    this.options.metrics.claims.inc({ decided_by: by });
  }

  private know(id: string, known: Known): void {
    this.known.delete(id);
    this.known.set(id, known);
    if (this.known.size <= MAX_KNOWN_COUNT) return;
    for (const oldest of this.known.keys()) {
      this.known.delete(oldest);
      return;
    }
  }

  private lose(id: string, now: Known): void {
    this.own.delete(id);
    this.toWrite.delete(id);
    this.know(id, now);
    this.options.metrics.moved.inc();
    this.tellMoved(id, now.record?.owner);
  }

  private tellMoved(id: string, owner: WorkerAddress | undefined): void {
    for (const listener of this.movedListeners) listener(id, owner);
  }

  private writeSoon(id: string): void {
    // To the end of the line, so that the oldest is the one that waits longest.
    this.toWrite.delete(id);
    this.toWrite.add(id);
    if (this.toWrite.size > MAX_WAITING_COUNT) this.forgetOldest();
    this.pump();
  }

  private forgetOldest(): void {
    const { log, metrics } = this.options;
    for (const oldest of this.toWrite) {
      this.toWrite.delete(oldest);
      metrics.forgotten.inc();
      if (!this.hasForgotten)
        log.error(
          { maxCount: MAX_WAITING_COUNT },
          'too many sessions wait for NATS; the oldest are not written any more',
        );
      this.hasForgotten = true;
      return;
    }
  }

  private pump(): void {
    if (this.options.bucket.isOpen) {
      for (const id of this.toWrite) {
        if (this.writing.size >= MAX_WRITE_COUNT) break;
        if (this.writing.has(id)) continue;
        this.toWrite.delete(id);
        this.writing.set(id, this.write(id));
      }
    }
    this.options.metrics.waiting.set(this.waitingCount);
  }

  private async write(id: string): Promise<void> {
    try {
      if (this.hasEnded(id)) await this.options.bucket.put(keyOf(id), ENDED);
      else await this.writeOwn(id);
    } catch (thrown) {
      this.options.log.debug({ err: thrown }, 'a session could not be written to NATS');
      this.toWrite.add(id);
      setTimeout(() => this.pump(), RETRY_MS).unref();
      return;
    } finally {
      this.writing.delete(id);
    }
    this.pump();
  }

  private async writeOwn(id: string): Promise<void> {
    const { bucket, onOwner } = this.options;
    const key = keyOf(id);
    for (let own = this.own.get(id); own !== undefined; own = this.own.get(id)) {
      onOwner(own.record.owner);
      const revision = await bucket.replace(key, recordToBytes(own.record), own.revision);
      const now = this.own.get(id);
      if (revision !== undefined) {
        if (now !== undefined) now.revision = revision;
        return;
      }
      const entry = await bucket.get(key);
      const current = this.own.get(id);
      if (current === undefined) return;
      const record = entry === undefined ? undefined : recordFromBytes(entry.value);
      if (entry !== undefined && record?.owner !== current.record.owner) {
        this.lose(id, { record, revision: entry.revision, writtenAt: entry.created.getTime() });
        return;
      }
      current.revision = entry?.revision ?? 0;
    }
  }
}
