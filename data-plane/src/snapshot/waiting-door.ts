/** What a node answers while it has no configuration: that it lives, and what it waits for. */
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { ResolvedListen } from '@sluice/proto';
import { readCertificate } from '../listener/certificate.js';
import { ErrorCode, errorMessage, RpcError } from '../protocol/errors.js';

const RETRY_AFTER_SECONDS = '1';
const JSON_TYPE = { 'content-type': 'application/json', 'cache-control': 'no-store' };

export class WaitingDoor {
  private server: Server | undefined;

  constructor(private readonly reason: () => string) {}

  /** Resolves with the port. Rejects when the address cannot be listened on, or a certificate cannot be used. */
  async open({ host, port, tls }: Pick<ResolvedListen, 'host' | 'port' | 'tls'>): Promise<number> {
    const answer: RequestListener = (request, response) => {
      request.resume();
      const path = request.url?.split('?', 1)[0];
      if (path === '/live' || path === '/liveness') {
        response.writeHead(200, JSON_TYPE).end('{"status":"live"}');
        return;
      }
      const reason = this.reason();
      const isForOperators = path === '/ready' || path === '/readiness' || path === '/health';
      const body = isForOperators
        ? JSON.stringify({ status: 'not ready', reason })
        : errorMessage(undefined, new RpcError(ErrorCode.Overloaded, 'this node has no configuration yet'));
      response.writeHead(503, { ...JSON_TYPE, 'retry-after': RETRY_AFTER_SECONDS }).end(body);
    };
    const server =
      tls === undefined ? createServer(answer) : createTlsServer(await readCertificate(tls), answer);
    this.server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, resolve);
    });
    return (server.address() as { port: number }).port;
  }

  async close(): Promise<void> {
    const { server } = this;
    this.server = undefined;
    if (server === undefined) return;
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  }
}
