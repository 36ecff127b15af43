/** The last configuration that a node ran, on its disk: what it serves when it starts and nobody can be asked. */
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import * as nodeFiles from 'node:fs/promises';
import { join } from 'node:path';
import {
  create,
  type Entry,
  entryOfBytes,
  fromBinary,
  type Position,
  ResourceState,
  type StoredSnapshot,
  StoredSnapshotSchema,
  toBinary,
} from '@sluice/proto/cluster';
import type { Logger } from 'pino';

const FILE = 'configuration.snapshot';
/** What is written at once, so that nothing else waits long for it; bytes. */
const PIECE_BYTES = 256 * 1024;
/** Tag, length and 32 bytes of `checksum`, which ends the file. */
const CHECKSUM_FIELD_BYTES = 34;
/** Between two writes; milliseconds. What is missing after a crash is asked for. */
const PAUSE_MS = 1_000;
/** After a write that failed; milliseconds. */
const PAUSE_AFTER_FAILURE_MS = 10_000;

/** What is asked of a file system. */
export type Files = Pick<typeof nodeFiles, 'mkdir' | 'open' | 'readFile' | 'rename' | 'rm'>;

/** Where files lie, and how time passes: a simulation brings its own. */
export interface DiskWorld {
  readonly files: Files;
  /** Calls back once after a time; returns how to prevent it. */
  after(ms: number, what: () => void): () => void;
}

const SYSTEM: DiskWorld = {
  files: nodeFiles,
  after: (ms, what) => {
    const timer = setTimeout(what, ms).unref();
    return () => clearTimeout(timer);
  },
};

/** What a node can begin with. */
export interface Held {
  readonly position: Position;
  readonly state: ResourceState;
}

export class SnapshotDisk {
  /** What is to be written next; only the newest counts. */
  private waiting: { readonly position: Position; readonly entries: readonly Entry[] } | undefined;
  private writing: Promise<void> | undefined;
  private endPause: (() => void) | undefined;
  private hasFailed = false;

  constructor(
    private readonly folder: string,
    private readonly region: string,
    private readonly log: Pick<Logger, 'info' | 'error'>,
    private readonly world: DiskWorld = SYSTEM,
  ) {}

  /** What was kept; undefined when there is nothing, or nothing that may be used, which is logged. */
  async read(): Promise<Held | undefined> {
    const file = join(this.folder, FILE);
    const ignored = (reason: string) => {
      this.log.error({ file, reason }, `the kept configuration is not used: ${reason}`);
      return undefined;
    };
    let bytes: Buffer;
    try {
      bytes = await this.world.files.readFile(file);
    } catch (thrown) {
      const { code, message } = thrown as NodeJS.ErrnoException;
      return code === 'ENOENT' ? undefined : ignored(`it cannot be read: ${message}`);
    }
    let stored: StoredSnapshot;
    try {
      stored = fromBinary(StoredSnapshotSchema, bytes);
    } catch {
      return ignored('it is damaged');
    }
    const { position, region, resources, checksum } = stored;
    const before = bytes.subarray(0, Math.max(0, bytes.length - CHECKSUM_FIELD_BYTES));
    if (
      position === undefined ||
      Buffer.compare(createHash('sha256').update(before).digest(), checksum) !== 0
    )
      return ignored('it is damaged');
    if (region !== this.region)
      return ignored(
        `it is that of the region ${JSON.stringify(region)}, and this is ${JSON.stringify(this.region)}`,
      );
    let state: ResourceState;
    try {
      state = ResourceState.of(resources.map(entryOfBytes));
    } catch (thrown) {
      return ignored(`it holds ${(thrown as Error).message}`);
    }
    if (Buffer.compare(state.digest, position.digest) !== 0)
      return ignored('its digest is not that of its content');
    return { position, state };
  }

  /** Keeps what runs now, soon. Never throws: what cannot be written is logged, and serving goes on. */
  keep(position: Position, state: ResourceState): void {
    this.waiting = { position, entries: [...state.entries()] };
    if (this.endPause === undefined && this.writing === undefined) this.writeNext();
  }

  /** Resolves when everything that was to be kept has been written, or could not be. */
  async flush(): Promise<void> {
    this.stopPause();
    await this.writing;
    this.stopPause();
    if (this.waiting !== undefined) this.writeNext();
    await this.writing;
    this.stopPause();
  }

  private stopPause(): void {
    this.endPause?.();
    this.endPause = undefined;
  }

  private writeNext(): void {
    const next = this.waiting;
    this.waiting = undefined;
    this.endPause = undefined;
    if (next === undefined) return;
    this.writing = this.write(next.position, next.entries).then(
      () => this.wrote(),
      (thrown: unknown) => this.failed(thrown, next),
    );
  }

  private wrote(): void {
    if (this.hasFailed) this.log.info('the configuration is kept on the disk again');
    this.hasFailed = false;
    this.ended();
  }

  private failed(thrown: unknown, again: typeof this.waiting): void {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    if (!this.hasFailed)
      this.log.error(
        { folder: this.folder, reason },
        'the configuration cannot be kept on the disk, so that a start without a control plane would take an older one',
      );
    this.hasFailed = true;
    this.waiting ??= again;
    this.ended();
  }

  private ended(): void {
    this.writing = undefined;
    const pauseMs = this.hasFailed ? PAUSE_AFTER_FAILURE_MS : PAUSE_MS;
    this.endPause = this.world.after(pauseMs, () => this.writeNext());
  }

  /** Beside the old file first, so that at every moment there is one that is whole. */
  private async write(position: Position, entries: readonly Entry[]): Promise<void> {
    const { mkdir, open, rename, rm } = this.world.files;
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
    const file = join(this.folder, FILE);
    const beside = `${file}.new`;
    try {
      const handle = await open(beside, 'w', 0o600);
      try {
        await this.writeAll(handle, position, entries);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(beside, file);
    } catch (thrown) {
      await rm(beside, { force: true }).catch(() => undefined);
      throw thrown;
    }
    await this.syncFolder();
  }

  /** So that the new name is there after a power failure too. */
  private async syncFolder(): Promise<void> {
    const handle = await this.world.files.open(this.folder, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  /** Messages of protobuf one after the other are one message with the fields of all. */
  private async writeAll(handle: FileHandle, position: Position, entries: readonly Entry[]): Promise<void> {
    const checksum = createHash('sha256');
    const piece = async (part: Partial<Pick<StoredSnapshot, 'position' | 'region' | 'resources'>>) => {
      const bytes = toBinary(StoredSnapshotSchema, create(StoredSnapshotSchema, part));
      checksum.update(bytes);
      await writeWhole(handle, bytes);
    };
    await piece({ position, region: this.region });
    let resources: Uint8Array[] = [];
    let size = 0;
    for (const { bytes } of entries) {
      resources.push(bytes);
      size += bytes.length;
      if (size < PIECE_BYTES) continue;
      await piece({ resources });
      resources = [];
      size = 0;
    }
    await piece({ resources });
    const end = create(StoredSnapshotSchema, { checksum: checksum.digest() });
    await writeWhole(handle, toBinary(StoredSnapshotSchema, end));
  }
}

/** A full disk may take a part. */
async function writeWhole(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let start = 0; start < bytes.length; )
    start += (await handle.write(bytes, start, bytes.length - start)).bytesWritten;
}
