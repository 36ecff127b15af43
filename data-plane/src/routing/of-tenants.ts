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
import { keptByName, keptIfSame, sameItems } from './kept.js';
import { inKeyOrder, type KeyOrder } from './key-order.js';

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

/** Below it is what is served. */
const ROOT = '/mcp/';

/** What tenants' servers take, as it was placed last; it stays as long as the names lead to the same. */
const placements = new WeakMap<
  ResolvedServer,
  { readonly takes: readonly string[]; readonly placed: ResolvedServer }
>();

/** Servers in their places among upstreams, and what the next ones go on from. */
export interface Placement {
  /** Of all upstreams; the same object as before where none has come or gone. */
  readonly names: ReadonlySet<string>;
  readonly order: KeyOrder;
  readonly written: readonly PlacedServer[];
  readonly servers: readonly ResolvedServer[];
  readonly paths: Paths;
}

/** Where anything is served: upstreams, then servers. */
interface Paths {
  readonly all: readonly string[];
  readonly ofTenant: ReadonlyMap<string, readonly string[]>;
}

/** What was made of a server among upstreams of these names. */
const placedAmong = new WeakMap<
  PlacedServer,
  { readonly names: ReadonlySet<string>; readonly placed: ResolvedServer }
>();

/**
 * A tenant's servers take from its own upstreams, and by their names from those of the operator where it has none. Yields
 * after each.
 */
export function* serversInOrder(
  unsorted: readonly (readonly [KeyText, PlacedServer])[],
  upstreams: readonly (readonly [KeyText, ResolvedUpstream])[],
  before: Placement | undefined,
): Generator<void, Placement, void> {
  const names = yield* namesOf(upstreams, before?.names);
  const { entries, order } = yield* inKeyOrder(unsorted, before?.order);
  yield;
  const written = entries.map(([, each]) => each);
  if (before !== undefined && names === before.names && sameItems(written, before.written)) return before;
  const servers: ResolvedServer[] = [];
  const earlier = new Map(before?.servers.map((each) => [each.name, each]));
  const owners = new Map<string, KeyText>();
  for (const [key, each] of entries) {
    yield;
    const { path } = each.server;
    const owner = owners.get(path);
    if (owner !== undefined) throw takenAt(key, path, keyNameOf(owner));
    owners.set(path, key);
    const last = placedAmong.get(each);
    if (last?.names === names) {
      servers.push(last.placed);
      continue;
    }
    const own = placedOf(key, each, names);
    const placed = keptIfSame(earlier.get(own.name), own);
    placedAmong.set(each, { names, placed });
    servers.push(placed);
  }
  const hasSamePaths =
    names === before?.names &&
    servers.length === before.servers.length &&
    servers.every(({ path }, index) => path === before.servers[index]?.path);
  const paths = hasSamePaths ? before.paths : yield* pathsOf(upstreams, servers);
  return { names, order, written, servers, paths };
}

function* namesOf(
  upstreams: readonly (readonly [KeyText, ResolvedUpstream])[],
  before: ReadonlySet<string> | undefined,
): Generator<void, ReadonlySet<string>, void> {
  if (before?.size === upstreams.length && upstreams.every(([, { name }]) => before.has(name))) return before;
  const names = new Set<string>();
  for (const [, { name }] of upstreams) {
    names.add(name);
    if (names.size % FEW_COUNT === 0) yield;
  }
  yield;
  return names;
}

function placedOf(
  key: KeyText,
  { server, tenant }: PlacedServer,
  names: ReadonlySet<string>,
): ResolvedServer {
  const { path } = server;
  if (tenant !== '' && !path.startsWith(`${ROOT}${tenant}/`))
    throw new CompileError(
      parseKeyText(key),
      'path',
      `${path} is not of the tenant: its paths begin with ${ROOT}${tenant}/`,
    );
  if (path.startsWith(ROOT) && names.has(path.slice(ROOT.length))) throw takenAt(key, path, 'an upstream');
  if (tenant === '') return server;
  const foreign = namesIn(server.selection).find((name) => name.includes('/'));
  if (foreign !== undefined)
    throw new CompileError(parseKeyText(key), '', `${foreign} is no name of an upstream`);
  return placedIn(server, tenant, names);
}

function takenAt(key: KeyText, path: string, by: string): CompileError {
  return new CompileError(parseKeyText(key), 'path', `at ${path} ${by} is served`);
}

function* pathsOf(
  upstreams: readonly (readonly [KeyText, ResolvedUpstream])[],
  servers: readonly ResolvedServer[],
): Generator<void, Paths, void> {
  const all = [...upstreams.map(([, { name }]) => `${ROOT}${name}`), ...servers.map(({ path }) => path)];
  const ofTenant = new Map<string, string[]>();
  for (const [index, path] of all.entries()) {
    if (index % FEW_COUNT === 0) yield;
    const end = path.indexOf('/', ROOT.length);
    if (end > 0) added(ofTenant, path.slice(ROOT.length, end), path);
  }
  yield;
  return { all, ofTenant };
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

/** What plugins are bound to, and what the next configuration goes on from. */
export interface BoundPlugins {
  readonly plugins: readonly ResolvedPlugin[];
  readonly written: readonly WrittenPlugin[];
  readonly access: readonly Access[];
  readonly paths: Paths;
  readonly byTenant: ReadonlyMap<string, TenantAccess>;
}

/** What plugins that know callers were made to, as long as they know the same. */
const known = new WeakMap<
  ResolvedPlugin,
  { readonly callers: readonly DerivedCallers[]; readonly plugin: ResolvedPlugin }
>();

/** Each tenant's policies and limits hold at its own endpoints, and the operator's at all. Yields after each tenant. */
export function* withAccess(
  written: readonly WrittenPlugin[],
  access: readonly Access[],
  { paths }: Placement,
  before: BoundPlugins | undefined,
): Generator<void, BoundPlugins, void> {
  if (before !== undefined && paths === before.paths && sameItems(access, before.access)) {
    const isSameWritten = sameItems(
      written.map(({ plugin }) => plugin),
      before.written.map(({ plugin }) => plugin),
    );
    if (isSameWritten) return before;
  }
  const byTenant = new Map<string, TenantAccess>();
  if (access.length === 0)
    return { plugins: written.map(({ plugin }) => plugin), written, access, paths, byTenant };
  const accessOf = new Map<string, Access[]>();
  for (const [index, each] of access.entries()) {
    added(accessOf, each.tenant, each);
    if (index % FEW_COUNT === 0) yield;
  }
  for (const tenant of [...accessOf.keys()].sort()) {
    const own = accessOf.get(tenant) ?? [];
    const last = before?.byTenant.get(tenant);
    const ownPaths = tenant === '' ? everyPath(paths) : (paths.ofTenant.get(tenant) ?? []);
    byTenant.set(tenant, accessIn(tenant, own, ownPaths, last));
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
  return { plugins: bound, written, access, paths, byTenant };
}

const everyPaths = new WeakMap<Paths, readonly string[]>();

/** With that of all together. */
function everyPath(paths: Paths): readonly string[] {
  const every = everyPaths.get(paths) ?? ['/mcp', ...paths.all];
  everyPaths.set(paths, every);
  return every;
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
