import { createHash } from 'node:crypto';
import { nearestName } from '@sluice/sdk/manifest';
import { decodeField, expectMapping, type MessageJson } from './decode-message.js';
import type { Decoding } from './decoding.js';
import { convertBoolean } from './setting-value.js';
import type { MappingEntry, SourceNode } from './source-tree.js';
import { TRANSPORT_SCHEMAS, type TransportName, writtenUrlTransport } from './transport-shorthand.js';

/** Key under which desktop clients keep their servers. */
export const MCP_SERVERS_KEY = 'mcpServers';

/** What clients write for a transport. */
const TRANSPORT_TYPES: Readonly<Record<string, TransportName>> = {
  stdio: 'stdio',
  http: 'http',
  'streamable-http': 'http',
  streamable_http: 'http',
  streamablehttp: 'http',
  sse: 'sse',
  ws: 'websocket',
  websocket: 'websocket',
};

/** Keys of a server that mean something, by transport. Some clients have names of their own for `url`. */
const ADDRESS_KEYS: Readonly<Record<string, string>> = {
  url: 'url',
  serverUrl: 'url',
  httpUrl: 'url',
  headers: 'headers',
};
const URL_KEYS = Object.keys(ADDRESS_KEYS).filter((key) => ADDRESS_KEYS[key] === 'url');
const STDIO_KEYS: Readonly<Record<string, string>> = {
  command: 'command',
  args: 'args',
  env: 'env',
  cwd: 'cwd',
};

/** Keys that are read before the transport is known. */
const CONTROL_KEYS = new Set(['type', 'transport', 'disabled', 'enabled']);

/**
 * Reads the `mcpServers` of desktop clients as upstreams. A server's name may hold any characters: it becomes
 * the upstream's `id`, and a name that fits into paths and tool names is made from it.
 *
 * @param firstIndex place of the first of them among the upstreams of the configuration
 */
export function decodeMcpServers(decoding: Decoding, node: SourceNode, firstIndex: number): MessageJson[] {
  const servers = expectMapping(decoding, node, MCP_SERVERS_KEY);
  const upstreams: MessageJson[] = [];
  const byName = new Map<string, string>();
  for (const entry of servers?.entries ?? []) {
    const path = `upstreams[${firstIndex + upstreams.length}]`;
    decoding.writtenPaths.set(`${path}.name`, `${MCP_SERVERS_KEY}${memberPath(entry.key)}`);
    decoding.writtenPaths.set(path, `${MCP_SERVERS_KEY}${memberPath(entry.key)}`);
    decoding.origins.set(path, entry.keyPosition);
    decoding.origins.set(`${path}.name`, entry.keyPosition);
    const settings = decodeServer(decoding, entry, path);
    if (settings === undefined) continue;
    const name = upstreamName(entry.key);
    const earlier = byName.get(name);
    if (earlier !== undefined) {
      const message = `${JSON.stringify(entry.key)} and ${JSON.stringify(earlier)} both become the name ${name}`;
      decoding.error(entry.keyPosition, `${path}.name`, message, 'rename one of the two servers');
    }
    byName.set(name, entry.key);
    upstreams.push({ name, ...(name !== entry.key && { id: entry.key }), ...settings });
  }
  return upstreams;
}

/** How a path goes on to a key, whatever characters it has. */
function memberPath(key: string): string {
  return /^[\w-]+$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

const MAX_NAME_LENGTH = 40;
const DIGEST_LENGTH = 8;

/**
 * A name for paths and tool names, made from any text: letters without accents, digits, and single `-` or `_`
 * for all that is between them. What has no such characters at all is named by a digest.
 */
export function upstreamName(original: string): string {
  const name = original
    .normalize('NFKD')
    .replaceAll(/\p{M}/gu, '')
    .replaceAll(/[^A-Za-z0-9_]+/g, '-')
    .replaceAll(/_{2,}/g, '_')
    .replaceAll(/^[-_]+/g, '')
    .slice(0, MAX_NAME_LENGTH)
    .replaceAll(/[-_]+$/g, '');
  if (name !== '') return name;
  return `server-${createHash('sha256').update(original).digest('hex').slice(0, DIGEST_LENGTH)}`;
}

/** The settings of one server; `undefined` where it is of a kind that only some client knows. */
function decodeServer(decoding: Decoding, { value }: MappingEntry, path: string): MessageJson | undefined {
  const mapping = expectMapping(decoding, value, path);
  if (mapping === undefined) return {};
  const entries = new Map(mapping.entries.map((entry) => [entry.key, entry]));
  // A server that is switched off may refer to what does not exist: nothing more of it is read.
  if (isDisabled(decoding, entries, path)) return { disabled: true };
  const type = entries.get('type') ?? entries.get('transport');
  if (type !== undefined && knownTransport(type) === undefined) {
    const hint = 'the other servers are served; write "stdio", "http", "sse" or "websocket"';
    const message = 'not a known transport: this server is left out';
    decoding.warn(type.value.position, `${path}.${type.key}`, message, hint);
    return undefined;
  }
  const kind = type ? knownTransport(type) : guessTransport(decoding, entries, path);
  if (kind === undefined) return {};
  const keys = kind === 'stdio' ? STDIO_KEYS : ADDRESS_KEYS;
  const schema = TRANSPORT_SCHEMAS[kind];
  decoding.origins.set(`${path}.${kind}`, value.position);
  decoding.writtenPaths.set(`${path}.${kind}`, decoding.writtenPath(path));
  const transport: MessageJson = {};
  for (const entry of mapping.entries) {
    if (CONTROL_KEYS.has(entry.key)) continue;
    const field = Object.hasOwn(keys, entry.key)
      ? schema.fields.find(({ name }) => name === keys[entry.key])
      : undefined;
    if (field) decodeField(decoding, field, entry, `${path}.${kind}`, transport);
    else warnIgnored(decoding, entry, path);
  }
  return { [kind]: transport };
}

function warnIgnored(decoding: Decoding, { key, keyPosition }: MappingEntry, path: string): void {
  const near = nearestName(key, [...CONTROL_KEYS, ...Object.keys(ADDRESS_KEYS), ...Object.keys(STDIO_KEYS)]);
  const hint =
    near === undefined
      ? 'only the client knows this setting; settings of the gateway go under `upstreams`'
      : `if it was meant for the gateway: did you mean ${near}?`;
  decoding.warn(keyPosition, `${path}.${key}`, 'ignored', hint);
}

function isDisabled(decoding: Decoding, entries: Map<string, MappingEntry>, path: string): boolean {
  return (
    readFlag(decoding, entries.get('disabled'), path, false) ||
    !readFlag(decoding, entries.get('enabled'), path, true)
  );
}

function readFlag(
  decoding: Decoding,
  entry: MappingEntry | undefined,
  path: string,
  absent: boolean,
): boolean {
  if (entry === undefined || entry.value.kind !== 'scalar' || entry.value.value === null) return absent;
  const converted = convertBoolean(entry.value.value);
  if ('json' in converted) return converted.json === true;
  decoding.error(entry.value.position, `${path}.${entry.key}`, converted.message, converted.hint);
  return absent;
}

function knownTransport({ value }: MappingEntry): TransportName | undefined {
  const type = value.kind === 'scalar' && typeof value.value === 'string' ? value.value.toLowerCase() : '';
  return Object.hasOwn(TRANSPORT_TYPES, type) ? TRANSPORT_TYPES[type] : undefined;
}

function guessTransport(
  decoding: Decoding,
  entries: Map<string, MappingEntry>,
  path: string,
): TransportName | undefined {
  const url = URL_KEYS.flatMap((key) => entries.get(key)?.value ?? [])[0];
  const hasCommand = entries.has('command');
  if (url === undefined && hasCommand) return 'stdio';
  if (url !== undefined && !hasCommand) return writtenUrlTransport(decoding, url);
  const message = hasCommand ? 'both a url and a command' : 'neither a url nor a command';
  const hint = 'a server has a `url`, or a `command` with `args` and `env`';
  decoding.error(decoding.origins.get(path), path, message, hint);
  return undefined;
}
