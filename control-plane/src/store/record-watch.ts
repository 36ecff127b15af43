import type { KeptRecord, RecordListener, RecordWatch } from './records.js';

/** What a bucket holds, and a mark that tells one moment of the store from another. */
export interface BucketContent {
  readonly at: string;
  readonly records: readonly KeptRecord[];
}

export interface BucketSource {
  /** How often it is looked at when no bell rings. */
  readonly lookIntervalMs: number;
  read(): Promise<BucketContent>;
  /** Has a bell rung when something changes after a moment; returns how to end it. Undefined where there are no bells. */
  readonly hangBell?: (at: string, ring: () => void, ended: () => void) => Promise<() => void>;
}

/** Tells what a bucket holds, whenever that is another than it was. */
export class BucketWatch implements RecordWatch {
  private timer: NodeJS.Timeout | undefined;
  /** What was told last: the keys and versions. */
  private told: string | undefined;
  private isReachable = true;
  private isLooking = false;
  private hasRung = false;
  private isClosed = false;
  private endBell: (() => void) | undefined;

  constructor(
    private readonly source: BucketSource,
    private readonly listener: RecordListener,
    private readonly closed: (watch: BucketWatch) => void,
  ) {
    this.ring();
  }

  close(): void {
    this.isClosed = true;
    clearTimeout(this.timer);
    this.silence();
    this.closed(this);
  }

  /** Looks soon. */
  readonly ring = (): void => {
    if (this.isLooking) this.hasRung = true;
    else void this.look();
  };

  private async look(): Promise<void> {
    this.isLooking = true;
    clearTimeout(this.timer);
    do {
      this.hasRung = false;
      await this.lookOnce();
    } while (this.hasRung && !this.isClosed);
    this.isLooking = false;
    if (this.isClosed) return;
    this.timer = setTimeout(this.ring, this.source.lookIntervalMs).unref();
  }

  private async lookOnce(): Promise<void> {
    try {
      const { at, records } = await this.source.read();
      if (this.isClosed) return;
      this.tellReachable(true);
      if (this.endBell === undefined) await this.hang(at);
      if (!this.isClosed) this.tell(records);
    } catch (error) {
      this.silence();
      this.told = undefined;
      if (!this.isClosed) this.tellReachable(false, (error as Error).message);
    }
  }

  private tell(records: readonly KeptRecord[]): void {
    const now = records.map(({ key, version }) => `${key} ${version}`).join('\n');
    if (now === this.told) return;
    this.told = now;
    this.listener.records(records);
  }

  private tellReachable(isReachable: boolean, reason?: string): void {
    if (isReachable === this.isReachable) return;
    this.isReachable = isReachable;
    this.listener.reachable?.(isReachable, reason);
  }

  private async hang(at: string): Promise<void> {
    let end: (() => void) | undefined;
    end = await this.source.hangBell?.(at, this.ring, () => {
      if (this.endBell === end) this.endBell = undefined;
    });
    this.endBell = end;
    if (this.isClosed) this.silence();
  }

  private silence(): void {
    this.endBell?.();
    this.endBell = undefined;
  }
}
