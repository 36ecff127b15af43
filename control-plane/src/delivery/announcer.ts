/** Announces over NATS what becomes of each view, and hears there what nodes report. */
import { ConnectRequestSchema, fromBinary } from '@sluice/proto/cluster';
import type { Logger } from 'pino';
import type { Fleet } from '../fleet/fleet.js';
import type { AnnouncementSigner } from './announcement-signer.js';
import type { DeliveredView } from './delivered-view.js';
import type { Delivery } from './service.js';
import { allReports, announcementSubject, reportingNode } from './subjects.js';
import type { Views } from './views.js';

/** The part of NATS that is needed. */
export interface AnnouncerBus {
  readonly isUp: boolean;
  onChange(listener: (isUp: boolean) => void): void;
  /** @param subject ends with `>` for everything below it; the listener is told the one that was published on */
  subscribe(subject: string, heard: (bytes: Uint8Array, subject: string) => void): void;
  publish(subject: string, bytes: Uint8Array): void;
}

export interface AnnouncerOptions {
  readonly bus: AnnouncerBus;
  readonly cluster: string;
  readonly signer: AnnouncementSigner;
  readonly views: Views;
  readonly fleet: Fleet;
  readonly delivery: Pick<Delivery, 'announceAll'>;
  readonly log: Logger;
}

/** Every replica announces every revision: whichever of them dies, nodes hear of it. Returns how to end it. */
export function announceOver({
  bus,
  cluster,
  signer,
  views,
  fleet,
  delivery,
  log,
}: AnnouncerOptions): () => void {
  const announce = ({ id }: DeliveredView, announcement: Uint8Array) => {
    if (!bus.isUp) return;
    const subject = announcementSubject(cluster, id);
    bus.publish(subject, signer.signed(subject, announcement));
  };
  const endFollowing = views.onChange((view) => announce(view, view.announcement));
  bus.onChange((isUp) => {
    // What was published while the connection broke may have reached nobody.
    if (isUp) for (const view of views.all()) announce(view, view.bareAnnouncement);
    delivery.announceAll();
  });
  bus.subscribe(allReports(cluster), (bytes, subject) => {
    try {
      hear(fleet, reportingNode(cluster, subject), bytes);
    } catch (error) {
      log.debug({ err: error }, 'something that is no report came where nodes report');
    }
  });
  return endFollowing;
}

/** Who a node is, it proves on its stream; here it says how it is, and what became of a revision. */
function hear(fleet: Fleet, node: string, bytes: Uint8Array): void {
  const { content } = fromBinary(ConnectRequestSchema, bytes);
  // Whoever may publish here may do so for this node alone.
  if (content.value?.node !== node) return;
  if (content.case === 'health') fleet.reported(content.value);
  else if (content.case === 'acknowledgement') fleet.acknowledged(content.value);
}
