import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import { ANONYMOUS } from '../exchange/exchange.js';
import { plainAddress } from './address.js';
import { admit } from './admission.js';
import { askWithoutBody, BodyIntake } from './body-intake.js';
import { readCertificate } from './certificate.js';
import { reasonPhrase } from './connection-reply.js';
import { AMBIGUOUS, asksToClose, bodyFraming, CHUNKED, FieldSection } from './fields.js';
import { listenError } from './listen-error.js';
import type {
  Door,
  Listener,
  ListenerLimits,
  ListenerOptions,
  RequestHead,
  SocketHandler,
} from './listener.js';
import { ListenerHost } from './listener-host.js';
import { NodeReply } from './node-reply.js';
import { NodeSocket } from './node-socket.js';
import { askForSocket, asksForWebSocket } from './upgrade.js';

/** What a head has beside its target, names and values: method, version, and separators for each field. */
const HEAD_OVERHEAD_BYTES = 1024;
const FIELD_OVERHEAD_BYTES = 4;

/** How often node:http looks for heads that are late, at most and at least. */
const MOST_CHECK_INTERVAL_MS = 1_000;
const LEAST_CHECK_INTERVAL_MS = 20;

/** Makes a listener over node:http. Rejects when the certificate is bad. */
export async function createNodeListener(options: ListenerOptions, door: Door): Promise<Listener> {
  const settings = serverSettings(options.limits);
  if (options.tls === undefined) return new NodeListener(createHttpServer(settings), options, door);
  const certificate = await readCertificate(options.tls);
  const { headTimeoutMs } = options.limits;
  const server = createHttpsServer({ ...settings, ...certificate, handshakeTimeout: headTimeoutMs });
  return new NodeListener(server, options, door);
}

function serverSettings(limits: ListenerLimits): ServerOptions {
  const interval = Math.min(limits.headTimeoutMs / 2, MOST_CHECK_INTERVAL_MS);
  return {
    // The parser counts separators too; the precise limits are checked afterwards, where 414 and 431 differ.
    maxHeaderSize:
      limits.maxUrlBytes +
      limits.maxHeaderBytes +
      limits.maxHeaderCount * FIELD_OVERHEAD_BYTES +
      HEAD_OVERHEAD_BYTES,
    headersTimeout: limits.headTimeoutMs,
    // The clock of a body is the intake's, which can say 408.
    requestTimeout: 0,
    keepAliveTimeout: limits.idleTimeoutMs,
    connectionsCheckingInterval: Math.max(interval, LEAST_CHECK_INTERVAL_MS),
    insecureHTTPParser: false,
    // It would answer 400 and read on behind it; the framing check closes.
    requireHostHeader: false,
  };
}

class NodeListener extends ListenerHost implements Listener {
  readonly kind = 'node';
  #closed: Promise<void> | undefined;
  readonly #sockets = new Set<Socket>();
  /** Answers that have not left, by connection: several when the client pipelines. */
  readonly #replies = new WeakMap<Socket, Set<NodeReply>>();
  /** Connections whose last request has been taken. */
  readonly #ending = new WeakSet<Socket>();
  /** Does the handshake of WebSocket connections; the subprotocol is set right before each. */
  readonly #handshake = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    handleProtocols: () => this.#subprotocol ?? false,
  });
  #subprotocol: string | undefined;

  constructor(
    private readonly server: Server | HttpsServer,
    options: ListenerOptions,
    door: Door,
  ) {
    super(options, door);
    // Fields beyond this number would be left out in silence; the limit is checked where it can be answered.
    server.maxHeadersCount = 0;
    server.maxConnections = options.limits.maxConnectionCount;
    server.on('connection', (socket: Socket) => this.#track(socket));
    server.on('request', (req, res) => this.#accept(req, res, false));
    server.on('checkContinue', (req, res) => this.#accept(req, res, true));
    if (door.upgrade !== undefined) {
      server.on('upgrade', (req, socket, head) => this.#acceptUpgrade(req, socket as Socket, head));
    }
    server.on('clientError', (error, socket) => this.#refuseUnparsed(error, socket));
    server.on('timeout', (socket) => this.#endStalled(socket));
  }

  get connectionCount(): number {
    return this.#sockets.size;
  }

  async listen(): Promise<number> {
    const { host, port, sharedPort } = this.options;
    if (sharedPort && !canSharePorts()) {
      throw new Error(
        `Cannot share ${host}:${port}: the node listener shares ports from Node.js 22.12 and 23.1 on, this is ` +
          `${process.versions.node}. Run one worker, or the uWebSockets.js listener.`,
      );
    }
    await new Promise<void>((resolve, reject) => {
      this.server.once('error', (error) => reject(listenError(host, port, error)));
      this.server.listen({ host, port, exclusive: true, reusePort: sharedPort }, resolve);
    });
    return (this.server.address() as AddressInfo).port;
  }

  setLimits(limits: ListenerLimits): void {
    this.limits = limits;
    this.server.maxConnections = limits.maxConnectionCount;
  }

  async reloadTls(): Promise<void> {
    const { tls } = this.options;
    if (tls === undefined) return;
    (this.server as HttpsServer).setSecureContext(await readCertificate(tls));
  }

  drain(): void {
    if (this.draining) return;
    this.draining = true;
    // Also ends the connections that wait for a request.
    if (this.server.listening) this.server.close();
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.drain();
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
  }

  #accept(req: IncomingMessage, res: ServerResponse, waitsForContinue: boolean): void {
    const { socket } = req;
    // The parser hands out what it has already read behind a request that ends the connection.
    if (socket.destroyed || this.#ending.has(socket)) return;
    const section = collectFields(req.rawHeaders);
    const framing = bodyFraming(section);
    const method = req.method ?? '';
    if (framing === AMBIGUOUS || (framing === CHUNKED && method === 'HEAD')) {
      socket.destroy();
      return;
    }
    const reply = this.#createReply(method, socket, res);
    reply.closing = asksToClose(section.headers);
    const head = new NodeRequestHead(method, req.url ?? '', section, socket);
    const intake = framing === 0 ? undefined : new BodyIntake(this, head, reply, framing);
    if (req.httpVersion !== '1.1') reply.refuse(505, `HTTP/${req.httpVersion} is not spoken, HTTP/1.1 is`);
    const limit = reply.open ? admit(this.door, this.limits, head, section, framing, reply) : 0;
    if (reply.closing) this.#ending.add(socket);
    if (intake === undefined) return askWithoutBody(this, head, reply);
    intake.allow(limit);
    if (waitsForContinue && reply.open) res.writeContinue();
    this.#read(req, reply, intake);
  }

  /** node:http stops reading where a request asks for any upgrade, and hands out what came behind it. */
  #acceptUpgrade(req: IncomingMessage, socket: Socket, behind: Buffer): void {
    const section = collectFields(req.rawHeaders);
    const head = new NodeRequestHead(req.method ?? '', req.url ?? '', section, socket);
    const framing = bodyFraming(section);
    if (socket.destroyed || this.#ending.has(socket)) return;
    if (framing === AMBIGUOUS || !socket.readable || (this.#replies.get(socket)?.size ?? 0) > 0) {
      socket.destroy();
      return;
    }
    if (framing !== 0 || !asksForWebSocket(head)) {
      this.#readAnew(req, socket, behind);
      return;
    }
    const res = new ServerResponse(req);
    res.assignSocket(socket);
    const reply = this.#createReply(head.method, socket, res);
    reply.closing = true;
    this.#ending.add(socket);
    res.once('finish', () => {
      res.detachSocket(socket);
      socket.destroySoon();
    });
    socket.on('error', () => undefined);
    admit(this.door, this.limits, head, section, 0, reply);
    const handler = reply.open ? askForSocket(this.door, head, reply) : undefined;
    const become = (found: SocketHandler | undefined) => {
      if (found !== undefined && !socket.destroyed)
        this.#becomeSocket(found, req, socket, behind, reply, res);
    };
    if (handler instanceof Promise) void handler.then(become);
    else become(handler);
  }

  #becomeSocket(
    handler: SocketHandler,
    req: IncomingMessage,
    socket: Socket,
    behind: Buffer,
    reply: NodeReply,
    res: ServerResponse,
  ): void {
    reply.handOver();
    this.#replies.get(socket)?.delete(reply);
    res.detachSocket(socket);
    this.#subprotocol = handler.protocol;
    this.#handshake.options.maxPayload = this.limits.maxMessageBytes;
    this.#handshake.handleUpgrade(req, socket, behind, (ws) => {
      const connection = new NodeSocket(this, handler, ws);
      this.heartbeat.add(connection);
      try {
        handler.open(connection);
      } catch (error) {
        this.fault(error);
      }
    });
  }

  /** Reads a request again without its wish for an upgrade that nobody here knows (RFC 9110 section 7.8). */
  #readAnew(req: IncomingMessage, socket: Socket, behind: Buffer): void {
    let text = `${req.method} ${req.url} HTTP/${req.httpVersion}\r\n`;
    for (let at = 0; at < req.rawHeaders.length; at += 2) {
      const name = req.rawHeaders[at] as string;
      if (name.toLowerCase() !== 'upgrade') text += `${name}: ${req.rawHeaders[at + 1]}\r\n`;
    }
    socket.unshift(Buffer.concat([Buffer.from(`${text}\r\n`, 'latin1'), behind]));
    this.server.emit(this.options.tls === undefined ? 'connection' : 'secureConnection', socket);
  }

  #createReply(method: string, socket: Socket, res: ServerResponse): NodeReply {
    const replies = this.#repliesOf(socket);
    const reply = new NodeReply(this, method, socket, res, () => {
      if (replies.delete(reply)) this.settled(reply.bodyBytes);
    });
    replies.add(reply);
    this.openReplyCount++;
    return reply;
  }

  #repliesOf(socket: Socket): Set<NodeReply> {
    const known = this.#replies.get(socket);
    if (known !== undefined) return known;
    const replies = new Set<NodeReply>();
    this.#replies.set(socket, replies);
    // An answer that still queues behind another one hears nothing from node:http when the connection goes.
    socket.once('close', () => {
      const left = [...replies];
      replies.clear();
      for (const reply of left) reply.connectionClosed();
    });
    return replies;
  }

  /** Ends a connection that waits for a next request or for its reader, and leaves alone a stream that is quiet. */
  #endStalled(socket: Socket): void {
    const replies = [...(this.#replies.get(socket) ?? [])];
    const isQuiet = replies.length > 0 && replies.every((reply) => reply.waitingBytes === 0);
    if (!isQuiet) socket.destroy();
  }

  #read(req: IncomingMessage, reply: NodeReply, intake: BodyIntake): void {
    req.on('data', (piece: Buffer) => {
      intake.take(piece, true);
      if (reply.closing) this.#ending.add(req.socket);
    });
    req.on('end', () => intake.finish());
    intake.watch();
  }

  /** Answers what the parser gave up on, where there is somebody to answer, and ends the connection. */
  #refuseUnparsed(error: NodeJS.ErrnoException, socket: Duplex): void {
    const [status, reason] = parserRefusal(error);
    const isBusy = (socket as { _httpMessage?: unknown })._httpMessage != null;
    if (!socket.writable || isBusy || status === undefined) {
      socket.destroy();
      return;
    }
    const { contentType, body } = this.#refusal(status, reason);
    socket.end(
      `HTTP/1.1 ${status} ${reasonPhrase(status)}\r\nConnection: close\r\nContent-Type: ${contentType}\r\n` +
        `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      () => socket.destroy(),
    );
  }

  #refusal(status: number, reason: string): { contentType: string; body: string } {
    try {
      return this.door.refusal(status, reason);
    } catch (error) {
      this.fault(error);
      return { contentType: 'text/plain', body: reason };
    }
  }
}

/** What an error of the parser is for the client; no status when there is nobody to tell. */
function parserRefusal(error: NodeJS.ErrnoException): [status: number | undefined, reason: string] {
  switch (error.code) {
    case 'HPE_HEADER_OVERFLOW':
      return [431, 'the request target and the header fields are too long'];
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return [408, 'the head of the request came too slowly'];
    case 'ECONNRESET':
    case 'EPIPE':
      return [undefined, ''];
    default:
      return [400, 'this is not an HTTP/1.1 request'];
  }
}

function collectFields(rawHeaders: readonly string[]): FieldSection {
  const section = new FieldSection();
  for (let at = 0; at < rawHeaders.length; at += 2) {
    section.add((rawHeaders[at] as string).toLowerCase(), rawHeaders[at + 1] as string);
  }
  return section;
}

/** SO_REUSEPORT came to node:net with these versions. */
function canSharePorts(): boolean {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  return major > 23 || (major === 23 && minor >= 1) || (major === 22 && minor >= 12);
}

/** The head of a request; the address is asked for when it is read. */
class NodeRequestHead implements RequestHead {
  readonly path: string;
  readonly query: string;
  readonly headers: RequestHead['headers'];
  readonly repeated: RequestHead['repeated'];
  principal = ANONYMOUS;
  #remoteAddress: string | undefined;

  constructor(
    readonly method: string,
    target: string,
    section: FieldSection,
    private readonly socket: Socket,
  ) {
    const mark = target.indexOf('?');
    this.path = mark === -1 ? target : target.slice(0, mark);
    this.query = mark === -1 ? '' : target.slice(mark + 1);
    this.headers = section.headers;
    this.repeated = section.repeated;
  }

  get remoteAddress(): string {
    this.#remoteAddress ??= plainAddress(this.socket.remoteAddress ?? '');
    return this.#remoteAddress;
  }
}
