/**
 * The records of a node in a file of SQLite, which all its workers have open. Each batch reads the end of the chain,
 * adds to it and signs the new end in one transaction that nobody else can be in.
 */
import { randomFillSync } from 'node:crypto';
import { chmodSync, closeSync, mkdirSync, openSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import type { DatabaseSyncInstance, StatementSyncInstance } from '@photostructure/sqlite';
import {
  EMPTY_HEAD,
  type Head,
  linked,
  NO_DIGEST,
  openDigest,
  personalDigest,
  SALT_BYTES,
  signedCheckpoint,
  signedHead,
} from './chain.js';
import type { SigningKey } from './signing-key.js';

const require = createRequire(import.meta.url);

/** Another who writes is done long before; a verification in another process only reads. */
const BUSY_TIMEOUT_MS = 10_000;
/** Pages that are gathered before they go from the log to the file, of 4 KiB each. */
const WAL_PAGE_COUNT = 4_000;
const SCHEMA_VERSION = 1;

/**
 * `open` is JSON without personal data, `personal` JSON with it; either may have been taken out since. What was taken
 * out of `open` has left its digest in `open_digest`.
 */
const SCHEMA = `
  CREATE TABLE records (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    time_ms INTEGER NOT NULL,
    open TEXT,
    personal TEXT,
    salt BLOB,
    open_digest BLOB,
    personal_digest BLOB NOT NULL,
    hash BLOB NOT NULL
  );
  CREATE INDEX records_time ON records (time_ms);
  CREATE TABLE head (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    seq INTEGER NOT NULL, hash BLOB NOT NULL, time_ms INTEGER NOT NULL,
    anchor_seq INTEGER NOT NULL, anchor_hash BLOB NOT NULL,
    checkpoint_count INTEGER NOT NULL, checkpoint_seq INTEGER NOT NULL, checkpoint_time_ms INTEGER NOT NULL,
    signature BLOB NOT NULL
  );
  CREATE TABLE checkpoints (
    number INTEGER PRIMARY KEY, seq INTEGER NOT NULL, hash BLOB NOT NULL, time_ms INTEGER NOT NULL,
    key_id TEXT NOT NULL, signature BLOB NOT NULL
  );
  CREATE TABLE holds (
    name TEXT PRIMARY KEY, principal TEXT, from_ms INTEGER, to_ms INTEGER, reason TEXT, created_ms INTEGER NOT NULL
  );
  PRAGMA user_version = ${SCHEMA_VERSION};
`;

/** A record before it has its place. */
export interface NewRecord {
  /** No two have the same; one that is there already is not added again. */
  readonly id: string;
  readonly timeMs: number;
  /** JSON that begins with `{"kind":`. */
  readonly open: string;
  /** JSON; undefined when there is nothing personal. */
  readonly personal: string | undefined;
}

export interface CheckpointEvery {
  readonly recordCount: number;
  readonly intervalMs: number;
}

export interface AuditFileOptions {
  readonly file: string;
  readonly key: SigningKey;
  readonly now: () => number;
  readonly checkpoint: CheckpointEvery;
}

export const CHECKPOINT_DEFAULTS: CheckpointEvery = { recordCount: 10_000, intervalMs: 300_000 };

/** What a transaction does to the end of the chain. */
export interface Writing {
  /** False when there is one with its id. */
  add(record: NewRecord): boolean;
  /** Everything up to this record has been removed. */
  anchorAt(seq: number, hash: Uint8Array): void;
}

export class AuditFile {
  readonly database: DatabaseSyncInstance;
  private readonly insert: StatementSyncInstance;
  private readonly readHead: StatementSyncInstance;
  private readonly writeHead: StatementSyncInstance;
  private readonly insertCheckpoint: StatementSyncInstance;
  private readonly inode: number;

  /** @throws Error with a readable message when the file cannot be used. */
  constructor(private readonly options: AuditFileOptions) {
    this.database = openDatabase(options.file);
    this.inode = statSync(options.file).ino;
    const prepare = (sql: string) => this.database.prepare(sql);
    this.insert = prepare(
      'INSERT INTO records (seq, id, time_ms, open, personal, salt, personal_digest, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING',
    );
    this.readHead = prepare('SELECT * FROM head');
    this.writeHead = prepare('INSERT OR REPLACE INTO head VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?)');
    this.insertCheckpoint = prepare('INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?, ?)');
  }

  /** Adds them in their order; resolves to how many were new. All of them are on the disk then, or none. */
  append(records: readonly NewRecord[]): number {
    return this.write((writing) => {
      let count = 0;
      for (const record of records) if (writing.add(record)) count++;
      return count;
    });
  }

  /** Runs in a transaction of its own, and signs the end of the chain. */
  write<T>(work: (writing: Writing) => T): T {
    this.checkPlace();
    const { database } = this;
    database.exec('BEGIN IMMEDIATE');
    try {
      const before = headOf(this.readHead.get());
      const chain = new ChainEnd(before, this.insert);
      const value = work(chain);
      if (chain.hasChanged) this.close(chain.head);
      database.exec('COMMIT');
      return value;
    } catch (thrown) {
      // What could not be written may have ended the transaction by itself.
      if (database.isTransaction) database.exec('ROLLBACK');
      throw thrown;
    }
  }

  /** Leaves nothing of what was taken out in the files beside it. */
  compact(): void {
    this.database.exec('PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE);');
  }

  end(): void {
    if (!this.database.isOpen) return;
    this.database.close();
  }

  private close(chained: Head): void {
    const { key, now, checkpoint } = this.options;
    const timeMs = now();
    let head: Head = { ...chained, timeMs };
    const isDue =
      head.seq - head.checkpointSeq >= checkpoint.recordCount ||
      timeMs - head.checkpointTimeMs >= checkpoint.intervalMs;
    if (isDue) {
      const own = { number: head.checkpointCount + 1, seq: head.seq, hash: head.hash, timeMs };
      const signature = signedCheckpoint(key.privateKey, own);
      this.insertCheckpoint.run(own.number, own.seq, own.hash, timeMs, key.id, signature);
      head = { ...head, checkpointCount: own.number, checkpointSeq: own.seq, checkpointTimeMs: timeMs };
    }
    this.writeHead.run(
      head.seq,
      head.hash,
      head.timeMs,
      head.anchorSeq,
      head.anchorHash,
      head.checkpointCount,
      head.checkpointSeq,
      head.checkpointTimeMs,
      signedHead(key.privateKey, head),
    );
  }

  /** Whoever moves or removes the file would otherwise have everything written where nobody looks. */
  private checkPlace(): void {
    const { file } = this.options;
    if (statSync(file, { throwIfNoEntry: false })?.ino !== this.inode)
      throw new Error(`${file} is not the file any more that was opened`);
  }
}

class ChainEnd implements Writing {
  hasChanged = false;
  private seq: number;
  private hash: Uint8Array;
  private anchorSeq: number;
  private anchorHash: Uint8Array;

  constructor(
    private readonly before: Head,
    private readonly insert: StatementSyncInstance,
  ) {
    ({ seq: this.seq, hash: this.hash, anchorSeq: this.anchorSeq, anchorHash: this.anchorHash } = before);
  }

  get head(): Head {
    const { seq, hash, anchorSeq, anchorHash } = this;
    return { ...this.before, seq, hash, anchorSeq, anchorHash };
  }

  add({ id, timeMs, open, personal }: NewRecord): boolean {
    const seq = this.seq + 1;
    const salt = personal === undefined ? null : freshSalt();
    const own = salt === null ? NO_DIGEST : personalDigest(salt, personal as string);
    const hash = linked(this.hash, seq, openDigest(open), own);
    const { changes } = this.insert.run(seq, id, timeMs, open, personal ?? null, salt, own, hash);
    if (changes === 0) return false;
    this.seq = seq;
    this.hash = hash;
    this.hasChanged = true;
    return true;
  }

  anchorAt(seq: number, hash: Uint8Array): void {
    this.anchorSeq = seq;
    this.anchorHash = hash;
    this.hasChanged = true;
  }
}

const SALTS = Buffer.alloc(SALT_BYTES * 256);
let nextSalt = SALTS.byteLength;

/** Random bytes are cheaper by the dozen. */
function freshSalt(): Buffer {
  if (nextSalt >= SALTS.byteLength) {
    randomFillSync(SALTS);
    nextSalt = 0;
  }
  const salt = Buffer.from(SALTS.subarray(nextSalt, nextSalt + SALT_BYTES));
  nextSalt += SALT_BYTES;
  return salt;
}

/** @param row of the table head; undefined before anything was written. */
export function headOf(row: unknown): Head {
  if (row === undefined) return EMPTY_HEAD;
  const own = row as Record<string, number> & { hash: Uint8Array; anchor_hash: Uint8Array };
  return {
    seq: own.seq as number,
    hash: own.hash,
    timeMs: own.time_ms as number,
    anchorSeq: own.anchor_seq as number,
    anchorHash: own.anchor_hash,
    checkpointCount: own.checkpoint_count as number,
    checkpointSeq: own.checkpoint_seq as number,
    checkpointTimeMs: own.checkpoint_time_ms as number,
  };
}

/** @throws Error with a readable message */
function openDatabase(file: string): DatabaseSyncInstance {
  let database: DatabaseSyncInstance | undefined;
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    // What stands in it is for nobody else on the machine; the files beside it get the same mode.
    closeSync(openSync(file, 'a', 0o600));
    chmodSync(file, 0o600);
    database = new (sqlite().DatabaseSync)(file, { timeout: BUSY_TIMEOUT_MS });
    database.exec(
      'PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;' +
        `PRAGMA wal_autocheckpoint = ${WAL_PAGE_COUNT};`,
    );
    createTables(database);
    return database;
  } catch (thrown) {
    if (database?.isOpen) database.close();
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    throw new Error(`audit records cannot be written to ${file}: ${reason}`, { cause: thrown });
  }
}

/**
 * Opens a file to look at it.
 *
 * @throws Error with a readable message when it is none.
 */
export function openForReading(file: string): DatabaseSyncInstance {
  let database: DatabaseSyncInstance | undefined;
  try {
    if (statSync(file, { throwIfNoEntry: false }) === undefined) throw new Error('there is no such file');
    database = new (sqlite().DatabaseSync)(file, { readOnly: true, timeout: BUSY_TIMEOUT_MS });
    if (versionOf(database) !== SCHEMA_VERSION) throw new Error('it holds no audit records of this version');
    return database;
  } catch (thrown) {
    if (database?.isOpen) database.close();
    throw new Error(`${file}: ${thrown instanceof Error ? thrown.message : String(thrown)}`, {
      cause: thrown,
    });
  }
}

function createTables(database: DatabaseSyncInstance): void {
  const isNew = () => versionOf(database) === 0;
  if (isNew()) {
    database.exec('BEGIN IMMEDIATE');
    // Another worker may have been quicker.
    if (isNew()) database.exec(SCHEMA);
    database.exec('COMMIT');
  }
  const version = versionOf(database);
  if (version !== SCHEMA_VERSION) throw new Error(`it was written by another version of Sluice (${version})`);
}

function versionOf(database: DatabaseSyncInstance): number {
  return (database.prepare('PRAGMA user_version').get() as { user_version: number }).user_version;
}

/** Loaded where there is a file, and nowhere else. */
function sqlite(): typeof import('@photostructure/sqlite') {
  return require('@photostructure/sqlite') as typeof import('@photostructure/sqlite');
}
