/** What goes to nodes over their standing streams, encoded. */
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { ConnectResponseSchema } from '@sluice/proto/cluster';
import type { DeliveredView } from './delivered-view.js';

type Content = NonNullable<MessageInitShape<typeof ConnectResponseSchema>['content']>;

const ANNOUNCEMENT_FIELD = ConnectResponseSchema.field.announcement.number;

export function encodeResponse(content: Content): Buffer {
  return Buffer.from(toBinary(ConnectResponseSchema, create(ConnectResponseSchema, { content })));
}

/** @param announcement encoded already, because it goes to NATS as well */
export function encodeAnnouncement(announcement: Uint8Array): Buffer {
  return Buffer.from(
    new BinaryWriter().tag(ANNOUNCEMENT_FIELD, WireType.LengthDelimited).bytes(announcement).finish(),
  );
}

/** The newest announcement of each view as it goes over streams, encoded once for all of them. */
export class NewestAnnouncements {
  private readonly byView = new WeakMap<DeliveredView, { announcement: Buffer; response: Buffer }>();

  of(view: DeliveredView): Buffer {
    const { announcement } = view;
    const known = this.byView.get(view);
    if (known?.announcement === announcement) return known.response;
    const response = encodeAnnouncement(announcement);
    this.byView.set(view, { announcement, response });
    return response;
  }
}
