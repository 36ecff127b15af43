import { isDeepStrictEqual } from 'node:util';
import type { DataPlane } from '@sluice/data-plane';
import type { ResolvedAddress, ResolvedConfiguration, ResolvedGateway } from '@sluice/proto';

/**
 * A configuration in which every port that the system was to choose is the one that it chose, so that a start
 * after a crash does not move the gateway.
 */
export function withChosenPorts(
  configuration: ResolvedConfiguration,
  { url, metricsUrl, healthUrl }: Pick<DataPlane, 'url' | 'metricsUrl' | 'healthUrl'>,
): ResolvedConfiguration {
  const { gateway } = configuration;
  return withGateway(configuration, {
    listen: withChosenPort(gateway.listen, url),
    ...(gateway.metrics && { metrics: withChosenPort(gateway.metrics, metricsUrl) }),
    ...(gateway.health && { health: withChosenPort(gateway.health, healthUrl) }),
  });
}

/**
 * A changed configuration as a gateway can take it while it runs: it goes on listening where and how it does.
 *
 * @returns the configuration, and the settings that have to wait for the next start
 */
export function withRunningAddresses(
  changed: ResolvedConfiguration,
  running: ResolvedConfiguration,
): { configuration: ResolvedConfiguration; waiting: string[] } {
  const { listen, metrics, health } = running.gateway;
  const { host, port, workerCount, listener, tls } = listen;
  const wanted = changed.gateway;
  const configuration = withGateway(changed, {
    listen: { ...wanted.listen, host, port, workerCount, listener, tls },
    metrics,
    health,
  });
  const pairs = [
    ['listen.host', wanted.listen.host, host],
    ['listen.port', wanted.listen.port || port, port],
    ['listen.workers', wanted.listen.workerCount, workerCount],
    ['listen.listener', wanted.listen.listener, listener],
    ['listen.tls', wanted.listen.tls, tls],
    ['metrics', withPortOf(wanted.metrics, metrics), metrics],
    ['health', withPortOf(wanted.health, health), health],
  ] as const;
  const waiting = pairs.filter(([, one, other]) => !isDeepStrictEqual(one, other)).map(([name]) => name);
  return { configuration, waiting };
}

function withGateway(
  configuration: ResolvedConfiguration,
  fields: Partial<ResolvedGateway>,
): ResolvedConfiguration {
  return { ...configuration, gateway: { ...configuration.gateway, ...fields } };
}

function withChosenPort<A extends ResolvedAddress>(address: A, url: string | undefined): A {
  return address.port === 0 && url !== undefined ? { ...address, port: Number(new URL(url).port) } : address;
}

/** Port 0 leaves the choice to the system, so the port that runs is as good as any. */
function withPortOf(address: ResolvedAddress | undefined, running: ResolvedAddress | undefined) {
  return address?.port === 0 && running ? { ...address, port: running.port } : address;
}
