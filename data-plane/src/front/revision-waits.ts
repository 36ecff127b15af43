/**
 * Requests that must not be answered from an older configuration than their sender knows of: whoever has just committed
 * revision N sends `Sluice-Min-Revision: N`, and is answered by a node that runs at least N.
 */
import type { MaybePromise } from '@sluice/sdk';
import type { Reply } from '../listener/listener.js';
import { ErrorCode, errorMessage, RpcError } from '../protocol/errors.js';
import { binaryToBytes } from '../protocol/text.js';
import { JSON_HEADERS, refuse } from './http-answers.js';

export const MIN_REVISION_HEADER = 'sluice-min-revision';

/** How long a request waits for its revision; milliseconds. A change takes far less to get everywhere. */
const WAIT_MS = 2_000;
/** Requests that may wait at the same time. */
const MAX_WAITING_COUNT = 1_000;
const RETRY_AFTER_SECONDS = '1';
const REVISION = /^(?:0|[1-9]\d{0,14})$/;

interface Waiting {
  readonly revision: number;
  settle(isReached: boolean): void;
}

export class RevisionWaits {
  private readonly waiting = new Set<Waiting>();

  constructor(
    /** What runs now. */
    private readonly current: () => number | undefined,
    private readonly onRefused: (status: number) => void,
  ) {}

  /** Whether a request may go on; when it may not it has been answered. */
  admit(wanted: string, reply: Reply): MaybePromise<boolean> {
    if (!REVISION.test(wanted)) {
      this.onRefused(400);
      const reason = 'the header Sluice-Min-Revision must be the number of a revision, as in 42';
      refuse(reply, 400, ErrorCode.InvalidRequest, reason);
      return false;
    }
    const revision = Number(wanted);
    if (this.isReached(revision)) return true;
    return this.wait(revision, reply).then((isReached) => {
      if (!isReached) this.refuseLate(revision, reply);
      return isReached;
    });
  }

  /** Something else runs now. */
  changed(): void {
    for (const each of this.waiting) if (this.isReached(each.revision)) each.settle(true);
  }

  private isReached(revision: number): boolean {
    return (this.current() ?? 0) >= revision;
  }

  private wait(revision: number, reply: Reply): Promise<boolean> {
    if (this.waiting.size >= MAX_WAITING_COUNT) return Promise.resolve(false);
    return new Promise((resolve) => {
      const timer = setTimeout(() => waiting.settle(false), WAIT_MS);
      const waiting: Waiting = {
        revision,
        settle: (isReached) => {
          clearTimeout(timer);
          this.waiting.delete(waiting);
          resolve(isReached);
        },
      };
      this.waiting.add(waiting);
      reply.onAborted(() => waiting.settle(false));
    });
  }

  private refuseLate(revision: number, reply: Reply): void {
    if (!reply.open) return;
    this.onRefused(503);
    const reason = `this node does not run revision ${revision} yet; send the request again`;
    const body = binaryToBytes(errorMessage(undefined, new RpcError(ErrorCode.Overloaded, reason)));
    reply.send(503, [...JSON_HEADERS, ['retry-after', RETRY_AFTER_SECONDS]], body);
  }
}
