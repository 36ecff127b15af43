import type { Configuration } from './gen/sluice/config/v1/config_pb.js';
import type {
  Endpoint,
  SelectedItem,
  SelectedResource,
  VirtualServer,
} from './gen/sluice/config/v1/serving_pb.js';
import type { ResolvedSelectedItem, ResolvedSelectedResource, ResolvedServer } from './resolved.js';

/** Endpoints and virtual servers of a configuration, in its order; both are servers made of upstreams. */
export function resolveServers({ endpoints, virtualServers }: Configuration): ResolvedServer[] {
  return [
    ...endpoints.filter(({ disabled }) => !disabled).map(resolveEndpoint),
    ...virtualServers.filter(({ disabled }) => !disabled).map((server) => resolveVirtualServer(server)),
  ];
}

export function resolveEndpoint({ name, path, upstreams }: Endpoint): ResolvedServer {
  return { name, path, selection: { kind: 'upstreams', upstreams: [...upstreams] } };
}

/** Where a virtual server is served; below the name of its tenant, where it has one. */
export function pathOfVirtualServer(
  { path, name }: Pick<VirtualServer, 'path' | 'name'>,
  tenant = '',
): string {
  return path || `/mcp/${tenant === '' ? '' : `${tenant}/`}${name}`;
}

export function resolveVirtualServer(server: VirtualServer, tenant = ''): ResolvedServer {
  const { name, title, instructions, tools, prompts, resources } = server;
  return {
    name,
    path: pathOfVirtualServer(server, tenant),
    ...(title && { title }),
    ...(instructions && { instructions }),
    selection: {
      kind: 'items',
      tools: tools.map(resolveItem),
      prompts: prompts.map(resolveItem),
      resources: resources.map(resolveResource),
    },
  };
}

function resolveItem({ upstream, name, rename, description }: SelectedItem): ResolvedSelectedItem {
  return { upstream, name, ...(rename && { rename }), ...(description && { description }) };
}

function resolveResource({ upstream, uri, description }: SelectedResource): ResolvedSelectedResource {
  return { upstream, uri, ...(description && { description }) };
}
