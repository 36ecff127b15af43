/** Parked calls whose upstream and clients a test plays by hand. */
import type { Caller } from '../../exchange/exchange.js';
import { ErrorCode, RpcError } from '../../protocol/errors.js';
import { createSealer } from '../../sessions/seal.js';
import type { ChannelEvents, ChannelRequest, ChannelSink } from '../channel.js';
import type { ListKind } from '../offers.js';
import { ScriptedChannel, ScriptedRequest, WELCOME } from '../scripted-channel.js';
import { ParkedAccount, type ParkedLimits } from './parked-account.js';
import { ParkedCalls, type ParkedCallsOptions } from './parked-calls.js';

/** Limits that no test comes near. */
export const UNLIMITED: ParkedLimits = {
  maxParkedCallCount: 100_000,
  maxParkedCallPerPrincipalCount: 100_000,
  maxParkedBytes: 1024 * 1024 * 1024,
  parkedCallLifetimeMs: 10 * 60_000,
};

export const CALLER: Caller = {
  era: 'modern',
  revision: '2026-07-28',
  principal: 'anonymous',
  capabilities: '{"elicitation":{}}',
  clientInfo: undefined,
  logLevel: undefined,
};

const sealer = createSealer({ current: Buffer.alloc(32, 7), previous: [] });

/** A channel that shakes hands by itself. */
export class GreetingChannel extends ScriptedChannel {
  override request(text: string, id: string, token: string | undefined, sink: ChannelSink): ChannelRequest {
    const greets = (JSON.parse(Buffer.from(text, 'latin1').toString()) as { method: string }).method;
    if (greets !== 'initialize') return super.request(text, id, token, sink);
    const request = new ScriptedRequest(text, sink);
    queueMicrotask(() => request.answer(WELCOME));
    return request;
  }

  /** Goes away, as a process that ends. */
  break(): void {
    this.closed = true;
    for (const request of this.requests) request.fail(new RpcError(ErrorCode.UpstreamLost, 'it broke'));
    this.events.lost('it broke');
  }
}

export class ScriptedParking {
  readonly channels: GreetingChannel[] = [];
  /** Whose lists changed, and which. */
  readonly offerChanges: [principal: string, kind: ListKind | undefined][] = [];
  readonly account: ParkedAccount;
  readonly calls: ParkedCalls;
  /** Channels that may be open at once. */
  maxChannelCount = Number.POSITIVE_INFINITY;

  constructor(options: Partial<ParkedCallsOptions> & { limits?: ParkedLimits } = {}) {
    this.account = options.account ?? new ParkedAccount(options.limits ?? UNLIMITED);
    this.calls = new ParkedCalls({
      upstreamId: 'id',
      upstreamName: 'up',
      sealer,
      worker: 'n.0',
      account: this.account,
      tiesMessagesToRequests: true,
      openChannel: (events) => this.open(events),
      offerChanged: (...change) => this.offerChanges.push(change),
      ...options,
    });
  }

  get openChannels(): GreetingChannel[] {
    return this.channels.filter(({ closed }) => !closed);
  }

  /** The newest channel. */
  get channel(): GreetingChannel {
    return this.channels.at(-1) as GreetingChannel;
  }

  private open(events: ChannelEvents): GreetingChannel {
    if (this.openChannels.length >= this.maxChannelCount && !this.calls.closeIdle())
      throw new RpcError(ErrorCode.Overloaded, 'no connection is left');
    const channel = new GreetingChannel(events);
    this.channels.push(channel);
    return channel;
  }
}

/** Lets promises run that wait for each other. */
export async function turns(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}
