/** Rules for consumers, credentials, policies and limits: among themselves, and with the plugins that act on them. */

import { builtIn } from '@sluice/plugins';
import {
  type Configuration,
  type Consumer,
  type Credential,
  type Limit,
  type Policy,
  resolveConfiguration,
} from '@sluice/proto';
import { nearestName } from '@sluice/sdk/manifest';
import type { Findings } from './findings.js';
import type { Names } from './names.js';

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;
const NAME_HINT = 'write 1 to 63 letters, digits, `_`, `-` or `.`, beginning with a letter or digit';
const LIMIT_NAME = /^[a-z][a-z0-9_-]{0,62}$/;
const LIMIT_NAME_HINT = 'write a lower-case letter, then up to 62 lower-case letters, digits, _ or -';
const MAX_CONSUMER_NAME_CHARS = 128;

/** The plugin that knows callers by a kind of credential. */
export const PLUGIN_OF = { apiKey: 'auth-api-key', password: 'auth-basic' } as const;

export function checkAccess(
  findings: Findings,
  configuration: Configuration,
  paths: ReadonlySet<string>,
): void {
  const { consumers, credentials, policies, limits, plugins } = configuration;
  const around: AroundAccess = {
    paths,
    consumers: new Set(consumers.map(({ name }) => name)),
    knowsBy: (plugin) => plugins.some((binding) => binding.plugin === plugin && !binding.disabled),
  };
  checkEach(findings, 'consumers', consumers, (own, consumer) => checkConsumer(findings, own, consumer));
  checkEach(findings, 'credentials', credentials, (own, each) =>
    checkCredential(findings, own, each, around),
  );
  checkEach(findings, 'policies', policies, (own, policy) => checkPolicy(findings, own, policy, around));
  checkEach(findings, 'limits', limits, (own, limit) => checkLimit(findings, own, limit, around));
}

/** What there is beside a consumer, a credential, a policy or a limit. */
export interface AroundAccess {
  /** Every path at which something is served, where it may hold. */
  readonly paths: Names;
  readonly consumers: Names;
  /** Whether a plugin is in use. */
  knowsBy(plugin: string): boolean;
}

/** @returns whether it has a name that it can have */
export function checkConsumer(findings: Findings, own: string, { name }: Consumer): boolean {
  if (name !== '' && name.length <= MAX_CONSUMER_NAME_CHARS) return true;
  findings.error(
    `${own}.name`,
    name === '' ? 'missing' : 'too long',
    `write 1 to ${MAX_CONSUMER_NAME_CHARS} characters`,
    [own],
  );
  return false;
}

/** @returns whether it has a name that it can have */
export function checkCredential(
  findings: Findings,
  own: string,
  { name, consumer, kind }: Credential,
  { consumers, knowsBy }: AroundAccess,
): boolean {
  const isNamed = checkName(findings, own, name, NAME, NAME_HINT);
  if (!consumers.has(consumer)) {
    const near = nearestName(consumer, [...consumers]);
    const there = [...consumers].slice(0, 10).join(', ') || 'none';
    const hint = near === undefined ? `consumers are ${there}` : `did you mean ${near}?`;
    const message = consumer === '' ? 'missing' : `there is no consumer ${consumer}`;
    findings.error(`${own}.consumer`, message, hint, ['consumers']);
  }
  if (kind.case === undefined) {
    findings.error(own, 'proves nothing', 'write `api_key` or `password`');
    return isNamed;
  }
  const plugin = PLUGIN_OF[kind.case];
  if (!knowsBy(plugin)) {
    const hint = `add \`- plugin: ${plugin}\` to \`plugins\`: it is what looks at them`;
    findings.error(own, `no plugin ${plugin} is there to know it by`, hint, ['plugins']);
  }
  if (kind.case === 'apiKey') {
    const { prefix, hash } = kind.value;
    if (prefix === '' || hash === '')
      findings.error(
        `${own}.api_key`,
        'not whole',
        'write the `prefix` and `hash` that `sluice keys create` prints',
      );
  } else if (kind.value.hash === '') {
    findings.error(`${own}.password.hash`, 'missing', 'write what `sluice keys hash-password` prints');
  }
  return isNamed;
}

/** @returns whether it has a name that it can have */
export function checkPolicy(
  findings: Findings,
  own: string,
  { name, endpoints, permissions }: Policy,
  { paths }: AroundAccess,
): boolean {
  const isNamed = checkName(findings, own, name, NAME, NAME_HINT);
  checkPaths(findings, own, endpoints, paths);
  if (permissions.length === 0)
    findings.warn(own, 'a policy that permits nothing', 'write what it permits below `permissions`');
  checkByPlugin(findings, `${own}.permissions`, 'authorize', {
    permissions: Object.fromEntries(permissions.map(({ pattern, scopes }) => [pattern, [...scopes]])),
  });
  return isNamed;
}

/** @returns whether it has a name that it can have */
export function checkLimit(
  findings: Findings,
  own: string,
  { name, endpoints, requests }: Limit,
  { paths }: AroundAccess,
): boolean {
  const isNamed = checkName(findings, own, name, LIMIT_NAME, LIMIT_NAME_HINT);
  checkPaths(findings, own, endpoints, paths);
  if (requests === 0)
    findings.error(`${own}.requests`, 'missing', 'write how many pass in each period, from 1');
  return isNamed;
}

/**
 * What only the plugins themselves can find in what was put into their configurations.
 *
 * @param hasErrors whether a configuration that cannot be resolved is known already
 */
export function checkDerived(findings: Findings, configuration: Configuration, hasErrors: boolean): void {
  const { consumers, policies, limits } = configuration;
  if (hasErrors || consumers.length + policies.length + limits.length === 0) return;
  const written = new Set(configuration.plugins.map(({ name, plugin }) => name || plugin));
  for (const { name, plugin, config } of resolveConfiguration(configuration).plugins) {
    if (plugin === 'auth-api-key' || plugin === 'auth-basic')
      checkByPlugin(findings, 'credentials', plugin, config);
    else if (plugin === 'ratelimit' && !written.has(name)) checkByPlugin(findings, 'limits', plugin, config);
    if (written.has(name) && DERIVED_NAME.test(name) && plugin !== 'auth-api-key' && plugin !== 'auth-basic')
      findings.error(
        'plugins',
        `a plugin is named ${name}`,
        `choose another name: what ${name.split('-')[0]} need is called so`,
      );
  }
}

/** What policies and limits become is called so. */
export const DERIVED_NAME = /^(?:policies|limits)(?:-\d+)?$/;

/** What a plugin says of a configuration that was made for it. */
export function checkByPlugin(
  findings: Findings,
  path: string,
  plugin: string,
  config: Readonly<Record<string, unknown>>,
): void {
  const checked = builtIn(plugin)?.checked(config as never);
  if (checked === undefined || checked.ok) return;
  for (const { path: field, message, hint } of checked.problems)
    findings.error(path, `${field}: ${message}`, hint ?? `see docs/reference/plugins.md#${plugin}`);
}

function checkPaths(findings: Findings, own: string, endpoints: readonly string[], paths: Names): void {
  endpoints.forEach((endpoint, index) => {
    if (paths.has(endpoint)) return;
    const near = nearestName(endpoint, [...paths]);
    const hint =
      near === undefined ? `endpoints are ${[...paths].slice(0, 10).join(', ')}` : `did you mean ${near}?`;
    findings.error(`${own}.endpoints[${index}]`, `there is no endpoint ${endpoint}`, hint, ['upstreams']);
  });
}

function checkName(findings: Findings, own: string, name: string, pattern: RegExp, hint: string): boolean {
  if (pattern.test(name)) return true;
  findings.error(`${own}.name`, name === '' ? 'missing' : 'not a name', hint, [own]);
  return false;
}

/** @param check of one by itself; false when its name cannot be compared with those of others */
function checkEach<T extends { readonly name: string }>(
  findings: Findings,
  list: string,
  members: readonly T[],
  check: (own: string, member: T) => boolean,
): void {
  const seen = new Map<string, number>();
  members.forEach((member, index) => {
    const own = `${list}[${index}]`;
    if (!check(own, member)) return;
    const first = seen.get(member.name);
    if (first === undefined) seen.set(member.name, index);
    else findings.error(`${own}.name`, `${list}[${first}] has the same name`, 'give each a name of its own');
  });
}
