/** Records in etcd, below `record/<bucket>/` beside the revisions; the version is the revision of etcd that wrote it. */
import type { IKeyValue } from 'etcd3';
import { EtcdClient, type EtcdOptions } from './etcd-client.js';
import { AFTER_SLASH } from './etcd-values.js';
import { BucketWatch } from './record-watch.js';
import {
  assertRecordName,
  assertRecordSize,
  type KeptRecord,
  type PutOptions,
  type RecordListener,
  type Records,
  type RecordWatch,
} from './records.js';

/** How often a bucket is looked at when nothing is heard of it: etcd may be frozen or wiped. */
const LOOK_INTERVAL_MS = 2_000;

const MS_PER_SECOND = 1_000;

export class EtcdRecords implements Records {
  private readonly watches = new Set<BucketWatch>();
  private readonly client: EtcdClient;

  /** Connects when it is used first. */
  constructor(options: EtcdOptions) {
    this.client = new EtcdClient(options);
  }

  async list(bucket: string): Promise<readonly KeptRecord[]> {
    return (await this.read(bucket)).records;
  }

  async put(
    bucket: string,
    key: string,
    value: Uint8Array,
    { expected, ttlMs }: PutOptions,
  ): Promise<string | undefined> {
    assertRecordSize(bucket, key, value);
    const name = nameOf(bucket, key);
    const isExpected =
      expected === 'any' ? [] : [this.client.isOf(name, expected === 'absent' ? 0 : expected)];
    const lease =
      ttlMs === undefined ? undefined : await this.client.grantLease(Math.ceil(ttlMs / MS_PER_SECOND));
    const { succeeded, header } = await this.client.transact(isExpected, [
      this.client.put(name, Buffer.from(value), lease),
    ]);
    if (succeeded) return header.revision;
    // It would end by itself, but many who try to become leader would leave many of them.
    if (lease !== undefined) await this.client.revokeLease(lease).catch(() => {});
    return undefined;
  }

  async keep(bucket: string, key: string, version: string): Promise<boolean> {
    const name = nameOf(bucket, key);
    const { values } = await this.client.get(name);
    const [found] = values;
    if (found?.mod_revision !== version) return false;
    return found.lease === '0' || this.client.keepLease(found.lease);
  }

  async delete(bucket: string, key: string, version: string): Promise<boolean> {
    const name = nameOf(bucket, key);
    const { succeeded } = await this.client.transact(
      [this.client.isOf(name, version)],
      [this.client.delete(name)],
    );
    return succeeded;
  }

  watch(bucket: string, listener: RecordListener): RecordWatch {
    const [from, before] = rangeOf(bucket);
    const watch = new BucketWatch(
      {
        lookIntervalMs: LOOK_INTERVAL_MS,
        read: () => this.read(bucket),
        hangBell: (at, ring, ended) => this.client.watch({ from, before }, at, ring, ended),
      },
      listener,
      (each) => this.watches.delete(each),
    );
    this.watches.add(watch);
    return watch;
  }

  async close(): Promise<void> {
    for (const watch of this.watches) watch.close();
    this.client.close();
  }

  private async read(bucket: string): Promise<{ at: string; records: KeptRecord[] }> {
    const [from, before] = rangeOf(bucket);
    const { at, found } = await this.client.atOneMoment(() => this.client.list(from, before));
    return { at, records: found.map((each) => this.recordOf(bucket, each)) };
  }

  private recordOf(bucket: string, found: IKeyValue): KeptRecord {
    const key = this.client.nameOf(found).slice(rangeOf(bucket)[0].length);
    // A copy, for the fields of a message that is read from a Buffer are parts of it.
    return { key, value: new Uint8Array(found.value), version: found.mod_revision };
  }
}

/** @throws RangeError */
function nameOf(bucket: string, key: string): string {
  assertRecordName(bucket, key);
  return `record/${bucket}/${key}`;
}

/** The first key that a bucket may have, and that before which its keys end. */
function rangeOf(bucket: string): [from: string, before: string] {
  assertRecordName(bucket);
  return [`record/${bucket}/`, `record/${bucket}${AFTER_SLASH}`];
}
