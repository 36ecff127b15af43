/**
 * The upstream of the benchmark as a process of its own. It writes one JSON line with its address when it
 * listens, and ends with the process that started it.
 */

import type { HttpRequest, HttpResponse, TemplatedApp } from 'uWebSockets.js';
import { createServer, type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { EchoServer, type UpstreamReply, type UpstreamRequest } from './upstream-protocol.js';

/** Requests of the benchmark are some 400 bytes long. */
const MAX_BODY_BYTES = 64 * 1024;

/** The part of the library that is used here. */
interface UwsModule {
  App(): TemplatedApp;
  us_socket_local_port(socket: unknown): number;
}

/** Absent where its native part does not load: then node:http serves, some ten times slower. */
function loadUws(): UwsModule | undefined {
  try {
    return createRequire(import.meta.url)('uWebSockets.js') as UwsModule;
  } catch {
    return undefined;
  }
}

function serveWithUws(uws: UwsModule, server: EchoServer): void {
  const reply = (res: HttpResponse, { status, body, session }: UpstreamReply) => {
    res.cork(() => {
      res.writeStatus(`${status} ${STATUS_CODES[status]}`);
      if (session !== undefined) res.writeHeader('Mcp-Session-Id', session);
      if (body !== undefined) res.writeHeader('Content-Type', 'application/json');
      res.end(body);
    });
  };
  const handle = (res: HttpResponse, req: HttpRequest) => {
    const request: UpstreamRequest = {
      method: req.getCaseSensitiveMethod(),
      origin: req.getHeader('origin'),
      revision: req.getHeader('mcp-protocol-version'),
      mcpMethod: req.getHeader('mcp-method'),
      mcpName: req.getHeader('mcp-name'),
      session: req.getHeader('mcp-session-id'),
      body: '',
    };
    // Only a body can end after its connection: everything else is answered before the handler returns.
    res.onAborted(() => {});
    if (request.method !== 'POST') return reply(res, server.answer(request));
    const chunks: Buffer[] = [];
    let bytes = 0;
    res.onData((chunk, isLast) => {
      bytes += chunk.byteLength;
      if (bytes > MAX_BODY_BYTES) return void res.close();
      // The chunk is only valid during this call.
      if (isLast && chunks.length === 0) request.body = Buffer.from(chunk).toString('utf8');
      else chunks.push(Buffer.from(Buffer.from(chunk)));
      if (!isLast) return;
      if (chunks.length > 0) request.body = Buffer.concat(chunks).toString('utf8');
      reply(res, server.answer(request));
    });
  };
  uws
    .App()
    .any('/mcp', handle)
    .listen('127.0.0.1', 0, (socket) => {
      if (!socket) throw new Error('The upstream of the benchmark found no free port on 127.0.0.1');
      announce(uws.us_socket_local_port(socket), 'uWebSockets.js');
    });
}

function serveWithNode(server: EchoServer): void {
  const header = (req: IncomingMessage, name: string) => String(req.headers[name] ?? '');
  const handle = (req: IncomingMessage, res: ServerResponse) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    req.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > MAX_BODY_BYTES) req.destroy();
      else chunks.push(chunk);
    });
    req.on('end', () => {
      const { status, body, session, stream } = server.answer({
        method: req.method ?? '',
        origin: header(req, 'origin'),
        revision: header(req, 'mcp-protocol-version'),
        mcpMethod: header(req, 'mcp-method'),
        mcpName: header(req, 'mcp-name'),
        session: header(req, 'mcp-session-id'),
        body: Buffer.concat(chunks).toString('utf8'),
      });
      if (stream !== undefined) {
        res.writeHead(status, { 'Content-Type': 'text/event-stream' }).write(stream);
        return;
      }
      if (session !== undefined) res.setHeader('Mcp-Session-Id', session);
      if (body !== undefined) res.setHeader('Content-Type', 'application/json');
      res.writeHead(status).end(body);
    });
  };
  const http = createServer((req, res) => {
    if (req.url === '/mcp') handle(req, res);
    else res.writeHead(404).end();
  });
  http.listen(0, '127.0.0.1', () => announce((http.address() as AddressInfo).port, 'node:http'));
}

function announce(port: number, listener: string): void {
  console.log(JSON.stringify({ msg: 'listening', url: `http://127.0.0.1:${port}/mcp`, listener }));
}

process.on('disconnect', () => process.exit(0));
process.on('SIGTERM', () => process.exit(0));
// Ctrl-C reaches the whole process group; who started this process decides when it ends.
process.on('SIGINT', () => {});

const tells = process.argv.includes('--tells');
// Streams are kept by node:http: how fast their server is stands in no figure.
const uws = tells ? undefined : loadUws();
if (uws) serveWithUws(uws, new EchoServer());
else serveWithNode(new EchoServer(tells));
