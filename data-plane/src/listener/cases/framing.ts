import { expect, test } from 'vitest';
import type { Reply } from '../listener.js';
import { pause } from './raw-client.js';
import { get, type Kind, post, start, TestDoor } from './test-listener.js';

const SMUGGLED = get('/smuggled');

/** Heads that two readers could take for different things, each before bytes that one of them takes for a request. */
const AMBIGUOUS_HEADS: Record<string, readonly string[]> = {
  'two different Content-Length': ['Host: here', 'Content-Length: 3', 'Content-Length: 0'],
  'two equal Content-Length': ['Host: here', 'Content-Length: 3', 'Content-Length: 3'],
  'a list in Content-Length': ['Host: here', 'Content-Length: 3, 3'],
  'a sign in Content-Length': ['Host: here', 'Content-Length: +3'],
  'an empty Content-Length': ['Host: here', 'Content-Length:'],
  'two Host': ['Host: here', 'Host: there', 'Content-Length: 3'],
  'two equal Host': ['Host: here', 'Host: here', 'Content-Length: 3'],
  'an empty Host': ['Host:', 'Content-Length: 3'],
  'no Host': ['Content-Length: 3'],
  'two Transfer-Encoding': ['Host: here', 'Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'],
  'Transfer-Encoding identity': ['Host: here', 'Transfer-Encoding: identity'],
  'an empty Transfer-Encoding': ['Host: here', 'Transfer-Encoding:', 'Content-Length: 3'],
  'another spelling of chunked': ['Host: here', 'Transfer-Encoding: Chunked'],
  'a coding before chunked': ['Host: here', 'Transfer-Encoding: gzip, chunked'],
  'an empty Content-Length and Transfer-Encoding': [
    'Host: here',
    'Content-Length:',
    'Transfer-Encoding: chunked',
  ],
  'Content-Length and Transfer-Encoding': ['Host: here', 'Content-Length: 3', 'Transfer-Encoding: chunked'],
};

/** Where requests begin and end. */
export function framingCases(kind: Kind): void {
  for (const [name, fields] of Object.entries(AMBIGUOUS_HEADS)) {
    test(`${name}: the connection is closed and nothing behind it is read`, async () => {
      const door = new TestDoor();
      const { connect, listener } = await start(kind, door);
      const client = await connect();
      client.send(
        `${['POST /first HTTP/1.1', ...fields].join('\r\n')}\r\n\r\n0\r\n\r\n${SMUGGLED}${SMUGGLED}`,
      );
      await client.closed();
      expect(door.paths).toEqual([]);
      expect(client.text).toMatch(/^(HTTP\/1\.1 400 Bad Request\r\nConnection: close\r\n[^]*)?$/);
      expect(listener.openReplyCount).toBe(0);
    });
  }

  test('an ambiguous request ends the connection behind one that was answered', async () => {
    const door = new TestDoor();
    const { connect } = await start(kind, door);
    const client = await connect();
    client.send(get('/good'));
    expect((await client.response()).body.toString()).toBe('GET /good 0');
    client.send(`POST /bad HTTP/1.1\r\nHost: here\r\nHost: there\r\n\r\n${SMUGGLED}`);
    await client.closed();
    expect(door.paths).toEqual(['/good']);
  });

  test('a chunk extension hides no request', async () => {
    const door = new TestDoor();
    const { connect } = await start(kind, door);
    const client = await connect();
    // Read by the book: chunks of 1 and 64 bytes. Read by the letter: one of 0x1b bytes, an end, and a request.
    const inner = `${'-'.repeat(22)}0\r\n\r\n${SMUGGLED}`.padEnd(64, '-').slice(0, 64);
    client.send(
      `POST /first HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n1;\r\nA\r\n40\r\n${inner}\r\n0\r\n\r\n`,
    );
    await Promise.race([client.closed(), pause(700)]);
    expect(door.paths).toEqual(['/first']);
  });

  test('a trailer hides no request', async () => {
    const door = new TestDoor();
    const { connect } = await start(kind, door);
    const client = await connect();
    client.send(
      'POST /first HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\na:GET /smuggled HTTP/1.1\r\nHost: here\r\n\r\n',
    );
    await Promise.race([client.closed(), pause(300)]);
    expect(door.paths).toEqual(['/first']);
  });

  test('the body of a HEAD in chunks hides no request', async () => {
    const door = new TestDoor();
    const { connect, listener } = await start(kind, door);
    const client = await connect();
    const chunk = `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`;
    client.send(`HEAD /first HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n${chunk}`);
    await Promise.race([client.closed(), pause(300)]);
    expect(door.paths).toEqual([]);
    expect(listener.openReplyCount).toBe(0);
  });

  test('nothing is read behind a request that ends the connection', async () => {
    const door = new TestDoor();
    const { connect } = await start(kind, door);
    const client = await connect();
    client.send(get('/last', 'Connection: close') + SMUGGLED);
    await client.closed();
    expect(door.paths).toEqual(['/last']);
  });

  test('an answer says that the connection ends, and it does', async () => {
    for (const connection of ['close', 'Close', 'keep-alive, close']) {
      const { connect } = await start(kind, new TestDoor());
      const client = await connect();
      client.send(get('/', `Connection: ${connection}`));
      const response = await client.response();
      expect([response.status, response.headers.connection]).toEqual([200, 'close']);
      await client.closed();
    }
  });

  test.runIf(kind === 'uws')(
    'what uWebSockets.js takes for the wish to close is answered as that',
    async () => {
      const { connect } = await start(kind, new TestDoor());
      const client = await connect();
      client.send(get('/', 'Connection: other'));
      expect((await client.response()).headers.connection).toBe('close');
      await client.closed();
    },
  );

  test('pipelined requests that are answered at once are answered in order', async () => {
    const { connect } = await start(kind, new TestDoor());
    const client = await connect();
    client.send(get('/1') + post('/2', 'abc') + get('/3'));
    for (const body of ['GET /1 0', 'POST /2 3', 'GET /3 0']) {
      expect((await client.response()).body.toString()).toBe(body);
    }
  });

  test('answers to many pipelined requests that nobody reads have no hole', async () => {
    const { connect } = await start(kind, new TestDoor((_head, _body, reply) => reply.send(200, [], 'x')));
    const client = await connect();
    client.socket.pause();
    const batch = get('/').repeat(300);
    for (let sent = 0; sent < 300 && !client.socket.writableNeedDrain; sent++) {
      client.send(batch);
      await pause(1);
    }
    client.socket.resume();
    client.socket.end();
    await client.closed();
    const { text } = client;
    const answers = text.split('HTTP/1.1 200 OK\r\n');
    expect(answers.shift()).toBe('');
    // The last one may have been cut off; every other one is like the first but for its date.
    answers.pop();
    const undated = new Set(answers.map((answer) => answer.replace(/^Date: [^\r]+ GMT$/m, 'Date')));
    // uWebSockets.js may have given up the connection before the first answer left.
    expect(undated.size).toBeLessThanOrEqual(1);
  });

  test('pipelined requests that are answered later never mix up', async () => {
    const replies: { path: string; reply: Reply }[] = [];
    const door = new TestDoor((head, _body, reply) => {
      replies.push({ path: head.path, reply });
    });
    const { connect, listener } = await start(kind, door);
    const client = await connect();
    client.send(get('/1') + get('/2'));
    if (kind === 'uws') {
      // It cannot keep their answers in order, so it gives up the connection.
      await client.closed();
      expect(client.text).toBe('');
    } else {
      await expect.poll(() => replies.length).toBe(2);
      for (const { path, reply } of replies.toReversed()) reply.send(200, [], path);
      expect((await client.response()).body.toString()).toBe('/1');
      expect((await client.response()).body.toString()).toBe('/2');
    }
    await expect.poll(() => listener.openReplyCount).toBe(0);
  });

  test('a head may come byte by byte behind its request line', async () => {
    const { connect } = await start(kind, new TestDoor());
    const client = await connect();
    const request = post('/bytes', 'abc', 'X-Some: thing');
    const lineEnd = request.indexOf('\r\n') + 2;
    await client.sendInParts([request.slice(0, lineEnd), ...request.slice(lineEnd)]);
    expect((await client.response()).body.toString()).toBe('POST /bytes 3');
  });

  test('a request line that comes byte by byte is served whole, or refused', async () => {
    const door = new TestDoor();
    const { connect } = await start(kind, door);
    const client = await connect();
    await client.sendInParts([...get('/bytes')]);
    if (kind === 'uws') {
      // It looks for the version before the line is whole.
      await client.closed();
      expect(client.text).toMatch(/^HTTP\/1\.1 505 /);
      expect(door.paths).toEqual([]);
    } else {
      expect((await client.response()).body.toString()).toBe('GET /bytes 0');
    }
  });

  test('a long head may come in several packets', async () => {
    const door = new TestDoor();
    const { connect } = await start(kind, door);
    const client = await connect();
    const token = 'a'.repeat(6_000);
    await client.sendInParts([`GET / HTTP/1.1\r\nHost: here\r\nX-1: ${token}\r\nX-2: `, token, '\r\n\r\n']);
    expect((await client.response()).status).toBe(200);
    expect(door.heads[0]?.headers['x-2']).toBe(token);
  });

  test('HTTP/1.0, other targets than a path, and bytes beyond ASCII are refused', async () => {
    const lines = [
      'GET / HTTP/1.0',
      'GET http://here/ HTTP/1.1',
      'OPTIONS * HTTP/1.1',
      'GET /\xe9 HTTP/1.1',
      'GET /?\x7f HTTP/1.1',
    ];
    for (const line of lines) {
      const door = new TestDoor();
      const { connect } = await start(kind, door);
      const client = await connect();
      client.send(`${line}\r\nHost: here\r\n\r\n`);
      await client.closed();
      expect(client.text, line).toMatch(/^HTTP\/1\.1 (400|505) /);
      expect(door.paths).toEqual([]);
    }
  });
}
