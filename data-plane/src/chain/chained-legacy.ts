/** A legacy client's session with the plugins of its endpoint in front: both ways, and its beginning and end. */
import type { MaybePromise } from '@sluice/sdk';
import { Admitted, after, Exchange as ChainExchange, type Known, Refusal } from '@sluice/sdk/engine';
import { type Admission, Cancellation, type Exchange, type Outcome } from '../exchange/exchange.js';
import type { HeldBefore, LegacyBacking, LegHost } from '../front/endpoint.js';
import { errorMessage, RpcError, resultMessage } from '../protocol/errors.js';
import { methodRow } from '../protocol/methods.js';
import { type Span, scanMessage } from '../protocol/scan.js';
import { binaryOf, binaryToBytes } from '../protocol/text.js';
import type { Message } from '../protocol/translate.js';
import type { HeldAtUpstream } from '../sessions/store.js';
import type { ChainedEndpoint, InSession } from './chained-endpoint.js';
import { forClient, pastPlugins } from './notifications.js';
import { PluginCall } from './plugin-call.js';
import { SessionQuestions } from './session-questions.js';

/** The id of a handshake that goes through the chain by itself. */
const HANDSHAKE_ID = '0';
const RESOURCE_UPDATED = 'notifications/resources/updated';
const NOBODY = new Refusal('unauthenticated', 'it is not known whom this asks');

export class ChainedLegacy implements LegacyBacking, LegHost, InSession {
  readonly backing: LegacyBacking;
  readonly questions: SessionQuestions;
  private hasBegun = false;
  /** Who began it, where no transport says who has it by now. */
  private beganBy: Pick<Admission, 'arrival' | 'admitted'> | undefined;

  constructor(
    private readonly endpoint: ChainedEndpoint,
    private readonly host: LegHost,
  ) {
    this.backing = endpoint.inner.openLegacy(this);
    this.questions = new SessionQuestions(host);
  }

  // What the client's side is asked for by the endpoint's.

  get caller() {
    return this.host.caller;
  }

  get admission() {
    return this.host.admission;
  }

  get headers() {
    return this.host.headers;
  }

  get sessionName() {
    return this.host.sessionName;
  }

  toClient(message: Message, requestId: string | undefined): void {
    void after(this.passed(message), (passed) => {
      if (passed !== undefined) this.host.toClient(passed, requestId);
    });
  }

  holds(upstreamId: string, held: HeldAtUpstream | undefined): void {
    this.host.holds(upstreamId, held);
  }

  end(reason: string): void {
    this.host.end(reason);
  }

  // What the endpoint's side is asked for by the client's.

  async initialize(params: string, requestedRevision: string, before?: HeldBefore): Promise<string> {
    // A client that goes on at another worker has been let in, and each of its requests is looked at.
    if (before !== undefined) {
      this.hasBegun = true;
      return this.backing.initialize(params, requestedRevision, before);
    }
    const bytes = binaryToBytes(
      `{"jsonrpc":"2.0","id":${HANDSHAKE_ID},"method":"initialize","params":${params}}`,
    );
    const outcome = await this.endpoint.through(this.exchangeOf(bytes), async (_, allowed) => {
      const refusal = await this.endpoint.route?.sessionStart(allowed);
      if (refusal instanceof Refusal) throw errorOf(refusal);
      this.hasBegun = true;
      if (this.endpoint.route !== undefined)
        this.beganBy = { arrival: allowed.call.arrival, admitted: Admitted.as(allowed.identity) };
      const result = await this.backing.initialize(params, requestedRevision);
      return { bytes: binaryToBytes(resultMessage(HANDSHAKE_ID, result)), errorCode: 0 };
    });
    const { result } = scanMessage(outcome.bytes);
    if (result !== undefined) return binaryOf(outcome.bytes, result);
    const { error } = JSON.parse(outcome.bytes.toString()) as {
      error: { code: number; message: string; data?: unknown };
    };
    throw new RpcError(error.code, error.message, error.data, { http: outcome.http });
  }

  request(exchange: Exchange): Promise<Outcome> {
    const { backing } = this;
    return this.endpoint.through(exchange, (own) => backing.request(own), this);
  }

  notification(message: Message): void {
    const { route } = this.endpoint;
    if (!route?.watchesNotifications) return this.backing.notification(message);
    const own = ownBytes(message);
    const known = this.known(own);
    const bytes = known === undefined ? undefined : pastPlugins(route, known, 'to upstream', own);
    if (bytes !== undefined) this.backing.notification({ bytes, envelope: scanMessage(bytes) });
  }

  response(message: Message): void {
    if (!this.questions.response(message)) this.backing.response(message);
  }

  listen(): void {
    this.backing.listen();
  }

  resync(): void {
    this.backing.resync();
  }

  close(): void {
    const { sessionName } = this.host;
    if (this.hasBegun && sessionName !== undefined) this.endpoint.route?.sessionEnd(sessionName);
    this.questions.close();
    this.backing.close();
  }

  /** A message of the server that is no response, as it may reach the client. */
  private passed(message: Message): MaybePromise<Message | undefined> {
    const { route } = this.endpoint;
    if (route === undefined) return message;
    const { envelope } = message;
    const isAsk = envelope.kind === 'request';
    const isWatched = isAsk
      ? route.watchesInput
      : route.watchesNotifications || (route.authorizes && envelope.method === RESOURCE_UPDATED);
    if (!isWatched) return message;
    const own = ownBytes(message);
    const known = this.known(own);
    // Without anybody who has it, nobody can say who may hear it.
    if (known === undefined) return isAsk ? this.refused(message, NOBODY) : undefined;
    if (isAsk) {
      const { method, params } = JSON.parse(own.toString()) as { method: string; params?: object };
      const refusal = route.input(known, { method, params: (params ?? {}) as never });
      return refusal === undefined ? message : this.refused(message, refusal);
    }
    return after(forClient(route, known, this.endpoint.inner, this.host, own), (bytes) =>
      bytes === undefined ? undefined : { bytes, envelope: scanMessage(bytes) },
    );
  }

  /** Answers an ask in place of the client. */
  private refused({ bytes, envelope }: Message, refusal: Refusal): undefined {
    const id = binaryOf(bytes, envelope.id as Span);
    const answer = binaryToBytes(errorMessage(id, errorOf(refusal)));
    this.backing.response({ bytes: answer, envelope: scanMessage(answer) });
    return undefined;
  }

  /** Whom a message outside of requests belongs to; undefined where nobody was asked. */
  private known(bytes: Buffer): Known | undefined {
    const admission = this.host.admission ?? this.beganBy;
    if (admission === undefined) return undefined;
    const nowhere = () => Promise.reject(new Error('a message that is no request goes nowhere'));
    const call = new PluginCall(this.exchangeOf(bytes), admission.arrival, [], nowhere, this.endpoint.inner);
    return ChainExchange.identified(call, admission.admitted);
  }

  private exchangeOf(bytes: Buffer): Exchange {
    const envelope = scanMessage(bytes);
    const { caller, admission, headers, sessionName } = this.host;
    return {
      row: methodRow(envelope.method),
      bytes,
      envelope,
      caller,
      headers,
      admission,
      session: sessionName,
      cancellation: new Cancellation(),
      notify: () => undefined,
    };
  }
}

function ownBytes({ bytes, envelope }: Message): Buffer {
  return bytes.subarray(envelope.start, envelope.end);
}

function errorOf({ code, message, details, status }: Refusal): RpcError {
  return new RpcError(code, message, details.data, { http: { status, headers: details.headers ?? [] } });
}
