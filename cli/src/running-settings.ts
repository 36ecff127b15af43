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
  const portOf = (text: string | undefined) => (text === undefined ? 0 : Number(new URL(text).port));
  return withPorts(configuration, portOf(url), portOf(metricsUrl), portOf(healthUrl));
}

/** What of `listen` is looked at for every request, and can therefore change while the gateway runs. */
const LIVE_LISTEN_SETTINGS: readonly string[] = ['allowedHosts', 'allowedOrigins', 'insecure'];

/** Limits that the parsers of both listeners are made with. */
const PARSER_LIMITS: readonly string[] = ['maxHeaderBytes', 'maxUrlBytes'];

/** How settings are spelled in a file, where that is not their own name. */
const WRITTEN_NAMES: Readonly<Record<string, string>> = {
  workerCount: 'workers',
  sharePort: 'share_port',
  maxHeaderBytes: 'max_header_bytes',
  maxUrlBytes: 'max_url_bytes',
};

/**
 * A changed configuration as a gateway can take it while it runs: it goes on listening where and how it does.
 *
 * @returns the configuration, and the settings that need a restart, as they are written in a file
 */
export function withRunningSettings(
  changed: ResolvedConfiguration,
  running: ResolvedConfiguration,
): { configuration: ResolvedConfiguration; waiting: string[] } {
  const { listen, limits, metrics, health } = running.gateway;
  // A port that is left to the system is no wish for another one.
  const wanted = withPorts(changed, listen.port, metrics?.port ?? 0, health?.port ?? 0).gateway;
  const configuration = withGateway(changed, {
    listen: { ...listen, ...pick(wanted.listen, LIVE_LISTEN_SETTINGS) },
    limits: { ...wanted.limits, ...pick(limits, PARSER_LIMITS) },
    metrics,
    health,
  });
  const kept = configuration.gateway;
  const waiting = [
    ...differences(wanted.listen, kept.listen).map((name) => `gateway.listen.${WRITTEN_NAMES[name] ?? name}`),
    ...differences(wanted.limits, kept.limits).map((name) => `gateway.limits.${WRITTEN_NAMES[name] ?? name}`),
    ...differences({ metrics: wanted.metrics, health: wanted.health }, { metrics, health }).map(
      (name) => `gateway.${name}`,
    ),
  ];
  return { configuration, waiting };
}

function pick<T extends object>(settings: T, names: readonly string[]): Partial<T> {
  return Object.fromEntries(Object.entries(settings).filter(([name]) => names.includes(name))) as Partial<T>;
}

function differences<T extends object>(one: T, other: T): string[] {
  const names = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...names].filter((name) => !isDeepStrictEqual(one[name as keyof T], other[name as keyof T]));
}

function withPorts(
  configuration: ResolvedConfiguration,
  listenPort: number,
  metricsPort: number,
  healthPort: number,
): ResolvedConfiguration {
  const { listen, metrics, health } = configuration.gateway;
  return withGateway(configuration, {
    listen: withPort(listen, listenPort),
    ...(metrics && { metrics: withPort(metrics, metricsPort) }),
    ...(health && { health: withPort(health, healthPort) }),
  });
}

function withPort<A extends ResolvedAddress>(address: A, port: number): A {
  return address.port === 0 ? { ...address, port } : address;
}

function withGateway(
  configuration: ResolvedConfiguration,
  fields: Partial<ResolvedGateway>,
): ResolvedConfiguration {
  return { ...configuration, gateway: { ...configuration.gateway, ...fields } };
}
