/** Announces over NATS what becomes of each view, and hears there what nodes report. */
import { ConnectRequestSchema, fromBinary } from '@sluice/proto/cluster';
import type { Logger } from 'pino';
import type { Fleet } from '../fleet/fleet.js';
import type { Delivery } from './service.js';
import { announcementSubject, reportSubject } from './subjects.js';
import type { Views } from './views.js';

/** The part of NATS that is needed. */
export interface AnnouncerBus {
  readonly isUp: boolean;
  onChange(listener: (isUp: boolean) => void): void;
  subscribe(subject: string, heard: (bytes: Uint8Array) => void): void;
  publish(subject: string, bytes: Uint8Array): void;
}

export interface AnnouncerOptions {
  readonly bus: AnnouncerBus;
  readonly cluster: string;
  readonly views: Views;
  readonly fleet: Fleet;
  readonly delivery: Pick<Delivery, 'announceAll'>;
  readonly log: Logger;
}

/** Every replica announces every revision: whichever of them dies, nodes hear of it. Returns how to end it. */
export function announceOver({ bus, cluster, views, fleet, delivery, log }: AnnouncerOptions): () => void {
  const endFollowing = views.onChange((view) =>
    bus.publish(announcementSubject(cluster, view.id), view.announcement),
  );
  bus.onChange((isUp) => {
    // What was published while the connection broke may have reached nobody.
    if (isUp)
      for (const view of views.all())
        bus.publish(announcementSubject(cluster, view.id), view.bareAnnouncement);
    delivery.announceAll();
  });
  bus.subscribe(reportSubject(cluster), (bytes) => {
    try {
      hear(fleet, bytes);
    } catch (error) {
      log.debug({ err: error }, 'something that is no report came where nodes report');
    }
  });
  return endFollowing;
}

/** Who a node is, it proves on its stream; here it says how it is, and what became of a revision. */
function hear(fleet: Fleet, bytes: Uint8Array): void {
  const { content } = fromBinary(ConnectRequestSchema, bytes);
  if (content.case === 'health') fleet.reported(content.value);
  else if (content.case === 'acknowledgement') fleet.acknowledged(content.value);
}
