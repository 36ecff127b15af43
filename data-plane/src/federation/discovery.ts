/**
 * Keeps what every upstream offers at hand: asked ahead of the first client, at an interval, and when an upstream
 * says that something changed. One slow or dead upstream costs its own entries and nothing else.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Caller } from '../exchange/exchange.js';
import { rethrowLater } from '../exchange/rethrow-later.js';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import type { Naming } from '../routing/names.js';
import type { UpstreamOffer } from '../routing/offer.js';
import {
  changedList,
  LIST_KINDS,
  type ListKind,
  OFFER_KINDS,
  type OfferList,
  readList,
} from '../upstream/offers.js';
import { reasonOf } from '../upstream/reason.js';
import { UpstreamSubscriptions, updatedUri } from '../upstream/subscriptions.js';
import type { Upstream } from '../upstream/upstream.js';
import { within } from '../within.js';
import { type Audience, EVERYBODY, OfferNews } from './offer-news.js';
import { type OfferGroup, Offers } from './offers.js';

/** Told of what may be another than before: one kind of list or all, or one resource. */
type ChangeListener = (upstream: Upstream, kind: ListKind | undefined, uri?: string) => void;
/** `upstream` undefined stands for all of them. */
type ListListener = (kind: ListKind, upstream: Upstream | undefined, audience: Audience) => void;

export interface DiscoverySettings {
  readonly intervalMs: number;
  readonly deadlineMs: number;
}

/** What is known of one upstream. */
export interface Known {
  readonly upstream: Upstream;
  readonly subscriptions: UpstreamSubscriptions;
  state: 'starting' | 'ready' | 'failed';
  /** It has said what it offers, however long ago. */
  hasAnswered: boolean;
  error: string | undefined;
  offer: UpstreamOffer;
  round: Promise<void> | undefined;
  /** Another round is due after this one. */
  again: boolean;
  /** When the last round ended, in milliseconds of the clock. */
  roundEndedAt: number;
  /** What only some may have to be told of, once the round that it caused has ended. */
  readonly news: OfferNews;
  /** Counts how often it was heard that a list may have changed. */
  offerChangeCount: number;
  /** What `offerChangeCount` was when the lists were read that are at hand; -1 before that. */
  readChangeCount: number;
  /** Resolved at the end of the next round, where somebody waits for it. */
  roundEnd: { readonly ended: Promise<void>; readonly end: () => void } | undefined;
  /** The connection is a new one, which has heard of no subscription. */
  reconnected: boolean;
  timer: NodeJS.Timeout | undefined;
}

/** An upstream that failed is asked again sooner than the interval says. */
const RETRY_AFTER_FAILURE_MS = 5_000;
/** Between two rounds, so that an upstream which announces changes all the time does not keep the gateway busy. */
export const ROUND_PAUSE_MS = 250;

/**
 * Upstreams that are asked in one turn of the event loop. Less is done to begin with one than follows a turn later: all
 * that connected meanwhile, or could not, goes on in one turn, which is to be as short as a slice of other work.
 */
const ASKED_PER_TURN_COUNT = 16;

/** As many as are looked at between two pauses of those that go on as they are. */
const FEW_COUNT = 100;

/** The upstreams of a revision, and how what they offer is named. */
interface UpstreamGroup {
  readonly upstreams: Iterable<Upstream>;
  readonly naming: Naming;
}

/** Upstreams of a configuration that is not in use yet. */
export interface PreparedUpstreams {
  readonly all: readonly Known[];
  readonly byUpstream: ReadonlyMap<Upstream, Known>;
  readonly fresh: readonly Known[];
  readonly group: OfferGroup;
  readonly settings: DiscoverySettings;
  /** Of a revision that some callers try, with those that it has alone. */
  readonly trial:
    | { readonly offers: Offers; readonly group: OfferGroup; readonly fresh: readonly Known[] }
    | undefined;
}

export class Discovery {
  private all: readonly Known[] = [];
  private byUpstream: ReadonlyMap<Upstream, Known> = new Map();
  /** What those offer together that everybody is given. */
  readonly offers: Offers;
  /** The same of a revision that some callers try. */
  private trial: Offers | undefined;
  private readonly listeners = new Set<ListListener>();
  private readonly changeListeners = new Set<ChangeListener>();
  private readonly removals = new Set<(upstream: Upstream) => void>();
  private timer: NodeJS.Timeout | undefined;
  private settings: DiscoverySettings;
  private started = false;
  private stopped = false;
  /** Resolves what waits for the first round, from before `start` on. */
  private firstSettled: () => void = () => {};

  constructor(
    naming: Naming,
    settings: DiscoverySettings,
    private readonly log: Logger,
  ) {
    const settled = new Promise<void>((resolve) => {
      this.firstSettled = resolve;
    });
    this.offers = new Offers(naming, settled, log);
    this.settings = settings;
  }

  /** Asks every upstream for the first time, and from now on at the interval. */
  start(): void {
    this.started = true;
    this.askAtInterval();
    this.askFirst(this.all, this.offers);
    void this.settled.then(this.firstSettled);
  }

  /** For a revision that some callers are to try. */
  offersBeside(naming: Naming): Offers {
    return new Offers(naming, Promise.resolve(), this.log);
  }

  /**
   * Makes ready what there is to know of upstreams, in the order of the configuration; of one that stays it is kept.
   *
   * @param trial what some callers try beside that
   */
  *prepare(
    stable: UpstreamGroup,
    settings: DiscoverySettings,
    trial?: UpstreamGroup & { readonly offers: Offers },
  ): Generator<void, PreparedUpstreams, void> {
    const byUpstream = new Map<Upstream, Known>();
    const { group, fresh } = yield* this.prepareGroup(stable, byUpstream);
    const beside = trial === undefined ? undefined : yield* this.prepareGroup(trial, byUpstream);
    return {
      ...{ all: [...byUpstream.values()], byUpstream, fresh, group, settings },
      trial: trial === undefined || beside === undefined ? undefined : { offers: trial.offers, ...beside },
    };
  }

  private *prepareGroup(
    { upstreams, naming }: UpstreamGroup,
    byUpstream: Map<Upstream, Known>,
  ): Generator<void, { group: OfferGroup; fresh: Known[] }, void> {
    const known: Known[] = [];
    const byId = new Map<string, Known>();
    const fresh: Known[] = [];
    for (const upstream of upstreams) {
      const before = byUpstream.get(upstream) ?? this.byUpstream.get(upstream);
      const each = before ?? this.begin(upstream);
      if (before === undefined) fresh.push(each);
      known.push(each);
      byUpstream.set(upstream, each);
      byId.set(upstream.id, each);
      if (before === undefined || known.length % FEW_COUNT === 0) yield;
    }
    return { group: { known, byId, naming }, fresh };
  }

  /**
   * Puts to use what was prepared. New upstreams are asked at once, or at `start`.
   *
   * @param tellsAll for changes of which {@link tellAll} tells anyway
   * @returns what is left to do about those that are gone
   */
  use(next: PreparedUpstreams, tellsAll: boolean): Generator<void, void, void> {
    const before = this.all;
    const stable = this.offers.known;
    const { intervalMs } = this.settings;
    const { stays, renamed } = this.offers.use(next.group);
    this.settings = next.settings;
    this.all = next.all;
    this.byUpstream = next.byUpstream;
    this.trial = next.trial?.offers;
    const own = next.trial === undefined ? undefined : this.trial?.use(next.trial.group);
    if (this.started && intervalMs !== next.settings.intervalMs) this.askAtInterval();
    if (this.started && next.fresh.length > 0) this.askFirst(next.fresh, this.offers);
    if (this.started && next.trial !== undefined && next.trial.fresh.length > 0)
      this.askFirst(next.trial.fresh, next.trial.offers);
    const isAllThere = stays && own?.stays !== false && before.length === next.all.length;
    return this.afterUse(before, stable, { isAllThere, renamed }, tellsAll);
  }

  private *afterUse(
    before: readonly Known[],
    stable: readonly Known[],
    { isAllThere, renamed }: { readonly isAllThere: boolean; readonly renamed: boolean },
    tellsAll: boolean,
  ): Generator<void, void, void> {
    if (isAllThere && !renamed) return;
    for (const [index, known] of before.entries()) {
      if (index % FEW_COUNT === 0) yield;
      if (this.has(known)) continue;
      this.forget(known);
      yield;
    }
    // Lists lost entries, or their names or order; whoever listens is told for each kind once.
    const now = this.offers.known;
    const moved = renamed || stable.some((known, i) => now[i] !== known);
    const changed = stable.find(({ upstream }) => !this.offers.has(upstream)) ?? stable[0];
    if (moved && changed !== undefined && !tellsAll)
      for (const kind of LIST_KINDS) this.tell(kind, changed.upstream, EVERYBODY);
  }

  /** Everybody looks at their lists again, and is told so once: what they may see of them has changed. */
  tellAll(): void {
    for (const kind of LIST_KINDS) this.tell(kind, undefined, EVERYBODY);
  }

  /** @param offers of whom they are: whoever waits for other ones goes on */
  private askFirst(fresh: readonly Known[], offers: Offers): void {
    const first = this.refreshAll(fresh);
    const deadline = new Promise<void>((resolve) => setTimeout(resolve, this.settings.deadlineMs).unref());
    offers.waitFor(Promise.race([first, deadline]));
  }

  private askAtInterval(): void {
    clearInterval(this.timer);
    this.timer = setInterval(() => void this.refreshAll(this.all), this.settings.intervalMs);
    this.timer.unref();
  }

  /** To begin a round with each of very many takes its time, so that requests are served in between. */
  private async refreshAll(some: readonly Known[]): Promise<void> {
    const rounds: Promise<void>[] = [];
    for (const known of some) {
      rounds.push(this.refresh(known));
      if (rounds.length % ASKED_PER_TURN_COUNT === 0) await nextTurn();
    }
    await Promise.all(rounds);
  }

  private has(known: Known): boolean {
    return this.byUpstream.get(known.upstream) === known;
  }

  private begin(upstream: Upstream): Known {
    const known: Known = {
      upstream,
      subscriptions: new UpstreamSubscriptions(upstream, this.log, () => this.offerChanged(upstream)),
      state: 'starting',
      hasAnswered: false,
      error: undefined,
      offer: emptyOffer(upstream),
      round: undefined,
      again: false,
      roundEndedAt: 0,
      news: new OfferNews(),
      offerChangeCount: 0,
      readChangeCount: -1,
      roundEnd: undefined,
      reconnected: false,
      timer: undefined,
    };
    known.subscriptions.on(({ bytes, envelope }) => {
      const kind = changedList(envelope.method);
      if (kind !== undefined) this.offerChanged(upstream, kind);
      const uri = updatedUri({ bytes, envelope });
      if (uri !== undefined) this.mayHaveChanged(upstream, 'resources', uri);
    });
    return known;
  }

  private forget(known: Known): void {
    clearTimeout(known.timer);
    known.subscriptions.stop();
    for (const listener of [...this.removals]) listener(known.upstream);
  }

  private tell(kind: ListKind, upstream: Upstream | undefined, audience: Audience): void {
    for (const listener of [...this.listeners]) {
      try {
        listener(kind, upstream, audience);
      } catch (thrown) {
        rethrowLater(thrown);
      }
    }
  }

  get known(): readonly Known[] {
    return this.offers.known;
  }

  /** Resolves when every upstream has answered or failed once, or the deadline has passed. */
  get settled(): Promise<void> {
    return this.offers.settled;
  }

  /** Called back when an upstream is no longer part of the configuration. */
  onRemoved(listener: (upstream: Upstream) => void): () => void {
    this.removals.add(listener);
    return () => this.removals.delete(listener);
  }

  /** The same for those among whom an upstream is. */
  settledFor(upstream: Upstream): Promise<void> {
    return (this.trial?.has(upstream) && !this.offers.has(upstream) ? this.trial : this.offers).settled;
  }

  /** Time that one upstream has to answer before a list goes on without it. */
  get deadlineMs(): number {
    return this.settings.deadlineMs;
  }

  /** Time after which what is known is asked for again. */
  get intervalMs(): number {
    return this.settings.intervalMs;
  }

  /** Throws an RpcError when the upstream was removed meanwhile. */
  of(upstream: Upstream): Known {
    const known = this.byUpstream.get(upstream);
    if (known === undefined) throw upstreamRemoved(upstream);
    return known;
  }

  /** What an upstream tells this caller outside of calls. Throws an RpcError when it cannot tell one more. */
  subscriptionsOf(upstream: Upstream, { principal }: Caller): UpstreamSubscriptions {
    return upstream.subscriptionsOf(principal) ?? this.of(upstream).subscriptions;
  }

  /** Reads the lists of an upstream again, which turned out to be old; unless that has just been done. */
  renew(upstream: Upstream): Promise<void> {
    return this.refresh(this.of(upstream));
  }

  /** True when nothing was heard of changes since the lists were read that are at hand. */
  isUpToDate({ offerChangeCount, readChangeCount, reconnected }: Known): boolean {
    return offerChangeCount === readChangeCount && !reconnected;
  }

  /**
   * Waits for lists of an upstream that are no older than what was heard of their changes. Rejects with an RpcError when
   * it does not answer, or not within the time that it has for a list.
   */
  async upToDate(known: Known): Promise<void> {
    const until = Date.now() + this.deadlineMs;
    // One that has failed would be asked again only after a while.
    if (known.round === undefined) void this.refresh(known);
    while (!this.isUpToDate(known)) {
      const leftMs = until - Date.now();
      const isOver = leftMs <= 0 || this.stopped || !this.has(known);
      if (isOver || (known.error !== undefined && known.round === undefined))
        throw new RpcError(
          ErrorCode.UpstreamUnavailable,
          known.error ??
            `it has said that they have changed, and does not list them within ${this.deadlineMs} ms`,
        );
      await within(leftMs, roundEndOf(known));
    }
  }

  knows(upstream: Upstream): boolean {
    return this.byUpstream.has(upstream);
  }

  /** Whether it is for those who are given some offers what an upstream has told; one that is gone was everybody's. */
  concerns(offers: Offers, upstream: Upstream | undefined): boolean {
    return upstream === undefined || !this.byUpstream.has(upstream) || offers.has(upstream);
  }

  /**
   * Called back with everything that may make old what somebody keeps of an upstream: when it is heard, and again when
   * the lists that are at hand have become others.
   */
  onMayHaveChanged(listener: ChangeListener): void {
    this.changeListeners.add(listener);
  }

  private mayHaveChanged(upstream: Upstream, kind: ListKind | undefined, uri?: string): void {
    for (const listener of [...this.changeListeners]) listener(upstream, kind, uri);
  }

  /** Called back when a list of an upstream changed, for all or for some. */
  onListChanged(listener: ListListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /**
   * Lists of an upstream have changed, or may have.
   *
   * @param kind undefined for all of them
   * @param principal whose sessions heard of it; undefined when it was heard outside of sessions
   */
  offerChanged(upstream: Upstream, kind?: ListKind, principal?: string): void {
    const known = this.byUpstream.get(upstream);
    if (known === undefined) return;
    known.news.heard(kind, principal);
    known.offerChangeCount++;
    this.mayHaveChanged(upstream, kind);
    void this.refresh(known);
  }

  /** The upstream was reached anew, or something may have been missed. */
  stale(upstream: Upstream): void {
    const known = this.byUpstream.get(upstream);
    if (known === undefined) return;
    known.reconnected = true;
    this.mayHaveChanged(upstream, undefined);
    void this.refresh(known);
  }

  stop(): void {
    this.stopped = true;
    clearInterval(this.timer);
    for (const known of this.all) {
      clearTimeout(known.timer);
      known.subscriptions.stop();
    }
    this.listeners.clear();
    this.changeListeners.clear();
    this.removals.clear();
  }

  /** One round for one upstream; a request for another one meanwhile makes one more afterwards, and not at once. */
  private refresh(known: Known): Promise<void> {
    if (!this.started || this.stopped || !this.has(known)) return Promise.resolve();
    if (known.round !== undefined) {
      known.again = true;
      return known.round;
    }
    const wait = known.roundEndedAt + ROUND_PAUSE_MS - Date.now();
    if (wait > 0) {
      this.refreshIn(known, wait);
      return Promise.resolve();
    }
    clearTimeout(known.timer);
    known.round = this.ask(known).finally(() => {
      known.round = undefined;
      known.roundEndedAt = Date.now();
      known.roundEnd?.end();
      known.roundEnd = undefined;
      if (!known.again) return;
      known.again = false;
      void this.refresh(known);
    });
    return known.round;
  }

  private refreshIn(known: Known, ms: number): void {
    clearTimeout(known.timer);
    known.timer = setTimeout(() => void this.refresh(known), ms);
    known.timer.unref();
  }

  private async ask(known: Known): Promise<void> {
    const { upstream } = known;
    let hasOpened = false;
    const late = setTimeout(() => this.late(known, hasOpened), this.settings.deadlineMs);
    late.unref();
    try {
      const facts = await upstream.open();
      hasOpened = true;
      const { offerChangeCount } = known;
      const lists = await Promise.all(
        OFFER_KINDS.map((kind) =>
          readList(kind, facts.capabilities, (method, params) => upstream.ask(method, params)),
        ),
      );
      this.take(known, lists);
      known.readChangeCount = offerChangeCount;
    } catch (thrown) {
      this.failed(known, thrown);
    } finally {
      clearTimeout(late);
    }
  }

  /** The upstream may still answer; until then lists go on without it, or with what it offered before. */
  private late(known: Known, hasOpened: boolean): void {
    if (this.stopped || !this.has(known) || known.state !== 'starting') return;
    const isStarting = !hasOpened && known.upstream.config.transport.kind === 'stdio';
    // The likeliest reason the first time: npx fetches what it runs.
    const why = isStarting ? '; is its program being fetched?' : '';
    known.error = `no answer within ${this.settings.deadlineMs} ms, and still waiting${why}`;
    this.log.warn({ upstream: known.upstream.name }, `upstream offers nothing for now: ${known.error}`);
  }

  private take(known: Known, lists: readonly OfferList[]): void {
    if (this.stopped || !this.has(known)) return;
    const [tools, prompts, resources, templates] = lists as [OfferList, OfferList, OfferList, OfferList];
    const { upstream } = known;
    const ttlMs = Math.min(...lists.map((list) => list.ttlMs));
    const offer: UpstreamOffer = {
      upstreamId: upstream.id,
      upstreamName: upstream.name,
      hidden: upstream.config.hidden,
      tools: tools.entries,
      prompts: prompts.entries,
      resources: resources.entries,
      templates: templates.entries,
      ttlMs: ttlMs === Number.MAX_SAFE_INTEGER ? 0 : ttlMs,
      cacheScope: lists.every((list) => list.cacheScope === 'public') ? 'public' : 'private',
      mirrorsParams: upstream.era === 'modern' && upstream.traits.mirrorsHeaders,
    };
    const before = known.offer;
    const first = known.state !== 'ready';
    const isNew = known.state === 'starting';
    known.offer = offer;
    known.state = 'ready';
    known.hasAnswered = true;
    known.error = undefined;
    if (first) {
      this.log.info(
        {
          upstream: upstream.name,
          era: upstream.era,
          revision: upstream.facts?.revision,
          tools: tools.entries.length,
        },
        'upstream is ready',
      );
    }
    if (first || known.reconnected) known.subscriptions.start();
    // Of a modern upstream everything is heard here, and nothing was meanwhile.
    if (known.reconnected && upstream.era === 'modern') known.news.heard(undefined, undefined);
    known.reconnected = false;
    const changed: ListKind[] = [];
    if (!same(before.tools, offer.tools)) changed.push('tools');
    if (!same(before.prompts, offer.prompts)) changed.push('prompts');
    if (!same(before.resources, offer.resources) || !same(before.templates, offer.templates))
      changed.push('resources');
    if (changed.length > 0 || before.ttlMs !== offer.ttlMs)
      for (const offers of [this.offers, this.trial]) offers?.changed();
    // Until it was heard of for the first time every list said that it lacked this one.
    if (!isNew) for (const kind of changed) this.mayHaveChanged(upstream, kind);
    for (const kind of changed) this.tell(kind, upstream, EVERYBODY);
    for (const [kind, audience] of known.news.take(changed)) this.tell(kind, upstream, audience);
  }

  private failed(known: Known, thrown: unknown): void {
    if (this.stopped || !this.has(known)) return;
    const reason = reasonOf(RpcError.from(thrown));
    const { upstream } = known;
    if (known.error !== reason)
      this.log.warn({ upstream: upstream.name }, `upstream offers nothing for now: ${reason}`);
    known.state = 'failed';
    known.error = reason;
    // What it offered stays known: a call to it says what is wrong, and a short absence changes no list.
    this.refreshIn(
      known,
      Math.min(this.settings.intervalMs, Math.max(RETRY_AFTER_FAILURE_MS, upstream.restartDelayMs)),
    );
  }
}

export function upstreamRemoved({ name }: Upstream): RpcError {
  return new RpcError(
    ErrorCode.UpstreamUnavailable,
    `upstream ${JSON.stringify(name)} was removed from the configuration`,
  );
}

function roundEndOf(known: Known): Promise<void> {
  if (known.roundEnd === undefined) {
    let end = () => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    known.roundEnd = { ended, end };
  }
  return known.roundEnd.ended;
}

function emptyOffer(upstream: Upstream): UpstreamOffer {
  return {
    upstreamId: upstream.id,
    upstreamName: upstream.name,
    hidden: upstream.config.hidden,
    tools: [],
    prompts: [],
    resources: [],
    templates: [],
    mirrorsParams: false,
  };
}

function same(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && JSON.stringify(a) === JSON.stringify(b);
}
