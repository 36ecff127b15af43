/** The list of plugins: fields of the schema, and below `config` whatever the plugin's own schema takes. */
import type { JsonObject } from '@bufbuild/protobuf';
import { builtIn } from '@sluice/plugins';
import { isFreeForm, PluginBindingSchema } from '@sluice/proto';
import type { ConfigSchema } from '../validation/config-schema.js';
import {
  decodeField,
  expectMapping,
  findField,
  type MessageJson,
  reportUnknownKey,
} from './decode-message.js';
import type { Decoding } from './decoding.js';
import { decodeFreeForm } from './free-form.js';
import type { SourceNode } from './source-tree.js';

export function decodePlugins(decoding: Decoding, node: SourceNode): JsonObject[] {
  if (node.kind === 'scalar' && node.value === null) return [];
  if (node.kind !== 'list') {
    const hint =
      'write a list, since the order matters: `- plugin: auth-api-key` and what belongs to it below';
    decoding.error(node.position, 'plugins', `a ${node.kind} where a list belongs`, hint);
    return [];
  }
  return node.items.map((item, index) => decodePlugin(decoding, item, `plugins[${index}]`));
}

export function decodePlugin(decoding: Decoding, node: SourceNode, path: string): JsonObject {
  const json: MessageJson = {};
  // A name alone is a plugin that needs no more.
  if (node.kind === 'scalar' && typeof node.value === 'string') {
    decoding.origins.set(path, node.position);
    const plugin = decoding.substitute({ ...node, value: node.value }, path);
    return plugin === undefined ? {} : { plugin };
  }
  const mapping = expectMapping(decoding, node, path);
  if (mapping === undefined) return {};
  let config: JsonObject | undefined;
  decoding.origins.set(path, mapping.position);
  for (const entry of mapping.entries) {
    const field = findField(PluginBindingSchema.fields, entry.key);
    if (field === undefined) reportUnknownKey(decoding, entry, path, PluginBindingSchema.fields);
    else if (isFreeForm(field))
      config = decodeFreeForm(decoding, entry.value, `${path}.${field.name}`, schemaOf(mapping.entries));
    else decodeField(decoding, field, entry, path, json);
  }
  return { ...(json as JsonObject), ...(config && { config }) };
}

/** What is known of the configuration of the plugin that the entries name, before anything else of them is read. */
function schemaOf(entries: readonly { key: string; value: SourceNode }[]): ConfigSchema | undefined {
  const named = entries.find(({ key }) => key === 'plugin')?.value;
  return named?.kind === 'scalar' && typeof named.value === 'string'
    ? builtIn(named.value)?.config
    : undefined;
}
