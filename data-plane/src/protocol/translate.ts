/**
 * One message of one era as a message of the other. Only what a single message can carry is translated here;
 * what takes several messages (asks, subscriptions) belongs to the adapters.
 */
import { ErrorCode } from './errors.js';
import { META, MODERN_REVISION } from './revisions.js';
import { type Envelope, type Span, scanMessage } from './scan.js';
import { addMember, binaryToBytes, type Edit, jsonBinary, parsed, replace, splice } from './text.js';

export interface Message {
  readonly bytes: Buffer;
  readonly envelope: Envelope;
}

/** The message with the edits made, read anew. */
export function rewritten(bytes: Buffer, envelope: Envelope, edits: readonly Edit[]): Message {
  if (edits.length === 0) return { bytes, envelope };
  const own = binaryToBytes(splice(bytes, envelope, edits));
  return { bytes: own, envelope: scanMessage(own) };
}

/** A legacy request with the `_meta` that 2026-07-28 wants on every request (basic, "_meta"). */
export function modernRequest(
  message: Message,
  client: { capabilities: string; clientInfo: string | undefined; logLevel: string | undefined },
): Message {
  const { bytes, envelope } = message;
  let members = `"${META.version}":"${MODERN_REVISION}","${META.capabilities}":${client.capabilities}`;
  if (client.clientInfo !== undefined) members += `,"${META.clientInfo}":${client.clientInfo}`;
  if (client.logLevel !== undefined) members += `,"${META.logLevel}":${JSON.stringify(client.logLevel)}`;
  const { params, meta } = envelope;
  let edit: Edit;
  if (params === undefined) {
    edit = { start: envelope.end - 1, end: envelope.end - 1, text: `,"params":{"_meta":{${members}}}` };
  } else if (meta === undefined) {
    edit = addMember(bytes, params, '_meta', `{${members}}`);
  } else {
    const kept = { ...(parsed(bytes, meta) as Record<string, unknown>) };
    for (const key of Object.values(META)) delete kept[key];
    const rest = jsonBinary(kept);
    edit = replace(meta, rest === '{}' ? `{${members}}` : `{${members},${rest.slice(1)}`);
  }
  return rewritten(bytes, envelope, [edit]);
}

/** A modern request without what only 2026-07-28 knows. */
export function legacyRequest(message: Message): Message {
  const { bytes, envelope } = message;
  if (envelope.meta === undefined) return message;
  const kept = { ...(parsed(bytes, envelope.meta) as Record<string, unknown>) };
  for (const key of Object.values(META)) delete kept[key];
  return rewritten(bytes, envelope, [replace(envelope.meta, jsonBinary(kept))]);
}

/**
 * A modern request again, with the answers to what was asked and the server's state, byte for byte (2026-07-28,
 * basic/patterns/mrtr, "Client Requirements"): the same parameters under a new id.
 */
export function retryRequest(
  { bytes, envelope }: Message,
  id: string,
  answers: Readonly<Record<string, unknown>> | undefined,
  state: string | undefined,
): Message {
  const params = envelope.params as Span;
  const edits: Edit[] = [replace(envelope.id as Span, JSON.stringify(id))];
  let members = '';
  if (answers !== undefined) members += `"inputResponses":${jsonBinary(answers)},`;
  if (state !== undefined) members += `"requestState":${jsonBinary(state)},`;
  // The request has `_meta` at least, so a member always follows.
  if (members !== '') edits.push({ start: params.start + 1, end: params.start + 1, text: members });
  return rewritten(bytes, envelope, edits);
}

/** A response under another id. */
export function withId(message: Message, id: string): Message {
  const { bytes, envelope } = message;
  if (envelope.id === undefined || bytes.latin1Slice(envelope.id.start, envelope.id.end) === id)
    return message;
  return rewritten(bytes, envelope, [replace(envelope.id, id)]);
}

/** Methods whose results carry `ttlMs` and `cacheScope` (2026-07-28, server/utilities/caching). */
const CACHEABLE = new Set([
  'tools/list',
  'prompts/list',
  'resources/list',
  'resources/templates/list',
  'resources/read',
]);

/** A legacy response as a modern one: `resultType`, caching hints that promise nothing, and today's error codes. */
export function modernResponse(message: Message, method: string, serverInfo: unknown): Message {
  const { bytes, envelope } = message;
  if (envelope.error !== undefined) {
    if (envelope.errorCode !== ErrorCode.ResourceNotFound) return message;
    const error = {
      ...(parsed(bytes, envelope.error) as Record<string, unknown>),
      code: ErrorCode.InvalidParams,
    };
    return rewritten(bytes, envelope, [replace(envelope.error, jsonBinary(error))]);
  }
  const result = { ...(parsed(bytes, envelope.result as Span) as Record<string, unknown>) };
  result.resultType ??= 'complete';
  if (CACHEABLE.has(method)) {
    result.ttlMs ??= 0;
    result.cacheScope ??= 'private';
  }
  if (serverInfo !== undefined) {
    const meta = typeof result._meta === 'object' && result._meta !== null ? result._meta : {};
    result._meta = { [META.serverInfo]: serverInfo, ...meta };
  }
  return rewritten(bytes, envelope, [replace(envelope.result as Span, jsonBinary(result))]);
}

/** A modern response as a legacy one. A result that is not complete cannot be said in the legacy era by itself. */
export function legacyResponse(message: Message, method: string): Message | 'not complete' {
  const { bytes, envelope } = message;
  if (envelope.error !== undefined) {
    if (method !== 'resources/read' || envelope.errorCode !== ErrorCode.InvalidParams) return message;
    const error = parsed(bytes, envelope.error) as { data?: { uri?: unknown } };
    if (typeof error.data?.uri !== 'string') return message;
    return rewritten(bytes, envelope, [
      replace(envelope.error, jsonBinary({ ...error, code: ErrorCode.ResourceNotFound })),
    ]);
  }
  const type = envelope.resultType;
  if (type !== undefined && bytes.latin1Slice(type.start, type.end) !== '"complete"') return 'not complete';
  const result = { ...(parsed(bytes, envelope.result as Span) as Record<string, unknown>) };
  delete result.resultType;
  delete result.ttlMs;
  delete result.cacheScope;
  // Up to 2025-11-25 structured content is an object (server/tools, "Structured Content"); the text stays.
  const structured = result.structuredContent;
  if (
    structured !== undefined &&
    (typeof structured !== 'object' || structured === null || Array.isArray(structured))
  ) {
    delete result.structuredContent;
  }
  return rewritten(bytes, envelope, [replace(envelope.result as Span, jsonBinary(result))]);
}
