/**
 * `sluice.pins.json`: the definitions of tools that were accepted, as people and version control can read them. What
 * stands in it becomes a part of the configuration of `pin`, so it goes wherever that goes, in a cluster as well.
 */
import { readFile, stat } from 'node:fs/promises';
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import type { PluginBinding } from '@sluice/proto';
import type { Resource } from '@sluice/proto/cluster';
import type { Problem } from '../validation/problem.js';
import { pinsFileOf } from './pins-file.js';

const MAX_PINS_BYTES = 16 * 1024 * 1024;
const HINT = 'let `sluice pin accept` write it, or take it back from version control';

/** Definitions of tools by upstream and name. */
export type Pins = Readonly<Record<string, Readonly<Record<string, JsonObject>>>>;

/** Undefined where there is no such file. */
export async function readPins(
  path: string,
): Promise<{ readonly pins: Pins | undefined } | { readonly problem: Problem }> {
  const refuse = (message: string): { problem: Problem } => ({
    problem: { severity: 'error', path: '', file: path, message, hint: HINT },
  });
  let text: string;
  try {
    if ((await stat(path)).size > MAX_PINS_BYTES) return refuse(`larger than ${MAX_PINS_BYTES} bytes`);
    text = await readFile(path, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' ? { pins: undefined } : refuse(`cannot be read: ${message}`);
  }
  let pins: unknown;
  try {
    pins = JSON.parse(text);
  } catch {
    return refuse('no JSON');
  }
  const wrong = wrongPlace(pins);
  return wrong === undefined ? { pins: pins as Pins } : refuse(wrong);
}

function wrongPlace(pins: unknown): string | undefined {
  if (!isObject(pins)) return 'no object of upstreams';
  for (const [upstream, tools] of Object.entries(pins)) {
    if (!isObject(tools)) return `${JSON.stringify(upstream)} is no object of tools`;
    for (const [name, definition] of Object.entries(tools))
      if (!isObject(definition) || definition.name !== name)
        return `${JSON.stringify(`${upstream}:${name}`)} is no definition of a tool of this name`;
  }
  return undefined;
}

/**
 * Puts what the file beside a configuration holds into each use of `pin` that has no definitions of its own.
 *
 * @param hasReferences where the texts of a configuration are read for references once more; a server that writes one
 *   into a description must not have it followed
 * @returns what is wrong with that file
 */
export async function addPins(
  bindings: readonly PluginBinding[],
  file: string,
  hasReferences: boolean,
): Promise<readonly Problem[]> {
  const without = bindings.filter(
    ({ plugin, config }) => plugin === 'pin' && !Object.hasOwn(config ?? {}, 'accepted'),
  );
  if (without.length === 0) return [];
  const read = await readPins(pinsFileOf(file));
  if ('problem' in read) return [read.problem];
  if (read.pins === undefined) return [];
  const accepted = acceptedOf(read.pins, (text) =>
    hasReferences ? text.replaceAll('${', () => '$${') : text,
  );
  for (const binding of without) binding.config = { ...binding.config, accepted };
  return [];
}

/** Nodes call an upstream of a tenant `acme/files`, where the file beside a configuration says `files`. */
export function pinsBelowTenant({ tenant, spec }: Resource): void {
  if (tenant === '' || spec.case !== 'plugin' || spec.value.plugin !== 'pin') return;
  const { config } = spec.value;
  const accepted = config?.accepted;
  if (!isObject(accepted)) return;
  const below = (name: string) => (name.startsWith(`${tenant}/`) ? name : `${tenant}/${name}`);
  const own = Object.entries(accepted).map(([name, tools]) => [below(name), tools as JsonValue]);
  spec.value.config = { ...config, accepted: Object.fromEntries(own) };
}

/** As `pin` takes them: text keeps the order and the depth of a definition, whatever carries it. */
function acceptedOf(pins: Pins, written: (text: string) => string): JsonObject {
  return mapped(pins, (tools) => mapped(tools, (definition) => written(JSON.stringify(definition))));
}

function mapped<Value>(
  object: Readonly<Record<string, Value>>,
  change: (value: Value) => JsonValue,
): Record<string, JsonValue> {
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [name, change(value)]));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
