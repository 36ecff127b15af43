import { expect, test } from 'vitest';
import type { Reply } from '../listener.js';
import { pause } from './raw-client.js';
import { get, type Kind, pattern, post, start, TestDoor } from './test-listener.js';

const EVENT_STREAM = [['content-type', 'text/event-stream']] as const;

/** What clients get, whole or as a stream. */
export function replyCases(kind: Kind): void {
  // Far more than the system keeps for a connection; bytes that uWebSockets.js may lose are lost when that is full.
  const longBytes = kind === 'uws' ? 20_000_000 : 6_000_000;

  test('a whole answer has its status, headers and length', async () => {
    const answers: Parameters<Reply['send']>[] = [
      [
        200,
        [
          ['X-A', '1'],
          ['X-Latin', 'caf\xe9'],
        ],
        'gr\u00fc\u00df',
      ],
      [404, [], Buffer.from([0, 255, 128])],
      [202, [], ''],
      [503, [['Retry-After', '1']], new Uint8Array(20_000).fill(7)],
    ];
    const { connect } = await start(
      kind,
      new TestDoor((head, _body, reply) =>
        reply.send(...(answers[Number(head.query)] as (typeof answers)[0])),
      ),
    );
    const client = await connect();
    for (const [index, [status, headers, body]] of answers.entries()) {
      client.send(get(`/?${index}`));
      const response = await client.response();
      expect(response.status).toBe(status);
      expect(response.body.equals(Buffer.from(body))).toBe(true);
      for (const [name, value] of headers) expect(response.headers[name.toLowerCase()]).toBe(value);
      expect(Object.keys(response.headers)).not.toContain('uwebsockets');
      expect(response.headers.date).toMatch(/ GMT$/);
    }
  });

  test('answers have the reason phrases that clients print', async () => {
    const { connect } = await start(
      kind,
      new TestDoor((head, _body, reply) => reply.send(Number(head.query), [], 'x')),
    );
    const client = await connect();
    const phrases: Record<number, string> = {
      200: 'OK',
      202: 'Accepted',
      401: 'Unauthorized',
      429: 'Too Many Requests',
      502: 'Bad Gateway',
    };
    for (const [status, phrase] of Object.entries(phrases)) {
      client.send(get(`/?${status}`));
      expect((await client.response()).reason).toBe(phrase);
    }
  });

  test('answers without content keep the connection', async () => {
    const door = new TestDoor((head, _body, reply) => {
      if (head.path === '/stream') reply.begin(200, EVENT_STREAM);
      else reply.send(head.method === 'HEAD' ? 200 : 204, [], head.method === 'HEAD' ? 'five!' : '');
    });
    const { connect, listener } = await start(kind, door);
    const client = await connect();
    client.send('HEAD / HTTP/1.1\r\nHost: here\r\n\r\n');
    expect((await client.response(true)).headers['content-length']).toBe('5');
    client.send('HEAD /stream HTTP/1.1\r\nHost: here\r\n\r\n');
    expect((await client.response(true)).headers['content-length']).toBeUndefined();
    client.send(get('/'));
    const response = await client.response();
    expect([response.status, response.headers['content-length']]).toEqual([204, undefined]);
    client.send(get('/'));
    expect((await client.response()).status).toBe(204);
    expect(client.text).toBe('');
    await expect.poll(() => listener.openReplyCount).toBe(0);
  });

  test('the door cannot break the framing', async () => {
    const door = new TestDoor((_head, _body, reply) =>
      reply.send(
        200,
        [
          ['Content-Length', '1'],
          ['transfer-encoding', 'chunked'],
          ['Connection', 'upgrade'],
          ['X', 'y'],
        ],
        'abc',
      ),
    );
    const { connect } = await start(kind, door);
    const client = await connect();
    client.send(get('/'));
    const response = await client.response();
    expect([response.body.toString(), response.headers.x]).toEqual(['abc', 'y']);
    expect(response.headers['transfer-encoding']).toBeUndefined();
  });

  test('a header that cannot be sent is a fault and gets 500', async () => {
    const bad: Parameters<Reply['begin']>[] = [
      [200, [['X', 'a\r\nInjected: b']]],
      [200, [['X: a\r\nInjected', 'b']]],
      [200, [['X', '\u20ac']]],
      [200, [['X', 'a'.repeat(20_000)]]],
      [99, []],
    ];
    for (const [index, [status, headers]] of bad.entries()) {
      const door = new TestDoor((_head, _body, reply) =>
        index % 2 === 0 ? reply.send(status, headers, 'x') : reply.begin(status, headers),
      );
      const { connect, faults } = await start(kind, door);
      const client = await connect();
      client.send(get('/'));
      const response = await client.response();
      expect([response.status, response.headers.injected]).toEqual([500, undefined]);
      expect(faults).toHaveLength(1);
    }
  });

  test('a long answer to a slow reader arrives whole', async () => {
    const body = pattern(longBytes);
    const { connect, listener } = await start(
      kind,
      new TestDoor((_head, _body, reply) => reply.send(200, [], body)),
    );
    const client = await connect();
    client.readSlowly();
    for (let round = 0; round < 2; round++) {
      client.send(get('/'));
      expect((await client.response()).body.equals(body)).toBe(true);
    }
    await expect.poll(() => listener.openReplyCount).toBe(0);
  });

  test('a long answer that ends the connection arrives whole', async () => {
    const body = pattern(longBytes);
    const { connect } = await start(kind, new TestDoor((_head, _body, reply) => reply.send(200, [], body)));
    const client = await connect();
    client.readSlowly();
    client.send(get('/', 'Connection: close'));
    expect((await client.response()).body.equals(body)).toBe(true);
    await client.closed();
  });

  for (const [name, begin] of Object.entries(STREAM_STARTS)) {
    test(`a stream that is written ${name} arrives whole at a slow reader`, async () => {
      const content = pattern(longBytes);
      const door = new TestDoor((_head, _body, reply) => begin(reply, content));
      const { connect, listener } = await start(kind, door);
      const client = await connect();
      client.readSlowly();
      client.send(get('/'));
      const response = await client.response();
      expect(response.body.equals(content)).toBe(true);
      if (kind === 'uws') expect(Math.max(...response.chunkSizes)).toBeLessThanOrEqual(12 * 1024);
      await expect.poll(() => listener.openReplyCount).toBe(0);
      client.send(get('/'));
      expect((await client.response()).body.equals(content)).toBe(true);
    });
  }

  test('what the socket has not taken does not wait for the next write', async () => {
    const pieceBytes = 12 * 1024;
    const replies: Reply[] = [];
    const door = new TestDoor((_head, _body, reply) => {
      replies.push(reply);
      reply.begin(200, []);
      reply.write('first');
    });
    const { connect } = await start(kind, door);
    const openStream = async () => {
      const client = await connect();
      client.send(get('/'));
      await client.until(() => client.received.includes('first'));
      client.socket.pause();
      return { client, reply: replies.at(-1) as Reply };
    };
    const probe = await openStream();
    let pieces = 0;
    while (probe.reply.write(Buffer.alloc(pieceBytes)) === 0) pieces++;
    // With as many pieces as went without waiting, the last one is what the socket took only in part.
    const { client, reply } = await openStream();
    for (let count = 0; count < pieces; count++) reply.write(Buffer.alloc(pieceBytes));
    client.socket.resume();
    client.take(client.received.indexOf('\r\n\r\n') + 4);
    expect((await client.content('first'.length + pieces * pieceBytes)).length).toBeGreaterThan(
      pieces * pieceBytes,
    );
  });

  test('the head of an event stream goes out before the first event', async () => {
    const replies: Reply[] = [];
    const door = new TestDoor((_head, _body, reply) => {
      replies.push(reply);
      reply.begin(200, EVENT_STREAM);
    });
    const { connect } = await start(kind, door);
    const client = await connect();
    client.send(get('/'));
    await client.until(() => client.text.includes('\r\n\r\n'));
    replies[0]?.write('data: 1\n\n');
    replies[0]?.write('data: 2\n\n');
    replies[0]?.end();
    const { body } = await client.response();
    expect(body.toString().replace(':\n\n', '')).toBe('data: 1\n\ndata: 2\n\n');
  });

  test('a stream whose first bytes come at once has nothing before them', async () => {
    for (const write of [(run: () => void) => run(), (run: () => void) => void setTimeout(run, 5)]) {
      const door = new TestDoor((_head, _body, reply) =>
        write(() => {
          reply.begin(200, EVENT_STREAM);
          reply.write('data: 1\n\n');
          reply.end();
        }),
      );
      const { connect } = await start(kind, door);
      const client = await connect();
      client.send(get('/'));
      expect((await client.response()).body.toString()).toBe('data: 1\n\n');
    }
  });

  test('a stream may end without a byte', async () => {
    const door = new TestDoor((_head, _body, reply) => {
      reply.begin(200, [['x-a', 'b']]);
      reply.end();
    });
    const { connect } = await start(kind, door);
    const client = await connect();
    for (let round = 0; round < 2; round++) {
      client.send(get('/'));
      const response = await client.response();
      expect([response.status, response.headers['x-a'], response.body.length]).toEqual([200, 'b', 0]);
    }
  });

  test('the door hears once that the client left, and what it does afterwards changes nothing', async () => {
    for (const streams of [false, true]) {
      const replies: Reply[] = [];
      const aborted: string[] = [];
      const door = new TestDoor((_head, _body, reply) => {
        replies.push(reply);
        reply.onAborted(() => aborted.push('first'));
        reply.onAborted(() => aborted.push('second'));
        if (streams) reply.begin(200, EVENT_STREAM);
      });
      const { connect, listener, faults } = await start(kind, door);
      const client = await connect();
      client.send(get('/'));
      await expect.poll(() => replies.length).toBe(1);
      client.socket.destroy();
      await expect.poll(() => aborted).toEqual(['first', 'second']);
      const [reply] = replies as [Reply];
      expect(reply.open).toBe(false);
      reply.send(200, [], 'late');
      reply.begin(200, []);
      expect(reply.write('late')).toBe(0);
      reply.end();
      reply.close();
      reply.onAborted(() => aborted.push('too late'));
      await pause(20);
      expect(aborted).toEqual(['first', 'second', 'too late']);
      expect([listener.openReplyCount, faults]).toEqual([0, []]);
    }
  });

  test('a client that leaves in the middle of its body costs nothing', async () => {
    const aborted: string[] = [];
    const door = new TestDoor();
    door.onHead = (_head, reply) => {
      reply.onAborted(() => aborted.push('left'));
      return 1_000;
    };
    const { connect, listener } = await start(kind, door);
    const client = await connect();
    client.send(post('/', 'abcdef').slice(0, -3));
    await expect.poll(() => door.heads.length).toBe(1);
    client.socket.destroy();
    await expect.poll(() => aborted).toEqual(['left']);
    expect([door.requests, listener.openReplyCount]).toEqual([[], 0]);
  });

  test('a door that has answered does not hear that the client left', async () => {
    const aborted: string[] = [];
    const door = new TestDoor((head, _body, reply) => {
      reply.onAborted(() => aborted.push('left'));
      reply.send(200, [], head.path === '/long' ? Buffer.alloc(50_000_000) : 'x');
      reply.send(200, [], 'twice');
    });
    const { connect, listener } = await start(kind, door);
    const client = await connect();
    client.send(get('/short'));
    expect((await client.response()).body.toString()).toBe('x');
    client.send(get('/long'));
    client.socket.pause();
    await expect.poll(() => listener.openReplyCount).toBe(1);
    client.socket.destroy();
    await expect.poll(() => listener.connectionCount).toBe(0);
    await expect.poll(() => listener.openReplyCount).toBe(0);
    expect(aborted).toEqual([]);
  });

  test('close drops the connection, from anywhere', async () => {
    const dropAt: Record<string, (door: TestDoor) => void> = {
      head: (door) => {
        door.onHead = (_head, reply) => {
          reply.close();
          return 0;
        };
      },
      request: () => undefined,
    };
    const bodies = [
      post('/', 'abc'),
      'POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n',
    ];
    for (const prepare of Object.values(dropAt)) {
      for (const request of bodies) {
        const door = new TestDoor((_head, _body, reply) => reply.close());
        prepare(door);
        const { connect, listener } = await start(kind, door);
        const client = await connect();
        // node:http would read a pipelined request before the first one is answered, as it may.
        client.send(kind === 'uws' ? request + get('/behind') : request);
        await client.closed();
        expect([client.text, door.paths]).toEqual(['', ['/']]);
        await expect.poll(() => listener.openReplyCount).toBe(0);
      }
    }
  });

  test('an exception of the door costs its request and is reported', async () => {
    const throwing = (path: string): void => {
      throw new Error(`at ${path}`);
    };
    const door = new TestDoor((head, _body, reply) => {
      if (head.path === '/streaming') reply.begin(200, EVENT_STREAM);
      if (head.path === '/aborted') reply.onAborted(() => throwing(head.path));
      else throwing(head.path);
    });
    door.onHead = (head) => {
      if (head.path === '/head') throwing(head.path);
      return 1_000;
    };
    const { connect, faults } = await start(kind, door);
    for (const request of [get('/head'), post('/head', 'abc'), get('/request'), post('/request', 'abc')]) {
      const client = await connect();
      client.send(request);
      const response = await client.response();
      expect([response.status, JSON.parse(response.body.toString()).reason]).toEqual([
        500,
        'the request failed inside the gateway',
      ]);
    }
    const streaming = await connect();
    streaming.send(get('/streaming'));
    await streaming.closed();
    const leaving = await connect();
    leaving.send(get('/aborted'));
    await expect.poll(() => door.paths).toContain('/aborted');
    leaving.socket.destroy();
    await expect
      .poll(() => faults.map((fault) => (fault as Error).message))
      .toEqual(['at /head', 'at /head', 'at /request', 'at /request', 'at /streaming', 'at /aborted']);
  });

  test('a door that fails to word a refusal, and a reporter that fails, cost no more', async () => {
    const door = new TestDoor();
    door.refusal = () => {
      throw new Error('no words');
    };
    const { connect } = await start(kind, door, {
      onFault: () => {
        throw new Error('no report');
      },
    });
    const client = await connect();
    client.send(get(`/${'a'.repeat(2_000)}`));
    const response = await client.response();
    expect([response.status, response.headers['content-type']]).toEqual([414, 'text/plain']);
  });

  test('a request may be answered from inside another one', async () => {
    const waiting: Reply[] = [];
    const door = new TestDoor((head, _body, reply) => {
      if (head.path === '/wait') {
        waiting.push(reply);
        return;
      }
      if (head.path === '/stream') {
        reply.begin(200, EVENT_STREAM);
        waiting.push(reply);
        return;
      }
      waiting[0]?.send(200, [], 'x'.repeat(30_000));
      for (let event = 0; event < 100; event++) waiting[1]?.write(`data: ${event}\n\n`);
      waiting[1]?.end();
      reply.send(200, [], 'told');
    });
    const { connect } = await start(kind, door);
    const [first, second, third] = [await connect(), await connect(), await connect()];
    first.send(get('/wait'));
    await expect.poll(() => waiting.length).toBe(1);
    second.send(get('/stream'));
    await second.until(() => second.text.includes('\r\n\r\n'));
    third.send(get('/tell'));
    expect((await third.response()).body.toString()).toBe('told');
    expect((await first.response()).body.length).toBe(30_000);
    expect((await second.response()).body.toString()).toMatch(/data: 0\n\n[^]*data: 99\n\n$/);
  });

  test('answers that are made in promise callbacks arrive', async () => {
    const door = new TestDoor(async (head, _body, reply) => {
      await Promise.resolve();
      await Promise.resolve();
      reply.send(200, [], head.path);
    });
    const { connect } = await start(kind, door);
    const client = await connect();
    for (let index = 0; index < 20; index++) {
      client.send(post(`/${index}`, 'abc'));
      expect((await client.response()).body.toString()).toBe(`/${index}`);
    }
  });
}

/** Ways to write a long stream: each meets the cork buffer of uWebSockets.js in another way. */
const STREAM_STARTS: Record<string, (reply: Reply, content: Buffer) => void> = {
  'at once': (reply, content) => {
    reply.begin(200, []);
    reply.write(content);
    reply.end();
  },
  'in one turn': (reply, content) => {
    reply.begin(200, []);
    for (let at = 0; at < content.length; at += 5_000) reply.write(content.subarray(at, at + 5_000));
    reply.end();
  },
  'two pieces at a time': (reply, content) => {
    let at = 0;
    const next = (): void => {
      for (let round = 0; round < 2; round++) {
        reply.write(content.subarray(at, at + 15_000));
        at += 15_000;
      }
      if (at < content.length) setImmediate(next);
      else reply.end();
    };
    setImmediate(() => {
      reply.begin(200, []);
      next();
    });
  },
};
