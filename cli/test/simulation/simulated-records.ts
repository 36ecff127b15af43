/** Records beside the revisions of the simulated store: of each replica over its own connection, told late or not at all. */
import type {
  KeptRecord,
  PutOptions,
  RecordListener,
  Records,
  RecordWatch,
} from '../../../control-plane/src/store/records.js';
import type { SimulatedProcess } from './simulated-process.js';
import type { SimulatedLog, SimulatedStore } from './simulated-store.js';

/** As the watch of etcd has it. */
const LOOK_INTERVAL_MS = 1_000;

export class SimulatedRecords implements Records {
  private readonly watches = new Set<() => void>();

  constructor(
    private readonly store: SimulatedStore,
    private readonly process: SimulatedProcess,
    /** Of the same replica: both are one store. */
    private readonly connection: SimulatedLog,
  ) {}

  list(bucket: string): Promise<readonly KeptRecord[]> {
    return this.connection.ask(`list ${bucket}`, () => this.store.records(bucket));
  }

  put(bucket: string, key: string, value: Uint8Array, { expected }: PutOptions): Promise<string | undefined> {
    return this.connection.ask(`put ${bucket}/${key}`, () => this.store.put(bucket, key, value, expected));
  }

  keep(bucket: string, key: string, version: string): Promise<boolean> {
    return this.connection.ask(`keep ${bucket}/${key}`, () =>
      this.store.records(bucket).some((each) => each.key === key && each.version === version),
    );
  }

  delete(bucket: string, key: string, version: string): Promise<boolean> {
    return this.connection.ask(`delete ${bucket}/${key}`, () => this.store.forget(bucket, key, version));
  }

  watch(bucket: string, listener: RecordListener): RecordWatch {
    let isOver = false;
    let isReachable = true;
    const close = () => {
      isOver = true;
      this.watches.delete(close);
    };
    this.watches.add(close);
    const look = async (): Promise<void> => {
      try {
        const all = await this.list(bucket);
        if (isOver) return;
        if (!isReachable) listener.reachable?.(true);
        isReachable = true;
        listener.records(all);
      } catch (thrown) {
        if (isOver) return;
        if (isReachable) listener.reachable?.(false, (thrown as Error).message);
        isReachable = false;
      }
      this.process.after(LOOK_INTERVAL_MS, () => {
        if (!isOver) void look();
      });
    };
    void look();
    return { close };
  }

  async close(): Promise<void> {
    for (const close of [...this.watches]) close();
  }
}
