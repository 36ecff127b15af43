import { BUILT_IN, builtIn } from '@sluice/plugins';
import { type Configuration, Isolation, type PluginBinding } from '@sluice/proto';
import { INLINE_ATTRIBUTES } from '@sluice/sdk/engine';
import {
  checkManifestConfig,
  type FoundPlugin,
  findPlugin,
  nearestName,
  verifiedContents,
} from '@sluice/sdk/manifest';
import { type ConfigSchema, targetPatterns } from './config-schema.js';
import type { Findings } from './findings.js';
import type { Names } from './names.js';

const ELSEWHERE = /^(?:\.{0,2}\/|npm:)/;
type CheckedConfig = ReturnType<typeof checkManifestConfig>;

const NAME = /^[a-z0-9][a-z0-9_.-]{0,62}$/i;
const HASH = /^sha256-[A-Za-z0-9+/]{43}=$/;

/** @param paths every path at which something is served */
export function checkPlugins(
  findings: Findings,
  { plugins, upstreams }: Configuration,
  paths: ReadonlySet<string>,
): void {
  const known = new Set(upstreams.map(({ name }) => name));
  const names = new Map<string, number>();
  plugins.forEach((binding, index) => {
    const path = `plugins[${index}]`;
    const name = binding.name || binding.plugin;
    const first = names.get(name);
    names.set(name, index);
    if (first !== undefined && name !== '' && (binding.name === '' || NAME.test(binding.name))) {
      const hint = 'give each use of a plugin a `name` of its own';
      findings.error(`${path}.name`, `plugins[${first}] is named ${name} too`, hint, [
        `plugins[${first}].name`,
      ]);
    }
    checkBinding(findings, path, binding, { paths, upstreams: known });
  });
}

/** What a plugin may refer to. */
export interface AroundPlugins {
  /** Every path at which something is served that it may serve. */
  readonly paths: Names;
  readonly upstreams: Names;
}

/** What is wrong with one use of a plugin whatever others there are. */
export function checkBinding(
  findings: Findings,
  path: string,
  binding: PluginBinding,
  { paths, upstreams }: AroundPlugins,
): void {
  if (binding.name !== '' && !NAME.test(binding.name)) {
    const hint = 'write 1 to 63 letters, digits, `_`, `-` or `.`, beginning with a letter or digit';
    findings.error(`${path}.name`, 'not a name', hint);
  }
  checkEndpoints(findings, binding, path, paths);
  checkOrigins(findings, binding, path);
  const schema = checkBuiltIn(findings, binding, path);
  if (schema !== undefined)
    checkPatterns(findings, targetPatterns(binding.config, [schema], `${path}.config`), upstreams);
}

function checkEndpoints(findings: Findings, { endpoints }: PluginBinding, path: string, known: Names): void {
  endpoints.forEach((endpoint, index) => {
    if (known.has(endpoint)) return;
    const near = nearestName(endpoint, [...known]);
    const hint =
      near === undefined ? `endpoints are ${[...known].slice(0, 10).join(', ')}` : `did you mean ${near}?`;
    findings.error(`${path}.endpoints[${index}]`, `there is no endpoint ${endpoint}`, hint, ['upstreams']);
  });
}

function checkOrigins(findings: Findings, { mayFetch }: PluginBinding, path: string): void {
  mayFetch.forEach((origin, index) => {
    if (URL.canParse(origin) && /^https?:/.test(origin) && new URL(origin).origin === origin) return;
    const hint = 'write scheme, host and port as browsers do, without a path: https://directory.example.com';
    findings.error(`${path}.may_fetch[${index}]`, 'not an origin', hint);
  });
}

/** @returns the schema of its configuration, where that is known and the configuration follows it */
function checkBuiltIn(findings: Findings, binding: PluginBinding, path: string): ConfigSchema | undefined {
  const { plugin: name, config } = binding;
  if (name === '') {
    findings.error(
      `${path}.plugin`,
      'missing',
      `say which plugin; with the gateway come ${BUILT_IN.join(', ')}`,
    );
    return undefined;
  }
  if (ELSEWHERE.test(name)) return checkElsewhere(findings, binding, path);
  const plugin = builtIn(name);
  if (plugin === undefined) {
    const near = nearestName(name, BUILT_IN);
    const known = `with the gateway come ${BUILT_IN.join(', ')}; a package is written npm:${name}, a module ./${name}`;
    findings.error(
      `${path}.plugin`,
      `no plugin named ${name} comes with the gateway`,
      near === undefined ? known : `did you mean ${near}?`,
    );
    return undefined;
  }
  const checked = plugin.checked(config);
  tellProblems(findings, checked, path, `see docs/reference/plugins.md#${name}`);
  if (!checked.ok) return undefined;
  const isApart = binding.isolation === Isolation.POOL || binding.isolation === Isolation.PROCESS;
  const why = isApart ? whyInline(plugin, checked.config) : undefined;
  if (why !== undefined) findings.error(`${path}.isolation`, why, 'write inline, or leave it out');
  return plugin.config;
}

/** Why a plugin runs on the thread of the request alone; undefined when it may run elsewhere. */
function whyInline(plugin: NonNullable<ReturnType<typeof builtIn>>, config: unknown): string | undefined {
  if (plugin.phase === 'door') return `${plugin.name} decides at the door, where nothing can wait for it`;
  if (plugin.sharedBytes(config) > 0) return `${plugin.name} keeps memory that workers share`;
  const reads = plugin.reads(config);
  const unsendable = INLINE_ATTRIBUTES.find((name) => reads.includes(name));
  return unsendable === undefined ? undefined : `${plugin.name} reads ${unsendable}, which cannot be sent`;
}

/** By its manifest alone: nothing of a plugin from elsewhere runs here. */
function checkElsewhere(
  findings: Findings,
  { plugin, hash, config }: PluginBinding,
  path: string,
): ConfigSchema | undefined {
  if (plugin.startsWith('npm:')) {
    const hint = 'install it in the folder of the configuration, or in one above: npm install';
    findings.error(`${path}.plugin`, `there is no package ${plugin.slice('npm:'.length)}`, hint);
    return undefined;
  }
  if (!HASH.test(hash)) {
    const hint =
      'write the `sha256-…` that `sluice plugin pack` prints: what is loaded is exactly what was looked at';
    findings.error(`${path}.hash`, hash === '' ? 'missing' : 'not a hash', hint);
    return undefined;
  }
  let found: FoundPlugin;
  try {
    found = findPlugin(plugin, hash);
    verifiedContents(found.folder, found.manifest.files);
  } catch (thrown) {
    const hint = 'look at what has changed, run `sluice plugin pack`, and write the hash that it prints';
    findings.error(`${path}.plugin`, thrown instanceof Error ? thrown.message : String(thrown), hint);
    return undefined;
  }
  const checked = checkManifestConfig(found.manifest, config);
  tellProblems(findings, checked, path, found.manifest.description);
  return checked.ok ? found.manifest.config : undefined;
}

/** Of an upstream that is not there nothing matches, which is seldom what was meant; it may yet be added. */
function checkPatterns(findings: Findings, patterns: ReturnType<typeof targetPatterns>, known: Names): void {
  for (const { path, pattern } of patterns) {
    const upstream = pattern.slice(0, pattern.indexOf(':'));
    if (upstream.includes('*') || known.has(upstream)) continue;
    const near = nearestName(upstream, [...known]);
    const hint =
      near === undefined
        ? `upstreams are ${[...known].slice(0, 10).join(', ') || 'none'}`
        : `did you mean ${near}?`;
    findings.warn(path, `there is no upstream ${upstream}`, hint, ['upstreams']);
  }
}

function tellProblems(findings: Findings, checked: CheckedConfig, path: string, otherHint: string): void {
  if (checked.ok) return;
  for (const { path: field, message, hint } of checked.problems) {
    const own = field === '' ? `${path}.config` : `${path}.config.${field}`;
    findings.error(own, message, hint ?? otherHint);
  }
}

/** True when whoever calls has to say who they are, whatever endpoint is called. */
export function authenticatesAll({ plugins }: Configuration): boolean {
  const identity = plugins.filter((binding) => !binding.disabled && phaseOf(binding) === 'identity');
  const letsAnybodyIn = identity.some(({ plugin }) => plugin === 'anonymous');
  return !letsAnybodyIn && identity.some(({ endpoints }) => endpoints.length === 0);
}

/** Undefined where there is no such plugin, which is told elsewhere. */
function phaseOf({ plugin, hash }: PluginBinding): string | undefined {
  if (!ELSEWHERE.test(plugin)) return builtIn(plugin)?.phase;
  try {
    return findPlugin(plugin, hash).manifest.phase;
  } catch {
    return undefined;
  }
}
