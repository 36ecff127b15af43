import { expect, test } from 'vitest';
import { createListener } from '../create.js';
import type { Reply } from '../listener.js';
import { RawClient } from './raw-client.js';
import { CertificateFolder, selfSigned } from './self-signed.js';
import { get, type Kind, LIMITS, pattern, start, TestDoor } from './test-listener.js';

/** Starting, sharing, draining, closing. */
export function lifecycleCases(kind: Kind): void {
  test('the listener says which one it is', async () => {
    const { listener } = await start(kind, new TestDoor());
    expect(listener.kind).toBe(kind);
  });

  test('a port that is taken is refused with a reason', async () => {
    for (const tls of [undefined, issued()]) {
      const { port } = await start(kind, new TestDoor(), { tls });
      await expect(start(kind, new TestDoor(), { port, tls })).rejects.toThrow(
        `Cannot listen on 127.0.0.1:${port}: the port is taken; choose another port or stop the process that has it (EADDRINUSE).`,
      );
    }
  });

  test('an address that is not of this machine is refused with a reason', async () => {
    await expect(start(kind, new TestDoor(), { host: '192.0.2.1' })).rejects.toThrow(
      'Cannot listen on 192.0.2.1:0: the host is not an address of this machine (EADDRNOTAVAIL).',
    );
  });

  test('listeners share a port, where they can', async () => {
    const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
    const cannot = kind === 'node' && (major < 22 || (major === 22 && minor < 12));
    const names: string[] = [];
    const named = (name: string): TestDoor =>
      new TestDoor((_head, _body, reply) => reply.send(200, [], name));
    if (cannot) {
      await expect(start(kind, named('a'), { sharedPort: true })).rejects.toThrow(
        /shares ports from Node\.js 22\.12/,
      );
      return;
    }
    const first = await start(kind, named('a'), { sharedPort: true });
    await start(kind, named('b'), { sharedPort: true, port: first.port });
    // The system spreads connections by a hash of their ports: a hundred on one side do not happen.
    for (let index = 0; index < 100 && new Set(names).size < 2; index++) {
      const client = await RawClient.open(first.port);
      client.send(get('/', 'Connection: close'));
      names.push((await client.response()).body.toString());
    }
    expect([...new Set(names)].sort()).toEqual(['a', 'b']);
  });

  test('draining lets requests under way finish and takes no others', async () => {
    const replies: Reply[] = [];
    const door = new TestDoor((head, _body, reply) => {
      if (head.path === '/wait') replies.push(reply);
      else reply.send(200, [], head.path);
    });
    const { connect, listener, port } = await start(kind, door);
    const [whole, stream, kept] = [await connect(), await connect(), await connect()];
    whole.send(get('/wait'));
    await expect.poll(() => replies.length).toBe(1);
    stream.send(get('/wait'));
    await expect.poll(() => replies.length).toBe(2);
    replies[1]?.begin(200, []);
    replies[1]?.write('begun ');
    await stream.until(() => stream.text.includes('begun '));
    kept.send('GET /kept HTTP/1.1\r\nHost: here\r\n');
    expect(listener.openReplyCount).toBe(2);
    listener.drain();
    listener.drain();
    await expect(RawClient.open(port)).rejects.toThrow();
    replies[0]?.send(200, [], 'finished');
    replies[1]?.write('finished');
    replies[1]?.end();
    const response = await whole.response();
    expect([response.body.toString(), response.headers.connection]).toEqual(['finished', 'close']);
    await whole.closed();
    expect((await stream.response()).body.toString()).toBe('begun finished');
    await expect.poll(() => listener.openReplyCount).toBe(0);
  });

  test('a connection that is in use ends with its next answer while draining', async () => {
    const door = new TestDoor();
    const { connect, listener } = await start(kind, door);
    const client = await connect();
    client.send('GET / HTTP/1.1\r\nHost: here\r\n');
    await expect.poll(() => listener.connectionCount).toBe(1);
    // node:http counts a connection that has sent part of a head as in use.
    await new Promise((resolve) => setTimeout(resolve, 20));
    listener.drain();
    client.send('\r\n');
    const response = await client.response();
    expect([response.status, response.headers.connection]).toEqual([200, 'close']);
    await client.closed();
  });

  test('closing ends everything, tells the door, and frees the port', async () => {
    const aborted: string[] = [];
    const door = new TestDoor((head, _body, reply) => reply.onAborted(() => aborted.push(head.path)));
    const { connect, listener, port } = await start(kind, door);
    const [idle, busy] = [await connect(), await connect()];
    busy.send(get('/busy'));
    await expect.poll(() => door.heads.length).toBe(1);
    await Promise.all([listener.close(), listener.close()]);
    await listener.close();
    await Promise.all([idle.closed(), busy.closed()]);
    await expect.poll(() => aborted).toEqual(['/busy']);
    expect(listener.openReplyCount).toBe(0);
    const next = await start(kind, new TestDoor(), { port });
    const client = await next.connect();
    client.send(get('/'));
    expect((await client.response()).status).toBe(200);
  });

  test('the door may close the listener', async () => {
    const closing: Promise<void>[] = [];
    const running = await start(kind, new TestDoor(() => closing.push(running.listener.close())));
    const client = await running.connect();
    client.send(get('/') + get('/behind'));
    await client.closed();
    await Promise.all(closing);
  });

  // node:http closes at once; nobody closes a listener before the answers have left.
  test.runIf(kind === 'uws')(
    'what the door answers in the breath in which it closes the listener arrives',
    async () => {
      const running = await start(
        kind,
        new TestDoor((_head, _body, reply) => {
          void running.listener.close();
          reply.send(200, [], 'goodbye');
        }),
      );
      const client = await running.connect();
      client.send(get('/'));
      expect((await client.response()).body.toString()).toBe('goodbye');
      await client.closed();
    },
  );

  test('a listener that never listened can be drained and closed', async () => {
    const options = { host: '127.0.0.1', port: 0, sharedPort: false, limits: LIMITS };
    const listener = await createListener(kind, options, new TestDoor());
    listener.drain();
    await listener.close();
  });

  test('a new certificate serves new connections, and old connections go on', async () => {
    const folder = new CertificateFolder();
    folder.issue('one');
    const { listener, port } = await start(kind, new TestDoor(), { tls: folder.tls });
    const before = await RawClient.openTls(port);
    expect(before.serverName).toBe('one');
    folder.issue('two');
    await listener.reloadTls();
    for (const servername of [undefined, 'some.example']) {
      const after = await RawClient.openTls(port, servername);
      expect(after.serverName).toBe('two');
      after.send(get('/after'));
      expect((await after.response()).body.toString()).toBe('GET /after 0');
    }
    before.send(get('/before'));
    expect((await before.response()).body.toString()).toBe('GET /before 0');
    expect(listener.connectionCount).toBe(3);
    await listener.close();
    await before.closed();
    await expect(RawClient.openTls(port)).rejects.toThrow();
  });

  test('a certificate that cannot be used is refused with a reason, and the old one stays', async () => {
    const folder = new CertificateFolder();
    await expect(start(kind, new TestDoor(), { tls: folder.tls })).rejects.toThrow(
      /certificate file .* cannot be read: there is no such file/,
    );
    folder.issue('good');
    const { listener, port } = await start(kind, new TestDoor(), { tls: folder.tls });
    folder.write({ key: selfSigned('other').key });
    await expect(listener.reloadTls()).rejects.toThrow(/cannot be used: .*key values mismatch/);
    folder.write({ certificate: 'nothing of the kind' });
    await expect(listener.reloadTls()).rejects.toThrow(/cannot be used: the certificate is not PEM/);
    folder.issue('good');
    folder.write({ key: 'nothing of the kind' });
    await expect(listener.reloadTls()).rejects.toThrow(
      /cannot be used: the key is not PEM, or has a passphrase/,
    );
    expect((await RawClient.openTls(port)).serverName).toBe('good');
  });

  test('long answers and streams arrive whole over TLS at a slow reader', async () => {
    const content = pattern(4_000_000);
    const door = new TestDoor((head, _body, reply) => {
      if (head.path === '/whole') return reply.send(200, [], content);
      reply.begin(200, []);
      for (let at = 0; at < content.length; at += 5_000) reply.write(content.subarray(at, at + 5_000));
      reply.end();
    });
    const { port } = await start(kind, door, { tls: issued() });
    const client = await RawClient.openTls(port);
    client.readSlowly();
    for (const path of ['/whole', '/stream', '/whole']) {
      client.send(get(path));
      expect((await client.response()).body.equals(content)).toBe(true);
    }
  });

  test('a client that does not speak TLS costs nothing', async () => {
    const { port, connect, faults } = await start(kind, new TestDoor(), { tls: issued() });
    const plain = await connect();
    plain.send(get('/'));
    await plain.closed();
    const client = await RawClient.openTls(port);
    client.send(get('/'));
    expect((await client.response()).status).toBe(200);
    expect(faults).toEqual([]);
  });
}

function issued(): CertificateFolder['tls'] {
  const folder = new CertificateFolder();
  folder.issue('here');
  return folder.tls;
}
