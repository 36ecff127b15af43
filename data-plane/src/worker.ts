/**
 * One worker: a listener, the fronts, and the endpoints behind them, put together, drained and closed. Every worker has
 * all of it; they share nothing but the port and the configuration. The path of a request is in `client-door.ts`.
 */
import { builtIn } from '@sluice/plugins';
import type { ResolvedAddress, ResolvedConfiguration } from '@sluice/proto';
import type { Logger } from 'pino';
import { AdminDoor } from './admin/admin-door.js';
import { NodeAdmin, type NodeAdminSource } from './admin/node-admin.js';
import { type TrialCounts, WorkerPart } from './admin/worker-part.js';
import { bucketsOf, type PluginSharing, recordsOf } from './chain/plugin-sharing.js';
import { pluginStores } from './chain/plugin-stores.js';
import { Plugins } from './chain/plugins.js';
import { ofTrial, type SharedMemory } from './chain/shared-memory.js';
import type { PluginStores } from './chain/store-limits.js';
import { ClientDoor } from './client-door.js';
import { DuplexFront } from './front/duplex/front.js';
import { LegacyFront } from './front/legacy/front.js';
import { ModernFront } from './front/modern/front.js';
import { SessionRoom } from './front/session-room.js';
import { SseFront } from './front/sse/front.js';
import { WebSockets } from './front/websocket/web-sockets.js';
import { createListener } from './listener/create.js';
import type { Door, Listener, ListenerLimits } from './listener/listener.js';
import { Forwarder } from './sessions/forwarding.js';
import { lanesOf } from './sessions/lanes.js';
import { Neighbours } from './sessions/neighbours.js';
import { isOfNode, type Pipe, type WorkerAddress, workerAddress } from './sessions/node-bus.js';
import { type KeyRing, keyRing, RotatingSealer } from './sessions/seal.js';
import type { SessionStore } from './sessions/store.js';
import { SessionTokens } from './sessions/tokens.js';
import { inSlices } from './snapshot/slices.js';
import { type PreparedRuntime, Runtime } from './snapshot/snapshot.js';
import type { Trial } from './snapshot/trial.js';
import { Metrics } from './telemetry/metrics.js';
import { OpsDoor, opsAddressDoor, type UpstreamStatus } from './telemetry/ops-door.js';
import type { Tally } from './telemetry/tally.js';
import { Traffic } from './telemetry/traffic.js';
import { SharedProcesses } from './upstream/elsewhere/shared-processes.js';
import { EgressPolicy } from './upstream/transport/egress-policy.js';
import { within } from './within.js';

/** Time for the head of a request, and for an idle connection between two requests. */
const HEAD_TIMEOUT_MS = 10_000;
const IDLE_TIMEOUT_MS = 75_000;
const MAX_HEADER_COUNT = 96;
/** Time for other nodes to answer that they send no more requests for sessions that are here. */
const PART_TIMEOUT_MS = 1_000;
/** How often a drain looks whether it is done. */
const DRAIN_CHECK_MS = 20;
/** What is known of a stream of HTTP+SSE when it is opened; path and principal come to it. It never moves to another worker. */
const STREAM_SESSION = {
  revision: '2024-11-05',
  capabilities: undefined,
  clientInfo: undefined,
};

export interface WorkerOptions {
  /** With what it listens; it runs what it is told to prepare and swap in. */
  readonly configuration: ResolvedConfiguration;
  /** Secret from which tokens are sealed; the same in all workers. */
  readonly key: Uint8Array;
  readonly log: Logger;
  /** The node that it belongs to; every start of a process is another one. */
  readonly node: string;
  /** Which worker of the node this is, from 0, and how many there are. */
  readonly index: number;
  readonly count: number;
  /** What is known of legacy sessions, beyond this worker too. */
  readonly sessionStore: SessionStore;
  /** There are other nodes, and the session store is theirs too. */
  readonly inCluster: boolean;
  /** What plugins share beyond this worker. */
  readonly sharing: PluginSharing;
  /** Where metrics of all workers come together; by default those of this one. */
  readonly metricsText?: () => Promise<string>;
  /** Metrics of what connects the node to others, to be shown with those of this worker. */
  readonly clusterMetricsText?: (() => Promise<string>) | undefined;
  /** Sessions of all workers together; by default those of this one. */
  readonly totalSessionCount?: () => Promise<number>;
  /** Asks all workers for their part of the admin API; by default only this one is asked. */
  readonly askWorkers?: NodeAdminSource['ask'];
}

export class Worker {
  private readonly metrics: Metrics;
  private readonly ops: OpsDoor;
  private readonly sealer: RotatingSealer;
  private readonly tokens: SessionTokens;
  /** Where other workers reach this one. */
  readonly address: WorkerAddress;
  private readonly forwarder = new Forwarder((head, body, reply) => this.door.forwarded(head, body, reply));
  /** Undefined where there is no other worker. */
  private readonly processes: SharedProcesses | undefined;
  private readonly room: SessionRoom;
  private readonly modern: ModernFront;
  private readonly legacy: LegacyFront;
  private readonly duplex: DuplexFront;
  private readonly sse: SseFront;
  private readonly webSockets: WebSockets;
  readonly runtime: Runtime;
  private readonly plugins: Plugins;
  private readonly stores: PluginStores;
  private shared: SharedMemory = new Map();
  /** What it can be told to run. */
  private prepared: { readonly runtime: PreparedRuntime; readonly sharedBefore: SharedMemory } | undefined;
  private readonly traffic: Traffic;
  private readonly door: ClientDoor;
  /** This worker's part of the admin API. */
  readonly adminPart: WorkerPart;
  private configuration: ResolvedConfiguration;
  /** Since when; milliseconds of the clock. */
  private appliedAt = Date.now();
  private listener: Listener | undefined;
  private opsListeners: Listener[] = [];
  private ready = false;

  constructor(private readonly options: WorkerOptions) {
    const { configuration, log } = options;
    this.configuration = configuration;
    this.stores = options.sharing.stores ?? pluginStores(configuration.gateway.stateDir, log);
    const settings = () => this.configuration.gateway.sessions;
    this.sealer = new RotatingSealer(this.keys);
    this.address = workerAddress(options.node, options.index);
    this.tokens = new SessionTokens(this.sealer, this.address);
    this.metrics = new Metrics(
      {
        sessions: () => this.sessionCount,
        connections: () => this.listener?.connectionCount ?? 0,
        requestsInFlight: () => this.traffic.count,
        parkedCalls: () => this.runtime.parked.callCount,
        upstreams: () =>
          this.status().map(({ name, state, toolCount }) => ({
            name,
            up: state === 'ready',
            tools: toolCount,
          })),
      },
      options.index === 0,
    );
    this.traffic = new Traffic(
      this.metrics,
      () => this.configuration.gateway.limits.maxRequestsInFlightCount,
    );
    this.room = new SessionRoom(settings);
    this.modern = new ModernFront({
      keepAliveMs: () => settings().keepAliveMs,
      forward: (worker, head, body, reply) => this.forwarder.forward(worker, head, body, reply),
    });
    this.legacy = new LegacyFront({
      settings,
      tokens: this.tokens,
      store: options.sessionStore,
      self: this.address,
      others: this.forwarder,
      room: this.room,
      onSessionEnd: (reason) => this.metrics.sessionEnded(reason),
      onError: (endpoint, method, code) => this.traffic.failed(endpoint, method, code),
    });
    this.duplex = new DuplexFront({
      room: this.room,
      traffic: this.traffic,
      maxMessageBytes: () => this.configuration.gateway.limits.maxBodyBytes,
      forward: (worker, head, body, reply) => this.forwarder.forward(worker, head, body, reply),
      onSessionEnd: (reason) => this.metrics.sessionEnded(reason),
      onFault: (thrown) => this.fault(thrown),
    });
    this.sse = new SseFront({
      duplex: this.duplex,
      keepAliveMs: () => settings().keepAliveMs,
      mintToken: ({ path }, principal) => this.tokens.mint({ ...STREAM_SESSION, path, principal }).token,
    });
    this.webSockets = new WebSockets({
      front: this.duplex,
      idleTimeoutMs: () => settings().idleTimeoutMs,
    });
    const store = options.inCluster ? options.sessionStore : undefined;
    if (options.count > 1 || store !== undefined)
      this.processes = new SharedProcesses({
        ...options,
        self: this.address,
        store,
        host: () => this.runtime,
      });
    this.plugins = new Plugins({
      log,
      metrics: this.metrics,
      find: ({ plugin }) => builtIn(plugin),
      store: (binding) => this.stores.of(binding),
      buckets: (binding) => bucketsOf(binding, options.sharing),
      records: (binding) => recordsOf(binding, options.sharing),
      shared: (binding) => this.shared.get(binding),
      watch: (upstream, uri) => this.runtime.watchResource(upstream, uri),
      egress: () =>
        new EgressPolicy(this.configuration.gateway.egress.deny, this.configuration.gateway.egress.allow),
    });
    this.runtime = new Runtime(configuration, {
      sealer: this.sealer,
      log,
      worker: this.address,
      processes: this.processes,
      plugins: this.plugins,
      removed: (endpoint) => {
        const reason = 'the endpoint was removed from the configuration';
        this.legacy.closeEndpoint(endpoint, reason);
        this.duplex.closeEndpoint(endpoint, reason);
        this.modern.endStreams(endpoint);
      },
      released: (endpoint) => {
        const reason = 'what some callers tried is over';
        this.legacy.releaseEndpoint(endpoint, reason);
        this.duplex.closeEndpoint(endpoint, reason);
        this.modern.endStreams(endpoint);
      },
      sharedOfTrial: (binding) => this.shared.get(ofTrial(binding)),
      rerouted: (endpoint) => {
        this.modern.rerouted(endpoint);
        this.legacy.rerouted(endpoint);
        this.duplex.rerouted(endpoint);
      },
    });
    this.ops = new OpsDoor({
      status: () => this.status(),
      sessions: options.totalSessionCount ?? (async () => this.sessionCount),
      ready: () => this.ready && !this.traffic.draining,
      metrics:
        options.metricsText ??
        (async () => (await this.metrics.text()) + ((await options.clusterMetricsText?.()) ?? '')),
    });
    this.door = new ClientDoor({
      configuration: () => this.configuration,
      runtime: this.runtime,
      plugins: this.plugins,
      modern: this.modern,
      legacy: this.legacy,
      sse: this.sse,
      webSockets: this.webSockets,
      ops: this.ops,
      neighbours: new Neighbours(this.forwarder, this.tokens, this.address, options.node, options.count),
      traffic: this.traffic,
      onFault: (thrown) => this.fault(thrown),
    });
    this.adminPart = new WorkerPart({
      counts: () => ({
        sessions: this.sessionCount,
        openExchanges: this.traffic.count,
        parkedCalls: this.runtime.parked.callCount,
        draining: this.traffic.draining,
        requestCount: this.traffic.totalCount,
        errorCount: this.traffic.errorCount,
        durationUs: Math.round(this.traffic.durationMs * 1000),
        failedUpstreamCount: this.status().filter(({ state }) => state === 'failed').length,
        trial: trialCountsOf(this.runtime.trial),
      }),
      status: () => this.status(),
      connections: () => [this.legacy.connections, this.duplex.connections],
    });
    void this.settled.then(() => {
      this.ready = true;
    });
  }

  /** Listens for clients. Resolves with the port. */
  async listen(port: number, shared: boolean): Promise<{ port: number; kind: Listener['kind'] }> {
    const { listen } = this.configuration.gateway;
    const listener = await createListener(
      listen.listener,
      {
        host: listen.host,
        port,
        sharedPort: shared,
        limits: listenerLimits(this.configuration),
        tls: listen.tls,
        onFault: (thrown) => this.fault(thrown),
      },
      this.door,
    );
    this.listener = listener;
    return { port: await listener.listen(), kind: listener.kind };
  }

  /** Serves metrics or health on an address of its own. Resolves with the port. */
  listenOps(address: ResolvedAddress, serves: 'metrics' | 'health' | 'all'): Promise<number> {
    const refusal: Door['refusal'] = (status, reason) => this.door.refusal(status, reason);
    return this.listenApart(
      address,
      opsAddressDoor(this.ops, serves, address.host, () => this.allowedHosts, refusal),
    );
  }

  /** Serves the admin API on an address of its own. Resolves with the port. */
  listenAdmin(address: ResolvedAddress): Promise<number> {
    const { node, count, askWorkers } = this.options;
    const api = new NodeAdmin({
      node,
      workerCount: count,
      configuration: () => ({
        content: this.configuration,
        key: this.keys.current,
        appliedAt: this.appliedAt,
      }),
      ask: askWorkers ?? (async (query) => [this.adminPart.answer(query)]),
    });
    const door = new AdminDoor({
      api,
      host: address.host,
      allowedHosts: () => this.allowedHosts,
      token: () => this.configuration.gateway.admin?.token,
      onRefused: (status) => this.traffic.refused(status),
      onFault: (thrown) => this.fault(thrown),
    });
    return this.listenApart(address, door);
  }

  private get allowedHosts(): readonly string[] {
    return this.configuration.gateway.listen.allowedHosts;
  }

  private get keys(): KeyRing {
    return keyRing(this.configuration.gateway.sessions.keys, this.options.key);
  }

  private async listenApart({ host, port }: ResolvedAddress, door: Door): Promise<number> {
    const listener = await createListener(
      this.configuration.gateway.listen.listener,
      {
        host,
        port,
        sharedPort: false,
        limits: listenerLimits(this.configuration),
        onFault: (thrown) => this.fault(thrown),
      },
      door,
    );
    this.opsListeners.push(listener);
    return listener.listen();
  }

  /**
   * Begins to ask upstreams, which starts their processes: to be called when every address is listened on, so that a
   * gateway whose port is taken ends before it has done anything.
   */
  start(): void {
    this.runtime.discovery.start();
  }

  /** Resolves when every upstream has answered or failed once after `start`, or the deadline has passed. */
  get settled(): Promise<void> {
    return this.runtime.discovery.settled;
  }

  /**
   * Does everything that running a configuration takes and that can fail, in slices between requests. Rejects, and has
   * changed nothing, when it cannot be run. Afterwards it is told to {@link swap} or to {@link drop}.
   *
   * @param shared memory that the workers of the node share
   */
  async prepare(configuration: ResolvedConfiguration, shared: SharedMemory): Promise<void> {
    const sharedBefore = this.shared;
    // Only plugins that are made anew ask for it.
    this.shared = shared;
    try {
      this.prepared = { runtime: await this.runtime.prepare(configuration), sharedBefore };
    } catch (thrown) {
      this.shared = sharedBefore;
      throw thrown;
    }
  }

  /** Forgets what was prepared, and ends what was made for it. */
  async drop(): Promise<void> {
    const { prepared } = this;
    if (prepared === undefined) return;
    this.prepared = undefined;
    this.shared = prepared.sharedBefore;
    await this.runtime.drop();
  }

  /** Runs what was prepared, from this call on. Resolves when what is gone has been told so. Cannot fail. */
  swap(): Promise<void> {
    const prepared = this.prepared?.runtime;
    if (prepared === undefined) throw new Error('nothing was prepared');
    this.prepared = undefined;
    const { configuration } = prepared;
    const after = this.runtime.swap(prepared);
    this.configuration = configuration;
    this.appliedAt = Date.now();
    this.sealer.rotate(this.keys);
    this.door.renew();
    const limits = listenerLimits(configuration);
    for (const listener of [this.listener, ...this.opsListeners]) listener?.setLimits(limits);
    return inSlices(after);
  }

  async reloadTls(): Promise<void> {
    await this.listener?.reloadTls();
  }

  get sessionCount(): number {
    return this.room.size;
  }

  metricsSnapshot(): Promise<object[]> {
    return this.metrics.snapshot();
  }

  status(): UpstreamStatus[] {
    return this.runtime.discovery.known.map(({ upstream, state, error, offer }) => ({
      name: upstream.name,
      id: upstream.id,
      kind: upstream.config.transport.kind,
      state,
      ...(upstream.era === undefined ? {} : { era: upstream.era }),
      ...(upstream.facts === undefined ? {} : { revision: upstream.facts.revision }),
      toolCount: offer.tools.length,
      promptCount: offer.prompts.length,
      resourceCount: offer.resources.length,
      ...(error === undefined ? {} : { error }),
    }));
  }

  /** Takes nothing new, lets what runs end within the grace, then closes everything. */
  async stop(graceMs: number): Promise<void> {
    const deadline = Date.now() + graceMs;
    await this.drain(graceMs);
    await this.close(Math.max(0, deadline - Date.now()));
  }

  /** Takes nothing new, tells other nodes to go on with sessions, and lets what runs end within the grace. */
  async drain(graceMs: number): Promise<void> {
    this.traffic.draining = true;
    this.listener?.drain();
    this.modern.endStreams();
    this.duplex.drain('the gateway shuts down');
    const isElsewhere = (address: WorkerAddress) => !isOfNode(address, this.options.node);
    const deadline = Date.now() + graceMs;
    await within(Math.min(graceMs, PART_TIMEOUT_MS), this.forwarder.leave(isElsewhere));
    const left = Math.max(0, deadline - Date.now());
    await until(() => this.traffic.count + (this.processes?.lentCallCount ?? 0) === 0, left);
  }

  /** Ends sessions and their streams, lets answers leave that are on their way, and closes everything. */
  async close(graceMs: number): Promise<void> {
    this.legacy.close('the gateway shuts down');
    this.duplex.close('the gateway shuts down');
    this.modern.close();
    this.sse.close();
    await until(() => (this.listener?.openReplyCount ?? 0) === 0, graceMs);
    await this.listener?.close();
    await Promise.all(this.opsListeners.map((listener) => listener.close()));
    await this.runtime.close();
    // What is shared goes on without this worker.
    if (this.options.sharing.stores === undefined) this.stores.close();
  }

  /** An exception that nobody caught: it cost its exchange, and is counted. */
  fault(thrown: unknown): void {
    this.metrics.fault();
    this.options.log.error({ err: thrown }, 'an exception cost an exchange');
  }

  /** Another worker is there, of this node or of another. */
  meet(address: WorkerAddress, pipe: Pipe): void {
    const { requests, upstreams } = lanesOf(pipe);
    this.forwarder.addPeer(address, requests);
    this.processes?.addPeer(address, upstreams);
  }

  /** Says goodbye to the other workers. */
  part(): void {
    this.forwarder.close();
  }
}

function trialCountsOf(trial: Trial | undefined): TrialCounts | undefined {
  return (
    trial && {
      served: countsOf(trial.served),
      servedBeside: countsOf(trial.servedBeside),
      failedUpstreamCount: trial.failedUpstreamCount,
    }
  );
}

function countsOf({ requestCount, errorCount, durationMs }: Tally): TrialCounts['served'] {
  return { requestCount, errorCount, durationUs: Math.round(durationMs * 1000) };
}

/** Resolves when the condition holds, or the time is over. */
async function until(condition: () => boolean, ms: number): Promise<void> {
  const deadline = Date.now() + ms;
  while (!condition() && Date.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, DRAIN_CHECK_MS));
}

function listenerLimits({ gateway: { limits, sessions } }: ResolvedConfiguration): ListenerLimits {
  return {
    maxUrlBytes: limits.maxUrlBytes,
    maxHeaderBytes: limits.maxHeaderBytes,
    maxHeaderCount: MAX_HEADER_COUNT,
    headTimeoutMs: HEAD_TIMEOUT_MS,
    bodyTimeoutMs: limits.bodyTimeoutMs,
    idleTimeoutMs: IDLE_TIMEOUT_MS,
    maxBufferedBytes: limits.maxBufferedBytes,
    maxPendingReplyBytes: limits.maxPendingReplyBytes,
    maxConnectionCount: limits.maxConnectionCount,
    maxMessageBytes: limits.maxBodyBytes,
    pingIntervalMs: sessions.keepAliveMs,
  };
}
