/** One modern request on a connection that it shares with others (2026-07-28, basic/transports/stdio). */
import { type Caller, Cancellation, type Exchange, type Outcome } from '../../exchange/exchange.js';
import type { Reply, RequestHead } from '../../listener/listener.js';
import { ErrorCode, errorMessage, RpcError } from '../../protocol/errors.js';
import { methodRow } from '../../protocol/methods.js';
import type { Envelope } from '../../protocol/scan.js';
import { binaryToBytes } from '../../protocol/text.js';
import type { Message } from '../../protocol/translate.js';
import type { WorkerAddress } from '../../sessions/node-bus.js';
import { ParkedElsewhere } from '../../sessions/parked-elsewhere.js';
import type { Endpoint } from '../endpoint.js';
import { callerOf, statusOf, subscriptionEnd } from '../modern-body.js';
import { idOf, type OpenRequest } from '../open-requests.js';
import type { Beginning } from './connection.js';
import { type AnswerReader, HandedOver, headOf } from './handed-over.js';

/** What a request needs of its connection. */
export interface RequestHost {
  readonly endpoint: Endpoint;
  readonly beginning: Beginning;
  send(message: Buffer): void;
  /** Who it is that speaks, as a request says it. */
  speaks(caller: Caller): void;
  /** Hands a request over to another worker; false when nobody is there. */
  forward(worker: WorkerAddress, head: RequestHead, body: Buffer, reply: Reply): boolean;
  /** Called once; nothing is sent for the request afterwards. `errorCode` 0 says that it has a result. */
  requestOver(request: ModernRequest, status: number, errorCode: number): void;
}

export class ModernRequest implements OpenRequest, AnswerReader {
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

  run(): void {
    const { bytes, envelope } = this.message;
    const { headers, principal, admission } = this.host.beginning;
    const caller = callerOf(bytes, envelope, principal);
    this.host.speaks(caller);
    const exchange: Exchange = {
      row: methodRow(this.method),
      bytes,
      envelope,
      caller,
      headers,
      admission,
      bodyOnly: true,
      cancellation: this.cancellation,
      notify: (message) => this.notification(message),
    };
    this.outcome(exchange).then(
      (outcome) => this.end(outcome.bytes, outcome.errorCode),
      (thrown: unknown) => {
        if (thrown instanceof ParkedElsewhere && this.handOver(thrown.worker)) return;
        const error = RpcError.from(thrown);
        this.end(binaryToBytes(errorMessage(this.id, error)), error.code);
      },
    );
  }

  notification(message: Buffer): void {
    if (!this.over) this.host.send(message);
  }

  response(message: Buffer, envelope: Envelope | undefined): void {
    if (envelope !== undefined) {
      this.end(message, envelope.error === undefined ? 0 : envelope.errorCode || ErrorCode.InternalError);
      return;
    }
    const error = new RpcError(
      ErrorCode.UpstreamLost,
      'the worker that had the call is gone; it may have run',
    );
    this.end(binaryToBytes(errorMessage(this.id, error)), error.code);
  }

  private handOver(worker: WorkerAddress): boolean {
    if (this.over) return false;
    const { host, message, cancellation } = this;
    const reply = new HandedOver(this);
    const head = headOf(host.endpoint.path, message, host.beginning);
    if (!host.forward(worker, head, message.bytes, reply)) return false;
    cancellation.onCancel(reply);
    return true;
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
