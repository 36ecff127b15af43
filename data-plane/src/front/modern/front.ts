/**
 * The modern front (specification 2026-07-28, basic/transports/streamable-http): every POST is one exchange, its
 * headers must say what its body says, and a client that goes away has cancelled.
 */
import { type Admission, Cancellation, type Exchange, hasExpired } from '../../exchange/exchange.js';
import { OpenSet, type Slotted } from '../../exchange/open-set.js';
import type { Reply, RequestHead } from '../../listener/listener.js';
import { ErrorCode, errorMessage, type HttpHead, RpcError } from '../../protocol/errors.js';
import { methodRow } from '../../protocol/methods.js';
import { MODERN_REVISION } from '../../protocol/revisions.js';
import type { Envelope } from '../../protocol/scan.js';
import { SSE_COMMENT, sseEvent } from '../../protocol/sse.js';
import { binaryOf, binaryToBytes, stringOf } from '../../protocol/text.js';
import { decodeHeaderValue } from '../../routing/param-headers.js';
import type { WorkerAddress } from '../../sessions/node-bus.js';
import { ParkedElsewhere } from '../../sessions/parked-elsewhere.js';
import { admittedAgain, isUnchanged } from '../admitted-again.js';
import type { Endpoint } from '../endpoint.js';
import { accepts, JSON_HEADERS, refuse, SSE_HEADERS } from '../http-answers.js';
import { callerOf, checkBody, Refusal, statusOf, subscriptionEnd, unsupported } from '../modern-body.js';

export interface ModernFrontOptions {
  /** Time between two comments on an idle stream, as it is now: it may change while the gateway runs. */
  readonly keepAliveMs: () => number;
  /** Hands a request over to another worker; false when nobody is there. */
  readonly forward: (worker: WorkerAddress, head: RequestHead, body: Buffer, reply: Reply) => boolean;
}

/** Called once when an exchange has ended: for metrics. */
export type OnExchangeEnd = (method: string, status: number, errorCode: number) => void;

/** How often idle streams are looked after, at most and at least; a shorter setting is noticed within the longer. */
const LEAST_TICK_MS = 100;
const MOST_TICK_MS = 5_000;

export class ModernFront {
  private readonly open = new OpenSet<ModernAnswer>();
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly options: ModernFrontOptions) {
    this.waitForKeepAlive();
  }

  private waitForKeepAlive(): void {
    const delayMs = Math.min(
      MOST_TICK_MS,
      Math.max(LEAST_TICK_MS, Math.floor(this.options.keepAliveMs() / 2)),
    );
    this.timer = setTimeout(() => this.keepAlive(), delayMs).unref();
  }

  get openCount(): number {
    return this.open.size;
  }

  close(): void {
    clearTimeout(this.timer);
  }

  /** Ends long streams (subscriptions), those of one endpoint or all, so that nobody waits for them. */
  endStreams(endpoint?: Endpoint): void {
    for (const answer of this.open.toArray())
      if (endpoint === undefined || answer.endpoint === endpoint) answer.endStream();
  }

  /** Other plugins stand in front of an endpoint: its subscriptions go on for those who may still have them. */
  rerouted(endpoint: Endpoint): void {
    for (const answer of this.open.toArray()) if (answer.endpoint === endpoint) void answer.rerouted();
  }

  /** Takes a message that was read already. `reply` is answered now or later. */
  request(
    endpoint: Endpoint,
    head: RequestHead,
    bytes: Buffer,
    envelope: Envelope,
    reply: Reply,
    onEnd: OnExchangeEnd,
  ): void {
    const id = envelope.id === undefined ? undefined : binaryOf(bytes, envelope.id);
    const fault = this.check(head, bytes, envelope);
    if (fault !== undefined) {
      refuse(reply, fault.status, fault.code, fault.message, id, fault.data);
      onEnd(envelope.method, fault.status, fault.code);
      return;
    }
    if (envelope.kind === 'notification') {
      endpoint.modernNotification({ bytes, envelope });
      reply.send(202, [], '');
      onEnd(envelope.method, 202, 0);
      return;
    }
    const answer = new ModernAnswer(
      this.open,
      endpoint,
      head.admission,
      reply,
      envelope.method,
      id as string,
      accepts(head.headers.accept, 'text/event-stream'),
      onEnd,
    );
    const exchange: Exchange = {
      row: methodRow(envelope.method),
      bytes,
      envelope,
      caller: callerOf(bytes, envelope, head.principal),
      headers: head.headers,
      admission: head.admission,
      decidedFor: undefined,
      cancellation: answer.cancellation,
      notify: (message) => answer.notify(message),
    };
    endpoint.modern(exchange).then(
      (outcome) => answer.end(outcome.bytes, outcome.errorCode, outcome.http),
      (thrown: unknown) => {
        const { forward } = this.options;
        // Which worker has the call is in its state; after a restart there may be fewer.
        if (
          thrown instanceof ParkedElsewhere &&
          answer.canBeReleased &&
          forward(thrown.worker, head, bytes, reply)
        ) {
          answer.release();
          return;
        }
        const error = RpcError.from(thrown);
        answer.end(binaryToBytes(errorMessage(answer.id, error)), error.code);
      },
    );
  }

  private keepAlive(): void {
    this.waitForKeepAlive();
    const now = Date.now();
    const keepAliveMs = this.options.keepAliveMs();
    for (const answer of this.open.toArray()) {
      answer.endExpired(now);
      answer.keepAlive(now, keepAliveMs);
    }
  }

  /** Everything that a modern request must say, and say the same in header and body ("Server Validation"). */
  private check(head: RequestHead, bytes: Buffer, envelope: Envelope): Refusal | undefined {
    if (envelope.kind === 'result' || envelope.kind === 'error') {
      return new Refusal(
        400,
        ErrorCode.InvalidRequest,
        `clients of ${MODERN_REVISION} send no responses; answers to an input request go into \`inputResponses\``,
      );
    }
    const { headers } = head;
    const said = headers['mcp-protocol-version'];
    if (envelope.kind === 'notification') {
      // No core notification exists over HTTP and their headers are not defined; an extension's is taken as it is.
      return said !== undefined && said !== MODERN_REVISION ? unsupported(said) : undefined;
    }
    return (
      this.checkVersion(said, bytes, envelope) ??
      checkBody(bytes, envelope) ??
      this.checkHeaders(headers, bytes, envelope)
    );
  }

  private checkVersion(said: string | undefined, bytes: Buffer, envelope: Envelope): Refusal | undefined {
    const version = stringOf(bytes, envelope.metaVersion);
    if (version === undefined)
      return said !== undefined && said !== MODERN_REVISION ? unsupported(said) : undefined;
    if (said === undefined)
      return mismatch(`the header MCP-Protocol-Version is missing; the body says ${JSON.stringify(version)}`);
    return said === version
      ? undefined
      : mismatch(
          `the header MCP-Protocol-Version says ${JSON.stringify(said)}, the body ${JSON.stringify(version)}`,
        );
  }

  private checkHeaders(
    headers: RequestHead['headers'],
    bytes: Buffer,
    envelope: Envelope,
  ): Refusal | undefined {
    const method = headers['mcp-method'];
    if (method === undefined)
      return mismatch(`the header Mcp-Method is missing; the body says ${JSON.stringify(envelope.method)}`);
    if (method !== envelope.method)
      return mismatch(
        `the header Mcp-Method says ${JSON.stringify(method)}, the body ${JSON.stringify(envelope.method)}`,
      );
    if (envelope.method === 'subscriptions/listen' && !accepts(headers.accept, 'text/event-stream')) {
      return new Refusal(
        406,
        ErrorCode.InvalidRequest,
        'the header Accept must take text/event-stream: what a subscription tells comes as a stream',
      );
    }
    return this.checkName(headers, bytes, envelope);
  }

  private checkName(headers: RequestHead['headers'], bytes: Buffer, envelope: Envelope): Refusal | undefined {
    const field = methodRow(envelope.method)?.nameHeader;
    if (field === undefined) return undefined;
    const name = stringOf(bytes, field === 'name' ? envelope.name : envelope.uri);
    const said = headers['mcp-name'];
    if (said === undefined)
      return mismatch(`the header Mcp-Name is missing; the body says ${JSON.stringify(name)}`);
    const decoded = decodeHeaderValue(said);
    if (decoded === undefined)
      return mismatch('the header Mcp-Name holds characters that a header cannot carry');
    if (decoded !== name)
      return mismatch(
        `the header Mcp-Name says ${JSON.stringify(decoded)}, the body ${JSON.stringify(name)}`,
      );
    return undefined;
  }
}

function mismatch(what: string): Refusal {
  return new Refusal(400, ErrorCode.HeaderMismatch, `Header mismatch: ${what}`);
}

/** The answer to one modern POST: JSON when only the response comes, else a stream from the first notification on. */
class ModernAnswer implements Slotted {
  slot = -1;
  readonly cancellation = new Cancellation();
  private streaming = false;
  private ended = false;
  private lastWriteAt = Date.now();

  constructor(
    private readonly registry: OpenSet<ModernAnswer>,
    readonly endpoint: Endpoint,
    private admission: Admission | undefined,
    private readonly reply: Reply,
    private readonly method: string,
    readonly id: string,
    private readonly mayStream: boolean,
    private readonly onEnd: OnExchangeEnd,
  ) {
    registry.add(this);
    reply.onAborted(() => {
      if (this.ended) return;
      this.ended = true;
      this.registry.delete(this);
      // Closing the stream is the cancellation ("Cancellation"). 499 is what nginx calls it.
      this.onEnd(this.method, 499, 0);
      this.cancellation.cancel();
    });
  }

  notify(message: Buffer): void {
    if (this.ended || !this.mayStream) return;
    this.begin();
    this.reply.write(sseEvent(message));
    this.lastWriteAt = Date.now();
  }

  end(message: Buffer, errorCode: number, http?: HttpHead): void {
    if (this.ended) return;
    this.ended = true;
    this.registry.delete(this);
    const status = this.streaming ? 200 : (http?.status ?? statusOf(errorCode));
    if (this.streaming) {
      this.reply.write(sseEvent(message));
      this.reply.end();
    } else if (http === undefined) this.reply.send(status, JSON_HEADERS, message);
    else this.reply.send(status, [...JSON_HEADERS, ...http.headers], message);
    this.onEnd(this.method, status, errorCode);
  }

  get canBeReleased(): boolean {
    return !this.ended && !this.streaming;
  }

  /** Leaves the reply to somebody else. */
  release(): void {
    this.ended = true;
    this.registry.delete(this);
    this.onEnd(this.method, 200, 0);
  }

  keepAlive(now: number, intervalMs: number): void {
    if (this.ended || !this.mayStream || now - this.lastWriteAt < intervalMs) return;
    this.begin();
    this.reply.write(SSE_COMMENT);
    this.lastWriteAt = now;
  }

  /** A subscription that the server ends gets a response (basic/patterns/subscriptions, "Graceful Closure"). */
  endStream(): void {
    if (this.method !== 'subscriptions/listen' || this.ended) return;
    this.end(subscriptionEnd(this.id), 0);
    this.cancellation.cancel();
  }

  /** Other plugins stand in front of the endpoint. */
  async rerouted(): Promise<void> {
    const { endpoint, admission } = this;
    const { route } = endpoint;
    if (this.method !== 'subscriptions/listen' || this.ended || route === undefined) return;
    const found = await admittedAgain(endpoint, admission).catch(() => undefined);
    // With yet other plugins somebody else is on it.
    if (endpoint.route !== route) return;
    if (found === undefined || !isUnchanged(admission, found)) this.endStream();
    else this.admission = found;
  }

  /** What is still to come would be for a caller whose credential counts no more. */
  endExpired(now: number): void {
    if (this.admission !== undefined && hasExpired(this.admission, now)) this.endStream();
  }

  private begin(): void {
    if (this.streaming) return;
    this.streaming = true;
    this.reply.begin(200, SSE_HEADERS);
  }
}
