/** The two eras of MCP: `modern` is 2026-07-28, without sessions; `legacy` is everything before it. */
export type Era = 'modern' | 'legacy';

export const MODERN_REVISION = '2026-07-28';
export const LEGACY_REVISION = '2025-11-25';

/** Name of the one tool that the upstream of the benchmark has. */
export const ECHO_TOOL = 'echo';
const CLIENT_INFO = { name: 'sluice-bench', version: '1.0.0' };
const MODERN_META = {
  'io.modelcontextprotocol/protocolVersion': MODERN_REVISION,
  'io.modelcontextprotocol/clientInfo': CLIENT_INFO,
  'io.modelcontextprotocol/clientCapabilities': {},
};
/** Makes the `arguments` of a call 120 bytes long, with a number of about six digits beside it. */
const ECHO_TEXT =
  'The quick brown fox jumps over the lazy dog while the five boxing wizards jump quickly, again..';

/** Where and how to call the echo tool. */
export interface Target {
  /** The MCP endpoint; loopback only. */
  url: string;
  era: Era;
  /** Sent with every request. */
  headers?: Readonly<Record<string, string>>;
}

/** Headers of a POST, as each era's Streamable HTTP transport wants them. */
export function requestHeaders(
  era: Era,
  method: string,
  options: { name?: string; session?: string; more?: Readonly<Record<string, string>> } = {},
): Record<string, string> {
  const headers: Record<string, string> = {
    ...options.more,
    'Content-Type': 'application/json',
    Accept: 'application/json, text/event-stream',
  };
  if (era === 'modern') {
    headers['MCP-Protocol-Version'] = MODERN_REVISION;
    headers['Mcp-Method'] = method;
    if (options.name !== undefined) headers['Mcp-Name'] = options.name;
  } else {
    // An initialize request comes before a revision is agreed on.
    if (method !== 'initialize') headers['MCP-Protocol-Version'] = LEGACY_REVISION;
    if (options.session !== undefined) headers['Mcp-Session-Id'] = options.session;
  }
  return headers;
}

/** A JSON-RPC request as text. */
export function requestBody(era: Era, id: number, method: string, params: Record<string, unknown>): string {
  const withMeta = era === 'modern' ? { ...params, _meta: MODERN_META } : params;
  return JSON.stringify({ jsonrpc: '2.0', id, method, params: withMeta });
}

/** Parameters of `initialize` in the legacy era. */
export function initializeParams(): Record<string, unknown> {
  return { protocolVersion: LEGACY_REVISION, capabilities: {}, clientInfo: CLIENT_INFO };
}

/**
 * Makes the body of one echo call for any id, without serialising it anew each time. The id stands in the arguments too:
 * no two calls are the same, so a cache in between has none of them.
 */
export function echoCallTemplate(era: Era, tool: string): (id: number) => string {
  const marker = 1234567890;
  const text = requestBody(era, marker, 'tools/call', {
    name: tool,
    arguments: { text: ECHO_TEXT, call: marker },
  });
  const [head, middle, tail] = text.split(String(marker)) as [string, string, string];
  return (id) => head + id + middle + id + tail;
}

/** The JSON-RPC message in an answer: the body itself, or the last event when the body is an SSE stream. */
function messageText(body: string): string {
  if (!/^(?:event|data|id|retry|:)/.test(body)) return body;
  const events = body.split(/\r?\n/).filter((line) => line.startsWith('data:') && line.length > 6);
  return (events.at(-1) ?? '').slice(5);
}

/** What a body says, or `undefined` when it holds no JSON object. */
export function parseMessage(body: string): Record<string, unknown> | undefined {
  try {
    const message: unknown = JSON.parse(messageText(body));
    return typeof message === 'object' && message !== null ? (message as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** Says what is wrong with the answer to an echo call; absent when it is right. */
export function echoAnswerProblem(era: Era, id: number, body: string): string | undefined {
  const message = parseMessage(body);
  const problem = (what: string) => `${what}: ${body.slice(0, MAX_QUOTED_CHARACTERS) || '(empty body)'}`;
  if (!message) return problem('the answer is not a JSON-RPC message');
  if (message.error !== undefined) return problem('the answer is an error');
  if (message.id !== id) return problem(`the answer has another id than ${id}`);
  const result = message.result as { content?: { text?: unknown }[]; resultType?: unknown } | undefined;
  if (result?.content?.[0]?.text !== ECHO_TEXT)
    return problem('the answer does not hold the text that was sent');
  if (era === 'modern' && result.resultType !== 'complete') return problem('the answer is not complete');
  return undefined;
}

/** How much of a wrong answer a message quotes. */
const MAX_QUOTED_CHARACTERS = 300;
