/**
 * A node of several workers in a cluster: the main thread has the bus and the session store, and each worker thread
 * reaches them through it. To the other nodes every worker has an address of its own.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { Met, WorkerAddress } from '../sessions/node-bus.js';
import type { Moved, SessionRecord, SessionStore } from '../sessions/store.js';
import type { ClaimOutcome, ToSessionStore } from './messages.js';
import { portPipe, splicePipes } from './port-pipe.js';

/** What the main thread does when the bus has met a worker of another node: the thread gets an end of the pipe. */
export function metForThreads(
  introduce: (ours: WorkerAddress, other: WorkerAddress, port: MessagePort) => void,
): Met {
  return (ours, other, pipe) => {
    const { port1, port2 } = new MessageChannel();
    splicePipes(pipe, portPipe(port1));
    introduce(ours, other, port2);
  };
}

/** Does in the main thread what a thread wants of the store. */
export async function serveStore(
  store: SessionStore,
  wanted: ToSessionStore,
  claimed: (id: number, outcome: ClaimOutcome) => void,
): Promise<void> {
  switch (wanted.type) {
    case 'putSession':
      store.put(wanted.session, wanted.record);
      return;
    case 'endSession':
      store.end(wanted.session);
      return;
    case 'claimSession': {
      const { id, session, from, to } = wanted;
      try {
        claimed(id, { record: await store.claim(session, from, to) });
      } catch (thrown) {
        claimed(id, { error: thrown instanceof Error ? thrown.message : String(thrown) });
      }
    }
  }
}

/** The store as a worker thread sees it. */
export class StoreOfMainThread implements SessionStore {
  private readonly claims = new Map<number, (outcome: ClaimOutcome) => void>();
  private readonly movedListeners: Moved[] = [];
  private count = 0;

  constructor(private readonly tell: (wanted: ToSessionStore) => void) {}

  put(session: string, record: SessionRecord): void {
    this.tell({ type: 'putSession', session, record });
  }

  end(session: string): void {
    this.tell({ type: 'endSession', session });
  }

  claim(session: string, from: WorkerAddress, to: WorkerAddress): Promise<SessionRecord | undefined> {
    return new Promise((resolve, reject) => {
      const id = ++this.count;
      this.claims.set(id, (outcome) => {
        if ('error' in outcome) reject(new Error(outcome.error));
        else resolve(outcome.record);
      });
      this.tell({ type: 'claimSession', id, session, from, to });
    });
  }

  onMoved(listener: Moved): void {
    this.movedListeners.push(listener);
  }

  /** The main thread has heard so. */
  moved(session: string, owner: WorkerAddress | undefined): void {
    for (const listener of this.movedListeners) listener(session, owner);
  }

  /** The main thread has answered. */
  claimed(id: number, outcome: ClaimOutcome): void {
    this.claims.get(id)?.(outcome);
    this.claims.delete(id);
  }
}
