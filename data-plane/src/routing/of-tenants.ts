/** Servers, consumers, credentials, policies and limits of the operator and of each tenant, kept apart by their paths. */
import {
  type ResolvedPlugin,
  type ResolvedServer,
  type ResolvedUpstream,
  withDerivedPlugins,
} from '@sluice/proto';
import { type Entry, type KeyText, parseKeyText } from '@sluice/proto/cluster';
import { CompileError } from './compile-error.js';
import { keptByName } from './kept.js';

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

/** A tenant's servers take from its own upstreams, and by their names from those of the operator where it has none. */
export function serversInOrder(
  servers: (readonly [KeyText, PlacedServer])[],
  upstreams: readonly (readonly [KeyText, ResolvedUpstream])[],
  before: readonly ResolvedServer[] | undefined,
): ResolvedServer[] {
  if (servers.length === 0) return [];
  const names = new Set(upstreams.map(([, { name }]) => name));
  const paths = new Map<string, KeyText | undefined>([...names].map((name) => [`/mcp/${name}`, undefined]));
  servers.sort(([a], [b]) => (a < b ? -1 : 1));
  const placed = servers.map(([key, { server, tenant }]) => {
    const { path } = server;
    if (tenant !== '' && !path.startsWith(`/mcp/${tenant}/`))
      throw new CompileError(
        parseKeyText(key),
        'path',
        `${path} is not of the tenant: its paths begin with /mcp/${tenant}/`,
      );
    if (paths.has(path))
      throw new CompileError(
        parseKeyText(key),
        'path',
        `at ${path} ${paths.get(path) ?? 'an upstream'} is served`,
      );
    paths.set(path, key);
    const actual = (name: string) =>
      tenant !== '' && names.has(`${tenant}/${name}`) ? `${tenant}/${name}` : name;
    return tenant === ''
      ? server
      : Object.freeze({ ...server, selection: selectionIn(server.selection, actual) });
  });
  return keptByName(before, placed);
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

/** Each tenant's policies and limits hold at its own endpoints, and the operator's at all. */
export function withAccess(
  plugins: readonly ResolvedPlugin[],
  access: readonly Access[],
  upstreams: readonly (readonly [KeyText, ResolvedUpstream])[],
  servers: readonly ResolvedServer[],
): readonly ResolvedPlugin[] {
  if (access.length === 0) return plugins;
  const all = [...upstreams.map(([, { name }]) => `/mcp/${name}`), ...servers.map(({ path }) => path)];
  const tenants = [...new Set(access.map(({ tenant }) => tenant))].sort();
  return tenants.reduce<readonly ResolvedPlugin[]>((bound, tenant) => {
    const own = access.filter((each) => each.tenant === tenant).map(({ spec }) => spec);
    const paths = tenant === '' ? ['/mcp', ...all] : all.filter((path) => path.startsWith(`/mcp/${tenant}/`));
    return withDerivedPlugins(bound, {
      tenant,
      paths,
      consumers: own.flatMap((spec) => (spec.case === 'consumer' ? [spec.value] : [])),
      credentials: own.flatMap((spec) => (spec.case === 'credential' ? [spec.value] : [])),
      policies: own.flatMap((spec) => (spec.case === 'policy' ? [spec.value] : [])),
      limits: own.flatMap((spec) => (spec.case === 'limit' ? [spec.value] : [])),
    });
  }, plugins);
}
