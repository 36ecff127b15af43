/**
 * Many callers over one connection: every request gets an id and a progress token that were never used on it, and
 * what comes back gets the caller's own. Used for a modern subprocess and for legacy sessions that are shared.
 */
import type { Cancellable } from '../exchange/exchange.js';
import { ErrorCode, errorMessage, RpcError, resultMessage } from '../protocol/errors.js';
import type { Envelope, Span } from '../protocol/scan.js';
import { type Edit, replace, splice } from '../protocol/text.js';
import { rewritten } from '../protocol/translate.js';
import { cancelledError, idOf, type UpstreamCall, type UpstreamReply } from './call.js';
import type { ChannelRequest, ChannelSink } from './channel.js';
import type { OwnFields } from './own-fields.js';

/** What requests are sent over. */
export interface Carrier {
  request(
    text: string,
    id: string,
    token: string | undefined,
    sink: ChannelSink,
    own?: OwnFields,
  ): ChannelRequest;
  post(text: string): void;
}

export class Multiplexer {
  private count = 0;
  private readonly running = new Map<string, Running>();

  constructor(private readonly carrier: Carrier) {}

  call(call: UpstreamCall): Promise<UpstreamReply> {
    return new Promise((resolve, reject) => {
      const id = String(++this.count);
      const edits: Edit[] = [...call.edits, replace(call.envelope.id as Span, id)];
      const token = call.envelope.metaProgressToken;
      if (token !== undefined) edits.push(replace(token, id));
      const running = new Running(this, id, token, call, resolve, reject);
      this.running.set(id, running);
      running.request = this.carrier.request(
        splice(call.bytes, call.envelope, edits),
        id,
        token === undefined ? undefined : id,
        running,
        call.ownHeaders,
      );
      // A subscription says something when there is something to say.
      if (call.method === 'subscriptions/listen') running.request.waitPatiently();
      call.cancellation.onCancel(running);
    });
  }

  /** Gives a message that the transport tied to no request to the call it names, or says that nobody is named. */
  deliver(bytes: Buffer, envelope: Envelope): boolean {
    const token = envelope.progressToken ?? envelope.metaSubscriptionId;
    if (token !== undefined) {
      const running = this.running.get(bytes.latin1Slice(token.start, token.end));
      running?.message(bytes, envelope);
      return true;
    }
    if (envelope.method !== 'notifications/message') return false;
    this.onlyCall()?.message(bytes, envelope);
    return true;
  }

  /** A log message names no request. With one call under way, beside subscriptions, it can only be that call's. */
  private onlyCall(): Running | undefined {
    let only: Running | undefined;
    for (const running of this.running.values()) {
      if (running.isSubscription) continue;
      if (only !== undefined) return undefined;
      only = running;
    }
    return only;
  }

  /** @internal An upstream that waits for an answer would keep its caller waiting. */
  refuse(bytes: Buffer, envelope: Envelope): void {
    this.carrier.post(refusedAsk(bytes, envelope.id as Span, envelope.method));
  }

  /** @internal */
  done(id: string): void {
    this.running.delete(id);
  }
}

class Running implements ChannelSink, Cancellable {
  request: ChannelRequest | undefined;
  private settled = false;

  constructor(
    private readonly owner: Multiplexer,
    private readonly id: string,
    private readonly token: Span | undefined,
    private readonly call: UpstreamCall,
    private readonly resolve: (reply: UpstreamReply) => void,
    private readonly reject: (error: RpcError) => void,
  ) {}

  get isSubscription(): boolean {
    return this.call.method === 'subscriptions/listen';
  }

  message(bytes: Buffer, envelope: Envelope): void {
    if (this.settled) return;
    if (envelope.kind === 'request') {
      this.call.onRefusedAsk?.(bytes, envelope);
      this.owner.refuse(bytes, envelope);
      return;
    }
    if (envelope.kind === 'notification') {
      this.notification(bytes, envelope);
      return;
    }
    this.finish();
    this.resolve(
      rewritten(bytes, envelope, envelope.id === undefined ? [] : [replace(envelope.id, idOf(this.call))]),
    );
  }

  private notification(bytes: Buffer, envelope: Envelope): void {
    const edits: Edit[] = [];
    if (envelope.progressToken !== undefined) {
      // Progress that nobody asked for has a token that means something else to this caller.
      if (this.token === undefined) return;
      edits.push(
        replace(envelope.progressToken, this.call.bytes.latin1Slice(this.token.start, this.token.end)),
      );
    }
    if (envelope.metaSubscriptionId !== undefined)
      edits.push(replace(envelope.metaSubscriptionId, idOf(this.call)));
    const own = rewritten(bytes, envelope, edits);
    this.call.onNotification(own.bytes, own.envelope);
  }

  failed(error: RpcError): void {
    if (this.settled) return;
    this.finish();
    this.reject(error);
  }

  cancel(): void {
    if (this.settled) return;
    this.finish();
    this.request?.abort();
    this.reject(cancelledError());
  }

  private finish(): void {
    this.settled = true;
    this.owner.done(this.id);
  }
}

const REFUSED_ASK = new RpcError(
  ErrorCode.MethodNotFound,
  'this connection is shared by many clients and was initialised without client capabilities; a server over stdio can ask with `sharing: per_session`',
);

/** The answer to a request of an upstream: on a shared connection nobody can tell whom it is for, and nobody guesses. */
export function refusedAsk(bytes: Buffer, id: Span, method: string): string {
  const text = bytes.latin1Slice(id.start, id.end);
  return method === 'ping' ? resultMessage(text, '{}') : errorMessage(text, REFUSED_ASK);
}
