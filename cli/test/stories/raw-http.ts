/** MCP over bare `fetch`, for what no official client does. */

const REVISION = '2025-11-25';
export const MODERN = '2026-07-28';
const BOTH_TYPES = { accept: 'application/json, text/event-stream', 'content-type': 'application/json' };

export interface JsonRpc {
  id?: string | number | null;
  method?: string;
  params?: any;
  result?: any;
  error?: { code: number; message: string; data?: any };
}

export interface RawEvent {
  id: string | undefined;
  /** Undefined for an event that only gives an id. */
  message: JsonRpc | undefined;
}

/** A legacy session. */
export interface RawSession {
  readonly url: string;
  readonly id: string;
  readonly headers: Readonly<Record<string, string>>;
  post(body: object, options?: { signal?: AbortSignal }): Promise<Response>;
  /** Sends a request and waits for its response. */
  ask(method: string, params?: object): Promise<JsonRpc>;
  /** The GET stream, or with an event id the rest of any stream. */
  listen(options?: { lastEventId?: string; signal?: AbortSignal }): Promise<Response>;
  end(): Promise<Response>;
}

/**
 * @param options.revision what `initialize` asks for
 * @param options.own fields of all requests
 */
export async function beginSession(
  url: string,
  options: { revision?: string; capabilities?: object; own?: Readonly<Record<string, string>> } = {},
): Promise<RawSession> {
  const { revision = REVISION, capabilities = {}, own = {} } = options;
  const response = await fetch(url, {
    method: 'POST',
    headers: { ...BOTH_TYPES, ...own },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 'initialize',
      method: 'initialize',
      params: { protocolVersion: revision, capabilities, clientInfo: { name: 'raw', version: '1.0.0' } },
    }),
  });
  const answer = await lastMessage(response);
  const id = response.headers.get('mcp-session-id');
  if (id === null) throw new Error(`no session: ${response.status} ${JSON.stringify(answer)}`);
  const headers = {
    ...BOTH_TYPES,
    ...own,
    'mcp-session-id': id,
    ...(revision >= '2025-06-18' && { 'mcp-protocol-version': answer.result.protocolVersion }),
  };
  let count = 0;
  const post: RawSession['post'] = (body, init) =>
    fetch(url, { method: 'POST', headers, body: JSON.stringify(body), ...init });
  const session: RawSession = {
    url,
    id,
    headers,
    post,
    ask: async (method, params) =>
      lastMessage(await post({ jsonrpc: '2.0', id: ++count, method, ...(params && { params }) })),
    listen: ({ lastEventId, signal } = {}) =>
      fetch(url, {
        headers: {
          ...headers,
          accept: 'text/event-stream',
          ...(lastEventId !== undefined && { 'last-event-id': lastEventId }),
        },
        ...(signal && { signal }),
      }),
    end: () => fetch(url, { method: 'DELETE', headers }),
  };
  await (await post({ jsonrpc: '2.0', method: 'notifications/initialized' })).arrayBuffer();
  return session;
}

/** Parameters as a modern client sends them. */
export function modernParams(params: object = {}, capabilities: object = {}) {
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': MODERN,
    'io.modelcontextprotocol/clientInfo': { name: 'raw', version: '1.0.0' },
    'io.modelcontextprotocol/clientCapabilities': capabilities,
  };
  return { ...params, _meta };
}

/** Posts one modern request, with the headers that repeat its body. */
export function postModern(
  url: string,
  method: string,
  params: { name?: string; [key: string]: unknown } = {},
  capabilities: object = {},
  own: Readonly<Record<string, string>> = {},
): Promise<Response> {
  const { name } = params;
  return fetch(url, {
    method: 'POST',
    headers: {
      ...BOTH_TYPES,
      ...own,
      'mcp-protocol-version': MODERN,
      'mcp-method': method,
      ...(name !== undefined && { 'mcp-name': name }),
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: modernParams(params, capabilities) }),
  });
}

/** Events of a stream as they come, to its end. */
export async function* events(response: Response): AsyncGenerator<RawEvent> {
  let rest = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n\n');
    rest = parts.pop() ?? '';
    for (const part of parts) {
      const event = parse(part);
      if (event !== undefined) yield event;
    }
  }
}

/** The response in a JSON body or at the end of a stream. */
export async function lastMessage(response: Response): Promise<JsonRpc> {
  if (!response.headers.get('content-type')?.startsWith('text/event-stream')) {
    return (await response.json()) as JsonRpc;
  }
  let last: JsonRpc = {};
  for await (const { message } of events(response)) if (message !== undefined) last = message;
  return last;
}

function parse(text: string): RawEvent | undefined {
  const fields = new Map(
    text
      .split('\n')
      .filter((line) => !line.startsWith(':'))
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]),
  );
  if (!fields.has('data') && !fields.has('id')) return undefined;
  const data = fields.get('data') ?? '';
  return { id: fields.get('id'), message: data === '' ? undefined : (JSON.parse(data) as JsonRpc) };
}
