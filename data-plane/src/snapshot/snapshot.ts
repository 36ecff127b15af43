/**
 * A configuration made runnable: upstreams, endpoints and the table that leads to them. A new configuration makes a
 * new snapshot that takes over every upstream which did not change, so that nobody who does not use a changed one
 * notices.
 */
import type { ResolvedConfiguration, ResolvedServer, ResolvedUpstream } from '@sluice/proto';
import type { Logger } from 'pino';
import { ChainedEndpoint } from '../chain/chained-endpoint.js';
import type { Plugins } from '../chain/plugins.js';
import { DirectEndpoint } from '../federation/direct.js';
import { Discovery } from '../federation/discovery.js';
import { MergedEndpoint } from '../federation/merged.js';
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

export interface SnapshotHost {
  readonly sealer: Sealer;
  readonly log: Logger;
  readonly worker: WorkerAddress;
  /** Processes that are shared with other workers; undefined when there are none. */
  readonly processes?: SharedProcesses | undefined;
  readonly plugins: Plugins;
  /** The endpoint is not served any more; its sessions end. */
  removed(endpoint: Endpoint): void;
  /** Other plugins than before stand in front of it: what was found out and decided about clients has to be anew. */
  rerouted(endpoint: Endpoint): void;
}

/** The running form of the newest configuration. */
export class Runtime implements ProcessHost {
  private upstreams: Upstream[] = [];
  /** Those that are gone from the configuration, until their requests have ended. */
  private readonly leaving = new Set<Upstream>();
  private direct = new Map<Upstream, ChainedEndpoint>();
  /** Endpoints and virtual servers, by what the configuration says of them. */
  private servers = new Map<string, ChainedEndpoint>();
  private merged: { readonly pageSize: number; readonly endpoint: ChainedEndpoint } | undefined;
  private pluginsText: string | undefined;
  readonly discovery: Discovery;
  /** Of all upstreams together. */
  readonly parked: ParkedAccount;
  table: RouteTable<Endpoint>;

  constructor(
    configuration: ResolvedConfiguration,
    private readonly host: SnapshotHost,
  ) {
    const { naming, discovery, sessions } = configuration.gateway;
    this.parked = new ParkedAccount(sessions);
    this.discovery = new Discovery(naming, discovery, host.log);
    this.discovery.onMayHaveChanged((upstream, kind, uri) => this.mayHaveChanged(upstream, kind, uri));
    this.table = this.compile(configuration);
  }

  /** Swaps in a new configuration between two requests. Throws before anything is changed when it cannot be made. */
  apply(configuration: ResolvedConfiguration): void {
    this.table = this.compile(configuration);
    this.parked.apply(configuration.gateway.sessions);
  }

  async close(): Promise<void> {
    this.discovery.stop();
    await this.host.plugins.close();
    await Promise.all([...this.upstreams, ...this.leaving].map((upstream) => upstream.close()));
  }

  private compile(configuration: ResolvedConfiguration): RouteTable<Endpoint> {
    const { gateway, upstreams } = configuration;
    const plugins = this.host.plugins.prepare(configuration, pathsOf(configuration));
    const egress = new EgressPolicy(gateway.egress.deny, gateway.egress.allow);
    const egressText = JSON.stringify(gateway.egress);
    const before = this.upstreams;
    const next = upstreams.map(
      (config) =>
        before.find(
          (upstream) => upstream.egressText === egressText && sameUpstream(upstream.config, config),
        ) ??
        new Upstream(config, {
          egress,
          egressText,
          events: this.events,
          log: this.host.log,
          sealer: this.host.sealer,
          worker: this.host.worker,
          parked: this.parked,
          elsewhere: this.elsewhere(config),
        }),
    );
    const gone = before.filter((upstream) => !next.includes(upstream));
    this.upstreams = next;
    const pageSize = gateway.discovery.pageSizeCount;
    if (this.merged === undefined || this.merged.pageSize !== pageSize) {
      if (this.merged !== undefined) this.host.removed(this.merged.endpoint);
      const merged = new MergedEndpoint({
        discovery: this.discovery,
        sealer: this.host.sealer,
        pageSize,
        stateLifetimeMs: () => this.parked.lifetimeMs,
      });
      this.merged = { pageSize, endpoint: new ChainedEndpoint(merged) };
    }
    const servers = new Map(configuration.servers.map((server) => [JSON.stringify(server), server] as const));
    const serversBefore = this.servers;
    this.servers = new Map(
      [...servers].map(([text, server]) => [
        text,
        serversBefore.get(text) ?? this.endpointOf(server, pageSize),
      ]),
    );
    const direct = new Map<Upstream, ChainedEndpoint>();
    const byName = new Map<string, Endpoint>();
    for (const upstream of next) {
      const endpoint =
        this.direct.get(upstream) ??
        new ChainedEndpoint(new DirectEndpoint(upstream, this.discovery, this.host.sealer));
      direct.set(upstream, endpoint);
      byName.set(upstream.name, endpoint);
    }
    for (const endpoint of this.servers.values()) byName.set(endpoint.path.slice('/mcp/'.length), endpoint);
    const removed = [
      ...gone
        .map((upstream) => this.direct.get(upstream))
        .filter((each): each is ChainedEndpoint => each !== undefined),
      ...[...serversBefore].filter(([text]) => !this.servers.has(text)).map(([, endpoint]) => endpoint),
    ];
    this.direct = direct;
    const pluginsText = JSON.stringify(configuration.plugins);
    // Who may see what has changed, so whoever keeps a list looks again.
    const tellsAll = this.pluginsText !== undefined && this.pluginsText !== pluginsText;
    this.pluginsText = pluginsText;
    this.discovery.replace(next, gateway.naming, gateway.discovery, tellsAll);
    this.host.plugins.use(plugins, gateway.shutdownGraceMs);
    const served = [this.merged.endpoint, ...direct.values(), ...this.servers.values()];
    const rerouted = served.filter((endpoint) => endpoint.use(this.host.plugins.route(endpoint.path)));
    if (tellsAll) this.discovery.tellAll();
    for (const endpoint of rerouted) this.host.rerouted(endpoint);
    for (const endpoint of removed) this.host.removed(endpoint);
    for (const upstream of gone) {
      // Requests under way end as they began.
      this.leaving.add(upstream);
      const timer = setTimeout(() => {
        this.leaving.delete(upstream);
        void upstream.close();
      }, gateway.shutdownGraceMs);
      timer.unref();
    }
    return new RouteTable<Endpoint>(this.merged.endpoint, byName, byName.get(gateway.defaultUpstream ?? ''));
  }

  private endpointOf(server: ResolvedServer, pageSize: number): ChainedEndpoint {
    const { path, name, title, instructions, selection } = server;
    return new ChainedEndpoint(
      new MergedEndpoint({
        discovery: this.discovery,
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
    );
  }

  private readonly events: UpstreamEvents = {
    notification: (upstream, bytes, envelope) => {
      if (!this.upstreams.includes(upstream)) return;
      this.discovery.of(upstream).subscriptions.heard(bytes, envelope);
      if (upstream.traits.sharedAcrossWorkers) this.host.processes?.heard(upstream, bytes);
    },
    offerChanged: (upstream, principal, kind) => {
      if (!this.upstreams.includes(upstream)) return;
      this.discovery.offerChanged(upstream, kind, principal);
      this.host.processes?.offerChanged(upstream.id, principal, kind);
    },
    heardApart: (upstream, kind, uri) => this.mayHaveChanged(upstream, kind, uri),
    stale: (upstream, reason) => {
      if (!this.upstreams.includes(upstream)) return;
      this.host.log.info({ upstream: upstream.name, reason }, `upstream is asked anew: ${reason}`);
      this.discovery.stale(upstream);
      if (upstream.traits.sharedAcrossWorkers) this.host.processes?.stale(upstream, reason);
    },
  };

  /**
   * Tells plugins of what may be another than before at an upstream.
   *
   * @param kind undefined for all of them
   * @param uri the one resource that has changed
   */
  private mayHaveChanged({ name: upstream }: Upstream, kind: ListKind | undefined, uri?: string): void {
    for (const each of kind === undefined ? LIST_KINDS : [kind])
      this.host.plugins.changed({ upstream, kind: each, ...(uri === undefined ? {} : { uri }) });
  }

  /** Asks an upstream to tell of changes of a resource, for the plugins. Returns how to end it. */
  watchResource(name: string, uri: string): () => void {
    const upstream = this.upstreams.find((each) => each.name === name);
    if (upstream === undefined || !watchable(upstream)) return () => undefined;
    const { subscriptions } = this.discovery.of(upstream);
    void subscriptions.watch(uri);
    return () => subscriptions.unwatch(uri);
  }

  get all(): readonly Upstream[] {
    return this.upstreams;
  }

  find(upstreamId: string): Upstream | undefined {
    return this.upstreams.find((upstream) => upstream.id === upstreamId);
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

/** Of all endpoints that a configuration serves. */
function pathsOf({ upstreams, servers }: ResolvedConfiguration): string[] {
  return ['/mcp', ...upstreams.map(({ name }) => `/mcp/${name}`), ...servers.map(({ path }) => path)];
}

function sameUpstream(a: ResolvedUpstream, b: ResolvedUpstream): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
