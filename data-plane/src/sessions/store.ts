/**
 * The port to what is known of legacy sessions beside their tokens: which worker has each, and what it holds at
 * upstreams. Without it a session that lost its worker goes on all the same; what it held is then made anew. A process
 * that all nodes of a cluster share is claimed in it too, in the way of a session that holds nothing.
 */
import type { WorkerAddress } from './node-bus.js';

/** What a session holds at one upstream. */
export interface HeldAtUpstream {
  /** The upstream's own session, where it gave one a name. */
  readonly session?:
    | {
        readonly id: string;
        readonly revision: string;
        readonly capabilities: Readonly<Record<string, unknown>>;
      }
    | undefined;
  /** The level that the client asked for, as JSON text. */
  readonly logLevel?: string | undefined;
  /** Resources that it watches, as JSON texts in the upstream's own names. */
  readonly subscribed?: readonly string[] | undefined;
}

export interface SessionRecord {
  readonly owner: WorkerAddress;
  /** By the id of the upstream. */
  readonly held: Readonly<Record<string, HeldAtUpstream>>;
}

export interface SessionStore {
  /** Writes down a session of the worker that calls. Does nothing when another one has it, or it has ended. */
  put(id: string, record: SessionRecord): void;
  /**
   * Gives a session to `to`, unless somebody other than `from` has it. Resolves with how it stands afterwards, and
   * with undefined when the session was ended. Of several that claim at once, one gets it.
   */
  claim(id: string, from: WorkerAddress, to: WorkerAddress): Promise<SessionRecord | undefined>;
  /** The session has ended for good; its token means nothing any more. */
  end(id: string): void;
  /**
   * Told of sessions that somebody has put or claimed here, when they are another worker's now, or have ended at one
   * (undefined). Whoever has such a session lets go of it without ending it.
   */
  onMoved(listener: Moved): void;
}

export type Moved = (id: string, owner: WorkerAddress | undefined) => void;

/** Processes that nodes share stand beside sessions, whose ids have no colon. */
export const PROCESS_PREFIX = 'process:';

/** Sessions that are remembered after their end, so that their tokens stay worthless. */
const MAX_ENDED_COUNT = 10_000;

/** The ends of sessions, for whoever outlives the process and tells the next one of them. */
export interface SessionEnds {
  /** Sessions that ended before, from the oldest to the newest. */
  readonly before: readonly string[];
  /** Called for each that ends. */
  readonly onEnd: (id: string) => void;
}

/** A store of one process. */
export class MemorySessionStore implements SessionStore {
  private readonly records = new Map<string, SessionRecord>();
  private readonly ended: Set<string>;
  private readonly movedListeners: Moved[] = [];

  constructor(private readonly ends?: SessionEnds | undefined) {
    this.ended = new Set(ends?.before);
  }

  put(id: string, record: SessionRecord): void {
    if (this.ended.has(id)) return;
    const before = this.records.get(id);
    if (before === undefined || before.owner === record.owner) this.records.set(id, record);
  }

  async claim(id: string, from: WorkerAddress, to: WorkerAddress): Promise<SessionRecord | undefined> {
    if (this.ended.has(id)) return undefined;
    const record = this.records.get(id);
    if (record !== undefined && record.owner !== from) return record;
    const claimed: SessionRecord = { owner: to, held: record?.held ?? {} };
    this.records.set(id, claimed);
    if (record !== undefined && record.owner !== to)
      for (const listener of this.movedListeners) listener(id, to);
    return claimed;
  }

  onMoved(listener: Moved): void {
    this.movedListeners.push(listener);
  }

  end(id: string): void {
    this.records.delete(id);
    this.ended.add(id);
    this.ends?.onEnd(id);
    if (this.ended.size <= MAX_ENDED_COUNT) return;
    for (const oldest of this.ended) {
      this.ended.delete(oldest);
      return;
    }
  }
}
