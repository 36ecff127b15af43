/** Makes the message of a request from path, query, headers and body, as the option `rest` of its method says. */
import {
  type DescField,
  type DescMessage,
  fromJson,
  type JsonObject,
  type JsonValue,
  type Message,
  ScalarType,
} from '@bufbuild/protobuf';
import { KIND_WORDS, kindOfWord, ResourceKindSchema } from '@sluice/proto/cluster';
import { AdminError } from '../admin-error.js';
import type { FoundRoute } from './routes.js';

export interface RestRequest {
  readonly query: URLSearchParams;
  /** Undefined where there is none. */
  readonly body: JsonValue | undefined;
  readonly ifMatch: string | undefined;
  readonly ifNoneMatch: string | undefined;
  readonly idempotencyKey: string | undefined;
}

/** @throws AdminError for what the message cannot hold */
export function requestMessage({ method, parameters }: FoundRoute, request: RestRequest): Message {
  const { input } = method.description;
  const json = bodyJson(input, method.rest.body, request.body);
  for (const [name, text] of request.query) setField(json, input, name, text);
  for (const [name, text] of Object.entries(parameters)) {
    const field = fieldOf(input, name) as DescField;
    const own = parameterValue(field, name, text);
    json[field.name] = own;
  }
  setConditions(json, input, request);
  try {
    return fromJson(input, json);
  } catch (thrown) {
    throw new AdminError('INVALID_REQUEST', readable(thrown), { cause: thrown });
  }
}

function bodyJson(input: DescMessage, bodyField: string, body: JsonValue | undefined): JsonObject {
  if (body === undefined) return {};
  if (bodyField !== '') return { [bodyField]: body };
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return withSchemaNames(input, body);
  throw new AdminError('INVALID_REQUEST', 'the body has to be a JSON object');
}

/** So that a field that comes twice, in both spellings, is the same field. */
function withSchemaNames(input: DescMessage, body: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(body).map(([name, value]) => [fieldOf(input, name)?.name ?? name, value]),
  );
}

/** Conditions and keys of HTTP are fields of the message; RFC 9110 section 13.1. */
function setConditions(json: JsonObject, input: DescMessage, request: RestRequest): void {
  const { ifMatch, ifNoneMatch, idempotencyKey } = request;
  if (fieldOf(input, 'etag') !== undefined) {
    if (ifMatch !== undefined) json.etag = entityTag('If-Match', ifMatch);
    if (ifNoneMatch !== undefined) {
      if (ifNoneMatch.trim() !== '*')
        throw AdminError.field('If-None-Match', 'with a change it can only be *: there has to be none yet');
      json.etag = '0';
    }
  }
  if (idempotencyKey !== undefined && fieldOf(input, 'options') !== undefined)
    setField(json, input, 'options.idempotency_key', idempotencyKey);
}

/** The opaque part of a tag: `"12"` is 12. Weak tags and lists are not what a change can be made on. */
export function entityTag(header: string, text: string): string {
  if (text.trim() === '*') return '*';
  const tag = /^\s*"([^"]*)"\s*$/.exec(text)?.[1];
  if (tag === undefined)
    throw AdminError.field(header, 'has to be one ETag in quotes, as an answer had it, or *');
  return tag;
}

/** What an option of a change is called may be said without `options.` in front. */
function setField(json: JsonObject, message: DescMessage, path: string, text: string, inside = path): void {
  const [name = '', ...rest] = inside.split('.');
  const field = fieldOf(message, name);
  if (field === undefined) {
    const options = fieldOf(message, 'options');
    if (options?.message !== undefined && fieldOf(options.message, name) !== undefined)
      return setField(json, message, path, text, `options.${inside}`);
    const known = queryNames(message).join(', ');
    throw AdminError.field(path, `is no parameter here${known === '' ? '' : `; there are ${known}`}`);
  }
  if (rest.length > 0) {
    if (field.fieldKind !== 'message') throw AdminError.field(path, `${name} has nothing inside`);
    const given = json[field.name] ?? {};
    if (typeof given !== 'object' || Array.isArray(given)) throw AdminError.field(path, 'is given twice');
    const inner = withSchemaNames(field.message, given);
    json[field.name] = inner;
    return setField(inner, field.message, path, text, rest.join('.'));
  }
  if (field.fieldKind === 'list') {
    const list = json[field.name] ?? [];
    if (!Array.isArray(list)) throw AdminError.field(path, 'is given twice');
    json[field.name] = [...list, parameterValue(field, path, text)];
    return;
  }
  if (Object.hasOwn(json, field.name)) throw AdminError.field(path, 'is given twice');
  json[field.name] = parameterValue(field, path, text);
}

function parameterValue(field: DescField, path: string, text: string): JsonValue {
  if (field.enum?.typeName === ResourceKindSchema.typeName) return kindValue(path, text);
  if (field.scalar === ScalarType.BOOL) {
    if (text === 'true' || text === '') return true;
    if (text === 'false') return false;
    throw AdminError.field(path, 'has to be true or false');
  }
  return text;
}

/** Kinds are called by their words in paths and queries; the names of the schema do as well. */
function kindValue(path: string, text: string): JsonValue {
  const number = kindOfWord(text) ?? ResourceKindSchema.values.find(({ name }) => name === text)?.number;
  if (number === undefined) throw AdminError.field(path, `is none of ${KIND_WORDS.join(', ')}`);
  return number;
}

function fieldOf(message: DescMessage, name: string): DescField | undefined {
  return message.fields.find((field) => field.name === name || field.jsonName === name);
}

function queryNames(message: DescMessage): string[] {
  return message.fields.flatMap((field) =>
    field.name === 'options' && field.message !== undefined
      ? field.message.fields.map(({ name }) => name)
      : field.fieldKind === 'message' && field.message.typeName.startsWith('sluice.')
        ? []
        : [field.name],
  );
}

/** What protobuf-es says, without what only speaks of itself. */
function readable(thrown: unknown): string {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return message.replace(/^cannot decode (?:message|field) /, 'cannot read ').replace(/ from JSON/, '');
}
