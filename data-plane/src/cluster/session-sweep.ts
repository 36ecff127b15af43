/**
 * Deletes sessions that nobody comes back to. A node ends its own sessions when they are idle for too long; those of a
 * node that is gone stay behind, and NATS 2.9 cannot let single keys expire. One node at a time looks for them.
 */
import type { KvEntry } from '@nats-io/kv';
import type { Logger } from 'pino';
import { MAX_SESSION_AGE_MS } from '../sessions/tokens.js';
import type { ClusterMetrics } from './cluster-metrics.js';
import type { KvBucket } from './kv-bucket.js';
import type { NatsSessionStore } from './nats-session-store.js';
import { keyOf, nodeKeyOf, nodeOfKey, SWEEPER_KEY } from './session-entries.js';

/** How often a node says in the bucket that it lives. */
const ALIVE_MS = 60_000;
const SWEEP_MS = 5 * 60_000;
/** Processes are written again, long before the server would delete them. */
const REFRESH_MS = 24 * 60 * 60_000;
/** Deletions of one sweep. */
const MAX_SWEPT_COUNT = 10_000;
const EMPTY = new Uint8Array(0);

export interface SessionSweepOptions {
  readonly bucket: KvBucket;
  readonly store: NatsSessionStore;
  /** Sessions of a node that is gone are kept for so long. */
  readonly idleTimeoutMs: number;
  readonly log: Logger;
  readonly metrics: ClusterMetrics;
  /** How often; shorter in tests. */
  readonly sweepMs?: number | undefined;
}

export class SessionSweep {
  /** When each node was heard of last, by the clock of NATS. */
  private readonly aliveAt = new Map<string, number>();
  private readonly ours = new Set<string>();
  private readonly timers: NodeJS.Timeout[];

  constructor(private readonly options: SessionSweepOptions) {
    const { store, sweepMs = SWEEP_MS } = options;
    this.timers = [
      setInterval(() => void this.alive(), ALIVE_MS),
      setInterval(() => void this.sweep(), sweepMs),
      setInterval(() => store.refreshProcesses(), REFRESH_MS),
    ];
    for (const timer of this.timers) timer.unref();
  }

  /** This node has written sessions of one of its workers. */
  own(worker: string): void {
    const node = worker.slice(0, worker.lastIndexOf('.'));
    if (this.ours.has(node)) return;
    this.ours.add(node);
    void this.alive();
  }

  heard({ key, created }: KvEntry): void {
    const node = nodeOfKey(key);
    if (node !== undefined) this.aliveAt.set(node, created.getTime());
  }

  close(): void {
    for (const timer of this.timers) clearInterval(timer);
  }

  private async alive(): Promise<void> {
    const { bucket } = this.options;
    if (!bucket.isOpen) return;
    await Promise.all([...this.ours].map((node) => bucket.put(nodeKeyOf(node), EMPTY))).catch(
      () => undefined,
    );
  }

  private async sweep(): Promise<void> {
    const { bucket, log, metrics } = this.options;
    if (!bucket.isOpen) return;
    try {
      const nowMs = await this.begin();
      if (nowMs === undefined) return;
      const sweptCount = await this.deleteOld(nowMs);
      metrics.swept.inc(sweptCount);
      if (sweptCount > 0) log.info({ sweptCount }, 'sessions of nodes that are gone were deleted');
    } catch (thrown) {
      log.debug({ err: thrown }, 'a sweep of sessions was broken off');
    }
  }

  /** The time by the clock of NATS; undefined when another node sweeps, or has swept just now. */
  private async begin(): Promise<number | undefined> {
    const { bucket, sweepMs = SWEEP_MS } = this.options;
    const before = await bucket.get(SWEEPER_KEY);
    // The own clock only says whether it is worth a try; what is old is said by that of NATS.
    if (before !== undefined && Math.abs(Date.now() - before.created.getTime()) < sweepMs / 2)
      return undefined;
    const revision = await bucket.replace(SWEEPER_KEY, EMPTY, before?.revision ?? 0);
    if (revision === undefined) return undefined;
    const now = await bucket.get(SWEEPER_KEY);
    return now?.revision === revision ? now.created.getTime() : undefined;
  }

  private async deleteOld(nowMs: number): Promise<number> {
    const { bucket, store, idleTimeoutMs } = this.options;
    let count = 0;
    for (const [id, { record, revision, writtenAt }] of [...store.others]) {
      if (revision === 0 || count >= MAX_SWEPT_COUNT) continue;
      const ageMs = nowMs - writtenAt;
      const isOld =
        record === undefined
          ? ageMs > MAX_SESSION_AGE_MS
          : ageMs > idleTimeoutMs && !this.isAlive(record.owner, nowMs);
      if (!isOld) continue;
      await bucket.erase(keyOf(id), revision);
      store.swept(id);
      count++;
    }
    return count;
  }

  private isAlive(worker: string, nowMs: number): boolean {
    const aliveAt = this.aliveAt.get(worker.slice(0, worker.lastIndexOf('.')));
    return aliveAt !== undefined && nowMs - aliveAt < Math.max(this.options.idleTimeoutMs, 2 * ALIVE_MS);
  }
}
