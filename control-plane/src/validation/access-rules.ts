/** Rules for consumers, credentials, policies and limits: among themselves, and with the plugins that act on them. */

import { builtIn } from '@sluice/plugins';
import { type Configuration, resolveConfiguration } from '@sluice/proto';
import { nearestName } from '@sluice/sdk/manifest';
import type { Findings } from './findings.js';

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;
const NAME_HINT = 'write 1 to 63 letters, digits, `_`, `-` or `.`, beginning with a letter or digit';
const LIMIT_NAME = /^[a-z][a-z0-9_-]{0,62}$/;
const LIMIT_NAME_HINT = 'write a lower-case letter, then up to 62 lower-case letters, digits, _ or -';
const MAX_CONSUMER_NAME_CHARS = 128;

/** The plugin that knows callers by a kind of credential. */
const PLUGIN_OF = { apiKey: 'auth-api-key', password: 'auth-basic' } as const;

export function checkAccess(
  findings: Findings,
  configuration: Configuration,
  paths: ReadonlySet<string>,
): void {
  checkConsumers(findings, configuration);
  checkCredentials(findings, configuration);
  checkNames(findings, 'policies', configuration.policies, NAME, NAME_HINT);
  configuration.policies.forEach(({ endpoints, permissions }, index) => {
    const own = `policies[${index}]`;
    checkPaths(findings, own, endpoints, paths);
    if (permissions.length === 0)
      findings.warn(own, 'a policy that permits nothing', 'write what it permits below `permissions`');
    checkByPlugin(findings, `${own}.permissions`, 'authorize', {
      permissions: Object.fromEntries(permissions.map(({ pattern, scopes }) => [pattern, [...scopes]])),
    });
  });
  checkNames(findings, 'limits', configuration.limits, LIMIT_NAME, LIMIT_NAME_HINT);
  configuration.limits.forEach(({ endpoints, requests }, index) => {
    const own = `limits[${index}]`;
    checkPaths(findings, own, endpoints, paths);
    if (requests === 0)
      findings.error(`${own}.requests`, 'missing', 'write how many pass in each period, from 1');
  });
}

function checkConsumers(findings: Findings, { consumers }: Configuration): void {
  const seen = new Map<string, number>();
  consumers.forEach(({ name }, index) => {
    const field = `consumers[${index}].name`;
    const first = seen.get(name);
    if (name === '' || name.length > MAX_CONSUMER_NAME_CHARS)
      findings.error(
        field,
        name === '' ? 'missing' : 'too long',
        `write 1 to ${MAX_CONSUMER_NAME_CHARS} characters`,
        [`consumers[${index}]`],
      );
    else if (first !== undefined)
      findings.error(field, `consumers[${first}] has the same name`, 'give each a name of its own');
    else seen.set(name, index);
  });
}

function checkCredentials(findings: Findings, { credentials, consumers, plugins }: Configuration): void {
  checkNames(findings, 'credentials', credentials, NAME, NAME_HINT);
  const known = new Set(consumers.map(({ name }) => name));
  credentials.forEach(({ consumer, kind }, index) => {
    const own = `credentials[${index}]`;
    if (!known.has(consumer)) {
      const near = nearestName(consumer, [...known]);
      const there = [...known].slice(0, 10).join(', ') || 'none';
      const hint = near === undefined ? `consumers are ${there}` : `did you mean ${near}?`;
      const message = consumer === '' ? 'missing' : `there is no consumer ${consumer}`;
      findings.error(`${own}.consumer`, message, hint, ['consumers']);
    }
    if (kind.case === undefined) {
      findings.error(own, 'proves nothing', 'write `api_key` or `password`');
      return;
    }
    const plugin = PLUGIN_OF[kind.case];
    if (!plugins.some((binding) => binding.plugin === plugin && !binding.disabled)) {
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
  });
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

const DERIVED_NAME = /^(?:policies|limits)(?:-\d+)?$/;

function checkByPlugin(
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

function checkPaths(
  findings: Findings,
  own: string,
  endpoints: readonly string[],
  paths: ReadonlySet<string>,
): void {
  endpoints.forEach((endpoint, index) => {
    if (paths.has(endpoint)) return;
    const near = nearestName(endpoint, [...paths]);
    const hint =
      near === undefined ? `endpoints are ${[...paths].slice(0, 10).join(', ')}` : `did you mean ${near}?`;
    findings.error(`${own}.endpoints[${index}]`, `there is no endpoint ${endpoint}`, hint, ['upstreams']);
  });
}

function checkNames(
  findings: Findings,
  list: string,
  members: readonly { readonly name: string }[],
  pattern: RegExp,
  hint: string,
): void {
  const seen = new Map<string, number>();
  members.forEach(({ name }, index) => {
    const field = `${list}[${index}].name`;
    const first = seen.get(name);
    if (!pattern.test(name))
      findings.error(field, name === '' ? 'missing' : 'not a name', hint, [`${list}[${index}]`]);
    else if (first !== undefined)
      findings.error(field, `${list}[${first}] has the same name`, 'give each a name of its own');
    else seen.set(name, index);
  });
}
