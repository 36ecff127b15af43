import { isDeepStrictEqual } from 'node:util';
import type { DataPlane } from '@sluice/data-plane';
import type {
  ResolvedAddress,
  ResolvedAdminAddress,
  ResolvedConfiguration,
  ResolvedGateway,
} from '@sluice/proto';

/**
 * A configuration in which every port that the system was to choose is the one that it chose, so that a start
 * after a crash does not move the gateway.
 */
export function withChosenPorts(
  configuration: ResolvedConfiguration,
  { url, metricsUrl, healthUrl, adminUrl }: Pick<DataPlane, 'url' | 'metricsUrl' | 'healthUrl' | 'adminUrl'>,
): ResolvedConfiguration {
  const portOf = (text: string | undefined) => (text === undefined ? 0 : Number(new URL(text).port));
  return withPorts(configuration, {
    listen: portOf(url),
    metrics: portOf(metricsUrl),
    health: portOf(healthUrl),
    admin: portOf(adminUrl),
  });
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
  const { listen, limits, metrics, health, admin, stateDir } = running.gateway;
  // A port that is left to the system is no wish for another one.
  const wanted = withPorts(changed, {
    listen: listen.port,
    metrics: metrics?.port ?? 0,
    health: health?.port ?? 0,
    admin: admin?.port ?? 0,
  }).gateway;
  const keptAdmin = runningAdmin(admin, wanted.admin);
  const configuration = withGateway(changed, {
    listen: { ...listen, ...pick(wanted.listen, LIVE_LISTEN_SETTINGS) },
    limits: { ...wanted.limits, ...pick(limits, PARSER_LIMITS) },
    metrics,
    health,
    admin: keptAdmin,
    stateDir,
  });
  const kept = configuration.gateway;
  const waiting = [
    ...differences(wanted.listen, kept.listen).map((name) => `gateway.listen.${WRITTEN_NAMES[name] ?? name}`),
    ...differences(wanted.limits, kept.limits).map((name) => `gateway.limits.${WRITTEN_NAMES[name] ?? name}`),
    ...differences(
      { metrics: wanted.metrics, health: wanted.health, admin: wanted.admin },
      { metrics, health, admin: keptAdmin },
    ).map((name) => `gateway.${name}`),
    ...(wanted.stateDir === stateDir ? [] : ['gateway.state_dir']),
  ];
  return { configuration, waiting };
}

/**
 * The address of the admin API stays, and takes another token at once. A token that was chosen for another address
 * (or left out there) says nothing of this one, which may be open to more machines.
 */
function runningAdmin(
  running: ResolvedAdminAddress | undefined,
  wanted: ResolvedAdminAddress | undefined,
): ResolvedAdminAddress | undefined {
  const isSame = running?.host === wanted?.host && running?.port === wanted?.port;
  return isSame ? wanted : running;
}

function pick<T extends object>(settings: T, names: readonly string[]): Partial<T> {
  return Object.fromEntries(Object.entries(settings).filter(([name]) => names.includes(name))) as Partial<T>;
}

function differences<T extends object>(one: T, other: T): string[] {
  const names = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...names].filter((name) => !isDeepStrictEqual(one[name as keyof T], other[name as keyof T]));
}

type OwnAddress = 'listen' | 'metrics' | 'health' | 'admin';

function withPorts(
  configuration: ResolvedConfiguration,
  ports: Readonly<Record<OwnAddress, number>>,
): ResolvedConfiguration {
  const { listen, metrics, health, admin } = configuration.gateway;
  return withGateway(configuration, {
    listen: withPort(listen, ports.listen),
    ...(metrics && { metrics: withPort(metrics, ports.metrics) }),
    ...(health && { health: withPort(health, ports.health) }),
    ...(admin && { admin: withPort(admin, ports.admin) }),
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
