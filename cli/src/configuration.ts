import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import {
  type LoadedConfiguration,
  type LoadOptions,
  loadConfigurationFile,
  loadConfigurationWithoutFile,
  type Problem,
} from '@sluice/control-plane';
import { type LogLevel, type ResolvedConfiguration, resolveConfiguration } from '@sluice/proto';
import { KEY_SECRET_VARIABLE } from './key-secret-variable.js';
import type { ServeFlags } from './serve-flags.js';

/** Names that are looked for when no file is named, in this order. */
const DEFAULT_FILES = ['sluice.yaml', 'sluice.yml', 'sluice.json', 'sluice.toml'];

/** With a variable of this kind the environment alone can describe a gateway, as in a container. */
const UPSTREAM_VARIABLE = /^SLUICE_UPSTREAMS_/;

/** Variables beginning with `SLUICE_` that are no settings of the configuration. */
export const OWN_VARIABLES = [
  'SLUICE_CONFIG',
  KEY_SECRET_VARIABLE,
  // Of the other processes of a cluster, which may run on the same machine.
  'SLUICE_NODE_',
  'SLUICE_CP_',
  ...['SERVER', 'TOKEN_FILE', 'CA', 'CERT', 'KEY'].map((name) => `SLUICE_ADMIN_${name}`),
];

/** A configuration to run, or why there is none. */
export interface LoadOutcome {
  /** Present exactly when no problem is an error. */
  readonly configuration?: ResolvedConfiguration;
  readonly problems: readonly Problem[];
  /** Absolute path of the file that was read or looked for; absent when there is none to look for. */
  readonly file?: string;
}

/**
 * Loads what the flags name: a file with environment and flags laid over it, or these alone.
 *
 * @param folder where relative paths begin, and where a file is looked for when none is named
 * @param otherVariables that are used elsewhere, and need not be settings
 */
export async function loadConfiguration(
  flags: ServeFlags,
  folder: string,
  otherVariables: readonly string[] = [],
): Promise<LoadOutcome> {
  const file = flags.config ? resolve(folder, flags.config) : findFile(folder);
  const { configuration, problems } = await readConfiguration(file, {
    overrides: flags,
    otherVariables: [...OWN_VARIABLES, ...otherVariables],
  });
  return {
    ...(configuration && { configuration: withLogFlags(resolveConfiguration(configuration), flags) }),
    problems,
    ...(file && { file }),
  };
}

/** Reads a file with the environment laid over it, or the environment alone where that describes a gateway. */
export async function readConfiguration(
  file: string | undefined,
  options: LoadOptions,
): Promise<LoadedConfiguration> {
  if (file !== undefined) return loadConfigurationFile(file, options);
  if (Object.keys(process.env).some((name) => UPSTREAM_VARIABLE.test(name))) {
    return loadConfigurationWithoutFile(options);
  }
  const hint = 'name its file (serve and stdio: with --config FILE), or write sluice.yaml in this folder';
  return { problems: [{ severity: 'error', path: '', message: 'there is no configuration', hint }] };
}

/** The file that is read when none is named. */
export function findFile(folder: string): string | undefined {
  return DEFAULT_FILES.map((name) => join(folder, name)).find((file) => existsSync(file));
}

function withLogFlags(configuration: ResolvedConfiguration, flags: ServeFlags): ResolvedConfiguration {
  const { gateway } = configuration;
  const level = flags.logLevel ?? (flags.dev ? 'debug' : gateway.log.level);
  const format = flags.logFormat ?? (flags.dev ? 'text' : gateway.log.format);
  const log = { level: level as LogLevel, ...(format && { format }) };
  return { ...configuration, gateway: { ...gateway, log } };
}
