import type { Duration } from '@bufbuild/protobuf/wkt';
import { GATEWAY_DEFAULTS, PLUGIN_DEFAULTS, UPSTREAM_DEFAULTS } from './defaults.js';
import { withDerivedPlugins } from './derived-plugins.js';
import type {
  Address,
  Configuration,
  Gateway,
  Listen,
  PluginBinding,
  Upstream,
} from './gen/sluice/config/v1/config_pb.js';
import {
  Era,
  FailurePolicy,
  Isolation,
  ListenerKind,
  NamingMode,
  SessionLoss,
  StdioSharing,
} from './gen/sluice/config/v1/config_pb.js';
import { pathOfVirtualServer, resolveServers } from './resolved-servers.js';

/**
 * A configuration as the running gateway reads it: every default filled in, times in milliseconds, sizes in
 * bytes, enumerations as words, disabled upstreams left out. Deeply frozen.
 */
export interface ResolvedConfiguration {
  readonly gateway: ResolvedGateway;
  readonly upstreams: readonly ResolvedUpstream[];
  /** Servers beside /mcp and the upstreams themselves; disabled ones are left out. */
  readonly servers: readonly ResolvedServer[];
  /** In the order of the configuration; disabled ones are left out. With what policies, limits and credentials ask for. */
  readonly plugins: readonly ResolvedPlugin[];
  /** The revision of a cluster's configuration that it is, or how often a gateway that stands alone has taken one. */
  readonly revision?: number;
  /** What some callers are given in place of this. */
  readonly trial?: ResolvedTrial;
}

/** The next revision, which a rollout gives to some callers first. */
export interface ResolvedTrial {
  /** Names the rollout. */
  readonly rollout: string;
  /** Of the callers who say who they are; 1 to 100. */
  readonly principalsPercent: number;
  readonly configuration: ResolvedConfiguration;
}

/** Several upstreams, or a part of what they offer, as one server: an endpoint or a virtual server. */
export interface ResolvedServer {
  readonly name: string;
  /** Begins with `/mcp/`. */
  readonly path: string;
  /** Whose it is; absent for the operator. */
  readonly tenant?: string;
  readonly title?: string;
  readonly instructions?: string;
  readonly selection: ResolvedSelection;
}

/** What a server takes from upstreams, by their names. */
export type ResolvedSelection =
  /** Everything of some; of all that are not hidden when there is none. */
  | { readonly kind: 'upstreams'; readonly upstreams: readonly string[] }
  | {
      readonly kind: 'items';
      readonly tools: readonly ResolvedSelectedItem[];
      readonly prompts: readonly ResolvedSelectedItem[];
      readonly resources: readonly ResolvedSelectedResource[];
    };

/** Tools or prompts of one upstream. */
export interface ResolvedSelectedItem {
  readonly upstream: string;
  /** With `*` for any characters. */
  readonly name: string;
  readonly rename?: string;
  readonly description?: string;
}

/** Resources and templates of one upstream. */
export interface ResolvedSelectedResource {
  readonly upstream: string;
  /** With `*` for any characters. */
  readonly uri: string;
  readonly description?: string;
}

/** Settings of the gateway itself; see `Gateway` in the schema for what each means. */
export interface ResolvedGateway {
  readonly listen: ResolvedListen;
  /** Absent: the client address serves `/metrics`. */
  readonly metrics?: ResolvedAddress;
  /** Absent: the client address serves `/health`, `/live` and `/ready`. */
  readonly health?: ResolvedAddress;
  /** Absent: there is no admin API. */
  readonly admin?: ResolvedAdminAddress;
  readonly limits: {
    readonly maxBodyBytes: number;
    readonly maxHeaderBytes: number;
    readonly maxUrlBytes: number;
    readonly bodyTimeoutMs: number;
    /** For each worker. */
    readonly maxConnectionCount: number;
    /** For each worker. */
    readonly maxRequestsInFlightCount: number;
    /** For each worker. */
    readonly maxBufferedBytes: number;
    readonly maxPendingReplyBytes: number;
  };
  readonly naming: {
    readonly separator: string;
    readonly mode: 'always' | 'when_needed';
    readonly maxNameLength: number;
  };
  readonly discovery: {
    readonly intervalMs: number;
    readonly deadlineMs: number;
    readonly pageSizeCount: number;
  };
  readonly sessions: {
    readonly idleTimeoutMs: number;
    /** On one worker. */
    readonly maxSessionCount: number;
    readonly replayMessageCount: number;
    readonly replayBytes: number;
    readonly keepAliveMs: number;
    /** On one worker. */
    readonly maxSessionPerPrincipalCount: number;
    /** On one worker. */
    readonly maxParkedCallCount: number;
    /** On one worker. */
    readonly maxParkedCallPerPrincipalCount: number;
    /** On one worker. */
    readonly maxParkedBytes: number;
    readonly parkedCallLifetimeMs: number;
    /** Secrets; the first seals. Empty: one that the process was started with. */
    readonly keys: readonly string[];
  };
  /** Ranges in CIDR form. */
  readonly egress: { readonly deny: readonly string[]; readonly allow: readonly string[] };
  /** Without a format: text on a terminal, else json. */
  readonly log: { readonly level: LogLevel; readonly format?: 'json' | 'text' };
  /** Name of the upstream that takes every path below /mcp that no other upstream has. */
  readonly defaultUpstream?: string;
  readonly shutdownGraceMs: number;
  /** Folder for what has to outlive the process; undefined when there is none. */
  readonly stateDir?: string;
}

/** Least severe level that is written. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Log levels, least severe first. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

/** Log formats. */
export const LOG_FORMATS = ['json', 'text'] as const;

/** An address to listen on; port 0 lets the system choose. */
export interface ResolvedAddress {
  readonly host: string;
  readonly port: number;
}

/** The address of the admin API. */
export interface ResolvedAdminAddress extends ResolvedAddress {
  /** The secret that every request has to carry. Absent: none is asked for. */
  readonly token?: string;
}

/** The address that clients use, and who may use it. */
export interface ResolvedListen extends ResolvedAddress {
  readonly workerCount: number;
  readonly listener: 'auto' | 'uws' | 'node';
  readonly tls?: { readonly certFile: string; readonly keyFile: string };
  readonly allowedHosts: readonly string[];
  readonly allowedOrigins: readonly string[];
  readonly insecure: boolean;
  /** A second gateway of this machine may listen on the same port. */
  readonly sharePort: boolean;
}

/** One MCP server behind the gateway. */
export interface ResolvedUpstream {
  /** Never changes, whatever the name. */
  readonly id: string;
  readonly name: string;
  /** Whose it is; absent for the operator. */
  readonly tenant?: string;
  readonly era: 'auto' | 'modern' | 'legacy';
  /** Time that a call may take without a sign of life. */
  readonly timeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly maxMessageBytes: number;
  /** Not part of /mcp; its own path serves it all the same. */
  readonly hidden: boolean;
  /** What becomes of a legacy client's session when what it held here is lost. */
  readonly onSessionLoss: 'reinitialize' | 'end';
  readonly transport: ResolvedTransport;
}

export type ResolvedTransport =
  | ResolvedHttpTransport
  | ResolvedStdioTransport
  | ResolvedSseTransport
  | ResolvedWebSocketTransport;

/** One plugin in its place. */
export interface ResolvedPlugin {
  /** Unique in the configuration. */
  readonly name: string;
  readonly plugin: string;
  /** Who has put it there; absent for the operator. */
  readonly tenant?: string;
  /** Paths of endpoints; empty: all. */
  readonly endpoints: readonly string[];
  readonly onFailure: 'deny' | 'allow';
  /** Undefined: as the plugin says. */
  readonly isolation?: 'inline' | 'pool' | 'process';
  readonly hash?: string;
  /** Origins to which it may make requests when it runs in a process. */
  readonly mayFetch: readonly string[];
  /** Without the defaults of the plugin's schema. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** Streamable HTTP, also over a Unix socket. */
export interface ResolvedHttpTransport {
  readonly kind: 'http';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** For each worker. */
  readonly maxConnectionCount: number;
}

/** HTTP+SSE of revision 2024-11-05. */
export interface ResolvedSseTransport {
  readonly kind: 'sse';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** WebSocket with the subprotocol `mcp`. */
export interface ResolvedWebSocketTransport {
  readonly kind: 'websocket';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** For each worker. */
  readonly maxConnectionCount: number;
}

/** A subprocess that speaks over stdin and stdout. */
export interface ResolvedStdioTransport {
  readonly kind: 'stdio';
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Folder it starts in; empty means that of the gateway's own process. */
  readonly cwd: string;
  readonly sharing: 'shared' | 'per_session' | 'cluster';
  /** Processes at once for `per_session`, for each worker. */
  readonly maxProcessCount: number;
}

/**
 * Fills every default into a configuration that has passed validation.
 *
 * @throws TypeError when an upstream that is not disabled has no transport: validation refuses that first.
 */
export function resolveConfiguration(configuration: Configuration): ResolvedConfiguration {
  return Object.freeze({
    gateway: resolveGateway(configuration.gateway),
    upstreams: Object.freeze(
      configuration.upstreams.filter((upstream) => !upstream.disabled).map(resolveUpstream),
    ),
    servers: deepFreeze(resolveServers(configuration)),
    plugins: deepFreeze(resolvePlugins(configuration)),
  });
}

/** The gateway's own settings, with every default filled in. Deeply frozen. */
export function resolveGateway(gateway: Gateway | undefined): ResolvedGateway {
  return deepFreeze(gatewaySettings(gateway));
}

/** One plugin in its place, with every default filled in. Deeply frozen. */
export function resolvePlugin(binding: PluginBinding): ResolvedPlugin {
  return deepFreeze(pluginSettings(binding));
}

/**
 * One upstream, with every default filled in. Deeply frozen.
 *
 * @throws TypeError when it has no transport
 */
export function resolveUpstream(upstream: Upstream): ResolvedUpstream {
  return deepFreeze(upstreamSettings(upstream));
}

function gatewaySettings(gateway: Gateway | undefined): ResolvedGateway {
  const { limits, naming, discovery, sessions, egress, log } = gateway ?? {};
  const defaults = GATEWAY_DEFAULTS;
  return {
    listen: resolveListen(gateway?.listen),
    ...(gateway?.metrics && { metrics: resolveAddress(gateway.metrics, defaults['metrics.host']) }),
    ...(gateway?.health && { health: resolveAddress(gateway.health, defaults['health.host']) }),
    ...(gateway?.admin && {
      admin: {
        ...resolveAddress(gateway.admin, defaults['admin.host']),
        ...(gateway.admin.token && { token: gateway.admin.token }),
      },
    }),
    limits: {
      maxBodyBytes: limits?.maxBodyBytes ?? defaults['limits.max_body_bytes'],
      maxHeaderBytes: limits?.maxHeaderBytes ?? defaults['limits.max_header_bytes'],
      maxUrlBytes: limits?.maxUrlBytes ?? defaults['limits.max_url_bytes'],
      bodyTimeoutMs: toMs(limits?.bodyTimeout, defaults['limits.body_timeout']),
      maxConnectionCount: limits?.maxConnections ?? defaults['limits.max_connections'],
      maxRequestsInFlightCount: limits?.maxRequestsInFlight ?? defaults['limits.max_requests_in_flight'],
      maxBufferedBytes: Math.max(
        limits?.maxBufferedBytes ?? defaults['limits.max_buffered_bytes'],
        limits?.maxBodyBytes ?? defaults['limits.max_body_bytes'],
      ),
      maxPendingReplyBytes: limits?.maxPendingReplyBytes ?? defaults['limits.max_pending_reply_bytes'],
    },
    naming: {
      separator: naming?.separator || defaults['naming.separator'],
      mode: naming?.mode === NamingMode.WHEN_NEEDED ? 'when_needed' : defaults['naming.mode'],
      maxNameLength: naming?.maxNameLength ?? defaults['naming.max_name_length'],
    },
    discovery: {
      intervalMs: toMs(discovery?.interval, defaults['discovery.interval']),
      deadlineMs: toMs(discovery?.deadline, defaults['discovery.deadline']),
      pageSizeCount: discovery?.pageSize ?? defaults['discovery.page_size'],
    },
    sessions: {
      idleTimeoutMs: toMs(sessions?.idleTimeout, defaults['sessions.idle_timeout']),
      maxSessionCount: sessions?.maxSessions ?? defaults['sessions.max_sessions'],
      replayMessageCount: sessions?.replayMessages ?? defaults['sessions.replay_messages'],
      replayBytes: sessions?.replayBytes ?? defaults['sessions.replay_bytes'],
      keepAliveMs: toMs(sessions?.keepAlive, defaults['sessions.keep_alive']),
      maxSessionPerPrincipalCount:
        sessions?.maxSessionsPerPrincipal ?? defaults['sessions.max_sessions_per_principal'],
      maxParkedCallCount: sessions?.maxParkedCalls ?? defaults['sessions.max_parked_calls'],
      maxParkedCallPerPrincipalCount:
        sessions?.maxParkedCallsPerPrincipal ?? defaults['sessions.max_parked_calls_per_principal'],
      maxParkedBytes: sessions?.maxParkedBytes ?? defaults['sessions.max_parked_bytes'],
      parkedCallLifetimeMs: toMs(sessions?.parkedCallLifetime, defaults['sessions.parked_call_lifetime']),
      keys: [...(sessions?.keys ?? [])],
    },
    egress: {
      deny: egress?.deny.length ? [...egress.deny] : [...defaults['egress.deny']],
      allow: [...(egress?.allow ?? [])],
    },
    log: {
      level: (log?.level || defaults['log.level']) as LogLevel,
      ...(log?.format && { format: log.format as 'json' | 'text' }),
    },
    ...(gateway?.defaultUpstream && { defaultUpstream: gateway.defaultUpstream }),
    shutdownGraceMs: toMs(gateway?.shutdownGrace, defaults.shutdown_grace),
    ...(gateway?.stateDir && { stateDir: gateway.stateDir }),
  };
}

function resolveAddress(address: Pick<Address, 'host' | 'port'>, defaultHost: string): ResolvedAddress {
  return { host: address.host || defaultHost, port: address.port };
}

const LISTENERS = {
  [ListenerKind.UNSPECIFIED]: GATEWAY_DEFAULTS['listen.listener'],
  [ListenerKind.UWS]: 'uws',
  [ListenerKind.NODE]: 'node',
} as const;

function resolveListen(listen: Listen | undefined): ResolvedListen {
  return {
    host: listen?.host || GATEWAY_DEFAULTS['listen.host'],
    port: listen?.port ?? GATEWAY_DEFAULTS['listen.port'],
    workerCount: listen?.workers ?? GATEWAY_DEFAULTS['listen.workers'],
    listener: LISTENERS[listen?.listener ?? ListenerKind.UNSPECIFIED],
    ...(listen?.tls && { tls: { certFile: listen.tls.certFile, keyFile: listen.tls.keyFile } }),
    allowedHosts: [...(listen?.allowedHosts ?? [])],
    allowedOrigins: [...(listen?.allowedOrigins ?? [])],
    insecure: listen?.insecure ?? false,
    sharePort: listen?.sharePort ?? false,
  };
}

const SHARINGS = {
  [StdioSharing.UNSPECIFIED]: UPSTREAM_DEFAULTS['stdio.sharing'],
  [StdioSharing.SHARED]: 'shared',
  [StdioSharing.PER_SESSION]: 'per_session',
  [StdioSharing.CLUSTER]: 'cluster',
} as const;

const FAILURE_POLICIES = {
  [FailurePolicy.UNSPECIFIED]: PLUGIN_DEFAULTS.on_failure,
  [FailurePolicy.DENY]: 'deny',
  [FailurePolicy.ALLOW]: 'allow',
} as const;

const ISOLATIONS = {
  [Isolation.UNSPECIFIED]: undefined,
  [Isolation.INLINE]: 'inline',
  [Isolation.POOL]: 'pool',
  [Isolation.PROCESS]: 'process',
} as const;

/** Those of the configuration in their order, then those that other resources need and nobody wrote down. */
function resolvePlugins(configuration: Configuration): ResolvedPlugin[] {
  const written = configuration.plugins
    .map((binding, index) => ({ binding, order: binding.order ?? index }))
    .sort((a, b) => a.order - b.order)
    .filter(({ binding }) => !binding.disabled)
    .map(({ binding }) => resolvePlugin(binding));
  const { upstreams, endpoints, virtualServers, consumers, credentials, policies, limits } = configuration;
  const paths = [
    '/mcp',
    ...upstreams.map(({ name }) => `/mcp/${name}`),
    ...endpoints.map(({ path }) => path),
    ...virtualServers.map((server) => pathOfVirtualServer(server)),
  ];
  return withDerivedPlugins(written, { tenant: '', paths, consumers, credentials, policies, limits });
}

function pluginSettings({
  name,
  plugin,
  endpoints,
  onFailure,
  isolation,
  hash,
  config,
  mayFetch,
}: PluginBinding): ResolvedPlugin {
  return {
    name: name || plugin,
    plugin,
    endpoints: [...endpoints],
    onFailure: FAILURE_POLICIES[onFailure],
    ...(ISOLATIONS[isolation] && { isolation: ISOLATIONS[isolation] }),
    ...(hash && { hash }),
    mayFetch: [...mayFetch],
    config: structuredClone(config ?? {}),
  };
}

const ERAS = {
  [Era.UNSPECIFIED]: UPSTREAM_DEFAULTS.era,
  [Era.MODERN]: 'modern',
  [Era.LEGACY]: 'legacy',
} as const;

function upstreamSettings(upstream: Upstream): ResolvedUpstream {
  return {
    id: upstream.id || upstream.name,
    name: upstream.name,
    era: ERAS[upstream.era],
    timeoutMs: toMs(upstream.timeout, UPSTREAM_DEFAULTS.timeout),
    connectTimeoutMs: toMs(upstream.connectTimeout, UPSTREAM_DEFAULTS.connect_timeout),
    maxMessageBytes: upstream.maxMessageBytes ?? UPSTREAM_DEFAULTS.max_message_bytes,
    hidden: upstream.hidden,
    onSessionLoss: upstream.onSessionLoss === SessionLoss.END ? 'end' : UPSTREAM_DEFAULTS.on_session_loss,
    transport: resolveTransport(upstream),
  };
}

function resolveTransport({ name, transport }: Upstream): ResolvedTransport {
  switch (transport.case) {
    case 'http': {
      const { url, headers, maxConnections } = transport.value;
      return {
        kind: 'http',
        url,
        headers: { ...headers },
        maxConnectionCount: maxConnections ?? UPSTREAM_DEFAULTS['http.max_connections'],
      };
    }
    case 'sse': {
      const { url, headers } = transport.value;
      return { kind: 'sse', url, headers: { ...headers } };
    }
    case 'websocket': {
      const { url, headers, maxConnections } = transport.value;
      return {
        kind: 'websocket',
        url,
        headers: { ...headers },
        maxConnectionCount: maxConnections ?? UPSTREAM_DEFAULTS['websocket.max_connections'],
      };
    }
    case 'stdio': {
      const { command, args, env, cwd, sharing, maxProcesses } = transport.value;
      return {
        kind: 'stdio',
        command,
        args: [...args],
        env: { ...env },
        cwd,
        sharing: SHARINGS[sharing],
        maxProcessCount: maxProcesses ?? UPSTREAM_DEFAULTS['stdio.max_processes'],
      };
    }
    default:
      throw new TypeError(
        `upstream ${name} has no transport; validate the configuration before resolving it`,
      );
  }
}

const NANOS_IN_MS = 1_000_000;

function toMs(duration: Duration | undefined, defaultMs: number): number {
  if (duration === undefined) return defaultMs;
  return Number(duration.seconds) * 1000 + duration.nanos / NANOS_IN_MS;
}

function deepFreeze<T extends object>(value: T): T {
  for (const child of Object.values(value)) {
    if (typeof child === 'object' && child !== null) deepFreeze(child);
  }
  return Object.freeze(value);
}
