import { GATEWAY_SETTINGS, type Setting, UPSTREAM_SETTINGS } from '@sluice/proto';
import { nearestName } from '@sluice/sdk/manifest';
import type { ConfigurationJson } from './decode-configuration.js';
import { convertSetting, type MessageJson, quote } from './decode-message.js';
import type { Decoding } from './decoding.js';
import { type TransportName, transportOfUrl, transportsOf } from './transport-shorthand.js';

/** Prefix of every environment variable that the gateway reads. */
const ENVIRONMENT_PREFIX = 'SLUICE_';

const UPSTREAM_PREFIX = `${ENVIRONMENT_PREFIX}UPSTREAMS_`;

/** One environment variable, or a family of them: one for each upstream. */
export interface EnvironmentVariable {
  /** `<NAME>` stands for an upstream's name in upper case with `_` for all but letters and digits. */
  readonly name: string;
  /** Longer name for the same setting, where there is one. */
  readonly otherName?: string;
  /** Path of the setting, for example `gateway.listen.port` or `upstreams[].http.url`. */
  readonly path: string;
  readonly type: Setting['type'];
}

/** Every environment variable that sets something, in the order of the schema. */
export function listEnvironmentVariables(): EnvironmentVariable[] {
  return [...GATEWAY_SETTINGS, ...UPSTREAM_SETTINGS].flatMap((setting) => {
    const [name, otherName] = setting.environmentNames;
    if (name === undefined) return [];
    const path = `${setting.scope === 'gateway' ? 'gateway' : 'upstreams[]'}.${setting.path}`;
    return [{ name, ...(otherName !== undefined && { otherName }), path, type: setting.type }];
  });
}

const GATEWAY_BY_VARIABLE = new Map(
  GATEWAY_SETTINGS.flatMap((setting) => setting.environmentNames.map((name) => [name, setting] as const)),
);

/** Several settings have one suffix where a variable leaves out the transport, as a file may. */
const UPSTREAM_BY_SUFFIX = new Map<string, Setting[]>();
for (const setting of UPSTREAM_SETTINGS) {
  for (const name of setting.environmentNames) {
    const suffix = name.replace(`${UPSTREAM_PREFIX}<NAME>_`, '');
    UPSTREAM_BY_SUFFIX.set(suffix, [...(UPSTREAM_BY_SUFFIX.get(suffix) ?? []), setting]);
  }
}

/** Suffixes that say what an upstream is; one of them makes an upstream where there are none, longest first. */
const CREATING_SUFFIXES = ['_WEBSOCKET_URL', '_STDIO_COMMAND', '_HTTP_URL', '_SSE_URL', '_COMMAND', '_URL'];

/** Says which transport an upstream has, so it is read before what belongs to that transport. */
const URL_SUFFIX = '_URL';

/**
 * Lays the `SLUICE_…` variables over a configuration. An empty variable is as good as none. A variable that
 * sets nothing gives a warning, unless the file refers to it or `otherVariables` names it; there, what ends in `_`
 * names all that begin so.
 */
export function applyEnvironment(
  decoding: Decoding,
  json: ConfigurationJson,
  otherVariables: readonly string[],
): void {
  const variables = Object.entries(decoding.environment ?? {})
    .filter((pair): pair is [string, string] => pair[0].startsWith(ENVIRONMENT_PREFIX) && !!pair[1])
    .sort(([a], [b]) => (a < b ? -1 : 1));
  if (json.upstreams.length === 0) json.upstreams.push(...upstreamsFromNames(decoding, variables));
  variables.sort(([a], [b]) => Number(b.endsWith(URL_SUFFIX)) - Number(a.endsWith(URL_SUFFIX)));
  for (const [name, text] of variables) {
    const setting = GATEWAY_BY_VARIABLE.get(name);
    if (setting !== undefined) setFromText(decoding, json.gateway, 'gateway', setting, text, name);
    else if (applyToUpstream(decoding, json.upstreams, name, text)) continue;
    else if (
      !otherVariables.some((other) => isNamedBy(other, name)) &&
      !decoding.substitutedVariables.has(name)
    ) {
      warnUnknown(decoding, json, name);
    }
  }
}

/** One that ends in `_` names all that begin so. */
function isNamedBy(other: string, name: string): boolean {
  return other.endsWith('_') ? name.startsWith(other) : name === other;
}

/** A configuration without upstreams may name them by variables alone, as containers without a file do. */
function upstreamsFromNames(decoding: Decoding, variables: readonly [string, string][]): MessageJson[] {
  const names = new Map<string, string>();
  for (const [variable] of variables) {
    const suffix = CREATING_SUFFIXES.find((candidate) => variable.endsWith(candidate));
    if (!variable.startsWith(UPSTREAM_PREFIX) || suffix === undefined) continue;
    const name = variable.slice(UPSTREAM_PREFIX.length, -suffix.length).toLowerCase();
    if (name !== '' && !names.has(name)) names.set(name, variable);
  }
  return [...names].map(([name, variable], index) => {
    decoding.origins.set(`upstreams[${index}]`, { name: variable });
    return { name };
  });
}

function variablePart(upstreamName: string): string {
  return upstreamName.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_');
}

function applyToUpstream(decoding: Decoding, upstreams: MessageJson[], name: string, text: string): boolean {
  if (!name.startsWith(UPSTREAM_PREFIX)) return false;
  const rest = name.slice(UPSTREAM_PREFIX.length);
  const matches = upstreams.flatMap((upstream, index) => {
    const part = `${variablePart(String(upstream.name ?? ''))}_`;
    const settings = rest.startsWith(part) ? UPSTREAM_BY_SUFFIX.get(rest.slice(part.length)) : undefined;
    return settings === undefined ? [] : [{ upstream, index, settings, length: part.length }];
  });
  // `SLUICE_UPSTREAMS_A_HTTP_URL` belongs to the upstream `a_http` rather than to `a`, if both exist.
  const longest = Math.max(...matches.map(({ length }) => length));
  const [match, another] = matches.filter(({ length }) => length === longest);
  if (match === undefined) return false;
  const path = `upstreams[${match.index}]`;
  if (another !== undefined) {
    const message = `means both ${match.upstream.name} and ${another.upstream.name}`;
    decoding.error({ name }, path, message, 'rename one of the upstreams, or set it in the file');
  } else {
    const setting = chooseTransport(decoding, match.upstream, path, match.settings, text);
    setFromText(decoding, match.upstream, path, setting, text, name);
  }
  return true;
}

/** Of settings with the same variable, that of the transport which the url means, else of the one there is. */
function chooseTransport(
  decoding: Decoding,
  upstream: MessageJson,
  path: string,
  settings: readonly Setting[],
  text: string,
): Setting {
  const [first] = settings as [Setting, ...Setting[]];
  if (settings.length === 1) return first;
  const [present] = transportsOf(upstream);
  const wanted = first.path.endsWith('.url') ? transportOfUrl(text) : present;
  const setting = settings.find(({ fields }) => fields[0]?.name === wanted) ?? first;
  const isShared = settings.some(({ fields }) => fields[0]?.name === present);
  if (wanted !== present && isShared && present !== undefined) {
    renameTransport(decoding, upstream, path, present, setting.fields[0]?.name as TransportName);
  }
  return setting;
}

/** Carries headers and limits along when a variable gives a url with the scheme of another transport. */
function renameTransport(
  { origins }: Decoding,
  upstream: MessageJson,
  path: string,
  from: TransportName,
  to: TransportName,
): void {
  upstream[to] = upstream[from] as MessageJson;
  delete upstream[from];
  for (const [settingPath, origin] of [...origins]) {
    if (!`${settingPath}.`.startsWith(`${path}.${from}.`)) continue;
    origins.delete(settingPath);
    origins.set(`${path}.${to}${settingPath.slice(`${path}.${from}`.length)}`, origin);
  }
}

/**
 * Sets one setting from the text of a variable or flag.
 *
 * @param target the message that the setting's path begins in, and `path` its own path
 * @param originName what to call the place that the text came from, for example `--port`
 */
export function setFromText(
  decoding: Decoding,
  target: MessageJson,
  path: string,
  setting: Setting,
  text: string,
  originName: string,
): void {
  const origin = { name: originName };
  const settingPath = `${path}.${setting.path}`;
  const earlier = decoding.origins.get(settingPath);
  if (
    earlier !== undefined &&
    'name' in earlier &&
    earlier.name.startsWith(ENVIRONMENT_PREFIX) &&
    originName.startsWith(ENVIRONMENT_PREFIX)
  ) {
    decoding.error(origin, settingPath, `${earlier.name} sets it too`, 'unset one of the two variables');
    return;
  }
  const converted = convertText(setting, text);
  if ('message' in converted) {
    decoding.error(origin, settingPath, converted.message, converted.hint);
    return;
  }
  const message = enterMessage(target, setting);
  if (message === undefined) {
    const hint = 'change the transport in the file, or unset the variable';
    const [transport] = transportsOf(target);
    decoding.error(origin, settingPath, `the upstream is reached over ${transport}`, hint);
    return;
  }
  decoding.origins.set(settingPath, origin);
  message[setting.fields.at(-1)?.name as string] = converted.json;
}

/** The message that holds the setting, made where missing; `undefined` when the upstream has another transport. */
function enterMessage(target: MessageJson, { fields }: Setting): MessageJson | undefined {
  let message = target;
  for (const { name, oneof } of fields.slice(0, -1)) {
    const taken = oneof?.fields.some((other) => other.name !== name && other.name in message);
    if (taken) return undefined;
    message[name] ??= {};
    message = message[name] as MessageJson;
  }
  return message;
}

type ConvertedText =
  | { readonly json: string | number | boolean | string[] | Record<string, string> }
  | { readonly message: string; readonly hint: string };

function convertText(setting: Setting, text: string): ConvertedText {
  if (setting.type === 'list of texts') return convertList(text);
  if (setting.type === 'map of texts') return convertMap(text);
  const converted = convertSetting(setting.fields.at(-1) as Setting['fields'][number], text);
  if ('json' in converted) return converted;
  return { message: `${quote(text)} is ${converted.message}`, hint: converted.hint };
}

function convertList(text: string): ConvertedText {
  if (!text.trimStart().startsWith('[')) {
    return { json: text.split(',').flatMap((item) => item.trim() || []) };
  }
  const value = parseJson(text);
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return { json: value };
  return { message: 'not a list of texts', hint: 'write one,two or ["one", "two"]' };
}

/** Never shows the text: maps hold headers and environments, and those hold secrets. */
function convertMap(text: string): ConvertedText {
  const value = parseJson(text);
  const isMap =
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !Object.hasOwn(value, '__proto__') &&
    Object.values(value).every((item) => typeof item === 'string');
  if (isMap) return { json: value as Record<string, string> };
  return { message: 'not a JSON object of texts', hint: 'write {"Name": "value"}' };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function warnUnknown(decoding: Decoding, json: ConfigurationJson, name: string): void {
  const upstreamNames = json.upstreams.flatMap(({ name: upstream }) =>
    [...UPSTREAM_BY_SUFFIX.keys()].map(
      (suffix) => `${UPSTREAM_PREFIX}${variablePart(String(upstream ?? ''))}_${suffix}`,
    ),
  );
  const known = [...GATEWAY_BY_VARIABLE.keys(), ...upstreamNames];
  // A name that only lacks where the setting stands is no misspelling of a shorter place.
  const near = endingAlike(name, 1) ?? nearestName(name, known) ?? endingAlike(name);
  const hint =
    near === undefined ? 'unset it, or see the reference of settings for its name' : `did you mean ${near}?`;
  decoding.warn({ name }, '', 'this variable sets nothing', hint);
}

const GATEWAY_PREFIX = `${ENVIRONMENT_PREFIX}GATEWAY_`;

/**
 * The variable of the gateway that ends in the most words of a name, for names that leave out where a setting
 * stands: `SLUICE_PORT`. Of several, the first in the schema: the client address comes before those of machines.
 *
 * @param startCount at how many of its words the ending may begin
 */
function endingAlike(name: string, startCount = Number.POSITIVE_INFINITY): string | undefined {
  const isLong = name.startsWith(GATEWAY_PREFIX);
  const prefix = isLong ? GATEWAY_PREFIX : ENVIRONMENT_PREFIX;
  const candidates = [...GATEWAY_BY_VARIABLE.keys()].filter(
    (known) => known.startsWith(GATEWAY_PREFIX) === isLong,
  );
  const words = name.slice(prefix.length).split('_');
  for (let start = 0; start < Math.min(words.length, startCount); start++) {
    const ending = `_${words.slice(start).join('_')}`;
    const found = candidates.find((known) => known.endsWith(ending));
    if (found !== undefined) return found;
  }
  return undefined;
}
