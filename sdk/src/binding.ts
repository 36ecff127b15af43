/** One plugin in one place of the configuration: its hooks as parts of the chain, and what its failures mean. */
import { answerOf } from './answers.js';
import { isQuestion } from './asking.js';
import { ArrivalAttributes, ExchangeAttributes, type OneOf, REQUEST_ATTRIBUTES } from './attributes.js';
import { type Allowed, after, type Handler, type Known, type Layer } from './chain.js';
import type { Arrival, Changes } from './exchange.js';
import { type FailureEvents, Failures } from './failures.js';
import type { Identity, JsonObject } from './identity.js';
import { type ListRow, listOf, listRow } from './lists.js';
import { Outcome } from './outcome.js';
import type {
  Decision,
  Hooks,
  ListEntry,
  MaybePromise,
  Notification,
  PageAnswer,
  PageRequest,
  Plugin,
  PluginHost,
} from './plugin.js';
import { givenBy, Refusal } from './refusal.js';
import { addRefusal } from './remarks.js';
import { identitiesAt } from './tenants.js';
import { compileValues, editionOf, gettersOf, viewClasses } from './view.js';

export interface BindingOptions {
  readonly plugin: Plugin;
  /** Checked, with its defaults. */
  readonly config: unknown;
  readonly host: PluginHost;
  /** Hooks that run elsewhere; by default those of the plugin. */
  readonly hooks?: Hooks;
  /** What happens to an exchange for which the plugin could not do its duty. */
  readonly onFailure: 'deny' | 'allow';
  /** The tenant that has put it there; absent for the operator. */
  readonly tenant?: string;
  readonly events: FailureEvents;
}

function viewsOf(plugin: string, reads: readonly string[]) {
  return viewClasses(plugin, reads, gettersOf(ArrivalAttributes), gettersOf(ExchangeAttributes));
}

export class Binding {
  readonly name: string;
  readonly reads: readonly string[];
  readonly hooks: Hooks;
  private readonly views: ReturnType<typeof viewsOf>;
  private readonly failures: Failures;
  private readonly mayChangeHeader: (name: string) => boolean;
  private readonly mayChangeResult: boolean;
  /** A refusal says who gave it. */
  private readonly asOwn: <T>(answer: T) => T | Refusal;

  constructor(private readonly options: BindingOptions) {
    const { plugin, config, host, hooks, events } = options;
    this.name = host.binding;
    this.reads = plugin.reads(config);
    this.views = viewsOf(this.name, this.reads);
    this.hooks = hooks ?? plugin.hooks(config, host);
    this.failures = new Failures(host.clock, events);
    const { changes } = plugin;
    this.asOwn = (answer) => (answer instanceof Refusal ? givenBy(this.name, answer) : answer);
    this.mayChangeResult = changes.includes('result');
    this.mayChangeHeader = (name) => changes.some((each) => each === 'headers' || each === `headers.${name}`);
  }

  get plugin(): Plugin {
    return this.options.plugin;
  }

  /** True when what it lets through depends on more than the request itself. */
  get setsCallersApart(): boolean {
    const { phase, changes } = this.plugin;
    const isInside = phase === 'decision' || phase === 'limit' || phase === 'shape' || phase === 'cache';
    return isInside || changes.length > 0;
  }

  /** The attributes that it reads and that differ between callers. */
  get callerReads(): readonly string[] {
    return this.reads.filter(
      (name) => !REQUEST_ATTRIBUTES.some((own) => name === own || name.startsWith(`${own}.`)),
    );
  }

  /** How its view is made among all of a route; undefined when it does not read that. */
  private viewAmong(all: readonly Binding[], edition: string): ((exchange: Known) => string) | undefined {
    if (!this.reads.includes('view')) return undefined;
    const others = all.filter((other) => other !== this && other.setsCallersApart);
    const reads = [...new Set(others.flatMap((other) => other.callerReads))].sort();
    const configured = others.map(({ name, plugin, options }) => [
      name,
      plugin.name,
      plugin.version,
      options.config,
    ]);
    const whole = editionOf(JSON.stringify([edition, configured]));
    const valuesOf = compileValues(reads);
    return (exchange) => whole + JSON.stringify(valuesOf(new ExchangeAttributes(exchange)));
  }

  early(arrival: Arrival): unknown {
    return new this.views.early(arrival);
  }

  full(exchange: Known, one?: OneOf): unknown {
    return new this.views.full(exchange, one, this.name);
  }

  /**
   * Runs a hook. What it throws that is no Refusal is a failure of the plugin.
   *
   * @param allowed what takes the place of its answer where failures are allowed.
   */
  run<T>(
    hook: string,
    call: () => MaybePromise<T>,
    allowed: () => MaybePromise<T>,
  ): MaybePromise<T | Refusal> {
    if (this.failures.isOff) return this.unable(allowed, undefined);
    try {
      return this.settled(hook, call(), allowed);
    } catch (thrown) {
      return this.failed(hook, thrown, allowed);
    }
  }

  private settled<T>(
    hook: string,
    answer: MaybePromise<T>,
    allowed: () => MaybePromise<T>,
  ): MaybePromise<T | Refusal> {
    if (!(answer instanceof Promise)) {
      this.failures.worked();
      return answer;
    }
    return answer.then(
      (value) => {
        this.failures.worked();
        return value;
      },
      (thrown: unknown) => this.failed(hook, thrown, allowed),
    );
  }

  private failed<T>(
    hook: string,
    thrown: unknown,
    allowed: () => MaybePromise<T>,
  ): MaybePromise<T | Refusal> {
    if (thrown instanceof Refusal) return thrown;
    this.failures.failed(hook, thrown);
    return this.unable(allowed, thrown);
  }

  private unable<T>(allowed: () => MaybePromise<T>, cause: unknown): MaybePromise<T | Refusal> {
    if (this.options.onFailure === 'allow') return allowed();
    return new Refusal('failed', `plugin ${this.name} failed, and nothing passes without it`, { cause });
  }

  admission(): Layer<Arrival, Identity | Refusal> | undefined {
    const hook = this.hooks.admission;
    if (hook === undefined) return undefined;
    return (next) => (arrival) => {
      let found: MaybePromise<Identity | Refusal> | undefined;
      const onward = () => {
        found ??= next(arrival);
        return found;
      };
      const said = this.run(
        'admission',
        () => after(hook(this.early(arrival), onward), answerOf.admission),
        onward,
      );
      return after(said, this.asOwn);
    };
  }

  /** @param at the tenant whose endpoint it is; undefined for the operator's. */
  identify(at: string | undefined): Handler<Arrival, Identity | Refusal | undefined> | undefined {
    const ask = this.identifyAnywhere();
    if (ask === undefined || at === undefined) return ask;
    const known = identitiesAt(at, this.options.tenant === at);
    return (arrival) => after(ask(arrival), known);
  }

  private identifyAnywhere(): Handler<Arrival, Identity | Refusal | undefined> | undefined {
    const hook = this.hooks.identify;
    if (hook === undefined) return undefined;
    // A plugin that cannot say who calls lets nobody in by that, whatever its binding says; the next one is asked.
    return (arrival) =>
      after(
        this.run(
          'identify',
          () => after(hook(this.early(arrival)), answerOf.identify),
          () => undefined,
        ),
        this.asOwn,
      );
  }

  /** The tenant that has put it there; undefined for the operator. */
  get tenant(): string | undefined {
    return this.options.tenant;
  }

  /**
   * One answer for all targets: one refusal refuses, and each needs its permit.
   *
   * @param below what the names of upstreams begin with that it may permit; by default all
   */
  decide(below = ''): Handler<Known, Decision> | undefined {
    if (this.hooks.decide === undefined) return undefined;
    return (exchange) => {
      const { targets, method } = exchange.call;
      if (targets.length < 2) return this.said(exchange, this.decision(exchange, undefined, below));
      const from = (index: number): MaybePromise<Decision> => {
        const target = targets[index];
        if (target === undefined) return 'permit';
        return after(this.decision(exchange, { target, method }, below), (said) =>
          said === 'permit' ? from(index + 1) : this.said(exchange, said),
        );
      };
      return from(0);
    };
  }

  private said(exchange: Known, said: MaybePromise<Decision>): MaybePromise<Decision> {
    if (said === 'permit' || said === undefined) return said;
    return after(said, (own) => (own instanceof Refusal ? this.refused(exchange, own) : own));
  }

  /** A refusal says who gave it, and stands among the remarks of what it refuses. */
  refused(exchange: Known, refusal: Refusal): Refusal {
    const own = givenBy(this.name, refusal);
    // What another one gave already, and was handed on, was remarked then.
    if (own !== refusal) addRefusal(exchange.call, own);
    return own;
  }

  /**
   * @param one the entry of a list, or one of several targets, that is asked about.
   * @param below see {@link decide}
   */
  decision(exchange: Known, one: OneOf | undefined, below = ''): MaybePromise<Decision> {
    const said = this.run<Decision>(
      'decide',
      () => after(this.hooks.decide?.(this.full(exchange, one)), answerOf.decide),
      () => 'permit',
    );
    if (below === '') return said;
    const target = one === undefined ? exchange.call.targets[0] : one.target;
    const isOthers = target !== undefined && !target.upstream.startsWith(below);
    return isOthers ? after(said, (own) => (own === 'permit' ? undefined : own)) : said;
  }

  /**
   * What it does with a request and with what comes back; undefined when that is nothing.
   *
   * @param among all of the route.
   * @param edition what the route leads to, see `compileRoute`.
   */
  around(
    among: readonly Binding[],
    edition: string,
  ): (Layer<Allowed, Outcome> & Layer<Known, Outcome>) | undefined {
    const { exchange, outcome, entries } = this.hooks;
    const layers: Layer<Known, Outcome>[] = [];
    if (exchange !== undefined) layers.push(this.exchangeLayer(exchange, this.viewAmong(among, edition)));
    if (outcome !== undefined) layers.push(this.outcomeLayer(outcome));
    if (entries !== undefined) layers.push(this.listLayer(entries));
    if (layers.length === 0) return undefined;
    const all = (next: Handler<Known, Outcome>) => layers.reduceRight((inner, layer) => layer(inner), next);
    return all as unknown as Layer<Allowed, Outcome> & Layer<Known, Outcome>;
  }

  private exchangeLayer(
    hook: NonNullable<Hooks['exchange']>,
    viewOf: ((exchange: Known) => string) | undefined,
  ): Layer<Known, Outcome> {
    return (next) => (asCame) => {
      const exchange = viewOf === undefined ? asCame : asCame.seenAs(viewOf(asCame));
      let passed: MaybePromise<Outcome> | undefined;
      let came: Outcome | undefined;
      const onward = (changes?: Changes): MaybePromise<Outcome> => {
        if (passed !== undefined) throw new Error(`plugin ${this.name} called next() twice`);
        passed = next(changes === undefined ? exchange : exchange.with(this.checked(changes)));
        // Held against what is made of it, which then needs not wait for it once more.
        if (passed instanceof Promise && !this.mayChangeResult) {
          passed = passed.then((outcome) => {
            came = outcome;
            return outcome;
          });
        }
        return passed;
      };
      // What ran already is not run again for a plugin that failed afterwards.
      const allowed = () => passed ?? next(exchange);
      if (this.failures.isOff)
        return after(this.unable<Outcome | Refusal>(allowed, undefined), (own) => this.ended(exchange, own));
      try {
        const own = hook(this.full(exchange), onward);
        // What is handed on as it came needs no second look; most layers do that.
        if (own === passed && passed !== undefined) return passed;
        if (!(own instanceof Promise)) return this.answered(exchange, own, passed, allowed);
        return own.then(
          (one) => this.answered(exchange, one, came ?? passed, allowed),
          (thrown: unknown) =>
            after(this.failed('exchange', thrown, allowed), (failed) => this.ended(exchange, failed)),
        );
      } catch (thrown) {
        return after(this.failed('exchange', thrown, allowed), (failed) => this.ended(exchange, failed));
      }
    };
  }

  private answered(
    exchange: Known,
    own: Outcome | Refusal,
    passed: MaybePromise<Outcome> | undefined,
    allowed: () => MaybePromise<Outcome>,
  ): MaybePromise<Outcome> {
    let answer: MaybePromise<Outcome | Refusal>;
    try {
      answer = this.settled('exchange', this.checkedAnswer(passed, answerOf.outcome(own)), allowed);
    } catch (thrown) {
      answer = this.failed('exchange', thrown, allowed);
    }
    return after(answer, (one) => this.ended(exchange, one));
  }

  /** @param passed what `next` gave, once that is known; undefined when it was not called. */
  private checkedAnswer(
    passed: MaybePromise<Outcome> | undefined,
    own: Outcome | Refusal,
  ): MaybePromise<Outcome | Refusal> {
    if (own instanceof Refusal || own.refusal !== undefined || this.mayChangeResult) return own;
    if (isQuestion(own) && passed === undefined) return own;
    return after(passed, (came) => this.checkedOutcome(came, own));
  }

  /** What it makes of a request in the end: its refusals, in either form, are remarked. */
  private ended(exchange: Known, answer: Outcome | Refusal): Outcome {
    if (answer instanceof Refusal) return Outcome.ofRefusal(this.refused(exchange, answer));
    const { refusal } = answer;
    return refusal === undefined || refusal.by !== undefined
      ? answer
      : answer.refusedBy(this.refused(exchange, refusal));
  }

  private checked(changes: Changes): Changes {
    if (changes.arguments !== undefined && !this.plugin.changes.includes('arguments'))
      throw new TypeError(`plugin ${this.name} changed the arguments; declare it in \`changes\``);
    for (const name in changes.headers) {
      if (!this.mayChangeHeader(name))
        throw new TypeError(`plugin ${this.name} changed the header ${name}; declare it in \`changes\``);
    }
    return changes;
  }

  private outcomeLayer(hook: NonNullable<Hooks['outcome']>): Layer<Known, Outcome> {
    return (next) => (exchange) =>
      after(next(exchange), (came) =>
        after(
          this.run<Outcome | Refusal>(
            'outcome',
            () =>
              after(hook(this.full(exchange), came), (own) =>
                this.checkedOutcome(came, answerOf.outcome(own)),
              ),
            () => came,
          ),
          (own) => this.ended(exchange, own),
        ),
      );
  }

  private checkedOutcome(came: Outcome | undefined, own: Outcome | Refusal): Outcome | Refusal {
    if (own instanceof Refusal || own.refusal !== undefined || this.mayChangeResult) return own;
    if (came === undefined || !came.saysAs(own))
      throw new TypeError(`plugin ${this.name} changed the result; declare it in \`changes\``);
    return own;
  }

  private listLayer(hook: NonNullable<Hooks['entries']>): Layer<Known, Outcome> {
    return (next) => (exchange) => {
      const row = listRow(exchange.call.method);
      if (row === undefined) return next(exchange);
      return after(next(exchange), (came) => this.filtered(hook, exchange, row, came));
    };
  }

  private filtered(
    hook: NonNullable<Hooks['entries']>,
    exchange: Known,
    row: ListRow,
    came: Outcome,
  ): MaybePromise<Outcome> {
    const list = listOf(exchange.call, row, came);
    if (list === undefined) return came;
    const kept = this.run<readonly ListEntry[]>(
      'entries',
      () =>
        after(hook(this.full(exchange), list.known), (own) =>
          this.checkedEntries(list.known, answerOf.entries(own)),
        ),
      () => list.known,
    );
    return after(kept, (own) => (own instanceof Refusal ? this.ended(exchange, own) : list.with(own)));
  }

  private checkedEntries(came: readonly ListEntry[], own: readonly ListEntry[]): readonly ListEntry[] {
    const isSame =
      own.length === came.length && own.every(({ entry }, index) => entry === came[index]?.entry);
    if (!isSame && !this.plugin.changes.includes('entries'))
      throw new TypeError(`plugin ${this.name} changed the entries of a list; declare it in \`changes\``);
    return own;
  }

  /** What it has at this path; undefined where that is nothing, also when it fails and failures are allowed. */
  page(request: PageRequest): MaybePromise<PageAnswer | Refusal | undefined> {
    const hook = this.hooks.page;
    if (hook === undefined) return undefined;
    return this.run<PageAnswer | undefined>(
      'page',
      () => after(hook(request), answerOf.page),
      () => undefined,
    );
  }

  /** What it makes of a notification; undefined when it lets it pass. */
  notified(exchange: Known, notification: Notification): JsonObject | 'drop' | undefined {
    const said = answerOf.notification(this.hooks.notification?.(this.full(exchange), notification));
    if (said !== undefined && said !== notification.params && !this.plugin.changes.includes('notifications'))
      throw new TypeError(`plugin ${this.name} changed a notification; declare it in \`changes\``);
    return said;
  }
}
