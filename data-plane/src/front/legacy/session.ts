/**
 * One session of a legacy client (revisions up to 2025-11-25): its streams, its requests under way, and the
 * endpoint's side of it.
 */
import { type Caller, Cancellation, type Exchange } from '../../exchange/exchange.js';
import type { Reply } from '../../listener/listener.js';
import { ErrorCode, errorMessage, RpcError } from '../../protocol/errors.js';
import { idKey, idKeyOf } from '../../protocol/ids.js';
import { methodRow } from '../../protocol/methods.js';
import type { Span } from '../../protocol/scan.js';
import { binaryToBytes } from '../../protocol/text.js';
import type { Message } from '../../protocol/translate.js';
import type { HeldAtUpstream } from '../../sessions/store.js';
import type { Endpoint, HeldBefore, LegacyBacking, LegHost } from '../endpoint.js';
import { Answer } from './answer.js';
import {
  EventStream,
  readEventId,
  requestIdOf,
  SSE_HEADERS,
  type StreamLimits,
  streamIdFor,
} from './stream.js';

/** Streams that one session keeps for resumption; the oldest that has ended goes first. */
const MAX_STREAM_COUNT = 32;
/** Requests of one session under way. */
const MAX_SESSION_REQUEST_COUNT = 1_000;
/** How long a finished stream can be resumed. */
const RESUMABLE_MS = 5 * 60_000;

/** The stream of what belongs to no request. */
const OUTSIDE_ID = 'g';

interface Running {
  readonly answer: Answer;
  readonly cancellation: Cancellation;
  readonly startedAt: number;
  readonly method: string;
}

type Headers = Exchange['headers'];

export interface LegacySessionEvents {
  ended(session: LegacySession, reason: string): void;
  /** A request was answered with an error. */
  error(method: string, code: number): void;
  /** What it holds at upstreams has changed. */
  held(session: LegacySession): void;
}

export class LegacySession implements LegHost {
  caller: Caller;
  readonly beganAt = Date.now();
  lastUsedAt = this.beganAt;
  private readonly backing: LegacyBacking;
  private readonly running = new Map<string, Running>();
  private readonly streams = new Map<string, EventStream>();
  private streamCount = 0;
  /** Messages outside requests; kept from the start, so that nothing is lost before the client listens. */
  private readonly outside: EventStream;
  private closed = false;
  /** The sealed token that the client holds, and the name of the session in the store; set by the handshake. */
  token = '';
  id = '';
  held: Readonly<Record<string, HeldAtUpstream>> = {};
  /** It began at another worker: what its streams said there is not known here. */
  private readonly isRevived: boolean;
  /** Set when nothing new comes any more: called when the session is closed. */
  private retired: (() => void) | undefined;

  constructor(
    readonly endpoint: Endpoint,
    caller: Caller,
    private readonly limits: StreamLimits,
    private readonly events: LegacySessionEvents,
    /** What it held where it was before, when it began at another worker. */
    private readonly before?: HeldBefore,
  ) {
    this.caller = caller;
    this.isRevived = before !== undefined;
    this.outside = new EventStream(OUTSIDE_ID, limits);
    this.streams.set(OUTSIDE_ID, this.outside);
    this.backing = endpoint.openLegacy(this);
  }

  /** Requests and open streams; a session with none is idle. */
  get busy(): boolean {
    return this.running.size > 0 || this.outside.attached;
  }

  /** Rejects when the session was closed meanwhile: what was opened for it then belongs to nobody any more. */
  async initialize(params: string, requestedRevision: string): Promise<string> {
    const result = await this.backing.initialize(params, requestedRevision, this.before);
    if (!this.closed) return result;
    this.backing.close();
    throw new RpcError(ErrorCode.SessionNotFound, 'the session has ended');
  }

  /** Settles what the handshake found. */
  settle(caller: Caller, { token, id }: { token: string; id: string }): void {
    this.caller = caller;
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
    headers: Headers,
    reply: Reply,
  ): void {
    this.lastUsedAt = Date.now();
    const requests = messages.filter(({ envelope }) => envelope.kind === 'request');
    if (requests.length === 0) {
      for (const message of messages) this.incoming(message);
      reply.send(202, [], '');
      return;
    }
    const ids: string[] = [];
    const answer = new Answer(reply, {
      streamId: streamIdFor(++this.streamCount, requests.length === 1 ? idText(requests[0] as Message) : ''),
      limits: this.limits,
      primes: this.primes,
      mayStream,
      responseCount: requests.length,
      batch,
      onStream: (stream) => this.keep(stream),
      onEnd: () => {
        for (const id of ids) if (this.running.get(id)?.answer === answer) this.running.delete(id);
        if (answer.isStream) this.trim();
      },
    });
    for (const message of messages) {
      if (message.envelope.kind !== 'request') this.incoming(message);
      else {
        const id = idText(message);
        ids.push(id);
        this.request(message, id, answer, headers);
      }
    }
  }

  private request(message: Message, id: string, answer: Answer, headers: Headers): void {
    const refuse = (code: number, text: string) =>
      answer.response(binaryToBytes(errorMessage(id, new RpcError(code, text))));
    if (this.running.has(id)) {
      refuse(
        ErrorCode.InvalidRequest,
        `the id ${id} is that of a request under way; every request needs an id of its own`,
      );
      return;
    }
    if (this.running.size >= MAX_SESSION_REQUEST_COUNT) {
      refuse(
        ErrorCode.Overloaded,
        `this session has ${MAX_SESSION_REQUEST_COUNT} requests under way, as many as it may`,
      );
      return;
    }
    const { method } = message.envelope;
    const cancellation = new Cancellation();
    this.running.set(id, { answer, cancellation, startedAt: Date.now(), method });
    const exchange: Exchange = {
      row: methodRow(method),
      bytes: message.bytes,
      envelope: message.envelope,
      caller: this.caller,
      headers,
      cancellation,
      notify: (bytes) => {
        if (!answer.message(bytes)) this.outside.send(bytes);
      },
    };
    this.backing.request(exchange).then(
      (outcome) => {
        if (outcome.errorCode !== 0) this.events.error(method, outcome.errorCode);
        this.finish(id, answer, outcome.bytes);
      },
      (thrown: unknown) => {
        const error = RpcError.from(thrown);
        if (!cancellation.cancelled) this.events.error(method, error.code);
        // A cancelled request gets no response (basic/utilities/cancellation); its stream has to end all the same.
        this.finish(id, answer, binaryToBytes(errorMessage(id, error)));
      },
    );
  }

  private finish(id: string, answer: Answer, bytes: Buffer): void {
    if (this.running.get(id)?.answer === answer) this.running.delete(id);
    this.lastUsedAt = Date.now();
    answer.response(bytes);
    if (this.retired !== undefined && this.running.size === 0) this.close();
  }

  private incoming(message: Message): void {
    const { envelope } = message;
    if (envelope.kind !== 'notification') {
      this.backing.response(message);
      return;
    }
    if (envelope.method === 'notifications/cancelled' && envelope.requestId !== undefined) {
      const id = idKey(message.bytes, envelope.requestId);
      const running = this.running.get(id);
      // `initialize` is never cancelled (basic/utilities/cancellation, "Behavior Requirements").
      if (running !== undefined && running.method !== 'initialize') running.cancellation.cancel();
      return;
    }
    this.backing.notification(message);
  }

  /** The GET stream: new, or resumed from an event. Returns an HTTP status and reason when it cannot be. */
  listen(reply: Reply, lastEventId: string | undefined): { status: number; reason: string } | undefined {
    this.lastUsedAt = Date.now();
    if (lastEventId === undefined) return this.listenOutside(reply);
    const from = readEventId(lastEventId);
    const stream = from === undefined ? undefined : this.streams.get(from.streamId);
    // A session that was revived has numbered its events anew.
    const isKnown = stream !== undefined && (stream !== this.outside || !this.isRevived || this.wasHeardHere);
    if (from !== undefined && isKnown && stream.canResume(from.seq)) {
      stream.attach(reply, SSE_HEADERS, from.seq, false);
      if (stream === this.outside) this.heardOutside(reply);
      return undefined;
    }
    if (from?.streamId === OUTSIDE_ID) {
      // What was missed is not known any more: the client goes on from here, and looks again for itself.
      this.attachOutside(reply);
      this.backing.resync();
      return undefined;
    }
    const requestId = from === undefined ? undefined : requestIdOf(from.streamId);
    if (requestId !== undefined && !this.running.has(idKeyOf(requestId))) {
      // Its answer is lost; whoever waits for it hears that, and nothing runs twice.
      const lost = new EventStream(from?.streamId ?? '', this.limits);
      lost.attach(reply, SSE_HEADERS, 0, false);
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

  private listenOutside(reply: Reply): { status: number; reason: string } | undefined {
    if (this.outside.attached)
      return { status: 409, reason: 'this session listens already; one GET stream is open' };
    this.attachOutside(reply);
    return undefined;
  }

  private attachOutside(reply: Reply): void {
    // What came while nobody listened is told now; nothing was told twice, since nobody was there.
    this.outside.attach(reply, SSE_HEADERS, this.toldOutside, this.primes && this.toldOutside === 0);
    this.heardOutside(reply);
  }

  private heardOutside(reply: Reply): void {
    this.wasHeardHere = true;
    this.backing.listen();
    reply.onAborted(() => this.leftOutside());
  }

  private wasHeardHere = false;
  private toldOutside = 0;

  private leftOutside(): void {
    this.lastUsedAt = Date.now();
    this.toldOutside = this.outside.lastSeq;
  }

  toClient(message: Message, requestId: string | undefined): void {
    const running = requestId === undefined ? undefined : this.running.get(idKeyOf(requestId));
    if (running?.answer.message(message.bytes)) return;
    const { envelope } = message;
    const urgent =
      envelope.kind === 'request' ||
      envelope.method === 'notifications/message' ||
      envelope.method === 'notifications/progress';
    if (urgent && !this.outside.attached) {
      // A client without a GET stream hears it on the stream of a request that is open, the newest first.
      for (const { answer } of [...this.running.values()].reverse())
        if (answer.message(message.bytes)) return;
    }
    this.outside.send(message.bytes);
  }

  end(reason: string): void {
    this.events.ended(this, reason);
  }

  /** Comments on idle streams, and streams that nobody will resume any more. */
  tick(now: number, keepAliveMs: number): void {
    this.outside.keepAlive(now, keepAliveMs);
    for (const running of this.running.values())
      running.answer.keepAlive(now, keepAliveMs, running.startedAt);
    for (const [id, stream] of this.streams) {
      if (stream.hasEnded && now - stream.endedAt > RESUMABLE_MS) this.streams.delete(id);
    }
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.backing.close();
    for (const [id, { answer, cancellation }] of [...this.running]) {
      cancellation.cancel();
      answer.response(
        binaryToBytes(errorMessage(id, new RpcError(ErrorCode.SessionNotFound, 'the session has ended'))),
      );
    }
    this.running.clear();
    const now = Date.now();
    for (const stream of this.streams.values()) stream.end(now);
    this.streams.clear();
    this.retired?.();
  }

  /** Closes it when the requests under way have ended; the client reaches it no more. */
  retire(): Promise<void> {
    return new Promise((resolve) => {
      this.retired = resolve;
      if (this.running.size === 0) this.close();
    });
  }

  private keep(stream: EventStream): void {
    if (this.streams.size >= MAX_STREAM_COUNT) {
      for (const [id, old] of this.streams) {
        if (old === this.outside || !old.hasEnded) continue;
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

function idText({ bytes, envelope }: Message): string {
  return idKey(bytes, envelope.id as Span);
}
