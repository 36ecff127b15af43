/**
 * What consumers, credentials, policies and limits ask of plugins: they are the same to the chain as what is written in
 * the configuration of `auth-api-key`, `auth-basic`, `authorize` and `ratelimit`, and are put there.
 */
import { timestampDate } from '@bufbuild/protobuf/wkt';
import {
  type Consumer,
  type Credential,
  type Limit,
  LimitKey,
  LimitPeriod,
  LimitScope,
  type Policy,
} from './gen/sluice/config/v1/access_pb.js';
import type { ResolvedPlugin } from './resolved.js';

/** Limits of one use of the plugin. */
const MAX_LIMIT_COUNT = 32;

/** What one tenant has, or the operator. */
export interface DerivedFrom {
  /** Empty for the operator. */
  readonly tenant: string;
  /** Of the endpoints where it may hold. */
  readonly paths: readonly string[];
  readonly consumers: readonly Consumer[];
  readonly credentials: readonly Credential[];
  readonly policies: readonly Policy[];
  readonly limits: readonly Limit[];
}

/** Callers that plugins are to know, as their configuration has them. */
export interface DerivedCallers {
  readonly keys: readonly object[];
  readonly users: readonly object[];
}

export function withDerivedPlugins(plugins: readonly ResolvedPlugin[], from: DerivedFrom): ResolvedPlugin[] {
  const callers = [derivedCallers(from)];
  return [...plugins.map((plugin) => withCallers(plugin, callers)), ...derivedPlugins(from)];
}

/** What is made of policies and limits. */
export function derivedPlugins(from: Omit<DerivedFrom, 'consumers' | 'credentials'>): ResolvedPlugin[] {
  return [...policyPlugins(from), ...limitPlugins(from)];
}

/** The same plugin where it has nothing to do with callers. */
export function withCallers(plugin: ResolvedPlugin, callers: readonly DerivedCallers[]): ResolvedPlugin {
  if (plugin.plugin === 'auth-api-key')
    return withMore(
      plugin,
      'keys',
      callers.flatMap(({ keys }) => keys),
    );
  if (plugin.plugin !== 'auth-basic') return plugin;
  return withMore(
    plugin,
    'users',
    callers.flatMap(({ users }) => users),
  );
}

function withMore(plugin: ResolvedPlugin, member: string, more: readonly object[]): ResolvedPlugin {
  if (more.length === 0) return plugin;
  const before = plugin.config[member];
  return {
    ...plugin,
    config: { ...plugin.config, [member]: [...(Array.isArray(before) ? before : []), ...more] },
  };
}

/** What was made of a credential: it stays the very same object, so that nobody looks into all of them for one. */
const callers = new WeakMap<
  Credential,
  { readonly consumer: Consumer; readonly tenant: string; readonly caller: object }
>();

/** What is made of consumers and credentials. */
export function derivedCallers({
  consumers,
  credentials,
  tenant,
}: Pick<DerivedFrom, 'consumers' | 'credentials' | 'tenant'>): DerivedCallers {
  const known = new Map(consumers.map((consumer) => [consumer.name, consumer]));
  const keys: object[] = [];
  const users: object[] = [];
  for (const credential of credentials) {
    const consumer = known.get(credential.consumer);
    if (consumer === undefined || consumer.disabled) continue;
    const last = callers.get(credential);
    const isLast = last?.consumer === consumer && last.tenant === tenant;
    const caller = isLast ? last.caller : callerOf(credential, consumer, tenant);
    if (!isLast) callers.set(credential, { consumer, tenant, caller });
    if (credential.kind.case === 'apiKey') keys.push(caller);
    else if (credential.kind.case === 'password') users.push(caller);
  }
  return { keys, users };
}

/** Frozen, so that whoever has checked it once knows it. */
function callerOf({ kind }: Credential, consumer: Consumer, tenant: string): object {
  const who = {
    consumer: consumer.name,
    // What a tenant has made opens what is the tenant's, and nothing else.
    ...(tenant !== '' && { tenant, endpoints_below: `/mcp/${tenant}/` }),
    scopes: Object.freeze([...consumer.scopes]),
    claims: frozen(consumer.claims === undefined ? {} : structuredClone(consumer.claims)),
  };
  if (kind.case === 'apiKey') {
    const { prefix, hash, expires } = kind.value;
    const expiry = expires && { expires_at: timestampDate(expires).toISOString() };
    return Object.freeze({ prefix, hash, ...who, ...expiry });
  }
  if (kind.case === 'password')
    return Object.freeze({ user: kind.value.user || consumer.name, password_hash: kind.value.hash, ...who });
  return who;
}

/** Through and through. */
function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  for (const member of Object.values(value)) frozen(member);
  return Object.freeze(value);
}

/**
 * One use of `authorize` for the endpoints that have the same policies: at each endpoint all of its policies count
 * together, so that what one of them permits is permitted.
 */
function policyPlugins({
  policies,
  paths,
  tenant,
}: Pick<DerivedFrom, 'policies' | 'paths' | 'tenant'>): ResolvedPlugin[] {
  const inForce = policies.filter(({ disabled }) => !disabled);
  if (inForce.length === 0) return [];
  const groups = new Map<string, { policies: readonly Policy[]; paths: string[] }>();
  // Most endpoints are named by none, and there may be thousands of them.
  const named = new Set(inForce.flatMap(({ endpoints }) => endpoints));
  const nameAll = (some: readonly Policy[]) => some.map(({ name }) => name).join(' ');
  const general = inForce.filter(({ endpoints }) => endpoints.length === 0);
  const generalKey = nameAll(general);
  // Where none is named it is the same at all of them.
  if (named.size === 0 && paths.length > 0) groups.set(generalKey, { policies: general, paths: [...paths] });
  for (const path of named.size === 0 ? [] : paths) {
    const isNamed = named.has(path);
    const own = isNamed
      ? inForce.filter(({ endpoints }) => endpoints.length === 0 || endpoints.includes(path))
      : general;
    if (own.length === 0) continue;
    const key = isNamed ? nameAll(own) : generalKey;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { policies: own, paths: [path] });
    else group.paths.push(path);
  }
  const isEverywhere = tenant === '' && inForce.every((policy) => policy.endpoints.length === 0);
  return [...groups.values()].map((group, index) => ({
    name: derivedName(tenant, 'policies', index),
    ...(tenant !== '' && { tenant }),
    plugin: 'authorize',
    endpoints: isEverywhere ? [] : group.paths,
    onFailure: 'deny',
    mayFetch: [],
    config: { permissions: permissionsOf(group.policies) },
  }));
}

function permissionsOf(policies: readonly Policy[]): Record<string, string[]> {
  const permissions = new Map<string, string[]>();
  for (const { pattern, scopes } of policies.flatMap((policy) => policy.permissions)) {
    const before = permissions.get(pattern);
    // Without any scope it is for everybody, whatever another policy asks for.
    const isForAll = scopes.length === 0 || before?.length === 0;
    permissions.set(pattern, isForAll ? [] : [...new Set([...(before ?? []), ...scopes])]);
  }
  return Object.fromEntries(permissions);
}

const PERIODS = {
  [LimitPeriod.UNSPECIFIED]: 'minute',
  [LimitPeriod.SECOND]: 'second',
  [LimitPeriod.MINUTE]: 'minute',
  [LimitPeriod.HOUR]: 'hour',
  [LimitPeriod.DAY]: 'day',
} as const;

const KEYS: Readonly<Record<LimitKey, readonly string[]>> = {
  [LimitKey.UNSPECIFIED]: ['principal.id'],
  [LimitKey.CONSUMER]: ['principal.id'],
  [LimitKey.TENANT]: ['principal.tenant'],
  [LimitKey.ADDRESS]: ['address'],
  [LimitKey.TOOL]: ['target.upstream', 'target.name'],
  [LimitKey.GLOBAL]: [],
};

const SCOPES = {
  [LimitScope.UNSPECIFIED]: 'node',
  [LimitScope.NODE]: 'node',
  [LimitScope.CLUSTER]: 'cluster',
} as const;

/** One use of `ratelimit` for the limits that hold at the same endpoints and count the same nodes together. */
function limitPlugins({
  limits,
  paths,
  tenant,
}: Pick<DerivedFrom, 'limits' | 'paths' | 'tenant'>): ResolvedPlugin[] {
  const groups = new Map<string, Limit[]>();
  const sorted = (some: readonly string[]) => JSON.stringify([...some].sort());
  /** The endpoints of a limit that names none; sorted once, for there may be thousands of paths. */
  let everywhere: string | undefined;
  for (const limit of limits) {
    if (limit.disabled) continue;
    const endpoints = limit.endpoints.length > 0 || tenant === '' ? limit.endpoints : paths;
    // One that nothing is served at holds nowhere; without endpoints it would hold everywhere.
    if (endpoints.length === 0 && tenant !== '') continue;
    const isEverywhere = endpoints === paths;
    const where = isEverywhere ? (everywhere ?? sorted(paths)) : sorted(endpoints);
    if (isEverywhere) everywhere = where;
    const key = `{"endpoints":${where},"scope":"${SCOPES[limit.scope]}"}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [limit]);
    else group.push(limit);
  }
  const uses = [...groups].flatMap(([key, group]) =>
    Array.from({ length: Math.ceil(group.length / MAX_LIMIT_COUNT) }, (_, part) => ({
      ...(JSON.parse(key) as { endpoints: string[]; scope: (typeof SCOPES)[LimitScope] }),
      use: group.slice(part * MAX_LIMIT_COUNT, (part + 1) * MAX_LIMIT_COUNT),
    })),
  );
  return uses.map(({ endpoints, scope, use }, index) => ({
    name: derivedName(tenant, 'limits', index),
    ...(tenant !== '' && { tenant }),
    plugin: 'ratelimit',
    endpoints,
    onFailure: 'deny',
    mayFetch: [],
    config: {
      ...(scope === 'cluster' && { scope }),
      limits: use.map(({ name, key, requests, per, burst }) => ({
        name,
        key: [...KEYS[key]],
        rate: requests,
        per: PERIODS[per],
        ...(burst !== undefined && { burst }),
      })),
    },
  }));
}

/** Names of a tenant are its own. */
function derivedName(tenant: string, what: string, index: number): string {
  const name = index === 0 ? what : `${what}-${index + 1}`;
  return tenant === '' ? name : `${tenant}/${name}`;
}
