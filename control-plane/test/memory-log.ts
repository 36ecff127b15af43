/** A store for tests: revisions in memory, which other logs over the same content hear of. */
import { create } from '@bufbuild/protobuf';
import { type Checkpoint, CheckpointSchema, type Revision } from '@sluice/proto/cluster';
import type { AppendOutcome, LogContent, LogListener, RevisionLog } from '../src/store/revision-log.js';

export class MemoryLog implements RevisionLog {
  checkpoint: Checkpoint = create(CheckpointSchema, { storeId: 'memory' });
  revisions: Revision[] = [];
  readonly listeners = new Set<LogListener>();
  /** What the next calls reject with. */
  trouble: Error | undefined;

  async read(): Promise<LogContent> {
    if (this.trouble) throw this.trouble;
    return { checkpoint: this.checkpoint, revisions: [...this.revisions] };
  }

  async append(revision: Revision): Promise<AppendOutcome> {
    if (this.trouble) throw this.trouble;
    const head = Number(this.checkpoint.revision) + this.revisions.length;
    if (Number(revision.number) !== head + 1) return { appended: false, head };
    this.revisions.push(revision);
    for (const listener of this.listeners) listener.revision(revision);
    return { appended: true };
  }

  watch(_after: number, listener: LogListener) {
    this.listeners.add(listener);
    return { close: () => void this.listeners.delete(listener) };
  }

  async history(before: number, limitCount: number): Promise<readonly Revision[]> {
    if (this.trouble) throw this.trouble;
    return this.revisions
      .filter(({ number }) => Number(number) < before)
      .reverse()
      .slice(0, limitCount);
  }

  async compact(checkpoint: Checkpoint): Promise<void> {
    this.revisions = this.revisions.filter(({ number }) => number > checkpoint.revision);
    this.checkpoint = checkpoint;
  }

  async replace(checkpoint: Checkpoint, instead: string): Promise<boolean> {
    if (this.checkpoint.storeId !== instead) return false;
    this.checkpoint = checkpoint;
    this.revisions = [];
    for (const listener of this.listeners) listener.lost('the store was begun anew');
    return true;
  }

  async close(): Promise<void> {
    this.listeners.clear();
  }
}
