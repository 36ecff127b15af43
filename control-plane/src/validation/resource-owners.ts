/** Whose a resource is and where it goes, and what the settings of the gateway mean to resources that did not change. */

import type { Entry, KeyText, ResourceState, StateChange } from '@sluice/proto/cluster';
import { nearestName } from '@sluice/sdk/manifest';
import { Findings } from './findings.js';
import { checkGateway } from './gateway-rules.js';
import type { Problem } from './problem.js';
import { gatewayConfiguration, gatewayOf } from './resource-checks.js';
import type { ResourceIndex } from './resource-index.js';
import { credentialsThing, ofTenantThing, regionKey, tenantKey } from './resource-links.js';
import { aroundUpstreams, checkUpstreamItself } from './upstream-rules.js';

const GATEWAY_KEY: KeyText = 'gateway//gateway';

/** Kinds of which tenants have none. */
const OPERATORS_OWN: readonly (string | undefined)[] = ['gateway', 'region', 'tenantSpec'];

/**
 * Keys and users that one tenant may have: a tenth of what `auth-api-key` and `auth-basic` take of all of them together,
 * so that none can keep the others from having any.
 */
const MAX_CREDENTIALS_COUNT = { apiKey: 10_000, password: 1_000 } as const;
const CREDENTIAL_WORDS = { apiKey: 'keys', password: 'users with passwords' } as const;

/** Its tenant and its regions. */
export function checkOwner({ resource }: Entry, index: ResourceIndex): Problem[] {
  const { tenant, regions, spec } = resource;
  const findings = new Findings();
  if (OPERATORS_OWN.includes(spec.case)) {
    if (tenant !== '') findings.error('tenant', 'belongs to the operator, not to a tenant', 'leave it empty');
    if (spec.case !== 'gateway' && regions.length > 0)
      findings.error('regions', 'is the same in all regions', 'leave it empty');
  }
  if (tenant !== '') {
    checkTenant(findings, tenant, index);
    checkShare(findings, resource, index);
  }
  regions.forEach((region, at) => {
    if (index.has(regionKey(region))) return;
    const hint = nearOr(region, namesIn('region//', index), 'add a resource `region` of that name first');
    findings.error(`regions[${at}]`, `there is no region ${region}`, hint);
  });
  return findings.problems;
}

function checkTenant(findings: Findings, tenant: string, index: ResourceIndex): void {
  const spec = index.entry(tenantKey(tenant))?.resource.spec;
  if (spec?.case !== 'tenantSpec') {
    const hint = nearOr(tenant, namesIn('tenant//', index), 'add a resource `tenant` of that name first');
    findings.error('tenant', `there is no tenant ${tenant}`, hint);
    return;
  }
  const { maxResources } = spec.value;
  const count = index.giversOf(ofTenantThing(tenant)).size;
  if (maxResources > 0 && count > maxResources)
    findings.error(
      'tenant',
      `${tenant} would have ${count} resources, and may have ${maxResources}`,
      'remove some of them, or raise `max_resources` of the tenant',
    );
}

function checkShare(findings: Findings, { tenant, spec }: Entry['resource'], index: ResourceIndex): void {
  const kind = spec.case === 'credential' ? spec.value.kind.case : undefined;
  if (kind === undefined) return;
  const [most, count] = [MAX_CREDENTIALS_COUNT[kind], index.giversOf(credentialsThing(tenant, kind)).size];
  if (count > most)
    findings.error(
      'tenant',
      `${tenant} would have ${count} ${CREDENTIAL_WORDS[kind]}, and may have ${most}`,
      'remove some of them, or let an identity provider know who calls',
    );
}

function nearOr(name: string, known: string[], otherwise: string): string {
  const near = nearestName(name, known);
  return near === undefined ? otherwise : `did you mean ${near}?`;
}

function namesIn(start: string, index: ResourceIndex): string[] {
  return [...index.things()]
    .filter((thing) => thing.startsWith(start))
    .map((thing) => thing.slice(start.length));
}

/** What was right under the settings of the gateway before, and is not under the new ones. */
export function* affectedByGateway(
  before: ResourceState,
  after: ResourceState,
  { changed, removed }: StateChange,
): Generator<readonly [KeyText, readonly Problem[]]> {
  if (![...removed, ...changed.map(({ key }) => key)].includes(GATEWAY_KEY)) return;
  const earlier = aroundUpstreams(gatewayOf(before));
  const now = aroundUpstreams(gatewayOf(after));
  const touched = new Set(changed.map(({ key }) => key));
  for (const { key, resource } of after.entries()) {
    const { spec } = resource;
    if (spec.case !== 'upstream' || touched.has(key)) continue;
    const known = new Set(problemsOf(spec.value, earlier).map(({ path, message }) => `${path} ${message}`));
    const problems = problemsOf(spec.value, now).filter(
      ({ path, message }) => !known.has(`${path} ${message}`),
    );
    if (problems.length > 0)
      yield [key, problems.map((problem) => ({ ...problem, path: problem.path.replace(/^\./, '') }))];
  }
}

function problemsOf(
  upstream: Parameters<typeof checkUpstreamItself>[2],
  around: Parameters<typeof checkUpstreamItself>[3],
): readonly Problem[] {
  const findings = new Findings();
  checkUpstreamItself(findings, '', upstream, around);
  return findings.problems;
}

/** Without the plugin that knows callers an address for everybody is open. */
export function* checkReachableGateway(
  before: ResourceState,
  after: ResourceState,
  { changed, removed }: StateChange,
  index: ResourceIndex,
): Generator<readonly [KeyText, readonly Problem[]]> {
  const touched = [...removed, ...changed.map(({ key }) => key)];
  if (touched.includes(GATEWAY_KEY) || !touched.some((key) => key.startsWith('plugin//'))) return;
  const gateway = gatewayOf(after);
  if (gateway === undefined || before.get(GATEWAY_KEY) === undefined) return;
  const findings = new Findings();
  checkGateway(findings, gatewayConfiguration(gateway, index, after));
  const problems = findings.problems.filter(({ path }) => path === 'gateway.listen.host');
  if (problems.length > 0)
    yield [GATEWAY_KEY, problems.map((problem) => ({ ...problem, path: 'listen.host' }))];
}
