import type { Envelope } from '../protocol/scan.js';
import type { Channel, ChannelEvents } from './channel.js';

/** What a connection of one client's own tells: it is one less when it is lost. */
export class HeardDedicated implements ChannelEvents {
  /** Set when it has been made. */
  channel: Channel | undefined;

  constructor(
    private readonly events: ChannelEvents,
    private readonly dedicated: Set<Channel>,
  ) {}

  message(bytes: Buffer, envelope: Envelope): void {
    this.events.message(bytes, envelope);
  }

  gap(): void {
    this.events.gap();
  }

  lost(reason: string): void {
    if (this.channel !== undefined) this.dedicated.delete(this.channel);
    this.events.lost(reason);
  }
}
