/** Connections to an upstream that have one client each. */
import { ErrorCode, RpcError } from '../protocol/errors.js';
import type { Envelope } from '../protocol/scan.js';
import type { Channel, ChannelEvents } from './channel.js';
import type { Connections } from './connection.js';

export class DedicatedChannels {
  private readonly channels = new Set<Channel>();
  /** Those that are being closed: a process takes its time to end. */
  private readonly ending = new Set<Promise<void>>();

  /** @param closeIdle closes one that nobody uses; false when there is none */
  constructor(
    private readonly upstreamName: string,
    private readonly connections: Pick<Connections, 'dedicatedLimit' | 'openChannel'>,
    private readonly closeIdle: () => boolean,
  ) {}

  /** Opens another one. Throws an RpcError when there are as many as may be, and none is idle. */
  readonly open = (events: ChannelEvents): Channel => {
    const limit = this.connections.dedicatedLimit;
    if (limit !== undefined && this.channels.size >= limit.count && !this.closeIdle()) {
      throw new RpcError(
        ErrorCode.Overloaded,
        `upstream ${JSON.stringify(this.upstreamName)} has ${limit.count} ${limit.things} already, as many as it may (${limit.setting})`,
      );
    }
    const heard = new HeardDedicated(events, this.channels);
    const channel = this.connections.openChannel(heard);
    heard.channel = channel;
    this.channels.add(channel);
    const close = channel.close.bind(channel);
    channel.close = () => {
      this.channels.delete(channel);
      const ended = close().finally(() => this.ending.delete(ended));
      this.ending.add(ended);
      return ended;
    };
    return channel;
  };

  /** Closes all of them. Resolves when they are gone, with those that were being closed already. */
  async close(): Promise<void> {
    for (const channel of [...this.channels]) void channel.close();
    await Promise.all(this.ending);
  }
}

/** What such a connection tells: it is one less when it is lost. */
class HeardDedicated implements ChannelEvents {
  /** Set when it has been made. */
  channel: Channel | undefined;

  constructor(
    private readonly events: ChannelEvents,
    private readonly channels: Set<Channel>,
  ) {}

  message(bytes: Buffer, envelope: Envelope): void {
    this.events.message(bytes, envelope);
  }

  gap(): void {
    this.events.gap();
  }

  lost(reason: string): void {
    if (this.channel !== undefined) this.channels.delete(this.channel);
    this.events.lost(reason);
  }
}
