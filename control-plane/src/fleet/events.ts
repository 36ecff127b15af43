/** What happened to nodes, as far back as there is room. */
import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { type NodeEvent, type NodeEventKind, NodeEventSchema } from '@sluice/proto/cluster';

const KEPT_EVENTS_COUNT = 4096;

export class NodeEvents {
  private readonly ring: NodeEvent[] = [];
  private next = 0;

  constructor(private readonly nowMs: () => number) {}

  add(node: string, kind: NodeEventKind, { detail = '', revision = 0n } = {}): void {
    this.ring[this.next] = create(NodeEventSchema, {
      time: timestampFromMs(this.nowMs()),
      node,
      kind,
      detail,
      revision,
    });
    this.next = (this.next + 1) % KEPT_EVENTS_COUNT;
  }

  /** Newest first; of one node, when it is named. */
  newest(limitCount: number, node?: string): NodeEvent[] {
    const found: NodeEvent[] = [];
    for (let back = 1; back <= this.ring.length && found.length < limitCount; back++) {
      const event = this.ring[(this.next - back + KEPT_EVENTS_COUNT) % KEPT_EVENTS_COUNT];
      if (event !== undefined && (node === undefined || event.node === node)) found.push(event);
    }
    return found;
  }
}
