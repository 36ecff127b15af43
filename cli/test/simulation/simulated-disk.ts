/** A file system of one folder, which forgets or tears what was not synced when the power fails. */
import type { Files } from '../../../data-plane/src/snapshot/disk.js';
import type { SimulatedProcess, Surroundings } from './simulated-process.js';

/** A disk that others use too; milliseconds. */
const MAX_DELAY_MS = 200;

interface Inode {
  data: Buffer;
  /** What is on the medium. */
  synced: Buffer;
}

/** What the disk of a node is, whoever uses it. */
export class SimulatedDisk {
  /** Names as programs see them, and as they are on the medium. */
  private names = new Map<string, Inode>();
  private syncedNames = new Map<string, Inode>();
  isFull = false;
  /** The folder was synced: whoever did that relies on what its names lead to. */
  onKept: (bytes: Buffer) => void = () => {};

  constructor(private readonly surroundings: Surroundings) {}

  /** What was not synced is there, or not, or in part. */
  powerFails(): void {
    const { random } = this.surroundings;
    const after = new Map<string, Inode>();
    for (const name of new Set([...this.names.keys(), ...this.syncedNames.keys()])) {
      const inode = (random.oneIn(2) ? this.names : this.syncedNames).get(name);
      if (inode === undefined) continue;
      const isWhole = inode.data.equals(inode.synced);
      const data = isWhole ? inode.data : inode.data.subarray(0, random.below(inode.data.length + 1));
      after.set(name, { data: Buffer.from(data), synced: Buffer.from(data) });
    }
    this.names = after;
    this.syncedNames = new Map(after);
  }

  /** What a process sees. Dead ones see nothing happen. */
  files(process: SimulatedProcess): Files {
    const { random } = this.surroundings;
    const soon = () =>
      process.sleep(random.oneIn(4) ? random.below(MAX_DELAY_MS) : random.below(2_000) / 1_000);
    const failing = (code: string) => Object.assign(new Error(`${code}: simulated`), { code });
    const full = () => {
      if (this.isFull) throw failing('ENOSPC');
    };
    const folderHandle = {
      sync: async () => {
        await soon();
        this.syncedNames = new Map(this.names);
        for (const inode of this.names.values()) this.onKept(inode.data);
      },
      close: soon,
    };
    const fileHandle = (inode: Inode) => ({
      write: async (bytes: Uint8Array, offset: number, length: number) => {
        await soon();
        full();
        // A write may take a part.
        const bytesWritten = length > 1 && random.oneIn(10) ? 1 + random.below(length - 1) : length;
        inode.data = Buffer.concat([inode.data, bytes.subarray(offset, offset + bytesWritten)]);
        return { bytesWritten };
      },
      sync: async () => {
        await soon();
        full();
        inode.synced = inode.data;
      },
      close: soon,
    });
    const files = {
      mkdir: soon,
      open: async (path: string, flags: string) => {
        await soon();
        if (flags === 'r') return folderHandle;
        full();
        const inode = this.names.get(path) ?? { data: Buffer.alloc(0), synced: Buffer.alloc(0) };
        inode.data = Buffer.alloc(0);
        this.names.set(path, inode);
        return fileHandle(inode);
      },
      readFile: async (path: string) => {
        await soon();
        const inode = this.names.get(path);
        if (inode === undefined) throw failing('ENOENT');
        return Buffer.from(inode.data);
      },
      rename: async (from: string, to: string) => {
        await soon();
        const inode = this.names.get(from);
        if (inode === undefined) throw failing('ENOENT');
        this.names.delete(from);
        this.names.set(to, inode);
      },
      rm: async (path: string) => {
        await soon();
        this.names.delete(path);
      },
    };
    return files as unknown as Files;
  }
}
