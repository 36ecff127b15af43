import { BUILT_IN, builtIn } from '@sluice/plugins';
import type { Configuration, PluginBinding } from '@sluice/proto';
import type { Findings } from './findings.js';
import { nearestName } from './nearest-name.js';

/** Plugins that were loaded from elsewhere are checked against the schema that they brought, when they are loaded. */
const ELSEWHERE = /^(?:\.{0,2}\/|npm:)/;
const NAME = /^[a-z0-9][a-z0-9_.-]{0,62}$/i;
const HASH = /^sha256-[A-Za-z0-9+/]{43}=$/;

export function checkPlugins(findings: Findings, { plugins, upstreams }: Configuration): void {
  const paths = new Set(['/mcp', ...upstreams.map(({ name }) => `/mcp/${name}`)]);
  const names = new Map<string, number>();
  plugins.forEach((binding, index) => {
    const path = `plugins[${index}]`;
    const name = binding.name || binding.plugin;
    const first = names.get(name);
    names.set(name, index);
    if (binding.name !== '' && !NAME.test(binding.name)) {
      const hint = 'write 1 to 63 letters, digits, `_`, `-` or `.`, beginning with a letter or digit';
      findings.error(`${path}.name`, 'not a name', hint);
    } else if (first !== undefined && name !== '') {
      const hint = 'give each use of a plugin a `name` of its own';
      findings.error(`${path}.name`, `plugins[${first}] is named ${name} too`, hint, [
        `plugins[${first}].name`,
      ]);
    }
    checkEndpoints(findings, binding, path, paths);
    checkBuiltIn(findings, binding, path);
  });
}

function checkEndpoints(
  findings: Findings,
  { endpoints }: PluginBinding,
  path: string,
  known: ReadonlySet<string>,
): void {
  endpoints.forEach((endpoint, index) => {
    if (known.has(endpoint)) return;
    const near = nearestName(endpoint, [...known]);
    const hint =
      near === undefined ? `endpoints are ${[...known].slice(0, 10).join(', ')}` : `did you mean ${near}?`;
    findings.error(`${path}.endpoints[${index}]`, `there is no endpoint ${endpoint}`, hint, ['upstreams']);
  });
}

function checkBuiltIn(findings: Findings, binding: PluginBinding, path: string): void {
  const { plugin: name, hash, config } = binding;
  if (name === '') {
    findings.error(
      `${path}.plugin`,
      'missing',
      `say which plugin; with the gateway come ${BUILT_IN.join(', ')}`,
    );
    return;
  }
  if (ELSEWHERE.test(name)) {
    if (HASH.test(hash)) return;
    const hint =
      'write the `sha256-…` that `sluice plugin pack` prints: what is loaded is exactly what was looked at';
    findings.error(`${path}.hash`, hash === '' ? 'missing' : 'not a hash', hint);
    return;
  }
  const plugin = builtIn(name);
  if (plugin === undefined) {
    const near = nearestName(name, BUILT_IN);
    const known = `with the gateway come ${BUILT_IN.join(', ')}; a package is written npm:${name}, a module ./${name}`;
    findings.error(
      `${path}.plugin`,
      `no plugin named ${name} comes with the gateway`,
      near === undefined ? known : `did you mean ${near}?`,
    );
    return;
  }
  const checked = plugin.checked(config);
  if (checked.ok) return;
  for (const { path: field, message, hint } of checked.problems) {
    const own = field === '' ? `${path}.config` : `${path}.config.${field}`;
    findings.error(own, message, hint ?? `see docs/reference/plugins.md#${name}`);
  }
}

/** True when whoever calls has to say who they are, whatever endpoint is called. */
export function authenticatesAll({ plugins }: Configuration): boolean {
  const identity = plugins.filter(
    ({ plugin, disabled }) => !disabled && builtIn(plugin)?.phase === 'identity',
  );
  const letsAnybodyIn = identity.some(({ plugin }) => plugin === 'anonymous');
  return !letsAnybodyIn && identity.some(({ endpoints }) => endpoints.length === 0);
}
