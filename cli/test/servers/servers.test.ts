import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { expect, it } from 'vitest';
import { isAlive } from '../stories/processes.js';
import { describeUnless } from './describe-unless.js';
import { type EtcdServer, NO_ETCD, startEtcd } from './etcd.js';
import { NO_NATS, startNats } from './nats.js';
import { NO_REDIS, startRedis } from './redis.js';
import type { TestServer } from './server-process.js';

const base64 = (text: string) => Buffer.from(text).toString('base64');

async function endsWithoutTrace(server: TestServer): Promise<void> {
  const { pid, folder } = server;
  expect(isAlive(pid)).toBe(true);
  await server.close();
  expect(isAlive(pid)).toBe(false);
  expect(existsSync(folder)).toBe(false);
}

describeUnless(NO_ETCD, 'an etcd for tests', () => {
  async function keepsWhatItIsTold(server: EtcdServer): Promise<void> {
    await server.call('kv/put', { key: base64('a'), value: base64('1') });
    const { pid } = server;
    await server.kill();
    expect(isAlive(pid)).toBe(false);
    await server.restart();
    expect(server.pid).not.toBe(pid);
    expect((await server.call('kv/range', { key: base64('a') })).kvs[0].value).toBe(base64('1'));
  }

  it('keeps what it is told when it is killed, and ends without a trace', async () => {
    const server = await startEtcd();
    await keepsWhatItIsTold(server);
    await endsWithoutTrace(server);
  });

  it('talks TLS', async () => {
    const server = await startEtcd({ tls: true });
    await keepsWhatItIsTold(server);
    await expect(fetch(`${server.url}/health`)).rejects.toThrow();
    await endsWithoutTrace(server);
  });

  it('asks for a password', async () => {
    const server = await startEtcd({ auth: { password: 'of the root' } });
    await expect(server.call('kv/range', { key: base64('a') })).rejects.toThrow('user name is empty');
    const login = { name: 'root', password: 'of the root' };
    expect((await server.call('auth/authenticate', login)).token).toEqual(expect.any(String));
    await server.kill();
    await server.restart();
    await endsWithoutTrace(server);
  });
});

describeUnless(NO_NATS, 'a NATS for tests', () => {
  /** Says one thing in the protocol of NATS, and answers the first line that fits. */
  async function say({ port }: TestServer, text: string, wanted: RegExp): Promise<string> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    socket.write(`CONNECT {"verbose":false,"user":"me","pass":"secret"}\r\nSUB answers 1\r\n${text}`);
    try {
      for await (const line of createInterface({ input: socket })) if (wanted.test(line)) return line;
      throw new Error('the server hung up');
    } finally {
      socket.destroy();
    }
  }
  const request = (subject: string, body: string) =>
    `PUB ${subject} answers ${Buffer.byteLength(body)}\r\n${body}\r\n`;

  it('keeps a stream when it is killed, and ends without a trace', async () => {
    const server = await startNats();
    const stream = JSON.stringify({ name: 'S', subjects: ['s.>'] });
    const made = await say(server, request('$JS.API.STREAM.CREATE.S', stream), /^\{/);
    expect(JSON.parse(made)).toMatchObject({ did_create: true });
    await server.kill();
    await server.restart();
    const info = await say(server, request('$JS.API.STREAM.INFO.S', ''), /^\{/);
    expect(JSON.parse(info)).toMatchObject({ config: { name: 'S' } });
    await endsWithoutTrace(server);
  });

  it('takes more configuration', async () => {
    const server = await startNats({
      jetstream: false,
      config: 'authorization { user: me, password: other }',
    });
    expect(await say(server, 'PING\r\n', /^-ERR|^PONG/)).toContain('Authorization Violation');
    await endsWithoutTrace(server);
  });
});

describeUnless(NO_REDIS, 'a Redis for tests', () => {
  it('stands still when told, starts again, and ends without a trace', async () => {
    const server = await startRedis();
    const ping = async () => {
      const socket = connect(server.port, '127.0.0.1');
      socket.write('PING\r\n');
      const [answer] = await once(socket, 'data');
      socket.destroy();
      return String(answer);
    };
    expect(await ping()).toBe('+PONG\r\n');
    server.freeze();
    const answer = ping();
    server.thaw();
    expect(await answer).toBe('+PONG\r\n');
    await server.kill();
    await server.restart();
    expect(await ping()).toBe('+PONG\r\n');
    await endsWithoutTrace(server);
  });
});
