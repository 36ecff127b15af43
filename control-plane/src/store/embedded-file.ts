/** The file of the embedded store: opened for its owner only, and its troubles in the words of the port. */
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from '@photostructure/sqlite';
import { StoreDamagedError, StoreReplacedError, StoreUnavailableError } from './revision-log.js';

/** How long a write waits for another process that writes to the same file. Everything else of this one waits too. */
const BUSY_TIMEOUT_MS = 1_000;

/** What SQLite calls a file that is none of its own, or not what it wrote (https://sqlite.org/rescode.html). */
const SQLITE_CORRUPT = 11;
const SQLITE_NOTADB = 26;

/** The primary part of an extended result code. */
const PRIMARY_CODE = 0xff;

export type Database = InstanceType<typeof DatabaseSync>;

/** @param path made with its folder when it is not there; undefined for memory */
export function openDatabase(path: string | undefined): Database {
  if (path !== undefined) {
    mkdirSync(dirname(path), { recursive: true });
    // Made here, so that nobody else can read it: SQLite gives its other files the permissions of this one.
    closeSync(openSync(path, 'a', 0o600));
  }
  const database = new DatabaseSync(path ?? ':memory:', { timeout: BUSY_TIMEOUT_MS });
  try {
    // What was acknowledged survives a loss of power.
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
  } catch (error) {
    database.close();
    throw error;
  }
  return database;
}

export function inTransaction<T>(database: Database, kind: 'DEFERRED' | 'IMMEDIATE', work: () => T): T {
  database.exec(`BEGIN ${kind}`);
  try {
    const result = work();
    database.exec('COMMIT');
    return result;
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
}

/** Runs the work, and says what is wrong with the file in the words of the port. */
export function translated<T>(path: string | undefined, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof StoreDamagedError || cause instanceof StoreReplacedError) throw cause;
    const { message, errcode } = cause as Error & { errcode?: number };
    const code = (errcode ?? 0) & PRIMARY_CODE;
    if (code === SQLITE_CORRUPT || code === SQLITE_NOTADB)
      throw new StoreDamagedError(`${path} is no store of Sluice, or is damaged: ${message}`, { cause });
    throw new StoreUnavailableError(`${path ?? 'the store'} cannot be used: ${message}`, { cause });
  }
}
