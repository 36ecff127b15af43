import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Ways to refuse every request. */
type Rejection = 'not found' | 'JSON-RPC error with 400' | 'JSON-RPC error with 200';

export const REJECTIONS: readonly Rejection[] = [
  'not found',
  'JSON-RPC error with 400',
  'JSON-RPC error with 200',
];

/**
 * A server that refuses everything: what the conformance suite finds right with it, it would find right with
 * anything.
 */
export async function startRejectingServer(how: Rejection): Promise<{ url: string; stop(): Promise<void> }> {
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    if (how === 'not found') response.writeHead(404).end('Not found');
    else refuse(response, how === 'JSON-RPC error with 200' ? 200 : 400, body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function refuse(response: ServerResponse, status: number, body: string): void {
  const id = body === '' ? null : (JSON.parse(body).id ?? null);
  const error = { code: -32603, message: 'Everything is refused' };
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify({ jsonrpc: '2.0', id, error }));
}
