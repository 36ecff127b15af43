/** One address for gRPC and REST: what a client speaks shows in ALPN with TLS, and in the first bytes without. */
import { createServer, type RequestListener, type Server, type ServerOptions } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { HANDSHAKE_TIMEOUT_MS, HEADER_TIMEOUT_MS, MAX_CONNECTION_COUNT } from './limits.js';

/** PEM texts, as in the files. */
export interface AdminTls {
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
  /** The authority of client certificates. Who brings one of another is not let in; who brings none needs a token. */
  readonly ca?: string | Buffer | undefined;
}

/** How HTTP/2 begins: `PRI * HTTP/2.0` (RFC 9113, section 3.4). No other method begins so. */
const HTTP2_BEGINNING = 'PRI';

/**
 * What is taken of what a TLS client offers, the first one first. REST is HTTP/1.1, and whoever can talk it gets it: curl
 * and browsers offer both. Clients of gRPC can do nothing but HTTP/2, and offer it alone.
 */
const PROTOCOLS = ['http/1.1', 'h2'] as const;

type OnConnection = (socket: Socket) => void;

/** @param onHttp2 is given the connections of gRPC */
export function sharedServer(
  options: ServerOptions,
  onRequest: RequestListener,
  onHttp2: OnConnection,
  tls: AdminTls | undefined,
): Server {
  const server =
    tls === undefined
      ? plainServer(options, onRequest, onHttp2)
      : tlsServer(options, onRequest, onHttp2, tls);
  server.maxConnections = MAX_CONNECTION_COUNT;
  return server;
}

function plainServer(options: ServerOptions, onRequest: RequestListener, onHttp2: OnConnection): Server {
  const server = createServer(options, onRequest);
  divert(server, 'connection', (socket, onHttp1) => {
    beginning(socket, (text) => (text === HTTP2_BEGINNING ? onHttp2 : onHttp1)(socket));
  });
  return server;
}

function tlsServer(
  options: ServerOptions,
  onRequest: RequestListener,
  onHttp2: OnConnection,
  { cert, key, ca }: AdminTls,
): Server {
  const server = createTlsServer(
    {
      ...options,
      cert,
      key,
      ...(ca !== undefined && { ca, requestCert: true, rejectUnauthorized: false }),
      ALPNCallback: ({ protocols }) => PROTOCOLS.find((known) => protocols.includes(known)),
      minVersion: 'TLSv1.2',
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    },
    onRequest,
  );
  divert(server, 'secureConnection', (socket, onHttp1) => {
    const { authorized, alpnProtocol } = socket as TLSSocket;
    const certificate = (socket as TLSSocket).getPeerCertificate();
    const isForeign = certificate !== null && 'raw' in certificate && !authorized;
    if (isForeign) socket.destroy();
    else (alpnProtocol === 'h2' ? onHttp2 : onHttp1)(socket);
  });
  return server;
}

/** Shows another certificate to those who connect from now on. Throws when it cannot be used. */
export function renewTls(server: Server, { cert, key, ca }: AdminTls): void {
  (server as TlsServer).setSecureContext({
    cert,
    key,
    minVersion: 'TLSv1.2',
    ...(ca !== undefined && { ca }),
  });
}

/** Puts a choice in front of what a server does with its connections. */
function divert(
  server: Server,
  event: 'connection' | 'secureConnection',
  choose: (socket: Socket, onHttp1: OnConnection) => void,
): void {
  const known = server.listeners(event);
  server.removeAllListeners(event);
  server.on(event, (socket: Socket) =>
    choose(socket, (each) => {
      for (const listener of known) listener.call(server, each);
    }),
  );
}

/** Reads as much as tells the protocols apart, and puts it back. */
function beginning(socket: Socket, found: (text: string) => void): void {
  let read = Buffer.alloc(0);
  const giveUp = () => socket.destroy();
  const late = setTimeout(giveUp, HEADER_TIMEOUT_MS);
  const onReadable = () => {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) return;
    read = Buffer.concat([read, chunk]);
    if (read.byteLength < HTTP2_BEGINNING.length) return;
    end();
    socket.unshift(read);
    found(read.toString('latin1', 0, HTTP2_BEGINNING.length));
  };
  const end = () => {
    clearTimeout(late);
    socket.off('readable', onReadable);
    socket.off('close', end);
    socket.off('error', giveUp);
  };
  socket.on('readable', onReadable);
  socket.on('close', end);
  socket.on('error', giveUp);
}
