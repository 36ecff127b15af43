/** Servers, consumers, credentials, policies and limits of the operator and of each tenant, kept apart by their paths. */
import {
  type DerivedCallers,
  derivedCallers,
  derivedPlugins,
  type ResolvedPlugin,
  type ResolvedServer,
  type ResolvedUpstream,
  withCallers,
} from '@sluice/proto';
import { type Entry, type KeyText, keyNameOf, parseKeyText } from '@sluice/proto/cluster';
import { CompileError } from './compile-error.js';
import { keptByName, keptIfSame } from './kept.js';

/** A server, and whose it is; empty for the operator. */
export interface PlacedServer {
  readonly server: ResolvedServer;
  readonly tenant: string;
}

/** A consumer, a credential, a policy or a limit, and its tenant; empty for the operator. */
export interface Access {
  readonly tenant: string;
  readonly spec: Extract<Entry['resource']['spec'], { case: 'consumer' | 'credential' | 'policy' | 'limit' }>;
}

/** As much as is done at once of what takes a microsecond or less each. */
const FEW_COUNT = 500;

/** What tenants' servers take, as it was placed last; it stays as long as the names lead to the same. */
const placements = new WeakMap<
  ResolvedServer,
  { readonly takes: readonly string[]; readonly placed: ResolvedServer }
>();

/**
 * A tenant's servers take from its own upstreams, and by their names from those of the operator where it has none. Yields
 * after each.
 */
export function* serversInOrder(
  servers: (readonly [KeyText, PlacedServer])[],
  upstreams: readonly (readonly [KeyText, ResolvedUpstream])[],
  before: readonly ResolvedServer[] | undefined,
): Generator<void, ResolvedServer[], void> {
  if (servers.length === 0) return [];
  const names = new Set<string>();
  const paths = new Map<string, KeyText | undefined>();
  for (const [, { name }] of upstreams) {
    names.add(name);
    paths.set(`/mcp/${name}`, undefined);
    if (names.size % FEW_COUNT === 0) yield;
  }
  yield;
  servers.sort(([a], [b]) => (a < b ? -1 : 1));
  yield;
  const placed: ResolvedServer[] = [];
  const earlier = new Map(before?.map((each) => [each.name, each]));
  for (const [key, { server, tenant }] of servers) {
    yield;
    const { path } = server;
    if (tenant !== '' && !path.startsWith(`/mcp/${tenant}/`))
      throw new CompileError(
        parseKeyText(key),
        'path',
        `${path} is not of the tenant: its paths begin with /mcp/${tenant}/`,
      );
    const owner = paths.get(path);
    if (paths.has(path))
      throw new CompileError(
        parseKeyText(key),
        'path',
        `at ${path} ${owner === undefined ? 'an upstream' : keyNameOf(owner)} is served`,
      );
    paths.set(path, key);
    const foreign = tenant === '' ? undefined : namesIn(server.selection).find((name) => name.includes('/'));
    if (foreign !== undefined)
      throw new CompileError(parseKeyText(key), '', `${foreign} is no name of an upstream`);
    const own = tenant === '' ? server : placedIn(server, tenant, names);
    const old = earlier.get(own.name);
    placed.push(own === old ? own : keptIfSame(old, own));
  }
  return placed;
}

function placedIn(server: ResolvedServer, tenant: string, names: ReadonlySet<string>): ResolvedServer {
  const actual = (name: string) => (names.has(`${tenant}/${name}`) ? `${tenant}/${name}` : name);
  // To the operator everything is what is at /mcp; to a tenant it is what is the tenant's.
  const takesAll = server.selection.kind === 'upstreams' && server.selection.upstreams.length === 0;
  const takes = takesAll
    ? [...names].filter((name) => name.startsWith(`${tenant}/`))
    : namesIn(server.selection).map(actual);
  const last = placements.get(server);
  if (last !== undefined && sameItems(last.takes, takes)) return last.placed;
  const selection = takesAll ? ofOwn(takes) : selectionIn(server.selection, actual);
  const placed = Object.freeze({ ...server, selection });
  placements.set(server, { takes, placed });
  return placed;
}

/** Without a name it would be everything. */
function ofOwn(upstreams: readonly string[]): ResolvedServer['selection'] {
  return upstreams.length > 0
    ? { kind: 'upstreams', upstreams }
    : { kind: 'items', tools: [], prompts: [], resources: [] };
}

function namesIn(selection: ResolvedServer['selection']): readonly string[] {
  if (selection.kind === 'upstreams') return selection.upstreams;
  const { tools, prompts, resources } = selection;
  return [...tools, ...prompts, ...resources].map(({ upstream }) => upstream);
}

function sameItems<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((each, index) => each === b[index]);
}

function selectionIn(
  selection: ResolvedServer['selection'],
  actual: (name: string) => string,
): ResolvedServer['selection'] {
  if (selection.kind === 'upstreams')
    return { kind: 'upstreams', upstreams: selection.upstreams.map(actual) };
  const { tools, prompts, resources } = selection;
  const moved = <T extends { upstream: string }>(each: T): T => ({
    ...each,
    upstream: actual(each.upstream),
  });
  return {
    kind: 'items',
    tools: tools.map(moved),
    prompts: prompts.map(moved),
    resources: resources.map(moved),
  };
}

/** A plugin as it is written, and whose it is; empty for the operator. */
export interface WrittenPlugin {
  readonly plugin: ResolvedPlugin;
  readonly tenant: string;
}

/** What a tenant's access resources made last. */
interface TenantAccess {
  readonly access: readonly Access[];
  readonly paths: readonly string[];
  readonly callers: DerivedCallers;
  readonly plugins: readonly ResolvedPlugin[];
}

/** What the next configuration goes on from. */
export type AccessByTenant = ReadonlyMap<string, TenantAccess>;

/** What plugins that know callers were made to, as long as they know the same. */
const known = new WeakMap<
  ResolvedPlugin,
  { readonly callers: readonly DerivedCallers[]; readonly plugin: ResolvedPlugin }
>();

/** Each tenant's policies and limits hold at its own endpoints, and the operator's at all. Yields after each tenant. */
export function* withAccess(
  written: readonly WrittenPlugin[],
  access: readonly Access[],
  upstreams: readonly (readonly [KeyText, ResolvedUpstream])[],
  servers: readonly ResolvedServer[],
  before: AccessByTenant,
): Generator<void, { plugins: readonly ResolvedPlugin[]; byTenant: AccessByTenant }, void> {
  const byTenant = new Map<string, TenantAccess>();
  if (access.length === 0) return { plugins: written.map(({ plugin }) => plugin), byTenant };
  const accessOf = new Map<string, Access[]>();
  for (const [index, each] of access.entries()) {
    added(accessOf, each.tenant, each);
    if (index % FEW_COUNT === 0) yield;
  }
  const all = [...upstreams.map(([, { name }]) => `/mcp/${name}`), ...servers.map(({ path }) => path)];
  const pathsOf = new Map<string, string[]>();
  for (const [index, path] of all.entries()) {
    if (index % FEW_COUNT === 0) yield;
    const end = path.indexOf('/', '/mcp/'.length);
    if (end > 0) added(pathsOf, path.slice('/mcp/'.length, end), path);
  }
  yield;
  for (const tenant of [...accessOf.keys()].sort()) {
    const own = accessOf.get(tenant) ?? [];
    const paths = tenant === '' ? ['/mcp', ...all] : (pathsOf.get(tenant) ?? []);
    byTenant.set(tenant, accessIn(tenant, own, paths, before.get(tenant)));
    yield;
  }
  const everybody = [...byTenant.values()].map(({ callers }) => callers);
  const bound: ResolvedPlugin[] = [];
  for (const { plugin, tenant } of written) {
    const callers = byTenant.get(tenant)?.callers;
    // Whoever may come in at a tenant's endpoints is for the tenant to say.
    bound.push(knowing(plugin, tenant === '' ? everybody : callers === undefined ? [] : [callers]));
    yield;
  }
  for (const each of byTenant.values()) bound.push(...each.plugins);
  return { plugins: bound, byTenant };
}

function accessIn(
  tenant: string,
  access: readonly Access[],
  paths: readonly string[],
  before: TenantAccess | undefined,
): TenantAccess {
  const hasSameAccess = before !== undefined && sameItems(before.access, access);
  if (hasSameAccess && sameItems(before.paths, paths)) return before;
  const specs = access.map(({ spec }) => spec);
  const callers = hasSameAccess
    ? before.callers
    : keptIfSame(
        before?.callers,
        derivedCallers({
          tenant,
          consumers: specs.flatMap((spec) => (spec.case === 'consumer' ? [spec.value] : [])),
          credentials: specs.flatMap((spec) => (spec.case === 'credential' ? [spec.value] : [])),
        }),
      );
  const plugins = derivedPlugins({
    tenant,
    paths,
    policies: specs.flatMap((spec) => (spec.case === 'policy' ? [spec.value] : [])),
    limits: specs.flatMap((spec) => (spec.case === 'limit' ? [spec.value] : [])),
  });
  return { access, paths, callers, plugins: keptByName(before?.plugins, plugins) };
}

function knowing(plugin: ResolvedPlugin, callers: readonly DerivedCallers[]): ResolvedPlugin {
  const last = known.get(plugin);
  if (last !== undefined && sameItems(last.callers, callers)) return last.plugin;
  const next = withCallers(plugin, callers);
  if (next !== plugin) known.set(plugin, { callers, plugin: next });
  return next;
}

function added<T>(groups: Map<string, T[]>, key: string, item: T): void {
  const group = groups.get(key);
  if (group === undefined) groups.set(key, [item]);
  else group.push(item);
}
