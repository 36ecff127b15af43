import { readFile, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { fromJson, type JsonObject } from '@bufbuild/protobuf';
import { type Configuration, ConfigurationSchema, GATEWAY_SETTINGS, type Setting } from '@sluice/proto';
import type { Problem } from '../validation/problem.js';
import { validateConfiguration } from '../validation/validate.js';
import { type ConfigurationJson, decodeConfiguration } from './decode-configuration.js';
import { Decoding } from './decoding.js';
import { applyEnvironment, setFromText } from './environment.js';
import { formatOfFile, parseSource, type SourceFormat } from './parse-source.js';
import { addPins } from './pins.js';
import { anchorPlugin } from './plugin-place.js';

/** A configuration, or why there is none. */
export interface LoadedConfiguration {
  /** Present exactly when no problem is an error. */
  readonly configuration?: Configuration;
  /** In the order of the file. */
  readonly problems: readonly Problem[];
}

/** Settings given on the command line; they win over everything else. */
export interface ConfigurationOverrides {
  readonly host?: string;
  readonly port?: number | string;
  readonly workers?: number | string;
  /** `auto`, `uws` or `node`. */
  readonly listener?: string;
  readonly insecure?: boolean;
  readonly logLevel?: string;
  readonly logFormat?: string;
}

/** What lies beside and above the file. */
export interface LoadOptions {
  /** Variables for `${NAME}` and `SLUICE_…`; default: those of the process. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly overrides?: ConfigurationOverrides;
  /** `SLUICE_…` variables that the caller reads itself, so that they give no warning. */
  readonly otherVariables?: readonly string[];
}

/** Larger than any configuration by hand, and what a ConfigMap can hold. */
const MAX_FILE_BYTES = 1024 * 1024;

/**
 * Reads a configuration from a YAML, JSON or TOML file, lays environment variables and flags over it, and
 * validates it. Relative folders and certificate paths count from the folder of the file.
 *
 * Never throws for what stands in the file or for a file that cannot be read: those are problems.
 */
export async function loadConfigurationFile(
  path: string,
  options: LoadOptions = {},
): Promise<LoadedConfiguration> {
  const content = await readText(path);
  if ('problem' in content) return { problems: [content.problem] };
  const loaded = parseConfiguration(content.text, { ...options, file: path });
  if (loaded.configuration === undefined) return loaded;
  const found = await addPins(loaded.configuration.plugins, path, false);
  return found.length === 0 ? loaded : { problems: [...loaded.problems, ...found] };
}

/** The configuration that environment variables and flags make without any file. */
export function loadConfigurationWithoutFile(options: LoadOptions = {}): LoadedConfiguration {
  const decoding = new Decoding(options.environment ?? process.env);
  return finish(decoding, { gateway: {}, upstreams: [], plugins: [] }, options);
}

/** As {@link loadConfigurationFile}, for a text that is there already. */
export function parseConfiguration(
  text: string,
  options: LoadOptions & { readonly file: string; readonly format?: SourceFormat },
): LoadedConfiguration {
  const { file } = options;
  const decoding = new Decoding(options.environment ?? process.env, file);
  const parsed = parseSource(text, options.format ?? formatOfFile(file));
  if ('problems' in parsed) {
    for (const { position, message, hint } of parsed.problems) decoding.error(position, '', message, hint);
    return { problems: decoding.problems };
  }
  const { root } = parsed;
  // An editor or a copy may leave the file empty for a moment: that must not take every upstream away.
  if (root.kind === 'scalar' && root.value === null) {
    decoding.error(undefined, '', 'the file is empty', 'write at least `upstreams: {}`');
    return { problems: decoding.problems };
  }
  return finish(decoding, decodeConfiguration(decoding, root), options);
}

function finish(decoding: Decoding, json: ConfigurationJson, options: LoadOptions): LoadedConfiguration {
  applyEnvironment(decoding, json, options.otherVariables ?? []);
  applyOverrides(decoding, json, options.overrides ?? {});
  const configuration = fromJson(ConfigurationSchema, json as JsonObject);
  if (decoding.file !== undefined) anchorPaths(configuration, dirname(resolve(decoding.file)));
  const found = validateConfiguration(configuration, decoding.unreadPaths).map((problem) =>
    decoding.locate(problem),
  );
  const problems = inOrder([...decoding.problems, ...found]);
  return problems.some(isError) ? { problems } : { configuration, problems };
}

const FLAGS: Readonly<Record<keyof ConfigurationOverrides, { flag: string; path: string }>> = {
  host: { flag: '--host', path: 'listen.host' },
  port: { flag: '--port', path: 'listen.port' },
  workers: { flag: '--workers', path: 'listen.workers' },
  listener: { flag: '--listener', path: 'listen.listener' },
  insecure: { flag: '--insecure', path: 'listen.insecure' },
  logLevel: { flag: '--log-level', path: 'log.level' },
  logFormat: { flag: '--log-format', path: 'log.format' },
};

function applyOverrides(
  decoding: Decoding,
  json: ConfigurationJson,
  overrides: ConfigurationOverrides,
): void {
  for (const name of Object.keys(FLAGS) as (keyof ConfigurationOverrides)[]) {
    const value = overrides[name];
    if (value === undefined) continue;
    const { flag, path } = FLAGS[name];
    const setting = GATEWAY_SETTINGS.find((candidate) => candidate.path === path) as Setting;
    setFromText(decoding, json.gateway, 'gateway', setting, String(value), flag);
  }
}

/** Makes paths absolute, so that they mean the same wherever the gateway was started. */
function anchorPaths(configuration: Configuration, folder: string): void {
  const tls = configuration.gateway?.listen?.tls;
  if (tls?.certFile) tls.certFile = resolve(folder, tls.certFile);
  if (tls?.keyFile) tls.keyFile = resolve(folder, tls.keyFile);
  for (const binding of configuration.plugins) anchorPlugin(binding, folder);
  for (const { transport } of configuration.upstreams) {
    if (transport.case === 'stdio') transport.value.cwd = resolve(folder, transport.value.cwd);
  }
}

function isError(problem: Problem): boolean {
  return problem.severity === 'error';
}

function inOrder(problems: readonly Problem[]): Problem[] {
  const last = Number.MAX_SAFE_INTEGER;
  return [...problems].sort(
    (a, b) => (a.line ?? last) - (b.line ?? last) || (a.column ?? last) - (b.column ?? last),
  );
}

/** The text of a file, or why there is none. */
export async function readText(path: string): Promise<{ text: string } | { problem: Problem }> {
  const refuse = (message: string, hint: string): { problem: Problem } => ({
    problem: { severity: 'error', path: '', file: path, message, hint },
  });
  const tooLarge = () =>
    refuse(
      `larger than ${MAX_FILE_BYTES} bytes`,
      'a configuration is text of at most 1 MiB; is this the right file?',
    );
  try {
    if ((await stat(path)).size > MAX_FILE_BYTES) return tooLarge();
    const bytes = await readFile(path);
    // A pipe says nothing about its size beforehand.
    if (bytes.length > MAX_FILE_BYTES) return tooLarge();
    return { text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch (error) {
    if (error instanceof TypeError) return refuse('not text in UTF-8', 'save the file in the encoding UTF-8');
    const [message, hint] = READ_ERRORS[(error as NodeJS.ErrnoException).code ?? ''] ?? [
      `cannot be read: ${(error as Error).message}`,
      'give the path of a readable file',
    ];
    return refuse(message, hint);
  }
}

const READ_ERRORS: Readonly<Record<string, [message: string, hint: string]>> = {
  ENOENT: ['there is no such file', 'check the path; a relative one counts from the current folder'],
  ENOTDIR: ['there is no such file', 'check the path: a part of it is not a folder'],
  EISDIR: ['this is a folder', 'give the path of a file in it'],
  EACCES: ['no permission to read the file', 'give read permission to the user that runs the gateway'],
};
