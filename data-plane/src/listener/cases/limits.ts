import { expect, test } from 'vitest';
import type { Reply } from '../listener.js';
import { pause } from './raw-client.js';
import { get, type Kind, LIMITS, post, start, TestDoor } from './test-listener.js';

/** What is refused, and how. */
export function limitCases(kind: Kind): void {
  test('a target over the limit gets 414 and the connection ends', async () => {
    const door = new TestDoor();
    const { connect } = await start(kind, door);
    const fits = await connect();
    fits.send(get(`/${'a'.repeat(500)}?${'b'.repeat(LIMITS.maxUrlBytes - 502)}`));
    expect((await fits.response()).status).toBe(200);
    const client = await connect();
    client.send(get(`/${'a'.repeat(500)}?${'b'.repeat(LIMITS.maxUrlBytes - 501)}`));
    await client.closed();
    const response = await client.response();
    expect([response.status, response.reason, response.headers.connection]).toEqual([
      414,
      'URI Too Long',
      'close',
    ]);
    expect(response.headers['content-type']).toBe('application/json');
    expect(JSON.parse(response.body.toString()).reason).toContain('at most 1000 are taken');
    expect(door.heads).toHaveLength(1);
  });

  test('nothing is read behind a request that is refused', async () => {
    const door = new TestDoor();
    const { connect } = await start(kind, door);
    const client = await connect();
    client.send(get(`/${'a'.repeat(LIMITS.maxUrlBytes)}`) + get('/behind'));
    await client.closed();
    expect(door.paths).toEqual([]);
  });

  test('header fields over the limit get 431', async () => {
    const door = new TestDoor();
    const { connect } = await start(kind, door);
    const hostBytes = 'Hosthere'.length;
    const client = await connect();
    client.send(get('/', `X: ${'a'.repeat(LIMITS.maxHeaderBytes - hostBytes - 1)}`));
    expect((await client.response()).status).toBe(200);
    client.send(get('/', `X: ${'a'.repeat(LIMITS.maxHeaderBytes - hostBytes)}`));
    await client.closed();
    const response = await client.response();
    expect([response.status, response.reason]).toEqual([431, 'Request Header Fields Too Large']);
    expect(door.heads).toHaveLength(1);
  });

  test('too many header fields get 431', async () => {
    const door = new TestDoor();
    const { connect } = await start(kind, door);
    const fields = Array.from({ length: LIMITS.maxHeaderCount }, (_, index) => `X-${index}: a`);
    const client = await connect();
    client.send(get('/', ...fields.slice(1)));
    expect((await client.response()).status).toBe(200);
    client.send(get('/', ...fields));
    await client.closed();
    expect((await client.response()).status).toBe(431);
    expect(door.heads).toHaveLength(1);
  });

  test.runIf(kind === 'uws')('the largest limits that uWebSockets.js is given are answered for', async () => {
    const door = new TestDoor();
    const maxHeaderCount = 97;
    // What is left of its buffer of 128 KiB beside the target and what separates the fields.
    const maxHeaderBytes = 128 * 1024 - 256 - 6 * maxHeaderCount - LIMITS.maxUrlBytes;
    const { connect } = await start(kind, door, { limits: { maxHeaderCount, maxHeaderBytes } });
    const filled = (count: number, bytes: number) => {
      const names = Array.from({ length: count - 1 }, (_, index) => `X-${index}`);
      const left = bytes - 'Hosthere'.length - names.join('').length - (count - 2);
      return names.map((name, index) => `${name}: ${index === 0 ? 'a'.repeat(left) : 'a'}`);
    };
    const target = `/${'a'.repeat(LIMITS.maxUrlBytes - 1)}`;
    for (const [count, bytes, status] of [
      [maxHeaderCount, maxHeaderBytes, 200],
      [maxHeaderCount, maxHeaderBytes + 1, 431],
      [maxHeaderCount + 1, maxHeaderBytes, 431],
    ] as const) {
      const client = await connect();
      const head = get(target, ...filled(count, bytes));
      await client.sendInParts([head.slice(0, 2_000), head.slice(2_000, 70_000), head.slice(70_000)]);
      expect((await client.response()).status, `${count} fields of ${bytes} bytes`).toBe(status);
    }
    expect(door.heads).toHaveLength(1);
  });

  test('a head beyond every buffer is refused too', async () => {
    for (const head of [get(`/${'a'.repeat(300_000)}`), get('/', `X: ${'a'.repeat(300_000)}`)]) {
      const door = new TestDoor();
      const { connect } = await start(kind, door);
      const client = await connect();
      client.send(head);
      await client.closed();
      expect(client.text).toMatch(/^(HTTP\/1\.1 (414|431|505) [^]*)?$/);
      expect(door.heads).toEqual([]);
    }
  });

  test('a body that is announced as too long is refused before it is read', async () => {
    const door = new TestDoor();
    const { connect } = await start(kind, door);
    const client = await connect();
    client.send('POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 100001\r\n\r\n');
    await client.closed();
    const response = await client.response();
    expect([response.status, response.reason]).toEqual([413, 'Payload Too Large']);
    expect(door.requests).toEqual([]);
  });

  test('a client that sends a body that is too long gets to read why', async () => {
    const door = new TestDoor();
    const { connect } = await start(kind, door);
    const client = await connect();
    const errors: unknown[] = [];
    client.socket.on('error', (error) => errors.push(error));
    client.send(post('/', 'a'.repeat(5_000_000)));
    await client.closed();
    expect((await client.response()).status).toBe(413);
    expect(errors).toEqual([]);
    expect(door.requests).toEqual([]);
  });

  test('a body in chunks is refused as soon as it is too long', async () => {
    const door = new TestDoor();
    const { connect } = await start(kind, door);
    const client = await connect();
    client.send(
      `POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n${'a'.repeat(100_000)}\r\n1\r\na`,
    );
    await client.closed();
    expect((await client.response()).status).toBe(413);
    expect(door.requests).toEqual([]);
  });

  test('a body of exactly the limit is taken', async () => {
    const { connect } = await start(kind, new TestDoor());
    const client = await connect();
    client.send(post('/', 'a'.repeat(100_000)));
    expect((await client.response()).body.toString()).toBe('POST / 100000');
  });

  test('bodies of requests that are not answered yet have a bound together, and get 503 beyond it', async () => {
    const held: Reply[] = [];
    const door = new TestDoor((_, __, reply) => held.push(reply));
    const { connect, listener } = await start(kind, door, { limits: { maxBufferedBytes: 250_000 } });
    const first = await connect();
    first.send(post('/first', 'a'.repeat(100_000)));
    await expect.poll(() => held.length).toBe(1);
    // One that has not wholly come counts as far as it has.
    const half = await connect();
    half.send(post('/half', 'b'.repeat(100_000)).slice(0, -1));
    const refused = async (path: string) => {
      const client = await connect();
      client.send(post(path, 'c'.repeat(100_000)));
      const { status, headers, body } = await client.response();
      return [status, headers['retry-after'], headers['content-type'], JSON.parse(body.toString()).reason];
    };
    const reason = expect.stringContaining('all the memory that they may');
    await expect.poll(() => refused('/beyond')).toEqual([503, '1', 'application/json', reason]);
    expect(door.requests.map(({ head }) => head.path)).not.toContain('/beyond');
    // What is small still has room.
    const small = await connect();
    small.send(post('/small', 'd'));
    await expect.poll(() => held.length).toBe(2);
    for (const reply of held) reply.send(200, [], 'done');
    expect((await first.response()).status).toBe(200);
    expect((await small.response()).status).toBe(200);
    half.socket.destroy();
    await expect.poll(() => listener.openReplyCount).toBe(0);
    for (const path of ['/again', '/and-again']) {
      const client = await connect();
      client.send(post(path, 'e'.repeat(100_000)));
    }
    await expect.poll(() => held.length).toBe(4);
  });

  test('a body that comes too slowly gets 408 and the connection ends', async () => {
    const door = new TestDoor();
    const { connect, listener } = await start(kind, door, { limits: { bodyTimeoutMs: 300 } });
    const client = await connect();
    const trickle = setInterval(() => client.send('a'), 50);
    client.socket.once('close', () => clearInterval(trickle));
    client.send(post('/', 'a'.repeat(1_000)).slice(0, -999));
    await client.closed();
    const response = await client.response();
    expect([response.status, response.headers.connection]).toEqual([408, 'close']);
    expect(door.requests).toEqual([]);
    await expect.poll(() => listener.connectionCount).toBe(0);
  });

  test('a connection beyond the limit is closed at once', async () => {
    const { connect, listener } = await start(kind, new TestDoor(), { limits: { maxConnectionCount: 3 } });
    const clients = [await connect(), await connect(), await connect()];
    await expect.poll(() => listener.connectionCount).toBe(3);
    const refused = await connect();
    await refused.closed();
    for (const client of clients) {
      client.send(get('/'));
      expect((await client.response()).status).toBe(200);
    }
    clients[0]?.socket.destroy();
    await expect.poll(() => listener.connectionCount).toBe(2);
    const next = await connect();
    next.send(get('/'));
    expect((await next.response()).status).toBe(200);
  });

  test('limits may change while it listens', async () => {
    const limits = { ...LIMITS, maxConnectionCount: 1, bodyTimeoutMs: 60_000 };
    const { connect, listener } = await start(kind, new TestDoor(), { limits });
    const client = await connect();
    await expect.poll(() => listener.connectionCount).toBe(1);
    await (await connect()).closed();
    listener.setLimits({ ...limits, maxConnectionCount: 2, bodyTimeoutMs: 200 });
    const another = await connect();
    another.send(get('/'));
    expect((await another.response()).status).toBe(200);
    client.send(post('/', 'a'.repeat(1_000)).slice(0, -999));
    expect((await client.response()).status).toBe(408);
  });

  test('a reader that is too slow for what waits loses its connection', async () => {
    const written: number[] = [];
    const chunk = 200_000;
    let aborted = 0;
    const door = new TestDoor((_head, _body, reply) => {
      reply.onAborted(() => aborted++);
      reply.begin(200, []);
      const timer = setInterval(() => {
        if (reply.open) written.push(reply.write(Buffer.alloc(chunk)));
        else clearInterval(timer);
      }, 1);
    });
    const limit = 1_000_000;
    const { connect, listener } = await start(kind, door, { limits: { maxPendingReplyBytes: limit } });
    const client = await connect();
    client.send(get('/'));
    client.socket.pause();
    await expect.poll(() => aborted, { timeout: 10_000 }).toBe(1);
    expect(Math.max(...written.slice(0, -1))).toBeLessThanOrEqual(limit + chunk);
    expect(written.length).toBeGreaterThan(1);
    await expect.poll(() => listener.connectionCount).toBe(0);
    expect(listener.openReplyCount).toBe(0);
  });

  test('a single chunk may be larger than what may wait', async () => {
    const limit = 100_000;
    const door = new TestDoor((_head, _body, reply) => {
      reply.begin(200, []);
      reply.write(Buffer.alloc(40 * limit, 'a'));
      reply.end();
    });
    const { connect } = await start(kind, door, { limits: { maxPendingReplyBytes: limit } });
    const client = await connect();
    client.send(get('/'));
    expect((await client.response()).body.length).toBe(40 * limit);
  });

  test('a client that does not read its answers is not asked for more requests', async () => {
    const answer = Buffer.alloc(10_000);
    const door = new TestDoor((_head, _body, reply) => reply.send(200, [], answer));
    const { connect } = await start(kind, door);
    const client = await connect();
    client.socket.pause();
    const requests = 5_000;
    const batch = get('/').repeat(50);
    for (let sent = 0; sent < requests; sent += 50) {
      client.send(batch);
      await pause(0);
    }
    await pause(200);
    expect(door.heads.length).toBeLessThan(requests);
  });

  test('an answer that comes late in a refused request changes nothing', async () => {
    const replies: Reply[] = [];
    const door = new TestDoor();
    door.onHead = (_head, reply) => {
      replies.push(reply);
      return 10;
    };
    const { connect } = await start(kind, door);
    const client = await connect();
    client.send('POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 11\r\n\r\n');
    await expect.poll(() => replies[0]?.open).toBe(false);
    replies[0]?.send(200, [], 'late');
    replies[0]?.begin(200, []);
    await client.closed();
    expect((await client.response()).status).toBe(413);
    expect(client.text).toBe('');
  });

  // uWebSockets.js has clocks of its own, of 8 to 12 seconds; the limits of these options do not reach them.
  test('a head that does not end, one too long to parse, and silence all end the connection', async () => {
    const door = new TestDoor();
    const { connect } = await start(kind, door, { limits: { headTimeoutMs: 1_500, idleTimeoutMs: 1_500 } });
    const slow = await connect();
    slow.send('GET / HTTP/1.1\r\nHost: here\r\nX: ');
    const trickle = setInterval(() => slow.send('a'), 100);
    slow.socket.once('close', () => clearInterval(trickle));
    const crowded = await connect();
    crowded.send(get('/', ...Array.from({ length: 150 }, (_, index) => `X-${index}: a`)));
    // node:http takes every token for a name, uWebSockets.js letters, digits and hyphens.
    const underscored = await connect();
    underscored.send(get('/underscored', 'X_A: b'));
    const silent = await connect();
    const idle = await connect();
    idle.send(get('/idle'));
    await idle.response();
    await Promise.all([slow, crowded, underscored, silent, idle].map((client) => client.closed()));
    expect(slow.text).toMatch(/^(HTTP\/1\.1 408 [^]*)?$/);
    expect(crowded.text).toMatch(/^(HTTP\/1\.1 431 [^]*)?$/);
    expect(idle.text).toBe('');
    expect(door.paths).toEqual(kind === 'uws' ? ['/idle'] : ['/underscored', '/idle']);
  });

  test.runIf(kind === 'uws')('a body that uWebSockets.js would cut off gets 408 before', async () => {
    const { connect } = await start(kind, new TestDoor(), { limits: { bodyTimeoutMs: 60_000 } });
    const client = await connect();
    client.send(post('/', 'abc').slice(0, -1));
    await client.closed();
    expect((await client.response()).status).toBe(408);
  });

  test('a reader that takes nothing is cut off, and a stream may be quiet for longer than that', async () => {
    const replies = new Map<string, Reply>();
    const aborted: string[] = [];
    const door = new TestDoor((head, _body, reply) => {
      replies.set(head.path, reply);
      reply.onAborted(() => aborted.push(head.path));
      reply.begin(200, []);
      reply.write(Buffer.alloc(8_000_000));
    });
    const { connect } = await start(kind, door);
    const [stalled, quiet] = [await connect(), await connect()];
    stalled.send(get('/stalled'));
    stalled.socket.pause();
    quiet.readSlowly();
    quiet.send(get('/quiet'));
    await expect.poll(() => aborted, { timeout: 25_000 }).toEqual(['/stalled']);
    replies.get('/quiet')?.write('and on');
    replies.get('/quiet')?.end();
    expect((await quiet.response()).body.toString('latin1', 8_000_000)).toBe('and on');
    expect(aborted).toEqual(['/stalled']);
  });
}
