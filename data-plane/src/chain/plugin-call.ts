/** One request as plugins see it, over its bytes: nothing is parsed that nobody reads. */
import type { Changes, Json, JsonObject, MaybePromise, Target } from '@sluice/sdk';
import {
  type Allowed,
  type Answered,
  type Arrival,
  type Call,
  Outcome as ChainOutcome,
  type Client,
  entryTargets,
  frozen,
  type Question,
  Refusal,
  unaskable,
} from '@sluice/sdk/engine';
import type { Exchange, Outcome } from '../exchange/exchange.js';
import type { LegacyBacking } from '../front/endpoint.js';
import { errorMessage, RpcError, resultMessage } from '../protocol/errors.js';
import { type Span, scanMessage } from '../protocol/scan.js';
import { addMember, binaryOf, binaryToBytes, jsonBinary, parsed, replace } from '../protocol/text.js';
import { rewritten } from '../protocol/translate.js';
import { ParkedElsewhere } from '../sessions/parked-elsewhere.js';
import type { RoutedEndpoint } from './routed-endpoint.js';

const whole = (thrown: unknown) => thrown;

const NO_PARAMS: JsonObject = Object.freeze({});

/** Sends a request on; rejects with an RpcError, or with whatever says that another worker has to do it. */
export type Send = (exchange: Exchange, allowed: Allowed) => Promise<Outcome>;

/** How plugins ask the client of a request. */
export interface ClientQuestions {
  ask(exchange: Exchange, by: string, question: Question, changes: Changes): Promise<Answered | ChainOutcome>;
  /** What the upstream answered, as the client may have it. */
  carried(outcome: Outcome): Outcome;
}

export class PluginCall implements Call {
  private entryTarget: Call['targetOf'] | undefined;
  private readParams: JsonObject | undefined;
  private aborter: AbortController | undefined;
  private elsewhere: ParkedElsewhere | undefined;
  private isSent = false;

  constructor(
    private readonly exchange: Exchange,
    readonly arrival: Arrival,
    readonly targets: readonly Target[],
    private readonly send: Send,
    private readonly endpoint: RoutedEndpoint,
    /** What of an error the caller is told. */
    private readonly told: (thrown: unknown) => unknown = whole,
    /** The session of a legacy client in which it is made. */
    private readonly backing?: LegacyBacking | undefined,
    private readonly questions?: ClientQuestions | undefined,
  ) {}

  targetOf(entry: JsonObject): Target | undefined {
    const { endpoint, exchange } = this;
    this.entryTarget ??= entryTargets(this.method, (exposed, kind) =>
      endpoint.locate(exposed, kind, exchange.caller),
    );
    return this.entryTarget(entry);
  }

  definition(target: Target): MaybePromise<JsonObject | undefined> {
    const { caller } = this.exchange;
    return this.backing?.definition === undefined
      ? this.endpoint.definition(target, caller)
      : this.backing.definition(target, caller);
  }

  get method(): string {
    return this.exchange.envelope.method;
  }

  get params(): JsonObject {
    if (this.readParams === undefined) {
      const { bytes, envelope } = this.exchange;
      const value =
        envelope.params === undefined ? NO_PARAMS : (parsed(bytes, envelope.params) as JsonObject);
      this.readParams = frozen(value);
    }
    return this.readParams;
  }

  get paramsJson(): string {
    const { bytes, envelope } = this.exchange;
    return envelope.params === undefined
      ? '{}'
      : bytes.toString('utf8', envelope.params.start, envelope.params.end);
  }

  get client(): Call['client'] {
    return new CallClient(this.exchange.caller);
  }

  get revision(): string {
    return this.exchange.caller.revision;
  }

  get session(): string | undefined {
    return this.exchange.session;
  }

  get signal(): AbortSignal {
    if (this.aborter === undefined) {
      const aborter = new AbortController();
      this.aborter = aborter;
      this.exchange.cancellation.onCancel({ cancel: () => aborter.abort() });
    }
    return this.aborter.signal;
  }

  async ask(by: string, question: Question, changes: Changes): Promise<Answered | ChainOutcome> {
    // The client would come again, and what has run would run twice.
    if (this.isSent) throw new TypeError(`plugin ${by} asks after next(); ask before it`);
    const { questions } = this;
    const why = questions === undefined ? 'nobody can be asked here' : unaskable(question, this);
    if (why !== undefined || questions === undefined) throw new Refusal('forbidden', why as string);
    return questions.ask(this.exchange, by, question, changes);
  }

  /** The router at the end of the chain. Never rejects: what went wrong is an outcome for the layers to see. */
  async route(allowed: Allowed): Promise<ChainOutcome> {
    this.isSent = true;
    try {
      const sent = await this.send(changed(this.exchange, allowed.changes, this.targets), allowed);
      const { bytes, errorCode, result } = this.questions?.carried(sent) ?? sent;
      return ChainOutcome.ofResponse(bytes, errorCode, result ?? placeOfResult);
    } catch (thrown) {
      const { code, message, data } = RpcError.from(this.told(thrown));
      const error = { code, message, data: data as Json | undefined };
      if (!(thrown instanceof ParkedElsewhere)) return ChainOutcome.ofError(error);
      this.elsewhere = thrown;
      return ChainOutcome.handedOver(error);
    }
  }

  /** The outcome on the wire. Rejects when another worker has to do all of it. */
  answer(outcome: ChainOutcome): Outcome {
    if (this.elsewhere !== undefined) throw this.elsewhere;
    const { refusal, headers, errorCode } = outcome;
    const http =
      refusal === undefined && headers.length === 0 ? undefined : { status: refusal?.status, headers };
    return { bytes: (outcome.bytes as Buffer | undefined) ?? this.serialised(outcome), errorCode, http };
  }

  private serialised(outcome: ChainOutcome): Buffer {
    const { bytes, envelope } = this.exchange;
    const id = binaryOf(bytes, envelope.id as Span);
    const { error, resultJson } = outcome;
    if (error !== undefined) {
      return binaryToBytes(errorMessage(id, new RpcError(error.code, error.message, error.data)));
    }
    return binaryToBytes(resultMessage(id, Buffer.from(resultJson as string).latin1Slice()));
  }
}

/** What a client says about itself, parsed when it is read. */
class CallClient implements Client {
  private parsed: { name?: string; version?: string } | undefined;

  constructor(private readonly caller: Exchange['caller']) {}

  get name(): string | undefined {
    return this.info?.name;
  }

  get version(): string | undefined {
    return this.info?.version;
  }

  get capabilities(): JsonObject {
    return jsonOf(this.caller.capabilities) as JsonObject;
  }

  private get info(): { name?: string; version?: string } | undefined {
    const { clientInfo } = this.caller;
    if (clientInfo !== undefined) this.parsed ??= jsonOf(clientInfo) as object;
    return this.parsed;
  }
}

function jsonOf(binary: string): unknown {
  return JSON.parse(Buffer.from(binary, 'latin1').toString());
}

/** Where the way that the answer came by has not said where its result is. */
function placeOfResult(response: Uint8Array): Span {
  const bytes = Buffer.from(response.buffer, response.byteOffset, response.byteLength);
  return scanMessage(bytes).result as Span;
}

/** The request with what plugins changed, for what they decided about. */
function changed(exchange: Exchange, changes: Allowed['changes'], targets: readonly Target[]): Exchange {
  // In place: nearly every request comes by here, and nobody but the router reads it.
  exchange.decidedFor = targets.length === 0 ? undefined : targets;
  exchange.ownHeaders = changes.headers;
  if (changes.arguments === undefined) return exchange;
  const { bytes, envelope } = exchange;
  const text = jsonBinary(changes.arguments);
  const edit =
    envelope.arguments === undefined
      ? addMember(bytes, envelope.params as Span, 'arguments', text)
      : replace(envelope.arguments, text);
  // What the client's header fields repeat of the arguments is no longer what they are.
  return {
    ...exchange,
    ...rewritten(bytes, envelope, [edit]),
    headers: withoutMirrored(exchange.headers),
    bodyOnly: true,
  };
}

function withoutMirrored(headers: Exchange['headers']): Exchange['headers'] {
  const others: Record<string, string | undefined> = Object.create(null);
  for (const name in headers) if (!name.startsWith('mcp-')) others[name] = headers[name];
  return others;
}
