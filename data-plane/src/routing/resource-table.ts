import type { Offered } from './offer.js';
import type { Resolution } from './resolution.js';
import type { Selection } from './selection.js';
import { compileUriTemplate, matchesUriTemplate, type UriTemplate } from './uri-templates.js';
import { exposeUri, readExposedUri } from './uris.js';

export interface ResourceTarget {
  readonly upstreamId: string;
  /** The URI or URI template as the upstream knows it. */
  readonly uri: string;
}

/** Finds the upstream of a resource. */
export interface ResourceTable {
  /**
   * An exposed URI; else the URI of a resource that is listed; else one that a template holds; else any URI,
   * when only one upstream has resources. Each step counts only when it leaves one upstream.
   */
  resolveUri(uri: string): Resolution<ResourceTarget>;
  /** The same for what may also be a URI template, as in a completion reference. */
  resolveUriOrTemplate(uri: string): Resolution<ResourceTarget>;
}

/**
 * A bare URI is tried on this many templates of each upstream, so that none can make the search long for all.
 * Exposed URIs need no search.
 */
const MAX_SEARCHED_TEMPLATES = 100;

interface Upstream {
  readonly upstreamId: string;
  readonly upstreamName: string;
}

/** `upstreams` are those whose exposed URIs are taken, listed or not, as far as they are selected. */
export function buildResourceTable(
  upstreams: readonly Upstream[],
  resources: readonly Offered[],
  templates: readonly Offered[],
  selection: Pick<Selection, 'takesUri'>,
): ResourceTable {
  const byName = new Map(upstreams.map((upstream) => [upstream.upstreamName, upstream]));
  const byUri = groupByName(resources);
  const byTemplate = groupByName(templates);
  const compiled = compileTemplates(templates);
  const providers = distinct([...resources, ...templates]);

  const resolveExposed = (uri: string): Resolution<ResourceTarget> | undefined => {
    const read = readExposedUri(uri);
    const upstream = read && byName.get(read.upstreamName);
    return upstream && { kind: 'found', upstreamId: upstream.upstreamId, uri: read.uri };
  };
  const resolveBare = (uri: string): Resolution<ResourceTarget> => {
    const holding = () =>
      distinct(
        compiled.filter(([template]) => matchesUriTemplate(template, uri)).map(([, offered]) => offered),
      );
    return (
      one(byUri.get(uri) ?? [], uri) ??
      one(holding(), uri) ??
      (providers.length === 1 ? one(providers, uri) : undefined) ?? { kind: 'unknown' }
    );
  };
  const nameOf = new Map(upstreams.map(({ upstreamId, upstreamName }) => [upstreamId, upstreamName]));
  const isSelected = (upstreamId: string, uri: string) =>
    selection.takesUri(nameOf.get(upstreamId) ?? '', uri) ||
    compiled.some(
      ([template, offered]) =>
        offered.upstreamId === upstreamId && (offered.name === uri || matchesUriTemplate(template, uri)),
    );
  const selected = (found: Resolution<ResourceTarget>): Resolution<ResourceTarget> =>
    found.kind !== 'found' || isSelected(found.upstreamId, found.uri) ? found : { kind: 'unknown' };
  return {
    resolveUri: (uri) => selected(resolveExposed(uri) ?? resolveBare(uri)),
    resolveUriOrTemplate: (uri) =>
      selected(resolveExposed(uri) ?? one(byTemplate.get(uri) ?? [], uri) ?? resolveBare(uri)),
  };
}

function compileTemplates(templates: readonly Offered[]): [UriTemplate, Offered][] {
  const compiled: [UriTemplate, Offered][] = [];
  const counts = new Map<string, number>();
  for (const offered of templates) {
    const count = counts.get(offered.upstreamId) ?? 0;
    const template = count < MAX_SEARCHED_TEMPLATES ? compileUriTemplate(offered.name) : undefined;
    if (!template) continue;
    counts.set(offered.upstreamId, count + 1);
    compiled.push([template, offered]);
  }
  return compiled;
}

/** Undefined when there is none. */
function one(upstreams: readonly Upstream[], uri: string): Resolution<ResourceTarget> | undefined {
  const [first, ...others] = upstreams;
  if (!first) return undefined;
  if (others.length === 0) return { kind: 'found', upstreamId: first.upstreamId, uri };
  return {
    kind: 'ambiguous',
    candidates: upstreams.map((upstream) => exposeUri(upstream.upstreamName, uri)),
  };
}

function groupByName(offered: readonly Offered[]): Map<string, Upstream[]> {
  const groups = new Map<string, Upstream[]>();
  for (const each of offered) {
    const group = groups.get(each.name);
    if (group) group.push(each);
    else groups.set(each.name, [each]);
  }
  return groups;
}

function distinct(offered: readonly Offered[]): Upstream[] {
  return [...new Map(offered.map((each) => [each.upstreamId, each])).values()];
}
