import type { Revision } from '@sluice/proto/cluster';
import type { EtcdClient } from './etcd-client.js';
import type { LogListener, LogWatch } from './revision-log.js';

/** How often the store is looked at when nothing is heard of it: it may be frozen, wiped or put back. */
const LOOK_INTERVAL_MS = 1_000;

/** What is new after a revision. */
export interface News {
  /** The revision of etcd that this is of. */
  readonly at: string;
  readonly head: string;
  readonly revisions: readonly Revision[];
}

/**
 * Tells of what was added to a store in etcd. The stream of etcd is only the bell: what is told was read, in order,
 * after the last that was told. So nothing is missed or told twice when the stream breaks.
 */
export class EtcdWatch implements LogWatch {
  private timer: NodeJS.Timeout | undefined;
  private head: string | undefined;
  private isReachable = true;
  private isLooking = false;
  private hasRung = false;
  private isClosed = false;
  private endBell: (() => void) | undefined;

  /**
   * @param last the newest revision that the listener knows
   * @param read what is after a revision, or why that is not known; told the head that was read before
   */
  constructor(
    private last: number,
    private readonly listener: LogListener,
    private readonly client: EtcdClient,
    private readonly read: (last: number, head: string | undefined) => Promise<News | string>,
    private readonly closed: () => void,
  ) {
    void this.look();
  }

  close(): void {
    this.isClosed = true;
    clearTimeout(this.timer);
    this.silence();
    this.closed();
  }

  private readonly ring = (): void => {
    if (this.isLooking) this.hasRung = true;
    else void this.look();
  };

  private async look(): Promise<void> {
    this.isLooking = true;
    clearTimeout(this.timer);
    do {
      this.hasRung = false;
      this.tell(await this.attempt());
    } while (this.hasRung && !this.isClosed);
    this.isLooking = false;
    if (this.isClosed) return;
    this.timer = setTimeout(() => void this.look(), LOOK_INTERVAL_MS);
    this.timer.unref();
  }

  /** Reads, and sees to the bell; an error when that cannot be done. */
  private async attempt(): Promise<News | string | Error> {
    if (this.isClosed) return new Error('closed');
    try {
      const news = await this.read(this.last, this.head);
      if (typeof news !== 'string' && this.endBell === undefined) await this.hangBell(news.at);
      return news;
    } catch (error) {
      this.silence();
      return error as Error;
    }
  }

  private async hangBell(after: string): Promise<void> {
    const forget = () => {
      if (this.endBell === end) this.endBell = undefined;
    };
    let end: (() => void) | undefined;
    end = await this.client.watch({ from: 'head' }, after, this.ring, forget);
    this.endBell = end;
    if (this.isClosed) this.silence();
  }

  private silence(): void {
    this.endBell?.();
    this.endBell = undefined;
  }

  private tell(news: News | string | Error): void {
    if (this.isClosed) return;
    const isReachable = !(news instanceof Error);
    if (isReachable !== this.isReachable) {
      this.isReachable = isReachable;
      if (isReachable) this.listener.reachable(true);
      else this.listener.reachable(false, news.message);
    }
    if (news instanceof Error) return;
    if (typeof news === 'string') {
      this.close();
      this.listener.lost(news);
      return;
    }
    this.head = news.head;
    for (const revision of news.revisions) {
      if (this.isClosed) return;
      this.last = Number(revision.number);
      this.listener.revision(revision);
    }
  }
}
