/** Resources out of the files that a command names. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  formatProblem,
  loadResourceFile,
  type Problem,
  parseResources,
  pinsBelowTenant,
  repeatedResources,
  type WrittenResource,
} from '@sluice/control-plane';
import type { PruneScopeSchema } from '@sluice/proto/admin';
import { KIND_WORDS, keyOf, keyText, type Resource, ResourceKind } from '@sluice/proto/cluster';
import type { Palette } from '../terminal.js';
import type { FileFlags } from './commands.js';
import type { Locate } from './failures.js';
import { textOf } from './input.js';
import { kindNamed } from './kinds.js';
import { type Streams, UsageError } from './surroundings.js';

const FILE_NAME = /\.(?:ya?ml|json|toml)$/i;
/** As for files. */
const MAX_INPUT_BYTES = 1024 * 1024;
const STDIN = '(stdin)';

/** What a file seldom speaks of, so that it is not removed unless somebody says so. */
const NOT_PRUNED = [ResourceKind.GATEWAY, ResourceKind.SECRET, ResourceKind.REGION, ResourceKind.TENANT];

/** What the files say shall be. */
export interface Wanted {
  readonly resources: readonly Resource[];
  readonly prune: MessageInitShape<typeof PruneScopeSchema> | undefined;
  readonly locate: Locate;
}

/** Undefined after saying what is wrong with them. */
export async function readResources(
  flags: FileFlags,
  { input, err }: Pick<Streams, 'input' | 'err'>,
  paint: Palette,
): Promise<Wanted | undefined> {
  const written: WrittenResource[] = [];
  const problems: Problem[] = [];
  for (const path of await pathsOf(flags.file ?? [])) {
    const read =
      path === '-'
        ? parseResources(await textOf(input, MAX_INPUT_BYTES), { file: STDIN })
        : await loadResourceFile(path);
    written.push(...read.resources);
    problems.push(...read.problems);
  }
  for (const { resource } of written) {
    const isOfOperator = NOT_PRUNED.includes(keyOf(resource)?.kind ?? ResourceKind.GATEWAY);
    if (flags.tenant !== undefined && resource.tenant === '' && !isOfOperator) resource.tenant = flags.tenant;
    pinsBelowTenant(resource);
  }
  if (!problems.some(isError)) problems.push(...repeatedResources(written));
  const colour = paint.red('') !== '';
  for (const problem of problems) err.write(`${formatProblem(problem, { colour })}\n`);
  if (problems.some(isError)) return undefined;
  const resources = written.map(({ resource }) => resource);
  return { resources, prune: pruneScope(flags, resources), locate: locating(written) };
}

function isError({ severity }: Problem): boolean {
  return severity === 'error';
}

function locating(written: readonly WrittenResource[]): Locate {
  const byKey = new Map(
    written.map((each) => {
      const key = keyOf(each.resource);
      return [key === undefined ? '' : keyText(key), each];
    }),
  );
  return (key, problem) => byKey.get(key)?.locate(problem);
}

async function pathsOf(paths: readonly string[]): Promise<string[]> {
  const found = await Promise.all(
    paths.map(async (path) => {
      const isFolder = path !== '-' && (await stat(path).catch(() => undefined))?.isDirectory();
      if (!isFolder) return [path];
      const names = (await readdir(path)).filter((name) => FILE_NAME.test(name)).sort();
      if (names.length === 0)
        throw new UsageError(`${path} has no file that ends in .yaml, .yml, .json or .toml`);
      return names.map((name) => join(path, name));
    }),
  );
  return found.flat();
}

function pruneScope(flags: FileFlags, resources: readonly Resource[]): Wanted['prune'] {
  const { prune, pruneTenant, pruneKind, pruneLabel = [], tenant } = flags;
  if (!prune) {
    if (pruneTenant ?? pruneKind ?? (pruneLabel.length > 0 || undefined))
      throw new UsageError(
        '--prune-tenant, --prune-kind and --prune-label say what --prune may remove; give it too',
      );
    return undefined;
  }
  const kinds =
    pruneKind?.map(kindNamed) ?? KIND_WORDS.map(kindNamed).filter((kind) => !NOT_PRUNED.includes(kind));
  const written = new Set(resources.map((resource) => resource.tenant));
  return {
    tenants: [...(pruneTenant ?? (tenant === undefined ? written : [tenant]))],
    kinds,
    labels: Object.fromEntries(
      pruneLabel.map((text) => [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)]),
    ),
  };
}
