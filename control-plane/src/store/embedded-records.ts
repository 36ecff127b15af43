/** Records in the file of the embedded store, or in memory. */
import { type Database, inTransaction, openDatabase, translated } from './embedded-file.js';
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
import { StoreUnavailableError } from './revision-log.js';

/** How often a bucket is looked at for what other processes wrote, and for what has expired. */
const LOOK_INTERVAL_MS = 500;

// Versions are never used twice, those of deleted records neither.
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS record (version INTEGER PRIMARY KEY AUTOINCREMENT, bucket TEXT NOT NULL, key TEXT NOT NULL,
    value BLOB NOT NULL, ttl_ms INTEGER, expires_ms INTEGER, UNIQUE (bucket, key)) STRICT;
`;

interface Row {
  readonly key: string;
  readonly value: Uint8Array;
  readonly version: number;
}

export class EmbeddedRecords implements Records {
  private readonly watches = new Map<BucketWatch, string>();

  private constructor(
    private readonly database: Database,
    private readonly path: string | undefined,
    private readonly nowMs: () => number,
  ) {}

  /**
   * @param path the file of the store; undefined to forget everything at the end
   * @param nowMs milliseconds since 1970
   * @throws StoreUnavailableError, StoreDamagedError
   */
  static open(path: string | undefined, nowMs: () => number): EmbeddedRecords {
    return translated(path, () => {
      const database = openDatabase(path);
      try {
        database.exec(SCHEMA);
        return new EmbeddedRecords(database, path, nowMs);
      } catch (error) {
        database.close();
        throw error;
      }
    });
  }

  async list(bucket: string): Promise<readonly KeptRecord[]> {
    assertRecordName(bucket);
    return this.translated(() =>
      this.database
        .prepare(
          `SELECT key, value, version FROM record
             WHERE bucket = ? AND (expires_ms IS NULL OR expires_ms > ?) ORDER BY key`,
        )
        .all(bucket, this.nowMs())
        .map((row) => {
          const { key, value, version } = row as unknown as Row;
          return { key, value: new Uint8Array(value), version: String(version) };
        }),
    );
  }

  async put(
    bucket: string,
    key: string,
    value: Uint8Array,
    { expected, ttlMs }: PutOptions,
  ): Promise<string | undefined> {
    assertRecordName(bucket, key);
    assertRecordSize(bucket, key, value);
    const version = this.translated(() =>
      inTransaction(this.database, 'IMMEDIATE', () => {
        this.forgetExpired();
        const now = this.versionOf(bucket, key) ?? 'absent';
        if (expected !== 'any' && expected !== now) return undefined;
        const { lastInsertRowid } = this.database
          .prepare(
            'INSERT OR REPLACE INTO record (bucket, key, value, ttl_ms, expires_ms) VALUES (?, ?, ?, ?, ?)',
          )
          .run(bucket, key, value, ttlMs ?? null, ttlMs === undefined ? null : this.nowMs() + ttlMs);
        return String(lastInsertRowid);
      }),
    );
    if (version !== undefined) this.ring(bucket);
    return version;
  }

  async keep(bucket: string, key: string, version: string): Promise<boolean> {
    assertRecordName(bucket, key);
    return this.translated(() =>
      inTransaction(this.database, 'IMMEDIATE', () => {
        this.forgetExpired();
        if (this.versionOf(bucket, key) !== version) return false;
        this.database
          .prepare('UPDATE record SET expires_ms = ? + ttl_ms WHERE bucket = ? AND key = ?')
          .run(this.nowMs(), bucket, key);
        return true;
      }),
    );
  }

  async delete(bucket: string, key: string, version: string): Promise<boolean> {
    assertRecordName(bucket, key);
    const isDone = this.translated(() =>
      inTransaction(this.database, 'IMMEDIATE', () => {
        this.forgetExpired();
        if (this.versionOf(bucket, key) !== version) return false;
        this.database.prepare('DELETE FROM record WHERE bucket = ? AND key = ?').run(bucket, key);
        return true;
      }),
    );
    if (isDone) this.ring(bucket);
    return isDone;
  }

  watch(bucket: string, listener: RecordListener): RecordWatch {
    assertRecordName(bucket);
    const watch = new BucketWatch(
      {
        lookIntervalMs: LOOK_INTERVAL_MS,
        read: async () => ({ at: '', records: await this.list(bucket) }),
      },
      listener,
      (each) => this.watches.delete(each),
    );
    this.watches.set(watch, bucket);
    return watch;
  }

  async close(): Promise<void> {
    for (const watch of this.watches.keys()) watch.close();
    if (this.database.isOpen) this.database.close();
  }

  private versionOf(bucket: string, key: string): string | undefined {
    const row = this.database
      .prepare('SELECT version FROM record WHERE bucket = ? AND key = ?')
      .get(bucket, key) as { version: number } | undefined;
    return row === undefined ? undefined : String(row.version);
  }

  private forgetExpired(): void {
    this.database.prepare('DELETE FROM record WHERE expires_ms <= ?').run(this.nowMs());
  }

  private ring(bucket: string): void {
    for (const [watch, of] of this.watches) if (of === bucket) watch.ring();
  }

  private translated<T>(work: () => T): T {
    if (!this.database.isOpen) throw new StoreUnavailableError('the store is closed');
    return translated(this.path, work);
  }
}
