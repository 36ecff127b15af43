import type { DescField, DescMessage } from '@bufbuild/protobuf';
import {
  GatewaySchema,
  HttpTransportSchema,
  PluginBindingSchema,
  StdioTransportSchema,
  UpstreamSchema,
} from '../gen/sluice/config/v1/config_pb.js';
import {
  GATEWAY_SETTINGS,
  isFreeForm,
  PLUGIN_SETTINGS,
  RESOURCE_LISTS,
  type Setting,
  UPSTREAM_SETTINGS,
} from '../settings.js';
import type { SchemaComments } from './schema-comments.js';
import { defaultText, wordsOf } from './setting-facts.js';

/** A JSON Schema, or a part of one. */
export interface JsonSchema {
  [keyword: string]: unknown;
}

/** A text that holds a reference to a variable can become anything. */
const REFERENCE: JsonSchema = { type: 'string', pattern: '\\$\\{' };

/** What stands where a text belongs; numbers and words need no quotes there. */
const TEXT: JsonSchema = { type: ['string', 'number', 'boolean'] };

const DURATION_PATTERN = '^(\\d+(\\.\\d+)?(ms|s|m|h|d))+$|\\$\\{';
const TIME_PATTERN =
  '^\\d{4}-\\d{2}-\\d{2}[Tt]\\d{2}:\\d{2}:\\d{2}(\\.\\d+)?([Zz]|[+-]\\d{2}:\\d{2})$|\\$\\{';
const BYTES_PATTERN = '^\\d+(\\.\\d+)?\\s*([kKmMgG]i?)?[bB]?$|\\$\\{';

/**
 * JSON Schema of configuration files, for editors. Draft 7, because that is what the language servers for YAML,
 * JSON and TOML have in common. Fields may be written in snake_case, which editors propose, or in camelCase.
 */
export function configurationSchema(comments: SchemaComments): JsonSchema {
  const upstream = upstreamSchema(comments);
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Sluice configuration',
    type: 'object',
    properties: {
      $schema: { type: 'string', description: 'Where editors find this schema.' },
      gateway: messageSchema(comments, GatewaySchema, GATEWAY_SETTINGS, []),
      upstreams: {
        description: 'The MCP servers behind the gateway: a list, or a mapping by name.',
        anyOf: [
          { type: 'array', items: { allOf: [{ $ref: '#/definitions/upstream' }, { required: ['name'] }] } },
          { type: 'object', additionalProperties: { $ref: '#/definitions/upstream' } },
          { type: 'null' },
        ],
      },
      plugins: {
        description: 'What stands between clients and upstreams, a list.',
        anyOf: [
          {
            type: 'array',
            items: {
              anyOf: [
                { allOf: [{ $ref: '#/definitions/plugin' }, { required: ['plugin'] }] },
                // A name alone is a plugin that needs no more.
                { type: 'string' },
              ],
            },
          },
          { type: 'null' },
        ],
      },
      ...Object.fromEntries(
        RESOURCE_LISTS.map(({ field, message, settings }) => [
          field.name,
          {
            description: comments.of(field),
            anyOf: [
              { type: 'array', items: messageSchema(comments, message, settings, []) },
              { type: 'null' },
            ],
          },
        ]),
      ),
      mcpServers: {
        description: 'MCP servers in the form of desktop clients.',
        type: 'object',
        additionalProperties: { $ref: '#/definitions/mcpServer' },
      },
    },
    additionalProperties: false,
    definitions: {
      upstream,
      plugin: messageSchema(comments, PluginBindingSchema, PLUGIN_SETTINGS, []),
      mcpServer: mcpServerSchema(),
    },
  };
}

function messageSchema(
  comments: SchemaComments,
  message: DescMessage,
  settings: readonly Setting[],
  parents: readonly DescField[],
): JsonSchema {
  const properties: Record<string, JsonSchema> = {};
  for (const field of message.fields) {
    properties[field.name] = fieldSchema(comments, field, settings, parents);
  }
  return objectSchema(properties, message.fields);
}

function objectSchema(properties: Record<string, JsonSchema>, fields: readonly DescField[]): JsonSchema {
  const camelCase = fields.filter(({ name, jsonName }) => name !== jsonName);
  return {
    type: ['object', 'null'],
    properties,
    // As patterns, the second spelling is accepted without being proposed.
    ...(camelCase.length > 0 && {
      patternProperties: Object.fromEntries(
        camelCase.map(({ name, jsonName }) => [`^${jsonName}$`, properties[name]]),
      ),
    }),
    additionalProperties: false,
  };
}

function fieldSchema(
  comments: SchemaComments,
  field: DescField,
  settings: readonly Setting[],
  parents: readonly DescField[],
): JsonSchema {
  const fields = [...parents, field];
  const path = fields.map(({ name }) => name).join('.');
  const setting = settings.find((candidate) => candidate.path === path);
  const description = comments.of(field);
  if (setting) return { description, ...defaultOf(setting), ...valueSchema(setting) };
  if (isFreeForm(field)) return { description, type: ['object', 'null'] };
  if (field.message === undefined) throw new Error(`${path} is neither a setting nor a message`);
  const message = messageSchema(comments, field.message, settings, fields);
  return field.fieldKind === 'list'
    ? { description, type: 'array', items: message }
    : { description, ...message };
}

function defaultOf(setting: Setting): JsonSchema {
  const { type, default: value } = setting;
  if (value === undefined) return {};
  return { default: type === 'duration' || type === 'bytes' ? defaultText(setting) : value };
}

function valueSchema(setting: Setting): JsonSchema {
  const words = wordsOf(setting);
  if (words) return { anyOf: [{ enum: words }, REFERENCE] };
  const { min, max } = setting.range ?? { min: 0 };
  const number = { type: 'integer', minimum: min, maximum: max };
  switch (setting.type) {
    case 'number':
      return { anyOf: [number, REFERENCE] };
    case 'bytes':
      return { anyOf: [number, { type: 'string', pattern: BYTES_PATTERN }] };
    case 'duration':
      return { type: 'string', pattern: DURATION_PATTERN };
    case 'time':
      return { type: 'string', pattern: TIME_PATTERN };
    case 'boolean':
      return { anyOf: [{ type: 'boolean' }, REFERENCE] };
    case 'list of texts':
      return { type: 'array', items: TEXT };
    case 'map of texts':
      return { type: 'object', additionalProperties: TEXT };
    default:
      return { type: 'string' };
  }
}

/** An upstream whose transport is nested, or written directly in it. */
function upstreamSchema(comments: SchemaComments): JsonSchema {
  const nested = messageSchema(comments, UpstreamSchema, UPSTREAM_SETTINGS, []);
  const properties = { ...(nested.properties as Record<string, JsonSchema>) };
  const flat: DescField[] = [];
  for (const message of [HttpTransportSchema, StdioTransportSchema]) {
    const parent = UpstreamSchema.fields.find((field) => field.message === message) as DescField;
    for (const field of message.fields) {
      properties[field.name] = fieldSchema(comments, field, UPSTREAM_SETTINGS, [parent]);
      flat.push(field);
    }
  }
  const urlDescription = `${properties.url?.description} Or a WebSocket: ws or wss.`;
  properties.url = { ...properties.url, description: urlDescription };
  return {
    description: comments.of(UpstreamSchema),
    ...objectSchema(properties, [...UpstreamSchema.fields, ...flat]),
  };
}

function mcpServerSchema(): JsonSchema {
  const texts = { type: 'object', additionalProperties: TEXT };
  return {
    description: 'An MCP server as desktop clients write it. Keys that only a client knows are ignored.',
    type: 'object',
    properties: {
      type: {
        enum: ['stdio', 'http', 'streamable-http', 'streamableHttp', 'sse', 'ws', 'websocket'],
        description: 'How it is reached.',
      },
      command: { type: 'string', description: 'The program.' },
      args: { type: 'array', items: TEXT, description: 'Its arguments.' },
      env: { ...texts, description: 'Variables added to a small inherited set.' },
      cwd: { type: 'string', description: 'Folder it starts in.' },
      url: { type: 'string', description: 'The MCP endpoint: http, https, ws or wss.' },
      headers: { ...texts, description: 'Sent with every request.' },
      disabled: { type: 'boolean', description: 'Not served at all.' },
    },
  };
}
