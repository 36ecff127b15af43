/**
 * A configuration made runnable: upstreams, endpoints and the table that leads to them. A new configuration makes a
 * new snapshot that takes over every upstream which did not change, so that nobody who does not use a changed one
 * notices.
 */
import type { ResolvedConfiguration, ResolvedServer, ResolvedUpstream } from '@sluice/proto';
import type { Logger } from 'pino';
import { ChainedEndpoint, type Passage, passageOf } from '../chain/chained-endpoint.js';
import type { Plugins, PreparedPlugins } from '../chain/plugins.js';
import { rethrowLater } from '../exchange/rethrow-later.js';
import { DirectEndpoint } from '../federation/direct.js';
import { Discovery, type PreparedUpstreams } from '../federation/discovery.js';
import { MergedEndpoint } from '../federation/merged.js';
import type { Offers } from '../federation/offers.js';
import { watchable } from '../federation/relay.js';
import type { Endpoint } from '../front/endpoint.js';
import { scanMessage } from '../protocol/scan.js';
import { compileSelection } from '../routing/selection.js';
import { RouteTable } from '../routing/table.js';
import type { WorkerAddress } from '../sessions/node-bus.js';
import type { Sealer } from '../sessions/seal.js';
import type { ProcessHost, SharedProcesses } from '../upstream/elsewhere/shared-processes.js';
import { LIST_KINDS, type ListKind } from '../upstream/offers.js';
import { ParkedAccount } from '../upstream/parked/parked-account.js';
import type { Refusal, UpstreamSubscriptions } from '../upstream/subscriptions.js';
import { EgressPolicy } from '../upstream/transport/egress-policy.js';
import { traitsOf } from '../upstream/transport-traits.js';
import { Upstream, type UpstreamEvents, type UpstreamHost } from '../upstream/upstream.js';
import { CannotRun } from './cannot-run.js';
import { PrincipalShare } from './principal-share.js';
import { inSlices } from './slices.js';
import { Trial } from './trial.js';

export interface SnapshotHost {
  readonly sealer: Sealer;
  readonly log: Logger;
  readonly worker: WorkerAddress;
  /** Processes that are shared with other workers; undefined when there are none. */
  readonly processes?: SharedProcesses | undefined;
  readonly plugins: Plugins;
  /** The endpoint is not served any more; its sessions end. */
  removed(endpoint: Endpoint): void;
  /** What some callers tried is over: their sessions go on at the endpoint that is served at the same path. */
  released(endpoint: Endpoint): void;
  /** Memory for a plugin of a revision that some callers try. */
  sharedOfTrial(binding: string): SharedArrayBuffer | undefined;
  /** Other plugins than before stand in front of it: what was found out and decided about clients has to be anew. */
  rerouted(endpoint: Endpoint): void;
}

/** Something that is served at a path, and what the configuration says of it. */
interface Served {
  readonly server: ResolvedServer;
  readonly endpoint: ChainedEndpoint;
}

/** A configuration that can be swapped in: everything that can fail has been done. */
export interface PreparedRuntime {
  readonly configuration: ResolvedConfiguration;
  readonly upstreams: ReadonlyMap<string, Upstream>;
  readonly merged: Merged;
  readonly direct: ReadonlyMap<Upstream, ChainedEndpoint>;
  readonly servers: ReadonlyMap<string, Served>;
  readonly table: RouteTable<Endpoint>;
  readonly plugins: PreparedPlugins;
  readonly known: PreparedUpstreams;
  /** Of endpoints that go on, and have other plugins in front of them. */
  readonly passages: readonly (readonly [ChainedEndpoint, Passage | undefined])[];
  /** No part of it any more. */
  readonly goneUpstreams: readonly Upstream[];
  readonly goneEndpoints: readonly Endpoint[];
  /** Of those some callers were given in place of others at the same path. */
  readonly releasedEndpoints: readonly Endpoint[];
  readonly trial: PreparedTrial | undefined;
}

/** A revision for some callers; the same object as before when only their share is another. */
interface PreparedTrial {
  readonly trial: Trial;
  readonly share: PrincipalShare;
}

/** What a revision is made of. */
interface Made {
  readonly upstreams: ReadonlyMap<string, Upstream>;
  readonly direct: ReadonlyMap<Upstream, ChainedEndpoint>;
  readonly plugins: PreparedPlugins;
}

interface Merged {
  readonly pageSize: number;
  readonly endpoint: ChainedEndpoint;
}

/** As much as is looked at between two pauses of what goes on as it is. */
const FEW_COUNT = 100;

/** The running form of the newest configuration. */
export class Runtime implements ProcessHost {
  private upstreams: ReadonlyMap<string, Upstream> = new Map();
  /** Those that are gone from the configuration, until their requests have ended. */
  private readonly leaving = new Set<Upstream>();
  /** Those that were made for a configuration that is not in use yet. */
  private made: Upstream[] = [];
  private direct: ReadonlyMap<Upstream, ChainedEndpoint> = new Map();
  /** Endpoints and virtual servers, by their paths. */
  private servers: ReadonlyMap<string, Served> = new Map();
  private merged: Merged;
  /** What some callers are given in place of all that. */
  private trialNow: Trial | undefined;
  /** Plugins of a trial that is not in use yet. */
  private trialPlugins: Plugins | undefined;
  /** Upstreams of a trial that other workers do not share, as they would if all callers were given them. */
  private readonly apart = new WeakSet<Upstream>();
  readonly discovery: Discovery;
  /** Of all upstreams together. */
  readonly parked: ParkedAccount;
  table: RouteTable<Endpoint>;

  /** Runs nothing but the settings of the gateway: upstreams, servers and plugins come with {@link apply}. */
  constructor(
    { gateway }: Pick<ResolvedConfiguration, 'gateway'>,
    private readonly host: SnapshotHost,
  ) {
    const { naming, discovery, sessions } = gateway;
    this.parked = new ParkedAccount(sessions);
    this.discovery = new Discovery(naming, discovery, host.log);
    this.discovery.onMayHaveChanged((upstream, kind, uri) => this.mayHaveChanged(upstream, kind, uri));
    this.merged = this.mergedOf(discovery.pageSizeCount, this.discovery.offers);
    this.table = new RouteTable<Endpoint>(this.merged.endpoint, new Map(), undefined);
  }

  /** Prepares a configuration and swaps it in. Rejects, and has changed nothing, when it cannot be run. */
  async apply(configuration: ResolvedConfiguration): Promise<void> {
    const prepared = await this.prepare(configuration);
    await inSlices(this.swap(prepared));
  }

  /**
   * Does everything that can fail or takes long, in slices between requests, and changes nothing that is in use. Rejects
   * when the configuration cannot be run; nothing is left of it then. Before another one is prepared this one is to be
   * swapped in or dropped.
   */
  async prepare(configuration: ResolvedConfiguration): Promise<PreparedRuntime> {
    try {
      await this.host.plugins.load(configuration);
      await this.loadTrial(configuration);
      return await inSlices(this.steps(configuration));
    } catch (thrown) {
      await this.drop();
      throw thrown;
    }
  }

  /** Ends what was made for a configuration that is not going to be used. */
  async drop(): Promise<void> {
    const { made, trialPlugins } = this;
    this.made = [];
    this.trialPlugins = undefined;
    await Promise.all([
      ...made.map((upstream) => upstream.close()),
      trialPlugins?.drop(),
      this.host.plugins.drop(),
    ]);
  }

  private async loadTrial(configuration: ResolvedConfiguration): Promise<void> {
    const { trial } = configuration;
    if (trial === undefined || this.trialNow?.isOf(configuration)) return;
    this.trialPlugins = this.host.plugins.beside((binding) => this.host.sharedOfTrial(binding));
    await this.trialPlugins.load(trial.configuration, configuration.plugins);
  }

  /** What some callers are given in place of the rest. */
  get trial(): Trial | undefined {
    return this.trialNow;
  }

  /**
   * Swaps in what was prepared, at once, before anything else can happen. Cannot fail.
   *
   * @returns what is left to do about what is gone and new, which others do not have to wait for
   */
  swap(prepared: PreparedRuntime): Generator<void, void, void> {
    const { gateway } = prepared.configuration;
    this.made = [];
    this.upstreams = prepared.upstreams;
    this.merged = prepared.merged;
    this.direct = prepared.direct;
    this.servers = prepared.servers;
    this.table = prepared.table;
    this.parked.apply(gateway.sessions);
    this.host.plugins.use(prepared.plugins, gateway.shutdownGraceMs);
    const hasOtherTrial = prepared.trial?.trial !== this.trialNow;
    this.swapTrial(prepared.trial, gateway.shutdownGraceMs);
    for (const [endpoint, passage] of prepared.passages) endpoint.use(passage);
    // Who may see what has changed, so whoever keeps a list looks again.
    const tellsAll = prepared.passages.length > 0 || prepared.plugins.reconfigured.length > 0;
    const after = this.discovery.use(prepared.known, tellsAll);
    return this.afterwards(prepared, tellsAll, hasOtherTrial, after);
  }

  private swapTrial(prepared: PreparedTrial | undefined, graceMs: number): void {
    const { trialNow: before } = this;
    const trial = prepared?.trial;
    this.trialPlugins = undefined;
    if (prepared !== undefined) prepared.trial.shareWith(prepared.share);
    if (trial === before) return;
    this.trialNow = trial;
    before?.parts.plugins.leave(graceMs);
    trial?.parts.plugins.use(trial.parts.prepared, graceMs);
  }

  /** What some callers are given, and what all others are given in its place, is counted. */
  private *countTrial(): Generator<void, void, void> {
    const { trialNow: trial } = this;
    for (const endpoint of trial?.parts.own ?? []) {
      endpoint.tally = trial?.served;
      yield;
    }
    for (const endpoint of this.table as Iterable<ChainedEndpoint>) {
      endpoint.tally = trial === undefined || trial.shares(endpoint) ? undefined : trial.servedBeside;
      yield;
    }
  }

  private *afterwards(
    prepared: PreparedRuntime,
    tellsAll: boolean,
    hasOtherTrial: boolean,
    discovered: Generator<void, void, void>,
  ): Generator<void, void, void> {
    const { configuration, goneUpstreams, goneEndpoints, releasedEndpoints, passages } = prepared;
    if (hasOtherTrial) yield* this.countTrial();
    // Requests under way end as they began.
    for (const upstream of goneUpstreams) this.leaving.add(upstream);
    if (goneUpstreams.length > 0) {
      const timer = setTimeout(() => {
        for (const upstream of goneUpstreams) {
          this.leaving.delete(upstream);
          void upstream.close();
        }
      }, configuration.gateway.shutdownGraceMs);
      timer.unref();
    }
    yield* discovered;
    if (tellsAll) this.discovery.tellAll();
    for (const [endpoint] of passages) {
      whatever(() => this.host.rerouted(endpoint));
      yield;
    }
    for (const endpoint of goneEndpoints) {
      whatever(() => this.host.removed(endpoint));
      yield;
    }
    for (const endpoint of releasedEndpoints) {
      whatever(() => this.host.released(endpoint));
      yield;
    }
  }

  async close(): Promise<void> {
    this.discovery.stop();
    await this.trialNow?.parts.plugins.close();
    await this.host.plugins.close();
    const all = new Set([...this.running(), ...this.leaving, ...this.made]);
    await Promise.all([...all].map((upstream) => upstream.close()));
  }

  /** Upstreams of both revisions. */
  private running(): Set<Upstream> {
    return new Set([...this.upstreams.values(), ...(this.trialNow?.parts.upstreams.values() ?? [])]);
  }

  private *steps(configuration: ResolvedConfiguration): Generator<void, PreparedRuntime, void> {
    const { gateway } = configuration;
    const upstreams = yield* this.upstreamsOf(
      configuration,
      [this.upstreams, this.trialNow?.parts.upstreams],
      false,
    );
    const pageSize = gateway.discovery.pageSizeCount;
    const merged =
      this.merged.pageSize === pageSize ? this.merged : this.mergedOf(pageSize, this.discovery.offers);
    const direct = new Map<Upstream, ChainedEndpoint>();
    const byName = new Map<string, Endpoint>();
    const served: ChainedEndpoint[] = [merged.endpoint];
    /** Nobody uses them yet. */
    const fresh = new Set<ChainedEndpoint>(merged === this.merged ? [] : [merged.endpoint]);
    for (const upstream of upstreams.values()) {
      const before = this.direct.get(upstream) ?? this.trialNow?.parts.direct.get(upstream);
      const endpoint = before ?? this.directOf(upstream);
      if (before === undefined) fresh.add(endpoint);
      direct.set(upstream, endpoint);
      byName.set(upstream.name, endpoint);
      served.push(endpoint);
      if (before === undefined || served.length % FEW_COUNT === 0) yield;
    }
    const servers = new Map<string, Served>();
    for (const server of configuration.servers) {
      const before = this.servers.get(server.path);
      const own = this.servedOf(server, pageSize);
      if (own !== before) fresh.add(own.endpoint);
      servers.set(server.path, own);
      byName.set(server.path.slice('/mcp/'.length), own.endpoint);
      served.push(own.endpoint);
      if (own !== before || served.length % FEW_COUNT === 0) yield;
    }
    const paths = served.map(({ path }) => path);
    const plugins = yield* this.host.plugins.prepare(configuration, paths);
    const passages: [ChainedEndpoint, Passage | undefined][] = [];
    for (const [index, endpoint] of served.entries()) {
      const route = plugins.routes.get(endpoint.path);
      const isFresh = fresh.has(endpoint);
      const isOther = route !== endpoint.route;
      if (isFresh) endpoint.use(passageOf(route));
      else if (isOther) passages.push([endpoint, passageOf(route)]);
      if (isFresh || isOther || index % FEW_COUNT === 0) yield;
    }
    const trial = yield* this.trialOf(configuration, { upstreams, direct, plugins });
    const parts = trial?.trial.parts;
    const known = yield* this.discovery.prepare(
      { upstreams: upstreams.values(), naming: gateway.naming },
      gateway.discovery,
      parts && {
        upstreams: parts.upstreams.values(),
        naming: parts.configuration.gateway.naming,
        offers: parts.offers,
      },
    );
    const goneEndpoints: Endpoint[] = merged === this.merged ? [] : [this.merged.endpoint];
    for (const [upstream, endpoint] of this.direct) if (!direct.has(upstream)) goneEndpoints.push(endpoint);
    const goneUpstreams = [...this.running()].filter((upstream) => !known.byUpstream.has(upstream));
    yield;
    for (const [path, { endpoint }] of this.servers)
      if (servers.get(path)?.endpoint !== endpoint) goneEndpoints.push(endpoint);
    const isOver = trial?.trial !== this.trialNow;
    const stay = new Set<Endpoint>(served);
    const releasedEndpoints = isOver
      ? [...(this.trialNow?.parts.own ?? [])].filter((endpoint) => !stay.has(endpoint))
      : [];
    const table = new RouteTable<Endpoint>(
      merged.endpoint,
      byName,
      byName.get(gateway.defaultUpstream ?? ''),
    );
    return {
      ...{ configuration, upstreams, merged, direct, servers, table, plugins, known, passages },
      ...{ goneUpstreams, goneEndpoints, releasedEndpoints, trial },
    };
  }

  /** What some callers are given beside what all others are. */
  private *trialOf(
    configuration: ResolvedConfiguration,
    beside: Made,
  ): Generator<void, PreparedTrial | undefined, void> {
    const { trial } = configuration;
    const plugins = this.trialPlugins;
    if (trial === undefined) return undefined;
    const share = new PrincipalShare(trial);
    const running = this.trialNow;
    if (running?.isOf(configuration)) return { trial: running, share };
    if (plugins === undefined) throw new Error('the plugins of the trial were not loaded');
    const { gateway, servers } = trial.configuration;
    const offers = this.discovery.offersBeside(gateway.naming);
    const upstreams = yield* this.upstreamsOf(trial.configuration, [beside.upstreams], true);
    const pageSize = gateway.discovery.pageSizeCount;
    const merged = this.mergedOf(pageSize, offers).endpoint;
    const made: ChainedEndpoint[] = [merged];
    for (const server of servers) {
      made.push(this.serverEndpoint(server, pageSize, offers));
      yield;
    }
    const paths = [...made.map(({ path }) => path), ...[...upstreams.values()].map(pathOf)];
    const prepared = yield* plugins.prepare(trial.configuration, paths, beside.plugins);
    const own = new Set(made);
    const direct = new Map<Upstream, ChainedEndpoint>();
    const byName = new Map<string, Endpoint>(made.slice(1).map((each) => [nameOf(each.path), each]));
    for (const upstream of upstreams.values()) {
      const path = pathOf(upstream);
      const other = beside.direct.get(upstream);
      const isSame = other !== undefined && prepared.routes.get(path) === beside.plugins.routes.get(path);
      const endpoint = isSame
        ? other
        : other === undefined
          ? this.directOf(upstream)
          : new ChainedEndpoint(other.inner, this.host.sealer);
      if (!isSame) own.add(endpoint);
      direct.set(upstream, endpoint);
      byName.set(upstream.name, endpoint);
      yield;
    }
    for (const endpoint of own) {
      endpoint.use(passageOf(prepared.routes.get(endpoint.path)));
      yield;
    }
    const table = new RouteTable<Endpoint>(merged, byName, byName.get(gateway.defaultUpstream ?? ''));
    const parts = {
      ...{ rollout: trial.rollout, configuration: trial.configuration, base: configuration.revision },
      ...{ upstreams, direct, offers, plugins, prepared, table, own },
    };
    return { trial: new Trial(parts, share), share };
  }

  /**
   * By their ids, in the order of the configuration.
   *
   * @param running what may go on
   * @param isTrial only some callers are given them
   */
  private *upstreamsOf(
    { gateway, upstreams }: ResolvedConfiguration,
    running: readonly (ReadonlyMap<string, Upstream> | undefined)[],
    isTrial: boolean,
  ): Generator<void, ReadonlyMap<string, Upstream>, void> {
    const egress = new EgressPolicy(gateway.egress.deny, gateway.egress.allow);
    const egressText = JSON.stringify(gateway.egress);
    const next = new Map<string, Upstream>();
    for (const config of upstreams) {
      const goesOn = running
        .map((each) => each?.get(config.id))
        .find(
          (each) =>
            each?.egressText === egressText && sameUpstream(each.config, config) && !this.apart.has(each),
        );
      next.set(config.id, goesOn ?? this.upstreamOf(config, egress, egressText, isTrial));
      if (goesOn === undefined || next.size % FEW_COUNT === 0) yield;
    }
    return next;
  }

  private upstreamOf(
    config: ResolvedUpstream,
    egress: EgressPolicy,
    egressText: string,
    isTrial: boolean,
  ): Upstream {
    try {
      const elsewhere = this.elsewhere(config);
      const upstream = new Upstream(config, {
        egress,
        egressText,
        events: this.events,
        log: this.host.log,
        sealer: this.host.sealer,
        worker: this.host.worker,
        parked: this.parked,
        // Workers find a process by the id of its upstream, which the one of the other revision has too.
        elsewhere: isTrial ? undefined : elsewhere,
      });
      if (isTrial && elsewhere !== undefined) this.apart.add(upstream);
      this.made.push(upstream);
      return upstream;
    } catch (thrown) {
      throw new CannotRun('upstream', config.name, thrown);
    }
  }

  private mergedOf(pageSize: number, offers: Offers): Merged {
    const merged = new MergedEndpoint({
      discovery: this.discovery,
      offers,
      sealer: this.host.sealer,
      pageSize,
      stateLifetimeMs: () => this.parked.lifetimeMs,
    });
    return { pageSize, endpoint: new ChainedEndpoint(merged, this.host.sealer) };
  }

  private directOf(upstream: Upstream): ChainedEndpoint {
    const { sealer } = this.host;
    return new ChainedEndpoint(new DirectEndpoint(upstream, this.discovery, sealer), sealer);
  }

  private servedOf(server: ResolvedServer, pageSize: number): Served {
    const before = this.servers.get(server.path);
    const isSame =
      pageSize === this.merged.pageSize &&
      before !== undefined &&
      (before.server === server || JSON.stringify(before.server) === JSON.stringify(server));
    if (isSame) return before;
    return { server, endpoint: this.serverEndpoint(server, pageSize, this.discovery.offers) };
  }

  private serverEndpoint(server: ResolvedServer, pageSize: number, offers: Offers): ChainedEndpoint {
    try {
      return this.endpointOf(server, pageSize, offers);
    } catch (thrown) {
      throw new CannotRun('server', server.name, thrown);
    }
  }

  private endpointOf(server: ResolvedServer, pageSize: number, offers: Offers): ChainedEndpoint {
    const { path, name, title, instructions, selection } = server;
    return new ChainedEndpoint(
      new MergedEndpoint({
        discovery: this.discovery,
        offers,
        sealer: this.host.sealer,
        pageSize,
        stateLifetimeMs: () => this.parked.lifetimeMs,
        server: {
          path,
          label: name,
          title,
          instructions,
          selection: compileSelection(selection),
          // What was picked one by one is shown by its own name where that is clear.
          naming: (naming) => (selection.kind === 'items' ? { ...naming, mode: 'when_needed' } : naming),
        },
      }),
      this.host.sealer,
    );
  }

  private readonly events: UpstreamEvents = {
    notification: (upstream, bytes, envelope) => {
      if (!this.runs(upstream)) return;
      this.discovery.of(upstream).subscriptions.heard(bytes, envelope);
      if (this.isShared(upstream)) this.host.processes?.heard(upstream, bytes);
    },
    offerChanged: (upstream, principal, kind) => {
      if (!this.runs(upstream)) return;
      this.discovery.offerChanged(upstream, kind, principal);
      // At the other workers the id is that of the upstream which everybody is given.
      if (this.find(upstream.id) === upstream)
        this.host.processes?.offerChanged(upstream.id, principal, kind);
    },
    heardApart: (upstream, kind, uri) => this.mayHaveChanged(upstream, kind, uri),
    stale: (upstream, reason) => {
      if (!this.runs(upstream)) return;
      this.host.log.info({ upstream: upstream.name, reason }, `upstream is asked anew: ${reason}`);
      this.discovery.stale(upstream);
      if (this.isShared(upstream)) this.host.processes?.stale(upstream, reason);
    },
  };

  /**
   * Tells plugins of what may be another than before at an upstream.
   *
   * @param kind undefined for all of them
   * @param uri the one resource that has changed
   */
  private mayHaveChanged({ name: upstream }: Upstream, kind: ListKind | undefined, uri?: string): void {
    for (const each of kind === undefined ? LIST_KINDS : [kind]) {
      const change = { upstream, kind: each, ...(uri === undefined ? {} : { uri }) };
      this.host.plugins.changed(change);
      this.trialNow?.parts.plugins.changed(change);
    }
  }

  /** Asks an upstream to tell of changes of a resource, for the plugins. Returns how to end it. */
  watchResource(name: string, uri: string): () => void {
    const upstream = [...this.upstreams.values()].find((each) => each.name === name);
    if (upstream === undefined || !watchable(upstream)) return () => undefined;
    const { subscriptions } = this.discovery.of(upstream);
    void subscriptions.watch(uri);
    return () => subscriptions.unwatch(uri);
  }

  private runs(upstream: Upstream): boolean {
    return this.discovery.knows(upstream);
  }

  private isShared(upstream: Upstream): boolean {
    return upstream.traits.sharedAcrossWorkers && !this.apart.has(upstream);
  }

  get all(): readonly Upstream[] {
    return [...this.upstreams.values()];
  }

  find(upstreamId: string): Upstream | undefined {
    return this.upstreams.get(upstreamId);
  }

  /** What the process of an upstream said at another worker; told here as if it had been said here. */
  heard(upstreamId: string, bytes: Buffer): void {
    this.subscriptionsOf(upstreamId)?.heard(bytes, scanMessage(bytes));
  }

  offerChanged(upstreamId: string, principal: string, kind: ListKind | undefined): void {
    const upstream = this.find(upstreamId);
    if (upstream !== undefined) this.discovery.offerChanged(upstream, kind, principal);
  }

  stale(upstreamId: string): void {
    const upstream = this.find(upstreamId);
    if (upstream !== undefined) this.discovery.stale(upstream);
  }

  async watch(upstreamId: string, uri: string): Promise<Refusal> {
    return this.subscriptionsOf(upstreamId)?.watch(uri);
  }

  unwatch(upstreamId: string, uri: string): void {
    this.subscriptionsOf(upstreamId)?.unwatch(uri);
  }

  concerns(upstreamId: string, updated: string, uris: readonly string[]): boolean {
    return this.subscriptionsOf(upstreamId)?.concerns(updated, uris) ?? false;
  }

  letGo(upstreamId: string, reason: string): void {
    this.find(upstreamId)?.letGo(reason);
  }

  private subscriptionsOf(upstreamId: string): UpstreamSubscriptions | undefined {
    const upstream = this.find(upstreamId);
    return upstream === undefined ? undefined : this.discovery.of(upstream).subscriptions;
  }

  private elsewhere({ id, name, transport }: ResolvedUpstream): UpstreamHost['elsewhere'] {
    const traits = traitsOf(transport);
    const { processes } = this.host;
    if (processes === undefined || !traits.sharedAcrossWorkers) return undefined;
    return (lost) => processes.connect({ id, name, traits }, lost);
  }
}

function pathOf({ name }: Upstream): string {
  return `/mcp/${name}`;
}

/** What stands behind /mcp/. */
function nameOf(path: string): string {
  return path.slice('/mcp/'.length);
}

/** One that fails must not keep the others from being told. */
function whatever(tell: () => void): void {
  try {
    tell();
  } catch (thrown) {
    rethrowLater(thrown);
  }
}

function sameUpstream(a: ResolvedUpstream, b: ResolvedUpstream): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
