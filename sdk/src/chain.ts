/**
 * The engine: layers become one function, outermost first. Types carry what has been established, so what needs an
 * identity cannot stand in front of the stage that finds it, and the router is out of reach without a permit.
 */
import { Admitted, type Arrival, type Exchange } from './exchange.js';
import { ANONYMOUS, type Identity } from './identity.js';
import { Outcome } from './outcome.js';
import type { Decision, MaybePromise } from './plugin.js';
import { Refusal } from './refusal.js';
import { addRefusal, THE_GATEWAY } from './remarks.js';

export type Handler<In, Out> = (input: In) => MaybePromise<Out>;
export type Layer<In, Out> = (next: Handler<In, Out>) => Handler<In, Out>;

export type Known = Exchange<'identity'>;
export type Allowed = Exchange<'identity' | 'permit'>;

/** What plugins contribute to one route, by phase, in the order of the configuration. */
export interface Stages {
  /** Phases record and door, around finding out who calls. */
  readonly admission: readonly Layer<Arrival, Identity | Refusal>[];
  readonly identify: readonly Handler<Arrival, Identity | Refusal | undefined>[];
  /** What a caller without a credential is told. */
  readonly unknown: (arrival: Arrival) => Refusal;
  /** Phases record, door and identity, around everything that a request goes through. */
  readonly outer: readonly Layer<Known, Outcome>[];
  readonly decide: readonly Handler<Known, Decision>[];
  /** Phases decision (what they do beside deciding), limit, shape and cache. */
  readonly inner: readonly Layer<Allowed, Outcome>[];
}

export interface Chain {
  /** Who calls; once for each HTTP request and each connection. */
  readonly admit: Handler<Arrival, Admitted | Refusal>;
  /** The way of one request to the router. */
  readonly to: (router: Handler<Allowed, Outcome>) => Handler<Known, Outcome>;
}

export function compileChain(stages: Stages): Chain {
  const find = around(stages.admission, identity(stages.identify, stages.unknown));
  return {
    admit: (arrival) =>
      after(find(arrival), (found) => (found instanceof Refusal ? found : Admitted.as(found))),
    to: (router) => around(stages.outer, decision(stages.decide)(around(stages.inner, router))),
  };
}

function around<In, Out>(layers: readonly Layer<In, Out>[], innermost: Handler<In, Out>): Handler<In, Out> {
  return layers.reduceRight((next, layer) => layer(next), innermost);
}

/** The first that knows the credential says who calls. Where nobody is asked, everybody is anonymous. */
function identity(
  identify: Stages['identify'],
  unknown: Stages['unknown'],
): Handler<Arrival, Identity | Refusal> {
  if (identify.length === 0) return () => ANONYMOUS;
  const from = (arrival: Arrival, index: number): MaybePromise<Identity | Refusal> => {
    const ask = identify[index];
    if (ask === undefined) return unknown(arrival);
    return after(ask(arrival), (found) => found ?? from(arrival, index + 1));
  };
  return (arrival) => from(arrival, 0);
}

/** One refusal refuses; without a permit nothing passes. Where nobody decides, everything does. */
function decision(decide: Stages['decide']): (next: Handler<Allowed, Outcome>) => Handler<Known, Outcome> {
  return (next) => {
    if (decide.length === 0) return (exchange) => next(permitted(exchange));
    const from = (exchange: Known, index: number, isPermitted: boolean): MaybePromise<Outcome> => {
      const ask = decide[index];
      if (ask === undefined)
        return isPermitted ? next(permitted(exchange)) : Outcome.ofRefusal(undecided(exchange));
      return after(ask(exchange), (said) =>
        said instanceof Refusal
          ? Outcome.ofRefusal(said)
          : from(exchange, index + 1, isPermitted || said === 'permit'),
      );
    };
    return (exchange) => from(exchange, 0, false);
  };
}

function undecided({ call }: Known): Refusal {
  const refusal = new Refusal('forbidden', `nothing permits ${call.method} here`, { by: THE_GATEWAY });
  addRefusal(call, refusal);
  return refusal;
}

function permitted(exchange: Known): Allowed {
  return exchange as Allowed;
}

/** `then` without a turn of the event loop where there is nothing to wait for. */
export function after<T, U>(value: MaybePromise<T>, use: (value: T) => MaybePromise<U>): MaybePromise<U> {
  return value instanceof Promise ? value.then(use) : use(value);
}
