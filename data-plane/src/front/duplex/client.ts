/**
 * One client on a connection of its own. Every message says its era by itself: a request with a protocol version in
 * its `_meta` is modern, `initialize` begins the connection's one legacy session, and both may alternate.
 */
import { randomBytes } from 'node:crypto';
import { type Admission, type Caller, hasExpired } from '../../exchange/exchange.js';
import type { Reply, RequestHead } from '../../listener/listener.js';
import { hasBatches } from '../../protocol/batch.js';
import { ErrorCode, errorMessage, RpcError, resultMessage } from '../../protocol/errors.js';
import { MODERN_REVISION } from '../../protocol/revisions.js';
import type { Envelope } from '../../protocol/scan.js';
import { binaryOf, binaryToBytes } from '../../protocol/text.js';
import type { Message } from '../../protocol/translate.js';
import type { WorkerAddress } from '../../sessions/node-bus.js';
import { admittedAgain, isUnchanged } from '../admitted-again.js';
import type { ClientConnection, ClientTransport } from '../client-connection.js';
import type { Endpoint } from '../endpoint.js';
import { readHello, settled } from '../handshake.js';
import { checkBody, statusOf } from '../modern-body.js';
import { idOf, OpenRequests } from '../open-requests.js';
import type { SessionRoom } from '../session-room.js';
import type { Beginning, DuplexClient, DuplexConnection } from './connection.js';
import { ModernRequest, type RequestHost } from './modern-request.js';
import { readMessages, Unread, WaitingMessages } from './reading.js';
import { DuplexSession, type SessionHost } from './session.js';
import type { DuplexTraffic } from './traffic.js';

/** What the connections of a worker share. */
export interface ClientHost {
  readonly room: SessionRoom;
  readonly traffic: DuplexTraffic;
  /** Longest message, in bytes. */
  maxMessageBytes(): number;
  forward: RequestHost['forward'];
  onSessionEnd(reason: string): void;
  onFault(thrown: unknown): void;
  left(client: ConnectedClient): void;
}

const EXPIRED = 'the credential of this connection has expired';
const IS_NOT_KNOWN = 'the configuration has changed, and whoever began this connection has to begin it anew';
/** The longest delay of a timer. */
const MAX_DELAY_MS = 2_147_483_647;

/** Random part of an operator's name for a connection: no two are alike. */
const CONNECTION_ID_BYTES = 16;

export class ConnectedClient implements DuplexClient, ClientConnection, SessionHost, RequestHost {
  readonly beganAt = Date.now();
  lastUsedAt = this.beganAt;
  /** Made when an operator first looks. */
  private ownId: string | undefined;
  /** Who speaks, as the first modern request says it. */
  private modernCaller: Caller | undefined;
  private session: DuplexSession | undefined;
  /** The session while its `initialize` is not answered. */
  private opening: DuplexSession | undefined;
  /** What came meanwhile. */
  private readonly waiting = new WaitingMessages();
  /** While these are taken. */
  private catchingUp = false;
  private readonly modern = new OpenRequests<ModernRequest>();
  private over = false;
  /** Why the connection ends with its last request; undefined while it goes on. */
  private retiring: string | undefined;
  private expiry: NodeJS.Timeout | undefined;

  constructor(
    private readonly host: ClientHost,
    readonly endpoint: Endpoint,
    private readonly connection: DuplexConnection,
    public beginning: Beginning,
  ) {
    this.watchExpiry();
  }

  get connectionId(): string {
    this.ownId ??= randomBytes(CONNECTION_ID_BYTES).toString('base64url');
    return this.ownId;
  }

  get transport(): ClientTransport {
    return this.connection.transport;
  }

  get caller(): Caller | undefined {
    return this.session?.caller ?? this.modernCaller;
  }

  get principal(): string {
    return this.beginning.principal;
  }

  get hasSession(): boolean {
    return this.session !== undefined;
  }

  get requestCount(): number {
    return this.modern.size + (this.session?.requestCount ?? 0) + (this.opening === undefined ? 0 : 1);
  }

  message(bytes: Buffer): void {
    if (this.over) return;
    this.lastUsedAt = Date.now();
    try {
      this.read(bytes);
    } catch (thrown) {
      this.host.onFault(thrown);
      this.refuse(undefined, new RpcError(ErrorCode.InternalError, 'Internal error of the gateway'));
    }
  }

  gone(): void {
    this.finish('the client left', true);
  }

  /** Ends the connection at once. */
  end(reason: string): void {
    this.finish(reason);
  }

  /** Ends the connection when its requests have ended; nothing new is taken. */
  retire(reason: string): void {
    this.retiring = reason;
    this.endSubscriptions();
    this.leaveIfDone();
  }

  /** The same caller has shown a credential again; it counts from now on. */
  admittedAgain(admission: Admission | undefined): void {
    if (this.over) return;
    this.beginning = { ...this.beginning, admission };
    for (const session of [this.session, this.opening])
      if (session !== undefined) session.admission = admission;
    this.watchExpiry();
  }

  /** Other plugins stand in front of the endpoint. Ends the connection unless they know the same caller in it. */
  async rerouted(): Promise<void> {
    const { endpoint, beginning } = this;
    const { route } = endpoint;
    // Over stdio each request is looked at by itself.
    if (route === undefined || this.transport === 'stdio') return;
    const found = await admittedAgain(endpoint, beginning.admission);
    // With yet other plugins, or another credential, somebody else is on it.
    if (endpoint.route !== route || this.beginning !== beginning) return;
    if (found === undefined) {
      this.retire(IS_NOT_KNOWN);
      return;
    }
    // What was decided about a subscription was decided about somebody of these rights.
    if (!isUnchanged(beginning.admission, found)) this.endSubscriptions();
    this.admittedAgain(found);
  }

  private watchExpiry(): void {
    clearTimeout(this.expiry);
    const { admission } = this.beginning;
    const expiresAtMs = admission?.admitted.identity.expiresAtMs;
    if (admission === undefined || expiresAtMs === undefined) return;
    const delayMs = Math.min(MAX_DELAY_MS, Math.max(0, expiresAtMs - Date.now()));
    this.expiry = setTimeout(() => {
      if (hasExpired(admission, Date.now())) this.retire(EXPIRED);
      else this.watchExpiry();
    }, delayMs).unref();
  }

  // What a session and a modern request need of their connection.

  send(message: Buffer): void {
    if (this.over || this.connection.send(message)) return;
    this.finish('the client does not read', true);
  }

  sessionOver(reason: string): void {
    this.finish(reason);
  }

  idRefusal(id: string): RpcError | undefined {
    return this.modern.refusal(id);
  }

  began(): void {
    this.host.traffic.began();
  }

  ended(method: string, status: number, errorCode: number, startedAt: number): void {
    this.lastUsedAt = Date.now();
    this.host.traffic.ended(this.endpoint, method, status, errorCode, startedAt);
    // The response leaves after this.
    if (this.retiring !== undefined) queueMicrotask(() => this.leaveIfDone());
  }

  speaks(caller: Caller): void {
    this.modernCaller ??= caller;
  }

  forward(worker: WorkerAddress, head: RequestHead, body: Buffer, reply: Reply): boolean {
    return this.host.forward(worker, head, body, reply);
  }

  requestOver(request: ModernRequest, status: number, errorCode: number): void {
    this.modern.delete(request.id, request);
    this.ended(request.method, status, errorCode, request.startedAt);
  }

  // The path of a message.

  private read(bytes: Buffer): void {
    const read = readMessages(bytes, this.host.maxMessageBytes());
    if (read instanceof Unread) {
      this.host.traffic.refused(read.status);
      this.refuse(read.id, read.error);
      return;
    }
    const { envelopes, batch } = read;
    const [first] = envelopes as [Envelope];
    if (!batch && first.method !== 'initialize' && first.metaVersion !== undefined)
      this.modernMessage({ bytes, envelope: first });
    else if (this.opening !== undefined && first.kind !== 'result' && first.kind !== 'error')
      this.wait(bytes, first, batch);
    else this.legacyMessages(bytes, envelopes, batch);
  }

  private modernMessage(message: Message): void {
    const { bytes, envelope } = message;
    if (envelope.kind !== 'request') {
      this.taken(envelope.method);
      if (!this.cancelled(message)) this.endpoint.modernNotification(message);
      return;
    }
    const id = idOf(message);
    if (this.isBusy(id)) return;
    const refusal = this.session?.refusal(id) ?? this.idRefusal(id) ?? checkBody(bytes, envelope);
    if (refusal !== undefined) {
      this.began();
      this.refuse(id, new RpcError(refusal.code, refusal.message, refusal.data));
      this.ended(envelope.method, statusOf(refusal.code), refusal.code, performance.now());
      return;
    }
    const request = new ModernRequest(this, message);
    this.modern.add(id, request);
    this.began();
    request.run();
  }

  private legacyMessages(bytes: Buffer, envelopes: readonly Envelope[], batch: boolean): void {
    const [first] = envelopes as [Envelope];
    if (batch) {
      this.batch(envelopes.map((envelope) => ({ bytes, envelope })));
      return;
    }
    const message: Message = { bytes, envelope: first };
    if (first.kind !== 'request') {
      this.taken(first.method);
      if (!this.cancelled(message)) (this.session ?? this.opening)?.take([message], false);
      return;
    }
    if (this.isBusy(idOf(message))) return;
    if (first.method === 'initialize') this.initialize(message);
    else if (this.session !== undefined) this.session.take([message], false);
    else this.withoutSession(message);
  }

  private batch(messages: readonly Message[]): void {
    const { session } = this;
    let reason: string | undefined;
    if (session === undefined)
      reason = 'a batch needs a session of revision 2025-03-26; begin with initialize';
    else if (!hasBatches(session.caller.revision))
      reason = `revision ${session.caller.revision} has no batches; send one message at a time`;
    else if (messages.some(({ envelope }) => envelope.method === 'initialize'))
      reason = 'initialize is not part of a batch (2025-03-26, basic/lifecycle)';
    if (reason !== undefined) {
      this.host.traffic.refused(400);
      this.refuse(undefined, new RpcError(ErrorCode.InvalidRequest, reason));
      return;
    }
    if (this.isBusy(undefined)) return;
    for (const { envelope } of messages) if (envelope.kind !== 'request') this.taken(envelope.method);
    session?.take(messages, true);
  }

  /** What comes during the handshake waits for it. */
  private wait(bytes: Buffer, envelope: Envelope, batch: boolean): void {
    if (this.waiting.add(bytes, this.host.maxMessageBytes())) return;
    const id = batch || envelope.id === undefined ? undefined : binaryOf(bytes, envelope.id);
    const reason = 'too much came before initialize was answered; wait for the answer';
    this.host.traffic.refused(503);
    if (envelope.kind === 'request') this.refuse(id, new RpcError(ErrorCode.Overloaded, reason));
  }

  private initialize(message: Message): void {
    const startedAt = performance.now();
    const id = idOf(message);
    const { method } = message.envelope;
    const hello =
      this.session === undefined
        ? readHello(message, this.beginning.principal)
        : new RpcError(ErrorCode.InvalidRequest, 'the session of this connection has begun already');
    this.began();
    if (hello instanceof RpcError) {
      this.refuse(id, hello);
      this.ended(method, 400, hello.code, startedAt);
      return;
    }
    const session = new DuplexSession(this, hello.caller);
    this.opening = session;
    session.initialize(hello.params, hello.caller.revision).then(
      (result) => {
        this.opening = undefined;
        this.ended(method, 200, 0, startedAt);
        session.settle(settled(session.caller, result));
        this.session = session;
        this.host.room.add(session);
        this.send(binaryToBytes(resultMessage(id, result)));
        this.goOn();
      },
      (thrown: unknown) => {
        const error = RpcError.from(thrown);
        this.opening = undefined;
        session.close();
        this.ended(method, 200, error.code, startedAt);
        this.refuse(id, error);
        this.goOn();
      },
    );
  }

  /** What waited came in time, even where the connection has begun to end meanwhile. */
  private goOn(): void {
    this.catchingUp = true;
    for (const bytes of this.waiting.take()) this.message(bytes);
    this.catchingUp = false;
  }

  /** Only a ping may come before `initialize` (2025-11-25, basic/lifecycle, "Initialization"). */
  private withoutSession(message: Message): void {
    const { method } = message.envelope;
    const id = idOf(message);
    this.began();
    if (method === 'ping') {
      this.send(binaryToBytes(resultMessage(id, '{}')));
      this.ended(method, 200, 0, performance.now());
      return;
    }
    const reason =
      `${method} needs a session: begin with initialize, or say with \`_meta\` on each request that it is of ` +
      `${MODERN_REVISION}`;
    this.refuse(id, new RpcError(ErrorCode.InvalidRequest, reason));
    this.ended(method, 400, ErrorCode.InvalidRequest, performance.now());
  }

  /** True when nothing new is taken now; says so by itself. */
  private isBusy(id: string | undefined): boolean {
    const { traffic } = this.host;
    const refusal =
      this.retiring === undefined || this.catchingUp
        ? traffic.refusal()
        : new RpcError(
            ErrorCode.Overloaded,
            `${this.retiring}; send the request again on another connection`,
          );
    if (refusal === undefined) return false;
    traffic.refused(503);
    this.refuse(id, refusal);
    return true;
  }

  /** True when it was a cancellation, and of a modern request. */
  private cancelled(message: Message): boolean {
    if (message.envelope.method !== 'notifications/cancelled') return false;
    const request = this.modern.cancel(message);
    request?.cancel();
    return request !== undefined;
  }

  /** Counts what gets no response. */
  private taken(method: string): void {
    this.began();
    this.ended(method, 202, 0, performance.now());
  }

  private refuse(id: string | undefined, error: RpcError): void {
    this.send(binaryToBytes(errorMessage(id, error)));
  }

  private endSubscriptions(): void {
    for (const [, request] of this.modern.toArray()) request.endSubscription();
  }

  private leaveIfDone(): void {
    if (this.retiring !== undefined && this.requestCount === 0) this.finish(this.retiring);
  }

  /** Lets go of everything. What is under way is told, unless nobody hears it. */
  private finish(reason: string, isGone = false): void {
    if (this.over) return;
    this.over = isGone;
    const { session, opening } = this;
    this.session = undefined;
    this.opening = undefined;
    for (const [, request] of this.modern.toArray()) request.cancel();
    if (session !== undefined) {
      this.host.room.delete(session);
      this.host.onSessionEnd(reason);
      session.close();
    }
    opening?.close();
    this.over = true;
    clearTimeout(this.expiry);
    this.waiting.take();
    this.host.left(this);
    this.connection.close(reason);
  }
}
