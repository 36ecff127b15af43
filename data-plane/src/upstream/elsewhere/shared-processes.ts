/**
 * A subprocess that all clients share runs once, however many workers and nodes share it: in one of the workers
 * (`owners.ts`), to which the others send their calls.
 */
import { scanMessage } from '../../protocol/scan.js';
import type { Pipe, WorkerAddress } from '../../sessions/node-bus.js';
import { PROCESS_PREFIX, type SessionStore } from '../../sessions/store.js';
import type { ListKind } from '../offers.js';
import type { Shared } from '../shared-connection.js';
import { updatedUri } from '../subscriptions.js';
import { BorrowedProcesses, type BorrowerHost, type Lost } from './borrowed-processes.js';
import { type LenderHost, LentProcesses } from './lent-processes.js';
import type { UpstreamMessage } from './messages.js';
import { ProcessOwners, type SharedProcess, unknownOwner } from './owners.js';

/** Workers are introduced to each other one after the other: how long one waits for another to be met. */
const MEET_TIMEOUT_MS = 3_000;
const MEET_CHECK_MS = 25;
/** Workers that are remembered to be gone, so that nobody waits to meet them. */
const MAX_GONE_COUNT = 1_000;
/** A process may move while it is connected to. */
const MAX_CONNECT_COUNT = 3;

/** What this worker does for the others, and hears of them. */
export interface ProcessHost extends BorrowerHost, LenderHost {
  offerChanged(upstreamId: string, principal: string, kind: ListKind | undefined): void;
  /** Ends the process of an upstream that runs here. */
  letGo(upstreamId: string, reason: string): void;
}

export interface SharedProcessesOptions {
  readonly self: WorkerAddress;
  readonly node: string;
  /** Workers of this node. */
  readonly count: number;
  /** That of the cluster; undefined when this node is alone. */
  readonly store: SessionStore | undefined;
  readonly host: () => ProcessHost;
}

/** Another worker. */
interface Peer {
  readonly pipe: Pipe<UpstreamMessage>;
  readonly borrowed: BorrowedProcesses;
  readonly lent: LentProcesses;
}

export class SharedProcesses {
  private readonly peers = new Map<WorkerAddress, Peer>();
  private readonly gone = new Set<WorkerAddress>();
  private readonly owners: ProcessOwners;

  constructor(private readonly options: SharedProcessesOptions) {
    this.owners = new ProcessOwners({ ...options, reaches: (worker) => this.meets(worker) });
    options.store?.onMoved((id, owner) => {
      if (id.startsWith(PROCESS_PREFIX) && owner !== options.self)
        this.moved(id.slice(PROCESS_PREFIX.length));
    });
  }

  addPeer(address: WorkerAddress, pipe: Pipe<UpstreamMessage>): void {
    const host = this.options.host();
    const borrowed = new BorrowedProcesses(host, (message) => pipe.post(message));
    const lent = new LentProcesses(
      host,
      async (upstream) => (await this.owners.find(upstream)) === this.options.self,
      (message) => pipe.post(message),
    );
    const peer: Peer = { pipe, borrowed, lent };
    this.peers.set(address, peer);
    this.gone.delete(address);
    pipe.onMessage((message) => {
      switch (message.type) {
        case 'connect':
        case 'call':
        case 'cancel':
        case 'listen':
          lent.receive(message);
          return;
        case 'offerChanged':
          host.offerChanged(message.upstreamId, message.principal, message.kind);
          return;
        default:
          borrowed.receive(message);
      }
    });
    pipe.onClose(() => {
      // It may have been met again by then.
      if (this.peers.get(address) === peer) {
        this.peers.delete(address);
        if (this.gone.size >= MAX_GONE_COUNT) this.gone.clear();
        this.gone.add(address);
      }
      lent.lost();
      borrowed.lost();
    });
  }

  /** Calls of other workers that are under way here. */
  get lentCallCount(): number {
    let sum = 0;
    for (const { lent } of this.peers.values()) sum += lent.callCount;
    return sum;
  }

  /** Connects to the worker that has the process; resolves with undefined when it is this one. */
  async connect(process: SharedProcess, lost: Lost): Promise<Shared | undefined> {
    for (let count = 0; count < MAX_CONNECT_COUNT; count++) {
      const owner = await this.owners.find(process);
      if (owner === this.options.self) return undefined;
      if (!(await this.meets(owner))) continue;
      const peer = this.peers.get(owner) as Peer;
      try {
        return await peer.borrowed.connect(process.id, lost);
      } catch (thrown) {
        // One that is gone has left the process to somebody else.
        if (this.peers.get(owner) === peer) throw thrown;
      }
    }
    throw unknownOwner(process);
  }

  /** Tells the other workers what a process of this one said outside of calls. */
  heard(process: SharedProcess, message: Buffer): void {
    if (!this.owners.isHere(process)) return;
    const updated = updatedUri({ bytes: message, envelope: scanMessage(message) });
    for (const [worker, { lent }] of this.peers)
      if (this.owners.isSharedWith(process, worker)) lent.heard(process.id, message, updated);
  }

  /** Tells the other workers that a process of this one is to be asked anew. */
  stale(process: SharedProcess, reason: string): void {
    if (!this.owners.isHere(process)) return;
    for (const [worker, { lent }] of this.peers)
      if (this.owners.isSharedWith(process, worker)) lent.stale(process.id, reason);
  }

  /**
   * Tells the other workers of a change that sessions of a principal heard here; without a kind: of any list. Sessions
   * in which a client may be asked are in one worker, and what the same client listens to may be in another.
   */
  offerChanged(upstreamId: string, principal: string, kind: ListKind | undefined): void {
    for (const { pipe } of this.peers.values())
      pipe.post({ type: 'offerChanged', upstreamId, principal, kind });
  }

  /** While this node was cut off, another one took the process over. */
  private moved(upstreamId: string): void {
    if (!this.owners.lose(upstreamId)) return;
    const reason = 'the process runs at another node now';
    for (const { lent } of this.peers.values()) lent.stale(upstreamId, reason);
    this.options.host().letGo(upstreamId, reason);
  }

  private async meets(worker: WorkerAddress): Promise<boolean> {
    const deadline = Date.now() + MEET_TIMEOUT_MS;
    while (!this.peers.has(worker)) {
      if (this.gone.has(worker) || Date.now() >= deadline) return false;
      await new Promise((resolve) => setTimeout(resolve, MEET_CHECK_MS));
    }
    return true;
  }
}
