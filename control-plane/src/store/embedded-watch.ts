import type { Revision } from '@sluice/proto/cluster';
import type { LogListener, LogWatch } from './revision-log.js';

/** How often a file is looked at for what other processes wrote to it. */
const LOOK_INTERVAL_MS = 500;

/** Tells of what was added to an embedded store, by this process or another. */
export class EmbeddedWatch implements LogWatch {
  private readonly timer: NodeJS.Timeout | undefined;
  private version: number | undefined;
  private isReachable = true;
  private isLooking = false;
  private isClosed = false;

  /**
   * @param last the newest revision that the listener knows
   * @param since revisions after one, or why they are not known
   * @param dataVersion is another number when others have written; undefined when there are no others
   */
  constructor(
    private last: number,
    private readonly listener: LogListener,
    private readonly since: (last: number) => readonly Revision[] | string,
    private readonly dataVersion: (() => number) | undefined,
    private readonly closed: () => void,
  ) {
    if (dataVersion !== undefined) {
      this.timer = setInterval(() => this.lookAtFile(), LOOK_INTERVAL_MS);
      this.timer.unref();
    }
    this.look();
  }

  /** Looks soon, outside the call that wrote. */
  look(): void {
    if (this.isLooking) return;
    this.isLooking = true;
    queueMicrotask(() => {
      this.isLooking = false;
      this.tell();
    });
  }

  close(): void {
    this.isClosed = true;
    clearInterval(this.timer);
    this.closed();
  }

  private lookAtFile(): void {
    const version = this.attempt(() => this.dataVersion?.());
    if (version === undefined || version === this.version) return;
    this.version = version;
    this.tell();
  }

  private tell(): void {
    const found = this.attempt(() => this.since(this.last));
    if (typeof found === 'string') {
      this.close();
      this.listener.lost(found);
      return;
    }
    for (const revision of found ?? []) {
      if (this.isClosed) return;
      this.last = Number(revision.number);
      this.listener.revision(revision);
    }
  }

  /** What it reads; undefined when it cannot, which is told once. */
  private attempt<T>(read: () => T): T | undefined {
    if (this.isClosed) return undefined;
    try {
      const result = read();
      if (!this.isReachable) this.listener.reachable(true);
      this.isReachable = true;
      return result;
    } catch (error) {
      this.version = undefined;
      if (this.isReachable) this.listener.reachable(false, (error as Error).message);
      this.isReachable = false;
      return undefined;
    }
  }
}
