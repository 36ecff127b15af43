/** Revisions in a file of SQLite, or in memory: for a gateway that is one process. */
import { randomUUID } from 'node:crypto';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { type Checkpoint, CheckpointSchema, type Revision, RevisionSchema } from '@sluice/proto/cluster';
import { type Database, inTransaction, openDatabase, translated } from './embedded-file.js';
import { EmbeddedWatch } from './embedded-watch.js';
import {
  type AppendOutcome,
  encodedRevision,
  type LogContent,
  type LogListener,
  type LogWatch,
  type RevisionLog,
  StoreDamagedError,
  StoreReplacedError,
  StoreUnavailableError,
} from './revision-log.js';

/** Of the tables below; a file with a higher one comes from a later version of the program. */
const SCHEMA_VERSION = 1;
const SCHEMA = `
  CREATE TABLE checkpoint (one INTEGER PRIMARY KEY CHECK (one = 1), revision INTEGER NOT NULL, store_id TEXT NOT NULL,
    bytes BLOB NOT NULL) STRICT;
  CREATE TABLE revision (number INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
  PRAGMA user_version = ${SCHEMA_VERSION};
`;

interface Ends {
  readonly storeId: string;
  /** The revision of the checkpoint. */
  readonly oldest: number;
  readonly newest: number;
}

export class EmbeddedLog implements RevisionLog {
  private readonly watches = new Set<EmbeddedWatch>();

  private constructor(
    private readonly database: Database,
    private readonly path: string | undefined,
  ) {}

  /**
   * @param path the file, made with its folder when it is not there; undefined to forget everything at the end
   * @throws StoreUnavailableError when it cannot be opened
   * @throws StoreDamagedError when it is no file of this program
   */
  static open(path: string | undefined): EmbeddedLog {
    return translated(path, () => {
      const database = openDatabase(path);
      try {
        const log = new EmbeddedLog(database, path);
        log.prepare();
        return log;
      } catch (error) {
        database.close();
        throw error;
      }
    });
  }

  private prepare(): void {
    this.inTransaction('IMMEDIATE', () => {
      const { user_version: version } = this.database.prepare('PRAGMA user_version').get() as {
        user_version: number;
      };
      if (version > SCHEMA_VERSION)
        throw new StoreDamagedError(
          `${this.path} was written by a later version of Sluice (format ${version}; this one knows ${SCHEMA_VERSION})`,
        );
      if (version === 0) {
        this.database.exec(SCHEMA);
        this.putCheckpoint(create(CheckpointSchema, { storeId: randomUUID() }));
      }
    });
  }

  async read(): Promise<LogContent> {
    return this.translated(() => this.inTransaction('DEFERRED', () => this.content()));
  }

  private content(): LogContent {
    const row = this.database.prepare('SELECT bytes FROM checkpoint').get() as
      | { bytes: Uint8Array }
      | undefined;
    if (row === undefined) throw new StoreDamagedError(`${this.path} has no checkpoint`);
    const rows = this.database.prepare('SELECT bytes FROM revision ORDER BY number').all();
    return {
      checkpoint: fromBinary(CheckpointSchema, row.bytes),
      revisions: rows.map(decodeRevision),
    };
  }

  async append(revision: Revision, storeId: string, afterId: string | undefined): Promise<AppendOutcome> {
    const bytes = encodedRevision(revision);
    const number = Number(revision.number);
    const outcome = this.translated(() =>
      this.inTransaction('IMMEDIATE', (): AppendOutcome => {
        const ends = this.ends();
        if (ends.storeId !== storeId) throw replaced(this.path);
        if (ends.newest !== number - 1) return { appended: false, head: ends.newest };
        if (afterId !== undefined && (this.idOf(number - 1) ?? afterId) !== afterId)
          throw replaced(this.path);
        this.database.prepare('INSERT INTO revision (number, bytes) VALUES (?, ?)').run(number, bytes);
        return { appended: true };
      }),
    );
    if (outcome.appended) this.tellWatches();
    return outcome;
  }

  /** Undefined when it is forgotten. */
  private idOf(number: number): string | undefined {
    const row = this.database.prepare('SELECT bytes FROM revision WHERE number = ?').get(number);
    return row === undefined ? undefined : decodeRevision(row).id;
  }

  watch(after: number, listener: LogListener, storeId: string): LogWatch {
    const watch = new EmbeddedWatch(
      after,
      listener,
      (last) => this.translated(() => this.inTransaction('DEFERRED', () => this.since(last, storeId))),
      this.path === undefined ? undefined : () => this.translated(() => this.dataVersion()),
      () => this.watches.delete(watch),
    );
    this.watches.add(watch);
    return watch;
  }

  /** Revisions after one, or why they are not known. */
  private since(last: number, storeId: string): readonly Revision[] | string {
    const ends = this.ends();
    if (ends.storeId !== storeId) return 'the store has another name than it had';
    if (ends.oldest > last) return `revisions after ${last} are forgotten`;
    if (ends.newest < last) return `the store is at revision ${ends.newest} and was at ${last}`;
    return this.database
      .prepare('SELECT bytes FROM revision WHERE number > ? ORDER BY number')
      .all(last)
      .map(decodeRevision);
  }

  async history(before: number, limitCount: number): Promise<readonly Revision[]> {
    return this.translated(() =>
      this.database
        .prepare('SELECT bytes FROM revision WHERE number < ? ORDER BY number DESC LIMIT ?')
        .all(before, limitCount)
        .map(decodeRevision),
    );
  }

  async compact(checkpoint: Checkpoint): Promise<void> {
    this.translated(() =>
      this.inTransaction('IMMEDIATE', () => {
        const ends = this.ends();
        if (ends.storeId !== checkpoint.storeId || ends.oldest >= Number(checkpoint.revision)) return;
        this.database.prepare('DELETE FROM revision WHERE number <= ?').run(Number(checkpoint.revision));
        this.putCheckpoint(checkpoint);
      }),
    );
  }

  async replace(checkpoint: Checkpoint, instead: string): Promise<boolean> {
    const isDone = this.translated(() =>
      this.inTransaction('IMMEDIATE', () => {
        if (this.ends().storeId !== instead) return false;
        this.database.exec('DELETE FROM revision');
        this.putCheckpoint(checkpoint);
        return true;
      }),
    );
    if (isDone) this.tellWatches();
    return isDone;
  }

  async close(): Promise<void> {
    for (const watch of this.watches) watch.close();
    if (this.database.isOpen) this.database.close();
  }

  private ends(): Ends {
    const row = this.database
      .prepare(
        `SELECT store_id AS storeId, revision AS oldest,
           coalesce((SELECT max(number) FROM revision), revision) AS newest FROM checkpoint`,
      )
      .get();
    if (row === undefined) throw new StoreDamagedError(`${this.path} has no checkpoint`);
    return row as unknown as Ends;
  }

  private putCheckpoint(checkpoint: Checkpoint): void {
    this.database
      .prepare('INSERT OR REPLACE INTO checkpoint (one, revision, store_id, bytes) VALUES (1, ?, ?, ?)')
      .run(Number(checkpoint.revision), checkpoint.storeId, toBinary(CheckpointSchema, checkpoint));
  }

  /** Is another number whenever another connection has written. */
  private dataVersion(): number {
    return (this.database.prepare('PRAGMA data_version').get() as { data_version: number }).data_version;
  }

  private tellWatches(): void {
    for (const watch of this.watches) watch.look();
  }

  private inTransaction<T>(kind: 'DEFERRED' | 'IMMEDIATE', work: () => T): T {
    return inTransaction(this.database, kind, work);
  }

  private translated<T>(work: () => T): T {
    if (!this.database.isOpen) throw new StoreUnavailableError('the store is closed');
    return translated(this.path, work);
  }
}

function decodeRevision(row: object): Revision {
  return fromBinary(RevisionSchema, (row as { bytes: Uint8Array }).bytes);
}

function replaced(path: string | undefined): StoreReplacedError {
  return new StoreReplacedError(`${path ?? 'the store'} was put back, or begun anew by somebody else`);
}
