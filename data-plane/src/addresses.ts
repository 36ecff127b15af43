/** Where a data plane can be reached, as URLs. */
import type { ResolvedAddress, ResolvedConfiguration } from '@sluice/proto';
import type { Worker } from './worker.js';

/** The address that clients use: `http://127.0.0.1:8080`. */
export function clientUrl({ gateway }: ResolvedConfiguration, port: number): string {
  const { host, tls } = gateway.listen;
  return `${tls === undefined ? 'http' : 'https'}://${hostInUrl(host)}:${port}`;
}

/** Opens the addresses of their own for metrics and health, where the configuration has them; they may be one. */
export async function opsAddresses(
  { gateway: { metrics, health } }: ResolvedConfiguration,
  worker: Pick<Worker, 'listenOps'>,
): Promise<{ metricsUrl?: string; healthUrl?: string }> {
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
