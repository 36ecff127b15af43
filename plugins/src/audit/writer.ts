/** Writes batches to the file of the node: again until it can be done, and what is too old or too much goes. */
import { AuditFile, type CheckpointEvery, type NewRecord } from './audit-file.js';
import { note, type Retention, retain } from './erasure.js';
import type { Batch } from './record-queue.js';
import { sentBatches } from './sent-batch.js';
import { Shaping, type ShapingOptions } from './shaping.js';
import { signingKey } from './signing-key.js';

export interface WriterOptions {
  /** False: batches are only shaped, and sent elsewhere. */
  readonly isFile: boolean;
  readonly file: string;
  readonly keyFile: string;
  readonly checkpoint: CheckpointEvery;
  readonly shaping: ShapingOptions;
  readonly retention: Retention;
}

export class Writer {
  private readonly shaping: Shaping;
  private opened: AuditFile | undefined;

  constructor(
    private readonly options: WriterOptions,
    private readonly now: () => number,
  ) {
    this.shaping = new Shaping(options.shaping);
  }

  /** Puts a batch on the disk. Throws an Error when that cannot be done now; nothing of it is there then. */
  write(batch: Batch): void {
    const records = this.shaped(batch);
    this.withFile((file) => file.append(records));
  }

  /** A batch as texts that can be sent elsewhere. */
  sent(batch: Batch): string[] {
    return sentBatches(this.shaped(batch));
  }

  private shaped({ notes, lostCount }: Batch): NewRecord[] {
    const records = notes.map((each) => this.shaping.record(each));
    if (lostCount > 0) records.unshift(note('gap', this.now(), { lost: lostCount }));
    return records;
  }

  /** Removes some of what may go; true when there may be more. */
  retain(): boolean {
    const { retention } = this.options;
    if (retention.maxAgeMs === undefined && retention.maxBytes === undefined) return false;
    return this.withFile((file) => retain(file, retention, this.now())) > 0;
  }

  end(): void {
    this.opened?.end();
    this.opened = undefined;
  }

  private withFile<T>(use: (file: AuditFile) => T): T {
    try {
      this.opened ??= this.open();
      return use(this.opened);
    } catch (thrown) {
      // What was moved away or has come back is found the next time.
      this.end();
      throw thrown;
    }
  }

  private open(): AuditFile {
    const { file, keyFile, checkpoint } = this.options;
    const { now } = this;
    return new AuditFile({ file, key: signingKey(keyFile), now, checkpoint });
  }
}
