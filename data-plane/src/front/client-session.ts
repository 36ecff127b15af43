/**
 * The session of a legacy client whatever carries it: its requests under way, cancelling, and the endpoint's side.
 * How messages reach the client is the matter of those who extend it.
 */
import {
  type Admission,
  type Caller,
  Cancellation,
  type Exchange,
  type RequestHeaders,
} from '../exchange/exchange.js';
import { ErrorCode, errorMessage, type HttpHead, RpcError } from '../protocol/errors.js';
import { methodRow } from '../protocol/methods.js';
import { binaryToBytes } from '../protocol/text.js';
import type { Message } from '../protocol/translate.js';
import type { HeldAtUpstream } from '../sessions/store.js';
import type { Beginning } from './duplex/connection.js';
import type { Endpoint, HeldBefore, LegacyBacking, LegHost } from './endpoint.js';
import { idOf, type OpenRequest, OpenRequests } from './open-requests.js';

const NO_HEADERS: RequestHeaders = {};

/** The way on which one request is answered. */
export interface AnswerWay {
  /** A notification that belongs to the request. False when the way cannot take it. */
  message(bytes: Buffer): boolean;
  /**
   * The response. A client that has cancelled wants none (2025-11-25, basic/utilities/cancellation), but what waits
   * for it has to end all the same.
   */
  response(bytes: Buffer, cancelled: boolean, http?: HttpHead): void;
}

export interface LegacyRequest<Way extends AnswerWay> extends OpenRequest {
  readonly way: Way;
  /** Milliseconds of the clock. */
  readonly startedAt: number;
}

export abstract class ClientSession<Way extends AnswerWay> implements LegHost {
  lastUsedAt = Date.now();
  protected readonly backing: LegacyBacking;
  protected readonly running = new OpenRequests<LegacyRequest<Way>>();
  private closed = false;
  /** Set when nothing new comes any more: called when the session is closed. */
  private retired: (() => void) | undefined;

  constructor(
    readonly endpoint: Endpoint,
    public caller: Caller,
    /** Of its newest request. */
    public admission: Admission | undefined,
    /** What it held where it was before, when it began at another worker. */
    private readonly before?: HeldBefore,
  ) {
    this.backing = endpoint.openLegacy(this);
  }

  get principal(): string {
    return this.caller.principal;
  }

  /** Requests under way. */
  get requestCount(): number {
    return this.running.size;
  }

  get headers(): RequestHeaders {
    return this.admission?.arrival.headers ?? NO_HEADERS;
  }

  /** Names the session in what plugins see; undefined where it has no name of its own. */
  get sessionName(): string | undefined {
    return undefined;
  }

  /** True while something is under way. */
  abstract get busy(): boolean;

  abstract toClient(message: Message, requestId: string | undefined): void;

  abstract holds(upstreamId: string, held: HeldAtUpstream | undefined): void;

  abstract end(reason: string): void;

  /** A message that belongs to a request whose way cannot take it. */
  protected abstract outside(bytes: Buffer): void;

  /** A request has ended, or was refused. `errorCode` 0 says that it has a result. */
  protected abstract ended(request: LegacyRequest<Way>, errorCode: number): void;

  /** Lets go of what the session holds towards the client. */
  protected abstract release(): void;

  /** Rejects when the session was closed meanwhile: what was opened for it then belongs to nobody any more. */
  async initialize(params: string, requestedRevision: string): Promise<string> {
    const result = await this.backing.initialize(params, requestedRevision, this.before);
    if (!this.closed) return result;
    this.backing.close();
    throw new RpcError(ErrorCode.SessionNotFound, 'the session has ended');
  }

  /** Settles what the handshake found. */
  settle(caller: Caller): void {
    this.caller = caller;
  }

  /** Why a request of this id cannot begin; undefined when it can. */
  protected refusal(id: string): RpcError | undefined {
    return this.running.refusal(id);
  }

  /** Takes a request and answers it on its way. */
  protected request(message: Message, way: Way, { headers, admission }: Beginning): void {
    this.admission = admission;
    const id = idOf(message);
    const { method } = message.envelope;
    const cancellation = new Cancellation();
    const request: LegacyRequest<Way> = { way, cancellation, startedAt: Date.now(), method };
    const refusal = this.refusal(id);
    if (refusal !== undefined) {
      this.ended(request, refusal.code);
      way.response(binaryToBytes(errorMessage(id, refusal)), false);
      return;
    }
    this.running.add(id, request);
    const exchange: Exchange = {
      row: methodRow(method),
      bytes: message.bytes,
      envelope: message.envelope,
      caller: this.caller,
      headers,
      admission,
      session: this.sessionName,
      cancellation,
      notify: (bytes) => {
        if (!way.message(bytes)) this.outside(bytes);
      },
    };
    this.backing.request(exchange).then(
      (outcome) => this.finish(id, request, outcome.bytes, outcome.errorCode, outcome.http),
      (thrown: unknown) => {
        const error = RpcError.from(thrown);
        const code = cancellation.cancelled ? 0 : error.code;
        this.finish(id, request, binaryToBytes(errorMessage(id, error)), code);
      },
    );
  }

  private finish(
    id: string,
    request: LegacyRequest<Way>,
    bytes: Buffer,
    errorCode: number,
    http?: HttpHead,
  ): void {
    const isOpen = this.running.delete(id, request);
    this.lastUsedAt = Date.now();
    if (isOpen) this.ended(request, errorCode);
    request.way.response(bytes, request.cancellation.cancelled, http);
    if (this.retired !== undefined && this.running.size === 0) this.close();
  }

  /** Takes what is not a request. */
  protected incoming(message: Message): void {
    const { envelope } = message;
    if (envelope.kind !== 'notification') this.backing.response(message);
    else if (envelope.method === 'notifications/cancelled' && envelope.requestId !== undefined)
      this.running.cancel(message);
    else this.backing.notification(message);
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.backing.close();
    for (const [id, request] of this.running.toArray()) {
      const error = new RpcError(ErrorCode.SessionNotFound, 'the session has ended');
      this.running.delete(id, request);
      request.cancellation.cancel();
      this.ended(request, error.code);
      request.way.response(binaryToBytes(errorMessage(id, error)), false);
    }
    this.release();
    this.retired?.();
  }

  /** Closes it when the requests under way have ended; the client reaches it no more. */
  retire(): Promise<void> {
    return new Promise((resolve) => {
      this.retired = resolve;
      if (this.running.size === 0) this.close();
    });
  }
}
