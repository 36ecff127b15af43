/**
 * One message of one era as a message of the other. Only what a single message can carry is translated here;
 * what takes several messages (asks, subscriptions) belongs to the adapters.
 */
import { ErrorCode } from './errors.js';
import { type Member, membersOf, objectOf } from './members.js';
import { META, MODERN_REVISION } from './revisions.js';
import { type Envelope, type Span, scanMessage } from './scan.js';
import {
  addMember,
  binaryOf,
  binaryToBytes,
  type Edit,
  jsonBinary,
  parsed,
  replace,
  splice,
  stringOf,
} from './text.js';

const OPEN_BRACE = 0x7b;
/** Begins `null`. */
const LOWER_N = 0x6e;

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
    edit = replace(meta, objectOf(bytes, members, membersOf(bytes, meta).filter(isNotProtocolMeta)));
  }
  return rewritten(bytes, envelope, [edit]);
}

/** A modern request without what only 2026-07-28 knows. */
export function legacyRequest(asCame: Message): Message {
  const message = withoutAnswers(asCame);
  const { bytes, envelope } = message;
  if (envelope.meta === undefined) return message;
  const kept = membersOf(bytes, envelope.meta).filter(isNotProtocolMeta);
  return rewritten(bytes, envelope, [replace(envelope.meta, objectOf(bytes, '', kept))]);
}

/** A retry as the request that it is: a legacy server has no use for answers to what it did not ask in a result. */
function withoutAnswers(message: Message): Message {
  const { bytes, envelope } = message;
  const { params, inputResponses, requestState } = envelope;
  if (params === undefined || (inputResponses === undefined && requestState === undefined)) return message;
  const staying = membersOf(bytes, params).filter(
    ({ key }) => key !== 'inputResponses' && key !== 'requestState',
  );
  return rewritten(bytes, envelope, [replace(params, objectOf(bytes, '', staying))]);
}

const PROTOCOL_META: ReadonlySet<string> = new Set(Object.values(META));

function isNotProtocolMeta({ key }: Member): boolean {
  return !PROTOCOL_META.has(key);
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
  const said: string[] = [];
  if (answers !== undefined) said.push(`"inputResponses":${jsonBinary(answers)}`);
  if (state !== undefined) said.push(`"requestState":${jsonBinary(state)}`);
  // A client that does not know these may have members of the same names.
  const others = membersOf(bytes, params).filter(
    ({ key }) => key !== 'inputResponses' && key !== 'requestState',
  );
  return rewritten(bytes, envelope, [
    replace(envelope.id as Span, JSON.stringify(id)),
    replace(params, objectOf(bytes, said.join(), others)),
  ]);
}

/** A response under another id; an error that came without one gets it. */
export function withId(message: Message, id: string): Message {
  const { bytes, envelope } = message;
  if (envelope.id === undefined) {
    if (envelope.error === undefined) return message;
    const own = binaryToBytes(`{"jsonrpc":"2.0","id":${id},"error":${binaryOf(bytes, envelope.error)}}`);
    return { bytes: own, envelope: scanMessage(own) };
  }
  if (bytes.latin1Slice(envelope.id.start, envelope.id.end) === id) return message;
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
    return withErrorCode(message, ErrorCode.InvalidParams);
  }
  const result = envelope.result as Span;
  const missing = new Map([['resultType', '"complete"']]);
  if (CACHEABLE.has(method)) missing.set('ttlMs', '0').set('cacheScope', '"private"');
  const staying = membersOf(bytes, result).filter(({ key, value }) => {
    if (key === '_meta') return serverInfo === undefined;
    if (!missing.has(key)) return true;
    // A null there says nothing, and what is missing takes its place.
    return bytes[value.start] !== LOWER_N && missing.delete(key);
  });
  if (serverInfo !== undefined) missing.set('_meta', withServerInfo(bytes, result, serverInfo));
  const added = [...missing].map(([key, value]) => `"${key}":${value}`).join();
  return rewritten(bytes, envelope, [replace(result, objectOf(bytes, added, staying))]);
}

/** The `_meta` of a result, with what the server says of itself unless it said so there already. */
function withServerInfo(bytes: Buffer, result: Span, serverInfo: unknown): string {
  const meta = membersOf(bytes, result).find(({ key }) => key === '_meta')?.value;
  const members = meta !== undefined && bytes[meta.start] === OPEN_BRACE ? membersOf(bytes, meta) : [];
  const isThere = members.some(({ key }) => key === META.serverInfo);
  return objectOf(bytes, isThere ? '' : `"${META.serverInfo}":${jsonBinary(serverInfo)}`, members);
}

/** An error response with another code. */
function withErrorCode({ bytes, envelope }: Message, errorCode: number): Message {
  const code = membersOf(bytes, envelope.error as Span).find(({ key }) => key === 'code') as Member;
  return rewritten(bytes, envelope, [replace(code.value, String(errorCode))]);
}

/** A modern response as a legacy one. A result that is not complete cannot be said in the legacy era by itself. */
export function legacyResponse(message: Message, method: string): Message | 'not complete' {
  const { bytes, envelope } = message;
  if (envelope.error !== undefined) {
    if (method !== 'resources/read' || envelope.errorCode !== ErrorCode.InvalidParams) return message;
    const error = parsed(bytes, envelope.error) as { data?: { uri?: unknown } };
    if (typeof error.data?.uri !== 'string') return message;
    return withErrorCode(message, ErrorCode.ResourceNotFound);
  }
  if (envelope.resultType !== undefined && stringOf(bytes, envelope.resultType) !== 'complete')
    return 'not complete';
  const result = envelope.result as Span;
  const members = membersOf(bytes, result);
  const staying = members.filter(({ key, value }) => {
    if (key === 'resultType' || key === 'ttlMs' || key === 'cacheScope') return false;
    // Up to 2025-11-25 structured content is an object (server/tools, "Structured Content"); the text stays.
    return key !== 'structuredContent' || bytes[value.start] === OPEN_BRACE;
  });
  const tools = method === 'tools/list' ? legacyTools(bytes, members) : undefined;
  if (tools !== undefined) {
    const others = staying.filter(({ key }) => key !== 'tools');
    return rewritten(bytes, envelope, [
      replace(result, objectOf(bytes, `"tools":${jsonBinary(tools)}`, others)),
    ]);
  }
  if (staying.length === members.length) return message;
  return rewritten(bytes, envelope, [replace(result, objectOf(bytes, '', staying))]);
}

/** The tools of a list when one of them has to be changed for a legacy client. */
function legacyTools(bytes: Buffer, members: readonly Member[]): unknown[] | undefined {
  const list = members.find(({ key }) => key === 'tools')?.value;
  if (list === undefined || !bytes.includes('"outputSchema"')) return undefined;
  const tools = parsed(bytes, list);
  if (!Array.isArray(tools)) return undefined;
  const legacy = tools.map(legacyTool);
  return legacy.some((tool, i) => tool !== tools[i]) ? legacy : undefined;
}

/**
 * A tool as a legacy client can read it. Up to 2025-11-25 an output schema describes an object (server/tools, "Output
 * Schema"); a client that checks what it reads would refuse the whole list because of another.
 */
export function legacyTool<Tool>(tool: Tool): Tool {
  const { outputSchema, ...others } = (tool ?? {}) as Readonly<Record<string, unknown>>;
  const isObject = (outputSchema as { type?: unknown } | null | undefined)?.type === 'object';
  return outputSchema === undefined || isObject ? tool : (others as Tool);
}
