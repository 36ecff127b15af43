/** Serves one client over two byte streams, in this process and without a listener: `sluice stdio`. */
import { randomBytes } from 'node:crypto';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { builtIn } from '@sluice/plugins';
import type { ResolvedConfiguration } from '@sluice/proto';
import { MemoryBuckets, Refusal } from '@sluice/sdk/engine';
import type { Logger } from 'pino';
import type { PluginSeries } from './chain/plugin-host.js';
import { bucketsOf } from './chain/plugin-sharing.js';
import { pluginStores } from './chain/plugin-stores.js';
import { Plugins } from './chain/plugins.js';
import { type SharedMemory, sharedMemory } from './chain/shared-memory.js';
import { stdioArrival } from './chain/stdio-arrival.js';
import type { PluginStores } from './chain/store-limits.js';
import { ANONYMOUS, type RequestHeaders } from './exchange/exchange.js';
import type { DuplexClient } from './front/duplex/connection.js';
import { DuplexFront } from './front/duplex/front.js';
import type { Endpoint } from './front/endpoint.js';
import { SessionRoom } from './front/session-room.js';
import { StdioConnection } from './front/stdio/stdio-connection.js';
import { newNodeId, workerAddress } from './sessions/node-bus.js';
import { createSealer } from './sessions/seal.js';
import { inSlices } from './snapshot/slices.js';
import { Runtime } from './snapshot/snapshot.js';
import { Traffic, type TrafficMetrics } from './telemetry/traffic.js';
import { EgressPolicy } from './upstream/transport/egress-policy.js';

type Limits = ResolvedConfiguration['gateway']['limits'];

export interface StdioOptions {
  readonly configuration: ResolvedConfiguration;
  readonly log: Logger;
  /** What the client writes. */
  readonly input: Readable;
  /** What the client reads. Nothing else may write there. */
  readonly output: Writable;
  /** Name of the one upstream that is served, with its own names; undefined for all of them as one server. */
  readonly upstream?: string | undefined;
  /** What plugins see as the header fields of each request, by lower-case name. */
  readonly headers: RequestHeaders;
}

/** Why a connection has come to its end. */
export interface StdioEnd {
  readonly reason: string;
  /**
   * The client sends nothing more but may read (`left`), or does not even read (`gone`); or this side had to give the
   * connection up (`failed`).
   */
  readonly kind: 'left' | 'gone' | 'failed';
}

export interface StdioServer {
  readonly ended: Promise<StdioEnd>;
  /** Swaps in a new configuration. Rejects, and keeps the old one, when it cannot be run. */
  apply(configuration: ResolvedConfiguration): Promise<void>;
  /** Why every request would be refused before it is looked at: nobody knows the client. Undefined when it is known. */
  refusal(): Promise<string | undefined>;
  /** Lets what runs end within the grace, then closes everything. A second call with 0 does not wait any longer. */
  stop(graceMs: number): Promise<void>;
}

/** Bytes of a key. Nothing that is sealed with it outlives the connection. */
const KEY_BYTES = 32;
/**
 * Least number of bytes that may wait for the client: one pipe carries all its answers, and a few large ones may come
 * at once.
 */
const LEAST_WAITING_BYTES = 64 * 1024 * 1024;
/** How often the end looks whether the client has read everything. */
const FLUSH_CHECK_MS = 10;
const LEAVING = 'the gateway shuts down';
/** Nobody asks a process with one client for metrics. */
const NO_METRICS: TrafficMetrics & PluginSeries = {
  ended() {},
  failed() {},
  refused() {},
  pluginCounted() {},
  pluginObserved() {},
  pluginGauged() {},
  pluginFailed() {},
  pluginSwitched() {},
};

/** Rejects when `upstream` names none of the configuration, or a plugin cannot be loaded. */
export async function startStdio(options: StdioOptions): Promise<StdioServer> {
  const serving = new StdioServing(options);
  await serving.begin();
  return serving;
}

class StdioServing implements StdioServer {
  readonly ended: Promise<StdioEnd>;
  private readonly runtime: Runtime;
  private readonly front: DuplexFront;
  private client: DuplexClient | undefined;
  private limits: Limits;
  private readonly stores: PluginStores;
  private readonly sharing = { buckets: new MemoryBuckets(() => performance.now()) };
  private shared: SharedMemory = new Map();
  private egress: ResolvedConfiguration['gateway']['egress'];
  private resolveEnded: (end: StdioEnd) => void = () => {};
  private hurry: () => void = () => {};
  private stopping: Promise<void> | undefined;
  /** Resolves when nothing more will be written. */
  private closed: Promise<void> = Promise.resolve();

  constructor(private readonly options: StdioOptions) {
    const { configuration, log } = options;
    const { gateway } = configuration;
    this.limits = gateway.limits;
    this.stores = pluginStores(gateway.stateDir, log);
    this.egress = gateway.egress;
    this.ended = new Promise((resolve) => {
      this.resolveEnded = resolve;
    });
    this.front = new DuplexFront({
      room: new SessionRoom(() => gateway.sessions),
      traffic: new Traffic(NO_METRICS, () => this.limits.maxRequestsInFlightCount),
      maxMessageBytes: () => this.limits.maxBodyBytes,
      // There is one worker.
      forward: () => false,
      onSessionEnd: (reason) => log.debug({ reason }, 'the session has ended'),
      onFault: (thrown) => this.fault(thrown),
    });
    this.runtime = new Runtime(configuration, {
      sealer: createSealer({ current: randomBytes(KEY_BYTES), previous: [] }),
      log,
      worker: workerAddress(newNodeId(), 0),
      plugins: this.plugins(),
      removed: (endpoint) =>
        this.front.closeEndpoint(endpoint, 'the configuration has changed what this connection is for'),
      rerouted: (endpoint) => this.front.rerouted(endpoint),
      // One client is no share of any.
      released: () => undefined,
      sharedOfTrial: () => undefined,
    });
  }

  /** Loads plugins, then reads what the client says. */
  async begin(): Promise<void> {
    const { configuration, headers, input, output, upstream } = this.options;
    await this.runConfiguration(configuration);
    const endpoint = this.endpoint();
    if (endpoint === undefined) throw new Error(`there is no upstream ${JSON.stringify(upstream)}`);
    let close: () => void = () => {};
    this.closed = new Promise((resolve) => {
      close = resolve;
    });
    const connection = new StdioConnection(
      input,
      output,
      {
        maxLineBytes: this.limits.maxBodyBytes,
        maxWaitingBytes: Math.max(this.limits.maxPendingReplyBytes, LEAST_WAITING_BYTES),
      },
      {
        message: (bytes) => this.client?.message(bytes),
        inputEnded: () => this.resolveEnded({ reason: 'the client has closed its side', kind: 'left' }),
        ended: (reason, kind) => {
          close();
          this.resolveEnded({ reason, kind });
          this.client?.gone();
        },
      },
    );
    // Whoever started the process is the only client that there is.
    this.client = this.front.open(endpoint, connection, { headers, principal: ANONYMOUS });
    process.on('uncaughtException', this.fault);
    process.on('unhandledRejection', this.fault);
    this.runtime.discovery.start();
    connection.start();
  }

  private endpoint(): Endpoint | undefined {
    const { upstream } = this.options;
    return this.runtime.table.find(upstream === undefined ? '/mcp' : `/mcp/${upstream}`);
  }

  private plugins(): Plugins {
    const { stores } = this;
    return new Plugins({
      log: this.options.log,
      metrics: NO_METRICS,
      find: ({ plugin }) => builtIn(plugin),
      store: (binding) => stores.of(binding),
      buckets: (binding) => bucketsOf(binding, this.sharing),
      shared: (binding) => this.shared.get(binding),
      watch: (upstream, uri) => this.runtime.watchResource(upstream, uri),
      egress: () => new EgressPolicy(this.egress.deny, this.egress.allow),
    });
  }

  private async runConfiguration(configuration: ResolvedConfiguration): Promise<void> {
    const { shared } = this;
    this.shared = await inSlices(sharedMemory(configuration, shared));
    try {
      await this.runtime.apply(configuration);
    } catch (thrown) {
      this.shared = shared;
      throw thrown;
    }
    this.egress = configuration.gateway.egress;
  }

  async apply(configuration: ResolvedConfiguration): Promise<void> {
    await this.runConfiguration(configuration);
    this.limits = configuration.gateway.limits;
  }

  async refusal(): Promise<string | undefined> {
    const { path, route } = this.endpoint() ?? {};
    if (path === undefined || route === undefined) return undefined;
    const admitted = await route.admit(stdioArrival(path, this.options.headers));
    return admitted instanceof Refusal ? admitted.message : undefined;
  }

  stop(graceMs: number): Promise<void> {
    if (graceMs === 0) this.hurry();
    this.stopping ??= this.finish(graceMs);
    return this.stopping;
  }

  private async finish(graceMs: number): Promise<void> {
    let isOver = graceMs === 0;
    const over = new Promise<void>((resolve) => {
      this.hurry = () => {
        isOver = true;
        resolve();
      };
      setTimeout(this.hurry, graceMs).unref();
    });
    this.front.drain(LEAVING);
    await Promise.race([this.closed, over]);
    this.front.close(LEAVING);
    const { output } = this.options;
    while (!isOver && !output.destroyed && output.writableLength > 0) await sleep(FLUSH_CHECK_MS);
    await this.runtime.close();
    this.stores.close();
    process.off('uncaughtException', this.fault);
    process.off('unhandledRejection', this.fault);
  }

  /** An exception that nobody caught: it cost its exchange. */
  private readonly fault = (thrown: unknown): void => {
    this.options.log.error({ err: thrown }, 'an exception cost an exchange');
  };
}
