/** Starts the data plane of one process: one worker in this thread, or several in threads of their own. */
import type { ResolvedConfiguration } from '@sluice/proto';
import { MemoryBuckets } from '@sluice/sdk/engine';
import type { Logger } from 'pino';
import { clientUrl, type OpsUrls, opsAddresses } from './addresses.js';
import type { WorkerAnswers, WorkerQuery } from './admin/worker-part.js';
import type { PluginSharing } from './chain/plugin-sharing.js';
import { checkStateDir } from './chain/plugin-stores.js';
import { type SharedMemory, sharedMemory } from './chain/shared-memory.js';
import { type NodeBus, newNodeId } from './sessions/node-bus.js';
import { MemorySessionStore, type SessionEnds, type SessionStore } from './sessions/store.js';
import { inSlices } from './snapshot/slices.js';
import { type SwappingWorkers, Swaps, withoutContent } from './snapshot/swaps.js';
import type { UpstreamStatus } from './telemetry/ops-door.js';
import { onProcessGroups, type ProcessGroupListener } from './upstream/transport/process-group.js';
import { Worker } from './worker.js';

export interface DataPlaneOptions {
  readonly configuration: ResolvedConfiguration;
  /** 32 random bytes that tokens are sealed with. Whoever wants tokens to outlive a restart gives the same again. */
  readonly key: Uint8Array;
  readonly log: Logger;
  /** Told of subprocesses, so that somebody can end them when this process is killed. */
  readonly onProcessGroup?: ProcessGroupListener;
  /** So that sessions which ended stay ended after a crash of this process. The store of a cluster knows by itself. */
  readonly sessionEnds?: SessionEnds;
  /** The other nodes; undefined when there are none. */
  readonly cluster?: Cluster | undefined;
}

/** What nodes share with each other. */
export interface Cluster {
  readonly bus: NodeBus;
  readonly sessions: SessionStore;
  /** What plugins share; by default the workers of each node share by themselves. */
  readonly plugins?: PluginSharing;
  /** Shown with the metrics of the gateway. */
  metricsText?(): Promise<string>;
}

export interface DataPlane extends OpsUrls {
  /** Where clients reach it: `http://127.0.0.1:8080`. */
  readonly url: string;
  readonly listener: 'uws' | 'node';
  /** Swaps in a new configuration. Rejects, and keeps the old one, when it cannot be run. */
  apply(configuration: ResolvedConfiguration): Promise<void>;
  /** Reads the certificate files again. Rejects, and keeps the old ones, when they are bad. */
  reloadTls(): Promise<void>;
  status(): UpstreamStatus[];
  /** Asks every worker; one that does not answer in time is left out. */
  ask<Q extends WorkerQuery>(query: Q): Promise<readonly WorkerAnswers[Q['what']][]>;
  /** Every upstream has been asked once, or had its time. */
  readonly ready: Promise<void>;
  /** Lets what runs end within the grace, then closes everything. */
  stop(graceMs: number): Promise<void>;
}

/** Rejects with a readable message when an address cannot be listened on. */
export async function startDataPlane(options: DataPlaneOptions): Promise<DataPlane> {
  const { configuration } = options;
  const { listen } = configuration.gateway;
  const { cluster } = options;
  checkStateDir(configuration.gateway.stateDir, options.log);
  if (listen.workerCount > 1) {
    // Most gateways have one worker, and do without what brings several together.
    return (await import('./threads/threads.js')).startThreads(options);
  }
  onProcessGroups(options.onProcessGroup);
  const worker = new Worker({
    ...options,
    configuration: withoutContent(configuration),
    node: newNodeId(),
    index: 0,
    count: 1,
    sessionStore: sessionStoreOf(options),
    inCluster: cluster !== undefined,
    sharing: sharingOf(options),
    clusterMetricsText: cluster?.metricsText?.bind(cluster),
  });
  cluster?.bus.join([worker.address], (_, other, pipe) => worker.meet(other, pipe));
  const onFault = (thrown: unknown) => worker.fault(thrown);
  process.on('uncaughtException', onFault);
  process.on('unhandledRejection', onFault);
  const off = () => {
    process.off('uncaughtException', onFault);
    process.off('unhandledRejection', onFault);
  };
  const swaps = new Swaps(new OneWorker(worker), configuration);
  try {
    // Nobody can reach it before.
    await swaps.apply(configuration);
    const { port, kind } = await worker.listen(listen.port, listen.sharePort);
    const ops = await opsAddresses(configuration, worker);
    worker.start();
    return {
      url: clientUrl(configuration, port),
      ...ops,
      listener: kind,
      apply: (next) => swaps.apply(next),
      reloadTls: () => worker.reloadTls(),
      status: () => worker.status(),
      ask: async (query) => [worker.adminPart.answer(query) as never],
      ready: worker.settled,
      stop: async (graceMs) => {
        await worker.stop(graceMs);
        cluster?.bus.leave();
        off();
      },
    };
  } catch (thrown) {
    await worker.stop(0);
    cluster?.bus.leave();
    off();
    throw thrown;
  }
}

/** The workers of a node that has one, in this thread. */
class OneWorker implements SwappingWorkers {
  private shared: SharedMemory = new Map();
  private sharedNext: SharedMemory = this.shared;

  constructor(private readonly worker: Worker) {}

  async prepare(next: ResolvedConfiguration): Promise<void> {
    this.sharedNext = await inSlices(sharedMemory(next, this.shared));
    await this.worker.prepare(next, this.sharedNext);
  }

  swap(): Promise<void> {
    this.shared = this.sharedNext;
    return this.worker.swap();
  }

  drop(): Promise<void> {
    return this.worker.drop();
  }
}

/** What plugins share with those of the other workers, of this node or of all. */
export function sharingOf({ cluster }: DataPlaneOptions): PluginSharing {
  return cluster?.plugins ?? { buckets: new MemoryBuckets(() => performance.now()) };
}

/** What is known of the sessions of all workers together. */
export function sessionStoreOf({ cluster, sessionEnds }: DataPlaneOptions): SessionStore {
  return cluster?.sessions ?? new MemorySessionStore(sessionEnds);
}
