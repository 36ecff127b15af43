/** One modern request on a connection that it shares with others (2026-07-28, basic/transports/stdio). */
import { Cancellation, type Exchange, type Outcome } from '../../exchange/exchange.js';
import { errorMessage, RpcError } from '../../protocol/errors.js';
import { methodRow } from '../../protocol/methods.js';
import { binaryToBytes } from '../../protocol/text.js';
import type { Message } from '../../protocol/translate.js';
import type { Endpoint } from '../endpoint.js';
import type { Headers } from '../legacy/client-session.js';
import { callerOf, statusOf, subscriptionEnd } from '../modern/body.js';
import { idOf, type OpenRequest } from '../open-requests.js';

/** What a request needs of its connection. */
export interface RequestHost {
  readonly endpoint: Endpoint;
  readonly headers: Headers;
  send(message: Buffer): void;
  /** Called once; nothing is sent for the request afterwards. `errorCode` 0 says that it has a result. */
  requestOver(request: ModernRequest, status: number, errorCode: number): void;
}

export class ModernRequest implements OpenRequest {
  readonly id: string;
  readonly method: string;
  readonly cancellation = new Cancellation();
  readonly startedAt = performance.now();
  private over = false;

  constructor(
    private readonly host: RequestHost,
    private readonly message: Message,
  ) {
    this.id = idOf(message);
    this.method = message.envelope.method;
  }

  run(principal: string): void {
    const { bytes, envelope } = this.message;
    const exchange: Exchange = {
      row: methodRow(this.method),
      bytes,
      envelope,
      caller: callerOf(bytes, envelope, principal),
      headers: this.host.headers,
      bodyOnly: true,
      cancellation: this.cancellation,
      notify: (message) => {
        if (!this.over) this.host.send(message);
      },
    };
    this.outcome(exchange).then(
      (outcome) => this.end(outcome.bytes, outcome.errorCode),
      (thrown: unknown) => {
        const error = RpcError.from(thrown);
        this.end(binaryToBytes(errorMessage(this.id, error)), error.code);
      },
    );
  }

  /** The client wants nothing of it any more ("Cancellation"): nothing is sent, not even a response. */
  cancel(): void {
    if (this.over) return;
    this.over = true;
    this.host.requestOver(this, 499, 0);
    this.cancellation.cancel();
  }

  /** A subscription that the server ends gets a response. */
  endSubscription(): void {
    if (this.method !== 'subscriptions/listen' || this.over) return;
    this.end(subscriptionEnd(this.id), 0);
    this.cancellation.cancel();
  }

  /** Whatever is thrown there ends this request and no other. */
  private async outcome(exchange: Exchange): Promise<Outcome> {
    return this.host.endpoint.modern(exchange);
  }

  private end(response: Buffer, errorCode: number): void {
    if (this.over) return;
    this.over = true;
    this.host.send(response);
    this.host.requestOver(this, statusOf(errorCode), errorCode);
  }
}
