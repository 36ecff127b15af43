/**
 * The store of plugins in a file, which the workers of a gateway, and several gateways of one machine, have open at
 * the same time.
 */
import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import type { DatabaseSyncInstance, StatementSyncInstance } from '@photostructure/sqlite';
import type { PluginStore } from '@sluice/sdk';
import { checkKey, checkValue, type PluginStores, type StoreLimits, storeIsFull } from './store-limits.js';

const require = createRequire(import.meta.url);

/** How long one waits for another who writes; each write takes far less. */
const BUSY_TIMEOUT_MS = 2_000;
const SWEEP_INTERVAL_MS = 60_000;
/** Keys that are written before those are counted that others have written. */
const COUNT_INTERVAL_COUNT = 1_000;
/** What the tables look like; another number is a file of another version of Sluice. */
const SCHEMA_VERSION = 1;

/** Keys and values as bytes: their order is that of the bytes, and no character of theirs means anything. */
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS entries (
    binding TEXT NOT NULL,
    key BLOB NOT NULL,
    value BLOB NOT NULL,
    until_ms INTEGER,
    PRIMARY KEY (binding, key)
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS entries_until ON entries (until_ms) WHERE until_ms IS NOT NULL;
  PRAGMA user_version = ${SCHEMA_VERSION};
`;

export class SqlitePluginStores implements PluginStores {
  private readonly database: DatabaseSyncInstance;
  private readonly statements: Statements;
  private readonly sweeping: NodeJS.Timeout;

  /** Throws an Error with a readable message when the file cannot be used. */
  constructor(
    file: string,
    private readonly limits: StoreLimits,
  ) {
    this.database = open(file);
    this.statements = new Statements(this.database);
    this.sweeping = setInterval(() => this.sweep(), SWEEP_INTERVAL_MS).unref();
  }

  of(binding: string): PluginStore {
    const { limits, statements } = this;
    /** How many more keys may be written before they are counted again. */
    let uncounted = 0;
    const makeRoom = (key: Buffer) => {
      if (--uncounted >= 0 || statements.has.get(binding, key, Date.now()) !== undefined) return;
      const count = () => (statements.count.get(binding) as { count: number }).count;
      let left = limits.maxKeyCount - count();
      if (left <= 0) {
        statements.sweep.run(Date.now());
        left = limits.maxKeyCount - count();
      }
      if (left <= 0) throw storeIsFull(binding, limits);
      uncounted = Math.min(COUNT_INTERVAL_COUNT, left) - 1;
    };
    return {
      async get(key) {
        const row = statements.get.get(binding, Buffer.from(key), Date.now());
        return row === undefined ? undefined : textOf((row as { value: Uint8Array }).value);
      },
      async set(key, value, { ttlMs } = {}) {
        checkKey(key, limits);
        checkValue(value, limits);
        const bytes = Buffer.from(key);
        makeRoom(bytes);
        const untilMs = ttlMs === undefined || ttlMs === Number.POSITIVE_INFINITY ? null : Date.now() + ttlMs;
        statements.set.run(binding, bytes, Buffer.from(value), untilMs === null ? null : Math.ceil(untilMs));
      },
      async delete(key) {
        statements.delete.run(binding, Buffer.from(key));
      },
      async keys(prefix) {
        const rows = statements.from.all(binding, Buffer.from(prefix), Date.now(), limits.maxListedCount);
        const keys = rows.map((row) => textOf((row as { key: Uint8Array }).key));
        // All that begin with it stand together.
        const end = keys.findIndex((key) => !key.startsWith(prefix));
        return end === -1 ? keys : keys.slice(0, end);
      },
    };
  }

  /** Forgets what has expired. */
  sweep(): void {
    try {
      this.statements.sweep.run(Date.now());
    } catch {
      // Somebody else writes; it does not show, and there is a next time.
    }
  }

  close(): void {
    clearInterval(this.sweeping);
    if (!this.database.isOpen) return;
    // The library closes a file only when its statements have been collected; all that was written is in it before.
    this.database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    this.database.close();
  }
}

class Statements {
  readonly has: StatementSyncInstance;
  readonly get: StatementSyncInstance;
  readonly set: StatementSyncInstance;
  readonly delete: StatementSyncInstance;
  readonly from: StatementSyncInstance;
  readonly count: StatementSyncInstance;
  readonly sweep: StatementSyncInstance;

  constructor(database: DatabaseSyncInstance) {
    const alive = '(until_ms IS NULL OR until_ms > ?)';
    this.has = database.prepare(`SELECT 1 FROM entries WHERE binding = ? AND key = ? AND ${alive}`);
    this.get = database.prepare(`SELECT value FROM entries WHERE binding = ? AND key = ? AND ${alive}`);
    this.set = database.prepare(
      'INSERT INTO entries VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value, until_ms = excluded.until_ms',
    );
    this.delete = database.prepare('DELETE FROM entries WHERE binding = ? AND key = ?');
    this.from = database.prepare(
      `SELECT key FROM entries WHERE binding = ? AND key >= ? AND ${alive} ORDER BY key LIMIT ?`,
    );
    this.count = database.prepare('SELECT count(*) AS count FROM entries WHERE binding = ?');
    this.sweep = database.prepare('DELETE FROM entries WHERE until_ms <= ?');
  }
}

function open(file: string): DatabaseSyncInstance {
  let database: DatabaseSyncInstance | undefined;
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    // What plugins store is for nobody else on the machine; the files beside it get the same mode.
    closeSync(openSync(file, 'a', 0o600));
    chmodSync(file, 0o600);
    // Loaded where there is a file, and nowhere else.
    const { DatabaseSync } = require('@photostructure/sqlite') as typeof import('@photostructure/sqlite');
    database = new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS });
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;');
    const { quick_check: state } = database.prepare('PRAGMA quick_check(1)').get() as { quick_check: string };
    if (state !== 'ok') throw new Error(`it is damaged (${state})`);
    const { user_version: version } = database.prepare('PRAGMA user_version').get() as {
      user_version: number;
    };
    if (version > SCHEMA_VERSION) throw new Error(`it was written by a newer version of Sluice (${version})`);
    if (version < SCHEMA_VERSION) database.exec(`BEGIN IMMEDIATE; ${SCHEMA} COMMIT;`);
    return database;
  } catch (thrown) {
    if (database?.isOpen) database.close();
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    throw new Error(
      `gateway.state_dir: plugins cannot store anything in ${file}: ${reason}; name a folder that can be written, or move the file away`,
      { cause: thrown },
    );
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
}
