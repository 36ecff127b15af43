/** A bus between nodes that are all in one process: what several nodes do can be tried without any server. */
import type { BusMessage, Met, NodeBus, Pipe, WorkerAddress } from './node-bus.js';

/** What connects the nodes. */
export class MemoryBusHub {
  private readonly members = new Set<Member>();

  bus(): NodeBus {
    return new Member(this.members);
  }
}

class Member implements NodeBus {
  private ours: readonly WorkerAddress[] = [];
  private met: Met = () => {};
  private pipes: MemoryPipe[] = [];

  constructor(private readonly members: Set<Member>) {}

  join(ours: readonly WorkerAddress[], met: Met): void {
    this.ours = ours;
    this.met = met;
    for (const other of this.members) {
      for (const own of ours) {
        for (const theirs of other.ours) {
          const [here, there] = [new MemoryPipe(), new MemoryPipe()];
          here.other = there;
          there.other = here;
          this.pipes.push(here);
          other.pipes.push(there);
          met(own, theirs, here);
          other.met(theirs, own, there);
        }
      }
    }
    this.members.add(this);
  }

  leave(): void {
    this.members.delete(this);
    for (const pipe of this.pipes) pipe.close();
    this.pipes = [];
  }
}

class MemoryPipe implements Pipe {
  other!: MemoryPipe;
  private isOpen = true;
  private listener: (message: BusMessage) => void = () => {};
  private readonly closeListeners: (() => void)[] = [];

  post(message: BusMessage): void {
    if (!this.isOpen) return;
    const sent = structuredClone(message);
    const { other } = this;
    setImmediate(() => {
      if (other.isOpen) other.listener(sent);
    });
  }

  onMessage(listener: (message: BusMessage) => void): void {
    this.listener = listener;
  }

  onClose(listener: () => void): void {
    this.closeListeners.push(listener);
  }

  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    for (const listener of this.closeListeners) listener();
    // After what was said before.
    setImmediate(() => this.other.close());
  }
}
