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
} from '@sluice/sdk/engine';
import { type Admission, type Exchange, hasExpired, type Outcome } from '../exchange/exchange.js';
import type { Endpoint, LegacyBacking, LegHost } from '../front/endpoint.js';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import type { Message } from '../protocol/translate.js';
import { ChainedLegacy } from './chained-legacy.js';
import { tellingClient } from './notifications.js';
import { PluginCall, type Send } from './plugin-call.js';
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

export class ChainedEndpoint implements Endpoint {
  private passage: Passage | undefined;

  constructor(readonly inner: RoutedEndpoint) {}

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
   * @param backing the session of a legacy client in which it is made
   */
  through(exchange: Exchange, send: Send, backing?: LegacyBacking): Promise<Outcome> {
    const { passage } = this;
    // Without plugins nothing was found out and nothing is decided.
    if (passage === undefined) return send(exchange, undefined as never);
    return pass(passage, this, exchange, send, backing);
  }
}

async function pass(
  { route, handle }: Passage,
  endpoint: ChainedEndpoint,
  asCame: Exchange,
  send: Send,
  backing: LegacyBacking | undefined,
): Promise<Outcome> {
  const { inner } = endpoint;
  let { admission } = asCame;
  if (admission === undefined || admission.route !== route) {
    const found = await admittedHere(route, inner, asCame);
    if (found instanceof Refusal) return refused(inner, asCame, found);
    admission = found;
  }
  if (hasExpired(admission, Date.now())) return refused(inner, asCame, EXPIRED);
  let targets: readonly Target[] = [];
  let unresolved: unknown;
  try {
    const found = inner.resolve(asCame);
    targets = found instanceof Promise ? await found : found;
  } catch (thrown) {
    unresolved = thrown;
  }
  const call = new PluginCall(
    asCame,
    admission.arrival,
    targets,
    (own, allowed) => {
      if (unresolved !== undefined) return Promise.reject(unresolved);
      // A subscription lives long enough to see other plugins come.
      const isLong = call.method === 'subscriptions/listen';
      if (!isLong && !route.watchesNotifications) return send(own, allowed);
      const routeThen = () => (isLong ? endpoint.route : route);
      return send({ ...own, notify: tellingClient(routeThen, allowed, inner, asCame) }, allowed);
    },
    inner,
    route.authorizes ? withoutHints : undefined,
    backing,
  );
  const known = ChainExchange.identified(call, admission.admitted);
  const handled = handle(known);
  const came = handled instanceof Promise ? await handled : handled;
  return call.answer(forThisCaller(route, known, came));
}

const EXPIRED = new Refusal(
  'unauthenticated',
  'the credential of this connection has expired; begin a new one',
);

const SOMEBODY_ELSE = new Refusal(
  'unauthenticated',
  'the credential of this connection stands for somebody else by now; begin a new one',
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
  return isSame ? { route, arrival, admitted } : SOMEBODY_ELSE;
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
function forThisCaller(route: Route, known: Known, came: ChainOutcome): ChainOutcome {
  const input = route.watchesInput ? inputRefusal(route, known, came) : undefined;
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
function inputRefusal(route: Route, known: Known, came: ChainOutcome): Refusal | undefined {
  if (came.kind !== 'input_required') return undefined;
  const asked = came.result?.inputRequests;
  for (const request of Object.values(
    (asked ?? {}) as Record<string, { method?: unknown; params?: unknown }>,
  )) {
    const said = route.input(known, {
      method: String(request.method),
      params: (request.params ?? {}) as never,
    });
    if (said !== undefined) return said;
  }
  return undefined;
}
