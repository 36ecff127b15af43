import type { JsonObject } from '@bufbuild/protobuf';
import { ConfigurationSchema, GatewaySchema, RESOURCE_LISTS, UpstreamSchema } from '@sluice/proto';
import { nearestName } from '@sluice/sdk/manifest';
import {
  decodeField,
  decodeMessage,
  decodeMessages,
  expectMapping,
  findField,
  type MessageJson,
  reportUnknownKey,
} from './decode-message.js';
import type { Decoding } from './decoding.js';
import { decodeMcpServers, MCP_SERVERS_KEY } from './mcp-servers.js';
import { decodePlugins } from './plugins.js';
import type { MappingEntry, MappingNode, SourceNode } from './source-tree.js';
import { addressedTransport, findShortKey, SHORT_KEYS, transportsOf } from './transport-shorthand.js';

/** A whole configuration in the protobuf JSON mapping, with the schema's field names. */
export interface ConfigurationJson {
  gateway: MessageJson;
  upstreams: MessageJson[];
  plugins: JsonObject[];
  /** The other lists, by their names. */
  [list: string]: MessageJson | (MessageJson | JsonObject)[];
}

/** Keys at the top that are not in the schema. `$schema` tells editors where the JSON Schema is. */
const OTHER_TOP_KEYS = [MCP_SERVERS_KEY, '$schema'];

/**
 * Turns what stands in a file into a configuration: the schema's own form, the `mcpServers` of desktop
 * clients, or both. Problems are reported to `decoding`.
 */
export function decodeConfiguration(decoding: Decoding, root: SourceNode): ConfigurationJson {
  const json: ConfigurationJson = { gateway: {}, upstreams: [], plugins: [] };
  const mapping = expectMapping(decoding, root, '');
  if (mapping === undefined) return json;
  const byKey = new Map(mapping.entries.map((entry) => [entry.key, entry]));
  const gateway = byKey.get('gateway');
  if (gateway) json.gateway = decodeMessage(decoding, GatewaySchema, gateway.value, 'gateway') ?? {};
  const upstreams = byKey.get('upstreams');
  if (upstreams) json.upstreams.push(...decodeUpstreams(decoding, upstreams.value));
  const plugins = byKey.get('plugins');
  if (plugins) json.plugins.push(...decodePlugins(decoding, plugins.value));
  for (const { field, message } of RESOURCE_LISTS) {
    const entry = mapping.entries.find(({ key }) => key === field.name || key === field.jsonName);
    if (entry) json[field.name] = decodeMessages(decoding, message, entry.value, field.name);
  }
  const servers = byKey.get(MCP_SERVERS_KEY);
  if (servers) json.upstreams.push(...decodeMcpServers(decoding, servers.value, json.upstreams.length));
  for (const entry of mapping.entries) reportTopKey(decoding, entry, servers !== undefined);
  // A misspelled `upstreams` is no file without upstreams.
  const isTopKey = (path: string) => !/[.[]/.test(path);
  if (json.upstreams.length === 0 && decoding.unreadPaths.some(isTopKey)) {
    decoding.unreadPaths.push('upstreams');
  }
  return json;
}

function reportTopKey(decoding: Decoding, entry: MappingEntry, isClientFile: boolean): void {
  const { fields } = ConfigurationSchema;
  const known = [...fields.map(({ name }) => name), ...OTHER_TOP_KEYS];
  if (known.includes(entry.key) || fields.some(({ jsonName }) => jsonName === entry.key)) return;
  // Desktop clients keep settings of their own beside `mcpServers`.
  if (isClientFile && nearestName(entry.key, known) === undefined) {
    const hint = 'it belongs to the desktop client; remove it from a file that only the gateway reads';
    decoding.warn(entry.keyPosition, entry.key, 'ignored', hint);
    return;
  }
  // There are two lists of servers, and neither is spelled so.
  const hint = entry.key === 'servers' ? 'did you mean upstreams, or mcpServers?' : undefined;
  reportUnknownKey(decoding, entry, '', fields, OTHER_TOP_KEYS, hint);
}

/** Upstreams are a list of mappings with a `name`, or a mapping from name to upstream. */
function decodeUpstreams(decoding: Decoding, node: SourceNode): MessageJson[] {
  if (node.kind === 'list') {
    return node.items.map((item, index) => decodeUpstream(decoding, item, `upstreams[${index}]`));
  }
  const mapping = expectMapping(decoding, node, 'upstreams');
  return (mapping?.entries ?? []).map((entry, index) => {
    const path = `upstreams[${index}]`;
    const json = decodeUpstream(decoding, entry.value, path);
    if ('name' in json) {
      const hint = `remove the inner name; the upstream is named by its key`;
      decoding.error(decoding.origins.get(`${path}.name`), `${path}.name`, 'named twice', hint);
    }
    decoding.origins.set(`${path}.name`, entry.keyPosition);
    return { ...json, name: entry.key };
  });
}

const NAMING_HINT =
  'remove it: url or command says how the server is reached, and HTTP+SSE is written `sse: { url: … }`';

/** What the files of desktop clients have for naming a transport. */
const NAMING_KEYS = ['type', 'transport'];

export function decodeUpstream(decoding: Decoding, node: SourceNode, path: string): MessageJson {
  const json: MessageJson = {};
  const mapping = expectMapping(decoding, node, path);
  if (mapping === undefined) return json;
  decoding.origins.set(path, mapping.position);
  const addressed = addressedTransport(decoding, mapping);
  const others: MappingEntry[] = [];
  for (const entry of mapping.entries) {
    const field = findField(UpstreamSchema.fields, entry.key);
    if (field) decodeField(decoding, field, entry, path, json);
    else others.push(entry);
  }
  // After the transport itself, wherever it stands, so that they are put into it.
  for (const entry of others) {
    const short = findShortKey(entry.key, addressed);
    if (short) decodeShortKey(decoding, short, entry, path, json);
    else {
      const hint = NAMING_KEYS.includes(entry.key) ? NAMING_HINT : undefined;
      reportUnknownKey(decoding, entry, path, UpstreamSchema.fields, SHORT_KEYS, hint);
    }
  }
  refuseTwoTransports(decoding, mapping, path, json);
  return json;
}

function decodeShortKey(
  decoding: Decoding,
  { transport, field }: NonNullable<ReturnType<typeof findShortKey>>,
  entry: MappingEntry,
  path: string,
  json: MessageJson,
): void {
  const transportPath = `${path}.${transport}`;
  if (!decoding.origins.has(transportPath)) decoding.origins.set(transportPath, entry.keyPosition);
  json[transport] ??= {};
  decodeField(decoding, field, entry, transportPath, json[transport] as MessageJson);
}

/** Refused here and not by validation, because the message cannot hold both; then it holds none. */
function refuseTwoTransports(
  decoding: Decoding,
  { position }: MappingNode,
  path: string,
  json: MessageJson,
): void {
  const transports = transportsOf(json);
  if (transports.length < 2) return;
  const hint = 'keep url and headers for a server with an address, or command, args and env for a subprocess';
  decoding.error(position, path, `settings of ${transports.join(' and ')} in one upstream`, hint);
  for (const transport of transports) delete json[transport];
}
