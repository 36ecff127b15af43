/** What each resource is to others: what it gives them to refer to, and what it refers to. */
import { type Credential, pathOfVirtualServer, type Upstream } from '@sluice/proto';
import { type Entry, type KeyText, parseKeyText, type Resource } from '@sluice/proto/cluster';
import { PLUGIN_OF } from './access-rules.js';

/**
 * Something that can be referred to, and that two resources may not both give: a resource by its key, a path, an id.
 * As text, so that it can be looked up.
 */
export type Thing = string;

export interface Link {
  /** Where it stands in the resource that refers. */
  readonly field: string;
  /** One of them is enough. */
  readonly toOneOf: readonly Thing[];
}

export interface Links {
  readonly gives: readonly Thing[];
  readonly refersTo: readonly Link[];
}

export const pathThing = (path: string): Thing => `at ${path}`;
export const idThing = (tenant: string, { id, name }: Upstream): Thing => `id ${tenant}/${id || name}`;
export const ofTenantThing = (tenant: string): Thing => `of ${tenant}`;
/** Given by every plugin of a tenant. */
export const pluginsThing = (tenant: string): Thing => `plugins of ${tenant}`;
/** Given by every credential of a tenant that is of a kind. */
export const credentialsThing = (tenant: string, kind: 'apiKey' | 'password'): Thing =>
  `credentials ${tenant}/${kind}`;
const callersThing = (tenant: string, plugin: string): Thing => `callers ${tenant}/${plugin}`;
const apiKeyThing = (tenant: string, hash: string): Thing => `key ${tenant}/${hash}`;
const userThing = (tenant: string, user: string): Thing => `user ${tenant}/${user}`;

export function tenantKey(tenant: string): KeyText {
  return `tenant//${tenant}`;
}

export function regionKey(region: string): KeyText {
  return `region//${region}`;
}

/** A tenant's own, or else the operator's. */
export function upstreamKeys(tenant: string, name: string): readonly KeyText[] {
  return tenant === '' ? [`upstream//${name}`] : [`upstream/${tenant}/${name}`, `upstream//${name}`];
}

/** Where everything of the operator's is served together; it is always there. */
const WHOLE = '/mcp';

/** Where an upstream is served. */
export function pathOfUpstream(tenant: string, name: string): string {
  return tenant === '' ? `${WHOLE}/${name}` : `${WHOLE}/${tenant}/${name}`;
}

export function linksOf({ key, resource }: Entry): Links {
  const { tenant, regions } = resource;
  const { gives, refersTo } = linksOfSpec(resource);
  return {
    gives: [key, ofTenantThing(tenant), ...gives],
    refersTo: [
      ...(tenant === '' ? [] : [{ field: 'tenant', toOneOf: [tenantKey(tenant)] }]),
      ...regions.map((region, index) => ({ field: `regions[${index}]`, toOneOf: [regionKey(region)] })),
      ...refersTo,
    ],
  };
}

function linksOfSpec({ tenant, spec }: Resource): Links {
  switch (spec.case) {
    case 'gateway': {
      const { defaultUpstream } = spec.value;
      const toOneOf = upstreamKeys('', defaultUpstream);
      return { gives: [], refersTo: defaultUpstream === '' ? [] : [{ field: 'default_upstream', toOneOf }] };
    }
    case 'upstream':
      return {
        gives: [pathThing(pathOfUpstream(tenant, spec.value.name)), idThing(tenant, spec.value)],
        refersTo: [],
      };
    case 'endpoint':
      return {
        gives: [pathThing(spec.value.path)],
        refersTo: spec.value.upstreams.map((name, index) => ({
          field: `upstreams[${index}]`,
          toOneOf: upstreamKeys(tenant, name),
        })),
      };
    case 'virtualServer': {
      const { tools, prompts, resources } = spec.value;
      return {
        gives: [pathThing(pathOfVirtualServer(spec.value, tenant))],
        refersTo: [
          ...selected(tenant, 'tools', tools),
          ...selected(tenant, 'prompts', prompts),
          ...selected(tenant, 'resources', resources),
        ],
      };
    }
    case 'plugin':
      return {
        gives: [
          pluginsThing(tenant),
          ...(spec.value.disabled ? [] : [callersThing(tenant, spec.value.plugin)]),
        ],
        refersTo: endpointLinks(spec.value.endpoints),
      };
    case 'policy':
    case 'limit':
      return { gives: [], refersTo: endpointLinks(spec.value.endpoints) };
    case 'credential':
      return {
        gives: [...provenBy(tenant, spec.value), ...countedWith(tenant, spec.value)],
        refersTo: linksOfCredential(tenant, spec.value),
      };
    default:
      return { gives: [], refersTo: [] };
  }
}

/** Of several selections from one upstream the first speaks for all. */
function selected(tenant: string, list: string, items: readonly { readonly upstream: string }[]): Link[] {
  const links = new Map<string, Link>();
  items.forEach(({ upstream }, index) => {
    if (!links.has(upstream))
      links.set(upstream, {
        field: `${list}[${index}].upstream`,
        toOneOf: upstreamKeys(tenant, upstream),
      });
  });
  return [...links.values()];
}

function endpointLinks(endpoints: readonly string[]): Link[] {
  return endpoints.flatMap((path, index) =>
    path === WHOLE ? [] : [{ field: `endpoints[${index}]`, toOneOf: [pathThing(path)] }],
  );
}

function linksOfCredential(tenant: string, { consumer, kind }: Credential): Link[] {
  const known = { field: 'consumer', toOneOf: [`consumer/${tenant}/${consumer}`] };
  if (kind.case === undefined) return [known];
  const plugin = PLUGIN_OF[kind.case];
  return [known, { field: '', toOneOf: callersThings(tenant, plugin) }];
}

/** A plugin of a tenant or of the operator. */
export function callersThings(tenant: string, plugin: string): readonly Thing[] {
  return [...new Set([callersThing(tenant, plugin), callersThing('', plugin)])];
}

/** What no other credential of the tenant may prove itself with: nobody could say whose it is. */
function provenBy(tenant: string, { consumer, kind }: Credential): Thing[] {
  if (kind.case === 'apiKey') return kind.value.hash === '' ? [] : [apiKeyThing(tenant, kind.value.hash)];
  return kind.case === 'password' ? [userThing(tenant, kind.value.user || consumer)] : [];
}

/** Where credentials of a kind are counted. */
function countedWith(tenant: string, { kind }: Credential): Thing[] {
  return kind.case === undefined ? [] : [credentialsThing(tenant, kind.case)];
}

/** A thing in words. */
export function wordsOf(thing: Thing): string {
  const callers = /^callers [^/]*\/(.*)$/.exec(thing);
  if (callers !== null) return `plugin ${callers[1]}`;
  if (thing.startsWith('at ')) return `endpoint ${thing.slice('at '.length)}`;
  return keyWords(thing);
}

/** A key in words: `virtual server team`, and of a tenant `upstream files of acme`. */
export function keyWords(key: KeyText): string {
  const parsed = parseKeyText(key);
  if (parsed === undefined) return key;
  const kind = key.slice(0, key.indexOf('/')).replace('-', ' ');
  return `${kind} ${parsed.name}${parsed.tenant === '' ? '' : ` of ${parsed.tenant}`}`;
}
