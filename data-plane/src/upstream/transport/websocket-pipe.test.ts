import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { createSecureContext } from 'node:tls';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { type ServerOptions, type WebSocket, WebSocketServer } from 'ws';
import { EgressPolicy } from './egress-policy.js';
import type { Pipe } from './pipe.js';
import { makeTestCertificate } from './test-certificate.js';
import { openWebSocket, type WebSocketOptions } from './websocket-pipe.js';

const PING_INTERVAL_MS = 20_000;
const CLOSE_GRACE_MS = 2_000;

const endings: (() => unknown)[] = [];
afterEach(async () => {
  vi.useRealTimers();
  for (const end of endings.splice(0).reverse()) await end();
});

async function listen(server: Server | ReturnType<typeof createTcpServer>): Promise<string> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket.on('error', () => {})));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  endings.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

interface Peer {
  url: string;
  /** The newest connection. */
  socket: Promise<WebSocket>;
  heard: string[];
  requests: IncomingMessage[];
}

/** A WebSocket server, whose other end a test plays by hand. */
async function startPeer(options: ServerOptions = {}, server: Server = createServer()): Promise<Peer> {
  const sockets = new WebSocketServer({ server, handleProtocols: () => 'mcp', ...options });
  const peer: Peer = {
    url: '',
    heard: [],
    requests: [],
    socket: new Promise((resolve) =>
      sockets.on('connection', (socket, request) => {
        peer.requests.push(request);
        socket.on('message', (data) => peer.heard.push(String(data)));
        resolve(socket);
      }),
    ),
  };
  peer.url = `ws://${await listen(server)}/mcp?key=1`;
  return peer;
}

interface Opened {
  pipe: Pipe;
  told: string[];
  /** Resolves when the pipe is open. */
  open: Promise<void>;
  /** Resolves with the reason of its end. */
  closed: Promise<string>;
}

function open(url: string, options: Partial<WebSocketOptions> = {}): Opened {
  const told: string[] = [];
  let opened = () => {};
  let ended = (_: string) => {};
  const open = new Promise<void>((resolve) => {
    opened = resolve;
  });
  const closed = new Promise<string>((resolve) => {
    ended = resolve;
  });
  const pipe = openWebSocket(
    {
      url: new URL(url),
      headers: {},
      policy: new EgressPolicy([], []),
      secureContext: undefined,
      connectTimeoutMs: 10_000,
      maxMessageBytes: 100_000,
      maxPendingWriteBytes: 100_000,
      ...options,
    },
    {
      opened() {
        told.push('opened');
        opened();
      },
      message: (bytes) => told.push(bytes.toString()),
      undelivered: () => told.push('undelivered'),
      closed(reason) {
        told.push('closed');
        ended(reason);
      },
    },
  );
  endings.push(() => pipe.stop());
  return { pipe, told, open, closed };
}

describe('a WebSocket', () => {
  it('carries one message in each text frame, both ways, in order', async () => {
    const peer = await startPeer();
    const { pipe, told } = open(peer.url, { headers: { authorization: 'Bearer x' } });
    expect(pipe.write(Buffer.from('"Grüße"').toString('latin1'))).toBe(true);
    pipe.write('2');
    const socket = await peer.socket;
    socket.send('"Ünder"');
    await expect.poll(() => told).toEqual(['opened', '"Ünder"']);
    pipe.write('3');
    await expect.poll(() => peer.heard).toEqual(['"Grüße"', '2', '3']);
    const [request] = peer.requests as [IncomingMessage];
    expect(request.url).toBe('/mcp?key=1');
    expect(request.headers).toMatchObject({
      host: new URL(peer.url).host,
      authorization: 'Bearer x',
      'sec-websocket-protocol': 'mcp',
    });
    expect(request.headers).not.toHaveProperty('sec-websocket-extensions');
  });

  it('is secured where the address says so, against the certificates that are trusted', async () => {
    const certificate = makeTestCertificate(['127.0.0.1']);
    const peer = await startPeer({}, createTlsServer(certificate));
    const url = peer.url.replace('ws:', 'wss:');
    const trusting = open(url, { secureContext: createSecureContext({ ca: certificate.cert }) });
    trusting.pipe.write('1');
    await expect.poll(() => peer.heard).toEqual(['1']);
    expect(await open(url, { secureContext: createSecureContext() }).closed).toContain('TLS');
  });

  it('is closed with a goodbye, which nobody is told', async () => {
    const peer = await startPeer();
    const { pipe, told, open: opened } = open(peer.url);
    await opened;
    const socket = await peer.socket;
    const goodbye = once(socket, 'close');
    await pipe.stop();
    expect((await goodbye)[0]).toBe(1000);
    expect(pipe.write('1')).toBe(false);
    expect(told).toEqual(['opened']);
  });

  it('is ended when the goodbye is not answered', async () => {
    const peer = await startPeer();
    const { pipe, open: opened } = open(peer.url);
    await opened;
    (await peer.socket).pause();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const stopped = pipe.stop();
    vi.advanceTimersByTime(CLOSE_GRACE_MS);
    await stopped;
  });

  it('can be stopped before it is open', async () => {
    const url = `ws://${await listen(createTcpServer())}`;
    const { pipe, told } = open(url);
    await pipe.stop();
    expect(told).toEqual([]);
  });
});

describe('a handshake fails', () => {
  const answering = async (answer: (response: ServerResponse) => void) =>
    `ws://${await listen(createServer((_, response) => answer(response)))}`;

  it('when the egress rules deny the address', async () => {
    const peer = await startPeer();
    const { closed } = open(peer.url, { policy: new EgressPolicy(['127.0.0.0/8'], []) });
    expect(await closed).toContain('which the egress rules deny');
    expect(peer.requests).toEqual([]);
  });

  it('when nobody listens', async () => {
    expect(await open('ws://127.0.0.1:1').closed).toContain('connection refused');
  });

  it('when the server says nothing', async () => {
    const url = `ws://${await listen(createTcpServer())}`;
    expect(await open(url, { connectTimeoutMs: 50 }).closed).toBe('no WebSocket handshake within 50 ms');
  });

  it('when the server does not speak HTTP', async () => {
    const server = createTcpServer((socket) => socket.write('SSH-2.0-OpenSSH_9.2\r\n'));
    expect(await open(`ws://${await listen(server)}`).closed).toMatch(/parse|expected HTTP/i);
  });

  it('when it is redirected, without a request to the new place', async () => {
    const peer = await startPeer();
    const url = await answering((response) => response.writeHead(307, { location: peer.url }).end());
    const { closed } = open(url, { headers: { authorization: 'Bearer x' } });
    expect(await closed).toContain(`redirects the WebSocket handshake to ${peer.url}`);
    expect(peer.requests).toEqual([]);
  });

  it('when it is refused', async () => {
    const url = await answering((response) => response.writeHead(401).end());
    expect(await open(url).closed).toBe('the server refused the WebSocket handshake with HTTP 401');
  });

  it('when the subprotocol is not taken', async () => {
    const peer = await startPeer({ handleProtocols: () => false });
    expect(await open(peer.url).closed).toBe('the server did not take the subprotocol "mcp"');
  });

  it('without saying that the pipe was open', async () => {
    const { told, closed } = open('ws://127.0.0.1:1');
    await closed;
    expect(told).toEqual(['closed']);
  });
});

describe('an open WebSocket ends', () => {
  async function opened(options: Partial<WebSocketOptions> = {}, server: ServerOptions = {}) {
    const peer = await startPeer(server);
    const connection = open(peer.url, options);
    await connection.open;
    return { ...connection, socket: await peer.socket };
  }

  it('with the words of the server', async () => {
    const { socket, closed } = await opened();
    socket.close(1001, 'going away');
    expect(await closed).toBe('the server closed the connection with code 1001: "going away"');
  });

  it('when it breaks', async () => {
    const { socket, closed, pipe } = await opened();
    socket.terminate();
    expect(await closed).toBe('the connection broke');
    expect(pipe.write('1')).toBe(false);
  });

  it('with a message over the limit, as a whole or in pieces', async () => {
    for (const pieces of [1, 10]) {
      const { socket, closed, told } = await opened({ maxMessageBytes: 1_000 });
      for (let i = 0; i < pieces; i++) socket.send('x'.repeat(2_000 / pieces), { fin: i === pieces - 1 });
      expect(await closed).toBe('sent a message of more than 1000 bytes, which is the limit');
      expect(told).toEqual(['opened', 'closed']);
    }
  });

  it('with a binary frame, and the server is told why', async () => {
    const { socket, closed, told } = await opened();
    const goodbye = once(socket, 'close');
    socket.send(Buffer.from('{}'));
    expect(await closed).toContain('binary frame');
    expect(String((await goodbye)[1])).toBe('MCP messages are text');
    expect(told).toEqual(['opened', 'closed']);
  });

  it('with bytes that are no frame', async () => {
    const { socket, closed } = await opened();
    (socket as unknown as { _socket: Socket })._socket.write('garbage, not a frame');
    expect(await closed).toMatch(/frame/);
  });

  it('when the peer does not answer a ping', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const { socket, closed } = await opened({}, { autoPong: false });
    const pinged = once(socket, 'ping');
    vi.advanceTimersByTime(PING_INTERVAL_MS);
    await pinged;
    vi.advanceTimersByTime(PING_INTERVAL_MS);
    expect(await closed).toContain('not even an answer to a ping');
  });

  it('but not while pings are answered', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const { socket, pipe, told } = await opened();
    for (let i = 0; i < 3; i++) {
      const pinged = once(socket, 'ping');
      vi.advanceTimersByTime(PING_INTERVAL_MS);
      await pinged;
      // The pong was written before this message.
      socket.send(String(i));
      await expect.poll(() => told).toContain(String(i));
    }
    expect(pipe.write('1')).toBe(true);
  });
});

it('takes no more than it may hold for a peer that does not read', async () => {
  const peer = await startPeer();
  const { pipe, open: opened } = open(peer.url, { maxPendingWriteBytes: 1_000_000 });
  await opened;
  (await peer.socket).pause();
  const message = 'x'.repeat(100_000);
  let count = 0;
  // The buffers of the system take some megabytes first.
  while (pipe.write(message) && count < 1_000) {
    count++;
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(count).toBeLessThan(1_000);
});
