import { expect, test } from 'vitest';
import { get, type Kind, pattern, post, start, TestDoor } from './test-listener.js';

/** What the door is told of a request. */
export function requestCases(kind: Kind): void {
  test('a head is told whole', async () => {
    const door = new TestDoor();
    const { connect } = await start(kind, door);
    const client = await connect();
    client.send(
      'POST /a%20b/c?d=e&f=?g HTTP/1.1\r\nHost: here\r\nX-Mixed-CASE:  padded \t\r\nX-Twice: 1\r\nX-Other: 2\r\n' +
        'x-twice: 3\r\nconstructor: own\r\nX-Latin: caf\xe9 \xff.\r\nContent-Length: 3\r\n\r\nabc',
    );
    await client.response();
    const [{ head, body } = { head: undefined, body: undefined }] = door.requests;
    expect(body?.toString()).toBe('abc');
    expect([head?.method, head?.path, head?.query]).toEqual(['POST', '/a%20b/c', 'd=e&f=?g']);
    expect(Object.entries(head?.headers ?? {})).toEqual([
      ['host', 'here'],
      ['x-mixed-case', 'padded'],
      ['x-twice', '1, 3'],
      ['x-other', '2'],
      ['constructor', 'own'],
      ['x-latin', 'caf\xe9 \xff.'],
      ['content-length', '3'],
    ]);
    expect(Object.getPrototypeOf(head?.headers)).toBeNull();
    expect(head?.repeated).toEqual(['x-twice']);
  });

  test('values beyond ASCII that come in fields of one name are all told, or none', async () => {
    const door = new TestDoor();
    const { connect } = await start(kind, door);
    const client = await connect();
    client.send(get('/', 'X-Latin: caf\xe9s', 'X-Latin: \xff.'));
    if (kind === 'uws') {
      // Only the first one could be read as it is.
      await client.closed();
      expect([client.text, door.heads]).toEqual(['', []]);
    } else {
      await client.response();
      expect(door.heads[0]?.headers['x-latin']).toBe('caf\xe9s, \xff.');
    }
  });

  test('bytes beyond ASCII at the end of a value are told, or taken for white space', async () => {
    const door = new TestDoor();
    const { connect } = await start(kind, door);
    const client = await connect();
    client.send(get('/', 'X-Latin: caf\xe9'));
    await client.response();
    // uWebSockets.js cuts them off before anybody can see them.
    expect(door.heads[0]?.headers['x-latin']).toBe(kind === 'uws' ? 'caf' : 'caf\xe9');
  });

  test('a head without a query and without repeated fields says so', async () => {
    const door = new TestDoor();
    const { connect } = await start(kind, door);
    const client = await connect();
    client.send(get('/plain'));
    await client.response();
    expect([door.heads[0]?.query, door.heads[0]?.repeated]).toEqual(['', undefined]);
  });

  test('the address of the client is told while the request is open', async () => {
    const addresses: string[] = [];
    const { connect } = await start(
      kind,
      new TestDoor((head, _body, reply) => {
        setImmediate(() => {
          addresses.push(head.remoteAddress);
          reply.send(200, [], '');
          addresses.push(head.remoteAddress);
        });
      }),
    );
    const client = await connect();
    client.send(get('/'));
    await client.response();
    expect(addresses).toEqual(['127.0.0.1', '127.0.0.1']);
  });

  test('every method reaches the door', async () => {
    const door = new TestDoor();
    const { connect } = await start(kind, door);
    const client = await connect();
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'DELETE', 'PUT', 'PATCH', 'TRACE']) {
      client.send(`${method} / HTTP/1.1\r\nHost: here\r\n\r\n`);
      expect((await client.response(method === 'HEAD')).status).toBe(200);
    }
    expect(door.requests.map(({ head, body }) => [head.method, body.length])).toEqual([
      ['GET', 0],
      ['HEAD', 0],
      ['OPTIONS', 0],
      ['DELETE', 0],
      ['PUT', 0],
      ['PATCH', 0],
      ['TRACE', 0],
    ]);
  });

  test('a body arrives whole, in one packet or in many, by length or in chunks', async () => {
    const door = new TestDoor();
    const { connect } = await start(kind, door);
    const body = pattern(90_000).toString('latin1');
    const pieces = body.match(/[^]{1,7000}/g) ?? [];
    const byLength = await connect();
    await byLength.sendInParts([post('/', body).slice(0, -body.length), ...pieces]);
    await byLength.response();
    const chunked = await connect();
    const chunks = pieces.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`);
    const head = 'POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n';
    await chunked.sendInParts([head, ...chunks, '0\r\n\r\n']);
    await chunked.response();
    const atOnce = await connect();
    atOnce.send(post('/', body));
    await atOnce.response();
    expect(door.requests.map((request) => request.body.toString('latin1') === body)).toEqual([
      true,
      true,
      true,
    ]);
  });

  test('a body in chunks of one byte arrives whole', async () => {
    const door = new TestDoor();
    const { connect } = await start(kind, door);
    const client = await connect();
    const body = pattern(30_000);
    const chunks = [...body].map((byte) => `1\r\n${String.fromCharCode(byte)}\r\n`).join('');
    client.send(`POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`);
    await client.response();
    expect(door.requests[0]?.body.equals(body)).toBe(true);
  });

  test('bodies stay what they are while others come', async () => {
    const door = new TestDoor();
    const { connect } = await start(kind, door);
    const client = await connect();
    for (let index = 0; index < 50; index++) {
      client.send(post('/', String(index).repeat(20)));
      await client.response();
    }
    expect(door.requests.map((request) => request.body.toString())).toEqual(
      Array.from({ length: 50 }, (_, index) => String(index).repeat(20)),
    );
  });

  test('a client that waits for 100 Continue gets it', async () => {
    const { connect } = await start(kind, new TestDoor());
    const client = await connect();
    client.send(post('/', 'abc', 'Expect: 100-continue').slice(0, -3));
    expect((await client.response()).status).toBe(100);
    client.send('abc');
    expect((await client.response()).body.toString()).toBe('POST / 3');
  });

  test('a door that answers by the head is not asked again, and the body is thrown away', async () => {
    const door = new TestDoor();
    door.onHead = (head, reply) => {
      if (head.path !== '/early') return 1_000;
      reply.send(401, [], 'early');
      return 0;
    };
    const { connect } = await start(kind, door);
    const client = await connect();
    client.send(post('/early', 'abc').slice(0, -3));
    expect((await client.response()).status).toBe(401);
    client.send(`abc${get('/next')}`);
    expect((await client.response()).body.toString()).toBe('GET /next 0');
    expect(door.requests.map(({ head }) => head.path)).toEqual(['/next']);
  });
}
