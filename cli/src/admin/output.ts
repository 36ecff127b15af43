/** What commands print: tables for people, JSON and YAML for programs. */
import { type DescMessage, type JsonObject, type MessageShape, toJson } from '@bufbuild/protobuf';
import { type Resource, ResourceSchema } from '@sluice/proto/cluster';
import { alignColumns, type Cell } from '../terminal.js';
import type { OutputFormat } from './commands.js';
import type { Surroundings } from './surroundings.js';
import { inWords } from './words.js';

/** A message as JSON, with the names of the schema, as files of configuration have them. */
export function jsonOf<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): JsonObject {
  return toJson(schema, message, { useProtoFieldName: true }) as JsonObject;
}

/** Prints an answer for programs. */
export async function printMessage<Desc extends DescMessage>(
  { out }: Pick<Surroundings, 'out'>,
  format: OutputFormat,
  schema: Desc,
  message: MessageShape<Desc>,
): Promise<void> {
  const json = jsonOf(schema, message);
  // Whoever goes through a list need not ask whether there is one.
  for (const { fieldKind, name } of schema.fields) if (fieldKind === 'list') json[name] ??= [];
  out.write(await asText(format, json));
}

async function asText(format: OutputFormat, value: JsonObject | readonly JsonObject[]): Promise<string> {
  if (format !== 'yaml') return `${JSON.stringify(value, null, 2)}\n`;
  const { formatYaml } = await import('@sluice/control-plane');
  return formatYaml(value);
}

/** Prints resources in the form that `sluice config apply` takes. */
export async function printResources(
  { out }: Pick<Surroundings, 'out'>,
  format: 'json' | 'yaml',
  resources: readonly Resource[],
): Promise<void> {
  const documents = resources.map((resource) => jsonOf(ResourceSchema, resource));
  if (format === 'json') out.write(await asText('json', documents));
  else {
    const texts = await Promise.all(
      documents.map(({ revision, ...document }) =>
        asText('yaml', {
          ...(revision !== undefined && { revision: Number(revision) }),
          ...inWords(ResourceSchema, document),
        }),
      ),
    );
    out.write(texts.join('---\n'));
  }
}

export function printTable(
  { out, paint }: Pick<Surroundings, 'out' | 'paint'>,
  head: readonly string[],
  rows: readonly (readonly Cell[])[],
): void {
  const [first = '', ...rest] = alignColumns([head, ...rows]);
  out.write([paint.dim(first), ...rest].map((line) => `${line}\n`).join(''));
}
