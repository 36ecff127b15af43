import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/* A server in the test's own process, whose tools are whatever the test says now, and which tells of changes. */

export interface ShapedTool {
  readonly name: string;
  readonly [member: string]: unknown;
}

export class ShapedServer {
  /** As it lists them. */
  tools: readonly ShapedTool[] = [];
  /** What calls come to. */
  result: (name: string, args: unknown) => object = (name, args) => ({
    content: [{ type: 'text', text: `${name} ${JSON.stringify(args)}` }],
  });
  /** Messages of progress that a call is told of first, where it wants to be. */
  progress: readonly string[] = [];
  /** Calls that reached it. */
  readonly calls: { readonly name: string; readonly arguments: unknown }[] = [];
  private readonly streams = new Set<ServerResponse>();
  /** Fields of a notification on a modern stream. */
  private readonly metas = new WeakMap<ServerResponse, object>();
  private readonly server = createServer((request, response) => void this.serve(request, response));

  constructor(private readonly era: 'legacy' | 'modern') {}

  /** Resolves with its URL. */
  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/mcp`;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  /** Has other tools from now on, and says so. */
  change(...tools: readonly ShapedTool[]): void {
    this.tools = tools;
    for (const stream of this.streams)
      this.tell(stream, { method: 'notifications/tools/list_changed', params: {} });
  }

  private tell(stream: ServerResponse, { method, params }: { method: string; params: object }): void {
    const _meta = this.metas.get(stream);
    const own = _meta === undefined ? params : { ...params, _meta };
    stream.write(`data: ${JSON.stringify({ jsonrpc: '2.0', method, params: own })}\n\n`);
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const isModern = this.era === 'modern';
    if (request.method !== 'POST') {
      if (isModern || request.method !== 'GET') return void response.writeHead(isModern ? 405 : 200).end();
      return this.stream(response);
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { id, method, params } = JSON.parse(Buffer.concat(chunks).toString());
    if (id === undefined) return void response.writeHead(202).end();
    if (isModern && method === 'subscriptions/listen') {
      this.metas.set(response, { 'io.modelcontextprotocol/subscriptionId': id });
      this.stream(response);
      const { notifications } = params;
      return this.tell(response, {
        method: 'notifications/subscriptions/acknowledged',
        params: { notifications },
      });
    }
    const progressToken = params?._meta?.progressToken;
    if (this.progress.length > 0 && progressToken !== undefined) {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (const [index, message] of this.progress.entries())
        this.tell(response, {
          method: 'notifications/progress',
          params: { progressToken, progress: index + 1, message },
        });
      const answer = JSON.stringify({ jsonrpc: '2.0', id, ...this.answer(method, params) });
      return void response.end(`data: ${answer}\n\n`);
    }
    const headers = {
      'content-type': 'application/json',
      ...(method === 'initialize' && { 'mcp-session-id': randomUUID() }),
    };
    response
      .writeHead(200, headers)
      .end(JSON.stringify({ jsonrpc: '2.0', id, ...this.answer(method, params) }));
  }

  private stream(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    this.streams.add(response);
    response.on('close', () => this.streams.delete(response));
  }

  private answer(method: string, params: { name: string; arguments?: unknown }): object {
    const isModern = this.era === 'modern';
    const complete = isModern ? { resultType: 'complete' } : {};
    const capabilities = { tools: { listChanged: true } };
    const cached = isModern ? { ttlMs: 0, cacheScope: 'private' } : {};
    if (method === (isModern ? 'server/discover' : 'initialize')) {
      const serverInfo = { name: 'shaped', version: '1.0.0' };
      return isModern
        ? { result: { ...complete, ...cached, supportedVersions: ['2026-07-28'], capabilities, serverInfo } }
        : { result: { protocolVersion: '2025-11-25', capabilities, serverInfo } };
    }
    if (method === 'ping') return { result: {} };
    if (method === 'tools/list') return { result: { ...complete, ...cached, tools: this.tools } };
    if (method !== 'tools/call') return { error: { code: -32601, message: `Method not found: ${method}` } };
    this.calls.push({ name: params.name, arguments: params.arguments });
    return { result: { ...complete, ...this.result(params.name, params.arguments) } };
  }
}
