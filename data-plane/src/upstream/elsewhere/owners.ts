/**
 * Which worker has the process of an upstream. One of each node where nodes have their own: the same in all workers and
 * after every restart. One of all nodes where `sharing: cluster` says so: the first that needs it, and another one only
 * when that is gone, so that a node that joins moves no process.
 */
import { createHash } from 'node:crypto';
import { ErrorCode, RpcError } from '../../protocol/errors.js';
import { isOfNode, type WorkerAddress, workerAddress } from '../../sessions/node-bus.js';
import { PROCESS_PREFIX, type SessionStore } from '../../sessions/store.js';
import type { TransportTraits } from '../transport-traits.js';

/** A process may move again while it is looked for; who looks so often finds a cluster that falls apart. */
const MAX_CLAIM_COUNT = 4;

/** What has to be known of an upstream to find its process. */
export interface SharedProcess {
  readonly id: string;
  readonly name: string;
  readonly traits: TransportTraits;
}

export interface OwnersOptions {
  readonly self: WorkerAddress;
  readonly node: string;
  /** Workers of this node. */
  readonly count: number;
  /** That of the cluster; undefined when this node is alone. */
  readonly store: SessionStore | undefined;
  /** Resolves with whether a worker can be reached, when that has become clear. */
  readonly reaches: (worker: WorkerAddress) => Promise<boolean>;
}

export class ProcessOwners {
  /** Of processes that the cluster shares, as they were found last. */
  private readonly claimed = new Map<string, WorkerAddress>();

  constructor(private readonly options: OwnersOptions) {}

  /** Another node has it, which could not reach this one. False when it was not here. */
  lose(id: string): boolean {
    const wasHere = this.claimed.get(id) === this.options.self;
    this.claimed.delete(id);
    return wasHere;
  }

  /** True when the process is known to be here. */
  isHere(process: SharedProcess): boolean {
    const owner = this.isClaimed(process) ? this.claimed.get(process.id) : this.inNode(process);
    return owner === this.options.self;
  }

  /** Whether another worker would use the process of this one. */
  isSharedWith(process: SharedProcess, worker: WorkerAddress): boolean {
    return this.isClaimed(process) || isOfNode(worker, this.options.node);
  }

  /** Finds the worker that has the process; this one, when nobody had it. Rejects with an RpcError. */
  async find(process: SharedProcess): Promise<WorkerAddress> {
    const { store, self, reaches } = this.options;
    if (store === undefined || !this.isClaimed(process)) return this.inNode(process);
    let from = self;
    for (let count = 0; count < MAX_CLAIM_COUNT; count++) {
      const owner = await claim(store, process, from, self);
      this.claimed.set(process.id, owner);
      if (owner === self || (await reaches(owner))) return owner;
      from = owner;
    }
    throw unknownOwner(process);
  }

  private isClaimed({ traits }: SharedProcess): boolean {
    return traits.sharedAcrossNodes && this.options.store !== undefined;
  }

  private inNode({ id }: SharedProcess): WorkerAddress {
    const { node, count } = this.options;
    return workerAddress(node, createHash('sha256').update(id).digest().readUInt32BE(0) % count);
  }
}

async function claim(
  store: SessionStore,
  process: SharedProcess,
  from: WorkerAddress,
  to: WorkerAddress,
): Promise<WorkerAddress> {
  try {
    const record = await store.claim(PROCESS_PREFIX + process.id, from, to);
    if (record !== undefined) return record.owner;
  } catch (thrown) {
    throw unknownOwner(process, thrown);
  }
  throw unknownOwner(process);
}

export function unknownOwner({ name }: SharedProcess, cause?: unknown): RpcError {
  return new RpcError(
    ErrorCode.UpstreamUnavailable,
    `which node has the process of upstream ${JSON.stringify(name)} could not be found out; the request was not sent`,
    undefined,
    { cause },
  );
}
