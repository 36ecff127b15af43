/** The bus between the nodes of a test and their session store: every message passes through this process. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { SessionRecord, SessionStore } from '@sluice/data-plane';

type FromNode =
  | { type: 'join'; ours: string[] }
  /** To another worker, on the pipe between the two. */
  | { type: 'post'; from: string; to: string; message: unknown }
  | { type: 'leave' }
  /** It knows that workers are gone; all of its own have had a turn. */
  | { type: 'parted'; id: number }
  | { type: 'put'; id: string; record: SessionRecord }
  | { type: 'end'; id: string }
  | { type: 'claim'; call: number; id: string; from: string; to: string };

export class Hub {
  readonly start = {};
  private readonly members = new Map<string, ChildProcess>();
  private readonly parting = new Map<number, () => void>();
  private count = 0;

  constructor(private readonly store: SessionStore) {}

  add(node: ChildProcess): void {
    node.on('message', (message: FromNode) => this.receive(node, message));
  }

  private receive(node: ChildProcess, message: FromNode): void {
    switch (message.type) {
      case 'join':
        this.join(node, message.ours);
        return;
      case 'post': {
        const { from, to } = message;
        const target = this.members.get(to);
        if (target !== undefined)
          tell(target, { type: 'posted', ours: to, other: from, message: message.message });
        return;
      }
      case 'leave':
        void this.leave(node);
        return;
      case 'parted':
        this.parting.get(message.id)?.();
        this.parting.delete(message.id);
        return;
      case 'put':
        this.store.put(message.id, message.record);
        return;
      case 'end':
        this.store.end(message.id);
        return;
      case 'claim': {
        const { call, id, from, to } = message;
        void this.store.claim(id, from, to).then((record) => tell(node, { type: 'claimed', call, record }));
      }
    }
  }

  private join(node: ChildProcess, ours: readonly string[]): void {
    for (const own of ours) {
      for (const [other, member] of this.members) {
        tell(node, { type: 'met', ours: own, other });
        tell(member, { type: 'met', ours: other, other: own });
      }
    }
    for (const own of ours) this.members.set(own, node);
  }

  /** Resolves when all the others know that a node is gone. */
  async leave(node: ChildProcess): Promise<void> {
    const addresses = [...this.members].filter(([, member]) => member === node).map(([address]) => address);
    for (const address of addresses) this.members.delete(address);
    if (addresses.length === 0) return;
    const others = [...new Set(this.members.values())];
    await Promise.all(others.map((other) => this.part(other, addresses)));
  }

  /** Resolves when what the workers of a node have put down is in the store. */
  written(node: ChildProcess): Promise<unknown> {
    return this.part(node, []);
  }

  private part(node: ChildProcess, addresses: readonly string[]): Promise<unknown> {
    const id = ++this.count;
    const parted = new Promise<void>((resolve) => this.parting.set(id, resolve));
    tell(node, { type: 'gone', id, addresses });
    return Promise.race([parted, once(node, 'exit')]);
  }
}

function tell(node: ChildProcess, message: object): void {
  // One that was killed may still be listed.
  if (node.connected) node.send(message, () => {});
}
