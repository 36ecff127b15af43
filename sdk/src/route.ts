/** The plugins of one endpoint as one thing: what the gateway calls at each point of a request's life. */

import { answerOf } from './answers.js';
import type { Binding } from './binding.js';
import { type Allowed, after, type Chain, compileChain, type Known, type Layer } from './chain.js';
import type { Arrival, Target } from './exchange.js';
import type { JsonObject } from './identity.js';
import { listOf, listRow } from './lists.js';
import type { Outcome } from './outcome.js';
import { PHASES, type Phase } from './phases.js';
import type {
  Decision,
  HeadControl,
  InputRequest,
  MaybePromise,
  Notification,
  PageAnswer,
} from './plugin.js';
import { givenBy, Refusal } from './refusal.js';
import { THE_GATEWAY } from './remarks.js';

export interface Route extends Chain {
  readonly bindings: readonly Binding[];
  /** What it was compiled for, see {@link compileRoute}. */
  readonly edition: string;
  /** Whose endpoint it leads to; undefined for the operator's. */
  readonly tenant: string | undefined;
  /** True where somebody asks who calls. */
  readonly authenticates: boolean;
  /** True where somebody decides what the caller may do. */
  readonly authorizes: boolean;
  /** True when an answer may differ between callers because of what plugins read; it is then never public. */
  readonly setsCallersApart: boolean;
  /** True when somebody wants to see heads, and where they come from. */
  readonly watchesHeads: boolean;
  readonly readsAddress: boolean;
  readonly watchesNotifications: boolean;
  readonly watchesInput: boolean;
  /** True when somebody may ask the client. */
  readonly asks: boolean;
  head(arrival: Arrival, control: HeadControl): Refusal | PageAnswer | undefined;
  /** Tells whoever records that a caller was refused outside of `admit` and of any exchange. */
  refused(arrival: Arrival, refusal: Refusal): void;
  notification(exchange: Known, notification: Notification): JsonObject | 'drop' | undefined;
  input(exchange: Known, request: InputRequest): Refusal | undefined;
  /** Whether the caller may use something beside what the exchange is about; true where nobody decides. */
  permits(exchange: Known, target: Target, method: string): MaybePromise<boolean>;
  sessionStart(exchange: Known): MaybePromise<Refusal | undefined>;
  sessionEnd(session: string): void;
}

/**
 * Compiles a route of bindings in the order of the configuration; phases decide the rest.
 *
 * @param edition a text that is another one when what the route leads to is another; a part of every `view`.
 * @param tenant whose endpoint it leads to; undefined for the operator's.
 */
export function compileRoute(inOrder: readonly Binding[], edition = '', tenant?: string): Route {
  const bindings = [...inOrder].sort(
    (a, b) => PHASES.indexOf(a.plugin.phase) - PHASES.indexOf(b.plugin.phase),
  );
  const of = (...phases: readonly Phase[]) => bindings.filter(({ plugin }) => phases.includes(plugin.phase));
  const identifiers = bindings.filter(({ hooks }) => hooks.identify !== undefined);
  const deciders = decidersOf(bindings);
  const around = (some: readonly Binding[]) =>
    some.map((each) => each.around(bindings, edition)).filter(isThere);
  const chain = compileChain({
    admission: of('record', 'door')
      .map((each) => each.admission())
      .filter(isThere),
    identify: identifiers.map((each) => each.identify(tenant)).filter(isThere),
    unknown: (arrival) => unknownCaller(identifiers, arrival),
    outer: around(of('record', 'door', 'identity')),
    decide: deciders.map(({ binding, below }) => binding.decide(below)).filter(isThere),
    inner: [
      ...(deciders.length === 0 ? [] : [decidedEntries(deciders)]),
      ...around(of('decision', 'limit', 'shape', 'cache')),
    ],
  });
  const heads = bindings.filter(({ hooks }) => hooks.head !== undefined);
  const notified = bindings.filter(({ hooks }) => hooks.notification !== undefined);
  const asked = bindings.filter(({ hooks }) => hooks.input !== undefined);
  const recorders = of('record').filter(({ hooks }) => hooks.refused !== undefined);
  const refused = (arrival: Arrival, refusal: Refusal) => {
    for (const binding of recorders)
      now(binding, 'refused', () => binding.hooks.refused?.(binding.early(arrival), refusal));
  };
  return {
    ...chain,
    bindings,
    edition,
    tenant,
    authenticates: identifiers.length > 0,
    authorizes: deciders.length > 0,
    setsCallersApart: bindings.some((each) => each.setsCallersApart && each.callerReads.length > 0),
    watchesHeads: heads.length > 0,
    readsAddress: bindings.some(({ reads }) => reads.includes('address')),
    watchesNotifications: notified.length > 0,
    watchesInput: asked.length > 0,
    asks: bindings.some(({ reads }) => reads.includes('ask')),
    refused,
    head(arrival, control) {
      for (const binding of heads) {
        const said = now(binding, 'head', () =>
          answerOf.head(binding.hooks.head?.(binding.early(arrival), control)),
        );
        if (said === undefined) continue;
        if (!(said instanceof Refusal)) return said;
        const refusal = givenBy(binding.name, said);
        refused(arrival, refusal);
        return refusal;
      }
      return undefined;
    },
    notification(exchange, notification) {
      let { params } = notification;
      for (const binding of notified) {
        const said = now(binding, 'notification', () =>
          binding.notified(exchange, { ...notification, params }),
        );
        if (said === 'drop' || said instanceof Refusal) return 'drop';
        if (said !== undefined) params = said;
      }
      return params === notification.params ? undefined : params;
    },
    input(exchange, request) {
      for (const binding of asked) {
        const said = now(binding, 'input', () =>
          answerOf.refusal(binding.hooks.input?.(binding.full(exchange), request)),
        );
        if (said !== undefined) return said;
      }
      return undefined;
    },
    permits(exchange, target, method) {
      return deciders.length === 0 || decided(deciders, exchange, { target, method, isAside: true });
    },
    async sessionStart(exchange) {
      for (const binding of bindings) {
        const said = await binding.run(
          'sessionStart',
          () => after(binding.hooks.sessionStart?.(binding.full(exchange)), answerOf.refusal),
          () => undefined,
        );
        if (said !== undefined) return binding.refused(exchange, said);
      }
      return undefined;
    },
    sessionEnd(session) {
      for (const binding of bindings)
        void binding.run(
          'sessionEnd',
          () => binding.hooks.sessionEnd?.(session),
          () => undefined,
        );
    },
  };
}

/** Runs a hook that cannot wait. */
function now<T>(binding: Binding, hook: string, call: () => T | undefined): T | Refusal | undefined {
  const said = binding.run<T | undefined>(hook, call, () => undefined);
  if (!(said instanceof Promise)) return said;
  return new Refusal('failed', `plugin ${binding.name}: the hook ${hook} cannot wait`);
}

interface Decider {
  readonly binding: Binding;
  /** What the names of upstreams begin with that it may permit. */
  readonly below: string;
}

/** Where the operator decides too, what a tenant permits is the tenant's own, and what is the operator's is not. */
function decidersOf(bindings: readonly Binding[]): readonly Decider[] {
  const all = bindings.filter(({ hooks }) => hooks.decide !== undefined);
  const isOperators = all.some(({ tenant }) => tenant === undefined);
  return all.map((binding) => ({
    binding,
    below: isOperators && binding.tenant !== undefined ? `${binding.tenant}/` : '',
  }));
}

/** A list shows what the caller may use: each entry is decided as its use would be. */
function decidedEntries(deciders: readonly Decider[]): Layer<Allowed, Outcome> {
  return (next) => (exchange) => {
    const row = listRow(exchange.call.method);
    if (row === undefined) return next(exchange);
    return after(next(exchange), (came) => {
      const list = listOf(exchange.call, row, came);
      if (list === undefined) return came;
      const said = list.known.map(({ target }) =>
        decided(deciders, exchange, { target, method: row.usedBy, isAside: true }),
      );
      const pick = (all: readonly boolean[]) => list.with(list.known.filter((_, index) => all[index]));
      const isWaiting = said.some((each) => each instanceof Promise);
      return isWaiting ? Promise.all(said).then(pick) : pick(said as boolean[]);
    });
  };
}

function decided(
  deciders: readonly Decider[],
  exchange: Known,
  one: Parameters<Binding['decision']>[1],
): MaybePromise<boolean> {
  const from = (index: number, isPermitted: boolean): MaybePromise<boolean> => {
    const decider = deciders[index];
    if (decider === undefined) return isPermitted;
    return after<Decision, boolean>(decider.binding.decision(exchange, one, decider.below), (said) =>
      said instanceof Refusal ? false : from(index + 1, isPermitted || said === 'permit'),
    );
  };
  return from(0, false);
}

/** All that would do is said at once (RFC 9110, section 11.6.1). */
function unknownCaller(identifiers: readonly Binding[], arrival: Arrival): Refusal {
  const challenges = identifiers
    .map((binding) => now(binding, 'challenge', () => binding.hooks.challenge?.(binding.early(arrival))))
    .filter((said): said is string => typeof said === 'string');
  const message =
    arrival.transport === 'stdio'
      ? 'this endpoint wants to know who calls; sluice stdio sends a credential that is given with --header, and the plugin anonymous lets in who has none'
      : 'this endpoint wants to know who calls; send one of the credentials that WWW-Authenticate names';
  return new Refusal('unauthenticated', message, {
    by: THE_GATEWAY,
    headers: challenges.map((challenge) => ['WWW-Authenticate', challenge] as const),
  });
}

function isThere<T>(value: T | undefined): value is T {
  return value !== undefined;
}
