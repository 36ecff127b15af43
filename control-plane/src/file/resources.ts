/**
 * Resources out of files: documents of one resource each, in the form that the schema gives them, or a configuration
 * such as `sluice serve` takes, whose parts are resources. References to variables stay, for each node reads its own.
 */
import { create, type DescField, fromJson, type JsonObject } from '@bufbuild/protobuf';
import { ConfigurationSchema, PluginBindingSchema, UpstreamSchema } from '@sluice/proto';
import { keyName, keyOf, keyText, type Resource, ResourceSchema } from '@sluice/proto/cluster';
import type { Problem } from '../validation/problem.js';
import { decodeConfiguration, decodeUpstream } from './decode-configuration.js';
import {
  decodeField,
  decodeMessage,
  expectMapping,
  findField,
  type MessageJson,
  reportUnknownKey,
} from './decode-message.js';
import { Decoding } from './decoding.js';
import { readText } from './load.js';
import { MCP_SERVERS_KEY } from './mcp-servers.js';
import { formatOfFile, parseSources, type SourceFormat } from './parse-source.js';
import { addPins } from './pins.js';
import { decodePlugin } from './plugins.js';
import type { MappingEntry, MappingNode, SourceNode } from './source-tree.js';

/** A resource, and where it was written. */
export interface WrittenResource {
  readonly resource: Resource;
  /**
   * Gives a problem of a field its place.
   *
   * @param problem with the path of the field in the resource, as in `http.url` of an upstream
   */
  locate(problem: Problem): Problem;
}

/** What files hold, or what is wrong with them. */
export interface WrittenResources {
  /** All that could be read; to be used only when no problem is an error. */
  readonly resources: readonly WrittenResource[];
  readonly problems: readonly Problem[];
}

const SPECS: readonly DescField[] = ResourceSchema.oneofs.flatMap(({ fields }) => fields);
/** What a resource has whatever it is. */
const ENVELOPE: readonly DescField[] = ResourceSchema.fields.filter((field) => !SPECS.includes(field));
/** The lists of a configuration, each of whose members is a resource. */
const LISTS: readonly DescField[] = ConfigurationSchema.fields.filter(
  ({ fieldKind }) => fieldKind === 'list',
);

/** Keys of other programs' resources. */
const FOREIGN_KEYS = ['apiVersion', 'kind', 'metadata', 'spec'];
const RESOURCE_FORM =
  'a resource is what it is with its settings below, as in `upstream: { name: files, url: … }`, and `tenant`, `regions` and `labels` beside it';

/** Never throws for what stands in the file or for a file that cannot be read: those are problems. */
export async function loadResourceFile(path: string): Promise<WrittenResources> {
  const content = await readText(path);
  if ('problem' in content) return { resources: [], problems: [content.problem] };
  const { resources, problems } = parseResources(content.text, { file: path });
  const bindings = resources.flatMap(({ resource }) =>
    resource.spec.case === 'plugin' ? [resource.spec.value] : [],
  );
  return { resources, problems: [...problems, ...(await addPins(bindings, path, true))] };
}

/** As {@link loadResourceFile}, for a text that is there already. */
export function parseResources(
  text: string,
  { file, format }: { readonly file: string; readonly format?: SourceFormat },
): WrittenResources {
  const resources: WrittenResource[] = [];
  const problems: Problem[] = [];
  for (const parsed of parseSources(text, format ?? formatOfFile(file))) {
    if ('root' in parsed) {
      for (const node of membersOf(parsed.root)) readDocument(node, file, resources, problems);
    } else {
      const decoding = new Decoding(undefined, file);
      for (const { position, message, hint } of parsed.problems) decoding.error(position, '', message, hint);
      problems.push(...decoding.problems);
    }
  }
  if (resources.length === 0 && problems.length === 0) {
    const hint = 'write a configuration, or documents of resources';
    problems.push({ severity: 'error', path: '', file, message: 'there is no resource in it', hint });
  }
  return { resources, problems };
}

/** A problem for each resource that stands twice in what was read. */
export function repeatedResources(resources: readonly WrittenResource[]): Problem[] {
  const seen = new Set<string>();
  return resources.flatMap(({ resource, locate }) => {
    const key = keyOf(resource);
    if (key === undefined) return [];
    const text = keyText(key);
    if (!seen.has(text)) {
      seen.add(text);
      return [];
    }
    const message = `${keyName(key)} stands twice`;
    return [locate({ severity: 'error', path: '', message, hint: 'remove one of the two, or rename it' })];
  });
}

function membersOf(root: SourceNode): readonly SourceNode[] {
  if (root.kind === 'list') return root.items;
  return root.kind === 'scalar' && root.value === null ? [] : [root];
}

function readDocument(
  node: SourceNode,
  file: string,
  resources: WrittenResource[],
  problems: Problem[],
): void {
  const decoding = new Decoding(undefined, file);
  const mapping = expectMapping(decoding, node, '');
  if (mapping !== undefined) {
    if (isConfiguration(mapping)) resources.push(...partsOf(decoding, mapping));
    else resources.push(...oneResource(decoding, mapping));
  }
  problems.push(...decoding.problems);
}

function isConfiguration({ entries }: MappingNode): boolean {
  return entries.some(
    ({ key }) => key === MCP_SERVERS_KEY || key === '$schema' || findField(LISTS, key) !== undefined,
  );
}

function partsOf(decoding: Decoding, mapping: MappingNode): WrittenResource[] {
  const json = decodeConfiguration(decoding, mapping);
  const hasGateway = Object.keys(json.gateway).length > 0;
  const gateway = hasGateway ? [written(decoding, { gateway: json.gateway }, 'gateway')] : [];
  const members = LISTS.flatMap((list) => {
    const spec = SPECS.find(({ message }) => message?.typeName === list.message?.typeName) as DescField;
    return ((json[list.name] ?? []) as JsonObject[]).map((member, index) => {
      // In a cluster there is no place in the file, which decides between plugins of a phase.
      const isPlugin = list.message?.typeName === PluginBindingSchema.typeName;
      const value = isPlugin && member.order === undefined ? { ...member, order: index } : member;
      return written(decoding, { [spec.name]: value }, `${list.name}[${index}]`);
    });
  });
  return [...gateway, ...members];
}

function oneResource(decoding: Decoding, mapping: MappingNode): WrittenResource[] {
  const json: MessageJson = {};
  const specs: MappingEntry[] = [];
  for (const entry of mapping.entries) {
    const field = findField(ENVELOPE, entry.key);
    if (field !== undefined) decodeField(decoding, field, entry, '', json);
    else if (findField(SPECS, entry.key) !== undefined) specs.push(entry);
    else {
      const hint = FOREIGN_KEYS.includes(entry.key) ? RESOURCE_FORM : undefined;
      reportUnknownKey(decoding, entry, '', ResourceSchema.fields, [], hint);
    }
  }
  const [entry, second] = specs;
  if (entry === undefined) {
    if (decoding.problems.length === 0)
      decoding.error(mapping.position, '', 'this is no resource', RESOURCE_FORM);
    return [];
  }
  if (second !== undefined) {
    const hint = 'write each in a document of its own, with a line `---` between them';
    decoding.error(second.keyPosition, second.key, 'a second resource in one document', hint);
    return [];
  }
  const spec = findField(SPECS, entry.key) as DescField;
  const value = decodeSpec(decoding, spec, entry.value);
  return [written(decoding, { ...(json as JsonObject), [spec.name]: value }, spec.name)];
}

function decodeSpec(decoding: Decoding, spec: DescField, node: SourceNode): JsonObject {
  const message = spec.message as NonNullable<DescField['message']>;
  if (message.typeName === UpstreamSchema.typeName)
    return decodeUpstream(decoding, node, spec.name) as JsonObject;
  if (message.typeName === PluginBindingSchema.typeName) return decodePlugin(decoding, node, spec.name);
  return (decodeMessage(decoding, message, node, spec.name) ?? {}) as JsonObject;
}

/** @param prefix the path of the settings in what was decoded */
function written(decoding: Decoding, json: JsonObject, prefix: string): WrittenResource {
  return {
    // What could not be read is not there, and a problem.
    resource: decoding.problems.some(({ severity }) => severity === 'error')
      ? create(ResourceSchema)
      : fromJson(ResourceSchema, json),
    locate(problem) {
      const [first = ''] = problem.path.split(/[.[]/);
      const isEnvelope = findField(ENVELOPE, first) !== undefined;
      const path = isEnvelope ? problem.path : [prefix, problem.path].filter(Boolean).join('.');
      return decoding.locate({ ...problem, path });
    },
  };
}
