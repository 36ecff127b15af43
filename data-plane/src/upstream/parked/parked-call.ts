/**
 * A call to a legacy upstream that may ask back in the middle. To the modern client every round of questions ends a
 * request; to the upstream it is one call all along. Nothing here does I/O: it is told what happened and says what
 * is to be sent.
 */
import { ErrorCode, errorMessage, RpcError, resultMessage } from '../../protocol/errors.js';
import type { Envelope, Span } from '../../protocol/scan.js';
import { binaryOf, jsonBinary, parsed } from '../../protocol/text.js';
import { Undeclared } from '../../protocol/undeclared.js';
import type { UpstreamReply } from '../call.js';
import type { ChannelSink } from '../channel.js';
import type { Holding } from './parked-account.js';

/** Asks that come within this time form one round: a legacy upstream does not say which is the last. */
const QUIET_MS = 20;
/** Notifications kept while nobody listens; older ones go first. */
const MAX_KEPT_NOTIFICATION_COUNT = 256;
const MAX_KEPT_BYTES = 1024 * 1024;
/**
 * How often an upstream that gave an ask a progress token is told that its client is still being asked. Requests of
 * the official SDK give up after 60 s without a sign of life.
 */
export const HOLD_OPEN_MS = 15_000;
/** Asks of one call that wait for answers; one more is refused. */
const MAX_OPEN_ASK_COUNT = 64;

/** What may be asked for, and the capability that a client declares for it. */
const CAPABILITY_OF: Readonly<Record<string, string>> = {
  'elicitation/create': 'elicitation',
  'sampling/createMessage': 'sampling',
  'roots/list': 'roots',
};

const ASKED_TOO_LATE = new RpcError(ErrorCode.InvalidRequest, 'the call that asked has been answered');

/** How a call stands when its client's request ends: it has ended itself, or it wants to know something. */
export type Standing =
  | { readonly kind: 'ended'; readonly reply: UpstreamReply }
  | {
      readonly kind: 'asks';
      readonly round: number;
      readonly inputRequests: Readonly<Record<string, unknown>>;
    };

export interface ParkedCallHost {
  /** Sends an answer or refusal to the upstream (binary text). */
  post(text: string): void;
  /** Ends the call at the upstream. */
  abort(): void;
  /** While the call waits for its client, who may be a person, the upstream may be silent for as long as it takes. */
  patient(waits: boolean): void;
  /** The client is about to be asked, and its call to wait. Returns why it may not. */
  park(): RpcError | undefined;
  /** The call has ended. `answered`: by a response, after which the upstream has nothing more to say about it. */
  over(answered: boolean): void;
  /** What it keeps while nobody listens. */
  readonly holding: Holding;
}

interface Ask {
  /** Its id at the upstream (JSON text). */
  readonly id: string;
  /** Its progress token (JSON text), where the upstream gave one. */
  readonly token: string | undefined;
  readonly bytes: number;
  readonly request: { readonly method: string; readonly params?: unknown };
}

interface Waiter {
  readonly notify: (bytes: Buffer, envelope: Envelope) => void;
  resolve(standing: Standing): void;
  reject(error: RpcError): void;
}

export class ParkedCall implements ChannelSink {
  private readonly asks = new Map<string, Ask>();
  private askCount = 0;
  private readonly kept: { bytes: Buffer; envelope: Envelope }[] = [];
  private keptBytes = 0;
  private waiter: Waiter | undefined = undefined;
  private quiet: NodeJS.Timeout | undefined = undefined;
  private holdOpen: NodeJS.Timeout | undefined = undefined;
  private progress = 0;
  private outcome: UpstreamReply | RpcError | undefined = undefined;
  private readonly undeclared = new Undeclared();
  /** Rounds that have been asked. */
  round = 0;

  constructor(
    readonly host: ParkedCallHost,
    /** What the client declared; undefined where its request may not be answered by a question. */
    private readonly capabilities: Readonly<Record<string, unknown>> | undefined,
  ) {}

  get ended(): boolean {
    return this.outcome !== undefined;
  }

  /** Waits until the call has ended or asks. Notifications that came meanwhile are told first. One may wait at a time. */
  stand(notify: Waiter['notify']): Promise<Standing> {
    this.host.holding.give(this.keptBytes);
    this.keptBytes = 0;
    for (const { bytes, envelope } of this.kept.splice(0)) notify(bytes, envelope);
    return new Promise((resolve, reject) => {
      this.waiter = { notify, resolve, reject };
      if (this.outcome !== undefined) this.settle();
      else if (this.asks.size > 0) this.listenOn();
    });
  }

  /**
   * Gives the upstream the answers of a round. Answers to what was not asked are ignored; what is not answered is
   * asked again (2026-07-28, basic/patterns/mrtr, "Error Handling").
   *
   * @throws RpcError -32602 when an answer has not the shape of one; nothing is given on then.
   */
  answer(responses: Readonly<Record<string, unknown>>): void {
    const given = [...this.asks].filter(([key]) => Object.hasOwn(responses, key));
    for (const [key, { request }] of given) checkAnswer(key, request.method, responses[key]);
    for (const [key, ask] of given) {
      this.close(key, ask);
      this.host.post(resultMessage(ask.id, jsonBinary(responses[key])));
    }
  }

  /** Nobody will come back: the upstream is told, and so is whoever waits. */
  end(error: RpcError): void {
    if (this.outcome !== undefined) return;
    this.host.abort();
    this.failed(error);
  }

  message(bytes: Buffer, envelope: Envelope): void {
    if (this.outcome !== undefined) return;
    if (envelope.kind === 'request') this.asked(bytes, envelope);
    else if (envelope.kind === 'notification') this.notified(bytes, envelope);
    else this.conclude({ bytes, envelope });
  }

  failed(error: RpcError): void {
    if (this.outcome === undefined) this.conclude(error);
  }

  private asked(bytes: Buffer, envelope: Envelope): void {
    const span = envelope.id as Span;
    const id = bytes.latin1Slice(span.start, span.end);
    const { method } = envelope;
    if (method === 'ping') {
      this.host.post(resultMessage(id, '{}'));
      return;
    }
    const asIs = envelope.params === undefined ? undefined : parsed(bytes, envelope.params);
    const capability = CAPABILITY_OF[method];
    const refusal = capability === undefined ? 'is not known' : this.refusalOf(method, asIs);
    if (refusal !== undefined) {
      this.host.post(errorMessage(id, new RpcError(ErrorCode.MethodNotFound, `${method} ${refusal}`)));
      return;
    }
    const { holding } = this.host;
    if (!holding.take(bytes.length)) {
      this.end(holding.account.bytesError());
      return;
    }
    const request = asIs === undefined ? { method } : { method, params: withoutLegacy(asIs) };
    const token =
      envelope.metaProgressToken === undefined ? undefined : binaryOf(bytes, envelope.metaProgressToken);
    this.asks.set(`${capability}-${++this.askCount}`, { id, token, bytes: bytes.length, request });
    if (this.asks.size === 1) this.host.patient(true);
    if (token !== undefined) this.holdOpen ??= setInterval(() => this.tellProgress(), HOLD_OPEN_MS).unref();
    this.listenOn();
  }

  /** Why the client is not asked this; the server may get along without. */
  private refusalOf(method: string, params: unknown): string | undefined {
    if (this.capabilities === undefined)
      return 'may be asked during tools/call, prompts/get and resources/read only';
    if (this.asks.size >= MAX_OPEN_ASK_COUNT) return 'waits behind too many others';
    return this.undeclared.allows(method, params, this.capabilities)
      ? undefined
      : 'of this kind was not declared by the client';
  }

  /** Each ask that came with a token is told that it is being answered (2025-11-25, basic/utilities/progress). */
  private tellProgress(): void {
    this.progress++;
    for (const { token } of this.asks.values()) {
      if (token === undefined) continue;
      this.host.post(
        `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":${token},"progress":${this.progress}}}`,
      );
    }
  }

  /** An ask is answered or taken back. After the last of them silence counts again. */
  private close(key: string, { bytes }: Ask): void {
    this.asks.delete(key);
    this.host.holding.give(bytes);
    if (this.asks.size > 0) return;
    this.stopHolding();
    this.host.patient(false);
  }

  private stopHolding(): void {
    clearInterval(this.holdOpen);
    this.holdOpen = undefined;
  }

  /** The quiet window begins anew with each ask. */
  private listenOn(): void {
    clearTimeout(this.quiet);
    if (this.waiter === undefined) return;
    this.quiet = setTimeout(() => this.ask(), QUIET_MS);
  }

  private ask(): void {
    const { waiter } = this;
    if (waiter === undefined || this.asks.size === 0 || this.outcome !== undefined) return;
    const refusal = this.host.park();
    if (refusal !== undefined) {
      this.end(refusal);
      return;
    }
    this.waiter = undefined;
    const inputRequests = Object.fromEntries([...this.asks].map(([key, { request }]) => [key, request]));
    waiter.resolve({ kind: 'asks', round: ++this.round, inputRequests });
  }

  private notified(bytes: Buffer, envelope: Envelope): void {
    if (envelope.method === 'notifications/cancelled' && envelope.requestId !== undefined) {
      const id = bytes.latin1Slice(envelope.requestId.start, envelope.requestId.end);
      for (const [key, ask] of this.asks) if (ask.id === id) this.close(key, ask);
      return;
    }
    if (this.waiter !== undefined) {
      this.waiter.notify(bytes, envelope);
      return;
    }
    this.keep(bytes, envelope);
  }

  private keep(bytes: Buffer, envelope: Envelope): void {
    const { kept } = this;
    const size = bytes.length;
    while (
      kept.length > 0 &&
      (kept.length >= MAX_KEPT_NOTIFICATION_COUNT || this.keptBytes + size > MAX_KEPT_BYTES)
    )
      this.dropOldest();
    if (size > MAX_KEPT_BYTES) return;
    while (!this.host.holding.take(size)) {
      if (kept.length === 0) return;
      this.dropOldest();
    }
    // A copy: what came may be a small part of a large buffer.
    kept.push({ bytes: Buffer.from(bytes), envelope });
    this.keptBytes += size;
  }

  private dropOldest(): void {
    const size = this.kept.shift()?.bytes.length ?? 0;
    this.keptBytes -= size;
    this.host.holding.give(size);
  }

  private conclude(ending: UpstreamReply | RpcError): void {
    const answered = !(ending instanceof RpcError);
    const outcome = answered ? (this.undeclared.errorFor(ending) ?? ending) : ending;
    clearTimeout(this.quiet);
    this.stopHolding();
    for (const { id, bytes } of this.asks.values()) {
      this.host.holding.give(bytes);
      if (answered) this.host.post(errorMessage(id, ASKED_TOO_LATE));
    }
    this.asks.clear();
    const { holding } = this.host;
    const tooMuch =
      this.waiter === undefined && !(outcome instanceof RpcError) && !holding.take(outcome.bytes.length);
    this.outcome = tooMuch ? holding.account.bytesError() : outcome;
    this.host.over(answered);
    this.settle();
  }

  private settle(): void {
    const { waiter, outcome } = this;
    if (waiter === undefined || outcome === undefined) return;
    this.waiter = undefined;
    if (outcome instanceof RpcError) waiter.reject(outcome);
    else waiter.resolve({ kind: 'ended', reply: outcome });
  }
}

/** `elicitationId` is of 2025-11-25 only; a progress token of the upstream means nothing to the client. */
function withoutLegacy(params: unknown): unknown {
  if (typeof params !== 'object' || params === null) return params;
  const { elicitationId: _, _meta: meta, ...rest } = params as Record<string, unknown>;
  if (typeof meta !== 'object' || meta === null) return rest;
  const { progressToken: __, ...kept } = meta as Record<string, unknown>;
  return Object.keys(kept).length === 0 ? rest : { ...rest, _meta: kept };
}

/** Shapes of 2026-07-28: ElicitResult, CreateMessageResult, ListRootsResult. */
function checkAnswer(key: string, method: string, answer: unknown): void {
  const value = (typeof answer === 'object' && answer !== null ? answer : undefined) as
    | Record<string, unknown>
    | undefined;
  const good =
    value !== undefined &&
    (method === 'elicitation/create'
      ? ['accept', 'decline', 'cancel'].includes(value.action as string)
      : method === 'roots/list'
        ? Array.isArray(value.roots)
        : typeof value.role === 'string' && value.content !== undefined);
  if (!good) {
    throw new RpcError(
      ErrorCode.InvalidParams,
      `\`params.inputResponses[${JSON.stringify(key.slice(0, 80))}]\` is not a result of ${method}`,
    );
  }
}
