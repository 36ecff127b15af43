/** The rules of files for one resource of a configuration, among all others of it. */
import {
  type Configuration,
  ConfigurationSchema,
  type Consumer,
  type Credential,
  type Gateway,
  type Limit,
  withDerivedPlugins,
} from '@sluice/proto';
import { create, type Entry, type Resource, type ResourceState } from '@sluice/proto/cluster';
import {
  type AroundAccess,
  checkByPlugin,
  checkConsumer,
  checkCredential,
  checkLimit,
  checkPolicy,
  DERIVED_NAME,
  PLUGIN_OF,
} from './access-rules.js';
import { Findings } from './findings.js';
import { checkGateway } from './gateway-rules.js';
import type { Names } from './names.js';
import { withPlaceholders } from './placeholders.js';
import { checkBinding } from './plugin-rules.js';
import type { Problem } from './problem.js';
import type { ResourceIndex } from './resource-index.js';
import {
  callersThings,
  idThing,
  keyWords,
  pathOfUpstream,
  pathThing,
  pluginsThing,
  upstreamKeys,
} from './resource-links.js';
import { checkEndpoint, checkVirtualServer } from './serving-rules.js';
import { aroundUpstreams, checkUpstreamItself } from './upstream-rules.js';

/** Where a node may put in something else; names are what others refer to, and stand as they are written. */
const MAY_REFER = /^(?:http|sse|websocket|stdio|config|listen|sessions|admin|api_key|password|log|egress)\b/;

/** What is said of the form of a text, which only a node can know where it is a reference; not that it is a text. */
const SAYS_TYPE = /^expected (?!string)/;

/** Problems of one resource; their paths are fields of it. */
export function checkResource(entry: Entry, index: ResourceIndex, state: ResourceState): Problem[] {
  const { resource, bytes } = entry;
  const { spec } = resource;
  const findings = new Findings();
  const { value, fields } = IS_SUBSTITUTED.has(spec.case)
    ? withPlaceholders(spec.value, bytes)
    : { value: spec.value, fields: new Set<string>() };
  const known = { ...entry, resource: { ...resource, spec: { case: spec.case, value } as Resource['spec'] } };
  checkSpec(findings, known, { index, state });
  for (const field of fields)
    if (!MAY_REFER.test(field))
      findings.error(`.${field}`, 'a reference where names belong', 'write it out: nodes replace references');
  return findings.problems.flatMap((problem) => {
    const path = fieldOf(problem.path);
    const isUnknown = fields.has(path) && MAY_REFER.test(path) && !SAYS_TYPE.test(problem.message);
    return isUnknown ? [] : [{ ...problem, path, message: problem.message.replace(/^\./, '') }];
  });
}

/** Kinds in which nodes replace references. */
const IS_SUBSTITUTED: ReadonlySet<Resource['spec']['case']> = new Set([
  'gateway',
  'upstream',
  'plugin',
  'consumer',
  'credential',
  'policy',
  'limit',
]);

function fieldOf(path: string): string {
  return path.replace(/^gateway(?=\.|$)/, '').replace(/^\./, '');
}

interface Surroundings {
  readonly index: ResourceIndex;
  readonly state: ResourceState;
}

function checkSpec(findings: Findings, entry: Entry, around: Surroundings): void {
  const { tenant, spec } = entry.resource;
  const { index, state } = around;
  const paths = pathsOf(tenant, index);
  const upstreams = upstreamsOf(tenant, state);
  switch (spec.case) {
    case 'gateway':
      checkGateway(findings, gatewayConfiguration(spec.value, index, state));
      break;
    case 'upstream':
      checkUpstreamItself(findings, '', spec.value, aroundUpstreams(gatewayOf(state)));
      checkUpstreamAmongOthers(findings, entry, index);
      break;
    case 'endpoint':
      checkEndpoint(findings, '', spec.value, aroundServers(entry, around, upstreams));
      break;
    case 'virtualServer':
      checkVirtualServer(findings, '', spec.value, aroundServers(entry, around, upstreams));
      break;
    case 'plugin':
      checkBinding(findings, '', spec.value, { paths, upstreams });
      if (DERIVED_NAME.test(spec.value.name))
        findings.error('.name', `what ${spec.value.name} need is called so`, 'choose another name');
      break;
    case 'consumer':
      checkConsumer(findings, '', spec.value);
      break;
    case 'credential':
      checkCredential(findings, '', spec.value, aroundAccess(tenant, around, paths));
      checkProof(findings, entry, spec.value, index);
      break;
    case 'policy':
      checkPolicy(findings, '', spec.value, aroundAccess(tenant, around, paths));
      break;
    case 'limit':
      checkLimit(findings, '', spec.value, aroundAccess(tenant, around, paths));
      checkByLimiter(findings, spec.value);
      break;
    default:
  }
}

export function gatewayOf(state: ResourceState): Gateway | undefined {
  const spec = state.get('gateway//gateway')?.resource.spec;
  return spec?.case === 'gateway' ? spec.value : undefined;
}

/** As much of a configuration as the settings of the gateway depend on. */
export function gatewayConfiguration(
  gateway: Gateway | undefined,
  index: ResourceIndex,
  state: ResourceState,
): Configuration {
  const configuration = create(ConfigurationSchema, { ...(gateway && { gateway }) });
  const name = gateway?.defaultUpstream ?? '';
  const named = upstreamKeys('', name).flatMap((key) => state.get(key) ?? []);
  for (const { resource } of name === '' || named.length > 0 ? named : state.entries())
    if (resource.spec.case === 'upstream' && resource.tenant === '')
      configuration.upstreams.push(resource.spec.value);
  for (const key of index.giversOf(pluginsThing(''))) {
    const spec = state.get(key)?.resource.spec;
    if (spec?.case === 'plugin') configuration.plugins.push(spec.value);
  }
  return configuration;
}

/** A tenant's own upstreams, and those of the operator where it has none of the name. */
function upstreamsOf(tenant: string, state: ResourceState): Names {
  return {
    has: (name) => upstreamKeys(tenant, name).some((key) => state.get(key) !== undefined),
    *[Symbol.iterator]() {
      for (const { resource } of state.entries())
        if (resource.spec.case === 'upstream' && (resource.tenant === tenant || resource.tenant === ''))
          yield resource.spec.value.name;
    },
  };
}

function pathsOf(tenant: string, index: ResourceIndex): Names {
  const start = tenant === '' ? '/mcp' : `/mcp/${tenant}/`;
  const before = pathThing('');
  return {
    has: (path) => path.startsWith(start) && (path === '/mcp' || index.has(pathThing(path))),
    *[Symbol.iterator]() {
      if (tenant === '') yield '/mcp';
      for (const thing of index.things())
        if (thing.startsWith(`${before}${start}`)) yield thing.slice(before.length);
    },
  };
}

function consumersOf(tenant: string, state: ResourceState): Names {
  return {
    has: (name) => state.get(`consumer/${tenant}/${name}`) !== undefined,
    *[Symbol.iterator]() {
      for (const { resource } of state.entries())
        if (resource.spec.case === 'consumer' && resource.tenant === tenant) yield resource.spec.value.name;
    },
  };
}

function aroundAccess(tenant: string, { index, state }: Surroundings, paths: Names): AroundAccess {
  return {
    paths,
    consumers: consumersOf(tenant, state),
    knowsBy: (plugin) => callersThings(tenant, plugin).some((thing) => index.has(thing)),
  };
}

function aroundServers(
  { key, resource: { tenant, spec } }: Entry,
  { index, state }: Surroundings,
  upstreams: Names,
) {
  const other = spec.case === 'endpoint' ? 'virtual-server' : 'endpoint';
  return {
    upstreams,
    tenant,
    nameOwner: (name: string) => {
      const owner = `${other}/${tenant}/${name}`;
      return state.get(owner) === undefined ? undefined : `the ${keyWords(owner)}`;
    },
    servedAt: (path: string) => (path === '/mcp' ? 'everything is served' : servedBy(path, key, index)),
  };
}

function servedBy(path: string, key: string, index: ResourceIndex): string | undefined {
  for (const other of index.giversOf(pathThing(path)))
    if (other !== key) return `the ${keyWords(other)} is served`;
  return undefined;
}

function checkUpstreamAmongOthers(findings: Findings, { key, resource }: Entry, index: ResourceIndex): void {
  const { tenant, spec } = resource;
  if (spec.case !== 'upstream') return;
  const path = pathOfUpstream(tenant, spec.value.name);
  const served = servedBy(path, key, index);
  if (served !== undefined) findings.error('.name', `at ${path} ${served}`, 'choose another name');
  for (const other of index.giversOf(idThing(tenant, spec.value)))
    if (other !== key)
      findings.error('.id', `the ${keyWords(other)} has the same id`, 'give each upstream an id of its own');
}

/** What only the plugin that looks at it can find in it, and whether another proves itself with the same. */
function checkProof(
  findings: Findings,
  { key, resource: { tenant } }: Entry,
  credential: Credential,
  index: ResourceIndex,
): void {
  const { kind } = credential;
  if (kind.case === undefined || kind.value.hash === '') return;
  if (kind.case === 'apiKey' && kind.value.prefix === '') return;
  const plugin = PLUGIN_OF[kind.case];
  const consumer = { name: credential.consumer, scopes: [], disabled: false } as unknown as Consumer;
  const config = kind.case === 'apiKey' ? { hash_key: PLACEHOLDER_SECRET } : {};
  const [derived] = withDerivedPlugins([{ ...BARE, name: plugin, plugin, config }], {
    ...NOTHING,
    tenant,
    consumers: [consumer],
    credentials: [credential],
  });
  const own = kind.case === 'apiKey' ? '.api_key' : '.password';
  if (derived !== undefined) checkByPlugin(findings, own, plugin, derived.config);
  const given = index.linksOf(key)?.gives.find((thing) => /^(?:key|user) /.test(thing));
  const [other] = given === undefined ? [] : [...index.giversOf(given)].filter((each) => each !== key);
  if (other !== undefined)
    findings.error(
      `${own}.${kind.case === 'apiKey' ? 'hash' : 'user'}`,
      `the ${keyWords(other)} is the same`,
      'leave one of them out, or make a new one',
    );
}

const PLACEHOLDER_SECRET = 'x'.repeat(32);
const BARE = { endpoints: [], onFailure: 'deny', mayFetch: [] } as const;
const NOTHING = { tenant: '', paths: [], consumers: [], credentials: [], policies: [], limits: [] } as const;

function checkByLimiter(findings: Findings, limit: Limit): void {
  if (limit.requests === 0) return;
  const inForce = { ...limit, disabled: false };
  for (const { plugin, config } of withDerivedPlugins([], { ...NOTHING, limits: [inForce] }))
    checkByPlugin(findings, '', plugin, config);
}
