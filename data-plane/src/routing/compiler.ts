/**
 * From the resources that a node sees to the configuration that it runs. Pure: whoever has to know whether a revision
 * can be run asks the same compiler as the node. A next configuration shares every object that did not change with
 * the one before, so that who runs it sees at once what is another.
 */
import {
  type ResolvedConfiguration,
  type ResolvedGateway,
  type ResolvedListen,
  type ResolvedPlugin,
  type ResolvedServer,
  type ResolvedUpstream,
  resolveEndpoint,
  resolveGateway,
  resolvePlugin,
  resolveUpstream,
  resolveVirtualServer,
  type Secret,
} from '@sluice/proto';
import {
  type Entry,
  type KeyText,
  keyNameOf,
  mayRefer,
  parseKeyText,
  type StateChange,
} from '@sluice/proto/cluster';
import { CompileError } from './compile-error.js';
import { keptByName, keptIfAllSame, keptIfSame } from './kept.js';
import { inKeyOrder, type KeyOrder } from './key-order.js';
import {
  type Access,
  type BoundPlugins,
  type PlacedServer,
  type Placement,
  serversInOrder,
  type WrittenPlugin,
  withAccess,
} from './of-tenants.js';
import { type ReferenceSource, withReferences } from './references.js';

export { CompileError };

/** How a node finds what resources only refer to. */
export interface Lookup {
  /** A variable of its environment; undefined when it is not set. */
  variable(name: string): string | undefined;
  /** The content of a file of its own. Throws an Error that says why there is none. */
  file(path: string): string;
}

/** What a node says for itself, whatever the resources say. */
export interface NodeSettings {
  readonly listen: Partial<ResolvedListen>;
  readonly stateDir?: string | undefined;
  readonly log?: Partial<ResolvedGateway['log']>;
}

export interface CompileContext {
  readonly lookup: Lookup;
  /** Absent where nothing is going to listen, as when a revision is only checked. */
  readonly node?: NodeSettings;
}

/** A configuration, and what of it the next one can go on from. */
export interface Compiled {
  readonly configuration: ResolvedConfiguration;
  readonly parts: ReadonlyMap<KeyText, Part>;
  readonly upstreamOrder: KeyOrder;
  readonly placement: Placement;
  readonly bound: BoundPlugins;
}

/** What one resource makes. */
interface Part {
  readonly entry: Entry;
  readonly made: Made;
  /** The secrets that it refers to: with one of them it has to be made anew. */
  readonly secrets: readonly KeyText[];
}

type Made =
  | { readonly kind: 'gateway'; readonly gateway: ResolvedGateway }
  | { readonly kind: 'upstream'; readonly upstream: ResolvedUpstream }
  | { readonly kind: 'plugin'; readonly plugin: ResolvedPlugin; readonly order: number }
  | ({ readonly kind: 'server' } & PlacedServer)
  /** What plugins are given. */
  | { readonly kind: 'access'; readonly access: Access }
  /** Something that others refer to, or that is switched off. */
  | { readonly kind: 'nothing' };

const NOTHING: Made = { kind: 'nothing' };

/** @throws CompileError */
export function compile(
  before: Compiled | undefined,
  change: StateChange,
  context: CompileContext,
): Compiled {
  const steps = compileInSteps(before, change, context);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/**
 * As {@link compile}, and yields after each resource, so that whoever runs it can do something else in between.
 *
 * @throws CompileError
 */
export function* compileInSteps(
  before: Compiled | undefined,
  { changed, removed }: StateChange,
  context: CompileContext,
): Generator<void, Compiled, void> {
  const parts = yield* copied(before?.parts ?? new Map<KeyText, Part>());
  for (const key of removed) parts.delete(key);
  // All of them are there before the first is made: one may refer to another.
  const waiting = new Map<KeyText, Entry>();
  const touched = new Set<KeyText>(removed.filter(isSecret));
  for (const [index, entry] of changed.entries()) {
    waiting.set(entry.key, entry);
    if (isSecret(entry.key)) touched.add(entry.key);
    if (index % FEW_COUNT === 0) yield;
  }
  const secrets = new Secrets(parts, waiting, context.lookup);
  if (touched.size > 0) {
    let count = 0;
    for (const [key, part] of parts) {
      if (part.secrets.length > 0 && !waiting.has(key) && part.secrets.some((each) => touched.has(each)))
        waiting.set(key, part.entry);
      if (++count % FEW_COUNT === 0) yield;
    }
  }
  for (const [key, entry] of waiting) {
    parts.set(key, partOf(entry, secrets));
    yield;
  }
  return { parts, ...(yield* together(parts, before, context)) };
}

/** As much as is done at once of what takes a microsecond or less each. */
const FEW_COUNT = 500;

function* copied<K, V>(map: ReadonlyMap<K, V>): Generator<void, Map<K, V>, void> {
  const copy = new Map<K, V>();
  for (const [key, value] of map) {
    copy.set(key, value);
    if (copy.size % FEW_COUNT === 0) yield;
  }
  return copy;
}

function isSecret(key: KeyText): boolean {
  return key.startsWith('secret/');
}

/** What makes a configuration out of the parts; what did not change is the very same object. */
function* together(
  parts: ReadonlyMap<KeyText, Part>,
  before: Compiled | undefined,
  { node }: CompileContext,
): Generator<void, Omit<Compiled, 'parts'>, void> {
  const upstreams: (readonly [KeyText, ResolvedUpstream])[] = [];
  const bindings: PlacedPlugin[] = [];
  const servers: (readonly [KeyText, PlacedServer])[] = [];
  const access: Access[] = [];
  let gateway: ResolvedGateway | undefined;
  let count = 0;
  for (const [key, { made }] of parts) {
    if (made.kind === 'upstream') upstreams.push([key, made.upstream]);
    else if (made.kind === 'plugin') bindings.push({ key, plugin: made.plugin, order: made.order });
    else if (made.kind === 'gateway') gateway = made.gateway;
    else if (made.kind === 'server') servers.push([key, made]);
    else if (made.kind === 'access') access.push(made.access);
    if (++count % FEW_COUNT === 0) yield;
  }
  const { entries: sorted, order } = yield* inKeyOrder(upstreams, before?.upstreamOrder);
  yield;
  const last = before?.configuration;
  yield* refuseSameIds(sorted, last?.upstreams);
  const placement = yield* serversInOrder(servers, sorted, before?.placement);
  yield;
  const written = yield* pluginsInOrder(bindings, sorted, placement.servers, last?.plugins);
  yield;
  const bound = yield* withAccess(written, access, placement, before?.bound);
  yield;
  const next: ResolvedConfiguration = {
    gateway: keptIfSame(last?.gateway, withNodeSettings(gateway ?? resolveGateway(undefined), node)),
    upstreams: keptIfAllSame(
      last?.upstreams,
      sorted.map(([, upstream]) => upstream),
    ),
    servers: keptIfAllSame(last?.servers, placement.servers),
    plugins:
      last !== undefined && bound === before?.bound
        ? last.plugins
        : keptIfAllSame(last?.plugins, keptByName(last?.plugins, bound.plugins)),
  };
  return { configuration: Object.freeze(next), upstreamOrder: order, placement, bound };
}

/** @param before among which none had the id of another. */
function* refuseSameIds(
  upstreams: readonly (readonly [KeyText, ResolvedUpstream])[],
  before: readonly ResolvedUpstream[] | undefined,
): Generator<void, void, void> {
  if (before?.length === upstreams.length && upstreams.every(([, { id }], i) => id === before[i]?.id)) return;
  const owners = new Map<string, KeyText>();
  for (const [key, { id }] of upstreams) {
    const other = owners.get(id);
    if (other !== undefined)
      throw new CompileError(
        parseKeyText(key),
        'id',
        `${keyNameOf(other)} has the id ${id} too; ids are of one upstream each`,
      );
    owners.set(id, key);
    if (owners.size % FEW_COUNT === 0) yield;
  }
}

interface PlacedPlugin {
  readonly key: KeyText;
  readonly plugin: ResolvedPlugin;
  readonly order: number;
}

/** Plugins of a tenant that name no endpoints serve all of that tenant, and nobody else's. */
function* pluginsInOrder(
  bindings: PlacedPlugin[],
  upstreams: readonly (readonly [KeyText, ResolvedUpstream])[],
  servers: readonly ResolvedServer[],
  before: readonly ResolvedPlugin[] | undefined,
): Generator<void, WrittenPlugin[], void> {
  if (bindings.length === 0) return [];
  bindings.sort((a, b) => a.order - b.order || (a.plugin.name < b.plugin.name ? -1 : 1));
  const earlier = new Map(before?.map((each) => [each.name, each]));
  const ofTenants = new Map<string, string[]>();
  const isNeeded = bindings.some(({ key, plugin }) => tenantOf(key) !== '' && plugin.endpoints.length === 0);
  for (const [index, [key, { name }]] of (isNeeded ? upstreams : []).entries()) {
    if (index % FEW_COUNT === 0) yield;
    const own = ofTenants.get(tenantOf(key));
    if (own === undefined) ofTenants.set(tenantOf(key), [`/mcp/${name}`]);
    else own.push(`/mcp/${name}`);
  }
  const placed: WrittenPlugin[] = [];
  for (const { key, plugin } of bindings) {
    const tenant = tenantOf(key);
    yield;
    if (tenant === '' || plugin.endpoints.length > 0) {
      placed.push({ plugin, tenant });
      continue;
    }
    const own = servers.map(({ path }) => path).filter((path) => path.startsWith(`/mcp/${tenant}/`));
    const endpoints = [...(ofTenants.get(tenant) ?? []), ...own];
    // Without an endpoint it would serve all of them.
    if (endpoints.length > 0)
      placed.push({
        plugin: keptIfSame(earlier.get(plugin.name), Object.freeze({ ...plugin, endpoints })),
        tenant,
      });
  }
  return placed;
}

function withNodeSettings(gateway: ResolvedGateway, node: NodeSettings | undefined): ResolvedGateway {
  if (node === undefined) return gateway;
  const { stateDir: _, ...rest } = gateway;
  const listen = { ...gateway.listen, ...node.listen };
  const log = { ...gateway.log, ...node.log };
  return { ...rest, listen, log, ...(node.stateDir === undefined ? {} : { stateDir: node.stateDir }) };
}

/** The secrets of all resources together, before and after the change. */
class Secrets {
  constructor(
    private readonly parts: ReadonlyMap<KeyText, Part>,
    private readonly waiting: ReadonlyMap<KeyText, Entry>,
    private readonly lookup: Lookup,
  ) {}

  /** What resources of a tenant may refer to: nothing of anybody else, and no variables, which are the operator's. */
  of(tenant: string, used: KeyText[]): ReferenceSource {
    return {
      variable: (name) => {
        if (tenant !== '')
          throw new Error(`\${${name}}: variables of nodes are the operator's; use \${secret:NAME}`);
        return this.lookup.variable(name);
      },
      secret: (name) => {
        const key = `secret/${tenant}/${name}`;
        used.push(key);
        const entry = this.waiting.get(key) ?? this.parts.get(key)?.entry;
        return entry?.resource.spec.case === 'secret' ? this.valueOf(entry.resource.spec.value) : undefined;
      },
    };
  }

  private valueOf({ name, source }: Secret): string {
    if (source.case === 'env') {
      const value = this.lookup.variable(source.value);
      if (value !== undefined) return value;
      throw new Error(
        `the secret ${name} is the environment variable ${source.value}, which is not set on the node`,
      );
    }
    if (source.case !== 'file') throw new Error(`the secret ${name} says neither env nor file`);
    let content: string;
    try {
      content = this.lookup.file(source.value);
    } catch (thrown) {
      const reason = thrown instanceof Error ? thrown.message : String(thrown);
      throw new Error(`the secret ${name} is the file ${source.value} of the node: ${reason}`);
    }
    return content.replace(/\r?\n$/, '');
  }
}

function partOf(entry: Entry, secrets: Secrets): Part {
  const used: KeyText[] = [];
  const complain = (field: string, reason: string): never => {
    throw new CompileError(parseKeyText(entry.key), field, reason);
  };
  const made = madeOf(entry, (spec) =>
    mayRefer(entry.bytes) ? withReferences(spec, secrets.of(entry.resource.tenant, used), complain) : spec,
  );
  return { entry, made, secrets: used };
}

function madeOf({ key, resource }: Entry, referred: <T>(spec: T) => T): Made {
  const { tenant, spec } = resource;
  const refuse = (field: string, reason: string): never => {
    throw new CompileError(parseKeyText(key), field, reason);
  };
  switch (spec.case) {
    case 'gateway':
      if (tenant !== '') refuse('', 'the settings of the gateway belong to the operator, not to a tenant');
      return { kind: 'gateway', gateway: resolveGateway(referred(spec.value)) };
    case 'upstream': {
      if (spec.value.disabled) return NOTHING;
      if (spec.value.transport.case === undefined)
        refuse('', 'says not how it is reached: http, sse, websocket or stdio');
      return { kind: 'upstream', upstream: ofTenant(tenant, resolveUpstream(referred(spec.value))) };
    }
    case 'plugin': {
      if (spec.value.disabled) return NOTHING;
      const plugin = resolvePlugin(referred(spec.value));
      const name = tenant === '' ? plugin.name : `${tenant}/${plugin.name}`;
      const foreign = plugin.endpoints.findIndex(
        (path) => tenant !== '' && !path.startsWith(`/mcp/${tenant}/`),
      );
      if (foreign >= 0)
        refuse(
          `endpoints[${foreign}]`,
          `${plugin.endpoints[foreign]} is not of the tenant: its paths begin with /mcp/${tenant}/`,
        );
      return { kind: 'plugin', plugin: own(tenant, { ...plugin, name }), order: spec.value.order ?? 0 };
    }
    case 'endpoint':
      if (spec.value.disabled) return NOTHING;
      return { kind: 'server', server: serverOf(tenant, resolveEndpoint(spec.value)), tenant };
    case 'virtualServer':
      if (spec.value.disabled) return NOTHING;
      return { kind: 'server', server: serverOf(tenant, resolveVirtualServer(spec.value, tenant)), tenant };
    case 'consumer':
    case 'credential':
    case 'policy':
    case 'limit':
      return {
        kind: 'access',
        access: { tenant, spec: { ...spec, value: referred(spec.value) } as Access['spec'] },
      };
    case 'secret':
    case 'region':
    case 'tenantSpec':
      return NOTHING;
    default:
      return refuse('', 'resources of this kind cannot be served yet');
  }
}

function serverOf(tenant: string, server: ResolvedServer): ResolvedServer {
  return tenant === '' ? Object.freeze(server) : own(tenant, { ...server, name: `${tenant}/${server.name}` });
}

/** Says whose it is. */
function own<T extends object>(tenant: string, part: T): T & { readonly tenant?: string } {
  return Object.freeze(tenant === '' ? part : { ...part, tenant });
}

/** Upstreams of a tenant are served below its name, and are no part of /mcp, which is the operator's. */
function ofTenant(tenant: string, upstream: ResolvedUpstream): ResolvedUpstream {
  if (tenant === '') return upstream;
  const { id, name } = upstream;
  return own(tenant, { ...upstream, id: `${tenant}/${id}`, name: `${tenant}/${name}`, hidden: true });
}

function tenantOf(key: KeyText): string {
  return key.split('/', 2)[1] ?? '';
}
