import type { ResolvedAddress, ResolvedConfiguration } from '@sluice/proto';
import type { DataPlane } from './data-plane.js';

/**
 * A configuration in which every port that the system was to choose is the one that it chose, so that neither a
 * changed file nor a start after a crash moves the gateway.
 */
export function keepAddresses(
  configuration: ResolvedConfiguration,
  { url, metricsUrl, healthUrl }: Pick<DataPlane, 'url' | 'metricsUrl' | 'healthUrl'>,
): ResolvedConfiguration {
  const { gateway } = configuration;
  return {
    ...configuration,
    gateway: {
      ...gateway,
      listen: keepPort(gateway.listen, url),
      ...(gateway.metrics && { metrics: keepPort(gateway.metrics, metricsUrl) }),
      ...(gateway.health && { health: keepPort(gateway.health, healthUrl) }),
    },
  };
}

function keepPort<A extends ResolvedAddress>(address: A, url: string | undefined): A {
  return address.port === 0 && url !== undefined ? { ...address, port: Number(new URL(url).port) } : address;
}
