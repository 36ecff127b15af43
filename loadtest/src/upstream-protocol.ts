import { randomUUID } from 'node:crypto';
import { ECHO_TOOL, LEGACY_REVISION, MODERN_REVISION } from './mcp-request.js';

/** What the upstream needs of an HTTP request. Absent headers are empty strings. */
export interface UpstreamRequest {
  method: string;
  origin: string;
  /** MCP-Protocol-Version */
  revision: string;
  /** Mcp-Method */
  mcpMethod: string;
  /** Mcp-Name */
  mcpName: string;
  /** Mcp-Session-Id */
  session: string;
  body: string;
}

/** What goes back: JSON when there is a body. */
export interface UpstreamReply {
  status: 200 | 202 | 400 | 403 | 404 | 405;
  body?: string;
  /** Mcp-Session-Id of a session that begins here. */
  session?: string;
  /** Instead of a body: what a stream of events that stays open begins with. */
  stream?: string;
}

interface Message {
  id?: string | number;
  method?: unknown;
  params?: {
    name?: unknown;
    arguments?: { text?: unknown };
    protocolVersion?: unknown;
    notifications?: { toolsListChanged?: unknown };
    _meta?: Meta;
  };
}
type Meta = Record<string, unknown>;

const SERVER_INFO = { name: 'sluice-bench-upstream', version: '1.0.0' };
const META_REVISION = 'io.modelcontextprotocol/protocolVersion';
const META_SUBSCRIPTION = 'io.modelcontextprotocol/subscriptionId';
const META_CAPABILITIES = 'io.modelcontextprotocol/clientCapabilities';
const RESULT_META = { 'io.modelcontextprotocol/serverInfo': SERVER_INFO };
const LEGACY_REVISIONS = new Set(['2025-03-26', '2025-06-18', LEGACY_REVISION]);
const TOOLS = [
  {
    name: ECHO_TOOL,
    description: 'Answers with the text that it is given.',
    inputSchema: { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] },
  },
];
/** How long a list stays true: as long as the process. */
const TTL_MS = 3_600_000;

/** JSON-RPC error codes, as the schema of revision 2026-07-28 names them. */
const ERROR = {
  parse: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  headerMismatch: -32020,
  unsupportedProtocolVersion: -32022,
} as const;

function failure(
  status: UpstreamReply['status'],
  id: Message['id'],
  code: number,
  message: string,
  data?: unknown,
): UpstreamReply {
  return { status, body: JSON.stringify({ jsonrpc: '2.0', id, error: { code, message, data } }) };
}

/** What a subscription begins with (2026-07-28, basic/patterns/subscriptions). */
function acknowledgement(id: Message['id'], asked: Message['params']): UpstreamReply {
  const notifications = asked?.notifications?.toolsListChanged === true ? { toolsListChanged: true } : {};
  const params = { notifications, _meta: { [META_SUBSCRIPTION]: id } };
  const method = 'notifications/subscriptions/acknowledged';
  return {
    status: 200,
    stream: `event: message\ndata: ${JSON.stringify({ jsonrpc: '2.0', method, params })}\n\n`,
  };
}

function success(id: Message['id'], result: unknown): UpstreamReply {
  return { status: 200, body: JSON.stringify({ jsonrpc: '2.0', id, result }) };
}

/**
 * An MCP server with one tool, `echo`, in both eras and no more: it exists to be so fast that a relay in
 * front of it is what gets measured. Answers are JSON.
 */
export class EchoServer {
  readonly #sessions = new Set<string>();

  /**
   * @param tells whether it says that it tells of changes: then it keeps the streams open that are there for that,
   *   and says nothing on them, for nothing changes.
   */
  constructor(private readonly tells = false) {}

  answer(request: UpstreamRequest): UpstreamReply {
    // Nothing in a browser has business here (DNS rebinding): any Origin is a wrong one.
    if (request.origin !== '') return { status: 403 };
    if (request.method === 'DELETE') return { status: this.#sessions.delete(request.session) ? 200 : 404 };
    if (request.method === 'GET' && this.tells) {
      return this.#sessions.has(request.session) ? { status: 200, stream: ':\n\n' } : { status: 404 };
    }
    if (request.method !== 'POST') return { status: 405 };
    let message: Message;
    try {
      message = JSON.parse(request.body) as Message;
    } catch {
      return failure(400, undefined, ERROR.parse, 'The body is not JSON');
    }
    if (typeof message !== 'object' || message === null || typeof message.method !== 'string') {
      return failure(
        400,
        undefined,
        ERROR.invalidRequest,
        'The body is not one JSON-RPC request or notification',
      );
    }
    const modern =
      request.revision === MODERN_REVISION || message.params?._meta?.[META_REVISION] !== undefined;
    return modern ? this.#modern(request, message) : this.#legacy(request, message);
  }

  #modern(request: UpstreamRequest, message: Message): UpstreamReply {
    const { id, method, params } = message;
    const revision = params?._meta?.[META_REVISION];
    if (request.revision !== revision) {
      return failure(400, id, ERROR.headerMismatch, 'MCP-Protocol-Version is not what _meta says');
    }
    if (revision !== MODERN_REVISION) {
      const data = { supported: [MODERN_REVISION, ...LEGACY_REVISIONS], requested: revision };
      return failure(400, id, ERROR.unsupportedProtocolVersion, 'Unsupported protocol version', data);
    }
    if (request.mcpMethod !== method) {
      return failure(400, id, ERROR.headerMismatch, `Mcp-Method is not the method of the body, ${method}`);
    }
    if (params?._meta?.[META_CAPABILITIES] === undefined) {
      return failure(400, id, ERROR.invalidParams, `_meta lacks ${META_CAPABILITIES}`);
    }
    if (id === undefined) return { status: 202 };
    const cacheable = { resultType: 'complete', ttlMs: TTL_MS, cacheScope: 'public', _meta: RESULT_META };
    switch (method) {
      case 'tools/call':
        if (request.mcpName !== params.name) {
          return failure(400, id, ERROR.headerMismatch, 'Mcp-Name is not the name in the body');
        }
        return this.#call(message, { resultType: 'complete', _meta: RESULT_META });
      case 'tools/list':
        return success(id, { ...cacheable, tools: TOOLS });
      case 'server/discover':
        return success(id, {
          ...cacheable,
          supportedVersions: [MODERN_REVISION, ...LEGACY_REVISIONS],
          capabilities: this.#capabilities,
        });
      case 'subscriptions/listen':
        if (this.tells) return acknowledgement(id, params);
        break;
      default:
    }
    return failure(404, id, ERROR.methodNotFound, `Method not found: ${method}`);
  }

  get #capabilities() {
    return { tools: this.tells ? { listChanged: true } : {} };
  }

  #legacy(request: UpstreamRequest, message: Message): UpstreamReply {
    const { id, method, params } = message;
    if (method === 'initialize') {
      const wanted = params?.protocolVersion;
      const session = randomUUID();
      this.#sessions.add(session);
      const result = {
        protocolVersion:
          typeof wanted === 'string' && LEGACY_REVISIONS.has(wanted) ? wanted : LEGACY_REVISION,
        capabilities: this.#capabilities,
        serverInfo: SERVER_INFO,
      };
      return { ...success(id, result), session };
    }
    if (request.session === '') {
      return failure(400, id, ERROR.invalidRequest, 'Mcp-Session-Id is missing; it begins with initialize');
    }
    if (!this.#sessions.has(request.session))
      return failure(404, id, ERROR.invalidRequest, 'Unknown session');
    if (request.revision !== '' && !LEGACY_REVISIONS.has(request.revision)) {
      return failure(400, id, ERROR.invalidRequest, `Unsupported MCP-Protocol-Version: ${request.revision}`);
    }
    if (id === undefined) return { status: 202 };
    switch (method) {
      case 'tools/call':
        return this.#call(message, {});
      case 'tools/list':
        return success(id, { tools: TOOLS });
      case 'ping':
        return success(id, {});
      default:
        return failure(200, id, ERROR.methodNotFound, `Method not found: ${method}`);
    }
  }

  #call({ id, params }: Message, envelope: Record<string, unknown>): UpstreamReply {
    if (params?.name !== ECHO_TOOL) {
      return failure(
        200,
        id,
        ERROR.invalidParams,
        `Unknown tool: ${String(params?.name)}; there is only ${ECHO_TOOL}`,
      );
    }
    const text = params.arguments?.text;
    if (typeof text !== 'string')
      return failure(200, id, ERROR.invalidParams, 'arguments.text must be a string');
    return success(id, { ...envelope, content: [{ type: 'text', text }], isError: false });
  }
}
