/**
 * An endpoint with the plugins of its route in front: every request of every client goes through the chain, in
 * whatever era it came. The endpoint behind does not know.
 */
import type { Json, JsonObject, Target } from '@sluice/sdk';
import {
  Exchange as ChainExchange,
  Outcome as ChainOutcome,
  type Handler,
  type Known,
  Refusal,
  type Route,
  THE_GATEWAY,
} from '@sluice/sdk/engine';
import { type Admission, type Exchange, hasExpired, type Outcome } from '../exchange/exchange.js';
import type { Endpoint, LegacyBacking, LegHost } from '../front/endpoint.js';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import type { Message } from '../protocol/translate.js';
import type { Sealer } from '../sessions/seal.js';
import type { Tally } from '../telemetry/tally.js';
import { ASKING_METHODS } from '../upstream/parked/parked-calls.js';
import { ChainedLegacy } from './chained-legacy.js';
import { tellingClient } from './notifications.js';
import { type ClientQuestions, PluginCall, type Send } from './plugin-call.js';
import { Rounds } from './rounds.js';
import { type RoutedEndpoint, UNAVAILABLE_META } from './routed-endpoint.js';
import { stdioArrival } from './stdio-arrival.js';

/** The plugins of a route, ready to be used; a request keeps those with which it began. */
export interface Passage {
  readonly route: Route;
  readonly handle: Handler<Known, ChainOutcome>;
}

/** The plugins of a route on the way to whatever endpoint uses them. */
export function passageOf(route: Route | undefined): Passage | undefined {
  if (route === undefined) return undefined;
  return { route, handle: route.to((allowed) => (allowed.call as PluginCall).route(allowed)) };
}

/** What the requests of one legacy session have in common. */
export interface InSession {
  readonly backing: LegacyBacking;
  readonly questions: ClientQuestions;
}

export class ChainedEndpoint implements Endpoint {
  private passage: Passage | undefined;
  /** Where its requests are counted, while there is something to compare them with. */
  tally: Tally | undefined;

  constructor(
    readonly inner: RoutedEndpoint,
    /** Seals what plugins asked and were told while the client has it. */
    readonly sealer: Sealer,
  ) {}

  get path(): string {
    return this.inner.path;
  }

  get label(): string {
    return this.inner.label;
  }

  get route(): Route | undefined {
    return this.passage?.route;
  }

  /** Swaps the plugins, between two requests. */
  use(passage: Passage | undefined): void {
    this.passage = passage;
  }

  modern(exchange: Exchange): Promise<Outcome> {
    const { inner } = this;
    return this.through(exchange, (own) => inner.modern(own));
  }

  modernNotification(message: Message): void {
    this.inner.modernNotification(message);
  }

  openLegacy(host: LegHost): LegacyBacking {
    return new ChainedLegacy(this, host);
  }

  /**
   * The way of one request through the plugins to whoever answers it.
   *
   * @param session that of a legacy client in which it is made
   */
  through(exchange: Exchange, send: Send, session?: InSession): Promise<Outcome> {
    const { passage } = this;
    // Without plugins nothing was found out and nothing is decided.
    if (passage === undefined) return send(exchange, undefined as never);
    return pass(passage, this, exchange, send, session);
  }
}

async function pass(
  { route, handle }: Passage,
  endpoint: ChainedEndpoint,
  asCame: Exchange,
  send: Send,
  session: InSession | undefined,
): Promise<Outcome> {
  const { inner } = endpoint;
  let { admission } = asCame;
  if (admission === undefined || admission.route !== route) {
    const found = await admittedHere(route, inner, asCame);
    if (found instanceof Refusal) return refused(inner, asCame, found);
    admission = found;
  }
  if (hasExpired(admission, Date.now())) {
    route.refused(admission.arrival, EXPIRED);
    return refused(inner, asCame, EXPIRED);
  }
  let targets: readonly Target[] = [];
  let unresolved: unknown;
  try {
    const found = inner.resolve(asCame);
    targets = found instanceof Promise ? await found : found;
  } catch (thrown) {
    unresolved = thrown;
  }
  const rounds = route.asks ? roundsOf(route, endpoint, asCame, admission, targets) : undefined;
  const call = new PluginCall(
    rounds?.exchange ?? asCame,
    admission.arrival,
    targets,
    (own, allowed) => {
      if (unresolved !== undefined) return Promise.reject(unresolved);
      if (rounds?.fault !== undefined) return Promise.reject(rounds.fault);
      // A subscription lives long enough to see other plugins come.
      const isLong = call.method === 'subscriptions/listen';
      if (!isLong && !route.watchesNotifications) return send(own, allowed);
      const routeThen = () => (isLong ? endpoint.route : route);
      return send({ ...own, notify: tellingClient(routeThen, allowed, inner, asCame) }, allowed);
    },
    inner,
    route.authorizes ? withoutHints : undefined,
    session?.backing,
    rounds ?? session?.questions,
  );
  const known = ChainExchange.identified(call, admission.admitted);
  const handled = handle(known);
  const came = handled instanceof Promise ? await handled : handled;
  return call.answer(forThisCaller(route, known, came, rounds));
}

/** A client without a session comes again with its answers; undefined for others, and for what asks nobody. */
function roundsOf(
  { bindings }: Route,
  { sealer, path }: ChainedEndpoint,
  exchange: Exchange,
  { admitted }: Admission,
  targets: readonly Target[],
): Rounds | undefined {
  const { caller, envelope } = exchange;
  if (caller.era !== 'modern' || !ASKING_METHODS.has(envelope.method)) return undefined;
  const askers = bindings.filter(({ reads }) => reads.includes('ask')).map(({ name }) => name);
  return new Rounds({ sealer, path, principal: admitted.identity.id, targets, askers }, exchange);
}

const EXPIRED = new Refusal(
  'unauthenticated',
  'the credential of this connection has expired; begin a new one',
  { by: THE_GATEWAY },
);

const SOMEBODY_ELSE = new Refusal(
  'unauthenticated',
  'the credential of this connection stands for somebody else by now; begin a new one',
  { by: THE_GATEWAY },
);

/**
 * On a transport that has no HTTP request around its messages each of them is looked at by itself, with the header
 * fields that the process was started with. What other plugins have found out is found out anew, and has to be the same.
 */
async function admittedHere(
  route: Route,
  { path }: RoutedEndpoint,
  { headers, admission }: Exchange,
): Promise<Admission | Refusal> {
  const arrival = admission?.arrival ?? stdioArrival(path, headers);
  const admitted = await route.admit(arrival);
  if (admitted instanceof Refusal) return admitted;
  const isSame = admission === undefined || admitted.identity.id === admission.admitted.identity.id;
  if (isSame) return { route, arrival, admitted };
  route.refused(arrival, SOMEBODY_ELSE);
  return SOMEBODY_ELSE;
}

function refused(inner: RoutedEndpoint, exchange: Exchange, refusal: Refusal): Outcome {
  const nowhere = { headers: {} } as never;
  const call = new PluginCall(exchange, nowhere, [], () => Promise.reject(refusal), inner);
  return call.answer(ChainOutcome.ofRefusal(refusal));
}

/** Suggestions would name what the caller may not even know of. */
function withoutHints(thrown: unknown): unknown {
  if (!(thrown instanceof RpcError) || thrown.code !== ErrorCode.InvalidParams) return thrown;
  const [plain = ''] = thrown.message.split(/; did you mean |: say one of /);
  return plain === thrown.message ? thrown : new RpcError(thrown.code, plain, thrown.data);
}

/** What plugins made of a caller's attributes is for that caller alone, whatever the upstream says of its answer. */
function forThisCaller(
  route: Route,
  known: Known,
  came: ChainOutcome,
  rounds: Rounds | undefined,
): ChainOutcome {
  const input = route.watchesInput ? inputRefusal(route, known, came, rounds) : undefined;
  if (input !== undefined) return ChainOutcome.ofRefusal(input);
  const { method } = known.call;
  if (!route.setsCallersApart || method === 'tools/call' || came.errorCode !== 0) return came;
  const { result } = came;
  if (result === undefined) return came;
  const own: Record<string, Json | undefined> = { ...result };
  if (result.cacheScope === 'public') own.cacheScope = 'private';
  // Names of upstreams, whatever the caller may use there.
  const isTold =
    route.authorizes && (result._meta as JsonObject | undefined)?.[UNAVAILABLE_META] !== undefined;
  if (isTold) own._meta = { ...(result._meta as JsonObject), [UNAVAILABLE_META]: undefined };
  return isTold || own.cacheScope !== result.cacheScope ? came.withResult(own) : came;
}

/** A modern server asks in its result (2026-07-28, basic/patterns/mrtr). */
function inputRefusal(
  route: Route,
  known: Known,
  came: ChainOutcome,
  rounds: Rounds | undefined,
): Refusal | undefined {
  if (came.kind !== 'input_required') return undefined;
  const asked = came.result?.inputRequests;
  for (const [key, request] of Object.entries(
    (asked ?? {}) as Record<string, { method?: unknown; params?: unknown }>,
  )) {
    // What a plugin asks is not asked by a server.
    if (rounds?.isOwnKey(key)) continue;
    const said = route.input(known, {
      method: String(request.method),
      params: (request.params ?? {}) as never,
    });
    if (said !== undefined) return said;
  }
  return undefined;
}
