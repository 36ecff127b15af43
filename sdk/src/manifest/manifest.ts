/**
 * `plugin.json`: what a plugin is, as far as it can be known without running it. Its digest is the hash that a
 * configuration names; it holds the digests of all files, so nothing of the plugin can change without it.
 */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Static, type TSchema, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { type CheckedConfig, checkConfig } from '../configuration.js';
import { PHASES } from '../phases.js';
import { definePlugin, INTERFACE_VERSION } from '../plugin.js';
import { digestOf, MANIFEST_FILE, pluginFolder } from './files.js';
import { configSchema } from './schema.js';

const MAX_MANIFEST_BYTES = 2 * 1024 * 1024;

/** No way out of the folder, on any system. */
const FilePath = Type.String({ pattern: '^(?!(?:.*/)?\\.{1,2}(?:/|$))[^/\\\\\\x00:][^\\\\\\x00:]{0,511}$' });

const MANIFEST = Type.Object(
  {
    name: Type.String({ pattern: '^[a-z][a-z0-9-]{0,62}$' }),
    version: Type.String({ maxLength: 128 }),
    description: Type.String({ maxLength: 4_096 }),
    phase: Type.Union(PHASES.map((phase) => Type.Literal(phase))),
    /** Version of the interface that it was written for. */
    interfaceVersion: Type.String({ pattern: '^\\d+\\.\\d+\\.\\d+' }),
    /** Path of its module. */
    main: FilePath,
    /** JSON Schema of its configuration. */
    config: Type.Record(Type.String(), Type.Unknown()),
    /** Attributes that it reads; null where that depends on the configuration. */
    reads: Type.Union([Type.Array(Type.String()), Type.Null()]),
    changes: Type.Array(Type.String()),
    pages: Type.Array(Type.String()),
    files: Type.Array(
      Type.Object({ path: FilePath, bytes: Type.Integer({ minimum: 0 }), digest: Type.String() }),
      { maxItems: 5_000 },
    ),
  },
  { additionalProperties: false },
);

export type Manifest = Static<typeof MANIFEST>;

export interface ReadManifest {
  readonly manifest: Manifest;
  /** `sha256-` and the digest of the manifest's bytes. */
  readonly hash: string;
}

/** @throws Error with a sentence when there is no manifest in the folder, or it is none. */
export function readManifest(folder: string): ReadManifest {
  let bytes: Buffer;
  try {
    bytes = readFileSync(join(folder, MANIFEST_FILE));
  } catch {
    throw new Error(`${folder} has no ${MANIFEST_FILE}; \`sluice plugin pack\` makes it`);
  }
  if (bytes.byteLength > MAX_MANIFEST_BYTES) throw new Error(`its ${MANIFEST_FILE} is too large`);
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch {
    throw new Error(`its ${MANIFEST_FILE} is no JSON`);
  }
  return { manifest: checkedManifest(value), hash: digestOf(bytes) };
}

export interface FoundPlugin extends ReadManifest {
  readonly folder: string;
}

/**
 * The plugin that a configuration names, as far as it can be checked without running it.
 *
 * @param path of its folder or its module.
 * @param hash that its manifest has to have.
 * @throws Error with a sentence when it is not there, not that one, or not for this gateway.
 */
export function findPlugin(path: string, hash: string): FoundPlugin {
  const folder = pluginFolder(path);
  const found = readManifest(folder);
  const { manifest } = found;
  const isNamed = folder === resolve(path) || join(folder, manifest.main) === resolve(path);
  if (!isNamed) throw new Error(`${path} is not its module; that is ${manifest.main}`);
  if (found.hash !== hash)
    throw new Error(`its hash is ${found.hash}: it is not the plugin that the configuration was written for`);
  const problem = interfaceProblem(manifest);
  if (problem !== undefined) throw new Error(problem);
  return { ...found, folder };
}

export function checkedManifest(value: unknown): Manifest {
  if (!Value.Check(MANIFEST, value)) {
    const { path, message } = Value.Errors(MANIFEST, value).First() ?? {};
    throw new Error(`its ${MANIFEST_FILE} is none: ${path} ${message}`);
  }
  configSchema(value.config);
  return value;
}

/** Why a plugin cannot run here; undefined when it can. Semantic versioning: what was added later is not there. */
export function interfaceProblem({ interfaceVersion }: Manifest): string | undefined {
  const [major, minor] = interfaceVersion.split('.').map(Number) as [number, number];
  const [ownMajor, ownMinor] = INTERFACE_VERSION.split('.').map(Number) as [number, number];
  if (major === ownMajor && minor <= ownMinor) return undefined;
  return `it was written for version ${interfaceVersion} of the interface, and this gateway has ${INTERFACE_VERSION}`;
}

/** Fills in defaults and checks against the schema of the manifest; nothing of the plugin runs. */
export function checkManifestConfig(manifest: Manifest, config: unknown): CheckedConfig {
  const { name, description, phase } = manifest;
  const schema = configSchema(manifest.config);
  const standIn = definePlugin({
    name,
    version: '0.0.0',
    description,
    phase,
    config: schema,
    reads: [],
    changes: [],
    hooks: () => ({}),
  });
  return checkConfig(standIn, config);
}

/** As JSON, which is what can be written down of it. */
export function plainSchema(schema: TSchema): Manifest['config'] {
  return JSON.parse(JSON.stringify(schema)) as Manifest['config'];
}
