import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { MODERN } from '../stories/raw-http.js';
import { BEHAVIOURS, result } from './behaviours.js';

/** One message that reached the server, and was not the gateway's own. */
export interface Reached {
  readonly method: string;
  readonly tool: string | undefined;
  readonly headers: IncomingMessage['headers'];
  /** As it came. */
  readonly body: string;
}

/** A server whose tools do what no server should; it counts what reaches it. */
export interface MisbehavingServer {
  readonly url: string;
  readonly reached: Reached[];
  /** Bytes that went out as the answer to a tool. */
  readonly sentBytes: number;
  /** Answers that are not at their end. */
  readonly openCount: number;
  stop(): Promise<void>;
}

/** What the gateway asks of a server by itself. */
const GATEWAYS_OWN = new Set([
  'server/discover',
  'subscriptions/listen',
  'initialize',
  'notifications/initialized',
  'tools/list',
]);

/**
 * @param era which one it speaks; in a legacy session it also has a GET stream, on which nothing comes
 * @param elsewhere where its redirects lead
 */
export async function startMisbehavingServer(
  era: 'modern' | 'legacy',
  elsewhere = 'http://127.0.0.1:9',
): Promise<MisbehavingServer> {
  const reached: Reached[] = [];
  const counts = { sentBytes: 0, open: 0 };
  const server = createServer(async (request, response) => {
    const body = await textOf(request);
    if (request.method !== 'POST') {
      response.writeHead(request.method === 'GET' ? 405 : 200).end();
      return;
    }
    const message = JSON.parse(body) as Incoming;
    if (era === 'legacy' && request.headers['mcp-method'] !== undefined) {
      response.writeHead(400).end('no such thing');
      return;
    }
    const tool = message.method === 'tools/call' ? message.params?.name : undefined;
    if (!GATEWAYS_OWN.has(message.method)) {
      reached.push({ method: message.method, tool, headers: request.headers, body });
    }
    if (message.id === undefined) {
      response.writeHead(202).end();
      return;
    }
    counts.open++;
    const { socket } = request;
    const sentBefore = socket.bytesWritten;
    response.once('close', () => {
      counts.open--;
      if (tool !== undefined) counts.sentBytes += socket.bytesWritten - sentBefore;
    });
    answer(message, tool, response, elsewhere);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    reached,
    get sentBytes() {
      return counts.sentBytes;
    },
    get openCount() {
      return counts.open;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

interface Incoming {
  readonly id?: unknown;
  readonly method: string;
  readonly params?: { readonly name?: string; readonly protocolVersion?: string };
}

function answer(
  message: Incoming,
  tool: string | undefined,
  response: ServerResponse,
  elsewhere: string,
): void {
  const { id, method, params } = message;
  const serverInfo = { name: 'misbehaving', version: '1.0.0' };
  const capabilities = { tools: {} };
  if (tool !== undefined) {
    const behaviour = BEHAVIOURS[tool];
    if (behaviour === undefined) throw new Error(`No behaviour is called ${tool}`);
    behaviour(response, id, elsewhere);
  } else if (method === 'server/discover') {
    json(
      response,
      result(id, { supportedVersions: [MODERN], capabilities, serverInfo, ttlMs: 0, cacheScope: 'public' }),
    );
  } else if (method === 'initialize') {
    response.setHeader('mcp-session-id', 'one-session');
    json(response, result(id, { protocolVersion: params?.protocolVersion, capabilities, serverInfo }));
  } else if (method === 'tools/list') {
    const tools = Object.keys(BEHAVIOURS).map((name) => ({ name, inputSchema: { type: 'object' } }));
    json(response, result(id, { tools, ttlMs: 0, cacheScope: 'public' }));
  } else if (method === 'subscriptions/listen') {
    // Stays open and says nothing.
    response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
  } else {
    json(response, result(id, {}));
  }
}

function json(response: ServerResponse, body: string): void {
  response.setHeader('content-type', 'application/json');
  response.end(body);
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
