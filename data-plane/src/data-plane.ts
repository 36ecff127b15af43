/** Starts the data plane of one process: one worker in this thread, or several in threads of their own. */
import type { ResolvedConfiguration } from '@sluice/proto';
import type { Logger } from 'pino';
import type { UpstreamStatus } from './telemetry/ops-door.js';
import { startThreads } from './threads/threads.js';
import { Worker } from './worker.js';

export interface DataPlaneOptions {
  readonly configuration: ResolvedConfiguration;
  /** 32 random bytes that tokens are sealed with. Whoever wants tokens to outlive a restart gives the same again. */
  readonly key: Uint8Array;
  readonly log: Logger;
}

export interface DataPlane {
  /** Where clients reach it: `http://127.0.0.1:8080`. */
  readonly url: string;
  /** Where metrics are, when they have an address of their own. */
  readonly metricsUrl?: string;
  /** Where health is, when it has an address of its own. */
  readonly healthUrl?: string;
  readonly listener: 'uws' | 'node';
  /** Swaps in a new configuration. Rejects, and keeps the old one, when it cannot be run. */
  apply(configuration: ResolvedConfiguration): Promise<void>;
  status(): UpstreamStatus[];
  /** Every upstream has been asked once, or had its time. */
  readonly ready: Promise<void>;
  /** Lets what runs end within the grace, then closes everything. */
  stop(graceMs: number): Promise<void>;
}

/** Rejects with a readable message when an address cannot be listened on. */
export async function startDataPlane(options: DataPlaneOptions): Promise<DataPlane> {
  const { configuration } = options;
  const { listen } = configuration.gateway;
  if (listen.workerCount > 1) return startThreads(options);
  const worker = new Worker({ ...options, index: 0 });
  const onFault = (thrown: unknown) => worker.fault(thrown);
  process.on('uncaughtException', onFault);
  process.on('unhandledRejection', onFault);
  const off = () => {
    process.off('uncaughtException', onFault);
    process.off('unhandledRejection', onFault);
  };
  try {
    const { port, kind } = await worker.listen(listen.port, true);
    return {
      ...(await addresses(configuration, worker, port)),
      listener: kind,
      apply: async (next) => worker.apply(next),
      status: () => worker.status(),
      ready: worker.settled,
      stop: async (graceMs) => {
        await worker.stop(graceMs);
        off();
      },
    };
  } catch (thrown) {
    await worker.stop(0);
    off();
    throw thrown;
  }
}

/** Opens the addresses of their own for metrics and health, and says where everything is. */
export async function addresses(
  { gateway }: ResolvedConfiguration,
  worker: Pick<Worker, 'listenOps'>,
  port: number,
): Promise<Pick<DataPlane, 'url' | 'metricsUrl' | 'healthUrl'>> {
  const { listen, metrics, health } = gateway;
  const found: { url: string; metricsUrl?: string; healthUrl?: string } = {
    url: `${listen.tls === undefined ? 'http' : 'https'}://${hostInUrl(listen.host)}:${port}`,
  };
  if (metrics !== undefined)
    found.metricsUrl = `http://${hostInUrl(metrics.host)}:${await worker.listenOps(metrics, 'metrics')}`;
  if (health !== undefined)
    found.healthUrl = `http://${hostInUrl(health.host)}:${await worker.listenOps(health, 'health')}`;
  return found;
}

function hostInUrl(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}
