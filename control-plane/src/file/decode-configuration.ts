import type { DescField } from '@bufbuild/protobuf';
import {
  ConfigurationSchema,
  GatewaySchema,
  HttpTransportSchema,
  StdioTransportSchema,
  UpstreamSchema,
} from '@sluice/proto';
import { nearestName } from '../validation/nearest-name.js';
import {
  decodeField,
  decodeMessage,
  expectMapping,
  findField,
  type MessageJson,
  reportUnknownKey,
} from './decode-message.js';
import type { Decoding } from './decoding.js';
import { decodeMcpServers, MCP_SERVERS_KEY } from './mcp-servers.js';
import type { MappingEntry, MappingNode, SourceNode } from './source-tree.js';

/** A whole configuration in the protobuf JSON mapping, with the schema's field names. */
export interface ConfigurationJson {
  gateway: MessageJson;
  upstreams: MessageJson[];
}

/** Keys at the top that are not in the schema. `$schema` tells editors where the JSON Schema is. */
const OTHER_TOP_KEYS = [MCP_SERVERS_KEY, '$schema'];

/**
 * Turns what stands in a file into a configuration: the schema's own form, the `mcpServers` of desktop
 * clients, or both. Problems are reported to `decoding`.
 */
export function decodeConfiguration(decoding: Decoding, root: SourceNode): ConfigurationJson {
  const json: ConfigurationJson = { gateway: {}, upstreams: [] };
  const mapping = expectMapping(decoding, root, '');
  if (mapping === undefined) return json;
  const byKey = new Map(mapping.entries.map((entry) => [entry.key, entry]));
  const gateway = byKey.get('gateway');
  if (gateway) json.gateway = decodeMessage(decoding, GatewaySchema, gateway.value, 'gateway') ?? {};
  const upstreams = byKey.get('upstreams');
  if (upstreams) json.upstreams.push(...decodeUpstreams(decoding, upstreams.value));
  const servers = byKey.get(MCP_SERVERS_KEY);
  if (servers) json.upstreams.push(...decodeMcpServers(decoding, servers.value, json.upstreams.length));
  for (const entry of mapping.entries) reportTopKey(decoding, entry, servers !== undefined);
  return json;
}

function reportTopKey(decoding: Decoding, entry: MappingEntry, isClientFile: boolean): void {
  const { fields } = ConfigurationSchema;
  const known = [...fields.map(({ name }) => name), ...OTHER_TOP_KEYS];
  if (known.includes(entry.key)) return;
  // Desktop clients keep settings of their own beside `mcpServers`.
  if (isClientFile && nearestName(entry.key, known) === undefined) {
    const hint = 'it belongs to the desktop client; remove it from a file that only the gateway reads';
    decoding.warn(entry.keyPosition, entry.key, 'ignored', hint);
    return;
  }
  reportUnknownKey(decoding, entry, '', fields, OTHER_TOP_KEYS);
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

/** Transports whose settings may stand directly in the upstream, without `http:` or `stdio:` around them. */
const TRANSPORTS = [
  { name: 'http', fields: HttpTransportSchema.fields },
  { name: 'stdio', fields: StdioTransportSchema.fields },
] as const;

const FLAT_KEYS = TRANSPORTS.flatMap(({ fields }) => fields.map(({ name }) => name));

function decodeUpstream(decoding: Decoding, node: SourceNode, path: string): MessageJson {
  const json: MessageJson = {};
  const mapping = expectMapping(decoding, node, path);
  if (mapping === undefined) return json;
  decoding.origins.set(path, mapping.position);
  for (const entry of mapping.entries) {
    const field = findField(UpstreamSchema.fields, entry.key);
    if (field) decodeField(decoding, field, entry, path, json);
    else if (!decodeFlatTransport(decoding, entry, path, json)) {
      reportUnknownKey(decoding, entry, path, UpstreamSchema.fields, FLAT_KEYS);
    }
  }
  refuseTwoTransports(decoding, mapping, path, json);
  return json;
}

function decodeFlatTransport(
  decoding: Decoding,
  entry: MappingEntry,
  path: string,
  json: MessageJson,
): boolean {
  for (const { name, fields } of TRANSPORTS) {
    const field: DescField | undefined = findField(fields, entry.key);
    if (field === undefined) continue;
    const transportPath = `${path}.${name}`;
    if (!decoding.origins.has(transportPath)) decoding.origins.set(transportPath, entry.keyPosition);
    json[name] ??= {};
    decodeField(decoding, field, entry, transportPath, json[name] as MessageJson);
    return true;
  }
  return false;
}

/** Refused here and not by validation, because the message cannot hold both. */
function refuseTwoTransports(
  decoding: Decoding,
  { position }: MappingNode,
  path: string,
  json: MessageJson,
): void {
  if (!('http' in json && 'stdio' in json)) return;
  const hint = 'keep url and headers for a server over HTTP, or command, args and env for a subprocess';
  decoding.error(position, path, 'settings of HTTP and of a subprocess in one upstream', hint);
}
