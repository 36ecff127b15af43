/** What happened to nodes, as far back as there is room. */
import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { type NodeEvent, type NodeEventKind, NodeEventSchema, type Rejection } from '@sluice/proto/cluster';
import type { MayTell } from './fleet-view.js';
import { UNTOLD } from './known-node.js';

/** What happened, and what a node had against a revision when it was that. */
interface Happened {
  readonly event: NodeEvent;
  readonly rejection: Rejection | undefined;
}

const KEPT_EVENTS_COUNT = 4096;

export class NodeEvents {
  private readonly ring: Happened[] = [];
  private next = 0;

  constructor(private readonly nowMs: () => number) {}

  add(
    node: string,
    kind: NodeEventKind,
    { detail = '', revision = 0n }: { detail?: string; revision?: bigint } = {},
    rejection?: Rejection,
  ): void {
    const event = create(NodeEventSchema, {
      time: timestampFromMs(this.nowMs()),
      node,
      kind,
      detail,
      revision,
    });
    this.ring[this.next] = { event, rejection };
    this.next = (this.next + 1) % KEPT_EVENTS_COUNT;
  }

  /** Newest first; of one node, when it is named. */
  newest(limitCount: number, node?: string, mayTell?: MayTell): NodeEvent[] {
    const found: NodeEvent[] = [];
    for (let back = 1; back <= this.ring.length && found.length < limitCount; back++) {
      const happened = this.ring[(this.next - back + KEPT_EVENTS_COUNT) % KEPT_EVENTS_COUNT];
      if (happened === undefined || (node !== undefined && happened.event.node !== node)) continue;
      const { event, rejection } = happened;
      const isTold = rejection === undefined || mayTell === undefined || mayTell(rejection.resource);
      found.push(isTold ? event : { ...event, detail: UNTOLD });
    }
    return found;
  }
}
