/**
 * What plugins store, in NATS key-value, where all nodes read and write it. A value has the time before it until which
 * it counts. NATS 2.9 lets no single key expire, so one node at a time deletes what has.
 */
import { createHash } from 'node:crypto';
import type { PluginStore } from '@sluice/sdk';
import type { Logger } from 'pino';
import {
  checkKey,
  checkValue,
  type PluginStores,
  type StoreLimits,
  storeIsFull,
} from '../chain/store-limits.js';
import type { KvBucket } from './kv-bucket.js';

/** By one node of the cluster, whichever is first. */
const SWEEP_INTERVAL_MS = 10 * 60_000;
/** Questions under way at one time, of those that ask for many keys. */
const MAX_ASKED_COUNT = 64;
/** Of the keys that there is room for, those that are written before they are counted again. */
const UNCOUNTED_SHARE = 0.1;
/** Says when somebody looked last; no plugin has it, whose keys have two parts. */
const SWEPT_KEY = 'swept';
const UNTIL_BYTES = 8;
/** Parts of a key that NATS can look for by themselves: `a/b/` is listed without all else that there is. */
const MAX_FOLDER_COUNT = 2;

interface Stored {
  readonly value: string;
  /** Milliseconds since the epoch; infinite where it does not expire. */
  readonly untilMs: number;
  readonly revision: number;
}

export class NatsPluginStores implements PluginStores {
  private readonly sweeping: NodeJS.Timeout;

  constructor(
    private readonly bucket: KvBucket,
    private readonly limits: StoreLimits,
    private readonly log: Logger,
    sweepIntervalMs = SWEEP_INTERVAL_MS,
  ) {
    // Not all at the same time.
    const everyMs = sweepIntervalMs * (1 + Math.random());
    this.sweeping = setInterval(() => void this.sweep(sweepIntervalMs), everyMs).unref();
  }

  of(binding: string): PluginStore {
    const { limits, bucket } = this;
    const first = createHash('sha256').update(binding).digest('base64url');
    /** How many more keys may be written before they are counted again. */
    let uncounted = 0;
    const makeRoom = async (key: string) => {
      if (--uncounted >= 0 || (await this.alive(key)) !== undefined) return;
      let left = limits.maxKeyCount - (await bucket.keys(`${first}.>`)).length;
      if (left <= 0) left = limits.maxKeyCount - (await this.keepAlive(await bucket.keys(`${first}.>`)));
      if (left <= 0) throw storeIsFull(binding, limits);
      uncounted = Math.max(1, Math.floor(left * UNCOUNTED_SHARE)) - 1;
    };
    return {
      get: async (key) => {
        if (key === '') return undefined;
        return (await this.alive(keyOf(first, key)))?.value;
      },
      set: async (key, value, { ttlMs = Number.POSITIVE_INFINITY } = {}) => {
        checkKey(key, limits);
        checkValue(value, limits);
        const own = keyOf(first, key);
        await makeRoom(own);
        await bucket.put(own, toBytes(value, Date.now() + ttlMs));
      },
      delete: async (key) => {
        if (key !== '') await bucket.erase(keyOf(first, key));
      },
      keys: async (prefix) => {
        const keys = (await bucket.keys(filterOf(first, prefix)))
          .map((own) => ({ own, key: textOf(own) }))
          .filter(({ key }) => key.startsWith(prefix))
          .sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)));
        const found: string[] = [];
        while (keys.length > 0 && found.length < limits.maxListedCount) {
          const some = keys.splice(0, MAX_ASKED_COUNT);
          const stored = await Promise.all(some.map(({ own }) => this.alive(own)));
          found.push(...some.filter((_, index) => stored[index] !== undefined).map(({ key }) => key));
        }
        return found.slice(0, limits.maxListedCount);
      },
    };
  }

  close(): void {
    clearInterval(this.sweeping);
  }

  /** Deletes what has expired, unless another node has done so lately. */
  async sweep(intervalMs: number): Promise<void> {
    try {
      const last = await this.bucket.get(SWEPT_KEY);
      if (last !== undefined && Date.now() - last.created.getTime() < intervalMs) return;
      const isMine = await this.bucket.replace(SWEPT_KEY, new Uint8Array(0), last?.revision ?? 0);
      if (isMine !== undefined) await this.keepAlive(await this.bucket.keys('>'));
    } catch (thrown) {
      this.log.debug({ err: thrown }, 'what plugins stored could not be swept');
    }
  }

  /** Deletes those that have expired; resolves with how many have not. */
  private async keepAlive(keys: readonly string[]): Promise<number> {
    let count = 0;
    for (let from = 0; from < keys.length; from += MAX_ASKED_COUNT) {
      const some = keys.slice(from, from + MAX_ASKED_COUNT);
      const kept = await Promise.all(
        some.map(async (key) => {
          const stored = await this.read(key);
          if (stored === undefined) return false;
          if (stored.untilMs > Date.now()) return true;
          await this.bucket.erase(key, stored.revision);
          return false;
        }),
      );
      count += kept.filter(Boolean).length;
    }
    return count;
  }

  private async alive(key: string): Promise<Stored | undefined> {
    const stored = await this.read(key);
    return stored !== undefined && stored.untilMs > Date.now() ? stored : undefined;
  }

  private async read(key: string): Promise<Stored | undefined> {
    const entry = await this.bucket.get(key);
    if (entry === undefined || entry.value.length < UNTIL_BYTES) return undefined;
    const bytes = Buffer.from(entry.value);
    return {
      value: bytes.toString('utf8', UNTIL_BYTES),
      untilMs: bytes.readDoubleLE(0),
      revision: entry.revision,
    };
  }
}

/** In an alphabet that NATS has for keys: `a/b/c/d` is the parts `a`, `b` and `c/d`. */
function keyOf(first: string, key: string): string {
  return [first, ...partsOf(key).map(tokenOf)].join('.');
}

function textOf(own: string): string {
  const [, ...tokens] = own.split('.');
  return tokens.map((token) => Buffer.from(token.slice(1), 'base64url').toString()).join('/');
}

/** What all keys that begin with a text are among. */
function filterOf(first: string, prefix: string): string {
  const folders = partsOf(prefix).slice(0, -1);
  return [first, ...folders.map(tokenOf), '>'].join('.');
}

function partsOf(key: string): string[] {
  const parts = key.split('/');
  const folders = parts.splice(0, Math.min(MAX_FOLDER_COUNT, parts.length - 1));
  return [...folders, parts.join('/')];
}

/** No part is empty to NATS. */
function tokenOf(part: string): string {
  return `_${Buffer.from(part).toString('base64url')}`;
}

function toBytes(value: string, untilMs: number): Buffer {
  const bytes = Buffer.allocUnsafe(UNTIL_BYTES + Buffer.byteLength(value));
  bytes.writeDoubleLE(untilMs, 0);
  bytes.write(value, UNTIL_BYTES);
  return bytes;
}
