import { randomBytes } from 'node:crypto';
import { expect, onTestFinished, test } from 'vitest';
import { type ClientOptions, WebSocket } from 'ws';
import type { MessageSocket, RequestHead, SocketHandler } from '../listener.js';
import { RawClient } from './raw-client.js';
import { CertificateFolder } from './self-signed.js';
import { get, type Kind, pattern, type Running, start, TestDoor } from './test-listener.js';

/** What a test does with the connections of a door. */
class Handler implements SocketHandler {
  socket: MessageSocket | undefined;
  readonly messages: string[] = [];
  goneCount = 0;

  constructor(
    readonly protocol: string | undefined,
    private readonly onMessage: (socket: MessageSocket, text: Buffer) => void,
  ) {}

  open(socket: MessageSocket): void {
    this.socket = socket;
  }

  message(text: Buffer): void {
    this.messages.push(text.toString());
    this.onMessage(this.socket as MessageSocket, text);
  }

  gone(): void {
    this.goneCount++;
  }
}

/** A door that takes every upgrade, and says what it hears. */
class SocketDoor extends TestDoor {
  readonly handlers: Handler[] = [];
  readonly upgrades: RequestHead[] = [];

  constructor(
    private readonly onMessage: (socket: MessageSocket, text: Buffer) => void = (socket, text) => {
      socket.send(text);
    },
  ) {
    super();
  }

  upgrade(head: RequestHead): SocketHandler {
    this.upgrades.push(head);
    const handler = new Handler(
      head.headers['sec-websocket-protocol'] === undefined ? undefined : 'mcp',
      this.onMessage,
    );
    this.handlers.push(handler);
    return handler;
  }

  get last(): Handler {
    return this.handlers.at(-1) as Handler;
  }
}

/** Takes upgrades as another door does, and leaves requests without an answer. */
class WaitingDoor extends TestDoor {
  constructor(private readonly other: SocketDoor) {
    super(() => undefined);
  }

  upgrade(head: RequestHead): SocketHandler {
    return this.other.upgrade(head);
  }
}

/** A client that has come in, and what it was told. */
class Client {
  readonly messages: Buffer[] = [];
  closed: { code: number; reason: string } | undefined;

  private constructor(readonly ws: WebSocket) {
    ws.on('message', (message) => this.messages.push(message as Buffer));
    ws.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() };
    });
  }

  static async open({ port }: Running, path = '/mcp', options: ClientOptions = {}): Promise<Client> {
    const ws = new WebSocket(`ws://127.0.0.1:${port}${path}`, 'mcp', options);
    onTestFinished(() => ws.terminate());
    const client = new Client(ws);
    await new Promise((resolve, reject) => ws.once('open', resolve).once('error', reject));
    return client;
  }

  get texts(): string[] {
    return this.messages.map(String);
  }

  /** Writes a frame as it stands. */
  frame(opcode: number, payload: Buffer, isLast = true): void {
    this.socket.write(clientFrame(opcode, payload, isLast));
  }

  get socket(): import('node:net').Socket {
    return (this.ws as unknown as { _socket: import('node:net').Socket })._socket;
  }
}

/** A frame of a client as it stands, masked with zeros. */
function clientFrame(opcode: number, payload: Buffer, isLast = true): Buffer {
  const { length } = payload;
  const head =
    length < 126
      ? Buffer.from([0, 0x80 | length])
      : length < 65_536
        ? Buffer.from([0, 0x80 | 126, length >> 8, length & 0xff])
        : Buffer.concat([Buffer.from([0, 0x80 | 127, 0, 0, 0, 0]), uint32(length)]);
  head[0] = (isLast ? 0x80 : 0) | opcode;
  return Buffer.concat([head, Buffer.alloc(4), payload]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

const KEY = randomBytes(16).toString('base64');

/** The head of an upgrade. */
function upgrade(path = '/mcp', changes: Record<string, string | undefined> = {}): string {
  const fields = {
    Host: 'here',
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': KEY,
    ...changes,
  };
  const lines = Object.entries(fields).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${value}`],
  );
  return `${[`GET ${path} HTTP/1.1`, ...lines].join('\r\n')}\r\n\r\n`;
}

const TEXT = 1;
const BINARY = 2;
const CONTINUATION = 0;
const PING = 9;

/** WebSocket connections. */
export function socketCases(kind: Kind): void {
  test('messages come and go, whole and in order', async () => {
    const door = new SocketDoor();
    const running = await start(kind, door);
    const client = await Client.open(running, '/mcp/files?x=1');
    expect(client.ws.protocol).toBe('mcp');
    expect(door.upgrades[0]).toMatchObject({ method: 'GET', path: '/mcp/files', query: 'x=1' });
    expect(door.heads).toHaveLength(1);
    for (const text of ['a', 'é€😀', '']) client.ws.send(text);
    await expect.poll(() => client.texts).toEqual(['a', 'é€😀', '']);
    client.ws.close();
    await expect.poll(() => client.closed?.code).toBe(1005);
    await expect.poll(() => door.last.goneCount).toBe(1);
    expect(running.faults).toEqual([]);
  });

  test('a client that offers no subprotocol gets none', async () => {
    const running = await start(kind, new SocketDoor());
    const raw = await running.connect();
    raw.send(upgrade());
    await raw.until(() => raw.text.includes('\r\n\r\n'));
    expect(raw.text).toMatch(/^HTTP\/1\.1 101 /);
    expect(raw.text.toLowerCase()).not.toContain('sec-websocket-protocol');
  });

  test('a message in fragments is one message, with pings between them', async () => {
    const door = new SocketDoor();
    const client = await Client.open(await start(kind, door));
    client.frame(TEXT, Buffer.from('one '), false);
    client.frame(9, Buffer.from('ping'));
    client.frame(CONTINUATION, Buffer.from('two '), false);
    client.frame(CONTINUATION, Buffer.from('three'));
    await expect.poll(() => client.texts).toEqual(['one two three']);
  });

  test('binary messages are refused with 1003', async () => {
    const client = await Client.open(await start(kind, new SocketDoor()));
    client.frame(BINARY, Buffer.from('{}'));
    await expect.poll(() => client.closed?.code).toBe(1003);
    expect(client.messages).toEqual([]);
  });

  test('a message that is too long is refused with 1009', async () => {
    const running = await start(kind, new SocketDoor(), { limits: { maxMessageBytes: 1_000 } });
    const client = await Client.open(running);
    client.ws.send('a'.repeat(1_000));
    await expect.poll(() => client.messages.length).toBe(1);
    client.ws.send('a'.repeat(1_001));
    await expect.poll(() => client.closed?.code).toBe(1009);
  });

  test('a giant frame and a giant sum of fragments end the connection', async () => {
    const door = new SocketDoor();
    const running = await start(kind, door, { limits: { maxMessageBytes: 1_000 } });
    const one = await Client.open(running);
    one.frame(TEXT, Buffer.alloc(1_000_000, 'a'));
    await expect.poll(() => one.closed).toBeDefined();
    const many = await Client.open(running);
    many.frame(TEXT, Buffer.alloc(900, 'a'), false);
    for (let count = 0; count < 10; count++) many.frame(CONTINUATION, Buffer.alloc(900, 'a'), false);
    await expect.poll(() => many.closed).toBeDefined();
    await expect.poll(() => door.handlers.map(({ goneCount }) => goneCount)).toEqual([1, 1]);
    expect(door.handlers.flatMap(({ messages }) => messages)).toEqual([]);
  });

  test.each([
    ['text that is not UTF-8', (client: Client) => client.frame(TEXT, Buffer.from([0xc3, 0x28]))],
    ['an unknown opcode', (client: Client) => client.frame(3, Buffer.from('a'))],
    ['a continuation of nothing', (client: Client) => client.frame(CONTINUATION, Buffer.from('a'))],
    ['bytes that are no frame', (client: Client) => client.socket.write('GET / HTTP/1.1\r\n\r\n')],
  ])('%s ends the connection and nothing else', async (_, send) => {
    const door = new SocketDoor();
    const running = await start(kind, door);
    const client = await Client.open(running);
    send(client);
    await expect.poll(() => client.closed).toBeDefined();
    await expect.poll(() => door.last.goneCount).toBe(1);
    expect(door.last.messages.filter((text) => text !== 'a')).toEqual([]);
    const next = await Client.open(running);
    next.ws.send('still here');
    await expect.poll(() => next.texts).toEqual(['still here']);
    expect(running.faults).toEqual([]);
  });

  test('connections come over TLS too', async () => {
    const folder = new CertificateFolder();
    folder.issue('here');
    const { port, faults } = await start(kind, new SocketDoor(), { tls: folder.tls });
    const ws = new WebSocket(`wss://127.0.0.1:${port}/mcp`, 'mcp', { rejectUnauthorized: false });
    onTestFinished(() => ws.terminate());
    const text = 'x'.repeat(100_000);
    ws.on('open', () => ws.send(text));
    const echoed = await new Promise((resolve) => ws.once('message', (message) => resolve(String(message))));
    expect(echoed).toBe(text);
    const other = await RawClient.openTls(port);
    other.send('GET /x HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n');
    expect((await other.response()).body.toString()).toBe('GET /x 0');
    expect(faults).toEqual([]);
  });

  test('the door may refuse, with a status and a body', async () => {
    const door = new SocketDoor();
    const running = await start(
      kind,
      Object.assign(door, {
        upgrade: (_head: RequestHead, reply: import('../listener.js').Reply) => {
          reply.send(404, [['content-type', 'text/plain']], 'nothing here');
          return undefined;
        },
      }),
    );
    const raw = await running.connect();
    raw.send(upgrade());
    const response = await raw.response();
    expect([response.status, response.body.toString()]).toEqual([404, 'nothing here']);
  });

  test('the head is shown to the door first, as that of any request', async () => {
    const door = new SocketDoor();
    door.onHead = (_head, reply) => {
      reply.send(403, [], 'no');
      return 0;
    };
    const running = await start(kind, door);
    const raw = await running.connect();
    raw.send(upgrade());
    expect((await raw.response()).status).toBe(403);
    expect([door.upgrades, running.listener.openReplyCount]).toEqual([[], 0]);
  });

  test.each([
    [426, { 'Sec-WebSocket-Version': '8' }],
    [426, { 'Sec-WebSocket-Version': undefined }],
    [400, { 'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAAA=' }],
  ])('a handshake that is wrong gets %i: %o', async (status, changes) => {
    const running = await start(kind, new SocketDoor());
    const raw = await running.connect();
    raw.send(upgrade('/mcp', changes));
    const response = await raw.response();
    expect(response.status).toBe(status);
    if (status === 426) expect(response.headers['sec-websocket-version']).toBe('13');
  });

  test('two Host fields end the connection without an answer', async () => {
    const door = new SocketDoor();
    const raw = await (await start(kind, door)).connect();
    raw.send(upgrade().replace('Host: here', 'Host: here\r\nHost: there'));
    await raw.closed();
    expect([raw.text, door.upgrades]).toEqual(['', []]);
  });

  test('a request for another upgrade is answered as if it had not asked', async () => {
    const door = new SocketDoor();
    const running = await start(kind, door);
    const raw = await running.connect();
    const head =
      'POST /x HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\n';
    for (let count = 0; count < 2; count++) {
      raw.send(`${head}abc`);
      const response = await raw.response();
      expect([response.status, response.body.toString()]).toEqual([200, 'POST /x 3']);
    }
    expect(door.upgrades).toEqual([]);
  });

  test.each([
    ['a key without an upgrade', 'GET', { Upgrade: undefined, Connection: undefined }, ''],
    ['an upgrade that is not of the connection', 'GET', { Connection: 'keep-alive' }, ''],
    ['a POST', 'POST', {}, ''],
    ['a body', 'GET', { 'Content-Length': '3' }, 'abc'],
  ])(
    '%s makes no WebSocket connection, and what follows is read as it stands',
    async (_, method, changes, body) => {
      const door = new SocketDoor();
      const raw = await (await start(kind, door)).connect();
      for (let count = 0; count < 2; count++) {
        raw.send(upgrade('/a', changes).replace('GET', method) + body);
        const response = await raw.response();
        expect([response.status, response.body.toString()]).toEqual([200, `${method} /a ${body.length}`]);
      }
      raw.send(get('/b'));
      expect((await raw.response()).body.toString()).toBe('GET /b 0');
      expect([door.upgrades, door.paths]).toEqual([[], ['/a', '/a', '/b']]);
    },
  );

  test('an upgrade behind a request that is not answered yet ends the connection', async () => {
    const door = new SocketDoor();
    const raw = await (await start(kind, new WaitingDoor(door))).connect();
    raw.send(get('/wait') + upgrade());
    await raw.closed();
    expect(door.upgrades).toEqual([]);
  });

  test('without a door for them, upgrades are requests like all others', async () => {
    const running = await start(kind, new TestDoor());
    const raw = await running.connect();
    raw.send(upgrade());
    expect((await raw.response()).body.toString()).toBe('GET /mcp 0');
  });

  test('a slow reader gets everything, byte for byte', async () => {
    const parts = Array.from({ length: 200 }, (_, index) => `${index} ${pattern(50_000).toString('base64')}`);
    const door = new SocketDoor((socket) => {
      for (const part of parts) socket.send(Buffer.from(part));
    });
    const client = await Client.open(await start(kind, door));
    client.ws.send('go');
    client.socket.pause();
    await expect.poll(() => door.last.messages).toHaveLength(1);
    await new Promise((resolve) => setTimeout(resolve, 200));
    client.socket.resume();
    await expect.poll(() => client.messages.length, { timeout: 10_000 }).toBe(parts.length);
    expect(client.texts.every((text, index) => text === parts[index])).toBe(true);
  });

  test('a reader that is too slow for what waits loses its connection', async () => {
    const sent: boolean[] = [];
    const door = new SocketDoor();
    const running = await start(kind, door, { limits: { maxPendingReplyBytes: 1_000_000 } });
    const client = await Client.open(running);
    client.socket.pause();
    for (let count = 0; count < 100; count++)
      sent.push(door.last.socket?.send(Buffer.alloc(1_000_000, 'a')) ?? false);
    expect([sent[0], sent.at(-1)]).toEqual([true, false]);
    await expect.poll(() => door.last.goneCount).toBe(1);
  });

  test('a client that pings and does not read the answers loses its connection', async () => {
    const door = new SocketDoor();
    const running = await start(kind, door, { limits: { maxPendingReplyBytes: 100_000 } });
    const client = await Client.open(running);
    const other = await Client.open(running);
    client.socket.pause();
    // A write that finds the connection ended is what this waits for.
    client.ws.on('error', () => undefined);
    const pings = Buffer.concat(Array<Buffer>(2_000).fill(clientFrame(PING, Buffer.alloc(125))));
    for (let sentBytes = 0; sentBytes < 40_000_000 && door.handlers[0]?.goneCount === 0; ) {
      sentBytes += pings.length;
      await new Promise((resolve) => client.socket.write(pings, resolve));
    }
    expect(door.handlers[0]?.goneCount).toBe(1);
    other.ws.send('still there');
    await expect.poll(() => other.texts).toEqual(['still there']);
  });

  test('a client that does not answer pings is given up', async () => {
    const door = new SocketDoor();
    const running = await start(kind, door, { limits: { pingIntervalMs: 50 } });
    const silent = await Client.open(running, '/mcp', { autoPong: false });
    const alive = await Client.open(running);
    await expect.poll(() => silent.closed?.code).toBe(1006);
    expect(alive.closed).toBeUndefined();
    await expect.poll(() => door.handlers.map(({ goneCount }) => goneCount)).toEqual([1, 0]);
  });

  test('the goodbye comes behind what was sent, with a reason that fits', async () => {
    const door = new SocketDoor((socket) => {
      socket.send(Buffer.from('last words'));
      socket.close(1001, `${'é'.repeat(80)}`);
      socket.send(Buffer.from('too late'));
    });
    const running = await start(kind, door);
    const client = await Client.open(running);
    client.ws.send('go');
    await expect.poll(() => client.closed).toEqual({ code: 1001, reason: 'é'.repeat(61) });
    expect(client.texts).toEqual(['last words']);
    await expect.poll(() => door.last.goneCount).toBe(1);
    await expect.poll(() => running.listener.openReplyCount).toBe(0);
  });

  test('a goodbye that is not answered ends the connection all the same', async () => {
    const door = new SocketDoor();
    const running = await start(kind, door);
    const client = await Client.open(running);
    client.socket.pause();
    door.last.socket?.send(Buffer.alloc(20_000_000, 'a'));
    door.last.socket?.close(1001, 'bye');
    expect(running.listener.openReplyCount).toBe(1);
    await expect.poll(() => door.last.goneCount, { timeout: 5_000 }).toBe(1);
    expect(running.listener.openReplyCount).toBe(0);
  });

  test('the goodbye waits for a reader that is slow', async () => {
    const door = new SocketDoor();
    const running = await start(kind, door);
    const client = await Client.open(running);
    client.socket.pause();
    door.last.socket?.send(Buffer.alloc(20_000_000, 'a'));
    door.last.socket?.close(1001, 'bye');
    client.socket.resume();
    await expect.poll(() => client.closed, { timeout: 5_000 }).toEqual({ code: 1001, reason: 'bye' });
    expect(client.messages.map(({ length }) => length)).toEqual([20_000_000]);
    await expect.poll(() => running.listener.openReplyCount).toBe(0);
  });

  test('a fault of the handler costs the connection', async () => {
    const door = new SocketDoor(() => {
      throw new Error('a fault');
    });
    const running = await start(kind, door);
    const client = await Client.open(running);
    client.ws.send('go');
    await expect.poll(() => client.closed?.code).toBe(1011);
    expect(running.faults).toEqual([new Error('a fault')]);
  });

  test('connections are counted, and one more than may be is closed', async () => {
    const running = await start(kind, new SocketDoor(), { limits: { maxConnectionCount: 2 } });
    const [first] = [await Client.open(running), await Client.open(running)];
    expect(running.listener.connectionCount).toBe(2);
    await expect(Client.open(running)).rejects.toThrow();
    first.ws.terminate();
    await expect.poll(() => running.listener.connectionCount).toBe(1);
    const next = await Client.open(running);
    next.ws.close();
    await expect.poll(() => running.listener.connectionCount).toBe(1);
  });

  test('closing the listener ends all connections', async () => {
    const door = new SocketDoor();
    const running = await start(kind, door);
    const client = await Client.open(running);
    running.listener.drain();
    client.ws.send('still served');
    await expect.poll(() => client.texts).toEqual(['still served']);
    await running.listener.close();
    await expect.poll(() => client.closed?.code).toBe(1006);
    expect(door.last.goneCount).toBe(1);
  });
}
