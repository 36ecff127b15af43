/** Opens revisions and records, which lie in the same place, and waits for a place that is away. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ConfigurationHead, type HeadOptions } from '../revisions/head.js';
import { EmbeddedLog } from './embedded.js';
import { EmbeddedRecords } from './embedded-records.js';
import { EtcdLog } from './etcd.js';
import type { EtcdOptions } from './etcd-client.js';
import { EtcdRecords } from './etcd-records.js';
import type { Records } from './records.js';
import { type RevisionLog, StoreUnavailableError } from './revision-log.js';

/** How long to wait before a store that is away is tried again; doubled each time, up to the longest. */
const SHORTEST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 5_000;

export type StoreOptions =
  /** A file, made when it is not there. For one replica. */
  | { readonly kind: 'embedded'; readonly file: string }
  | ({ readonly kind: 'etcd' } & Omit<EtcdOptions, 'cluster'>);

export interface Store {
  readonly log: RevisionLog;
  readonly records: Records;
  /** Where it is, for people. */
  readonly place: string;
  close(): Promise<void>;
}

/** @throws StoreUnavailableError, StoreDamagedError for a file that cannot be opened */
export function openStore(options: StoreOptions, cluster: string): Store {
  if (options.kind === 'embedded') {
    const log = EmbeddedLog.open(options.file);
    const records = EmbeddedRecords.open(options.file, Date.now);
    return { log, records, place: options.file, close: () => closeBoth(records, log) };
  }
  const etcd = { ...options, cluster };
  const [log, records] = [new EtcdLog(etcd), new EtcdRecords(etcd)];
  return { log, records, place: options.endpoints.join(', '), close: () => closeBoth(records, log) };
}

async function closeBoth(records: Records, log: RevisionLog): Promise<void> {
  await records.close();
  await log.close();
}

/**
 * Reads the store, again and again while it cannot be reached.
 *
 * @param away told whenever it could not be reached, and why
 * @returns undefined when it was ended before the store could be reached
 * @throws StoreDamagedError
 */
export async function openHead(
  options: HeadOptions,
  away: (reason: string) => void,
  signal: AbortSignal,
): Promise<ConfigurationHead | undefined> {
  for (let retryMs = SHORTEST_RETRY_MS; !signal.aborted; retryMs = Math.min(retryMs * 2, LONGEST_RETRY_MS)) {
    try {
      return await ConfigurationHead.open(options);
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      away(error.message);
    }
    await sleep(retryMs, undefined, { signal }).catch(() => {});
  }
  return undefined;
}
