/** Rules for endpoints and virtual servers: names, addresses, and that what they speak of is there. */
import {
  type Configuration,
  type Endpoint,
  pathOfVirtualServer,
  type SelectedItem,
  type VirtualServer,
} from '@sluice/proto';
import { nearestName } from '@sluice/sdk/manifest';
import type { Findings } from './findings.js';
import type { Names } from './names.js';

const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$/;
const NAME_HINT = 'write 1 to 40 letters, digits, _ or -, beginning with a letter or digit';
/** Below /mcp, in characters that need no encoding in a path (RFC 3986, section 2.3). */
const PATH = /^\/mcp(?:\/[A-Za-z0-9_.~-]{1,64}){1,4}$/;
/** Longest name under which a tool or prompt may be shown (MCP 2026-07-28, server/tools, "Tool Names"). */
const RENAME = /^[A-Za-z0-9_./-]{1,128}$/;
const MAX_ITEM_COUNT = 10_000;

/** Every path at which something is served. */
export function servedPaths({ upstreams, endpoints, virtualServers }: Configuration): Set<string> {
  return new Set([
    '/mcp',
    ...upstreams.map(({ name }) => `/mcp/${name}`),
    ...endpoints.map(({ path }) => path),
    ...virtualServers.map((server) => pathOfVirtualServer(server)),
  ]);
}

export function checkServers(findings: Findings, configuration: Configuration): void {
  const upstreams = new Set(configuration.upstreams.map(({ name }) => name));
  const paths = new Map<string, string>([
    ['/mcp', 'all upstreams together are served'],
    ...configuration.upstreams.map(({ name }) => [`/mcp/${name}`, `the upstream ${name} is served`] as const),
  ]);
  const names = new Map<string, string>();
  const around: AroundServers = {
    upstreams,
    nameOwner: (name) => names.get(name),
    servedAt: (path) => paths.get(path),
  };
  const keep = (own: string, name: string, path: string) => {
    if (!names.has(name)) names.set(name, own);
    if (!paths.has(path)) paths.set(path, `${own} is served`);
  };
  configuration.endpoints.forEach((endpoint, index) => {
    const own = `endpoints[${index}]`;
    checkEndpoint(findings, own, endpoint, around);
    keep(own, endpoint.name, endpoint.path);
  });
  configuration.virtualServers.forEach((server, index) => {
    const own = `virtual_servers[${index}]`;
    checkVirtualServer(findings, own, server, around);
    keep(own, server.name, pathOfVirtualServer(server));
  });
}

/** What there is beside an endpoint or a virtual server. */
export interface AroundServers {
  readonly upstreams: Names;
  /** Whose tenant's paths are used; the operator's when it is absent. */
  readonly tenant?: string;
  /** What else has a name; undefined when nothing has. */
  nameOwner(name: string): string | undefined;
  /** What is said of a path, as `the upstream a is served`; undefined when it is free. */
  servedAt(path: string): string | undefined;
}

export function checkEndpoint(
  findings: Findings,
  own: string,
  { name, path, upstreams }: Endpoint,
  around: AroundServers,
): void {
  checkName(findings, own, name, around);
  checkPath(findings, `${own}.path`, path, around);
  upstreams.forEach((upstream, at) => {
    checkUpstream(findings, `${own}.upstreams[${at}]`, upstream, around.upstreams);
  });
}

export function checkVirtualServer(
  findings: Findings,
  own: string,
  server: VirtualServer,
  around: AroundServers,
): void {
  const { upstreams, tenant } = around;
  checkName(findings, own, server.name, around);
  if (NAME.test(server.name) || server.path !== '')
    checkPath(
      findings,
      `${own}.${server.path === '' ? 'name' : 'path'}`,
      pathOfVirtualServer(server, tenant),
      around,
    );
  checkItems(findings, `${own}.tools`, server.tools, upstreams);
  checkItems(findings, `${own}.prompts`, server.prompts, upstreams);
  server.resources.forEach(({ upstream, uri, description }, at) => {
    const place = `${own}.resources[${at}]`;
    checkUpstream(findings, `${place}.upstream`, upstream, upstreams);
    if (uri === '') findings.error(`${place}.uri`, 'missing', 'write a URI, or * for all of them');
    else if (description !== '' && uri.includes('*')) refuseManyDescribed(findings, place);
  });
  if (server.tools.length + server.prompts.length + server.resources.length === 0)
    findings.warn(own, 'a server that offers nothing', 'select tools, prompts or resources of an upstream');
}

function checkName(findings: Findings, own: string, name: string, { nameOwner }: AroundServers): void {
  const first = nameOwner(name);
  if (name === '') findings.error(`${own}.name`, 'missing', NAME_HINT, [own]);
  else if (!NAME.test(name)) findings.error(`${own}.name`, 'not a name that paths can carry', NAME_HINT);
  else if (first !== undefined)
    findings.error(`${own}.name`, `${first} has the same name`, 'give each a name of its own');
}

function checkPath(
  findings: Findings,
  field: string,
  path: string,
  { servedAt, tenant = '' }: AroundServers,
): void {
  const taken = servedAt(path);
  const start = tenant === '' ? '/mcp/' : `/mcp/${tenant}/`;
  if (!PATH.test(path)) {
    const hint = `write ${start} and up to four segments of letters, digits, _, -, . or ~, for example ${start}team`;
    findings.error(field, path === '' ? 'missing' : 'not a path below /mcp', hint);
  } else if (!path.startsWith(start)) {
    findings.error(field, `${path} is not of the tenant`, `begin it with ${start}`);
  } else if (taken !== undefined) {
    findings.error(field, `at ${path} ${taken}`, 'choose another path', ['upstreams']);
  }
}

function checkItems(
  findings: Findings,
  place: string,
  items: readonly SelectedItem[],
  upstreams: Names,
): void {
  if (items.length > MAX_ITEM_COUNT)
    findings.error(
      place,
      `${items.length} selections`,
      `select at most ${MAX_ITEM_COUNT}; * selects several at once`,
    );
  const renames = new Map<string, number>();
  items.forEach(({ upstream, name, rename, description }, index) => {
    const own = `${place}[${index}]`;
    checkUpstream(findings, `${own}.upstream`, upstream, upstreams);
    if (name === '') findings.error(`${own}.name`, 'missing', 'write a name, or * for all of them');
    if (rename !== '') {
      const first = renames.get(rename);
      if (!RENAME.test(rename))
        findings.error(
          `${own}.rename`,
          'not a name for clients',
          'write 1 to 128 letters, digits, _, -, . or /',
        );
      else if (name.includes('*'))
        findings.error(`${own}.rename`, 'one name for several', 'write the whole name of what is renamed');
      else if (first !== undefined)
        findings.error(`${own}.rename`, `${place}[${first}] is called ${rename} too`, 'choose another name');
      else renames.set(rename, index);
    }
    if (description !== '' && name.includes('*')) refuseManyDescribed(findings, own);
  });
}

function refuseManyDescribed(findings: Findings, own: string): void {
  findings.error(
    `${own}.description`,
    'one description for several',
    'write the whole name of what is described',
  );
}

function checkUpstream(findings: Findings, field: string, upstream: string, known: Names): void {
  if (known.has(upstream)) return;
  const near = nearestName(upstream, [...known]);
  const there = [...known].slice(0, 10).join(', ') || 'none';
  const message = upstream === '' ? 'missing' : `there is no upstream ${upstream}`;
  findings.error(field, message, near === undefined ? `upstreams are ${there}` : `did you mean ${near}?`, [
    'upstreams',
  ]);
}
