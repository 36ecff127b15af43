/** Which worker a request belongs to, and how it gets there. */
import type { Reply, RequestHead } from '../listener/listener.js';
import type { Forwarder } from './forwarding.js';
import { type WorkerAddress, workerAddress } from './node-bus.js';
import type { SessionTokens } from './tokens.js';

/** Workers may think of each other that the other one has a session; whoever gets it so often asks the store. */
const MAX_HOP_COUNT = 4;

export class Neighbours {
  constructor(
    private readonly forwarder: Forwarder,
    private readonly tokens: SessionTokens,
    private readonly self: WorkerAddress,
    private readonly node: string,
    /** Workers of this node. */
    private readonly count: number,
  ) {}

  /** The endpoint of a stream that a token stands for; undefined for a token that was not made here. */
  pathOf(token: string | undefined): string | undefined {
    return token === undefined ? undefined : this.tokens.open(token)?.path;
  }

  /** Sessions live where they began; a request that landed elsewhere is handed over as it is. False: it is ours. */
  takeSession(token: string | undefined, head: RequestHead, body: Buffer, reply: Reply): boolean {
    if (token === undefined || this.forwarder.peerCount === 0) return false;
    if (head.hopCount !== undefined && head.hopCount >= MAX_HOP_COUNT) return false;
    const owner = this.tokens.owner(token);
    if (owner === undefined || owner === this.self) return false;
    if (this.forwarder.reaches(owner) && this.forwarder.forward(owner, head, body, reply)) return true;
    // Whoever had it is gone, or about to go. One worker of this node goes on with it, always the same, so that no two do.
    const keeper = workerAddress(this.node, keeperIndex(token, this.count));
    return keeper !== this.self && this.forwarder.forward(keeper, head, body, reply);
  }

  /** The same for what ends with its worker, so that nobody else goes on with it. */
  takeStream(token: string | undefined, head: RequestHead, body: Buffer, reply: Reply): boolean {
    const owner = token === undefined ? undefined : this.tokens.owner(token);
    return owner !== undefined && owner !== this.self && this.forwarder.forward(owner, head, body, reply);
  }
}

/** The end of a token is random. */
function keeperIndex(token: string, count: number): number {
  return Buffer.from(token.slice(-4), 'latin1').readUInt32BE(0) % count;
}
