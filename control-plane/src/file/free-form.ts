/** What only a plugin knows: any JSON. */
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { type ConfigSchema, formsOf, schemasOfItems, schemasOfMember } from '../validation/config-schema.js';
import { expectMapping } from './decode-message.js';
import type { Decoding } from './decoding.js';
import type { SourceNode } from './source-tree.js';

export function decodeFreeForm(
  decoding: Decoding,
  node: SourceNode,
  path: string,
  schema?: ConfigSchema | undefined,
): JsonObject {
  const mapping = expectMapping(decoding, node, path);
  const schemas = schema === undefined ? [] : [schema];
  return mapping === undefined ? {} : (plainValue(decoding, mapping, path, schemas) as JsonObject);
}

/** A value as it stands, with variables put into its texts. Where it stands is kept, for what validation finds. */
function plainValue(
  decoding: Decoding,
  node: SourceNode,
  path: string,
  schemas: readonly ConfigSchema[],
): JsonValue {
  decoding.origins.set(path, node.position);
  if (node.kind === 'list')
    return node.items.map((item, index) =>
      plainValue(decoding, item, `${path}[${index}]`, schemasOfItems(schemas)),
    );
  if (node.kind === 'scalar') {
    if (typeof node.value === 'string') {
      // Of what nobody says anything it may be a secret, too.
      const forms = schemas.flatMap(formsOf);
      const mayBeSecret = forms.length === 0 || forms.some(({ writeOnly }) => writeOnly);
      return decoding.substitute({ ...node, value: node.value }, path, mayBeSecret) ?? '';
    }
    return typeof node.value === 'bigint' ? Number(node.value) : node.value;
  }
  const json: JsonObject = {};
  for (const { key, keyPosition, value } of node.entries) {
    if (key === '__proto__')
      decoding.error(keyPosition, path, 'a key named __proto__', 'choose another name');
    else json[key] = plainValue(decoding, value, `${path}.${key}`, schemasOfMember(schemas, key));
  }
  return json;
}
