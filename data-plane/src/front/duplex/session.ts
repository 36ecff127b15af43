/** The session of a legacy client on a connection of its own: it ends with the connection, and the connection with it. */
import type { Caller, RequestHeaders } from '../../exchange/exchange.js';
import { batchOf } from '../../protocol/batch.js';
import type { RpcError } from '../../protocol/errors.js';
import type { Message } from '../../protocol/translate.js';
import { type AnswerWay, ClientSession, type LegacyRequest } from '../client-session.js';
import type { Endpoint } from '../endpoint.js';
import type { SeatedSession } from '../session-room.js';
import type { Beginning } from './connection.js';

/** What a session needs of its connection. */
export interface SessionHost {
  readonly endpoint: Endpoint;
  readonly beginning: Beginning;
  send(message: Buffer): void;
  /** The session cannot go on. */
  sessionOver(reason: string): void;
  /** Why no request of this id can begin, as far as the connection's other requests go. */
  idRefusal(id: string): RpcError | undefined;
  began(): void;
  /** `startedAt` as `performance.now()` said; `errorCode` 0 says that there is a result. */
  ended(method: string, status: number, errorCode: number, startedAt: number): void;
}

export class DuplexSession extends ClientSession<DuplexWay> implements SeatedSession {
  private listens = false;

  constructor(
    private readonly host: SessionHost,
    caller: Caller,
  ) {
    super(host.endpoint, caller, host.beginning.admission);
  }

  override get headers(): RequestHeaders {
    return this.host.beginning.headers;
  }

  get busy(): boolean {
    return this.running.size > 0;
  }

  /** Why a request of this id cannot begin; undefined when it can. */
  override refusal(id: string): RpcError | undefined {
    return this.host.idRefusal(id) ?? super.refusal(id);
  }

  /** Takes one message, or those of a batch, whose responses go into one batch (2025-03-26, basic, "Batching"). */
  take(messages: readonly Message[], batch: boolean): void {
    this.lastUsedAt = Date.now();
    const requestCount = messages.filter(({ envelope }) => envelope.kind === 'request').length;
    const way = new DuplexWay(this.host, requestCount, batch);
    for (const message of messages) {
      const { kind, method } = message.envelope;
      if (kind === 'request') {
        // Whoever asks before saying that it is ready is ready.
        this.listen();
        this.host.began();
        this.request(message, way, this.host.beginning);
      } else {
        this.incoming(message);
        if (method === 'notifications/initialized') this.listen();
      }
    }
  }

  toClient(message: Message): void {
    this.host.send(message.bytes);
  }

  holds(): void {
    // Nobody goes on with it elsewhere: it ends with its connection.
  }

  end(reason: string): void {
    this.host.sessionOver(reason);
  }

  protected outside(bytes: Buffer): void {
    this.host.send(bytes);
  }

  protected ended(request: LegacyRequest<DuplexWay>, errorCode: number): void {
    const status = request.cancellation.cancelled ? 499 : 200;
    this.host.ended(request.method, status, errorCode, request.way.startedAt);
  }

  protected release(): void {
    // The connection is closed by whoever ends the session.
  }

  /** The connection is always there to be told on, unlike a GET stream. */
  private listen(): void {
    if (this.listens) return;
    this.listens = true;
    this.backing.listen();
  }
}

/** The connection as the way of one request, or of the requests of one batch, whose responses go out together. */
class DuplexWay implements AnswerWay {
  readonly startedAt = performance.now();
  private readonly responses: Buffer[] = [];

  constructor(
    private readonly host: SessionHost,
    private missing: number,
    private readonly batch: boolean,
  ) {}

  message(bytes: Buffer): boolean {
    this.host.send(bytes);
    return true;
  }

  response(bytes: Buffer, cancelled: boolean): void {
    this.missing--;
    if (!cancelled) this.responses.push(bytes);
    if (this.missing > 0 || this.responses.length === 0) return;
    this.host.send(this.batch ? batchOf(this.responses) : (this.responses[0] as Buffer));
  }
}
