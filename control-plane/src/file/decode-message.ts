import type { DescField, DescMessage, JsonObject } from '@bufbuild/protobuf';
import { GATEWAY_SETTINGS, isFreeForm, settingType, UPSTREAM_SETTINGS } from '@sluice/proto';
import { nearestName } from '@sluice/sdk/manifest';
import type { Decoding } from './decoding.js';
import { decodeFreeForm } from './free-form.js';
import {
  type Converted,
  convertBoolean,
  convertBytes,
  convertDuration,
  convertNumber,
  convertTime,
  convertWord,
  type WrittenValue,
} from './setting-value.js';
import type { MappingEntry, MappingNode, ScalarNode, SourceNode } from './source-tree.js';

/** A message in the protobuf JSON mapping, with the schema's field names. */
export type MessageJson = { [field: string]: MessageJson | MessageJson[] | JsonLeaf };
type JsonLeaf = string | number | boolean | string[] | Record<string, string> | JsonObject;

/** Turns a mapping into a message, field by field; unknown keys are errors. */
export function decodeMessage(
  decoding: Decoding,
  description: DescMessage,
  node: SourceNode,
  path: string,
): MessageJson | undefined {
  const mapping = expectMapping(decoding, node, path);
  if (mapping === undefined) return undefined;
  decoding.origins.set(path, mapping.position);
  const json: MessageJson = {};
  for (const entry of mapping.entries) {
    const field = findField(description.fields, entry.key);
    if (field === undefined) reportUnknownKey(decoding, entry, path, description.fields);
    else decodeField(decoding, field, entry, path, json);
  }
  return json;
}

/** The field that a key names, in the schema's spelling or in that of its JSON mapping. */
export function findField(fields: readonly DescField[], key: string): DescField | undefined {
  return fields.find(({ name, jsonName }) => name === key || jsonName === key);
}

/** Puts the value of one key into the message; reports a key that stands in both spellings. */
export function decodeField(
  decoding: Decoding,
  field: DescField,
  entry: MappingEntry,
  path: string,
  json: MessageJson,
): void {
  const fieldPath = path === '' ? field.name : `${path}.${field.name}`;
  if (field.name in json) {
    decoding.error(entry.keyPosition, fieldPath, 'given twice', `keep one of the two, spelled ${field.name}`);
    return;
  }
  decoding.origins.set(fieldPath, entry.value.position);
  const value = decodeValue(decoding, field, entry.value, fieldPath);
  if (value !== undefined) json[field.name] = value;
}

function decodeValue(decoding: Decoding, field: DescField, node: SourceNode, path: string) {
  // A key with nothing behind it is what remains when everything below it is commented out.
  if (node.kind === 'scalar' && node.value === null) return undefined;
  switch (settingType(field)) {
    case undefined:
      if (isFreeForm(field)) return decodeFreeForm(decoding, node, path);
      if (field.message === undefined) return undefined;
      return field.fieldKind === 'list'
        ? decodeMessages(decoding, field.message, node, path)
        : decodeMessage(decoding, field.message, node, path);
    case 'list of texts':
      return decodeTexts(decoding, node, path);
    case 'map of texts':
      return decodeTextMap(decoding, node, path);
    default:
      return decodeScalar(decoding, field, node, path);
  }
}

/** A list of messages. */
export function decodeMessages(
  decoding: Decoding,
  description: DescMessage,
  node: SourceNode,
  path: string,
): MessageJson[] {
  if (node.kind === 'scalar' && node.value === null) return [];
  if (node.kind !== 'list') {
    const what = node.kind === 'scalar' ? 'single value' : 'mapping';
    decoding.error(node.position, path, `a ${what} where a list belongs`, 'begin each member with `- `');
    return [];
  }
  return node.items.map(
    (item, index) => decodeMessage(decoding, description, item, `${path}[${index}]`) ?? {},
  );
}

function decodeScalar(decoding: Decoding, field: DescField, node: SourceNode, path: string) {
  if (node.kind !== 'scalar') {
    const message = `a ${node.kind} where a single value belongs`;
    decoding.error(node.position, path, message, `write \`${field.name}: value\``);
    return undefined;
  }
  const written =
    settingType(field) === 'text' ? readText(decoding, node, path) : readValue(decoding, node, path);
  if (written === undefined) return undefined;
  const converted = convertSetting(field, written);
  if ('json' in converted) return converted.json;
  // What stands in the file is shown, never what a variable put there: that may be a secret.
  decoding.error(node.position, path, `${quote(node.raw)} is ${converted.message}`, converted.hint);
  return undefined;
}

/** Turns what was written for a single value into the protobuf JSON mapping of its field. */
export function convertSetting(field: DescField, written: WrittenValue): Converted {
  switch (settingType(field)) {
    case 'number':
      return convertNumber(written, RANGES.get(field));
    case 'boolean':
      return convertBoolean(written);
    case 'duration':
      return convertDuration(written);
    case 'bytes':
      return convertBytes(written);
    case 'time':
      return convertTime(written);
    case 'word':
      return field.enum ? convertWord(field.enum, written) : { json: String(written) };
    default:
      return { json: String(written) };
  }
}

const RANGES = new Map(
  [...GATEWAY_SETTINGS, ...UPSTREAM_SETTINGS].map(({ fields, range }) => [fields.at(-1), range]),
);

const MAX_QUOTED_LENGTH = 60;

/** A value as a message shows it, cut where it is long. */
export function quote(raw: string): string {
  const line = raw.split('\n')[0] ?? '';
  return `\`${line.length > MAX_QUOTED_LENGTH ? `${line.slice(0, MAX_QUOTED_LENGTH)}…` : line}\``;
}

function readValue(decoding: Decoding, node: ScalarNode, path: string): WrittenValue | undefined {
  if (node.value === null) return undefined;
  return typeof node.value === 'string'
    ? decoding.substitute({ ...node, value: node.value }, path)
    : node.value;
}

/** Text as written: `1.10` and `0x1F` stay what they are where a text belongs. */
function readText(decoding: Decoding, node: ScalarNode, path: string): string | undefined {
  if (typeof node.value === 'string') return decoding.substitute({ ...node, value: node.value }, path);
  return node.raw;
}

/** The text of a list item or map value, which must not be missing. */
function expectText(decoding: Decoding, node: SourceNode, path: string): string | undefined {
  decoding.origins.set(path, node.position);
  if (node.kind === 'scalar' && node.value !== null) return readText(decoding, node, path);
  const message = node.kind === 'scalar' ? 'no value' : `a ${node.kind} where a text belongs`;
  decoding.error(node.position, path, message, 'write a text; "" is an empty one');
  return undefined;
}

function decodeTexts(decoding: Decoding, node: SourceNode, path: string): string[] | undefined {
  if (node.kind !== 'list') {
    const message = `a ${node.kind === 'scalar' ? 'single value' : 'mapping'} where a list belongs`;
    decoding.error(node.position, path, message, 'write a list, for example ["one", "two"]');
    return undefined;
  }
  return node.items.flatMap((item, index) => expectText(decoding, item, `${path}[${index}]`) ?? []);
}

function decodeTextMap(decoding: Decoding, node: SourceNode, path: string) {
  const mapping = expectMapping(decoding, node, path);
  if (mapping === undefined) return undefined;
  const texts: Record<string, string> = {};
  for (const { key, keyPosition, value } of mapping.entries) {
    const text = expectText(decoding, value, `${path}.${key}`);
    if (key === '__proto__') {
      decoding.error(keyPosition, path, 'a key named __proto__', 'choose another name');
    } else if (text !== undefined) {
      texts[key] = text;
    }
  }
  return texts;
}

/** The node as a mapping, or `undefined` after reporting that it is something else. */
export function expectMapping(decoding: Decoding, node: SourceNode, path: string): MappingNode | undefined {
  if (node.kind === 'mapping') return node;
  if (node.kind === 'scalar' && node.value === null) {
    return { kind: 'mapping', entries: [], position: node.position };
  }
  const message = `a ${node.kind === 'scalar' ? 'single value' : 'list'} where a mapping belongs`;
  decoding.error(node.position, path, message, 'write `key: value` pairs below it');
  return undefined;
}

/** Reports a key that means nothing here, with the nearest that does, or with where it does, or with `knownHint`. */
export function reportUnknownKey(
  decoding: Decoding,
  { key, keyPosition }: MappingEntry,
  path: string,
  fields: readonly DescField[],
  otherKeys: readonly string[] = [],
  knownHint?: string,
): void {
  const known = [...fields.map(({ name }) => name), ...otherKeys];
  const near = nearestName(key, known);
  const elsewhere = near === undefined ? pathEndingWith(key) : undefined;
  const hint = near ?? elsewhere;
  decoding.error(
    keyPosition,
    path === '' ? key : `${path}.${key}`,
    'unknown key',
    knownHint ?? (hint === undefined ? `known here: ${known.join(', ')}` : `did you mean ${hint}?`),
  );
}

/** The first setting with that name: those of the client address come before those for machines. */
function pathEndingWith(key: string): string | undefined {
  const found = [...GATEWAY_SETTINGS, ...UPSTREAM_SETTINGS].find(
    ({ fields }) => findField(fields.slice(-1), key) !== undefined,
  );
  return found && `${found.scope === 'gateway' ? 'gateway' : 'upstreams[]'}.${found.path}`;
}
