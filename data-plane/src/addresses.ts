/** Where a data plane can be reached, as URLs. */
import type { ResolvedAddress, ResolvedConfiguration } from '@sluice/proto';
import { CannotRun } from './snapshot/cannot-run.js';
import type { Worker } from './worker.js';

/** The address that clients use: `http://127.0.0.1:8080`. */
export function clientUrl({ gateway }: ResolvedConfiguration, port: number): string {
  const { host, tls } = gateway.listen;
  return `${tls === undefined ? 'http' : 'https'}://${hostInUrl(host)}:${port}`;
}

/** Where operators find what has an address of its own. */
export interface OpsUrls {
  readonly metricsUrl?: string;
  readonly healthUrl?: string;
  readonly adminUrl?: string;
}

/**
 * Opens the addresses of their own for metrics, health and the admin API, where the configuration has them.
 *
 * @throws CannotRun when one of them cannot be listened on
 */
export async function opsAddresses(
  { gateway }: ResolvedConfiguration,
  worker: Pick<Worker, 'listenOps' | 'listenAdmin'>,
): Promise<OpsUrls> {
  const { admin } = gateway;
  try {
    const urls = await metricsAndHealth(gateway, worker);
    if (admin === undefined) return urls;
    return { ...urls, adminUrl: `http://${hostInUrl(admin.host)}:${await worker.listenAdmin(admin)}` };
  } catch (thrown) {
    throw new CannotRun('gateway', '', thrown, true);
  }
}

/** The two may be one. */
async function metricsAndHealth(
  { metrics, health }: ResolvedConfiguration['gateway'],
  worker: Pick<Worker, 'listenOps'>,
): Promise<OpsUrls> {
  const open = async (address: ResolvedAddress, serves: 'metrics' | 'health' | 'all') =>
    `http://${hostInUrl(address.host)}:${await worker.listenOps(address, serves)}`;
  if (
    metrics !== undefined &&
    health !== undefined &&
    metrics.port !== 0 &&
    metrics.host === health.host &&
    metrics.port === health.port
  ) {
    const url = await open(metrics, 'all');
    return { metricsUrl: url, healthUrl: url };
  }
  return {
    ...(metrics === undefined ? {} : { metricsUrl: await open(metrics, 'metrics') }),
    ...(health === undefined ? {} : { healthUrl: await open(health, 'health') }),
  };
}

function hostInUrl(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}
