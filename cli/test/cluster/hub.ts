/** The bus between the nodes of a test and their session store: every message passes through this process. */
import type { ChildProcess } from 'node:child_process';
import type { SessionRecord, SessionStore } from '@sluice/data-plane';

type FromNode =
  | { type: 'join'; ours: string[] }
  /** To another worker, on the pipe between the two. */
  | { type: 'post'; from: string; to: string; message: unknown }
  | { type: 'leave' }
  | { type: 'put'; id: string; record: SessionRecord }
  | { type: 'end'; id: string }
  | { type: 'claim'; call: number; id: string; from: string; to: string };

export class Hub {
  private readonly members = new Map<string, ChildProcess>();

  constructor(private readonly store: SessionStore) {}

  add(node: ChildProcess): void {
    node.on('message', (message: FromNode) => this.receive(node, message));
    node.on('exit', () => this.leave(node));
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
        this.leave(node);
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

  private leave(node: ChildProcess): void {
    const gone = [...this.members].filter(([, member]) => member === node).map(([address]) => address);
    for (const address of gone) this.members.delete(address);
    const others = new Set(this.members.values());
    for (const other of others) tell(other, { type: 'gone', addresses: gone });
  }
}

function tell(node: ChildProcess, message: object): void {
  // One that was killed may still be listed.
  if (node.connected) node.send(message, () => {});
}
