/** One session over streamable HTTP (revisions up to 2025-11-25): a token, and streams that can be resumed. */
import { type Admission, type Caller, hasExpired } from '../../exchange/exchange.js';
import { SparseMap } from '../../exchange/sparse-map.js';
import type { Reply } from '../../listener/listener.js';
import { ErrorCode, errorMessage, RpcError } from '../../protocol/errors.js';
import { binaryToBytes } from '../../protocol/text.js';
import type { Message } from '../../protocol/translate.js';
import type { HeldAtUpstream } from '../../sessions/store.js';
import { admittedAgain } from '../admitted-again.js';
import type { ClientConnection } from '../client-connection.js';
import { ClientSession, type LegacyRequest } from '../client-session.js';
import type { Beginning } from '../duplex/connection.js';
import type { Endpoint, HeldBefore } from '../endpoint.js';
import { idOf } from '../open-requests.js';
import { Answer } from './answer.js';
import { EventStream, readEventId, requestIdOf, type StreamLimits, streamIdFor } from './stream.js';

/** Streams that one session keeps for resumption; the oldest that has ended goes first. */
const MAX_STREAM_COUNT = 32;
/** How long a finished stream can be resumed. */
const RESUMABLE_MS = 5 * 60_000;

/** The stream of what belongs to no request. */
const OUTSIDE_ID = 'g';

export interface LegacySessionEvents {
  ended(session: LegacySession, reason: string): void;
  /** A request was answered with an error. */
  error(session: LegacySession, method: string, code: number): void;
  /** What it holds at upstreams has changed. */
  held(session: LegacySession): void;
}

export class LegacySession extends ClientSession<Answer> implements ClientConnection {
  readonly transport = 'http';
  readonly beganAt = this.lastUsedAt;
  /** Those of requests, for resumption. */
  private readonly streams = new SparseMap<string, EventStream>();
  private streamCount = 0;
  /** Messages outside requests; kept from the start, so that nothing is lost before the client listens. */
  private readonly outsideStream: EventStream;
  private wasHeardHere = false;
  private toldOutside = 0;
  /** The sealed token that the client holds, and the name of the session in the store; set by the handshake. */
  token = '';
  id = '';
  held: Readonly<Record<string, HeldAtUpstream>> = {};
  /** It began at another worker: what its streams said there is not known here. */
  private readonly isRevived: boolean;

  constructor(
    endpoint: Endpoint,
    caller: Caller,
    admission: Admission | undefined,
    private readonly limits: StreamLimits,
    private readonly events: LegacySessionEvents,
    /** What it held where it was before, when it began at another worker. */
    before?: HeldBefore,
  ) {
    super(endpoint, caller, admission, before);
    this.isRevived = before !== undefined;
    this.outsideStream = new EventStream(OUTSIDE_ID, limits);
  }

  override get sessionName(): string | undefined {
    return this.id === '' ? undefined : this.id;
  }

  /** Requests and open streams; a session with none is idle. */
  get busy(): boolean {
    return this.running.size > 0 || this.outsideStream.attached;
  }

  /** The name in the store says which session, and is worth nothing without the seal of a token. */
  get connectionId(): string {
    return this.id;
  }

  /** Settles what the handshake found. */
  name(caller: Caller, { token, id }: { token: string; id: string }): void {
    this.settle(caller);
    this.token = token;
    this.id = id;
  }

  holds(upstreamId: string, held: HeldAtUpstream | undefined): void {
    const { [upstreamId]: _before, ...others } = this.held;
    this.held = held === undefined ? others : { ...others, [upstreamId]: held };
    this.events.held(this);
  }

  /**
   * Takes the messages of one POST (several only in a batch) and answers it.
   *
   * @param mayStream whether the client's Accept takes a stream.
   */
  post(
    messages: readonly Message[],
    batch: boolean,
    mayStream: boolean,
    from: Beginning,
    reply: Reply,
  ): void {
    this.lastUsedAt = Date.now();
    this.admission = from.admission;
    const requests = messages.filter(({ envelope }) => envelope.kind === 'request');
    if (requests.length === 0) {
      for (const message of messages) this.incoming(message);
      reply.send(202, [], '');
      return;
    }
    const answer = new Answer(reply, {
      streamId: streamIdFor(++this.streamCount, requests.length === 1 ? idOf(requests[0] as Message) : ''),
      limits: this.limits,
      primes: this.primes,
      mayStream,
      responseCount: requests.length,
      batch,
      onStream: (stream) => this.keep(stream),
      onEnd: () => {
        if (answer.isStream) this.trim();
      },
    });
    for (const message of messages) {
      if (message.envelope.kind !== 'request') this.incoming(message);
      else this.request(message, answer, from);
    }
  }

  /** The GET stream: new, or resumed from an event. Returns an HTTP status and reason when it cannot be. */
  listen(
    reply: Reply,
    lastEventId: string | undefined,
    admission: Admission | undefined,
  ): { status: number; reason: string } | undefined {
    this.lastUsedAt = Date.now();
    this.admission = admission;
    if (lastEventId === undefined) return this.listenOutside(reply);
    const from = readEventId(lastEventId);
    const stream = from === undefined ? undefined : this.stream(from.streamId);
    // A session that was revived has numbered its events anew.
    const isKnown =
      stream !== undefined && (stream !== this.outsideStream || !this.isRevived || this.wasHeardHere);
    if (from !== undefined && isKnown && stream.canResume(from.seq)) {
      stream.attach(reply, from.seq, false);
      if (stream === this.outsideStream) this.heardOutside(reply);
      return undefined;
    }
    if (from?.streamId === OUTSIDE_ID) {
      // What was missed is not known any more: the client goes on from here, and looks again for itself.
      this.attachOutside(reply);
      this.backing.resync();
      return undefined;
    }
    const requestId = from === undefined ? undefined : requestIdOf(from.streamId);
    if (requestId !== undefined && this.running.get(requestId) === undefined) {
      // Its answer is lost; whoever waits for it hears that, and nothing runs twice.
      const lost = new EventStream(from?.streamId ?? '', this.limits);
      lost.attach(reply, 0, false);
      lost.send(binaryToBytes(errorMessage(requestId, answerLost())));
      lost.end(Date.now());
      return undefined;
    }
    // Not 404, which says that the whole session is gone.
    return {
      status: 400,
      reason: `the stream cannot be resumed from event ${JSON.stringify(lastEventId.slice(0, 80))}: it is not kept any more`,
    };
  }

  private stream(id: string): EventStream | undefined {
    return id === OUTSIDE_ID ? this.outsideStream : this.streams.get(id);
  }

  private listenOutside(reply: Reply): { status: number; reason: string } | undefined {
    if (this.outsideStream.attached)
      return { status: 409, reason: 'this session listens already; one GET stream is open' };
    this.attachOutside(reply);
    return undefined;
  }

  private attachOutside(reply: Reply): void {
    // What came while nobody listened is told now; nothing was told twice, since nobody was there.
    this.outsideStream.attach(reply, this.toldOutside, this.primes && this.toldOutside === 0);
    this.heardOutside(reply);
  }

  private heardOutside(reply: Reply): void {
    this.wasHeardHere = true;
    this.backing.listen();
    reply.onAborted(() => this.leftOutside());
  }

  /** Other plugins stand in front of the endpoint. */
  async rerouted(): Promise<void> {
    const { endpoint, admission } = this;
    const { route } = endpoint;
    if (route === undefined) return;
    const found = await admittedAgain(endpoint, admission).catch(() => undefined);
    // With yet other plugins, or another credential, somebody else is on it.
    if (endpoint.route !== route || this.admission !== admission) return;
    this.admission = found;
    if (found === undefined) this.endListening();
  }

  /** Ends the stream of what belongs to no request. What comes meanwhile is told to whoever opens the next one. */
  endListening(): void {
    if (!this.outsideStream.attached) return;
    this.outsideStream.detach();
    this.leftOutside();
  }

  private leftOutside(): void {
    this.lastUsedAt = Date.now();
    this.toldOutside = this.outsideStream.lastSeq;
  }

  toClient(message: Message, requestId: string | undefined): void {
    const running = requestId === undefined ? undefined : this.running.get(requestId);
    if (running?.way.message(message.bytes)) return;
    const { envelope } = message;
    const urgent =
      envelope.kind === 'request' ||
      envelope.method === 'notifications/message' ||
      envelope.method === 'notifications/progress';
    if (urgent && !this.outsideStream.attached) {
      // A client without a GET stream hears it on the stream of a request that is open, the newest first.
      for (const [, { way }] of this.running.toArray().reverse()) if (way.message(message.bytes)) return;
    }
    this.outsideStream.send(message.bytes);
  }

  protected outside(bytes: Buffer): void {
    this.outsideStream.send(bytes);
  }

  protected ended({ method }: LegacyRequest<Answer>, errorCode: number): void {
    if (errorCode !== 0) this.events.error(this, method, errorCode);
  }

  end(reason: string): void {
    this.events.ended(this, reason);
  }

  /** Comments on idle streams, and streams that nobody will resume any more. */
  tick(now: number, keepAliveMs: number): void {
    // The newest credential counts; with it the client has to open the stream anew.
    if (this.admission !== undefined && hasExpired(this.admission, now)) this.endListening();
    this.outsideStream.keepAlive(now, keepAliveMs);
    for (const [, { way, startedAt }] of this.running.toArray()) way.keepAlive(now, keepAliveMs, startedAt);
    for (const [id, stream] of this.streams) {
      if (stream.hasEnded && now - stream.endedAt > RESUMABLE_MS) this.streams.delete(id);
    }
  }

  protected release(): void {
    const now = Date.now();
    this.outsideStream.end(now);
    for (const stream of this.streams.values()) stream.end(now);
    this.streams.clear();
  }

  private keep(stream: EventStream): void {
    // One of them is the stream of what belongs to no request.
    if (this.streams.size >= MAX_STREAM_COUNT - 1) {
      for (const [id, old] of this.streams) {
        if (!old.hasEnded) continue;
        this.streams.delete(id);
        break;
      }
    }
    this.streams.set(stream.id, stream);
  }

  /** All streams that have ended hold back no more than one may: the oldest go first. */
  private trim(): void {
    let bytes = 0;
    for (const [id, stream] of [...this.streams].reverse()) {
      if (!stream.hasEnded) continue;
      bytes += stream.heldBytes;
      if (bytes > this.limits.replayBytes) this.streams.delete(id);
    }
  }

  private get primes(): boolean {
    return this.caller.revision >= '2025-11-25';
  }
}

function answerLost(): RpcError {
  return new RpcError(
    ErrorCode.UpstreamLost,
    'the node that had the answer is gone, or does not keep it any more; the request may have run',
  );
}
