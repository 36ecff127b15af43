/**
 * Task ids of a modern server (extension io.modelcontextprotocol/tasks) on their way through `/mcp/{upstream}`. A
 * server may take an id for proof that the task is its caller's, and to it all callers of the gateway are one. So who
 * is known is given ids that are sealed and worth something to that principal alone; those of others do not exist. The
 * tool that began the task is sealed with its id: whoever may not use the one may not use the other.
 */
import { ANONYMOUS, type Exchange } from '../exchange/exchange.js';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import { memberOf } from '../protocol/members.js';
import type { Envelope, Span } from '../protocol/scan.js';
import { type Edit, jsonBinary, parsed, replace, stringOf } from '../protocol/text.js';
import { rewritten } from '../protocol/translate.js';
import { isTaskMethod } from '../protocol/untranslatable.js';
import { encodeHeaderValue } from '../routing/param-headers.js';
import type { Sealer } from '../sessions/seal.js';
import type { UpstreamCall, UpstreamReply } from '../upstream/call.js';

/** Longest id that is sealed: the token has to fit the header `Mcp-Name`. */
const MAX_TASK_ID_CHARS = 1_024;
/** Longest name of a tool that is sealed with it; what a longer one has begun is of no tool that is known. */
const MAX_TOOL_NAME_CHARS = 256;

/** What is sealed: the id, and the tool that began the task. */
type Sealed = readonly [id: string, tool: string | null];

/** The ids of one exchange, as the client and as the server has them. Undefined for who is not known. */
export function taskIdsOf(sealer: Sealer, upstreamId: string, exchange: Exchange): TaskIds | undefined {
  return exchange.caller.principal === ANONYMOUS ? undefined : new TaskIds(sealer, upstreamId, exchange);
}

export class TaskIds {
  /** Tokens that the client sent, by the ids that they stand for: it gets those back, not new ones. */
  private sent: Map<string, string> | undefined;

  constructor(
    private readonly sealer: Sealer,
    private readonly upstreamId: string,
    private readonly exchange: Exchange,
  ) {}

  /** The tools whose tasks the request is about, as far as they are this principal's. */
  tools(): readonly string[] {
    const { bytes, envelope } = this.exchange;
    const { method, params } = envelope;
    if (params === undefined) return [];
    const span = isTaskMethod(method) ? memberOf(bytes, params, 'taskId') : listenedTo(bytes, params);
    const said = span === undefined ? undefined : parsed(bytes, span);
    const tools = (Array.isArray(said) ? said : [said]).map((token) => this.unsealed(token)?.[1]);
    return [...new Set(tools)].filter((tool) => typeof tool === 'string');
  }

  /** The call with the server's ids in it. Throws an RpcError for a task that is not this principal's. */
  call(call: UpstreamCall): UpstreamCall {
    if (isTaskMethod(call.method)) return this.ofTask(call);
    return call.method === 'subscriptions/listen' ? this.ofListening(call) : call;
  }

  /** The reply with the client's ids in it. */
  reply(reply: UpstreamReply): UpstreamReply {
    const { bytes, envelope } = reply;
    const { result } = envelope;
    const tells = isTaskMethod(this.exchange.envelope.method) || isTask(bytes, envelope.resultType);
    if (result === undefined || !tells) return reply;
    const span = memberOf(bytes, result, 'taskId');
    const id = stringOf(bytes, span);
    if (span === undefined || id === undefined) return reply;
    return rewritten(bytes, envelope, [replace(span, jsonBinary(this.sent?.get(id) ?? this.sealed(id)))]);
  }

  private get context(): string {
    return JSON.stringify([this.upstreamId, this.exchange.caller.principal]);
  }

  private sealed(id: string): string {
    if (id.length <= MAX_TASK_ID_CHARS) {
      const { bytes, envelope } = this.exchange;
      const tool = envelope.method === 'tools/call' ? stringOf(bytes, envelope.name) : undefined;
      const isShort = tool !== undefined && tool.length <= MAX_TOOL_NAME_CHARS;
      const sealed: Sealed = [id, isShort ? tool : null];
      return this.sealer.seal('task', JSON.stringify(sealed), this.context);
    }
    throw new RpcError(
      ErrorCode.UpstreamBadAnswer,
      `the server gave a task an id of ${id.length} characters, at most ${MAX_TASK_ID_CHARS} are passed on`,
    );
  }

  private unsealed(token: unknown): Sealed | undefined {
    if (typeof token !== 'string') return undefined;
    const content = this.sealer.open('task', token, this.context);
    return content === undefined ? undefined : JSON.parse(content.toString());
  }

  private opened(token: unknown): string | undefined {
    const id = this.unsealed(token)?.[0];
    if (id === undefined) return undefined;
    this.sent ??= new Map();
    this.sent.set(id, token as string);
    return id;
  }

  private ofTask(call: UpstreamCall): UpstreamCall {
    const { bytes, envelope, method } = call;
    const span = envelope.params === undefined ? undefined : memberOf(bytes, envelope.params, 'taskId');
    const token = stringOf(bytes, span);
    const id = token === undefined ? undefined : this.opened(token);
    if (span === undefined || id === undefined) {
      throw new RpcError(
        ErrorCode.InvalidParams,
        `Task not found: ${method} takes a \`taskId\` that was given out here, to the same principal`,
      );
    }
    const others = call.headerLines.replace(/^mcp-name: .*\r\n/m, '');
    return {
      ...call,
      edits: [...call.edits, replace(span, jsonBinary(id))],
      headerLines: `${others}mcp-name: ${encodeHeaderValue(id)}\r\n`,
    };
  }

  /** Whoever is not the owner of a task is not told that it is there: it is left out, as one that has expired. */
  private ofListening(call: UpstreamCall): UpstreamCall {
    const { bytes, envelope } = call;
    const span = envelope.params && listenedTo(bytes, envelope.params);
    if (span === undefined) return call;
    const tokens = parsed(bytes, span);
    const ids = (Array.isArray(tokens) ? tokens : []).flatMap((token) => this.opened(token) ?? []);
    return {
      ...call,
      edits: [...call.edits, replace(span, jsonBinary(ids))],
      onNotification: (told, about) => this.told(call, told, about),
    };
  }

  private told(call: UpstreamCall, bytes: Buffer, envelope: Envelope): void {
    const edit = this.inNotification(bytes, envelope);
    if (edit === 'nobody asked') return;
    const message = rewritten(bytes, envelope, edit === undefined ? [] : [edit]);
    call.onNotification(message.bytes, message.envelope);
  }

  private inNotification(bytes: Buffer, { method, params }: Envelope): Edit | 'nobody asked' | undefined {
    if (params === undefined) return undefined;
    if (method === 'notifications/tasks') {
      const span = memberOf(bytes, params, 'taskId');
      const token = this.sent?.get(stringOf(bytes, span) ?? '');
      return span === undefined || token === undefined ? 'nobody asked' : replace(span, jsonBinary(token));
    }
    if (method !== 'notifications/subscriptions/acknowledged') return undefined;
    const span = listenedTo(bytes, params);
    if (span === undefined) return undefined;
    const ids = parsed(bytes, span);
    const tokens = (Array.isArray(ids) ? ids : []).flatMap((id) => this.sent?.get(id) ?? []);
    return replace(span, jsonBinary(tokens));
  }
}

function isTask(bytes: Buffer, type: Span | undefined): boolean {
  return type !== undefined && type.end - type.start < 64 && stringOf(bytes, type) === 'task';
}

/** `notifications.taskIds` of a subscription, and of what acknowledges it. */
function listenedTo(bytes: Buffer, params: Span): Span | undefined {
  const wanted = memberOf(bytes, params, 'notifications');
  return wanted && bytes[wanted.start] === 0x7b ? memberOf(bytes, wanted, 'taskIds') : undefined;
}
