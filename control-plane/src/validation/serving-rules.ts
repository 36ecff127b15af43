/** Rules for endpoints and virtual servers: names, addresses, and that what they speak of is there. */
import { type Configuration, pathOfVirtualServer, type SelectedItem } from '@sluice/proto';
import { nearestName } from '@sluice/sdk/manifest';
import type { Findings } from './findings.js';

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
  configuration.endpoints.forEach(({ name, path, upstreams: behind }, index) => {
    const own = `endpoints[${index}]`;
    checkName(findings, own, name, names);
    checkPath(findings, `${own}.path`, path, paths, own);
    behind.forEach((upstream, at) => {
      checkUpstream(findings, `${own}.upstreams[${at}]`, upstream, upstreams);
    });
  });
  configuration.virtualServers.forEach((server, index) => {
    const own = `virtual_servers[${index}]`;
    checkName(findings, own, server.name, names);
    if (NAME.test(server.name) || server.path !== '')
      checkPath(
        findings,
        `${own}.${server.path === '' ? 'name' : 'path'}`,
        pathOfVirtualServer(server),
        paths,
        own,
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
  });
}

function checkName(findings: Findings, own: string, name: string, names: Map<string, string>): void {
  const first = names.get(name);
  if (name === '') findings.error(`${own}.name`, 'missing', NAME_HINT, [own]);
  else if (!NAME.test(name)) findings.error(`${own}.name`, 'not a name that paths can carry', NAME_HINT);
  else if (first !== undefined)
    findings.error(`${own}.name`, `${first} has the same name`, 'give each a name of its own');
  else names.set(name, own);
}

function checkPath(
  findings: Findings,
  field: string,
  path: string,
  paths: Map<string, string>,
  own: string,
): void {
  const taken = paths.get(path);
  if (!PATH.test(path)) {
    const hint =
      'write /mcp/ and up to four segments of letters, digits, _, -, . or ~, for example /mcp/team';
    findings.error(field, path === '' ? 'missing' : 'not a path below /mcp', hint);
  } else if (taken !== undefined) {
    findings.error(field, `at ${path} ${taken}`, 'choose another path', ['upstreams']);
  } else paths.set(path, `${own} is served`);
}

function checkItems(
  findings: Findings,
  place: string,
  items: readonly SelectedItem[],
  upstreams: ReadonlySet<string>,
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

export function checkUpstream(
  findings: Findings,
  field: string,
  upstream: string,
  known: ReadonlySet<string>,
): void {
  if (known.has(upstream)) return;
  const near = nearestName(upstream, [...known]);
  const there = [...known].slice(0, 10).join(', ') || 'none';
  const message = upstream === '' ? 'missing' : `there is no upstream ${upstream}`;
  findings.error(field, message, near === undefined ? `upstreams are ${there}` : `did you mean ${near}?`, [
    'upstreams',
  ]);
}
