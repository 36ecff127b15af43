/** Where a data plane can be reached, as URLs. */
import type { ResolvedConfiguration } from '@sluice/proto';
import type { Worker } from './worker.js';

/** The address that clients use: `http://127.0.0.1:8080`. */
export function clientUrl({ gateway }: ResolvedConfiguration, port: number): string {
  const { host, tls } = gateway.listen;
  return `${tls === undefined ? 'http' : 'https'}://${hostInUrl(host)}:${port}`;
}

/** Opens the addresses of their own for metrics and health, where the configuration has them. */
export async function opsAddresses(
  { gateway: { metrics, health } }: ResolvedConfiguration,
  worker: Pick<Worker, 'listenOps'>,
): Promise<{ metricsUrl?: string; healthUrl?: string }> {
  const found: { metricsUrl?: string; healthUrl?: string } = {};
  if (metrics !== undefined) {
    found.metricsUrl = `http://${hostInUrl(metrics.host)}:${await worker.listenOps(metrics, 'metrics')}`;
  }
  if (health !== undefined) {
    found.healthUrl = `http://${hostInUrl(health.host)}:${await worker.listenOps(health, 'health')}`;
  }
  return found;
}

function hostInUrl(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}
