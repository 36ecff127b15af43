import { isJsonObject, type JsonObject } from './json-object.js';
import { buildNameTable } from './name-table.js';
import type { Naming } from './names.js';
import {
  acceptEntries,
  type CacheScope,
  type Dropped,
  KEY_MEMBER,
  type ListKind,
  type Offered,
  type UpstreamOffer,
} from './offer.js';
import type { Resolution } from './resolution.js';
import { buildResourceTable, type ResourceTarget } from './resource-table.js';
import { EVERYTHING, type Selection } from './selection.js';
import { exposeUri, rewriteUris } from './uris.js';

export interface NamedTarget {
  readonly upstreamId: string;
  /** Its name at the upstream. */
  readonly name: string;
  /** Its definition as the upstream sent it. */
  readonly entry: JsonObject;
}

export interface CompletionTarget {
  readonly upstreamId: string;
  /** The reference in the upstream's own names. */
  readonly ref: JsonObject;
}

/** The entries of one upstream in a merged list. */
export interface ListSection {
  readonly upstreamId: string;
  readonly entries: readonly JsonObject[];
  readonly ttlMs?: number;
  readonly cacheScope?: CacheScope;
}

/**
 * What many upstreams offer as one server, and what each name and URI stands for. Immutable: a change of an
 * offer makes a new catalogue. Building it does all the work; resolving looks up.
 */
export interface Catalogue {
  /**
   * The merged list: upstreams in the order of the configuration, entries in the order of the upstream, with
   * exposed names and URIs and nothing else changed. The same array every time.
   */
  listed(kind: ListKind): readonly JsonObject[];
  /** The same, by upstream; one that offers nothing has an empty section. */
  sections(kind: ListKind): readonly ListSection[];
  resolveTool(name: string): Resolution<NamedTarget>;
  resolvePrompt(name: string): Resolution<NamedTarget>;
  resolveResource(uri: string): Resolution<ResourceTarget>;
  /** The same for what may also be a URI template, as in a list of them. */
  resolveTemplateOrUri(uri: string): Resolution<ResourceTarget>;
  /** `ref` of completion/complete: `ref/prompt` with a name, or `ref/resource` with a URI or URI template. */
  resolveCompletion(ref: unknown): Resolution<CompletionTarget>;
  /** What the upstreams sent and could not be used. */
  readonly dropped: readonly Dropped[];
}

/**
 * `offers` stand in the order of the configuration.
 *
 * @param selection what of them is part of it
 * @throws Error when two offers share an id or a name; a valid configuration has none.
 */
export function buildCatalogue(
  offers: readonly UpstreamOffer[],
  naming: Naming,
  selection: Selection = EVERYTHING,
): Catalogue {
  const visible = offers
    .filter(({ upstreamName, hidden }) => selection.takes(upstreamName, hidden))
    .map((offer) => selection.of(offer));
  refuseTwins(visible);
  const dropped: Dropped[] = [];
  const accept = (kind: ListKind) => visible.flatMap((offer) => acceptEntries(offer, kind, dropped));
  const offered: Readonly<Record<ListKind, Offered[]>> = {
    tools: accept('tools'),
    prompts: accept('prompts'),
    resources: accept('resources'),
    templates: accept('templates'),
  };
  const tools = buildNameTable(offered.tools, naming);
  const prompts = buildNameTable(offered.prompts, naming);
  const resources = buildResourceTable(visible, offered.resources, offered.templates, selection);

  const exposedNames = new Map<Offered, string>();
  for (const table of [tools, prompts]) {
    for (const [name, target] of table.exposed) exposedNames.set(target, name);
  }
  const exposedKey = (target: Offered) =>
    exposedNames.get(target) ?? exposeUri(target.upstreamName, target.name);
  const lists: Readonly<Record<ListKind, MergedList>> = {
    tools: mergeList('tools', visible, offered.tools, exposedKey),
    prompts: mergeList('prompts', visible, offered.prompts, exposedKey),
    resources: mergeList('resources', visible, offered.resources, exposedKey),
    templates: mergeList('templates', visible, offered.templates, exposedKey),
  };

  return {
    listed: (kind) => lists[kind].entries,
    sections: (kind) => lists[kind].sections,
    resolveTool: tools.resolve,
    resolvePrompt: prompts.resolve,
    resolveResource: resources.resolveUri,
    resolveTemplateOrUri: resources.resolveUriOrTemplate,
    resolveCompletion(ref) {
      if (!isJsonObject(ref)) return { kind: 'unknown' };
      if (ref.type === 'ref/prompt' && typeof ref.name === 'string') {
        const prompt = prompts.resolve(ref.name);
        if (prompt.kind !== 'found') return prompt;
        return { kind: 'found', upstreamId: prompt.upstreamId, ref: { ...ref, name: prompt.name } };
      }
      if (ref.type === 'ref/resource' && typeof ref.uri === 'string') {
        const resource = resources.resolveUriOrTemplate(ref.uri);
        if (resource.kind !== 'found') return resource;
        return { kind: 'found', upstreamId: resource.upstreamId, ref: { ...ref, uri: resource.uri } };
      }
      return { kind: 'unknown' };
    },
    dropped,
  };
}

interface MergedList {
  readonly sections: readonly ListSection[];
  readonly entries: readonly JsonObject[];
}

function mergeList(
  kind: ListKind,
  offers: readonly UpstreamOffer[],
  offered: readonly Offered[],
  exposedKey: (target: Offered) => string,
): MergedList {
  const entries = new Map<string, JsonObject[]>(offers.map((offer) => [offer.upstreamId, []]));
  for (const target of offered) {
    const own: JsonObject = { ...target.entry, [KEY_MEMBER[kind]]: exposedKey(target) };
    const exposed =
      kind === 'tools'
        ? rewriteUris('tool definition', own, (uri) => exposeUri(target.upstreamName, uri))
        : own;
    entries.get(target.upstreamId)?.push(exposed);
  }
  const sections = offers.map(({ upstreamId, ttlMs, cacheScope }) => ({
    upstreamId,
    entries: entries.get(upstreamId) ?? [],
    ttlMs,
    cacheScope,
  }));
  return { sections, entries: sections.flatMap((section) => section.entries) };
}

function refuseTwins(offers: readonly UpstreamOffer[]): void {
  for (const member of ['upstreamId', 'upstreamName'] as const) {
    const seen = new Set<string>();
    for (const offer of offers) {
      if (seen.has(offer[member])) {
        throw new Error(
          `two upstreams have the ${member} ${JSON.stringify(offer[member])}; each needs its own`,
        );
      }
      seen.add(offer[member]);
    }
  }
}
